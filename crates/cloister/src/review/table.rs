//! The table of a change: each range of lines with its grade, and all that is known of the answer it is of.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ledger::{CheckOutcome, Choice};
use lineage::grade::{Grade, spans};
use lineage::slice::{Finding, Record, Slice};
use serde::{Deserialize, Serialize};

use super::{Approvals, Reviewed, language_of};

/// Lines that follow each other, of one grade and answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) language: Cow<'static, str>,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) grade: Grade,
    pub(crate) kept_percent: u8,
    /// Who approved exactly these lines, or more.
    pub(crate) approved_by: BTreeSet<String>,
    /// The answer; none of lines that are nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
}

/// What the ledger says of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// The record's number.
    pub(crate) record: u64,
    /// Its result's leaf, which commits to its lines.
    pub(crate) leaf: u64,
    /// All leaves about it that the slice has: its intent, its result, then decisions and checks.
    pub(crate) leaves: Vec<u64>,
    pub(crate) prompted_by: String,
    pub(crate) asked_unix_ms: u64,
    /// The weights' digest; of an upstream engine, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    pub(crate) template: String,
    pub(crate) deployment: String,
    /// `accepted`, `partly_accepted`, `edited_after`, `rejected` or `undecided`.
    pub(crate) decision: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decided_unix_ms: Option<u64>,
    /// `passed`, `failed`, `not_run`, or `none`.
    pub(crate) check: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
    /// Whether it was compared with all known code.
    pub(crate) compared: bool,
}

/// A file, and why its lines are not graded.
pub(crate) type NotGraded = (String, Cow<'static, str>);

/// All of a change.
#[derive(Serialize)]
pub(crate) struct Table {
    pub(crate) head: String,
    pub(crate) tree: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    pub(crate) slice: Source,
    /// Lines by grade.
    pub(crate) lines: BTreeMap<&'static str, u64>,
    pub(crate) ranges: Vec<Row>,
    /// Files whose lines are not graded.
    pub(crate) not_graded: Vec<NotGraded>,
    pub(crate) void_approvals: Vec<super::approvals::Refused>,
}

/// What the table rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) origin: String,
    pub(crate) repository: Option<String>,
    pub(crate) records: u64,
    pub(crate) leaves: u64,
    pub(crate) made_unix_ms: u64,
    pub(crate) seal: u64,
}

impl Table {
    pub(crate) fn new(reviewed: &Reviewed, approvals: &Approvals) -> Table {
        let (slice, change) = (&reviewed.slice, &reviewed.change);
        let mut lines: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut ranges = Vec::new();
        for (file, graded) in change.files.iter().zip(&reviewed.graded) {
            for line in graded {
                *lines.entry(line.grade.name()).or_default() += 1;
            }
            ranges.extend(spans(graded).into_iter().map(|span| Row {
                path: file.path.clone(),
                language: language_of(&file.path).into(),
                first: span.first,
                last: span.last,
                grade: span.grade,
                kept_percent: span.kept_percent,
                approved_by: approvals.of(&file.path, span.first, span.last),
                answer: span.record.map(|record| Answer::of(&slice.records[record])),
            }));
        }
        Table {
            head: change.head.to_string(),
            tree: change.tree.to_string(),
            base: change.base.map(|base| base.to_string()),
            slice: Source::of(slice),
            lines,
            ranges,
            not_graded: change.not_graded.iter().map(|(path, why)| (path.clone(), (*why).into())).collect(),
            void_approvals: approvals.void.clone(),
        }
    }
}

impl Source {
    pub(crate) fn of(slice: &Slice) -> Source {
        Source {
            origin: slice.header.origin.clone(),
            repository: slice.header.scope.repository.clone(),
            records: slice.records_total,
            leaves: slice.judged.checkpoint.size,
            made_unix_ms: slice.made_unix_ms,
            seal: slice.header.seal,
        }
    }
}

/// Why a submodule's lines are not graded: they are told of in its own repository.
pub(crate) const SUBMODULE: &str = "a submodule";

/// Whether all lines could be graded: what has no lines lacks no grade. A source that is no text has some: compilers take bytes
/// that no text has.
pub(crate) fn is_whole(not_graded: &[NotGraded]) -> bool {
    not_graded.iter().all(|(path, why)| match why.as_ref() {
        "no text" => language_of(path).is_empty(),
        why => why == SUBMODULE,
    })
}

impl Answer {
    pub(crate) fn of(record: &Record) -> Answer {
        let decision = record.decision();
        Answer {
            record: record.number,
            leaf: record.result_index,
            leaves: record.leaves.iter().map(|(index, _)| *index).collect(),
            prompted_by: record.intent.identity.clone(),
            asked_unix_ms: record.time_unix_ms,
            model: record.intent.model.map(|model| model.to_string()),
            template: record.intent.template.to_string(),
            deployment: record.intent.deployment.clone(),
            decision: decision.map_or("undecided", |(_, _, decision)| decision.choice.name()).into(),
            decided_unix_ms: decision
                .filter(|(_, _, decision)| decision.choice != Choice::Shown)
                .map(|(_, time, _)| *time),
            check: check(record).into(),
            findings: record.facts.findings.clone(),
            compared: record.facts.compared,
        }
    }

    /// Findings that the site's policy does not let pass without a look.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.action != "annotate")
    }
}

/// The worst that a checker said.
fn check(record: &Record) -> &'static str {
    let outcomes = || record.checks.iter().map(|(_, check)| check.outcome);
    if record.checks.is_empty() {
        "none"
    } else if outcomes().any(|outcome| outcome == CheckOutcome::Failed) {
        "failed"
    } else if outcomes().any(|outcome| outcome == CheckOutcome::Passed) {
        "passed"
    } else {
        "not_run"
    }
}

impl Row {
    /// As the gate sees it.
    pub(crate) fn facts(&self, qualified: &BTreeMap<String, BTreeSet<String>>) -> gate::Range {
        let mut facts = gate::Range {
            path: self.path.clone(),
            language: self.language.clone().into_owned(),
            first: self.first,
            last: self.last,
            grade: self.grade.name().to_owned(),
            is_ai: self.grade.is_ai(),
            kept_percent: self.kept_percent,
            check: "none".to_owned(),
            approved_by: self.approved_by.clone(),
            ..gate::Range::default()
        };
        if let Some(answer) = &self.answer {
            facts.prompted_by.clone_from(&answer.prompted_by);
            facts.decision = answer.decision.clone().into_owned();
            facts.check = answer.check.clone().into_owned();
            facts.findings = u32::try_from(answer.unresolved().count()).unwrap_or(u32::MAX);
            facts.licences = answer.unresolved().flat_map(|finding| finding.licences.clone()).collect();
            facts.compared = answer.compared;
            facts.model = answer.model.clone().unwrap_or_default();
            facts.deployment.clone_from(&answer.deployment);
            facts.qualified_languages = qualified.get(&facts.model).cloned().unwrap_or_default();
        }
        facts
    }
}
