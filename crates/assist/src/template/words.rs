//! Words of people, as a template gets them: marks that stand for texts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use protocol::worker::Part;

use super::{TemplateError, bounds};
use crate::Json;

/// Opens and closes a mark around a text's number.
const MARK: char = '\u{f5a0c}';
/// Bytes of texts that a template can make of others.
const MADE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a prompt's texts: some bodies at their limit.
const PROMPT_BYTES_MAX: usize = 32 << 20;
/// Beyond what [`bounds::check`] lets in.
const TOJSON_DEPTH_MAX: usize = 64;

/// Words that templates look for in a schema, and that stand for nothing but themselves. All others are marked.
const SCHEMA_WORDS: &[&str] = &[
    "$defs",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "anyOf",
    "array",
    "boolean",
    "const",
    "default",
    "definitions",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "integer",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "not",
    "null",
    "number",
    "object",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "string",
    "title",
    "type",
    "uniqueItems",
];

/// The texts that marks stand for. Shared with the functions of the template, which make new ones of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    texts: Arc<Mutex<Texts>>,
}

#[derive(Debug, Default)]
struct Texts {
    list: Vec<Text>,
    /// Bytes of those that were made of others.
    made_bytes: usize,
}

#[derive(Debug)]
struct Text {
    text: String,
    /// The texts in it.
    of: Vec<usize>,
    /// What is lost where the template does not pass it through.
    needed: Option<Needed>,
}

/// What a template must pass through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
    Message,
    Call,
    Tool,
}

impl Words {
    /// The mark of a text. An empty one needs none.
    pub(super) fn mark(&self, text: &str, needed: Option<Needed>) -> Result<String, TemplateError> {
        if text.contains(MARK) {
            return Err(TemplateError::Reserved);
        }
        if text.is_empty() {
            return Ok(String::new());
        }
        Ok(self.add(Text { text: text.to_owned(), of: Vec::new(), needed }))
    }

