//! What a package states of itself: its name, its version, its licence.

use super::expression;

/// A longer file is not read.
pub(crate) const METADATA_BYTES_MAX: usize = 1 << 20;
/// What is stated is kept so far.
const STATED_BYTES_MAX: usize = 1024;

/// Which system of packages a file is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Cargo,
    Npm,
    Python,
    Alire,
}

/// What one file states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) system: System,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) licence: Stated,
}

/// What it states of the licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    Nothing,
    /// That a folder above states it (Cargo's `license.workspace`).
    Above,
    /// These words.
    Words {
        stated: String,
        /// In SPDX's, where they have a meaning there.
        expression: Option<String>,
    },
}

/// Which system a file of this path is of, if it is metadata.
pub(crate) fn system(path: &str) -> Option<System> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folder.rsplit('/').next().unwrap_or_default();
    match name {
        "Cargo.toml" => Some(System::Cargo),
        "package.json" => Some(System::Npm),
        "pyproject.toml" | "PKG-INFO" => Some(System::Python),
        "METADATA" if folder.ends_with(".dist-info") => Some(System::Python),
        "alire.toml" => Some(System::Alire),
        _ => None,
    }
}

/// Reads metadata; None where it is none. Never fails on what else a file holds.
pub(crate) fn read(path: &str, system: System, bytes: &[u8]) -> Option<Metadata> {
    if bytes.len() > METADATA_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match system {
        System::Cargo => cargo(&text.parse().ok()?),
        System::Npm => npm(&serde_json::from_str(text).ok()?),
        System::Python if path.ends_with(".toml") => pyproject(&text.parse().ok()?),
        System::Python => Some(core_metadata(text)),
        System::Alire => alire(&text.parse().ok()?),
    }
}

fn cargo(manifest: &toml::Table) -> Option<Metadata> {
    let (table, is_workspace) = match manifest.get("package").or_else(|| manifest.get("project")) {
        Some(package) => (package, false),
        None => (manifest.get("workspace")?.get("package")?, true),
    };
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let mut licence = match table.get("license") {
        Some(toml::Value::String(stated)) => words_of_cargo(stated),
        Some(toml::Value::Table(from))
            if from.get("workspace").and_then(toml::Value::as_bool) == Some(true) =>
        {
            Stated::Above
        }
        _ => Stated::Nothing,
    };
    // The workspace's own root may be a package too.
    if licence == Stated::Above
        && let Some(stated) =
            manifest.get("workspace").and_then(|workspace| workspace.get("package")?.get("license")?.as_str())
    {
        licence = words_of_cargo(stated);
    }
    let name = if is_workspace { None } else { text("name") };
    Some(Metadata { system: System::Cargo, name, version: text("version"), licence })
}

fn npm(manifest: &serde_json::Value) -> Option<Metadata> {
    let text = |key: &str| manifest.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    manifest.as_object()?;
    let licence = match manifest.get("license") {
        Some(serde_json::Value::String(stated)) => words(stated),
        // What npm once had: `{"type": "MIT", "url": …}`.
        Some(serde_json::Value::Object(old)) => {
            old.get("type").and_then(serde_json::Value::as_str).map_or(Stated::Nothing, words)
        }
        _ => Stated::Nothing,
    };
    Some(Metadata { system: System::Npm, name: text("name"), version: text("version"), licence })
}

fn alire(manifest: &toml::Table) -> Option<Metadata> {
    let text = |key: &str| manifest.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let licence = match manifest.get("licenses") {
        Some(toml::Value::String(stated)) => words(stated),
        // Several, without a word of how they join.
        Some(toml::Value::Array(several)) => match several.as_slice() {
            [toml::Value::String(stated)] => words(stated),
            _ => Stated::Words {
                stated: shortened(
                    &several.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(", "),
                ),
                expression: None,
            },
        },
        _ => Stated::Nothing,
    };
    Some(Metadata { system: System::Alire, name: Some(text("name")?), version: text("version"), licence })
}

