//! What may be compiled into the daemon: nothing that dials, resolves names, or is C++ of the engine.

use super::Finding;
use crate::{
    failure::Failure,
    places::{NATIVE, Places},
    process::{cargo, output_of},
};

/// Crates that must not be in cloisterd, and why: `name: reason`, a line each. The daemon looks for them, too.
const BANNED: &str = include_str!("../../../cloisterd/src/airgap/dialling-crates.txt");

/// Features that turn a crate the daemon needs into a client.
const BANNED_FEATURES: &[(&str, &str)] = &[
    ("hyper", "client"),
    ("hyper-util", "client"),
    ("hyper-util", "client-legacy"),
    ("hyper-util", "client-pool"),
    ("hyper-util", "client-proxy"),
];

pub(super) fn check(places: &Places) -> Result<Vec<Finding>, Failure> {
    // `cargo tree` resolves features for this one program, as its release build does.
    let mut tree = cargo(places);
    tree.args(["tree", "--package", "cloisterd", "--edges", "normal", "--target", NATIVE])
        .args(["--prefix", "none", "--format", "{p}|{f}"]);
    Ok(findings(&output_of(&mut tree)?))
}

/// Lines of `name version …|feature,feature`.
fn findings(tree: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in tree.lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or(package);
        // A package that was shown before is marked, behind its features.
        let features = features.trim_end_matches(" (*)");
        let mut report = |message: String| {
            let trace = format!("`cargo tree -p cloisterd -e normal,features -i {name}` shows who wants it");
            findings.push(Finding::new("crates/cloisterd/Cargo.toml", 0, format!("{message}; {trace}")));
        };
        let banned = BANNED.lines().filter_map(|line| line.split_once(": "));
        if let Some((_, reason)) = banned.into_iter().find(|(banned, _)| *banned == name) {
            report(format!("cloisterd holds `{name}` ({reason})"));
        }
        for (_, feature) in BANNED_FEATURES.iter().filter(|(banned, _)| *banned == name) {
            if features.split(',').any(|has| has == *feature) {
                report(format!("cloisterd holds `{name}` with its feature `{feature}`"));
            }
        }
    }
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_found_by_name_and_by_feature() {
        assert_eq!(
            findings("cloisterd v0.1.0 (/x)|\nhyper v1.9.0|http1,server\nhyper-util v0.1.20|service (*)"),
            []
        );
        assert_eq!(findings("reqwest v0.13.0|default").len(), 1);
        assert_eq!(findings("llama-cpp-sys-2 v0.1.161|\nllama v0.1.0 (/x)|").len(), 2);
        assert_eq!(findings("hyper v1.9.0|client,http1").len(), 1);
        assert_eq!(findings("hyper-util v0.1.20|client,client-legacy (*)").len(), 2);
    }
}
