//! A table's ranges, each with the digest of its lines and what the gate's policy says of it.

use std::path::Path;

use gate::{Circumstances, Decision, Policy};
use jiff::Timestamp;
use lineage::approval::Range;
use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::qualified::Languages;
use super::statement::Stated;
use super::table::{NotGraded, is_whole};
use super::{History, Reviewed, Row, Table};
use crate::failure::Failure;
use crate::file;

/// A range with what was decided of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decided {
    #[serde(flatten)]
    pub(crate) row: Row,
    /// Of the lines, as approvals sign it.
    pub(crate) digest: Option<Digest>,
    /// None where no policy was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<Decision>,
}

/// What was decided of the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gated {
    /// SHA-256 of the policy's text.
    pub(crate) policy: Digest,
    pub(crate) passed: bool,
    pub(crate) circumstances: Circumstances,
}

/// A policy that can decide, and its digest.
pub(crate) struct Gatekeeper {
    rules: Policy,
    digest: Digest,
}

impl Gatekeeper {
    /// Reads a policy; the arguments are wrong where it cannot decide.
    pub(crate) fn new(text: &str) -> Result<Gatekeeper, gate::PolicyError> {
        let digest = Digest(Sha256::digest(text.as_bytes()).into());
        Ok(Gatekeeper { rules: Policy::parse(text)?, digest })
    }

    /// Of a file; the arguments are wrong where it cannot decide. Its text, too.
    pub(crate) fn read(path: &Path) -> Result<(Gatekeeper, String), Failure> {
        let text = file::read_text(path, gate::POLICY_BYTES_MAX as u64)?;
        let read = Gatekeeper::new(&text).map_err(|error| {
            Failure::usage(format!("the policy {} cannot decide", path.display())).caused_by(&error)
        })?;
        Ok((read, text))
    }

    /// When it is decided: now, by this machine's clock.
    pub(crate) fn now(made_unix_ms: u64, base: &str) -> Circumstances {
        let now = Timestamp::now().as_second();
        let made_unix_s = i64::try_from(made_unix_ms / 1000).unwrap_or(i64::MAX);
        Circumstances {
            time_unix_s: now,
            slice_age_s: now.saturating_sub(made_unix_s),
            base: base.to_owned(),
        }
    }

    /// What it says of a range.
    pub(crate) fn decide(&self, row: &Row, qualified: &Languages, when: &Circumstances) -> Decision {
        self.rules.decide(&row.facts(qualified), when)
    }

    /// What it says of the whole: what could not be read was not decided.
    pub(crate) fn gated(&self, ranges: &[Decided], not_graded: &[NotGraded], when: Circumstances) -> Gated {
        let allowed = |decided: &Decided| decided.decision.as_ref().is_some_and(|decision| decision.allowed);
        Gated {
            policy: self.digest,
            passed: is_whole(not_graded) && ranges.iter().all(allowed),
            circumstances: when,
        }
    }
}

/// The ranges of a table, with digests; and decided, where there is a policy.
pub(crate) fn decided(
    table: &Table,
    reviewed: &Reviewed,
    history: &History,
    gate: Option<(&Gatekeeper, &Languages, &Circumstances)>,
) -> Vec<Decided> {
    let mut file: (&str, Vec<u8>) = ("", Vec::new());
    let mut ranges = Vec::with_capacity(table.ranges.len());
    for row in &table.ranges {
        if file.0 != row.path {
            file = (&row.path, history.file(reviewed.change.tree, &row.path).unwrap_or_default());
        }
        let range = Range::of(&row.path, &file.1, row.first, row.last, &table.tree);
        ranges.push(Decided {
            row: row.clone(),
            digest: range.map(|range| range.digest),
            decision: gate.map(|(gate, qualified, when)| gate.decide(row, qualified, when)),
        });
    }
    ranges
}

impl Table {
    /// As statements have it.
    pub(crate) fn stated<'t>(&'t self, ranges: &'t [Decided], gate: Option<&'t Gated>) -> Stated<'t> {
        Stated {
            head: &self.head,
            tree: &self.tree,
            base: self.base.as_deref(),
            slice: &self.slice,
            lines: self.lines.iter().map(|(grade, lines)| (*grade, *lines)).collect(),
            ranges,
            not_graded: &self.not_graded,
            void_approvals: &self.void_approvals,
            gate,
        }
    }
}