fn pyproject(manifest: &toml::Table) -> Option<Metadata> {
    let project = manifest.get("project").or_else(|| manifest.get("tool")?.get("poetry"))?;
    let text = |key: &str| project.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let mut licence = match project.get("license") {
        Some(toml::Value::String(stated)) => words(stated),
        Some(toml::Value::Table(old)) => {
            old.get("text").and_then(toml::Value::as_str).map_or(Stated::Nothing, words)
        }
        _ => Stated::Nothing,
    };
    if !is_named(&licence)
        && let Some(classifiers) = project.get("classifiers").and_then(toml::Value::as_array)
    {
        let by_classifier = classified(classifiers.iter().filter_map(toml::Value::as_str));
        if by_classifier != Stated::Nothing {
            licence = by_classifier;
        }
    }
    Some(Metadata { system: System::Python, name: text("name"), version: text("version"), licence })
}

/// Python's core metadata: fields like a mail's, before the first empty line.
fn core_metadata(text: &str) -> Metadata {
    let mut metadata =
        Metadata { system: System::Python, name: None, version: None, licence: Stated::Nothing };
    let (mut expression, mut licence, mut classifiers) = (None, None, Vec::new());
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match field {
            "Name" => metadata.name = Some(shortened(value)),
            "Version" => metadata.version = Some(shortened(value)),
            "License-Expression" => expression = Some(words(value)),
            "License" if value != "UNKNOWN" && !value.is_empty() => licence = Some(words(value)),
            "Classifier" => classifiers.push(value),
            _ => {}
        }
    }
    metadata.licence = match (expression, licence) {
        (Some(expression), _) => expression,
        (None, Some(licence)) if is_named(&licence) => licence,
        (None, licence) => match classified(classifiers.into_iter()) {
            Stated::Nothing => licence.unwrap_or(Stated::Nothing),
            classified => classified,
        },
    };
    metadata
}

