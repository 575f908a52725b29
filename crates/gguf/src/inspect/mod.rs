//! What a model file is, before anything is admitted: read strictly, in Rust, without running any of it.
//!
//! [`inspect`] makes a description for persons and scripts: sizes, quantization, special tokens, what the publisher
//! states, the chat template taken apart, every metadata key, and what is unusual ([`Anomaly`]). It reads the header
//! twice (once for the strict checks, once for what arrays hold), then looks into tensors within limits. It judges
//! nothing: whether to admit the file is for persons to say. docs/inspection.md explains each anomaly.

mod anomalies;
mod known;
mod plain;
mod template;
mod tokens;
mod weights;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use serde::Serialize;

use self::anomalies::Anomalies;
pub use self::anomalies::{Anomaly, Code, Severity};
pub use self::plain::{is_invisible, plain, shortened};
pub use self::template::{Change, ChatTemplate, Constructs, DiffLine, template_diff};
use self::tokens::Sight;
pub use self::tokens::{Found, SpecialToken, Tokenizer};
pub use self::weights::Scanned;
use crate::{Gguf, GgufError, Value};

/// What stands for the publisher's statement on training data, where there is none.
pub const UNDISCLOSED: &str = "undisclosed";

/// Version of the description's format.
pub const SCHEMA: u32 = 1;
const VALUE_CHARACTERS_MAX: usize = 80;
/// The longest statement that is shown in full.
const STATED_CHARACTERS_MAX: usize = 1000;
const CONTEXT_TOKENS_MAX: u64 = 16 << 20;
const ALIGNMENT_USUAL: u64 = 32;
/// More types than quantizers mix.
const TYPES_USUAL: usize = 6;
const TEMPLATE: &str = "tokenizer.chat_template";

/// A description of a model file. Its texts are fit for terminals, but for those of chat templates and of
/// [`Anomaly::text`], which are as they are in the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Length of the file.
    pub file_bytes: u64,
    /// 2 or 3.
    pub gguf_version: u32,
    /// Tensors begin at multiples of it.
    pub alignment: u64,
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// What is unusual, warnings first.
    pub anomalies: Vec<Anomaly>,
    /// How large it is.
    pub sizes: Sizes,
    /// Tensors by type, most bytes first.
    pub quantization: Vec<TypeUse>,
    /// The vocabulary.
    pub tokenizer: Tokenizer,
    /// What the publisher states.
    pub stated: Stated,
    /// The chat template that serves, then others.
    pub chat_templates: Vec<ChatTemplate>,
    /// Every key.
    pub metadata: Vec<Metadatum>,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<TensorRow>,
    /// What was looked into.
    pub scanned: Scanned,
}

/// How large a model is; absent where it does not say, or says it for each layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Numbers in all tensors.
    pub parameters: u64,
    /// Tensors.
    pub tensors: u64,
    /// Bytes of all tensors.
    pub weights_bytes: u64,
    /// Layers.
    pub layers: Option<u64>,
    /// Attention heads.
    pub heads: Option<u64>,
    /// Heads of keys and values.
    pub heads_kv: Option<u64>,
    /// Numbers that stand for a token.
    pub embedding: Option<u64>,
    /// Numbers within a layer.
    pub feed_forward: Option<u64>,
    /// Experts of a mixture.
    pub experts: Option<u64>,
    /// Experts that a token uses.
    pub experts_used: Option<u64>,
    /// Tokens of the vocabulary.
    pub vocabulary: u64,
    /// Tokens of context it was trained for.
    pub context_tokens: Option<u64>,
}

/// The tensors of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeUse {
    /// ggml's name.
    pub name: &'static str,
    /// Tensors.
    pub tensors: u64,
    /// Numbers.
    pub elements: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorRow {
    /// Its name.
    pub name: String,
    /// ggml's name of its type.
    pub kind: &'static str,
    /// Lengths, fastest first.
    pub dimensions: Vec<u64>,
    /// Bytes.
    pub bytes: u64,
}

