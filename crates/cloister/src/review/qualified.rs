//! Which weights are qualified for which language: by reports that leaves of the ledger name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ledger::{Event, Leaf, Step};
use protocol::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::file;

/// Languages by the weights' digest.
pub(crate) type Languages = BTreeMap<String, BTreeSet<String>>;

/// The longest report, in bytes.
pub(crate) const REPORT_BYTES_MAX: u64 = 64 << 20;

/// What of a report is looked at.
#[derive(Deserialize)]
struct Report {
    model_digest: Digest,
}

/// A report, and the language that it is given for.
pub(crate) struct Given {
    pub(crate) language: String,
    pub(crate) bytes: Vec<u8>,
}

impl Given {
    /// Of `ada=REPORT.json`.
    pub(crate) fn read(reports: &[String]) -> Result<Vec<Given>, Failure> {
        let read = |given: &String| {
            let (language, path) = given
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("`{given}`: write it as ada=REPORT.json")))?;
            let bytes = file::read(Path::new(path), REPORT_BYTES_MAX)?;
            Ok(Given { language: language.to_owned(), bytes })
        };
        reports.iter().map(read).collect()
    }
}

/// What reports amount to. One that no leaf names is an error: somebody believes that it counts.
pub(crate) fn languages<'l>(
    reports: &[Given],
    leaves: impl Iterator<Item = &'l Leaf>,
) -> Result<Languages, Failure> {
    let (mut by_report, mut withdrawn) = (BTreeSet::new(), BTreeSet::new());
    for leaf in leaves {
        match &leaf.event {
            Event::Model(admission) if admission.step == Step::Qualified => {
                by_report.insert((admission.detail.clone(), admission.weights));
            }
            Event::Model(admission) if admission.step == Step::Withdrawn => {
                withdrawn.extend(admission.weights);
            }
            _ => {}
        }
    }
    let mut qualified = Languages::new();
    for Given { language, bytes } in reports {
        let digest = Digest(Sha256::digest(bytes).into());
        let no_leaf = |whose: &str| {
            let error =
                format!("no leaf of the slice qualifies {whose} by the report for {language}, {digest}");
            Err(Failure::refused(error))
        };
        if !by_report.iter().any(|(named, _)| *named == digest.to_string()) {
            return no_leaf("a model");
        }
        let report: Report = serde_json::from_slice(bytes).map_err(|error| {
            Failure::refused(format!("the report for {language} is no report of a qualification"))
                .caused_by(&error)
        })?;
        // A report of one model, attached to another, says nothing of either.
        if !by_report.contains(&(digest.to_string(), Some(report.model_digest))) {
            return no_leaf("its model");
        }
        if !withdrawn.contains(&report.model_digest) {
            qualified.entry(report.model_digest.to_string()).or_default().insert(language.clone());
        }
    }
    Ok(qualified)
}
