//! `POST /v1/cloister/decisions`: what an editor says of an answer.
//!
//! ```json
//! {"record": 7, "choice": "partly_accepted", "accepted_bytes": 120, "path": "src/queues.adb",
//!  "digest_before": "sha256:…", "digest_after": "sha256:…", "client": "vim 9.1"}
//! ```
//! `record` and `choice` are required. The answer is `{"record": 7, "leaf": 12}`, the leaf being durable.

use assist::{CLIENT_BYTES_MAX, Choice, Decided, PATH_BYTES_MAX, Receipt};
use protocol::{Digest, RecordNumber};
use serde_json::{Value, json};

use crate::fields::{DialectError, Fields};

/// Bytes of a body: a path of the longest, its escapes, and the rest.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

/// A decision from a request's body.
pub(crate) fn parse(body: &[u8]) -> Result<Decided, DialectError> {
    let fields = Fields::of_body(body)?;
    let record =
        whole(&fields, "record")?.ok_or_else(|| fields.error("record", "is required: an integer"))?;
    Ok(Decided {
        record: RecordNumber(record),
        choice: choice(&fields)?,
        accepted_bytes: whole(&fields, "accepted_bytes")?,
        path: line(&fields, "path", PATH_BYTES_MAX)?,
        digest_before: digest(&fields, "digest_before")?,
        digest_after: digest(&fields, "digest_after")?,
        client: line(&fields, "client", CLIENT_BYTES_MAX)?,
    })
}

/// What a client gets for it.
pub(crate) fn answer(record: RecordNumber, receipt: Receipt) -> Value {
    json!({"record": record.0, "leaf": receipt.index})
}

fn whole(fields: &Fields<'_>, name: &str) -> Result<Option<u64>, DialectError> {
    let number = fields.integer(name, 0..=i64::MAX)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

fn choice(fields: &Fields<'_>) -> Result<Choice, DialectError> {
    let names = || Choice::ALL.map(Choice::name).join(", ");
    let given = fields.text("choice")?;
    let given = given.ok_or_else(|| fields.error("choice", &format!("is required: one of {}", names())))?;
    let known = Choice::ALL.into_iter().find(|choice| choice.name() == given);
    known.ok_or_else(|| fields.error("choice", &format!("must be one of {}", names())))
}

/// A text that is one line of a person's screen.
fn line(fields: &Fields<'_>, name: &str, bytes_max: usize) -> Result<Option<String>, DialectError> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    if text.len() > bytes_max {
        return Err(fields.error(name, &format!("has {} bytes; at most {bytes_max} are allowed", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(fields.error(name, "must not contain control characters"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn digest(fields: &Fields<'_>, name: &str) -> Result<Option<Digest>, DialectError> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let expected = "must be `sha256:` and 64 lower-case hexadecimal digits";
    text.parse().map(Some).map_err(|_| fields.error(name, expected))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the plugin for Vim sends it.
    const BODY: &str = r#"{"record": 7, "choice": "partly_accepted", "accepted_bytes": 120,
        "path": "src/queues.adb", "client": "vim 9.1", "comment": "ignored",
        "digest_before": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "digest_after": "sha256:1111111111111111111111111111111111111111111111111111111111111111"}"#;

    #[test]
    fn a_decision() {
        let expected = Decided {
            record: RecordNumber(7),
            choice: Choice::PartlyAccepted,
            accepted_bytes: Some(120),
            path: Some("src/queues.adb".to_owned()),
            digest_before: Some(Digest([0; 32])),
            digest_after: Some(Digest([0x11; 32])),
            client: Some("vim 9.1".to_owned()),
        };
        assert_eq!(parse(BODY.as_bytes()), Ok(expected));
        for choice in Choice::ALL {
            let parsed = parse(json!({"record": 0, "choice": choice}).to_string().as_bytes()).unwrap();
            assert_eq!((parsed.choice, parsed.path, parsed.client), (choice, None, None));
        }
    }

    #[test]
    fn what_is_refused_is_named() {
        let long = "x".repeat(CLIENT_BYTES_MAX + 1);
        for (field, value, words) in [
            ("record", json!(null), "is required"),
            ("record", json!("7"), "must be an integer, not a string"),
            ("record", json!(-1), "must be from 0"),
            ("choice", json!(null), "is required: one of shown, accepted"),
            ("choice", json!("liked"), "must be one of shown, accepted, partly_accepted"),
            ("choice", json!(1), "must be a string"),
            ("accepted_bytes", json!(1.5), "must be an integer"),
            ("path", json!("a\nb"), "control characters"),
            ("path", json!([]), "must be a string"),
            ("digest_before", json!("sha256:00"), "64 lower-case"),
            ("digest_after", json!("11"), "`sha256:`"),
            ("client", json!(long), "at most 128"),
        ] {
            let mut body: Value = serde_json::from_str(BODY).unwrap();
            body[field] = value;
            let error = parse(body.to_string().as_bytes()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{body}");
            assert!(error.message.contains(words) && error.message.contains(field), "{}", error.message);
        }
        assert_eq!(parse(b"[]").unwrap_err().field, None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..BODY.len(), cut in 0usize..40) {
            let _ = parse(noise.as_bytes());
            let mut bytes = BODY.as_bytes().to_vec();
            bytes.splice(place..(place + cut).min(BODY.len()), noise.bytes().take(8));
            let _ = parse(&bytes);
        }

        /// One field of a wrong type is the one that the error names.
        #[test]
        fn the_wrong_field_is_named(place in 0usize..7, wrong in prop_oneof![Just(json!([])), Just(json!({})), Just(json!(true))]) {
            let name = ["record", "choice", "accepted_bytes", "path", "digest_before", "digest_after", "client"][place];
            let mut body: Value = serde_json::from_str(BODY).unwrap();
            body[name] = wrong;
            let error = parse(body.to_string().as_bytes()).unwrap_err();
            prop_assert_eq!(error.field.as_deref(), Some(name));
        }
    }
}