/// What the publisher states of origin and terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stated {
    /// `general.license`.
    pub licence: Option<String>,
    /// `general.license.name`.
    pub licence_name: Option<String>,
    /// `general.license.link`.
    pub licence_link: Option<String>,
    /// Author, organization, addresses, source and so on: keys behind `general.`.
    pub publisher: BTreeMap<String, String>,
    /// Models that it was made from: keys behind `general.base_model.`.
    pub base_models: BTreeMap<String, String>,
    /// Data sets, as `general.datasets` lists them and `general.dataset.` describes them.
    pub datasets: Vec<String>,
    /// What is said of training data, or [`UNDISCLOSED`].
    pub training_data: String,
}

/// A metadata key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metadatum {
    /// The key.
    pub key: String,
    /// What its value is: `u`, `i`, `float`, `bool`, `string`, or of an array `[string; 3]`.
    pub kind: String,
    /// The value, shortened; of an array its first elements.
    pub value: String,
    /// Whether the format knows the key.
    pub known: bool,
}

/// Reads a file and describes it. Refused is what [`crate::read`] refuses, for the same reason.
pub fn inspect(source: &mut (impl Read + Seek)) -> Result<Inspection, GgufError> {
    let header = crate::read(source)?;
    let mut sight = Sight::new(&header);
    let again = crate::read_watched(source, &mut sight)?;
    let failed = |error: std::io::Error| GgufError { reason: error.into(), offset: 0 };
    // Somebody writes to it while it is read; NaN differs from itself, so only the tensors are compared.
    if again.tensors != header.tensors {
        return Err(failed(std::io::Error::other("it changes while it is read")));
    }
    let mut anomalies = Anomalies::default();
    let file_bytes = source.seek(SeekFrom::End(0)).map_err(failed)?;
    let scanned = weights::scan(source, &header, file_bytes, &mut anomalies).map_err(failed)?;
    source.seek(SeekFrom::Start(0)).map_err(failed)?;

    let sizes = sizes(&header);
    let quantization = quantization(&header);
    check_sizes(&header, &sizes, &mut anomalies);
    check_tensors(&header, &sizes, &quantization, &mut anomalies);
    let tokenizer = tokens::tokenizer(&header, &sight, &mut anomalies);
    let stated = stated(&header, &sight, &mut anomalies);
    let chat_templates = chat_templates(&header, &mut anomalies);
    let metadata = metadata(&header, &sight, &mut anomalies);
    let row = |tensor: &crate::Tensor| TensorRow {
        name: tensor.name.clone(),
        kind: tensor.kind_name(),
        dimensions: tensor.dimensions.clone(),
        bytes: tensor.bytes,
    };
    Ok(Inspection {
        schema: SCHEMA,
        file_bytes,
        gguf_version: header.version,
        alignment: header.alignment(),
        architecture: plain(header.architecture()),
        name: header.name().map(|name| shortened(name, STATED_CHARACTERS_MAX)),
        anomalies: anomalies.sorted(),
        sizes,
        quantization,
        tokenizer,
        stated,
        chat_templates,
        metadata,
        tensors: header.tensors.iter().map(row).collect(),
        scanned,
    })
}

impl Inspection {
    /// Whether there is anything that somebody should look at.
    pub fn has_warnings(&self) -> bool {
        self.anomalies.iter().any(|anomaly| anomaly.severity >= Severity::Warning)
    }

    /// The template that serves.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_templates.iter().find(|template| template.name == "default")
    }
}

fn sizes(header: &Gguf) -> Sizes {
    let number = |name: &str| match header.metadata.get(&format!("{}.{name}", header.architecture()))? {
        Value::Unsigned(number) => Some(*number),
        _ => None,
    };
    Sizes {
        // Each is below 2^63 and there are 65 536 at most, but their bytes lie in the file: neither sum is near.
        parameters: header.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.elements())),
        tensors: header.tensors.len() as u64,
        weights_bytes: header.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.bytes)),
        layers: number("block_count"),
        heads: number("attention.head_count"),
        heads_kv: number("attention.head_count_kv"),
        embedding: number("embedding_length"),
        feed_forward: number("feed_forward_length"),
        experts: number("expert_count"),
        experts_used: number("expert_used_count"),
        vocabulary: header.vocabulary(),
        context_tokens: header.context_length(),
    }
}

