//! What witnesses say of the log: their checkpoints must lie on its tree, and the policy's quorum must
//! have cosigned one of them.

use serde::Serialize;
use tlog::note::NOTE_BYTES_MAX;
use tlog::policy::{Cosigned, Policy};
use tlog::{Checkpoint, Hash, Note, VerifierKey};

use super::{Check, FindingKind, RollBack, Seen, Signed, claimed};
use crate::disk;
use crate::store::{CHECKPOINT, WITNESSED, sized_path};
use crate::witnessed::size_of;

/// How far the log was witnessed as the policy demands: the largest such checkpoint, of those that another
/// house cosigned where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// Leaves that it covers.
    pub leaves: u64,
    /// Leaves behind it, which nobody vouches for yet.
    pub leaves_behind: u64,
    /// Who cosigned it, in the policy's order.
    pub by: Vec<WitnessedBy>,
}

/// A cosignature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WitnessedBy {
    /// The witness's name in the policy.
    pub witness: String,
    /// When, in seconds since 1970, by the witness's clock.
    pub time_unix_s: u64,
    /// Whether its key has the log's own name: that vouches for the signature's strength, and is no
    /// witness against the operator.
    pub is_the_log: bool,
}

/// Checkpoints that somebody may have cosigned, as they were read.
#[derive(Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
}

struct Candidate {
    /// Empty for what was given from elsewhere.
    file: String,
    size: u64,
    root: Hash,
    by: Vec<WitnessedBy>,
    quorum: bool,
}

impl Candidates {
    /// Sizes and roots that the log signed, the checkpoint's own left out.
    pub(super) fn signed(&self) -> impl Iterator<Item = (u64, Hash)> {
        let beside = self.list.iter().filter(|candidate| candidate.file != CHECKPOINT);
        beside.map(|candidate| (candidate.size, candidate.root))
    }
}

impl Candidate {
    fn is_witnessed_elsewhere(&self) -> bool {
        self.quorum && self.by.iter().any(|by| !by.is_the_log)
    }
}

/// The policy's key of the log whose checkpoint this is; the policy's first where it knows no such log.
pub(super) fn log_of(policy: &Policy, note: Option<&[u8]>) -> Option<VerifierKey> {
    let origin = note.and_then(|note| std::str::from_utf8(note).ok()).and_then(claimed);
    let named = |key: &&VerifierKey| origin.as_ref().is_some_and(|claimed| claimed.origin == key.name());
    policy.logs().find(named).or_else(|| policy.logs().next()).cloned()
}

