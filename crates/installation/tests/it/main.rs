//! Installations made up in a folder, and what is done to them.
#![expect(clippy::unwrap_used, reason = "what a case cannot set up fails it")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use installation::{Installation, InstallationError, MANIFEST, PRIVATE, State, manifest_of};
use tempfile::TempDir;

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Two programs, a page, a link.
fn installed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "usr/lib/cloister/cloister", b"one");
    write(root, "usr/lib/cloister/cloisterd", b"two");
    write(root, "usr/share/doc/cloister/release.md", b"words");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    symlink("../lib/cloister/cloister", root.join("usr/bin/cloister")).unwrap();
    let manifest = manifest_of(root, "cloister 1.0").unwrap();
    write(root, MANIFEST, &oms::unsigned(&manifest));
    folder
}

fn states(root: &Path) -> Vec<(String, State)> {
    let checked = Installation::open(root).unwrap().check().unwrap();
    let wrong = checked.into_iter().filter(|file| file.state != State::Right);
    wrong.map(|file| (file.name, file.state)).collect()
}

#[test]
fn as_it_was_released() {
    let folder = installed();
    let program = folder.path().join(PRIVATE).join("cloister");
    let installation = Installation::of_program(&program).unwrap().unwrap();
    assert_eq!((installation.root(), installation.name()), (folder.path(), "cloister 1.0"));
    assert_eq!(installation.check().unwrap().len(), 3);
    assert_eq!(states(folder.path()), []);
    assert_eq!(manifest_of(folder.path(), "cloister 1.0").unwrap(), *installation.signature().manifest());
}

#[test]
fn every_difference_is_named() {
    let folder = installed();
    let root = folder.path();
    write(root, "usr/lib/cloister/cloister", b"One");
    fs::remove_file(root.join("usr/share/doc/cloister/release.md")).unwrap();
    write(root, "usr/lib/cloister/plugins/more.so", b"more");
    // Outside of the programs' own folder others may lay what they like.
    write(root, "usr/share/doc/another", b"other");
    fs::remove_file(root.join("usr/lib/cloister/cloisterd")).unwrap();
    symlink("cloister", root.join("usr/lib/cloister/cloisterd")).unwrap();
    let expected = [
        ("usr/lib/cloister/cloister", State::Changed),
        ("usr/lib/cloister/cloisterd", State::Changed),
        ("usr/lib/cloister/plugins/more.so", State::Unlisted),
        ("usr/share/doc/cloister/release.md", State::Missing),
    ];
    assert_eq!(states(root), expected.map(|(name, state)| (name.to_owned(), state)));

    let installation = Installation::open(root).unwrap();
    let programs = installation.check_programs(&["cloister", "cloister-engine"]).unwrap();
    assert_eq!(programs.iter().map(|file| file.state).collect::<Vec<_>>(), [State::Changed, State::Unlisted]);
}

#[test]
fn not_of_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "target/release/cloister", b"one");
    assert!(Installation::of_program(&root.join("target/release/cloister")).unwrap().is_none());
    // A list beside a program that lies elsewhere, and a list that is none.
    write(root, "target/release/manifest.dsse", b"{}");
    let misplaced = Installation::of_program(&root.join("target/release/cloister"));
    assert!(matches!(misplaced, Err(InstallationError::Misplaced(_))));
    write(root, MANIFEST, b"{}");
    assert!(matches!(Installation::open(root), Err(InstallationError::Manifest(..))));
}

#[test]
fn a_list_that_leaves_something_out_is_refused() {
    let folder = installed();
    let root = folder.path();
    let manifest = manifest_of(root, "cloister 1.0").unwrap();
    let ignored = vec![MANIFEST.to_owned(), "usr/lib/cloister/cloisterd".to_owned()];
    let partial =
        oms::Manifest::new("x", manifest.serialization, false, ignored, manifest.resources).unwrap();
    write(root, MANIFEST, &oms::unsigned(&partial));
    assert!(matches!(Installation::open(root), Err(InstallationError::Partial(_))));
}

#[test]
fn what_cannot_be_listed() {
    let folder = installed();
    symlink("/etc/passwd", folder.path().join("usr/lib/cloister/link")).unwrap();
    let refused = manifest_of(folder.path(), "cloister 1.0");
    assert!(matches!(refused, Err(InstallationError::Unlistable { .. })));
}
