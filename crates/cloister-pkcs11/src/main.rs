//! Signs models, and a person's way in, with a key that never leaves its token: a smart card, a USB key, a hardware
//! security module, by PKCS#11. The only program that loads a token's module, which is somebody else's code: whoever
//! signs starts it, says one thing on its standard input and reads one answer on its standard output (`oms::token`).
//!
//! It signs statements of models and a client's part of a TLS 1.3 handshake, and nothing else. It tries a PIN once, and
//! not at all when one try is left. It does not make keys, change PINs, or speak to tokens that ask for the PIN before
//! each signature (`CKA_ALWAYS_AUTHENTICATE`).

mod der;
mod pin;
mod token;

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use oms::token::{Answer, MESSAGE_BYTES_MAX, MessageError, Request, is_client_handshake};

/// Signs with a key in a token, by PKCS#11: a statement of a model, or a client's part of a TLS 1.3 handshake.
///
/// Reads one request on standard input, a line of JSON: `{"public_key":{}}`, `{"sign":{"pae":"BASE64"}}` with a DSSE
/// pre-authentication encoding of an in-toto statement, or `{"handshake":{"scheme":"ecdsa_secp256r1_sha256",
/// "content":"BASE64"}}` with what a client signs. Answers with a line of JSON.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The token's module: a shared library that its maker or OpenSC brings.
    #[arg(long, value_name = "PATH")]
    module: PathBuf,
    /// The token's label.
    #[arg(long, value_name = "LABEL")]
    token: String,
    /// The label of the key, public and private.
    #[arg(long, value_name = "LABEL")]
    key: String,
    /// A file with the PIN. Without one, the terminal is asked, or the token's own keypad.
    #[arg(long, value_name = "PATH")]
    pin_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("standard input could not be read: {0}")]
    Input(io::Error),
    #[error(transparent)]
    Request(#[from] MessageError),
    #[error("what is to be signed is no statement of a model: this program signs nothing else")]
    NoStatement,
    #[error(
        "what is to be signed is no client's part of a TLS 1.3 handshake: this program signs nothing else"
    )]
    NoHandshake,
    #[error(transparent)]
    Token(#[from] token::TokenError),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (answer, code) = match answer(&arguments) {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(error) => (Answer::Refused { why: error.to_string() }, ExitCode::FAILURE),
    };
    // Nobody is there to be told when that fails.
    match io::stdout().write_all(&answer.to_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(arguments: &Arguments) -> Result<Answer, Error> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    io::stdin().take(limit).read_to_end(&mut bytes).map_err(Error::Input)?;
    let request = Request::parse(&bytes)?;
    match &request {
        Request::Sign { pae } if !oms::is_pae(pae) => return Err(Error::NoStatement),
        Request::Handshake { content, .. } if !is_client_handshake(content) => {
            return Err(Error::NoHandshake);
        }
        _ => {}
    }
    let pin = || pin::get(arguments.pin_file.as_deref(), &arguments.token);
    let token = token::Token::open(&arguments.module, &arguments.token, pin)?;
    let label = &arguments.key;
    Ok(match request {
        Request::PublicKey {} => Answer::PublicKey { pem: token.public(label)?.to_pem() },
        Request::Sign { pae } => Answer::Signature { der: token.sign(label, &pae)? },
        Request::Handshake { scheme, content } => {
            Answer::Signature { der: token.sign_handshake(label, scheme, &content)? }
        }
    })
}
