//! The evidence of a release: one folder for an assessor, which stands by itself.
//!
//! [`gather`] writes it, [`verify`] reads it without believing anything but the key that it is asked to believe; [`report`]
//! words it for people. What is in it: docs/pipelines.md.

mod folder;
mod gather;
mod manifest;
mod report;
mod verify;

use std::collections::BTreeMap;

use lineage::grade::Grade;
use protocol::Digest;
use serde::{Deserialize, Serialize};

use crate::review::statement::Stated;
use crate::review::{Decided, Gated, NotGraded, Refused, Source};

pub(crate) use folder::is_evidence;
pub(crate) use gather::{Wanted, gather};
pub(crate) use verify::{Trusted, Verified, verify};

/// What the first field says.
const FORMAT: &str = "cloister evidence 1";

/// The document: all that is known of a release's lines.
pub(crate) const DOCUMENT: &str = "evidence.json";
/// The list of all other files with their digests, signed.
pub(crate) const MANIFEST: &str = "manifest.dsse";
const REPORT_HTML: &str = "report.html";
const REPORT_TEXT: &str = "report.md";
const LOG_POLICY: &str = "log.policy";
const GATE_POLICY: &str = "gate.cedar";
const ATTESTATION: &str = "attestation.dsse";
const SUMMARY: &str = "vsa.dsse";
const SLICE: &str = "slice";
/// Folders, and the endings of the files in them.
const LEAVES: (&str, &str) = ("leaves", ".tlog-proof");
const APPROVALS: (&str, &str) = ("approvals", ".json");
const REPORTS: (&str, &str) = ("qualification", ".json");

/// Files of a folder.
const FILES_MAX: usize = 200_000;
/// Bytes of the document.
const DOCUMENT_BYTES_MAX: u64 = 512 << 20;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Evidence {
    /// [`FORMAT`].
    format: String,
    /// The version of the program that wrote it.
    cloister: String,
    /// The release, as it was named.
    release: String,
    made_unix_ms: u64,
    /// The commit and its tree, as git names them.
    head: String,
    tree: String,
    slice: Source,
    /// Lines by grade.
    lines: BTreeMap<String, u64>,
    ranges: Vec<Decided>,
    not_graded: Vec<NotGraded>,
    /// Approvals that count.
    approvals: Vec<Approved>,
    void_approvals: Vec<Refused>,
    /// Reports by which models are qualified.
    qualified: Vec<Qualified>,
    /// None where no policy was asked.
    gate: Option<Gated>,
    /// SHA-256 of every leaf that is here with its proof, as the log hashes leaves, by its number.
    leaves: BTreeMap<u64, Digest>,
    /// Of them, those about keys that approve and about models.
    context: Vec<u64>,
}

/// An approval that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approved {
    /// In the folder of approvals.
    file: String,
    person: String,
    key: String,
    path: String,
    /// First and last line, from 1, of each place where the lines stand.
    places: Vec<(u32, u32)>,
}

/// A report of a qualification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Qualified {
    language: String,
    /// In the folder of reports.
    file: String,
}

impl Evidence {
    /// Its one spelling.
    fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// As statements have it.
    fn stated(&self) -> Stated<'_> {
        Stated {
            head: &self.head,
            tree: &self.tree,
            base: None,
            slice: &self.slice,
            lines: self.lines.iter().map(|(grade, lines)| (grade.as_str(), *lines)).collect(),
            ranges: &self.ranges,
            not_graded: &self.not_graded,
            void_approvals: &self.void_approvals,
            gate: self.gate.as_ref(),
        }
    }

    /// Lines that are of the assistant, or look so; and all.
    fn counted(&self) -> (u64, u64) {
        let ai = [Grade::AiVerbatim, Grade::AiModified, Grade::MatchesAi];
        let ai = ai.iter().filter_map(|grade| self.lines.get(grade.name())).sum();
        (ai, self.lines.values().sum())
    }

    /// In a line, for whoever had it made.
    pub(crate) fn said(&self) -> String {
        let (ai, total) = self.counted();
        let gate =
            self.gate.as_ref().map_or("not asked", |gate| if gate.passed { "passed" } else { "refused" });
        format!("{ai} of {total} lines are the assistant's, or look so; the gate: {gate}")
    }

    /// Ranges that are of the assistant, or look so.
    fn of_the_assistant(&self) -> impl Iterator<Item = &Decided> {
        self.ranges.iter().filter(|range| range.row.grade.is_ai())
    }
}

/// A file's name in one of the folders.
fn named((folder, ending): (&str, &str), name: &str) -> String {
    format!("{folder}/{name}{ending}")
}
