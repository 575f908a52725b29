//! `POST /v1/cloister/context`: what the team knows, as one asks for it.
//!
//! `{"search": "words", "source": …, "count": …}`, `{"definition": "Name"}`, `{"references": "Name"}`,
//! `{"read": "path", "source": "name", "first_line": 1, "last_line": 200}`, or `{"sources": true}`.

use assist::Lookup;

use crate::fields::{DialectError, Fields};

/// Bytes of such a body.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes of a question.
const QUESTION_BYTES_MAX: usize = 8192;
/// Results at most.
const COUNT_MAX: i64 = 100;
/// Results, where nothing is said.
const COUNT_DEFAULT: usize = 20;
/// Lines that are read, where nothing is said.
const LINES_DEFAULT: u32 = 200;

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<Lookup, DialectError> {
    let fields = Fields::of_body(body)?;
    let count = fields.integer("count", 1..=COUNT_MAX)?.and_then(|count| usize::try_from(count).ok());
    let count = count.unwrap_or(COUNT_DEFAULT);
    let question = |name: &str| match fields.text(name)? {
        Some(text) if text.len() > QUESTION_BYTES_MAX => {
            Err(fields.error(name, &format!("is longer than {QUESTION_BYTES_MAX} bytes")))
        }
        Some(text) if text.trim().is_empty() => Err(fields.error(name, "is empty")),
        text => Ok(text),
    };
    let source = question("source")?;
    if let Some(query) = question("search")? {
        return Ok(Lookup::Search { query, source, count });
    }
    if let Some(name) = question("definition")? {
        return Ok(Lookup::Definition { name, count });
    }
    if let Some(name) = question("references")? {
        return Ok(Lookup::References { name, count });
    }
    if let Some(path) = question("read")? {
        let Some(source) = source else {
            return Err(fields.error("source", "is missing: name the source that the file is in"));
        };
        let line = |name: &str| {
            let line = fields.integer(name, 1..=i64::from(u32::MAX))?;
            Ok::<_, DialectError>(line.and_then(|line| u32::try_from(line).ok()))
        };
        let first_line = line("first_line")?.unwrap_or(1);
        let last_line = line("last_line")?.unwrap_or(first_line.saturating_add(LINES_DEFAULT - 1));
        return Ok(Lookup::Read { source, path, first_line, last_line });
    }
    if fields.flag("sources")? {
        return Ok(Lookup::Sources);
    }
    Err(fields
        .error("search", "is missing, and so are `definition`, `references`, `read` and `sources`: give one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups() {
        let read = |body: &str| parse(body.as_bytes());
        let search = Lookup::Search { query: "trim".to_owned(), source: None, count: 20 };
        assert_eq!(read(r#"{"search":"trim"}"#), Ok(search));
        let file = Lookup::Read { source: "s".into(), path: "a.ads".into(), first_line: 5, last_line: 204 };
        assert_eq!(read(r#"{"read":"a.ads","source":"s","first_line":5}"#), Ok(file));
        assert_eq!(read(r#"{"sources":true}"#), Ok(Lookup::Sources));
        for (body, field) in [
            ("{}", "search"),
            (r#"{"search":" "}"#, "search"),
            (r#"{"search":1}"#, "search"),
            (r#"{"search":"x","count":0}"#, "count"),
            (r#"{"read":"a"}"#, "source"),
            (r#"{"read":"a","source":"s","first_line":0}"#, "first_line"),
        ] {
            assert_eq!(read(body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }
}
