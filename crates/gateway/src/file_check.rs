//! `POST /v1/cloister/check`: what the site's compilers say of a file.
//!
//! `{"text": "…", "language": "ada", "mend": true, "cloister": {"repository": …, "path": …}}`; answered with `checks`, as every answer
//! has them, and with `mended` where something could be.

use assist::FileCheck;
use languages::Language;
use protocol::check::TEXT_BYTES_MAX;

use crate::fields::{DialectError, Fields};
use crate::parameters::subject;

/// Bytes of such a body: a text, every byte of it escaped.
pub(crate) const BODY_BYTES_MAX: usize = 6 * TEXT_BYTES_MAX + 16_384;

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<FileCheck, DialectError> {
    let fields = Fields::of_body(body)?;
    let text = fields.required_text("text")?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(fields.error("text", &format!("is longer than {TEXT_BYTES_MAX} bytes")));
    }
    let language = match fields.text("language")? {
        Some(name) => {
            let unknown = || fields.error("language", "is none of those that are known: ada, vhdl, c, …");
            Some(Language::from_name(&name).ok_or_else(unknown)?)
        }
        None => None,
    };
    Ok(FileCheck { subject: subject(&fields)?, language, text, mend: fields.flag("mend")? })
}

#[cfg(test)]
mod tests {
    use assist::Subject;

    use super::*;

    #[test]
    fn bodies() {
        let read = |body: &str| parse(body.as_bytes());
        let all = r#"{"text":"a","language":"Ada","mend":true,"cloister":{"repository":"flight","path":"src/a.adb"}}"#;
        let subject = Subject { repository: Some("flight".into()), path: Some("src/a.adb".into()) };
        let check = FileCheck { subject, language: Some(Language::Ada), text: "a".into(), mend: true };
        assert_eq!(read(all), Ok(check));
        let least = FileCheck { subject: Subject::default(), language: None, text: "a".into(), mend: false };
        assert_eq!(read(r#"{"text":"a"}"#), Ok(least));
        for (body, field) in [
            ("{}", "text"),
            (r#"{"text":"","language":"klingon"}"#, "language"),
            (r#"{"text":"","cloister":{"path":"a\u0000"}}"#, "cloister.path"),
            (r#"{"text":"","mend":1}"#, "mend"),
        ] {
            assert_eq!(read(body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }
}
