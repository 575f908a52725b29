//! A bill of materials for weights that come without one: CycloneDX 1.6, with one machine-learning model.
//!
//! It states what the GGUF file states of itself, and no more. The same weights give the same bytes: no
//! time is in it, and its serial number is made of the weights' digest.

use protocol::Digest;
use protocol::digest::hex;
use serde_json::{Map, Value, json};

use super::names::shown;
use crate::object::{Kind, Name};
use gguf::Gguf;

/// What it is of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: &'a Name,
    /// Which one of that name.
    pub version: &'a Name,
    /// As an SPDX expression or the publisher's words, where stated.
    pub licence: Option<&'a str>,
    /// The statement on training data.
    pub training_data: &'a str,
    /// The weights' name in the bundle.
    pub file: &'a str,
    /// SHA-256 of the weights.
    pub digest: Digest,
    /// Their length.
    pub bytes: u64,
}

/// The file's bytes.
pub fn cyclonedx(subject: &Subject<'_>, header: &Gguf) -> Vec<u8> {
    let reference = format!("sha256:{}", subject.digest.hex());
    let mut component = Map::new();
    let mut put = |key: &str, value: Value| drop(component.insert(key.to_owned(), value));
    put("type", json!("machine-learning-model"));
    put("bom-ref", json!(reference));
    let stated = |keys: &[&str]| keys.iter().find_map(|key| header.string(key)).map(shown);
    if let Some(organization) = stated(&["general.organization", "general.author"]) {
        put("publisher", json!(organization));
    }
    put("name", json!(subject.name));
    put("version", json!(subject.version));
    if let Some(description) = stated(&["general.description", "general.name"]) {
        put("description", json!(description));
    }
    put("hashes", json!([{ "alg": "SHA-256", "content": subject.digest.hex() }]));
    let own = stated(&["general.license"]);
    if let Some(licence) = subject.licence {
        put("licenses", json!([{ "license": { "name": shown(licence) } }]));
    } else if let Some(licence) = own {
        put("licenses", json!([{ "license": { "name": licence } }]));
    }
    if let Some(source) = stated(&["general.source.url", "general.repo_url", "general.url"]) {
        put("externalReferences", json!([{ "type": "distribution", "url": source }]));
    }
    put("modelCard", model_card(subject, header));
    put("properties", properties(subject, header));
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&subject.digest)),
        "version": 1,
        "metadata": { "component": component },
    });
    // Strings, numbers and lists: nothing of them can fail.
    let mut bytes = serde_json::to_vec_pretty(&bom).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn model_card(subject: &Subject<'_>, header: &Gguf) -> Value {
    let mut parameters = Map::new();
    parameters.insert("architectureFamily".to_owned(), json!(shown(header.architecture())));
    if let Some(name) = header.name() {
        parameters.insert("modelArchitecture".to_owned(), json!(shown(name)));
    }
    let outputs = if subject.kind == Kind::Embedding { "embedding" } else { "text" };
    parameters.insert("inputs".to_owned(), json!([{ "format": "text" }]));
    parameters.insert("outputs".to_owned(), json!([{ "format": outputs }]));
    json!({ "modelParameters": parameters })
}

/// What CycloneDX has no field for.
fn properties(subject: &Subject<'_>, header: &Gguf) -> Value {
    let kind = json!(subject.kind);
    let parameters = header.tensors.iter().fold(0_u64, |sum, tensor| {
        let elements =
            tensor.dimensions.iter().fold(1_u64, |product, &length| product.saturating_mul(length));
        sum.saturating_add(elements)
    });
    let mut all = vec![
        ("cloister:kind", kind.as_str().unwrap_or_default().to_owned()),
        ("cloister:file", subject.file.to_owned()),
        ("cloister:bytes", subject.bytes.to_string()),
        ("cloister:training_data", shown(subject.training_data)),
        ("gguf:version", header.version.to_string()),
        ("gguf:parameters", parameters.to_string()),
        ("gguf:vocabulary", header.vocabulary().to_string()),
    ];
    if let Some(tokens) = header.context_length() {
        all.push(("gguf:context_length", tokens.to_string()));
    }
    if let Some(gguf::Value::Unsigned(number)) = header.metadata.get("general.file_type") {
        all.push(("gguf:file_type", number.to_string()));
    }
    Value::Array(all.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect())
}

/// A UUID of version 8 (RFC 9562): the digest's first bytes.
fn uuid(digest: &Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let [a, b, c, d, e] = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(hex);
    format!("{a}-{b}-{c}-{d}-{e}")
}