    /// A client's JSON. Names and strings are marked, but for a schema's own words, where it is a schema.
    pub(super) fn json(&self, json: &Json, is_schema: bool) -> Result<Value, TemplateError> {
        let word = |text: &str| {
            if is_schema && SCHEMA_WORDS.contains(&text) {
                Ok(text.to_owned())
            } else {
                self.mark(text, None)
            }
        };
        Ok(match json {
            Json::Null => Value::from(()),
            Json::Bool(value) => Value::from(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(integer), _) => Value::from(integer),
                (None, Some(integer)) => Value::from(integer),
                (None, None) => Value::from(number.as_f64().unwrap_or_default()),
            },
            Json::Text(text) => Value::from(word(text)?),
            Json::List(items) => {
                let items = items.iter().map(|item| self.json(item, is_schema));
                Value::from(items.collect::<Result<Vec<Value>, _>>()?)
            }
            Json::Map(entries) => {
                let entries = entries.iter().map(|(name, value)| {
                    Ok::<_, TemplateError>((Value::from(word(name)?), self.json(value, is_schema)?))
                });
                ordered(entries.collect::<Result<_, _>>()?)
            }
        })
    }

    /// `tojson`, as the publishers' renderer has it, which is Python's: no escapes but those that JSON needs. Of a value with
    /// words of people in it, all of the JSON is theirs.
    pub(super) fn tojson(
        &self,
        state: &State<'_, '_>,
        value: &Value,
        indent: Option<Value>,
        arguments: &Kwargs,
    ) -> Result<Value, Error> {
        let value = bounds::check(state, value.clone())?;
        let named: Option<Value> = arguments.get("indent")?;
        let _ascii: Option<bool> = arguments.get("ensure_ascii")?;
        arguments.assert_all_used()?;
        let indent = named.or(indent).filter(|indent| !indent.is_none());
        let indent = indent.map(|indent| {
            let indent = usize::try_from(indent).ok().filter(|indent| *indent <= bounds::INDENT_MAX);
            indent.ok_or_else(|| invalid("an indent is larger than templates need"))
        });
        let mut json = String::new();
        write(&mut json, &value, indent.transpose()?, 0)?;
        state.consume_fuel(json.len() as u64 / 64)?;
        if !json.contains(MARK) {
            return Ok(Value::from(json));
        }
        let (mut text, mut of) = (String::with_capacity(json.len()), Vec::new());
        let mut texts = self.lock();
        for (index, piece) in json.split(MARK).enumerate() {
            if index % 2 == 0 {
                text.push_str(piece);
                continue;
            }
            let number = piece.parse::<usize>().ok().filter(|number| *number < texts.list.len());
            let number = number.ok_or_else(|| invalid("a text was cut"))?;
            of.push(number);
            text.push_str(&escaped(&texts.list[number].text));
            if texts.made_bytes + text.len() > MADE_BYTES_MAX {
                return Err(invalid("more JSON is made than templates need"));
            }
        }
        state.consume_fuel(text.len() as u64 / 64)?;
        texts.made_bytes += text.len();
        texts.list.push(Text { text, of, needed: None });
        Ok(Value::from(marked(texts.list.len() - 1)))
    }

    /// The pieces of what was rendered: the template's own words, and those of people.
    pub(super) fn cut(&self, rendered: &str) -> Result<Vec<Part>, TemplateError> {
        let texts = &self.lock().list;
        let mut seen = vec![false; texts.len()];
        let mut parts = Vec::new();
        let mut bytes = 0;
        for (index, piece) in rendered.split(MARK).enumerate() {
            if index % 2 == 0 {
                if !piece.is_empty() {
                    parts.push(Part::Template(piece.to_owned()));
                }
                continue;
            }
            let number = piece.parse::<usize>().ok().filter(|number| *number < texts.len());
            let number = number.ok_or(TemplateError::Mangled)?;
            seen[number] = true;
            bytes += texts[number].text.len();
            if bytes > PROMPT_BYTES_MAX {
                return Err(TemplateError::Refused(
                    "it repeats texts more often than templates need".to_owned(),
                ));
            }
            match parts.last_mut() {
                Some(Part::Text(text)) => text.push_str(&texts[number].text),
                _ => parts.push(Part::Text(texts[number].text.clone())),
            }
        }
        // A text is made of older ones.
        for number in (0..texts.len()).rev().filter(|&number| !texts[number].of.is_empty()) {
            if seen[number] {
                texts[number].of.iter().for_each(|&of| seen[of] = true);
            }
        }
        match texts.iter().zip(seen).find_map(|(text, seen)| text.needed.filter(|_| !seen)) {
            None => Ok(parts),
            Some(Needed::Message) => Err(TemplateError::Mangled),
            Some(Needed::Call) => Err(TemplateError::NoCalls),
            Some(Needed::Tool) => Err(TemplateError::NoTools),
        }
    }

    fn add(&self, text: Text) -> String {
        let mut texts = self.lock();
        texts.list.push(text);
        marked(texts.list.len() - 1)
    }

    fn lock(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn marked(number: usize) -> String {
    format!("{MARK}{number}{MARK}")
}

fn invalid(words: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, words)
}

/// A JSON string's inside.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

fn write(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) -> Result<(), Error> {
    if depth > TOJSON_DEPTH_MAX {
        return Err(invalid("a value is deeper than templates need"));
    }
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    let separator = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for item in value.try_iter()? {
                if !std::mem::replace(&mut empty, false) {
                    out.push_str(separator);
                }
                line(out, depth + 1);
                write(out, &item, indent, depth + 1)?;
            }
            if !empty {
                line(out, depth);
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            let mut empty = true;
            for key in value.try_iter()? {
                if !std::mem::replace(&mut empty, false) {
                    out.push_str(separator);
                }
                line(out, depth + 1);
                let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                out.push_str(&format!("\"{}\": ", escaped(&name)));
                write(out, &value.get_item(&key)?, indent, depth + 1)?;
            }
            if !empty {
                line(out, depth);
            }
            out.push('}');
        }
        ValueKind::String => out.push_str(&format!("\"{}\"", escaped(value.as_str().unwrap_or_default()))),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let number = serde_json::to_string(value).map_err(|_| invalid("a number is not finite"))?;
            out.push_str(&number);
        }
        ValueKind::None | ValueKind::Undefined => out.push_str("null"),
        _ => return Err(invalid("a value is no JSON")),
    }
    Ok(())
}

/// An object in its own order.
pub(super) fn ordered(entries: Vec<(Value, Value)>) -> Value {
    let names = entries.iter().map(|(name, _)| name.clone()).collect();
    Value::from_object(Ordered { names, values: entries.into_iter().collect() })
}

#[derive(Debug)]
struct Ordered {
    names: Vec<Value>,
    values: BTreeMap<Value, Value>,
}

impl Object for Ordered {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.clone())
    }
}
