//! What is in the programs that no crate stands for: C and C++ that crates bring along, Rust's own library, and, in
//! the static engine, the toolchain's libraries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    compile,
    graph::{Graphs, Id},
};
use crate::{
    failure::{During as _, Failure},
    process::output_of,
};

/// A piece of foreign code.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) licence: String,
    /// A package URL, where there is a registry that knows it.
    pub(super) purl: Option<String>,
    /// The crate that brings it; none for the toolchain's.
    pub(super) brought_by: Option<Id>,
    /// Its licence's text.
    pub(super) texts: Vec<PathBuf>,
}

/// Crates named `…-sys` that bring no code of another language: declarations of somebody else's, and bzip2 in Rust.
const DECLARATIONS: [&str; 3] = ["cryptoki-sys", "libbz2-rs-sys", "linux-raw-sys"];

/// Static libraries of the toolchain that the engine is linked with.
const LIBRARIES: [(&str, &str); 5] = [
    ("libc.a", "LGPL-2.1-or-later"),
    ("libstdc++.a", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    ("libgomp.a", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    ("libgcc.a", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    ("libgcc_eh.a", "GPL-3.0-or-later WITH GCC-exception-3.1"),
];

/// What crates bring. A crate that looks like one of a library of C and is in no list is an error.
pub(super) fn brought(graphs: &Graphs) -> Result<Vec<Component>, Failure> {
    let mut components = Vec::new();
    for id in graphs.all() {
        let known = &graphs.crates[id];
        let component = |name: &str, version: String, licence: &str, text: Option<&str>| Component {
            name: name.to_owned(),
            version,
            licence: licence.to_owned(),
            purl: None,
            brought_by: Some(id.clone()),
            texts: text.iter().map(|text| known.folder.join(text)).collect(),
        };
        let defined = |file: &str, name: &str| defined(&known.folder.join(file), name);
        match id.0.as_str() {
            "aws-lc-sys" => {
                let version = defined("aws-lc/include/openssl/base.h", "AWSLC_VERSION_NUMBER_STRING")?;
                let licence = known.licence.as_deref().unwrap_or("Apache-2.0 AND ISC AND OpenSSL");
                components.push(component("AWS-LC", version, licence, Some("aws-lc/LICENSE")));
            }
            "libsqlite3-sys" => {
                let version = defined("sqlite3/sqlite3.h", "SQLITE_VERSION")?;
                components.push(component("SQLite", version, "blessing", None));
            }
            "llama-cpp-sys-2" => {
                // The crate names no commit of llama.cpp: its own version is what there is.
                let version = format!("{}-{}", id.0, id.1);
                let licence = Some("llama.cpp/LICENSE");
                components.push(component("llama.cpp", version, "MIT", licence));
                let version = ggml_version(&known.folder.join("llama.cpp/ggml/CMakeLists.txt"))?;
                components.push(component("ggml", version, "MIT", licence));
            }
            name if name.contains("-sys") && !DECLARATIONS.contains(&name) => {
                return Err(Failure::new(format!("{name} may bring C code that nothing here lists"))
                    .hint("Add it to crates/xtask/src/release/native.rs, with what it brings."));
            }
            _ => {}
        }
    }
    Ok(components)
}

/// Rust's library, which is in every program.
pub(super) fn rust() -> Result<Component, Failure> {
    let said = compile::version_of("rustc")?;
    let version = said.split(' ').nth(1).unwrap_or(&said).to_owned();
    let folder = compile::sysroot()?.join("share/doc/rust/licenses");
    Ok(Component {
        name: "rust-std".to_owned(),
        purl: None,
        version,
        licence: "MIT OR Apache-2.0".to_owned(),
        brought_by: None,
        texts: ["Apache-2.0.txt", "MIT.txt"].iter().map(|name| folder.join(name)).collect(),
    })
}

/// The toolchain's libraries in the engine, by their Debian packages.
pub(super) fn toolchain() -> Result<Vec<Component>, Failure> {
    let mut components: Vec<Component> = Vec::new();
    for (file, licence) in LIBRARIES {
        let printed = output_of(Command::new("g++").arg(format!("-print-file-name={file}")))?;
        let path = fs::canonicalize(printed.trim()).during(|| format!("{file} of the toolchain"))?;
        let owner = output_of(Command::new("dpkg-query").arg("-S").arg(&path)).map_err(|failure| {
            failure.hint("A release is built on Debian: its packages say which toolchain is in the engine.")
        })?;
        let package = owner.split(": ").next().unwrap_or_default();
        let shown = "${Package} ${Version} ${source:Package} ${source:Version}";
        let said = output_of(Command::new("dpkg-query").args(["-W", "-f", shown, package]))?;
        let [package, version, source, source_version] = said.split(' ').collect::<Vec<_>>()[..] else {
            return Err(Failure::new(format!("dpkg-query said `{said}` of {package}")));
        };
        let purl = format!(
            "pkg:deb/debian/{package}@{}?arch=amd64&distro=debian-12&upstream={source}%40{}",
            encoded(version),
            encoded(source_version)
        );
        components.push(Component {
            name: format!("{file} of {package}"),
            version: version.to_owned(),
            licence: licence.to_owned(),
            purl: Some(purl),
            brought_by: None,
            texts: vec![Path::new("/usr/share/doc").join(package).join("copyright")],
        });
    }
    Ok(components)
}

/// As a package URL spells it.
pub(super) fn encoded(version: &str) -> String {
    version.replace('%', "%25").replace('+', "%2B").replace(':', "%3A")
}

/// The text in `#define NAME "TEXT"`.
fn defined(header: &Path, name: &str) -> Result<String, Failure> {
    let text = fs::read_to_string(header).during(|| header.display().to_string())?;
    let value = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is = words.next() == Some("#define") && words.next() == Some(name);
        is.then(|| words.next().unwrap_or_default().trim_matches('"').to_owned())
    });
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Failure::new(format!("{} does not define {name}", header.display())))
}

fn ggml_version(lists: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(lists).during(|| lists.display().to_string())?;
    let part = |part: &str| {
        let start = format!("set(GGML_VERSION_{part} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix(')'));
        value.map(str::to_owned).ok_or_else(|| Failure::new(format!("{} states no version", lists.display())))
    };
    Ok(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}
