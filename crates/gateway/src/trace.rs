//! `POST /v1/cloister/trace`: what a text has in common with known code.
//!
//! `{"text": "…", "repository": "name"}`; answered with what every answer has as `cloister.provenance`.

use assist::{TRACE_BYTES_MAX, Trace};

use crate::fields::{DialectError, Fields};

/// Bytes of such a body: a text, every byte of it escaped.
pub(crate) const BODY_BYTES_MAX: usize = 6 * TRACE_BYTES_MAX + 4096;
/// Bytes of a repository's name.
const REPOSITORY_BYTES_MAX: usize = 512;

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<Trace, DialectError> {
    let fields = Fields::of_body(body)?;
    let text = fields.required_text("text")?;
    if text.len() > TRACE_BYTES_MAX {
        return Err(
            fields.error("text", &format!("is longer than {TRACE_BYTES_MAX} bytes: trace it in parts"))
        );
    }
    let repository = fields.text("repository")?;
    if repository.as_ref().is_some_and(|name| name.len() > REPOSITORY_BYTES_MAX) {
        return Err(fields.error("repository", &format!("is longer than {REPOSITORY_BYTES_MAX} bytes")));
    }
    Ok(Trace { text, repository })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let read = |body: &str| parse(body.as_bytes());
        let trace = Trace { text: "a".into(), repository: Some("flight".into()) };
        assert_eq!(read(r#"{"text":"a","repository":"flight"}"#), Ok(trace));
        for (body, field) in
            [("{}", "text"), (r#"{"text":1}"#, "text"), (r#"{"text":"","repository":1}"#, "repository")]
        {
            assert_eq!(read(body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }
}