/// PyPI's classifiers of licences. Most name a family and no version ("BSD License", "Apache Software License"): those
/// have no name in SPDX's words. (PEP 639, appendix on mapping.)
fn classified<'a>(classifiers: impl Iterator<Item = &'a str>) -> Stated {
    const NAMED: &[(&str, &str)] = &[
        ("License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
        ("License :: OSI Approved :: Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
        ("License :: OSI Approved :: Eclipse Public License 2.0 (EPL-2.0)", "EPL-2.0"),
        (
            "License :: OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)",
            "AGPL-3.0-or-later",
        ),
        ("License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
        ("License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
        (
            "License :: OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)",
            "LGPL-2.0-or-later",
        ),
        (
            "License :: OSI Approved :: GNU Lesser General Public License v3 or later (LGPLv3+)",
            "LGPL-3.0-or-later",
        ),
        ("License :: OSI Approved :: ISC License (ISCL)", "ISC"),
        ("License :: OSI Approved :: MIT License", "MIT"),
        ("License :: OSI Approved :: MIT No Attribution License (MIT-0)", "MIT-0"),
        ("License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("License :: OSI Approved :: Python Software Foundation License", ""),
        ("License :: OSI Approved :: The Unlicense (Unlicense)", "Unlicense"),
        ("License :: OSI Approved :: Zero-Clause BSD (0BSD)", "0BSD"),
    ];
    // "License :: OSI Approved" alone says nothing.
    let licences: Vec<&str> = classifiers
        .filter(|one| one.starts_with("License :: ") && *one != "License :: OSI Approved")
        .take(16)
        .collect();
    match licences.as_slice() {
        [] => Stated::Nothing,
        [one] => Stated::Words {
            stated: shortened(one),
            expression: NAMED
                .iter()
                .find(|(known, name)| known == one && !name.is_empty())
                .map(|(_, name)| (*name).to_owned()),
        },
        several => Stated::Words { stated: shortened(&several.join(", ")), expression: None },
    }
}

/// Cargo's manifests hold expressions, and nothing else.
fn words_of_cargo(stated: &str) -> Stated {
    Stated::Words { stated: shortened(stated), expression: expression::normal_form_of_cargo(stated) }
}

/// What a few systems let people write for a name, where it can mean one licence only.
fn words(stated: &str) -> Stated {
    const MEANT: &[(&str, &str)] = &[
        ("apache 2.0", "Apache-2.0"),
        ("apache license 2.0", "Apache-2.0"),
        ("apache license, version 2.0", "Apache-2.0"),
        ("apache software license 2.0", "Apache-2.0"),
        ("mit license", "MIT"),
        ("the mit license", "MIT"),
        ("mpl 2.0", "MPL-2.0"),
        ("isc license", "ISC"),
        ("3-clause bsd", "BSD-3-Clause"),
        ("bsd 3-clause", "BSD-3-Clause"),
        ("bsd 3-clause license", "BSD-3-Clause"),
        ("bsd 2-clause", "BSD-2-Clause"),
        ("bsd 2-clause license", "BSD-2-Clause"),
        ("gplv2+", "GPL-2.0-or-later"),
        ("gplv3+", "GPL-3.0-or-later"),
        ("lgplv2.1+", "LGPL-2.1-or-later"),
        ("lgplv3+", "LGPL-3.0-or-later"),
    ];
    let small = stated.trim().to_lowercase();
    let meant = MEANT.iter().find(|(words, _)| *words == small).map(|(_, name)| (*name).to_owned());
    Stated::Words { stated: shortened(stated), expression: meant.or_else(|| expression::normal_form(stated)) }
}

fn is_named(stated: &Stated) -> bool {
    matches!(stated, Stated::Words { expression: Some(_), .. })
}

pub(crate) fn shortened(text: &str) -> String {
    let mut end = text.len().min(STATED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, name: &str, version: &str, expression: &str) {
        let system = system(path).unwrap_or(System::Alire);
        let found = read(path, system, text.as_bytes()).unwrap_or(Metadata {
            system,
            name: None,
            version: None,
            licence: Stated::Nothing,
        });
        let licence = match found.licence {
            Stated::Nothing => "nothing".to_owned(),
            Stated::Above => "above".to_owned(),
            Stated::Words { expression, stated } => expression.unwrap_or(format!("? {stated}")),
        };
        let found = [found.name.unwrap_or_default(), found.version.unwrap_or_default(), licence];
        assert_eq!(found, [name, version, expression], "{path}");
    }

    #[test]
    fn each_system_states_its_licence() {
        let cargo = "[package]\nname = \"a\"\nversion = \"1.2.3\"\nlicense = \"MIT/Apache-2.0\"\n";
        check("Cargo.toml", cargo, "a", "1.2.3", "Apache-2.0 OR MIT");
        check("x/Cargo.toml", "[package]\nname = \"a\"\nlicense.workspace = true\n", "a", "", "above");
        check("Cargo.toml", "[workspace.package]\nlicense = \"ISC\"\n", "", "", "ISC");
        check("Cargo.toml", "[package]\nname = \"a\"\nlicense-file = \"X\"\n", "a", "", "nothing");
        check(
            "package.json",
            r#"{"name":"b","version":"1","license":"(MIT OR ISC)"}"#,
            "b",
            "1",
            "ISC OR MIT",
        );
        check("package.json", r#"{"name":"b","license":"SEE LICENSE IN X"}"#, "b", "", "? SEE LICENSE IN X");
        check("package.json", r#"{"license":{"type":"MIT"}}"#, "", "", "MIT");
        check(
            "alire.toml",
            "name = \"c\"\nversion = \"2\"\nlicenses = \"GPL-3.0-or-later\"\n",
            "c",
            "2",
            "GPL-3.0-or-later",
        );
        check("alire.toml", "name = \"c\"\nlicenses = [\"MIT\", \"ISC\"]\n", "c", "", "? MIT, ISC");
        check("pyproject.toml", "[project]\nname = \"d\"\nlicense = \"MIT\"\n", "d", "", "MIT");
        check("pyproject.toml", "[project]\nname = \"d\"\nlicense = {file = \"L\"}\n", "d", "", "nothing");
    }

    #[test]
    fn pythons_fields() {
        let fields =
            |fields: &str| format!("Metadata-Version: 2.4\nName: e\nVersion: 3\n{fields}\nLicense: body\n");
        let path = "e-3.dist-info/METADATA";
        check(path, &fields("License-Expression: Apache-2.0\n"), "e", "3", "Apache-2.0");
        check(path, &fields("License: Apache 2.0\n"), "e", "3", "Apache-2.0");
        check(path, &fields("License: BSD\n"), "e", "3", "? BSD");
        check(path, &fields("Classifier: License :: OSI Approved :: MIT License\n"), "e", "3", "MIT");
        let bsd = "License :: OSI Approved :: BSD License";
        check(path, &fields(&format!("Classifier: {bsd}\n")), "e", "3", &format!("? {bsd}"));
        check(path, &fields(""), "e", "3", "nothing");
    }
}
