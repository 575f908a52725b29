//! Verifying: a folder that anybody may have had in their hands, by a key and a log's policy that are believed, and nothing
//! else. Every file is opened beneath the folder, once, and compared with the signed list as it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Seek as _, SeekFrom};
use std::path::Path;

use ledger::{ENROL_KEY, Event, Leaf, REVOKE_KEY};
use lineage::approval::{Approval, FILE_BYTES_MAX, Keys};
use lineage::grade::Grade;
use lineage::slice::{ACTION, Facts, Hits, Lists, Reader, Record, Scope};
use models::media::tree::Tree;
use oms::{PublicKey, dsse};
use protocol::Digest;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tlog::tlog_proof::PROOF_BYTES_MAX;
use tlog::{Policy, TlogProof};

use super::folder::{self, Listing};
use super::manifest::{self, Files};
use super::{
    ATTESTATION, DOCUMENT, DOCUMENT_BYTES_MAX, Evidence, FORMAT, GATE_POLICY, LEAVES, LOG_POLICY, MANIFEST,
    REPORT_HTML, REPORT_TEXT, SLICE, SUMMARY, named, report,
};
use crate::failure::Failure;
use crate::review::qualified::{self, Given, REPORT_BYTES_MAX};
use crate::review::statement::{self, subject};
use crate::review::{Answer, Gatekeeper};

/// Problems that are listed.
const PROBLEMS_MAX: usize = 1000;
/// Bytes of a file that has no other limit: a report, a statement.
const FILE_MAX: u64 = 512 << 20;
/// Bytes of a slice.
const SLICE_BYTES_MAX: u64 = 64 << 30;

/// What is believed.
pub(crate) struct Trusted {
    /// Of whoever made the folder.
    pub(crate) key: PublicKey,
    /// The log and its witnesses; without it, the folder's own.
    pub(crate) policy: Option<Policy>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verified {
    /// `passed` or `failed`.
    pub(crate) verdict: &'static str,
    pub(crate) release: String,
    pub(crate) head: String,
    pub(crate) tree: String,
    pub(crate) made_unix_ms: u64,
    /// The fingerprint of the key that signed.
    pub(crate) signer: String,
    /// Whether the log's policy was given, and is not the folder's own.
    pub(crate) policy_given: bool,
    pub(crate) origin: String,
    /// Leaves of the log.
    pub(crate) leaves: u64,
    /// Witnesses that cosigned its checkpoint.
    pub(crate) cosigned: BTreeSet<String>,
    /// Files that are as they were signed.
    pub(crate) files: u64,
    /// Leaves whose proofs hold.
    pub(crate) proofs: u64,
    /// Answers that the document tells as their leaves do.
    pub(crate) answers: u64,
    /// Approvals whose signatures hold.
    pub(crate) approvals: u64,
    /// Lines by grade.
    pub(crate) lines: BTreeMap<String, u64>,
    /// What the gate decided, and decides again.
    pub(crate) gate_passed: Option<bool>,
    /// Whether a slice is there.
    pub(crate) slice: bool,
    /// What does not speak against it, and should be known.
    pub(crate) notes: Vec<String>,
    pub(crate) problems_total: u64,
    pub(crate) problems: Vec<Problem>,
}

/// What is wrong, and in which file.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    pub(crate) what: String,
}

/// Verifies a folder. An error is of the arguments or of the disk; what is wrong with the folder is in the answer.
pub(crate) fn verify(root: &Path, trusted: &Trusted) -> Result<Verified, Failure> {
    let unreadable = |error: &dyn std::error::Error| {
        Failure::refused(format!("the evidence in {} cannot be read", root.display())).caused_by(error)
    };
    let tree = Tree::open(root).map_err(|error| unreadable(&error))?;
    let listing = folder::list(root).map_err(|error| unreadable(&error))?;
    let found = Verified {
        signer: trusted.key.fingerprint(),
        policy_given: trusted.policy.is_some(),
        ..Verified::default()
    };
    let mut check =
        Check { tree, trusted, files: Files::new(), missing: BTreeSet::new(), taken: BTreeSet::new(), found };
    if let Some(release) = check.manifest(listing) {
        check.all(&release);
    }
    let mut found = check.found;
    found.verdict = if found.problems_total == 0 { "passed" } else { "failed" };
    Ok(found)
}

