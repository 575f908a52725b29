//! Gathering: what a slice, a repository and a policy say of a release, written into a folder of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lineage::approval::Keys;
use oms::KeySigner;
use protocol::Digest;
use sha2::{Digest as _, Sha256};
use tlog::TlogProof;

use super::manifest::{self, Files, Listed};
use super::{
    APPROVALS, ATTESTATION, Approved, DOCUMENT, Evidence, FILES_MAX, FORMAT, GATE_POLICY, LEAVES, LOG_POLICY,
    MANIFEST, Qualified, REPORT_HTML, REPORT_TEXT, REPORTS, SLICE, SUMMARY, named, report,
};
use crate::failure::Failure;
use crate::file;
use crate::review::qualified::{self, Given};
use crate::review::{self, Approvals, Gatekeeper, History, Ledger, Reviewed, Table, statement};

/// What is gathered.
pub(crate) struct Wanted<'w> {
    pub(crate) repository: &'w Path,
    /// A tag, or any other revision.
    pub(crate) release: &'w str,
    pub(crate) ledger: Ledger,
    /// The gate's policy.
    pub(crate) policy: Option<&'w Path>,
    /// Folders of approvals, beside those in the repository.
    pub(crate) approvals: &'w [PathBuf],
    pub(crate) reports: &'w [String],
    pub(crate) with_slice: bool,
    pub(crate) signer: KeySigner,
}

/// A folder that is being written, and what is in it.
struct Writing<'w> {
    root: &'w Path,
    files: Files,
}

impl Writing<'_> {
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        if self.files.len() >= FILES_MAX {
            return Err(Failure::refused(format!("the evidence would have more than {FILES_MAX} files")));
        }
        file::write(&self.root.join(name), bytes)?;
        let digest = Digest(Sha256::digest(bytes).into());
        self.files.insert(name.to_owned(), Listed { bytes: bytes.len() as u64, digest });
        Ok(())
    }

    /// Copies a file that may be long.
    fn copy(&mut self, name: &str, from: &Path) -> Result<(), Failure> {
        let cannot = |error: &std::io::Error| Failure::file("cannot copy", from, error);
        let to = self.root.join(name);
        fs::copy(from, &to).map_err(|error| cannot(&error))?;
        let mut input = BufReader::with_capacity(1 << 20, File::open(&to).map_err(|error| cannot(&error))?);
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let read = input.read(&mut buffer).map_err(|error| cannot(&error))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            bytes += read as u64;
        }
        self.files.insert(name.to_owned(), Listed { bytes, digest: Digest(hash.finalize().into()) });
        Ok(())
    }
}

