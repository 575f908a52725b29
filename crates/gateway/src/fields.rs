//! Reading the fields of a JSON object, one by one, so that an error names the field and never
//! repeats its value (which may be a person's own text).
//!
//! The object is split once into borrowed raw slices; a field that nobody asks for is never parsed,
//! and no tree of values is built for it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// Why a body is not a request of its dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DialectError {
    /// The field, as `messages[2].content`; `None` when the whole body is wrong.
    pub(crate) field: Option<String>,
    /// What is wrong and what is expected, the field's name in it.
    pub(crate) message: String,
}

impl DialectError {
    /// `message` continues a sentence that begins with the field's name.
    pub(crate) fn of(field: impl Into<String>, message: &str) -> Self {
        let field = field.into();
        DialectError { message: format!("`{field}` {message}"), field: Some(field) }
    }

    fn whole(message: String) -> Self {
        DialectError { field: None, message }
    }
}

/// A JSON object's fields. `null` is the same as absent.
pub(crate) struct Fields<'a> {
    /// The object's own place, empty for the body.
    at: String,
    values: BTreeMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// The fields of a whole body.
    pub(crate) fn of_body(body: &'a [u8]) -> Result<Self, DialectError> {
        let values = serde_json::from_slice(body).map_err(|error| {
            DialectError::whole(match error.classify() {
                Category::Data => "the body must be a JSON object".to_owned(),
                Category::Eof if body.is_empty() => "the body is empty: send a JSON object".to_owned(),
                Category::Eof => format!(
                    "the body is not JSON: it ends at line {} column {} inside a value",
                    error.line(),
                    error.column()
                ),
                Category::Syntax | Category::Io => {
                    format!("the body is not JSON: line {} column {}", error.line(), error.column())
                }
            })
        })?;
        Ok(Fields { at: String::new(), values })
    }

    /// The fields of an object that lies at `at`.
    pub(crate) fn of(at: String, raw: &'a RawValue) -> Result<Self, DialectError> {
        let values = serde_json::from_str(raw.get())
            .map_err(|_| DialectError::of(&at, &format!("must be an object, not {}", kind(raw))))?;
        Ok(Fields { at, values })
    }

    /// A field's whole place, as `messages[2].content`.
    pub(crate) fn place(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// An error about a field.
    pub(crate) fn error(&self, name: &str, message: &str) -> DialectError {
        DialectError::of(self.place(name), message)
    }

    /// A field as it stands.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.values.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// A string.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, DialectError> {
        self.read(name, "a string")
    }

    /// A string that must be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<String, DialectError> {
        self.text(name)?.ok_or_else(|| self.error(name, "is required: a string"))
    }

    /// A boolean; absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, DialectError> {
        Ok(self.read(name, "a boolean")?.unwrap_or(false))
    }

    /// A number within limits.
    pub(crate) fn number(&self, name: &str, range: RangeInclusive<f32>) -> Result<Option<f32>, DialectError> {
        match self.read(name, "a number")? {
            Some(number) if !range.contains(&number) => {
                Err(self.error(name, &format!("must be from {} to {}", range.start(), range.end())))
            }
            number => Ok(number),
        }
    }

    /// An integer within limits.
    pub(crate) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, DialectError> {
        match self.read(name, "an integer")? {
            Some(integer) if !range.contains(&integer) => {
                Err(self.error(name, &format!("must be from {} to {}", range.start(), range.end())))
            }
            integer => Ok(integer),
        }
    }

    /// An array's elements, each with its place; at most `count_max`. Absent is empty.
    pub(crate) fn list(
        &self,
        name: &str,
        count_max: usize,
    ) -> Result<Vec<(String, &'a RawValue)>, DialectError> {
        let elements: Vec<&'a RawValue> = self.read(name, "an array")?.unwrap_or_default();
        if elements.len() > count_max {
            let message = format!("has {} elements; at most {count_max} are allowed", elements.len());
            return Err(self.error(name, &message));
        }
        let place = self.place(name);
        let numbered = elements.into_iter().enumerate();
        Ok(numbered.map(|(index, raw)| (format!("{place}[{index}]"), raw)).collect())
    }

    /// An array of strings, at most `count_max`. Absent is empty.
    pub(crate) fn texts(&self, name: &str, count_max: usize) -> Result<Vec<String>, DialectError> {
        let elements = self.list(name, count_max)?;
        elements.into_iter().map(|(place, raw)| text_at(&place, raw)).collect()
    }

    /// A field of any type; `expected` names the type for the error.
    pub(crate) fn read<T: Deserialize<'a>>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, DialectError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| wrong_type(&self.place(name), expected, raw))
    }
}

/// A string that lies at `place`.
pub(crate) fn text_at(place: &str, raw: &RawValue) -> Result<String, DialectError> {
    serde_json::from_str(raw.get()).map_err(|_| wrong_type(place, "a string", raw))
}

/// Whether a value is an array.
pub(crate) fn is_array(raw: &RawValue) -> bool {
    raw.get().starts_with('[')
}

fn wrong_type(place: &str, expected: &str, raw: &RawValue) -> DialectError {
    let found = kind(raw);
    if found == expected {
        // The type is right: an escape that is no character, a fraction, a number out of all range.
        return DialectError::of(place, &format!("is not a valid {}", expected.trim_start_matches("a ")));
    }
    DialectError::of(place, &format!("must be {expected}, not {found}"))
}

fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        Fields::of_body(body.as_bytes()).err().unwrap().message
    }

    #[test]
    fn a_body_that_is_no_object() {
        assert_eq!(message(""), "the body is empty: send a JSON object");
        assert_eq!(message("[1]"), "the body must be a JSON object");
        assert_eq!(message("{\"a\": }"), "the body is not JSON: line 1 column 7");
        assert_eq!(message("{\"a\":\n 1"), "the body is not JSON: it ends at line 2 column 2 inside a value");
        assert!(Fields::of_body(b"{\"a\":\"\xff\"}").is_err());
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(Fields::of_body(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_error_names_the_field_and_not_its_value() {
        let fields = Fields::of_body(br#"{"a":"secret","b":1.5,"c":"\ud800","d":[1],"e":null}"#).unwrap();
        assert_eq!(fields.integer("a", 0..=1).unwrap_err().message, "`a` must be an integer, not a string");
        assert_eq!(fields.integer("b", 0..=1).unwrap_err().message, "`b` must be an integer, not a number");
        assert_eq!(fields.number("b", 0.0..=1.0).unwrap_err().message, "`b` must be from 0 to 1");
        assert_eq!(fields.text("c").unwrap_err().message, "`c` is not a valid string");
        assert_eq!(fields.texts("d", 4).unwrap_err().field.as_deref(), Some("d[0]"));
        assert_eq!(fields.text("e"), Ok(None));
        assert_eq!(fields.required_text("f").unwrap_err().message, "`f` is required: a string");
    }
}
