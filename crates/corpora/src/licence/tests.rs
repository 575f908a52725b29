use super::*;

fn text(name: &str) -> String {
    spdx::license_id(name).map(|id| id.text().to_owned()).unwrap_or_default()
}

/// The licence of `path`, with `first` as its bytes, in a package that states these files.
fn check(statements: &[(&str, &str)], path: &str, first: &str, expected: &str) {
    let mut index = Index::default();
    for (path, text) in statements {
        let kind = Kind::of(path).unwrap_or_else(|| panic!("{path} states nothing"));
        if let Some(statement) = kind.read(path, text.as_bytes()) {
            index.add(path, statement);
        }
    }
    let licence = index.licence(path, first.as_bytes());
    let found = match &licence.standing {
        Standing::Stated(expression) => expression.clone(),
        Standing::Conflict(expressions) => format!("conflict: {}", expressions.join(" | ")),
        Standing::Unknown => "unknown".to_owned(),
    };
    assert_eq!(found, expected, "{path}: {:?}", licence.evidence);
}

#[test]
fn which_files_state_licences() {
    for path in [
        "LICENSE",
        "a/COPYING.LIB",
        "LICENSE-MIT",
        "licence.txt",
        "LICENSE.Apache-2.0",
        "LICENSES/MIT.txt",
        "UNLICENSE",
        "COPYING3",
        "debian/copyright",
        "x.dist-info/METADATA",
        "x.dist-info/licenses/LICENSE",
        "REUSE.toml",
        "a/Cargo.toml",
        "licenses.md",
    ] {
        assert!(Kind::of(path).is_some(), "{path}");
    }
    for path in [
        "src/license.rs",
        "licensed.c",
        "a/licensing.h",
        "METADATA",
        "copyright",
        "src/licence/mod.rs",
        "LICENSE-THIRD-PARTY",
    ] {
        assert!(Kind::of(path).is_none(), "{path}");
    }
}

#[test]
fn a_text_alone() {
    check(&[("LICENSE", &text("MIT"))], "src/a.rs", "", "MIT");
    check(&[("LICENSE", &text("MIT"))], "b.rs", "", "MIT");
    // Which versions, the text does not say.
    check(&[("COPYING", &text("GPL-3.0-only"))], "a.c", "", "conflict: GPL-3.0-only | GPL-3.0-or-later");
    check(&[("LICENSES/ISC.txt", &text("ISC"))], "a.c", "", "ISC");
    check(&[], "a.c", "", "unknown");
}

#[test]
fn several_texts_are_joined_by_metadata_only() {
    let (mit, apache) = (text("MIT"), text("Apache-2.0"));
    let texts = [("LICENSE-MIT", mit.as_str()), ("LICENSE-APACHE", apache.as_str())];
    check(&texts, "a.rs", "", "conflict: Apache-2.0 | MIT");
    let with = |licence: &'static str| [texts[0], texts[1], ("Cargo.toml", licence)];
    check(&with("[package]\nlicense = \"MIT/Apache-2.0\""), "src/a.rs", "", "Apache-2.0 OR MIT");
    check(&with("[package]\nlicense = \"MIT AND Apache-2.0\""), "src/a.rs", "", "Apache-2.0 AND MIT");
    check(&with("[package]\nlicense = \"MIT\""), "src/a.rs", "", "conflict: Apache-2.0 | MIT");
    check(&with("[package]\nlicense = \"ISC\""), "src/a.rs", "", "conflict: Apache-2.0 | ISC | MIT");
}