fn quantization(header: &Gguf) -> Vec<TypeUse> {
    let mut uses: Vec<TypeUse> = Vec::new();
    for tensor in &header.tensors {
        let name = tensor.kind_name();
        let at = uses.iter().position(|known| known.name == name).unwrap_or_else(|| {
            uses.push(TypeUse { name, tensors: 0, elements: 0, bytes: 0 });
            uses.len() - 1
        });
        uses[at].tensors += 1;
        uses[at].elements = uses[at].elements.saturating_add(tensor.elements());
        uses[at].bytes = uses[at].bytes.saturating_add(tensor.bytes);
    }
    uses.sort_by_key(|known| std::cmp::Reverse(known.bytes));
    uses
}

fn check_sizes(header: &Gguf, sizes: &Sizes, anomalies: &mut Anomalies) {
    match sizes.context_tokens {
        Some(tokens) if (1..=CONTEXT_TOKENS_MAX).contains(&tokens) => {}
        Some(tokens) => {
            anomalies.warn(Code::ContextLength, format!("the context length is {tokens} tokens"));
        }
        None => anomalies.note(Code::ContextLength, "no context length is stated"),
    }
    let alignment = header.alignment();
    if alignment != ALIGNMENT_USUAL {
        anomalies.note(Code::Alignment, format!("tensors are aligned to {alignment} bytes"));
    }
    let mismatch = |anomalies: &mut Anomalies, what: &str, stated: u64, found: u64| {
        let words = format!("{what} is {stated} by the metadata, {found} in the file");
        anomalies.warn(Code::DimensionMismatch, words);
    };
    if let Some(embedding) = header.tensors.iter().find(|tensor| tensor.name == "token_embd.weight") {
        let row = embedding.dimensions[0];
        let rows = embedding.dimensions.get(1).copied().unwrap_or(1);
        if let Some(stated) = sizes.embedding.filter(|&stated| stated != row) {
            mismatch(anomalies, "the embedding's length", stated, row);
        }
        if rows != sizes.vocabulary {
            mismatch(anomalies, "the vocabulary", sizes.vocabulary, rows);
        }
    }
    if let Some(Value::Unsigned(stated)) =
        header.metadata.get(&format!("{}.vocab_size", header.architecture()))
        && *stated != sizes.vocabulary
    {
        mismatch(anomalies, "the number of tokens", *stated, sizes.vocabulary);
    }
}

fn check_tensors(header: &Gguf, sizes: &Sizes, quantization: &[TypeUse], anomalies: &mut Anomalies) {
    for crate::Tensor { name, .. } in &header.tensors {
        if !known::tensor(name, sizes.layers) {
            anomalies.warn(Code::TensorName, format!("no model is known to have a tensor {name}"));
        }
    }
    for TypeUse { name, tensors, .. } in quantization {
        match *name {
            "Q8_1" | "Q8_K" | "F64" | "I8" | "I16" => anomalies.warn(
                Code::TensorType,
                format!("{tensors} tensors are {name}, which is for results in between, not for weights"),
            ),
            "I32" | "I64" => anomalies.note(Code::TensorType, format!("{tensors} tensors are {name}")),
            _ => {}
        }
    }
    if quantization.len() > TYPES_USUAL {
        let words = format!("{} types of tensors are mixed", quantization.len());
        anomalies.note(Code::TensorType, words);
    }
}

fn stated(header: &Gguf, sight: &Sight, anomalies: &mut Anomalies) -> Stated {
    let mut stated = Stated::default();
    for (key, value) in &header.metadata {
        let Some(key) = key.strip_prefix("general.") else { continue };
        let text = match value {
            Value::String(text) => shortened(text, STATED_CHARACTERS_MAX),
            Value::Array { .. } if key == "datasets" => {
                let elements = sight.elements.get("general.datasets");
                stated.datasets.extend(elements.into_iter().flatten().map(element));
                continue;
            }
            _ => continue,
        };
        let is_dataset = key == "datasets" || key.starts_with("dataset.");
        match key {
            "architecture" | "name" | "type" => {}
            "license" => stated.licence = Some(text),
            "license.name" => stated.licence_name = Some(text),
            "license.link" => stated.licence_link = Some(text),
            _ if is_dataset => stated.datasets.push(text),
            _ => match key.strip_prefix("base_model.") {
                Some(key) => drop(stated.base_models.insert(key.to_owned(), text)),
                None => drop(stated.publisher.insert(key.to_owned(), text)),
            },
        }
    }
    if stated.licence.is_none() && stated.licence_name.is_none() && stated.licence_link.is_none() {
        anomalies.note(Code::NoLicence, "the file states no licence");
    }
    stated.training_data =
        if stated.datasets.is_empty() { UNDISCLOSED.to_owned() } else { stated.datasets.join(", ") };
    stated
}

