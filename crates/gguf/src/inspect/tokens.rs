//! Tokens with a meaning of their own: by their metadata keys, or by spellings that llama.cpp knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::anomalies::{Anomalies, Code};
use super::plain::{plain, shortened};
use crate::{Gguf, Value, Watch};

const PREFIX: &str = "tokenizer.ggml.";
const SUFFIX: &str = "_token_id";
const SPELLING_CHARACTERS_MAX: usize = 64;
/// First elements of an array that are kept for display.
pub(super) const ELEMENTS_KEPT: u64 = 8;
/// Of the publisher's own lists: data sets, languages, tags.
const STATED_KEPT: u64 = 64;
const TYPES: &str = "tokenizer.ggml.token_type";

/// Spellings by which llama.cpp finds a role that no metadata key names.
const SPELLINGS: &[(&str, &[&str])] = &[
    (
        "eot",
        &[
            "<|eot_id|>",
            "<|im_end|>",
            "<|end|>",
            "<end_of_turn>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<EOT>",
            "_<EOT>",
            "[EOT]",
            "<｜end▁of▁sentence｜>",
            "<end_of_utterance>",
        ],
    ),
    (
        "fim_pre",
        &[
            "<|fim_prefix|>",
            "<fim-prefix>",
            "<fim_prefix>",
            "<｜fim▁begin｜>",
            "<PRE>",
            "▁<PRE>",
            "<|code_prefix|>",
            "<|prefix|>",
        ],
    ),
    (
        "fim_suf",
        &[
            "<|fim_suffix|>",
            "<fim-suffix>",
            "<fim_suffix>",
            "<｜fim▁hole｜>",
            "<SUF>",
            "▁<SUF>",
            "<|code_suffix|>",
            "<|suffix|>",
        ],
    ),
    (
        "fim_mid",
        &[
            "<|fim_middle|>",
            "<fim-middle>",
            "<fim_middle>",
            "<｜fim▁end｜>",
            "<MID>",
            "▁<MID>",
            "<|code_middle|>",
            "<|middle|>",
        ],
    ),
    ("fim_pad", &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"]),
    ("fim_rep", &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"]),
    ("fim_sep", &["<|file_sep|>"]),
];

/// The vocabulary, and what of it has a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tokenizer {
    /// `tokenizer.ggml.model`.
    pub model: Option<String>,
    /// How text is cut before it is tokenized: `tokenizer.ggml.pre`.
    pub pre: Option<String>,
    /// Tokens.
    pub tokens: u64,
    /// Tokens by the vocabulary's own sorts; empty where it states none.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Begin, end, padding and so on.
    pub special: Vec<SpecialToken>,
    /// What surrounds a hole to fill.
    pub fill: Vec<SpecialToken>,
}

/// A token with a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpecialToken {
    /// What it means, as the metadata key calls it.
    pub role: String,
    /// Its number.
    pub id: u64,
    /// Its spelling, shortened and fit for terminals.
    pub spelling: String,
    /// The vocabulary's sort of it.
    pub kind: Option<&'static str>,
    /// How it was found.
    pub found: Found,
}

/// How the meaning of a token is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A metadata key names it.
    Metadata,
    /// It has a spelling that llama.cpp knows.
    Spelling,
}

/// What is kept of the arrays.
pub(super) struct Sight {
    wanted_ids: BTreeSet<u64>,
    wanted_spellings: HashMap<&'static [u8], &'static str>,
    spellings: BTreeMap<u64, String>,
    /// By their spelling.
    found: BTreeMap<&'static str, u64>,
    types: Vec<u8>,
    /// First elements by key.
    pub(super) elements: BTreeMap<String, Vec<Value>>,
}

impl Sight {
    /// Looks for what `header` names.
    pub(super) fn new(header: &Gguf) -> Sight {
        let spellings = SPELLINGS.iter().flat_map(|(_, spellings)| *spellings);
        Sight {
            wanted_ids: roles(header).into_iter().map(|(_, id)| id).collect(),
            wanted_spellings: spellings.map(|&spelling| (spelling.as_bytes(), spelling)).collect(),
            spellings: BTreeMap::new(),
            found: BTreeMap::new(),
            types: Vec::new(),
            elements: BTreeMap::new(),
        }
    }

    fn kind(&self, id: u64) -> Option<&'static str> {
        self.types.get(usize::try_from(id).ok()?).map(|&kind| kind_name(kind))
    }

    fn token(&self, role: &str, id: u64, found: Found) -> SpecialToken {
        let spelling = self.spellings.get(&id).cloned().unwrap_or_default();
        SpecialToken { role: role.to_owned(), id, spelling, kind: self.kind(id), found }
    }
}

impl Watch for Sight {
    fn wanted(&self, key: &str) -> u64 {
        match key {
            TYPES => u64::MAX,
            _ if key.starts_with("general.") => STATED_KEPT,
            _ => ELEMENTS_KEPT,
        }
    }