impl Check<'_> {
    /// Before the tree is walked: what is stored beside it, what was given, and the checkpoint itself.
    pub(super) fn prepare_witnessed(
        &mut self,
        verifier: Option<&VerifierKey>,
        signed: Option<&Signed>,
        note: Option<&[u8]>,
    ) {
        for name in self.disk.list(WITNESSED).unwrap_or_default() {
            // What a crash left unfinished was not stored.
            if name.ends_with(".tmp") {
                continue;
            }
            let file = format!("{WITNESSED}/{name}");
            let Some(size) = size_of(&name) else {
                self.problem(&file, None, None, "this is no cosigned checkpoint's name");
                continue;
            };
            let note = disk::read(self.disk, &file, NOTE_BYTES_MAX as u64).map(String::from_utf8);
            let Ok(Ok(note)) = note else {
                self.problem(&file, None, None, "the cosigned checkpoint cannot be read as text");
                continue;
            };
            self.report.checkpoints_witnessed += 1;
            self.candidate(&file, &note, Some(size), verifier);
        }
        let options = self.options;
        for seen in &options.seen {
            // One that is not accepted is reported where kept checkpoints are looked at.
            if let Seen::Checkpoint(note) = seen
                && verifier.is_some_and(|key| Checkpoint::open(note, key).is_ok())
            {
                self.candidate("", note, None, verifier);
            }
        }
        if let Some(note) = note.and_then(|note| std::str::from_utf8(note).ok())
            && signed.is_some_and(|signed| signed.valid)
        {
            self.candidate(CHECKPOINT, note, None, verifier);
        }
    }

    fn candidate(&mut self, file: &str, note: &str, size: Option<u64>, verifier: Option<&VerifierKey>) {
        let Some(verifier) = verifier else {
            self.problem(file, None, None, "there is no key to check the cosigned checkpoint with");
            return;
        };
        let checkpoint = match Checkpoint::open(note, verifier) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return self.problem(file, None, None, crate::shared::chain(&error)),
        };
        if size.is_some_and(|size| size != checkpoint.size) {
            let what =
                format!("it is a checkpoint of {} leaves, not of as many as its name says", checkpoint.size);
            return self.problem(file, None, None, what);
        }
        let (by, quorum) = match self.cosignatures(note, verifier) {
            Ok(found) => found,
            Err(error) => return self.problem(file, None, None, crate::shared::chain(&error)),
        };
        let (size, root) = (checkpoint.size, checkpoint.root);
        self.kept.sizes.insert(size);
        if size == 0 {
            self.kept.roots.insert(0, tlog::tree::empty_root());
        }
        self.witnessed.list.push(Candidate { file: file.to_owned(), size, root, by, quorum });
    }

    fn cosignatures(
        &self,
        note: &str,
        verifier: &VerifierKey,
    ) -> Result<(Vec<WitnessedBy>, bool), tlog::note::NoteError> {
        let Some(policy) = &self.options.policy else { return Ok((Vec::new(), false)) };
        let (cosigned, quorum) = policy.cosignatures(&Note::parse(note)?)?;
        let by = |Cosigned { witness, key_name, time_unix_s }| {
            let is_the_log = key_name == verifier.name();
            WitnessedBy { witness, time_unix_s, is_the_log }
        };
        Ok((cosigned.into_iter().map(by).collect(), quorum))
    }

    /// A leaf that tells of a cosigned checkpoint.
    pub(super) fn witness_leaf(&mut self, index: u64, size: u64, root: &Hash) {
        if size > index {
            let what = format!("it tells of a cosigned checkpoint of {size} leaves, more than are before it");
            return self.problem("", None, Some(index), what);
        }
        let file = sized_path(WITNESSED, size);
        match self.kept.roots.get(&size) {
            Some(found) if found != root => {
                let what =
                    format!("it tells of a cosigned checkpoint of {size} leaves, which are others now");
                self.problem("", None, Some(index), what);
            }
            Some(_) if self.witnessed.list.iter().any(|candidate| candidate.file == file) => {}
            _ => {
                let what = format!(
                    "it tells of a cosigned checkpoint, and {file} is not there: it was taken away, or a crash \
                     came between the two; have the witness's answer imported again"
                );
                self.finding(FindingKind::WitnessedMissing, Some(index), what);
            }
        }
    }

    /// After the walk, when the roots at all sizes are known.
    pub(super) fn judge_witnessed(&mut self) {
        let total = self.frontier.size();
        let candidates = std::mem::take(&mut self.witnessed).list;
        let (mut on_the_tree, mut excluded) = (Vec::new(), None);
        for candidate in &candidates {
            let Candidate { file, size, root, .. } = candidate;
            // Of what was given, and of the checkpoint itself, others speak.
            let stored = !file.is_empty() && file != CHECKPOINT;
            match self.kept.roots.get(size) {
                Some(found) if found == root => on_the_tree.push(candidate),
                Some(_) if stored => {
                    let what = format!(
                        "the first {size} leaves are not those of the cosigned checkpoint: the log was rewritten"
                    );
                    self.problem(file, None, None, what);
                    self.report.roll_back = RollBack::Found;
                }
                None if stored => {
                    let what = format!(
                        "the cosigned checkpoint has {size} leaves, the log has {total}: it was rolled back"
                    );
                    self.problem(file, None, None, what);
                    self.report.roll_back = RollBack::Found;
                }
                _ => {}
            }
        }
        for candidate in on_the_tree.iter().filter(|candidate| candidate.is_witnessed_elsewhere()) {
            excluded = excluded.max(Some(candidate.size));
        }
        self.report.roll_back = match (self.report.roll_back, excluded) {
            (RollBack::NotExcluded, Some(size)) => RollBack::ExcludedUpTo(size),
            (RollBack::ExcludedUpTo(before), Some(size)) => RollBack::ExcludedUpTo(before.max(size)),
            (before, _) => before,
        };

        let Some(policy) = self.options.policy.as_ref().filter(|policy| policy.demands_cosignatures()) else {
            return;
        };
        let best = on_the_tree.into_iter().filter(|candidate| candidate.quorum);
        match best.max_by_key(|candidate| (candidate.is_witnessed_elsewhere(), candidate.size)) {
            Some(best) => {
                self.report.witnessed = Some(Witnessed {
                    leaves: best.size,
                    leaves_behind: total.saturating_sub(best.size),
                    by: best.by.clone(),
                });
            }
            None => {
                let mut names: Vec<&str> = candidates
                    .iter()
                    .flat_map(|candidate| candidate.by.iter().map(|by| by.witness.as_str()))
                    .collect();
                names.sort_unstable();
                names.dedup();
                let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
                let what = format!(
                    "no checkpoint of this log has the cosignatures that the policy demands of its {} \
                     witnesses: cosigned by {names}",
                    policy.witnesses().count(),
                );
                self.problem("", None, None, what);
            }
        }
    }
}
