//! A key in a token, by the program that loads the token's module: this one never does.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oms::token::{Answer, MESSAGE_BYTES_MAX, Request};
use oms::{Material, PublicKey, Sign, SignError};

use crate::failure::Failure;

/// The program beside this one.
const PROGRAM: &str = "cloister-pkcs11";

/// Signs with a key that stays in its token.
pub(super) struct Token {
    program: PathBuf,
    arguments: Vec<std::ffi::OsString>,
    material: Material,
}

impl Token {
    pub(super) fn new(
        module: &Path,
        token: &str,
        key: &str,
        pin_file: Option<&Path>,
        chain: Option<&[u8]>,
    ) -> Result<Token, Failure> {
        let beside = std::env::current_exe().map(|program| program.with_file_name(PROGRAM));
        let program =
            beside.map_err(|error| Failure::usage(format!("{PROGRAM} is not found")).caused_by(&error))?;
        let mut arguments = vec!["--module".into(), module.into(), "--token".into(), token.into()];
        arguments.extend(["--key".into(), key.into()]);
        arguments.extend(pin_file.into_iter().flat_map(|file| ["--pin-file".into(), file.into()]));
        let refused = |why: String| Failure::refused(format!("the token {token} cannot sign: {why}"));
        let key = match ask(&program, &arguments, &Request::PublicKey {}).map_err(&refused)? {
            Answer::PublicKey { pem } => {
                PublicKey::from_pem(pem.as_bytes()).map_err(|error| refused(error.to_string()))?
            }
            Answer::Refused { why } => return Err(refused(why)),
            Answer::Signature { .. } => return Err(refused("it answered another question".to_owned())),
        };
        let material = match chain {
            Some(chain) => Material::certificates(key, chain).map_err(|error| refused(error.to_string()))?,
            None => Material::key(key),
        };
        Ok(Token { program, arguments, material })
    }
}

impl Sign for Token {
    fn verification_material(&self) -> Material {
        self.material.clone()
    }

    fn sign(&self, pae: &[u8]) -> Result<Vec<u8>, SignError> {
        match ask(&self.program, &self.arguments, &Request::Sign { pae: pae.to_vec() }) {
            Ok(Answer::Signature { der }) => Ok(der),
            Ok(Answer::Refused { why }) | Err(why) => Err(SignError::Failed(why)),
            Ok(Answer::PublicKey { .. }) => Err(SignError::Failed("it answered another question".to_owned())),
        }
    }
}

/// One question, one answer, one process. Its words to a person, as for a PIN, go to the terminal.
fn ask(program: &Path, arguments: &[std::ffi::OsString], request: &Request) -> Result<Answer, String> {
    let cannot = |error: std::io::Error| format!("{} cannot be run: {error}", program.display());
    let mut child = Command::new(program)
        .args(arguments)
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
