//! Which weights are qualified for which language: by reports that leaves of the ledger name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ledger::{Event, Leaf, Step};
use protocol::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::file;

/// The longest report, in bytes.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// What of a report is looked at.
#[derive(Deserialize)]
struct Report {
    model_digest: Digest,
}

/// Languages by the weights' digest. A report that no leaf names is an error: somebody believes that it counts.
pub(super) fn read<'l>(
    reports: &[String],
    leaves: impl Iterator<Item = &'l Leaf>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let (mut by_report, mut withdrawn) = (BTreeSet::new(), BTreeSet::new());
    for leaf in leaves {
        match &leaf.event {
            Event::Model(admission) if admission.step == Step::Qualified => {
                by_report.insert(admission.detail.clone());
            }
            Event::Model(admission) if admission.step == Step::Withdrawn => {
                withdrawn.extend(admission.weights);
            }
            _ => {}
        }
    }
    let mut qualified: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for given in reports {
        let Some((language, path)) = given.split_once('=') else {
            return Err(Failure::usage(format!("`{given}`: write it as ada=REPORT.json")));
        };
        let bytes = file::read(Path::new(path), REPORT_BYTES_MAX)?;
        let digest = Digest(Sha256::digest(&bytes).into());
        if !by_report.contains(&digest.to_string()) {
            return Err(Failure::refused(format!(
                "no leaf of the slice qualifies a model by the report {path}"
            )));
        }
        let report: Report = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::refused(format!("{path} is no report of a qualification")).caused_by(&error)
        })?;
        if !withdrawn.contains(&report.model_digest) {
            qualified.entry(report.model_digest.to_string()).or_default().insert(language.to_owned());
        }
    }
    Ok(qualified)
}