#[test]
fn the_nearest_counts() {
    let (mit, isc) = (text("MIT"), text("ISC"));
    let package = "[package]\nlicense = \"MIT\"";
    let files = [("LICENSE", mit.as_str()), ("Cargo.toml", package), ("vendor/x/LICENSE", isc.as_str())];
    check(&files, "src/a.rs", "", "MIT");
    check(&files, "vendor/x/src/a.c", "", "ISC");
    check(&files, "vendor/y/a.c", "", "MIT");
    // What has no name speaks against what is further away.
    let strange = [("LICENSE", mit.as_str()), ("vendor/x/LICENSE", "Ask Someone first, and then ask again.")];
    check(&strange, "vendor/x/a.c", "", "unknown");
    check(&strange, "a.c", "", "MIT");
    let beside = [("LICENSE-MIT", mit.as_str()), ("LICENSE", "Some of this is Someone's.")];
    check(&beside, "a.c", "", "unknown");
    check(&[beside[0], beside[1], ("Cargo.toml", package)], "a.c", "", "MIT");
    let member = [
        ("LICENSE", mit.as_str()),
        ("Cargo.toml", "[workspace.package]\nlicense = \"MIT\""),
        ("crates/a/Cargo.toml", "[package]\nname = \"a\"\nlicense.workspace = true"),
        ("crates/b/Cargo.toml", "[package]\nname = \"b\"\nlicense = \"ISC\""),
    ];
    check(&member, "crates/a/src/lib.rs", "", "MIT");
    check(&member, "crates/b/src/lib.rs", "", "conflict: ISC | MIT");
}

#[test]
fn metadata_alone() {
    check(&[("package.json", r#"{"license":"MIT"}"#)], "a.js", "", "MIT");
    check(&[("package.json", r#"{"license":"UNLICENSED"}"#)], "a.js", "", "unknown");
    let two = [("package.json", r#"{"license":"MIT"}"#), ("Cargo.toml", "[package]\nlicense = \"ISC\"")];
    check(&two, "a.js", "", "conflict: ISC | MIT");
    check(&[("x-1.dist-info/METADATA", "Name: x\nLicense-Expression: ISC\n")], "x/a.py", "", "ISC");
}

#[test]
fn a_header_speaks_for_its_file() {
    let mit = text("MIT");
    let files = [("LICENSE", mit.as_str())];
    check(&files, "a.rs", "// SPDX-License-Identifier: ISC\n", "ISC");
    check(&files, "a.rs", "// Confidential and proprietary.\n", "unknown");
    check(
        &files,
        "a.rs",
        "// SPDX-License-Identifier: ISC\n// SPDX-License-Identifier: MIT\n",
        "conflict: ISC | MIT",
    );
}

const DEBIAN: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
    Files: *\nCopyright: x\nLicense: GPL-3+\n\nFiles: lib/*\nCopyright: y\nLicense: Expat\n\n\
    Files: lib/odd.c\nCopyright: z\nLicense: public-domain\n";

#[test]
fn what_debian_says_of_paths() {
    let copying = text("GPL-3.0-only");
    let files = [("debian/copyright", DEBIAN), ("COPYING", copying.as_str())];
    check(&files, "src/a.c", "", "GPL-3.0-or-later");
    check(&files, "lib/a.c", "", "MIT");
    check(&files, "lib/odd.c", "", "unknown");
    check(&files, "lib/a.c", "/* SPDX-License-Identifier: ISC */", "conflict: ISC | MIT");
    check(&files, "lib/a.c", "/* SPDX-License-Identifier: MIT */", "MIT");
}

#[test]
fn what_reuse_says_of_paths() {
    let reuse = "version = 1\n[[annotations]]\npath = \"data/**\"\nSPDX-License-Identifier = \"CC0-1.0\"\n\
        [[annotations]]\npath = \"old/**\"\nprecedence = \"override\"\nSPDX-License-Identifier = \"ISC\"\n";
    let mit = text("MIT");
    let files = [("REUSE.toml", reuse), ("LICENSES/MIT.txt", mit.as_str())];
    check(&files, "data/a.csv", "", "CC0-1.0");
    check(&files, "data/a.rs", "// SPDX-License-Identifier: MIT\n", "MIT");
    check(&files, "old/a.rs", "// SPDX-License-Identifier: MIT\n", "ISC");
    check(&files, "src/a.rs", "", "MIT");
}