/// Writes the evidence into a folder that must not be there yet. Whether the gate let the release pass is in what it
/// answers; what it refuses is evidence too.
pub(crate) fn gather(wanted: &Wanted<'_>, out: &Path) -> Result<Evidence, Failure> {
    let gate = wanted.policy.map(Gatekeeper::read).transpose()?;
    let reports = Given::read(wanted.reports)?;
    let history = History::open(wanted.repository)?;
    let change = history.change(&review::Wanted::Tree(wanted.release))?;
    let reviewed = review::review(&wanted.ledger, change)?;
    let context = || reviewed.slice.context.iter().map(|(_, leaf)| leaf);
    let approvals = Approvals::read(&history, reviewed.change.tree, wanted.approvals, &Keys::of(context()))?;
    let languages = qualified::languages(&reports, context())?;
    let table = Table::new(&reviewed, &approvals);
    let now = Gatekeeper::now(reviewed.slice.made_unix_ms, "");
    let asked = gate.as_ref().map(|(gate, _)| (gate, &languages, &now));
    let ranges = review::decided(&table, &reviewed, &history, asked);
    let gated = gate.as_ref().map(|(gate, _)| gate.gated(&ranges, &table.not_graded, now.clone()));

    make(out)?;
    let mut writing = Writing { root: out, files: Files::new() };
    let mut leaves = BTreeMap::new();
    for (index, bytes) in wanted_leaves(&reviewed, &table) {
        let proof = proof(&reviewed, index, bytes)?;
        writing.add(&named(LEAVES, &index.to_string()), proof.to_string().as_bytes())?;
        leaves.insert(index, Digest(tlog::leaf_hash(bytes)));
    }
    let mut counted = Vec::new();
    for good in &approvals.good {
        let file = named(APPROVALS, &digits(&good.bytes));
        writing.add(&file, &good.bytes)?;
        let Some(first) = good.approved.first() else { continue };
        counted.push(Approved {
            file,
            person: first.person.clone(),
            key: first.key.clone(),
            path: good.path.clone(),
            places: good.approved.iter().map(|approved| (approved.first, approved.last)).collect(),
        });
    }
    let mut qualified = Vec::new();
    for Given { language, bytes } in &reports {
        let file = named(REPORTS, &digits(bytes));
        writing.add(&file, bytes)?;
        qualified.push(Qualified { language: language.clone(), file });
    }
    let evidence = Evidence {
        format: FORMAT.to_owned(),
        cloister: env!("CARGO_PKG_VERSION").to_owned(),
        release: wanted.release.to_owned(),
        made_unix_ms: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0),
        head: table.head.clone(),
        tree: table.tree.clone(),
        slice: table.slice.clone(),
        lines: table.lines.iter().map(|(grade, lines)| ((*grade).to_owned(), *lines)).collect(),
        ranges,
        not_graded: table.not_graded.clone(),
        approvals: counted,
        void_approvals: table.void_approvals.clone(),
        qualified,
        gate: gated,
        leaves,
        context: reviewed.slice.context_bytes.keys().copied().collect(),
    };
    let document = evidence
        .to_bytes()
        .map_err(|error| Failure::refused("the evidence cannot be written").caused_by(&error))?;
    writing.add(DOCUMENT, &document)?;
    writing.add(REPORT_HTML, report::html(&evidence).as_bytes())?;
    writing.add(REPORT_TEXT, report::text(&evidence).as_bytes())?;
    let log_policy = file::read(&wanted.ledger.log_policy, tlog::policy::POLICY_BYTES_MAX as u64)?;
    writing.add(LOG_POLICY, &log_policy)?;
    if let Some((_, text)) = &gate {
        writing.add(GATE_POLICY, text.as_bytes())?;
    }
    let stated = evidence.stated();
    let proof = |leaf| Some((reviewed.slice.leaf_hash(leaf)?, reviewed.slice.proof(leaf)?));
    let attestation = statement::provenance(&stated, proof);
    writing.add(ATTESTATION, &statement::signed(&attestation, &wanted.signer)?)?;
    if let Some(gated) = &evidence.gate {
        let summary = statement::summary(&stated, gated);
        writing.add(SUMMARY, &statement::signed(&summary, &wanted.signer)?)?;
    }
    if wanted.with_slice {
        writing.copy(SLICE, &wanted.ledger.slice)?;
    }
    // Last: a folder without it is not whole.
    let signed = manifest::statement(&evidence.release, &evidence.head, &evidence.tree, &writing.files);
    file::write(&out.join(MANIFEST), &statement::signed(&signed, &wanted.signer)?)?;
    Ok(evidence)
}

/// All leaves that the document rests on: those of its answers, those about keys and models, and the slice's own.
fn wanted_leaves<'r>(reviewed: &'r Reviewed, table: &Table) -> BTreeMap<u64, &'r [u8]> {
    let slice = &reviewed.slice;
    let answers: std::collections::BTreeSet<u64> =
        table.ranges.iter().filter_map(|row| row.answer.as_ref()).map(|answer| answer.record).collect();
    let records = slice.records.iter().filter(|record| answers.contains(&record.number));
    let of_records = records.flat_map(|record| &record.leaves).map(|(index, bytes)| (*index, &bytes[..]));
    let context = slice.context_bytes.iter().map(|(index, bytes)| (*index, &bytes[..]));
    let seal = (slice.header.seal, slice.header.seal_leaf.as_bytes());
    of_records.chain(context).chain([seal]).collect()
}

fn proof(reviewed: &Reviewed, index: u64, bytes: &[u8]) -> Result<TlogProof, Failure> {
    let proof = reviewed.slice.proof(index);
    let proof = proof.ok_or_else(|| Failure::refused(format!("the slice does not prove leaf {index}")))?;
    Ok(TlogProof { extra: Some(bytes.to_vec()), ..proof })
}

/// A file's name by what it holds.
fn digits(bytes: &[u8]) -> String {
    protocol::digest::hex(&Sha256::digest(bytes)[..16])
}

/// Makes the folder, for its owner alone: it names persons and models.
fn make(out: &Path) -> Result<(), Failure> {
    let cannot = |error: &std::io::Error| Failure::file("cannot make", out, error);
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(out).map_err(|error| cannot(&error))?;
    for folder in [LEAVES.0, APPROVALS.0, REPORTS.0] {
        fs::create_dir(out.join(folder)).map_err(|error| cannot(&error))?;
    }
    Ok(())
}
