//! Which crate of ours may depend on which.

use serde::Deserialize;

use super::Finding;
use crate::{
    failure::{During as _, Failure},
    places::Places,
    process::{cargo, output_of},
};

/// A crate and those of ours that it may use. Dependencies point down. A new arrow is a decision: it
/// comes with a paragraph of why in ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    // Foundation and contracts stand on nothing of ours, but for one contract that needs another's proofs.
    ("approval", &[]),
    ("custody", &[]),
    ("documents", &[]),
    ("jail", &[]),
    ("kernels", &[]),
    ("languages", &[]),
    ("llama", &["kernels"]),
    ("mapped", &[]),
    ("protocol", &[]),
    ("tlog", &[]),
    ("oms", &["tlog"]),
    // Services.
    ("credentials", &["protocol"]),
    ("identity", &["approval", "credentials", "protocol"]),
    ("ledger", &["approval", "protocol", "tlog"]),
    ("lineage", &["approval", "ledger", "protocol", "tlog"]),
    ("gate", &[]),
    ("gguf", &["protocol"]),
    ("installation", &["oms"]),
    ("models", &["gguf", "oms", "protocol"]),
    ("engine", &["jail", "protocol"]),
    ("checks", &["jail", "languages", "protocol"]),
    ("retrieval", &["documents", "languages", "protocol"]),
    ("provenance", &["mapped", "protocol"]),
    ("corpora", &["provenance"]),
    ("qualify", &["jail", "languages", "protocol"]),
    // The walk.
    (
        "assist",
        &[
            "approval",
            "checks",
            "engine",
            "identity",
            "languages",
            "ledger",
            "lineage",
            "protocol",
            "provenance",
            "retrieval",
        ],
    ),
    // Surfaces.
    ("gateway", &["assist", "credentials", "identity", "languages", "protocol"]),
    ("client", &["protocol"]),
    // Programs.
    (
        "cloister",
        &[
            "approval",
            "client",
            "custody",
            "gate",
            "installation",
            "jail",
            "ledger",
            "lineage",
            "models",
            "oms",
            "protocol",
            "provenance",
            "tlog",
        ],
    ),
    ("cloister-pkcs11", &["oms"]),
    ("cloister-relay", &["client", "jail", "protocol"]),
    ("cloister-engine", &["gguf", "jail", "llama", "protocol"]),
    (
        "cloisterd",
        &[
            "approval",
            "assist",
            "checks",
            "corpora",
            "credentials",
            "custody",
            "engine",
            "gateway",
            "gguf",
            "identity",
            "installation",
            "jail",
            "languages",
            "ledger",
            "lineage",
            "models",
            "oms",
            "protocol",
            "provenance",
            "qualify",
            "retrieval",
            "tlog",
        ],
    ),
    // Development. Automation compiles before everything else, so it waits for no product crate.
    ("testkit", &[]),
    (
        "bench",
        &[
            "checks",
            "engine",
            "identity",
            "jail",
            "languages",
            "ledger",
            "lineage",
            "protocol",
            "provenance",
            "retrieval",
            "testkit",
            "tlog",
        ],
    ),
    (
        "fuzz",
        &[
            "approval",
            "assist",
            "client",
            "corpora",
            "credentials",
            "custody",
            "documents",
            "gateway",
            "gguf",
            "jail",
            "languages",
            "ledger",
            "lineage",
            "models",
            "oms",
            "protocol",
            "provenance",
            "qualify",
            "testkit",
            "tlog",
        ],
    ),
    ("xtask", &["testkit"]),
];

/// Crates that C++ is compiled for: not even a test may depend on them, but the worker's own.
const APART: &str = "llama";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for a normal one.
    kind: Option<String>,
    /// Set for those of this workspace.
    path: Option<String>,
}

pub(super) fn check(places: &Places) -> Result<Vec<Finding>, Failure> {
    let metadata = output_of(cargo(places).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).during(|| "cargo metadata".to_owned())?;
    Ok(findings(&metadata.packages))
}

fn findings(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("crates/{}/Cargo.toml", package.name);
        let mut report = |message: String| findings.push(Finding::new(&manifest, 0, message));
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            report("a crate without arrows: add it to crates/xtask/src/tidy/arrows.rs".to_owned());
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let (name, may_use) = (&dependency.name, allowed.contains(&dependency.name.as_str()));
            if dependency.kind.as_deref() == Some("dev") {
                if name == APART && !may_use {
                    report(format!("tests of `{}` may not use `{name}`", package.name));
                }
            } else if !may_use {
                report(format!("`{}` may not depend on `{name}`: the arrows are {allowed:?}", package.name));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(package: &str, dependency: &str, kind: Option<&str>, expected: usize) {
        let dependency =
            Dependency { name: dependency.into(), kind: kind.map(str::to_owned), path: Some("/x".into()) };
        let packages = [Package { name: package.into(), dependencies: vec![dependency] }];
        assert_eq!(findings(&packages).len(), expected, "{package}");
    }

    #[test]
    fn arrows_point_down() {
        check("assist", "ledger", None, 0);
        check("ledger", "assist", None, 1);
        check("ledger", "assist", Some("build"), 1);
        check("cloisterd", "client", None, 1);
        check("cloister-relay", "client", None, 0);
        check("cloister-relay", "gateway", None, 1);
        check("cloisterd", "client", Some("dev"), 0);
        check("engine", "llama", Some("dev"), 1);
        check("newcomer", "protocol", None, 1);
    }

    #[test]
    fn the_table_has_no_cycle_and_no_stranger() {
        // Top-down is an order: a crate only uses those that stand above it in the table.
        for (place, (name, allowed)) in ALLOWED.iter().enumerate() {
            for used in *allowed {
                assert!(ALLOWED[..place].iter().any(|(above, _)| above == used), "{name} uses {used}");
            }
        }
    }
}
