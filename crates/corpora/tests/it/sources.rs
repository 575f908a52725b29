//! Each kind of source.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use corpora::{Limits, Reason, Source};
use provenance::document::{Evidence, Standing};

use crate::packed::{gzip, tar, zip};
use crate::{read, read_path, text};

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn git(root: &Path, date: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args([
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "commit.gpgsign=false",
    ]);
    command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date);
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rtl");
    write(&root.join("LICENSE"), text("ISC"));
    write(&root.join("src/a.vhd"), "entity a is end;\n");
    write(&root.join("src/latin.ads"), b"--  Universit\xe9 de Gen\xe8ve, some years ago, by several hands\n");
    write(&root.join("a.bin"), b"\x00\x01");
    write(&root.join("empty"), b"");
    write(&root.join("long.c"), vec![b'a'; (4 << 20) + 1]);
    write(&root.join("vendor/x/LICENSE.txt"), text("MIT"));
    write(&root.join("vendor/x/b.c"), "int b;\n");
    write(&root.join("sub/.git/config"), "[core]\n");
    std::os::unix::fs::symlink("/etc/passwd", root.join("passwd.txt")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
    let known = read_path(&root).unwrap();
    assert_eq!(
        known.paths(),
        ["LICENSE", "src/a.vhd", "src/latin.ads", "vendor/x/LICENSE.txt", "vendor/x/b.c"]
    );
    assert_eq!(known.summary.package, "folder:rtl");
    assert!(known.summary.complete);
    assert_eq!(known.licence("src/a.vhd"), "ISC");
    assert_eq!(known.licence("vendor/x/b.c"), "MIT");
    assert_eq!(known.files["src/latin.ads"].0[13], 0xe9, "bytes are handed over as they are");
    let left_out: Vec<_> = known.summary.left_out.iter().collect();
    let expected = [(Reason::Binary, 1), (Reason::Empty, 1), (Reason::TooLarge, 1), (Reason::NoFile, 2)];
    assert_eq!(left_out, expected);
    match &known.files["src/a.vhd"].1.licence.evidence[..] {
        [Evidence::File { path, likeness, .. }] => assert_eq!((path.as_str(), *likeness), ("LICENSE", 1000)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_sink_may_end_a_reading() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        write(&folder.path().join(name), "text");
    }
    let mut seen = 0;
    let source = Source::Folder { path: folder.path().to_owned() };
    let mut sink = |_: &[u8], _| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let summary = corpora::read(&source, &Limits::default(), &mut sink, &mut |_| {}).unwrap();
    assert!(!summary.complete);
    assert_eq!(seen, 2);
}

#[test]
fn a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("flight");
    write(&root.join("LICENSE"), text("MIT"));
    write(&root.join("src/a.rs"), "fn a() {}\n");
    git(folder.path(), "", &["init", "-q", "-b", "main", "flight"]);
    git(&root, "", &["add", "."]);
    git(&root, "2020-01-01T00:00:00Z", &["commit", "-qm", "first"]);
    write(&root.join("src/b.rs"), "// SPDX-License-Identifier: ISC\nfn b() {}\n");
    std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
    git(&root, "", &["add", "."]);
    git(&root, "2021-01-01T00:00:00Z", &["commit", "-qm", "second"]);
    let commit = git(&root, "", &["rev-parse", "HEAD"]);
    git(&root, "", &["branch", "old", "HEAD~1"]);
    write(&root.join("not-committed.rs"), "fn c() {}\n");
    let bare = folder.path().join("bare.git");
    git(folder.path(), "", &["clone", "-q", "--bare", "flight", "bare.git"]);

    for (path, name) in [(&root, "git:flight"), (&bare, "git:bare")] {
        let known = read_path(path).unwrap();
        assert_eq!(known.paths(), ["LICENSE", "src/a.rs", "src/b.rs"]);
        assert_eq!(known.summary.package, name);
        assert_eq!(known.summary.commit.as_deref(), Some(commit.as_str()));
        assert_eq!(known.summary.left_out.of(Reason::NoFile), 1);
        assert_eq!(
            (known.licence("src/a.rs"), known.licence("src/b.rs")),
            ("MIT".to_owned(), "ISC".to_owned())
        );
        let seen = |path: &str| known.files[path].1.first_seen_unix_s;
        assert_eq!(seen("src/a.rs"), Some(1_577_836_800), "of the commit that brought it");
        assert_eq!(seen("src/b.rs"), Some(1_609_459_200));
    }
    let old = Source::Git { path: root.clone(), branch: Some("old".to_owned()) };
    assert_eq!(read(&old, &Limits::default()).unwrap().paths(), ["LICENSE", "src/a.rs"]);
    let none = Source::Git { path: root.clone(), branch: Some("none".to_owned()) };
    let error = read(&none, &Limits::default()).err().unwrap().to_string();
    assert!(error.starts_with("there is no branch none"), "{error}");
    git(&root, "", &["worktree", "add", "-q", "../linked", "old"]);
    let error = read_path(&folder.path().join("linked")).err().unwrap().to_string();
    assert!(error.contains("linked worktree"), "{error}");
    git(folder.path(), "", &["init", "-q", "unborn"]);
    assert_eq!(read_path(&folder.path().join("unborn")).unwrap().summary.files, 0);
}

const MANIFEST: &str = "[package]\nname = \"thing\"\nversion = \"1.2.3\"\nlicense = \"MIT\"\n";