struct Check<'t> {
    tree: Tree,
    trusted: &'t Trusted,
    /// As signed, without those that are missing.
    files: Files,
    /// Those that are on the list and not there: they were told of.
    missing: BTreeSet<String>,
    /// Those that were looked at.
    taken: BTreeSet<String>,
    found: Verified,
}

/// A leaf whose proof holds.
struct Proven {
    bytes: Vec<u8>,
    proof: TlogProof,
}

type Leaves = BTreeMap<u64, Proven>;

impl Check<'_> {
    fn problem(&mut self, file: &str, what: impl Into<String>) {
        self.found.problems_total += 1;
        if self.found.problems.len() < PROBLEMS_MAX {
            self.found.problems.push(Problem { file: file.to_owned(), what: what.into() });
        }
    }

    /// The signed list against what is there. Without it nothing else means anything.
    fn manifest(&mut self, listing: Listing) -> Option<manifest::Manifest> {
        let Listing { mut names, odd } = listing;
        for (name, what) in odd {
            self.problem(&name, what);
        }
        if !names.remove(MANIFEST) {
            self.problem(MANIFEST, "it is missing, and with it what the other files should be");
            return None;
        }
        let read = folder::read(&self.tree, MANIFEST, oms::SIGNATURE_BYTES_MAX as u64);
        let signed = read.and_then(|bytes| {
            dsse::verify_exactly(&bytes, &self.trusted.key).map_err(|error| error.to_string())
        });
        let read = match signed.and_then(|statement| manifest::parse(&statement)) {
            Ok(read) => read,
            Err(what) => {
                self.problem(MANIFEST, what);
                return None;
            }
        };
        self.missing = read.files.keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in self.missing.clone() {
            self.problem(&name, "it is missing");
        }
        for name in names.iter().filter(|name| !read.files.contains_key(*name)) {
            self.problem(name, "it was added: the signed list does not have it");
        }
        self.files = read.files.clone();
        self.files.retain(|name, _| names.contains(name));
        Some(read)
    }

    fn all(&mut self, manifest: &manifest::Manifest) {
        let document = self.take(DOCUMENT, DOCUMENT_BYTES_MAX);
        let evidence = document.and_then(|bytes| self.document(&bytes, manifest));
        if let Some(evidence) = &evidence {
            self.contents(evidence);
        }
        // What nothing spoke of.
        let rest: Vec<String> =
            self.files.keys().filter(|name| !self.taken.contains(*name)).cloned().collect();
        for name in rest {
            if self.take(&name, FILE_MAX).is_some() && evidence.is_some() {
                self.problem(&name, "the document does not speak of it");
            }
        }
    }

    /// The bytes of a file that must be there, if they are those that were signed.
    fn take(&mut self, name: &str, bytes_max: u64) -> Option<Vec<u8>> {
        self.taken.insert(name.to_owned());
        let Some(listed) = self.files.get(name).copied() else {
            if !self.missing.contains(name) {
                self.problem(name, "it is needed, and the signed list does not have it");
            }
            return None;
        };
        let read = folder::read(&self.tree, name, bytes_max).and_then(|bytes| {
            let same =
                bytes.len() as u64 == listed.bytes && Digest(Sha256::digest(&bytes).into()) == listed.digest;
            same.then_some(bytes).ok_or_else(|| "it was changed: its digest is not the signed one".to_owned())
        });
        match read {
            Ok(bytes) => {
                self.found.files += 1;
                Some(bytes)
            }
            Err(what) => {
                self.problem(name, what);
                None
            }
        }
    }

    fn document(&mut self, bytes: &[u8], manifest: &manifest::Manifest) -> Option<Evidence> {
        let read: Evidence = match serde_json::from_slice(bytes) {
            Ok(read) => read,
            Err(error) => {
                self.problem(DOCUMENT, format!("it cannot be read: {error}"));
                return None;
            }
        };
        if read.format != FORMAT {
            self.problem(DOCUMENT, format!("it is of another form, `{}`", read.format));
            return None;
        }
        if manifest.release != read.release || manifest.subject != subject(&read.head, &read.tree) {
            self.problem(MANIFEST, "it is about another release than the document");
        }
        if self.is_of_this_version(&read) && read.to_bytes().ok().as_deref() != Some(bytes) {
            self.problem(DOCUMENT, "it says more than this program reads");
        }
        let found = &mut self.found;
        found.release.clone_from(&read.release);
        found.head.clone_from(&read.head);
        found.tree.clone_from(&read.tree);
        found.made_unix_ms = read.made_unix_ms;
        found.origin.clone_from(&read.slice.origin);
        found.leaves = read.slice.leaves;
        found.lines.clone_from(&read.lines);
        Some(read)
    }

    /// What is worded by a program is compared with what the same program words.
    fn is_of_this_version(&self, evidence: &Evidence) -> bool {
        evidence.cloister == env!("CARGO_PKG_VERSION")
    }

    fn contents(&mut self, evidence: &Evidence) {
        let own = self.take(LOG_POLICY, tlog::policy::POLICY_BYTES_MAX as u64);
        let own = own.and_then(|bytes| match Policy::parse(&bytes) {
            Ok(policy) => Some((policy, bytes)),
            Err(error) => {
                self.problem(LOG_POLICY, format!("it cannot be used: {error}"));
                None
            }
        });
        let policy = match (&self.trusted.policy, own) {
            (Some(given), own) => {
                if own.is_some_and(|(own, _)| own.to_bytes() != given.to_bytes()) {
                    self.found.notes.push(
                        "the folder's log.policy is another than the one that was given, which counts"
                            .to_owned(),
                    );
                }
                given.clone()
            }
            (None, Some((own, _))) => {
                self.found.notes.push(
                    "the log's policy is the folder's own: give --policy, as the site's auditor keeps it"
                        .to_owned(),
                );
                own
            }
            (None, None) => return,
        };
        self.shape(evidence);
        let leaves = self.leaves(evidence, &policy);
        self.seal(evidence, &leaves);
        self.answers(evidence, &leaves);
        let context = self.context(evidence, &leaves);
        self.approvals(evidence, &context);
        self.gate(evidence, &context);
        self.reports(evidence);
        self.statements(evidence, &leaves);
        self.slice(evidence, &leaves, &policy);
        if !self.found.slice {
            self.found.notes.push("no slice is here: which lines are which answer's, what of an answer matches known code, and that no leaf about an answer was left out, rest on the signer's word".to_owned());
        }
    }

    /// Ranges do not overlap, and are as many lines as there are.
    fn shape(&mut self, evidence: &Evidence) {
        let mut counted = 0;
        let mut last: (&str, u32) = ("", 0);
        for range in &evidence.ranges {
            let row = &range.row;
            let follows = row.path.as_str() > last.0 || (row.path == last.0 && row.first > last.1);
            if !follows || row.first == 0 || row.last < row.first {
                let what = format!("its ranges overlap or are out of order at {}:{}", row.path, row.first);
                self.problem(DOCUMENT, what);
                return;
            }
            counted += u64::from(row.last - row.first) + 1;
            last = (&row.path, row.last);
        }
        let said: u64 = evidence.lines.values().fold(0, |sum, lines| sum.saturating_add(*lines));
        if said != counted {
            self.problem(DOCUMENT, format!("it counts {said} lines, and its ranges have {counted}"));
        }
    }

    /// Every leaf with its proof.
    fn leaves(&mut self, evidence: &Evidence, policy: &Policy) -> Leaves {
        let mut wanted: BTreeSet<u64> = evidence.context.iter().copied().collect();
        wanted.insert(evidence.slice.seal);
        let answers = evidence.ranges.iter().filter_map(|range| range.row.answer.as_ref());
        wanted.extend(answers.flat_map(|answer| answer.leaves.iter().copied()));
        let mut leaves = Leaves::new();
        for (index, hash) in &evidence.leaves {
            let name = named(LEAVES, &index.to_string());
            let Some(bytes) = self.take(&name, PROOF_BYTES_MAX as u64) else { continue };
            if !wanted.contains(index) {
                self.problem(&name, "the document says nothing of this leaf");
            }
            match self.proven(&bytes, *index, *hash, evidence, policy) {
                Ok(proven) => {
                    self.found.proofs += 1;
                    leaves.insert(*index, proven);
                }
                Err(what) => self.problem(&name, what),
            }
        }
        for index in wanted.iter().filter(|index| !evidence.leaves.contains_key(index)) {
            self.problem(DOCUMENT, format!("it rests on leaf {index}, which is not here"));
        }
        leaves
    }

    fn proven(
        &mut self,
        bytes: &[u8],
        index: u64,
        hash: Digest,
        evidence: &Evidence,
        policy: &Policy,
    ) -> Result<Proven, String> {
        let text = str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
        let mut proof: TlogProof = text.parse().map_err(|error| format!("it is no proof: {error}"))?;
        if proof.to_string() != text {
            return Err("it is not spelt as a proof is".to_owned());
        }
        if proof.index != index {
            return Err(format!("it is a proof of leaf {}, and not of {index}", proof.index));
        }
        let bytes = proof.extra.take().ok_or("it carries no leaf")?;
        if tlog::leaf_hash(&bytes) != hash.0 {
            return Err("its leaf is not the one that the document names".to_owned());
        }
        let judged = proof.verify(&hash.0, policy).map_err(|error| format!("it proves nothing: {error}"))?;
        let checkpoint = &judged.checkpoint;
        if checkpoint.origin != evidence.slice.origin || checkpoint.size != evidence.slice.leaves {
            return Err("it leads to another checkpoint than the document says".to_owned());
        }
        self.found.cosigned.extend(judged.cosigned.into_iter().map(|by| by.witness));
        Ok(Proven { bytes, proof })
    }

    /// When the slice was made, of what, and how many records it has: its own leaf says.
    fn seal(&mut self, evidence: &Evidence, leaves: &Leaves) {
        let slice = &evidence.slice;
        let Some(proven) = leaves.get(&slice.seal) else { return };
        let says = Leaf::parse(&proven.bytes).is_ok_and(|leaf| {
            let Event::Administration { action, subject, detail, .. } = &leaf.event else { return false };
            let of = |unnamed| {
                Scope { repository: slice.repository.clone(), unnamed, ..Scope::default() }.subject()
            };
            action == ACTION
                && leaf.time_unix_ms == slice.made_unix_ms
                && [of(false), of(true)].contains(subject)
                && detail.starts_with(&format!("{} records before leaf ", slice.records))
        });
        if !says {
            let what = format!("it tells of the slice otherwise than its leaf {} does", slice.seal);
            self.problem(DOCUMENT, what);
        }
    }

    /// That the document says of each answer what its leaves say.
    fn answers(&mut self, evidence: &Evidence, leaves: &Leaves) {
        let mut told: BTreeMap<u64, &Answer> = BTreeMap::new();
        for range in &evidence.ranges {
            let row = &range.row;
            let place = format!("{}:{}-{}", row.path, row.first, row.last);
            let Some(answer) = &row.answer else {
                if row.grade.is_ai() {
                    self.problem(DOCUMENT, format!("{place} is {}, and of no answer", row.grade.name()));
                }
                continue;
            };
            if row.grade == Grade::Unknown {
                self.problem(DOCUMENT, format!("{place} is unknown, and of record {}", answer.record));
            }
            if let Some(before) = told.get(&answer.record) {
                if *before != answer {
                    self.problem(DOCUMENT, format!("it tells of record {} in two ways", answer.record));
                }
            } else {
                told.insert(answer.record, answer);
                if let Err(what) = answer_holds(answer, leaves) {
                    self.problem(DOCUMENT, what);
                    continue;
                }
                self.found.answers += 1;
            }
            if row.grade == Grade::AiVerbatim && !is_taken(answer, leaves) {
                self.problem(
                    DOCUMENT,
                    format!("{place} is ai-verbatim, and no leaf says that it was taken over"),
                );
            }
        }
    }

    /// Leaves about keys and models.
    fn context(&mut self, evidence: &Evidence, leaves: &Leaves) -> Vec<Leaf> {
        let mut context = Vec::new();
        if !evidence.context.is_sorted_by(|one, other| one < other) {
            self.problem(DOCUMENT, "its leaves about keys and models are out of order");
            return context;
        }
        for index in &evidence.context {
            let Some(proven) = leaves.get(index) else { continue };
            let leaf = Leaf::parse(&proven.bytes).ok().filter(|leaf| match &leaf.event {
                Event::Administration { action, .. } => action == ENROL_KEY || action == REVOKE_KEY,
                Event::Model(_) => true,
                _ => false,
            });
            match leaf {
                Some(leaf) => context.push(leaf),
                None => self.problem(DOCUMENT, format!("leaf {index} is not about keys or models")),
            }
        }
        context
    }

    /// Signatures of reviewers, and that the ranges name those who signed.
    fn approvals(&mut self, evidence: &Evidence, context: &[Leaf]) {
        let keys = Keys::of(context);
        let mut good = Vec::new();
        for said in &evidence.approvals {
            let Some(bytes) = self.take(&said.file, FILE_BYTES_MAX as u64) else { continue };
            let read = || -> Result<(), String> {
                let approval: Approval =
                    serde_json::from_slice(&bytes).map_err(|_| "it is no approval of lines".to_owned())?;
                let range = approval.range().ok_or("it is no approval of lines")?;
                let (person, key) = approval.signer(&keys).map_err(|error| error.to_string())?;
                if person != said.person || key.fingerprint() != said.key {
                    return Err(format!("it is signed by {person}, and not by {}", said.person));
                }
                let lines = |(first, last): &(u32, u32)| {
                    *first > 0
                        && last.checked_sub(*first).and_then(|lines| lines.checked_add(1))
                            == Some(range.lines)
                };
                if range.path != said.path || !said.places.iter().all(lines) {
                    return Err("it is of other lines than the document says".to_owned());
                }
                let other = evidence.ranges.iter().any(|of| {
                    of.row.path == said.path
                        && said.places.contains(&(of.row.first, of.row.last))
                        && of.digest != Some(range.digest)
                });
                if other {
                    return Err("it is of an earlier version of the lines".to_owned());
                }
                Ok(())
            };
            match read() {
                Ok(()) => {
                    self.found.approvals += 1;
                    good.push(said);
                }
                Err(what) => self.problem(&said.file, what),
            }
        }
        for range in &evidence.ranges {
            let row = &range.row;
            let covers = |places: &[(u32, u32)]| {
                places.iter().any(|(first, last)| *first <= row.first && *last >= row.last)
            };
            let by: BTreeSet<String> = good
                .iter()
                .filter(|said| said.path == row.path && covers(&said.places))
                .map(|said| said.person.clone())
                .collect();
            if by != row.approved_by {
                let what = format!(
                    "{}:{}-{} is said to be approved by others than those whose signatures are here",
                    row.path, row.first, row.last
                );
                self.problem(DOCUMENT, what);
            }
        }
    }

    /// The gate decides again.
    fn gate(&mut self, evidence: &Evidence, context: &[Leaf]) {
        let mut reports = Vec::new();
        for said in &evidence.qualified {
            let Some(bytes) = self.take(&said.file, REPORT_BYTES_MAX) else { continue };
            reports.push(Given { language: said.language.clone(), bytes });
        }
        let languages = match qualified::languages(&reports, context.iter()) {
            Ok(languages) => languages,
            Err(failure) => return self.problem(DOCUMENT, failure.message()),
        };
        let Some(said) = &evidence.gate else {
            if evidence.ranges.iter().any(|range| range.decision.is_some()) {
                self.problem(DOCUMENT, "it has decisions, and no policy");
            }
            return;
        };
        let Some(bytes) = self.take(GATE_POLICY, gate::POLICY_BYTES_MAX as u64) else { return };
        let gatekeeper = String::from_utf8(bytes).map_err(|_| "it is no text".to_owned());
        let gatekeeper =
            gatekeeper.and_then(|text| Gatekeeper::new(&text).map_err(|error| error.to_string()));
        let gatekeeper = match gatekeeper {
            Ok(gatekeeper) => gatekeeper,
            Err(what) => return self.problem(GATE_POLICY, what),
        };
        let when = &said.circumstances;
        for range in &evidence.ranges {
            let row = &range.row;
            if range.decision.as_ref() != Some(&gatekeeper.decide(row, &languages, when)) {
                let what =
                    format!("{}:{}-{} is not decided as the policy decides", row.path, row.first, row.last);
                self.problem(DOCUMENT, what);
            }
        }
        let age = i64::try_from(evidence.slice.made_unix_ms / 1000).ok();
        let age = age.map(|made| when.time_unix_s.saturating_sub(made));
        if gatekeeper.gated(&evidence.ranges, &evidence.not_graded, when.clone()) != *said
            || age != Some(when.slice_age_s)
        {
            self.problem(DOCUMENT, "it tells otherwise of the gate than the policy and the ranges say");
        }
        self.found.gate_passed = Some(said.passed);
    }

    /// What people read says what the document says.
    fn reports(&mut self, evidence: &Evidence) {
        let same_version = self.is_of_this_version(evidence);
        for (name, text) in [(REPORT_HTML, report::html(evidence)), (REPORT_TEXT, report::text(evidence))] {
            if self.take(name, FILE_MAX).is_some_and(|bytes| same_version && bytes != text.as_bytes()) {
                self.problem(name, "it does not say what the document says");
            }
        }
        if !same_version {
            let what = format!(
                "written by cloister {}: that report and statements say what the document says was not compared",
                evidence.cloister
            );
            self.found.notes.push(what);
        }
    }

    fn statements(&mut self, evidence: &Evidence, leaves: &Leaves) {
        let stated = evidence.stated();
        let proof = |index: u64| {
            let proof = leaves.get(&index)?.proof.clone();
            Some((*evidence.leaves.get(&index)?, proof))
        };
        self.statement(ATTESTATION, evidence, &statement::provenance(&stated, proof));
        if let Some(gated) = &evidence.gate {
            self.statement(SUMMARY, evidence, &statement::summary(&stated, gated));
        }
    }

    fn statement(&mut self, name: &str, evidence: &Evidence, expected: &Value) {
        let Some(bytes) = self.take(name, oms::SIGNATURE_BYTES_MAX as u64) else { return };
        match dsse::verify_exactly(&bytes, &self.trusted.key) {
            Err(error) => self.problem(name, error.to_string()),
            Ok(statement) => {
                let same = serde_json::from_slice::<Value>(&statement).is_ok_and(|said| said == *expected);
                if self.is_of_this_version(evidence) && !same {
                    self.problem(name, "it does not state what the document says");
                }
            }
        }
    }

    /// The slice, where there is one: that no leaf was left out, and what no leaf says in clear.
    fn slice(&mut self, evidence: &Evidence, leaves: &Leaves, policy: &Policy) {
        let Some(listed) = self.files.get(SLICE).copied() else { return };
        self.taken.insert(SLICE.to_owned());
        let read = || -> Result<lineage::slice::Slice, String> {
            if listed.bytes > SLICE_BYTES_MAX {
                return Err("it is too long".to_owned());
            }
            let mut file = self.tree.file(SLICE).map_err(|error| error.to_string())?.file;
            if folder::digest(&file, listed.bytes)? != (listed.bytes, listed.digest) {
                return Err("it was changed: its digest is not the signed one".to_owned());
            }
            file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
            let mut wanted = OfAnswers::new(evidence, leaves);
            let reader = Reader::open(BufReader::with_capacity(1 << 20, file));
            let slice = reader.and_then(|reader| reader.read(policy, &mut wanted));
            slice.map_err(|error| format!("it is not believed: {error}"))
        };
        let slice = match read() {
            Ok(slice) => slice,
            Err(what) => return self.problem(SLICE, what),
        };
        self.found.files += 1;
        self.found.slice = true;
        let source = crate::review::Source::of(&slice);
        if source != evidence.slice {
            self.problem(SLICE, "it is another than the document rests on");
        }
        if !slice.context_bytes.keys().eq(&evidence.context) {
            self.problem(DOCUMENT, "its leaves about keys and models are not those of the slice");
        }
        for (index, hash) in &evidence.leaves {
            if slice.leaf_hash(*index) != Some(*hash) {
                self.problem(SLICE, format!("it has another leaf {index} than the document"));
            }
        }
        let records: BTreeMap<u64, &Record> =
            slice.records.iter().map(|record| (record.number, record)).collect();
        let mut seen = BTreeSet::new();
        for answer in evidence.ranges.iter().filter_map(|range| range.row.answer.as_ref()) {
            if !seen.insert(answer.record) {
                continue;
            }
            let told = records.get(&answer.record).map(|record| Answer::of(record));
            if told.as_ref() != Some(answer) {
                let what = format!("it tells of record {} otherwise than the slice", answer.record);
                self.problem(DOCUMENT, what);
            }
        }
    }
}

