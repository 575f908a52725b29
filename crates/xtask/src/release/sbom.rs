//! A program's bill of materials: CycloneDX 1.6, as JSON.

use std::process::Command;

use serde_json::{Value, json};

use super::{
    ENGINE, Source, compile,
    graph::{Graphs, Id},
    native::{Component, encoded},
};
use crate::{failure::Failure, process::output_of};

/// The compilers, as they state themselves.
pub(super) struct Compilers {
    rust: String,
    cpp: String,
    date: String,
}

impl Compilers {
    pub(super) fn of(source: &Source) -> Result<Compilers, Failure> {
        let date = format!("@{}", source.epoch_s);
        let date = output_of(Command::new("date").args(["--utc", "--date", &date, "+%Y-%m-%dT%H:%M:%SZ"]))?;
        Ok(Compilers {
            rust: compile::version_of("rustc")?,
            cpp: compile::version_of("g++")?,
            date: date.trim().to_owned(),
        })
    }
}

/// The bill of a program whose file has that SHA-256, in hexadecimal. `brought` is what crates bring, `linked` what
/// the toolchain does.
pub(super) fn bill(
    program: &'static str,
    sha256: &str,
    graphs: &Graphs,
    brought: &[Component],
    linked: &[Component],
    compilers: &Compilers,
) -> Value {
    let graph = &graphs.programs[program];
    let root = graph.keys().find(|id| id.0 == program).expect("a graph holds its own program");
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (id, below) in graph {
        let brings = brought.iter().filter(|component| component.brought_by.as_ref() == Some(id));
        let brings: Vec<&Component> = brings.collect();
        let mut depends_on: Vec<String> = below.iter().map(reference).collect();
        depends_on.extend(brings.iter().map(|component| component_reference(component)));
        if id == root {
            depends_on.extend(linked.iter().map(component_reference));
        } else {
            components.push(of_crate(id, graphs));
        }
        dependencies.push(json!({ "ref": reference(id), "dependsOn": depends_on }));
        components.extend(brings.into_iter().map(of_component));
    }
    components.extend(linked.iter().map(of_component));
    let mut own = of_crate(root, graphs);
    own["type"] = json!("application");
    own["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(sha256),
        "version": 1,
        "metadata": {
            "timestamp": compilers.date,
            "component": own,
            "properties": [
                { "name": "cloister:linkage", "value": if program == ENGINE { "static" } else { "dynamic" } },
                { "name": "cloister:rustc", "value": compilers.rust },
                { "name": "cloister:g++", "value": compilers.cpp },
            ],
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn of_crate(id: &Id, graphs: &Graphs) -> Value {
    let known = &graphs.crates[id];
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(id),
        "name": id.0,
        "version": id.1,
    });
    if let Some(licence) = &known.licence {
        component["licenses"] = json!([{ "expression": expression(licence) }]);
    }
    if let Some(checksum) = &known.checksum {
        component["purl"] = json!(format!("pkg:cargo/{}@{}", id.0, encoded(&id.1)));
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn of_component(known: &Component) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": component_reference(known),
        "name": known.name,
        "version": known.version,
        "licenses": [{ "expression": expression(&known.licence) }],
    });
    if let Some(purl) = &known.purl {
        component["purl"] = json!(purl);
    }
    component
}

fn reference(id: &Id) -> String {
    format!("{} {}", id.0, id.1)
}

fn component_reference(component: &Component) -> String {
    format!("{} {}", component.name, component.version)
}

/// Old manifests write `MIT/Apache-2.0`.
fn expression(licence: &str) -> String {
    if licence.contains(" OR ") { licence.to_owned() } else { licence.replace('/', " OR ") }
}

/// The same program has the same number: a UUID of the eighth kind (RFC 9562), whose bits are its maker's.
fn serial_number(sha256: &str) -> String {
    let digits = |range| sha256.get(range).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        digits(0..8),
        digits(8..12),
        digits(12..15),
        digits(15..18),
        digits(18..30)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::release::graph::Crate;

    #[test]
    fn a_bill_names_crates_and_what_they_bring() {
        let id = |name: &str| (name.to_owned(), "1.0.0+x".to_owned());
        let known = |checksum: Option<&str>| Crate {
            licence: Some("MIT/Apache-2.0".into()),
            folder: "/x".into(),
            licence_file: None,
            checksum: checksum.map(str::to_owned),
        };
        let crates = BTreeMap::from([(id("cloister"), known(None)), (id("zlib-sys"), known(Some("ab")))]);
        let graph = BTreeMap::from([
            (id("cloister"), BTreeSet::from([id("zlib-sys")])),
            (id("zlib-sys"), BTreeSet::new()),
        ]);
        let graphs = Graphs { crates, programs: BTreeMap::from([("cloister", graph)]) };
        let component = |name: &str, brought_by| Component {
            name: name.into(),
            version: "3".into(),
            licence: "Zlib".into(),
            purl: None,
            brought_by,
            texts: Vec::new(),
        };
        let (brought, linked) = ([component("zlib", Some(id("zlib-sys")))], [component("std", None)]);
        let compilers = Compilers { rust: "r".into(), cpp: "c".into(), date: "2026-01-01T00:00:00Z".into() };
        let bill = bill("cloister", &"0123456789abcdef".repeat(4), &graphs, &brought, &linked, &compilers);
        assert_eq!(bill["serialNumber"], "urn:uuid:01234567-89ab-8cde-af01-23456789abcd");
        let names: Vec<&str> =
            bill["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["zlib-sys", "zlib", "std"]);
        let dependency = &bill["components"][0];
        assert_eq!(dependency["purl"], "pkg:cargo/zlib-sys@1.0.0%2Bx");
        assert_eq!(dependency["hashes"][0]["content"], "ab");
        assert_eq!(dependency["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"][0]["dependsOn"], json!(["zlib-sys 1.0.0+x", "std 3"]));
        assert_eq!(bill["dependencies"][1]["dependsOn"], json!(["zlib 3"]));
        assert_eq!(bill["metadata"]["component"].get("purl"), None);
    }
}
