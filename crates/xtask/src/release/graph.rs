//! Which crates a program is made of: as Cargo resolves features for the build of the release, without those that run
//! only while it is built.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Deserialize;

use super::{PROGRAMS, compile::Build};
use crate::{
    failure::{During as _, Failure},
    places::{NATIVE, Places},
    process::{cargo, output_of},
};

/// A crate's name and version: the lock file has no two of the same.
pub(super) type Id = (String, String);

/// The crates of every program.
pub(super) struct Graphs {
    /// What is known of each crate.
    pub(super) crates: BTreeMap<Id, Crate>,
    /// By program: each crate in it with those that it depends on.
    pub(super) programs: BTreeMap<&'static str, BTreeMap<Id, BTreeSet<Id>>>,
}

/// What the manifest and the lock file say of a crate.
pub(super) struct Crate {
    /// An SPDX expression, as its manifest states it.
    pub(super) licence: Option<String>,
    /// Where its sources are.
    pub(super) folder: PathBuf,
    /// The file that it names for a licence without an SPDX name.
    pub(super) licence_file: Option<PathBuf>,
    /// SHA-256 of the registry's archive; none for our own.
    pub(super) checksum: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    license_file: Option<PathBuf>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The workspace's version.
pub(super) fn version(places: &Places) -> Result<String, Failure> {
    let text =
        output_of(cargo(places).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: Metadata = serde_json::from_str(&text).during(|| "cargo metadata".to_owned())?;
    let package = metadata.packages.into_iter().find(|package| package.name == PROGRAMS[1]);
    Ok(package.ok_or_else(|| Failure::new("the workspace has no `cloister`"))?.version)
}

impl Graphs {
    pub(super) fn of(build: &Build) -> Result<Graphs, Failure> {
        let lock =
            std::fs::read_to_string(build.root.join("Cargo.lock")).during(|| "Cargo.lock".to_owned())?;
        let lock: LockFile = toml::from_str(&lock).during(|| "Cargo.lock".to_owned())?;
        let mut checksums: BTreeMap<Id, Option<String>> =
            lock.package.into_iter().map(|locked| ((locked.name, locked.version), locked.checksum)).collect();

        let metadata =
            output_of(build.cargo("metadata").args(["--format-version", "1", "--filter-platform", NATIVE]))?;
        let metadata: Metadata = serde_json::from_str(&metadata).during(|| "cargo metadata".to_owned())?;
        let mut crates = BTreeMap::new();
        for package in metadata.packages {
            let id = (package.name, package.version);
            let checksum = checksums.remove(&id).flatten();
            let folder = package.manifest_path.parent().map(PathBuf::from).unwrap_or_default();
            let licence_file = package.license_file.map(|file| folder.join(file));
            crates.insert(id, Crate { licence: package.license, folder, licence_file, checksum });
        }

        let mut programs = BTreeMap::new();
        // As they are built: the engine alone, the others together, which decides their features.
        for names in [&PROGRAMS[..1], &PROGRAMS[1..]] {
            let mut tree = build.cargo("tree");
            tree.args(["--edges", "normal,no-proc-macro", "--target", NATIVE, "--prefix", "depth"]);
            tree.args(["--format", "|{p}"]).args(names.iter().flat_map(|name| ["--package", name]));
            let edges = edges(&output_of(&mut tree)?)?;
            for name in names {
                programs.insert(*name, reached(&edges, name)?);
            }
        }
        for id in programs.values().flat_map(BTreeMap::keys) {
            if !crates.contains_key(id) {
                return Err(Failure::new(format!("cargo metadata does not know {} {}", id.0, id.1)));
            }
        }
        Ok(Graphs { crates, programs })
    }

    /// Every crate in any program.
    pub(super) fn all(&self) -> BTreeSet<&Id> {
        self.programs.values().flat_map(BTreeMap::keys).collect()
    }
}

/// Lines of `DEPTH|NAME vVERSION (where) (*)`. A crate that was shown before comes without what it depends on.
fn edges(tree: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>, Failure> {
    let mut edges: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let strange = || Failure::new(format!("cargo tree said `{line}`"));
        let (depth, package) = line.split_once('|').ok_or_else(strange)?;
        let depth: usize = depth.parse().map_err(|_| strange())?;
        let mut words = package.split(' ');
        let name = words.next().ok_or_else(strange)?;
        let version = words.next().and_then(|word| word.strip_prefix('v')).ok_or_else(strange)?;
        let id = (name.to_owned(), version.to_owned());
        if depth > above.len() {
            return Err(strange());
        }
        above.truncate(depth);
        if let Some(parent) = above.last() {
            edges.entry(parent.clone()).or_default().insert(id.clone());
        }
        edges.entry(id.clone()).or_default();
        above.push(id);
    }
    Ok(edges)
}

fn reached(edges: &BTreeMap<Id, BTreeSet<Id>>, program: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>, Failure> {
    let root = edges.keys().find(|id| id.0 == program);
    let root = root.ok_or_else(|| Failure::new(format!("cargo tree does not know {program}")))?;
    let (mut found, mut waiting) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(id) = waiting.pop() {
        let below = edges.get(&id).cloned().unwrap_or_default();
        waiting.extend(below.iter().filter(|below| !found.contains_key(*below)).cloned());
        found.insert(id, below);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_once_counts_everywhere() {
        let tree =
            "0|a v1.0.0 (/x)\n1|b v2.0.0\n2|c v3.0.0\n1|d v4.0.0 (/x/d)\n\n0|e v1.0.0 (/x)\n1|b v2.0.0 (*)\n";
        let edges = edges(tree).unwrap();
        let names = |program| {
            let found = reached(&edges, program).unwrap();
            found.into_keys().map(|id| id.0).collect::<Vec<_>>().concat()
        };
        assert_eq!((names("a"), names("e")), ("abcd".to_owned(), "bce".to_owned()));
        assert!(reached(&edges, "f").is_err());
        for strange in ["b v1.0.0", "1|b v1.0.0", "0|b 1.0.0", "x|b v1.0.0"] {
            assert!(super::edges(strange).is_err(), "{strange}");
        }
    }
}