/// The records of a document, by the digests of their lists, which their results name.
struct OfAnswers {
    lists: BTreeSet<Digest>,
    added: usize,
}

impl OfAnswers {
    fn new(evidence: &Evidence, leaves: &Leaves) -> OfAnswers {
        let answers = evidence.ranges.iter().filter_map(|range| range.row.answer.as_ref());
        let results = answers.filter_map(|answer| leaves.get(&answer.leaf));
        let lists = results.filter_map(|proven| match Leaf::parse(&proven.bytes).ok()?.event {
            Event::Result(result) => Some(result.fingerprints),
            _ => None,
        });
        OfAnswers { lists: lists.collect(), added: 0 }
    }
}

impl lineage::slice::Wanted for OfAnswers {
    fn hits(&self, lists: &Lists<'_>, is_taken: bool) -> Option<Hits> {
        self.lists.contains(&lists.digest()).then(|| Hits { is_taken, ..Hits::default() })
    }

    fn add(&mut self, _hits: Hits) {
        self.added += 1;
    }

    fn choose(&mut self) -> Vec<usize> {
        (0..self.added).collect()
    }
}

/// Whether an answer is told as its leaves tell it. What matches known code is in no leaf in clear.
fn answer_holds(answer: &Answer, leaves: &Leaves) -> Result<(), String> {
    let number = answer.record;
    let mut of_record = Vec::new();
    for index in &answer.leaves {
        let proven = leaves.get(index);
        let proven =
            proven.ok_or_else(|| format!("record {number} rests on leaf {index}, which is not proven"))?;
        of_record.push((*index, proven.bytes.clone()));
    }
    let facts = Facts { findings: answer.findings.clone(), compared: answer.compared, accepted_lines: None };
    let record = Record::of(of_record, facts).map_err(|what| format!("record {number}: {what}"))?;
    let told = Answer::of(&record);
    if told == *answer {
        return Ok(());
    }
    let fields = |answer: &Answer| serde_json::to_value(answer).unwrap_or_default();
    let (said, told) = (fields(answer), fields(&told));
    let differ: Vec<&str> = [
        "record",
        "leaf",
        "leaves",
        "prompted_by",
        "asked_unix_ms",
        "model",
        "template",
        "deployment",
        "decision",
        "decided_unix_ms",
        "check",
    ]
    .into_iter()
    .filter(|field| said[*field] != told[*field])
    .collect();
    Err(format!("it tells of record {number} otherwise than its leaves: {}", differ.join(", ")))
}

fn is_taken(answer: &Answer, leaves: &Leaves) -> bool {
    let leaves = answer.leaves.iter().filter_map(|index| leaves.get(index));
    leaves
        .filter_map(|proven| Leaf::parse(&proven.bytes).ok())
        .any(|leaf| matches!(&leaf.event, Event::Decision(decision) if decision.choice.takes_over()))
}