fn chat_templates(header: &Gguf, anomalies: &mut Anomalies) -> Vec<ChatTemplate> {
    let mut templates = Vec::new();
    let default = header.chat_template().filter(|text| !text.trim().is_empty());
    match default {
        Some(text) => templates.push(template::look("default", text, anomalies)),
        None => {
            anomalies.note(Code::NoChatTemplate, "there is no chat template: it completes, it does not chat")
        }
    }
    for (key, value) in &header.metadata {
        let name = key.strip_prefix(TEMPLATE).and_then(|rest| rest.strip_prefix('.'));
        // A template named like the first would be taken for it.
        if let (Some(name), Value::String(text)) = (name, value) {
            let name = if name == "default" { format!("{key} (not the default)") } else { name.to_owned() };
            templates.push(template::look(&name, text, anomalies));
        }
    }
    if templates.len() > 1 {
        let names: Vec<&str> = templates.iter().map(|template| &*template.name).collect();
        let names = shortened(&names.join(", "), STATED_CHARACTERS_MAX);
        let words = format!("there are {} chat templates ({names}): only `default` serves", templates.len());
        anomalies.note(Code::SeveralChatTemplates, words);
    }
    templates
}

fn metadata(header: &Gguf, sight: &Sight, anomalies: &mut Anomalies) -> Vec<Metadatum> {
    let mut rows = Vec::new();
    for (key, value) in &header.metadata {
        let known = known::metadata(key, header.architecture());
        if !known {
            anomalies.note(Code::MetadataUnknown, format!("the format does not know the key {key}"));
        }
        let elements = sight.elements.get(key).map(Vec::as_slice).unwrap_or_default();
        // Spellings of tokens may be anything, and templates were looked at.
        if !key.starts_with("tokenizer.ggml.") && !key.starts_with(TEMPLATE) {
            for text in [value].into_iter().chain(elements) {
                if let Value::String(text) = text
                    && let Some(c) = plain::first_invisible(text)
                {
                    let words = format!("{key} holds U+{:04X}, which cannot be seen", u32::from(c));
                    anomalies.warn(Code::InvisibleCharacters, words);
                    break;
                }
            }
        }
        let (kind, value) = match value {
            Value::Array { element: kind, len } => {
                let shown = &elements[..elements.len().min(5)];
                let mut text = shown.iter().map(element).collect::<Vec<_>>().join(", ");
                if *len > shown.len() as u64 && !shown.is_empty() {
                    text.push_str(", …");
                }
                (format!("[{}; {len}]", element_kind(*kind)), shortened(&text, VALUE_CHARACTERS_MAX))
            }
            Value::Unsigned(number) => ("u".to_owned(), number.to_string()),
            Value::Signed(number) => ("i".to_owned(), number.to_string()),
            Value::Float(number) => ("float".to_owned(), number.to_string()),
            Value::Bool(value) => ("bool".to_owned(), value.to_string()),
            Value::String(text) => ("string".to_owned(), shortened(text, VALUE_CHARACTERS_MAX)),
        };
        rows.push(Metadatum { key: key.clone(), kind, value, known });
    }
    rows
}

/// An element of an array for display.
fn element(value: &Value) -> String {
    match value {
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::String(text) => shortened(text, VALUE_CHARACTERS_MAX),
        Value::Array { .. } => String::new(),
    }
}

fn element_kind(kind: u32) -> &'static str {
    match kind {
        0 => "u8",
        1 => "i8",
        2 => "u16",
        3 => "i16",
        4 => "u32",
        5 => "i32",
        6 => "f32",
        7 => "bool",
        8 => "string",
        10 => "u64",
        11 => "i64",
        12 => "f64",
        _ => "?",
    }
}
