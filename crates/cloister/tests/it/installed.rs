//! `cloister self`: installations made up in a folder, with the built program in them.

use std::fs;

use serde_json::Value;

use crate::bundle::write_keys;
use crate::workplace::{Run, Workplace, finish};

const PROGRAM: &str = "root/usr/lib/cloister/cloister";

/// The program itself and two other files, laid out as a release does.
fn laid_out() -> Workplace {
    let place = Workplace::new();
    place.write("root/usr/lib/cloister/cloister-engine", "engine");
    place.write("root/usr/share/doc/cloister/copyright", "words");
    fs::copy(env!("CARGO_BIN_EXE_cloister"), place.path(PROGRAM)).unwrap();
    write_keys(&place, 7);
    place
}

/// Run from where it was laid out, so that it finds its own installation.
fn installed(place: &Workplace, arguments: &[&str]) -> Run {
    let mut command = std::process::Command::new(place.path(PROGRAM));
    command.env_clear().current_dir(place.directory.path()).args(arguments);
    finish(command, "")
}

#[test]
fn signed_and_verified_by_itself() {
    let place = laid_out();
    installed(&place, &["self", "verify"]).check(1).says("not installed from a release");
    place.run(&["self", "verify"]).check(1).says("not installed from a release");

    let signed = place.run(&["self", "sign", "root", "--key", "key.pem"]).check(0);
    signed.says("3 files, signed by the key");
    let run = installed(&place, &["self", "verify", "--key", "pub.pem"]).check(0);
    assert!(run.out.contains("3 files are right, 0 are not"), "{run:#?}");
    assert!(run.out.contains("which is the one given"), "{run:#?}");
    assert!(run.out.contains(signed.out.trim()), "the statement's digest, {run:#?}");
    installed(&place, &["self", "verify"]).check(0).says("--key");
    let shown: Value =
        serde_json::from_str(&installed(&place, &["self", "verify", "--json"]).check(0).out).unwrap();
    assert_eq!(
        (&shown["wrong"], &shown["signed"], &shown["key_verified"]),
        (&0.into(), &true.into(), &Value::Null)
    );

    // The same list, signed by nobody and by another.
    let unsigned = place.run(&["self", "sign", "root"]).check(0);
    assert_eq!(unsigned.out, signed.out);
    let run = installed(&place, &["self", "verify"]).check(0);
    assert!(run.out.contains("unsigned"), "{run:#?}");
    installed(&place, &["self", "verify", "--key", "pub.pem"]).check(1).says("not signed");
    write_keys(&place, 8);
    place.run(&["self", "sign", "root", "--key", "key.pem"]).check(0);
    write_keys(&place, 7);
    installed(&place, &["self", "verify", "--key", "pub.pem"]).check(1).says("not a trusted root");
}

#[test]
fn differences_are_named() {
    let place = laid_out();
    place.run(&["self", "sign", "root", "--key", "key.pem"]).check(0);
    let verify = |expected: &str| {
        let run = installed(&place, &["self", "verify", "--key", "pub.pem"]).check(1);
        assert!(run.out.contains(expected), "{expected} is not in {run:#?}");
        run.says("not as they were released");
    };
    place.write("root/usr/lib/cloister/cloister-engine", "Engine");
    verify("changed   usr/lib/cloister/cloister-engine");
    place.write("root/usr/lib/cloister/cloister-engine", "engine");
    place.write("root/usr/lib/cloister/preload.so", "more");
    verify("unlisted  usr/lib/cloister/preload.so");
    fs::remove_file(place.path("root/usr/lib/cloister/preload.so")).unwrap();
    fs::remove_file(place.path("root/usr/share/doc/cloister/copyright")).unwrap();
    verify("missing   usr/share/doc/cloister/copyright");
    place.write("root/usr/share/doc/cloister/copyright", "words");
    installed(&place, &["self", "verify", "--key", "pub.pem"]).check(0);

    // What was changed together with the list only the key finds.
    place.write("root/usr/lib/cloister/cloister-engine", "Engine");
    place.run(&["self", "sign", "root"]).check(0);
    installed(&place, &["self", "verify"]).check(0);
    installed(&place, &["self", "verify", "--key", "pub.pem"]).check(1);
}
