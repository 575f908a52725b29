//! Sources and indexes that are broken, huge or made to do harm.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use retrieval::build::build;
use retrieval::{Reason, Sources};

use crate::{ALTITUDE, Lab, SENSORS, facts, git};

#[test]
fn strange_files_harm_nobody() {
    let lab =
        Lab::new(&[("s.ads", SENSORS), ("with\nnewline.ads", SENSORS), ("bad.pdf", "%PDF-1.7\n1 0 obj <<")]);
    symlink(".", lab.root().join("loop")).unwrap();
    symlink("/etc/passwd", lab.root().join("passwd.txt")).unwrap();
    File::create(lab.root().join("huge.ads")).unwrap().set_len(2 << 30).unwrap();
    lab.write("deep.c", "{".repeat(200_000).as_bytes());
    lab.write("latin1.ads", b"package L is\n   --  Gr\xf6\xdfe\nend L;\n");
    let made = std::process::Command::new("mkfifo").arg(lab.root().join("pipe.txt")).status().unwrap();
    assert!(made.success());
    let built = lab.build(1);
    let count = |reason| built.summary.left_out.get(&reason).copied().unwrap_or(0);
    assert_eq!(count(Reason::TooLarge), 1);
    assert_eq!(count(Reason::NoFile), 3);
    assert_eq!(count(Reason::Unreadable), 1);
    let readable = lab.readable(1);
    assert_eq!(readable.definitions("read_pressure", 10).unwrap().len(), 2);
    assert!(readable.read("source", "with\nnewline.ads", 1, 5).unwrap().is_some());
    assert!(readable.read("source", "passwd.txt", 1, 5).unwrap().is_none());
    assert!(readable.search("Größe", None, 5).unwrap().iter().any(|passage| passage.path == "latin1.ads"));
}

#[test]
fn strange_paths_in_a_commit_harm_nobody() {
    let lab = Lab::new(&[("s.ads", SENSORS), ("a\nb.adb", ALTITUDE)]);
    symlink("/etc/passwd", lab.root().join("passwd.ads")).unwrap();
    lab.commit();
    let built = lab.build(1);
    assert_eq!((built.summary.files, built.summary.left_out.get(&Reason::NoFile)), (2, Some(&1)));
}

#[test]
fn a_repository_without_a_commit_is_empty() {
    let lab = Lab::new(&[]);
    git(&lab.root(), &["init", "-q", "-b", "main"]);
    assert_eq!(lab.build(1).summary.files, 0);
}

#[test]
fn a_repository_that_is_rewritten_is_followed() {
    let lab = Lab::new(&[("s.ads", SENSORS), ("a.adb", ALTITUDE)]);
    lab.commit();
    lab.build(1);
    git(&lab.root(), &["checkout", "-q", "--orphan", "fresh"]);
    git(&lab.root(), &["rm", "-q", "-f", "a.adb"]);
    lab.commit();
    git(&lab.root(), &["branch", "-M", "main"]);
    git(&lab.root(), &["reflog", "expire", "--expire=now", "--all"]);
    git(&lab.root(), &["gc", "-q", "--prune=now"]);
    let built = lab.build(2);
    assert_eq!((built.summary.files, built.summary.branch.as_str()), (1, "main"));
}

#[test]
fn a_damaged_repository_is_a_clear_error() {
    let lab = Lab::new(&[("s.ads", SENSORS)]);
    let revision = lab.commit();
    let object = lab.root().join(".git/objects").join(&revision[..2]).join(&revision[2..]);
    fs::remove_file(&object).unwrap();
    let error = build(&lab.asked(1), &mut |_| ()).unwrap_err().to_string();
    assert!(error.starts_with("the repository cannot be read"), "{error}");
    let linked = Lab::new(&[(".git", "gitdir: /elsewhere\n")]);
    let error = build(&linked.asked(1), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("linked worktree"), "{error}");
    fs::remove_dir_all(lab.root()).unwrap();
    let error = build(&lab.asked(2), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn a_damaged_index_is_refused_and_made_anew() {
    let lab = Lab::new(&[("s.ads", SENSORS)]);
    lab.commit();
    lab.build(1);
    let sources = Sources::default();
    sources.set(vec![facts("source", &["everyone"])]);
    // Each file of it, cut and changed.
    let files: Vec<_> = fs::read_dir(lab.index(1)).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in files {
        let whole = fs::read(&path).unwrap();
        if whole.is_empty() || path.file_name().unwrap().to_string_lossy().starts_with('.') {
            continue;
        }
        for damage in [whole[..whole.len() / 2].to_vec(), changed(&whole)] {
            fs::write(&path, damage).unwrap();
            let opened = std::panic::catch_unwind(|| sources.publish("source", &lab.index(1)).map(|_| ()));
            let refused = !matches!(opened, Ok(Ok(())));
            assert!(refused, "{} was damaged, and is used", path.display());
        }
        fs::write(&path, &whole).unwrap();
    }
    sources.publish("source", &lab.index(1)).unwrap();
    // Built upon, it is not: a folder that holds anything else is cleared first.
    fs::create_dir_all(lab.index(2)).unwrap();
    fs::write(lab.index(2).join("meta.json"), "{").unwrap();
    fs::write(lab.index(2).join("stray"), "x").unwrap();
    lab.write("a.adb", ALTITUDE.as_bytes());
    lab.commit();
    assert_eq!(lab.build(2).summary.files, 2);
    assert!(!lab.index(2).join("stray").exists());
}

fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    bytes
}

#[test]
fn what_was_in_hand_when_an_indexer_died_is_left_out() {
    let lab = Lab::new(&[("s.ads", SENSORS), ("bad.ads", ALTITUDE)]);
    lab.commit();
    fs::create_dir_all(lab.index(1)).unwrap();
    fs::write(lab.index(1).join("in-hand-0"), b"bad.ads\0rest of a longer name").unwrap();
    let built = lab.build(1);
    assert_eq!(built.summary.files, 1);
    assert_eq!(built.summary.left_out.get(&Reason::Unreadable), Some(&1));
    assert!(!lab.index(1).join("in-hand-0").exists());
    // It is not tried again until it is another.
    lab.write("new.ads", SENSORS.as_bytes());
    lab.commit();
    assert_eq!(lab.build(2).summary.left_out.get(&Reason::Unreadable), Some(&1));
    lab.write("bad.ads", SENSORS.as_bytes());
    lab.commit();
    assert_eq!(lab.build(3).summary.files, 3);
}
