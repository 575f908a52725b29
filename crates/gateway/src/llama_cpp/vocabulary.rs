//! llama.cpp's `/tokenize`, `/detokenize` and `/apply-template`.

use assist::{SPELLED_TOKENS_MAX, Spelled, Spelling, TOKENIZED_BYTES_MAX};
use protocol::worker::Token;
use serde_json::{Value, json};

use crate::fields::{DialectError, Fields};
use crate::openai;
use crate::parameters::deployment;

/// A question to a vocabulary, and to which deployment's.
pub(crate) type Asked = (Option<String>, Spelling);

/// Reads the body of `POST /tokenize`: `{"content", "add_special", "parse_special", "with_pieces"}`.
pub(crate) fn parse_tokenize(body: &[u8]) -> Result<Asked, DialectError> {
    let fields = Fields::of_body(body)?;
    let text = fields.required_text("content")?;
    if text.len() > TOKENIZED_BYTES_MAX {
        return Err(fields.error("content", &format!("is longer than {TOKENIZED_BYTES_MAX} bytes")));
    }
    // As llama.cpp has it: special tokens that are spelled count unless one says otherwise.
    let special = fields.raw("parse_special").is_none() || fields.flag("parse_special")?;
    let (begin, pieces) = (fields.flag("add_special")?, fields.flag("with_pieces")?);
    Ok((deployment(&fields)?, Spelling::Tokens { text, special, begin, pieces }))
}

/// Reads the body of `POST /detokenize`: `{"tokens"}`.
pub(crate) fn parse_detokenize(body: &[u8]) -> Result<Asked, DialectError> {
    let fields = Fields::of_body(body)?;
    if fields.raw("tokens").is_none() {
        return Err(fields.error("tokens", "is required: an array of token numbers"));
    }
    let elements = fields.list("tokens", SPELLED_TOKENS_MAX)?;
    let token = |(place, raw): (String, &serde_json::value::RawValue)| {
        serde_json::from_str::<Token>(raw.get())
            .map_err(|_| DialectError::of(place, "must be a token's number"))
    };
    let tokens = elements.into_iter().map(token).collect::<Result<_, _>>()?;
    Ok((deployment(&fields)?, Spelling::Text { tokens }))
}

/// Reads the body of `POST /apply-template`: `{"messages"}`, as a chat has them.
pub(crate) fn parse_template(body: &[u8]) -> Result<Asked, DialectError> {
    let fields = Fields::of_body(body)?;
    Ok((deployment(&fields)?, Spelling::Prompt { messages: openai::messages(&fields)? }))
}

/// The answer of `/tokenize`. A piece that is no whole character is given as its bytes.
pub(crate) fn tokenized(spelled: &Spelled) -> Value {
    match spelled {
        Spelled::Tokens { tokens, pieces } if pieces.is_empty() => json!({ "tokens": tokens }),
        Spelled::Tokens { tokens, pieces } => {
            let piece = |(id, bytes): (&Token, &Vec<u8>)| match std::str::from_utf8(bytes) {
                Ok(text) => json!({"id": id, "piece": text}),
                Err(_) => json!({"id": id, "piece": bytes}),
            };
            json!({"tokens": tokens.iter().zip(pieces).map(piece).collect::<Vec<_>>()})
        }
        Spelled::Text(_) => json!({"tokens": []}),
    }
}

/// The answer of `/detokenize`.
pub(crate) fn detokenized(spelled: &Spelled) -> Value {
    json!({ "content": text(spelled) })
}

/// The answer of `/apply-template`.
pub(crate) fn templated(spelled: &Spelled) -> Value {
    json!({ "prompt": text(spelled) })
}

fn text(spelled: &Spelled) -> &str {
    match spelled {
        Spelled::Text(text) => text,
        Spelled::Tokens { .. } => "",
    }
}

#[cfg(test)]
mod tests {
    use assist::{Message, Role};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions() {
        let tokens =
            |special, begin, pieces| Spelling::Tokens { text: "a".to_owned(), special, begin, pieces };
        for (body, expected) in [
            (r#"{"content":"a"}"#, tokens(true, false, false)),
            (r#"{"content":"a","add_special":true,"with_pieces":true}"#, tokens(true, true, true)),
            (r#"{"content":"a","parse_special":false}"#, tokens(false, false, false)),
        ] {
            assert_eq!(parse_tokenize(body.as_bytes()).unwrap(), (None, expected), "{body}");
        }
        let asked = parse_detokenize(br#"{"model":"coder","tokens":[1,2]}"#).unwrap();
        assert_eq!(asked, (Some("coder".to_owned()), Spelling::Text { tokens: vec![1, 2] }));
        let asked = parse_template(br#"{"messages":[{"role":"user","content":"a"}]}"#).unwrap();
        let messages = vec![Message::new(Role::User, "a")];
        assert_eq!(asked.1, Spelling::Prompt { messages });
    }

    #[test]
    fn refused() {
        type Parse = fn(&[u8]) -> Result<Asked, DialectError>;
        let long = format!(r#"{{"content":"{}"}}"#, "x".repeat(TOKENIZED_BYTES_MAX + 1));
        for (parse, body, field) in [
            (parse_tokenize as Parse, r#"{}"#, "content"),
            (parse_tokenize, r#"{"content":1}"#, "content"),
            (parse_tokenize, r#"{"content":"","with_pieces":1}"#, "with_pieces"),
            (parse_tokenize, r#"{"content":"","parse_special":"no"}"#, "parse_special"),
            (parse_tokenize, &long, "content"),
            (parse_detokenize, r#"{}"#, "tokens"),
            (parse_detokenize, r#"{"tokens":"a"}"#, "tokens"),
            (parse_detokenize, r#"{"tokens":[1,"a"]}"#, "tokens[1]"),
            (parse_detokenize, r#"{"tokens":[2147483648]}"#, "tokens[0]"),
            (parse_template, r#"{}"#, "messages"),
            (parse_template, r#"{"messages":[{"role":"x","content":""}]}"#, "messages[0].role"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().field.as_deref(), Some(field));
        }
    }

    #[test]
    fn answers() {
        let tokens = vec![5, 6];
        let plain = Spelled::Tokens { tokens: tokens.clone(), pieces: vec![] };
        assert_eq!(tokenized(&plain), json!({"tokens": [5, 6]}));
        let pieces = Spelled::Tokens { tokens, pieces: vec![b"a".to_vec(), vec![0xc3]] };
        let expected = json!({"tokens": [{"id": 5, "piece": "a"}, {"id": 6, "piece": [195]}]});
        assert_eq!(tokenized(&pieces), expected);
        assert_eq!(detokenized(&Spelled::Text("x".to_owned())), json!({"content": "x"}));
        assert_eq!(templated(&Spelled::Text("x".to_owned())), json!({"prompt": "x"}));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", numbers in prop::collection::vec(any::<i64>(), 0..9)) {
            for parse in [parse_tokenize, parse_detokenize, parse_template] {
                let _ = parse(noise.as_bytes());
            }
            let _ = parse_detokenize(json!({ "tokens": numbers }).to_string().as_bytes());
        }
    }
}
