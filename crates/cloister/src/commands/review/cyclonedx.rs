//! A release's bill of materials (CycloneDX, JSON) with the lines of the assistant: an annotation of its component, a property
//! for each range, and a reference to the attestation that has the proofs.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::file;
use crate::review::{Decided, Table};
use crate::sarif;

/// The longest bill.
const BILL_BYTES_MAX: u64 = 256 << 20;
/// The longest attestation.
const ATTESTATION_BYTES_MAX: u64 = 64 << 20;

/// A bill that annotations can be added to: they are there from 1.5 on.
pub(super) fn read(path: &Path) -> Result<Value, Failure> {
    let wrong = |what: &str| Failure::usage(format!("{}: {what}", path.display()));
    let bytes = file::read(path, BILL_BYTES_MAX)?;
    let bill: Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong("it is no JSON").caused_by(&error))?;
    let version = bill["specVersion"].as_str().and_then(|version| version.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if bill["bomFormat"] != "CycloneDX" || version < Some((1_u32, 5_u32)) {
        return Err(wrong("it is no bill of materials of CycloneDX 1.5 or later, in JSON"));
    }
    if bill["metadata"]["component"]["bom-ref"].as_str().is_none() {
        return Err(wrong("its metadata.component, which is what was released, has no bom-ref"));
    }
    Ok(bill)
}

/// A reference to an attestation, which lies beside the bill.
pub(super) fn reference(path: &Path) -> Result<Value, Failure> {
    let bytes = file::read(path, ATTESTATION_BYTES_MAX)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::usage(format!("{} has no name", path.display())))?;
    let digest = protocol::digest::hex(&Sha256::digest(&bytes));
    Ok(json!({
        "type": "attestation",
        "url": sarif::uri(name),
        "comment": "urn:cloister:ai-code-provenance/v1, in-toto in DSSE",
        "hashes": [{ "alg": "SHA-256", "content": digest }],
    }))
}

pub(super) fn annotated(
    mut bill: Value,
    table: &Table,
    ranges: &[Decided],
    attestation: Option<Value>,
) -> Result<Value, Failure> {
    let property = |name: &str, value: String| json!({ "name": format!("cloister:{name}"), "value": value });
    let mut properties = vec![
        property("commit", table.head.clone()),
        property("tree", table.tree.clone()),
        property("log", format!("{}, {} leaves", table.slice.origin, table.slice.leaves)),
    ];
    properties.extend(
        table.lines.iter().map(|(grade, lines)| property(&format!("lines:{grade}"), lines.to_string())),
    );
    for range in ranges.iter().filter(|range| range.row.grade.is_ai()) {
        let row = &range.row;
        let mut value = format!("{}:{}-{} {}", row.path, row.first, row.last, row.grade.name());
        if let Some(answer) = &row.answer {
            value.push_str(&format!(" record {} leaf {}", answer.record, answer.leaf));
            answer.model.iter().for_each(|model| value.push_str(&format!(" model {model}")));
        }
        range.digest.iter().for_each(|digest| value.push_str(&format!(" digest {digest}")));
        properties.push(property("range", value));
    }
    let lines: Vec<String> = table.lines.iter().map(|(grade, lines)| format!("{lines} {grade}")).collect();
    let subject = bill["metadata"]["component"]["bom-ref"].clone();
    let annotation = json!({
        "bom-ref": format!("cloister:{}", table.head),
        "subjects": [subject],
        "annotator": { "component": {
            "type": "application", "name": "cloister", "version": env!("CARGO_PKG_VERSION"),
        } },
        "timestamp": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "text": format!("Lines of the assistant in commit {}: {}", table.head, lines.join(", ")),
    });
    add(&mut bill["annotations"], vec![annotation])?;
    let component = &mut bill["metadata"]["component"];
    add(&mut component["properties"], properties)?;
    if let Some(attestation) = attestation {
        add(&mut component["externalReferences"], vec![attestation])?;
    }
    // A bill that was changed is another version of it.
    let version = bill["version"].as_u64().unwrap_or(1).saturating_add(1);
    bill["version"] = json!(version);
    Ok(bill)
}

/// Adds to a list, which need not be there yet.
fn add(list: &mut Value, more: Vec<Value>) -> Result<(), Failure> {
    if list.is_null() {
        *list = json!([]);
    }
    let list = list.as_array_mut();
    list.ok_or_else(|| Failure::usage("the bill of materials has something else where a list should be"))?
        .extend(more);
    Ok(())
}