    fn element(&mut self, key: &str, number: u64, element: Value) {
        if let (TYPES, Value::Signed(kind)) = (key, &element) {
            self.types.push(u8::try_from(*kind).unwrap_or(u8::MAX));
        }
        if key != TYPES || number < ELEMENTS_KEPT {
            self.elements.entry(key.to_owned()).or_default().push(element);
        }
    }

    fn token(&mut self, number: u64, spelling: &[u8]) {
        let known = self.wanted_spellings.get(spelling).copied();
        if let Some(known) = known {
            self.found.entry(known).or_insert(number);
        }
        if number < ELEMENTS_KEPT {
            let text = Value::String(String::from_utf8_lossy(spelling).into_owned());
            self.element("tokenizer.ggml.tokens", number, text);
        }
        if known.is_some() || self.wanted_ids.contains(&number) {
            let text = String::from_utf8_lossy(spelling);
            self.spellings.insert(number, shortened(&text, SPELLING_CHARACTERS_MAX));
        }
    }
}

/// Roles that metadata keys give, with their tokens.
fn roles(header: &Gguf) -> Vec<(String, u64)> {
    let role = |(key, value): (&String, &Value)| {
        let role = key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let id = match value {
            Value::Unsigned(id) => *id,
            // -1 is none.
            Value::Signed(id) => u64::try_from(*id).ok()?,
            _ => return None,
        };
        // Keys of old files.
        let role = match role {
            "prefix" => "fim_pre",
            "suffix" => "fim_suf",
            "middle" => "fim_mid",
            role => role,
        };
        Some((role.to_owned(), id))
    };
    header.metadata.iter().filter_map(role).collect()
}

pub(super) fn tokenizer(header: &Gguf, sight: &Sight, anomalies: &mut Anomalies) -> Tokenizer {
    let mut tokens: Vec<SpecialToken> =
        roles(header).iter().map(|(role, id)| sight.token(role, *id, Found::Metadata)).collect();
    for (role, spellings) in SPELLINGS {
        if tokens.iter().any(|token| token.role == *role) {
            continue;
        }
        let found = spellings.iter().find_map(|spelling| sight.found.get(spelling));
        tokens.extend(found.map(|&id| sight.token(role, id, Found::Spelling)));
    }
    check(&tokens, anomalies);
    if header.chat_template().is_some() && !tokens.iter().any(|token| matches!(&*token.role, "eos" | "eot")) {
        anomalies.warn(Code::NoEndOfText, "there is a chat template, but no token is known to end an answer");
    }
    let mut kinds = BTreeMap::new();
    for &kind in &sight.types {
        *kinds.entry(kind_name(kind)).or_default() += 1;
    }
    let (fill, special) = tokens.into_iter().partition(|token| token.role.starts_with("fim_"));
    let text = |key| header.string(key).map(plain);
    Tokenizer {
        model: text("tokenizer.ggml.model"),
        pre: text("tokenizer.ggml.pre"),
        tokens: header.vocabulary(),
        kinds,
        special,
        fill,
    }
}

fn check(tokens: &[SpecialToken], anomalies: &mut Anomalies) {
    let mut by_id: BTreeMap<u64, Vec<&SpecialToken>> = BTreeMap::new();
    for token in tokens {
        let SpecialToken { role, id, spelling, kind, found } = token;
        if *found == Found::Metadata {
            by_id.entry(*id).or_default().push(token);
        }
        if !looks_special(spelling) {
            anomalies.warn(
                Code::SpecialTokenText,
                format!("the {} token, {id}, is spelled `{spelling}`, like ordinary text", plain(role)),
            );
        } else if kind.is_some_and(|kind| !matches!(kind, "control" | "unknown" | "unused" | "user-defined"))
        {
            let kind = kind.unwrap_or_default();
            anomalies.note(
                Code::SpecialTokenKind,
                format!(
                    "the {} token, {id} `{spelling}`, is {kind} in the vocabulary, not control",
                    plain(role)
                ),
            );
        }
    }
    for (id, shared) in by_id.into_iter().filter(|(_, shared)| shared.len() > 1) {
        let roles: Vec<String> = shared.iter().map(|token| plain(&token.role)).collect();
        anomalies.note(
            Code::SpecialTokenShared,
            format!("token {id} `{}` is {} at once", shared[0].spelling, roles.join(" and ")),
        );
    }
}

/// Spellings that no text has by chance: in brackets of some sort.
fn looks_special(spelling: &str) -> bool {
    let inner = spelling.trim_start_matches(['▁', '_']);
    spelling.chars().count() > 2
        && (inner.starts_with('<') && spelling.ends_with('>')
            || inner.starts_with('[') && spelling.ends_with([']', '[']))
}

fn kind_name(kind: u8) -> &'static str {
    match kind {
        1 => "normal",
        2 => "unknown",
        3 => "control",
        4 => "user-defined",
        5 => "unused",
        6 => "byte",
        _ => "undefined",
    }
}