#[test]
fn archives_of_tar() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("thing-1.2.3/Cargo.toml", MANIFEST),
        ("thing-1.2.3/LICENSE", text("MIT")),
        ("thing-1.2.3/src/lib.rs", "pub fn a() {}\n"),
    ];
    let plain = tar(&files);
    let root = folder.path();
    write(&root.join("thing-1.2.3.crate"), gzip(&plain));
    write(&root.join("thing-1.2.3.tar"), &plain);
    for (program, ending) in [("xz", "xz"), ("bzip2", "bz2"), ("zstd", "zst")] {
        let kept = Command::new(program).args(["-q", "-k"]).arg(root.join("thing-1.2.3.tar")).status();
        // Not every machine has every packer; Debian 12 has xz, and the sources below need that one.
        assert!(kept.is_ok_and(|status| status.success()) || program != "xz", "xz packs {ending}");
    }
    let mut read_ones = 0;
    for name in ["crate", "tar", "tar.xz", "tar.bz2", "tar.zst"] {
        let path = root.join(format!("thing-1.2.3.{name}"));
        if !path.exists() {
            continue;
        }
        read_ones += 1;
        let known = read_path(&path).unwrap();
        assert_eq!(known.paths(), ["Cargo.toml", "LICENSE", "src/lib.rs"], "{name}");
        assert_eq!(known.summary.package, "crate:thing");
        assert_eq!(known.summary.version.as_deref(), Some("1.2.3"));
        assert_eq!(known.licence("src/lib.rs"), "MIT");
        assert_eq!(known.files["src/lib.rs"].1.first_seen_unix_s, Some(1_600_000_000));
    }
    assert!(read_ones >= 3);
    write(&root.join("words-2.tar.gz"), gzip(&tar(&[("a/x.c", "int x;\n"), ("b/y.c", "int y;\n")])));
    let known = read_path(&root.join("words-2.tar.gz")).unwrap();
    assert_eq!((known.summary.package.as_str(), known.summary.version.as_deref()), ("tar:words", Some("2")));
    assert_eq!(known.paths(), ["a/x.c", "b/y.c"]);
    assert!(matches!(known.files["a/x.c"].1.licence.standing, Standing::Unknown));
}

#[test]
fn a_wheel_and_a_zip() {
    let folder = tempfile::tempdir().unwrap();
    let metadata =
        b"Metadata-Version: 2.4\nName: requests\nVersion: 2.31.0\nLicense-Expression: Apache-2.0\n\nBody\n";
    let wheel = zip(&[
        ("requests/api.py", 0o100_644, b"def get(): pass\n"),
        ("requests-2.31.0.dist-info/METADATA", 0o100_644, metadata),
        ("requests-2.31.0.dist-info/licenses/LICENSE", 0o100_644, text("Apache-2.0").as_bytes()),
        ("link", 0o120_777, b"/etc/passwd"),
        ("../out", 0o100_644, b"out"),
    ]);
    let path = folder.path().join("requests-2.31.0-py3-none-any.whl");
    write(&path, &wheel);
    let known = read_path(&path).unwrap();
    assert_eq!(known.summary.package, "wheel:requests");
    assert_eq!(known.summary.version.as_deref(), Some("2.31.0"));
    assert_eq!(known.licence("requests/api.py"), "Apache-2.0");
    assert_eq!(known.files["requests/api.py"].1.first_seen_unix_s, Some(1_709_209_808));
    assert_eq!(known.summary.left_out.of(Reason::NoFile), 1);
    assert_eq!(known.summary.left_out.of(Reason::Path), 1);
    let path = folder.path().join("design.zip");
    write(
        &path,
        zip(&[("design-main/top.vhd", 0, b"-- SPDX-License-Identifier: MIT\n"), ("design-main/", 0, b"")]),
    );
    let known = read_path(&path).unwrap();
    assert_eq!((known.summary.package.as_str(), known.paths()), ("zip:design", vec!["top.vhd"]));
}

#[test]
fn a_debian_source() {
    let folder = tempfile::tempdir().unwrap();
    let copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
        Files: *\nCopyright: x\nLicense: GPL-3+\n\nFiles: lib/*\nCopyright: y\nLicense: Expat\n";
    let upstream = gzip(&tar(&[
        ("hello-2.10/COPYING", text("GPL-3.0-only")),
        ("hello-2.10/src/hello.c", "int main(void) { return 0; }\n"),
        ("hello-2.10/lib/a.c", "int a;\n"),
        ("hello-2.10/debian/old", "upstream's\n"),
    ]));
    let debian = gzip(&tar(&[("debian/copyright", copyright), ("debian/rules", "%:\n\tdh $@\n")]));
    let dsc = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nFormat: 3.0 (quilt)\nSource: hello\nVersion: 2.10-3\n\
         Files:\n 0 {} hello_2.10.orig.tar.gz\n 0 {} hello_2.10-3.debian.tar.gz\n\n-----BEGIN PGP SIGNATURE-----\n",
        upstream.len(),
        debian.len(),
    );
    write(&folder.path().join("hello_2.10.orig.tar.gz"), &upstream);
    write(&folder.path().join("hello_2.10-3.debian.tar.gz"), &debian);
    let path = folder.path().join("hello_2.10-3.dsc");
    write(&path, &dsc);
    let known = read_path(&path).unwrap();
    assert_eq!(
        (known.summary.package.as_str(), known.summary.version.as_deref()),
        ("deb:hello", Some("2.10-3"))
    );
    assert_eq!(known.paths(), ["COPYING", "debian/copyright", "debian/rules", "lib/a.c", "src/hello.c"]);
    assert_eq!(known.licence("src/hello.c"), "GPL-3.0-or-later");
    assert_eq!(known.licence("lib/a.c"), "MIT");
    write(&path, dsc.replace("hello_2.10.orig", "../hello_2.10.orig"));
    assert!(read_path(&path).is_err());
    write(&path, dsc.replace("Files:\n 0 ", "Files:\n 0 1"));
    assert!(read_path(&path).err().unwrap().to_string().contains("not of the size"));
}
