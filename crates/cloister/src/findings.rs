//! What the server found out about an answer, for people.

use client::Findings;

use crate::{checks, provenance};

/// What compilers said, then what matches known code.
pub(crate) fn lines(findings: &Findings) -> Vec<String> {
    let matches = findings.provenance.iter().flat_map(provenance::lines);
    checks::lines(&findings.checks).into_iter().chain(matches).collect()
}
