//! A key in a token, by the program that loads the token's module: this one never does.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use oms::token::{Answer, MESSAGE_BYTES_MAX, Request};

/// The program beside this one.
const PROGRAM: &str = "cloister-pkcs11";

/// A key in a token, and how to get at it.
#[derive(Clone, Debug)]
pub(crate) struct TokenKey {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// A key in a token, as RFC 7512 writes it: `pkcs11:token=LABEL;object=LABEL?module-path=PATH&pin-source=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uri {
    module: PathBuf,
    token: String,
    key: String,
    pin_file: Option<PathBuf>,
}

/// Why a text names no key in a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    #[error("it does not begin with `pkcs11:`")]
    Scheme,
    #[error(
        "`{0}` is not understood: a token, an object, a module-path and a pin-source can be said, each once"
    )]
    Attribute(String),
    #[error(
        "a PIN is not kept in a configuration: name a file that holds it by pin-source, or leave it out to be asked"
    )]
    Pin,
    #[error("it names no {0}")]
    Missing(&'static str),
    #[error("`{0}` holds a % without two hexadecimal digits, or is no text")]
    Escape(String),
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        let rest = text.strip_prefix("pkcs11:").ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut token, mut key, mut module, mut pin_file) = (None, None, None, None);
        for attribute in path.split(';').chain(query.split('&')).filter(|attribute| !attribute.is_empty()) {
            let unknown = || UriError::Attribute(attribute.to_owned());
            let (name, value) = attribute.split_once('=').ok_or_else(unknown)?;
            let place = match name {
                "token" => &mut token,
                "object" => &mut key,
                "module-path" => &mut module,
                "pin-source" => &mut pin_file,
                "type" if value == "private" => continue,
                "pin-value" => return Err(UriError::Pin),
                _ => return Err(unknown()),
            };
            if place.replace(unescaped(value)?).is_some() {
                return Err(unknown());
            }
        }
        let path = |text: String| PathBuf::from(text.strip_prefix("file:").unwrap_or(&text));
        Ok(Uri {
            module: module.map(path).ok_or(UriError::Missing("module-path"))?,
            token: token.ok_or(UriError::Missing("token"))?,
            key: key.ok_or(UriError::Missing("object"))?,
            pin_file: pin_file.map(path),
        })
    }
}

/// With each `%` and two hexadecimal digits as the byte that they are.
fn unescaped(text: &str) -> Result<String, UriError> {
    let wrong = || UriError::Escape(text.to_owned());
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|c| char::from(c).to_digit(16)).ok_or_else(wrong);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl TokenKey {
    pub(crate) fn new(
        module: &Path,
        token: &str,
        key: &str,
        pin_file: Option<&Path>,
    ) -> Result<TokenKey, io::Error> {
        let program = std::env::current_exe()?.with_file_name(PROGRAM);
        let mut arguments = vec!["--module".into(), module.into(), "--token".into(), token.into()];
        arguments.extend(["--key".into(), key.into()]);
        arguments.extend(pin_file.into_iter().flat_map(|file| ["--pin-file".into(), file.into()]));
        Ok(TokenKey { program, arguments })
    }

    pub(crate) fn at(uri: &Uri) -> Result<TokenKey, io::Error> {
        TokenKey::new(&uri.module, &uri.token, &uri.key, uri.pin_file.as_deref())
    }

    /// The public key, PEM. An error says in words why there is none.
    pub(crate) fn public_pem(&self) -> Result<String, String> {
        match self.ask(&Request::PublicKey {})? {
            Answer::PublicKey { pem } => Ok(pem),
            answer => Err(why(answer)),
        }
    }

    /// A signature, of a statement or of a handshake.
    pub(crate) fn sign(&self, request: &Request) -> Result<Vec<u8>, String> {
        match self.ask(request)? {
            Answer::Signature { der } => Ok(der),
            answer => Err(why(answer)),
        }
    }

    /// One question, one answer, one process. Its words to a person, as for a PIN, go to the terminal.
    fn ask(&self, request: &Request) -> Result<Answer, String> {
        let cannot = |error: io::Error| format!("{} cannot be run: {error}", self.program.display());
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&request.to_bytes()).map_err(cannot)?;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut answer).map_err(cannot)?;
        }
        child.wait().map_err(cannot)?;
        Answer::parse(&answer).map_err(|error| error.to_string())
    }
}

fn why(answer: Answer) -> String {
    match answer {
        Answer::Refused { why } => why,
        Answer::PublicKey { .. } | Answer::Signature { .. } => "it answered another question".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let read = |text: &str| text.parse::<Uri>();
        let full = "pkcs11:token=My%20card;object=PIV%20AUTH;type=private?module-path=/usr/lib/opensc-pkcs11.so\
                    &pin-source=file:/run/pin";
        assert_eq!(
            read(full),
            Ok(Uri {
                module: "/usr/lib/opensc-pkcs11.so".into(),
                token: "My card".to_owned(),
                key: "PIV AUTH".to_owned(),
                pin_file: Some("/run/pin".into()),
            })
        );
        assert_eq!(read("pkcs11:token=a;object=b?module-path=/m").unwrap().pin_file, None);
        for (text, words) in [
            ("/etc/key.pem", "does not begin"),
            ("pkcs11:", "names no module-path"),
            ("pkcs11:token=a?module-path=/m", "names no object"),
            ("pkcs11:token=a;token=b;object=c?module-path=/m", "`token=b` is not understood"),
            ("pkcs11:serial=1", "`serial=1` is not understood"),
            ("pkcs11:token=a;object=b?module-path=/m&pin-value=1234", "a PIN is not kept"),
            ("pkcs11:token=%4", "holds a %"),
            ("pkcs11:token=%ff", "holds a %"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("1234"), "{text}: {error}");
        }
    }
}
