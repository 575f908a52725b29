//! Signed notes with Ed25519 (C2SP signed-note).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};

/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// Signatures a note may carry.
pub const SIGNATURES_MAX: usize = 100;

/// Ed25519 in the registry of signature types.
const ED25519: u8 = 1;

/// What a signature line begins with.
const LINE_START: &str = "\u{2014} ";

/// A public key with its name: `name+hash+base64(0x01 ‖ key)`, the hash in 8 lower-case hexadecimal
/// digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    hash: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

/// A key that signs notes. Debug shows its name only; the secret is erased when dropped.
pub struct SigningKey {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The name is empty, or holds white space or `+`.
    #[error("`{0}` cannot name a key: it is empty, or holds white space, a control character or `+`")]
    Name(String),
    /// The text is not of the form `name+hash+base64`.
    #[error("not a verifier key: expected `name+hash+base64`")]
    Form,
    /// The key is of another algorithm.
    #[error("the verifier key's algorithm is {0}; only 1, Ed25519, is known here")]
    Algorithm(u8),
    /// The hash in the text is not that of the name and the key.
    #[error("the verifier key's hash does not belong to its name and key")]
    Hash,
}

/// Why a note is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoteError {
    /// The note is longer than [`NOTE_BYTES_MAX`].
    #[error("a note of {0} bytes is longer than the limit of {NOTE_BYTES_MAX}")]
    TooLong(usize),
    /// The note is not text, a blank line, and signature lines.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// No signature of the key is on the note.
    #[error("the note carries no signature of {0}")]
    Unsigned(String),
    /// A signature that names the key is not of the key.
    #[error("the note's signature of {0} is wrong: the text or the signature was changed")]
    WrongSignature(String),
}

impl SigningKey {
    /// A key from its 32 secret bytes.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Ok(SigningKey { verifier: VerifierKey::new(name, key.verifying_key())?, key })
    }

    /// Its public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The note of a text, which must end with a line feed and hold no other control character.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        check_text(text)?;
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let line = BASE64.encode([self.verifier.hash.as_slice(), &signature].concat());
        let note = format!("{text}\n{LINE_START}{} {line}\n", self.verifier.name);
        if note.len() > NOTE_BYTES_MAX { Err(NoteError::TooLong(note.len())) } else { Ok(note) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifier", &self.verifier.to_string()).finish_non_exhaustive()
    }
}

impl VerifierKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.to_owned()));
        }
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let hash = [digest[0], digest[1], digest[2], digest[3]];
        Ok(VerifierKey { name: name.to_owned(), hash, key })
    }

    /// The name, which is the origin of the log it signs for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note that this key signed. Signatures of other keys are not looked at; each that
    /// claims to be of this one must be.
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(note.len()));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Form("no blank line before the signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form("the last line has no end"))?;
        let mut signed = false;
        for (number, line) in lines.split('\n').enumerate() {
            if number >= SIGNATURES_MAX {
                return Err(NoteError::Form("too many signatures"));
            }
            let (name, bytes) = parse_line(line).ok_or(NoteError::Form("a signature line is malformed"))?;
            let (hash, signature) = bytes.split_at(4);
            if name != self.name || hash != self.hash {
                continue;
            }
            let valid = ed25519_dalek::Signature::from_slice(signature)
                .and_then(|signature| self.key.verify_strict(text.as_bytes(), &signature));
            valid.map_err(|_| NoteError::WrongSignature(self.name.clone()))?;
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned(self.to_string())) }
    }
}

/// The name and at least five bytes: the key's hash and a signature.
fn parse_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
    let bytes = BASE64.decode(encoded).ok()?;
    (is_name(name) && bytes.len() > 4).then_some((name, bytes))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Form("the text's last line has no end"));
    }
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Form("the text holds a control character"));
    }
    Ok(())
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.hash))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let bytes = BASE64.decode(encoded).map_err(|_| KeyError::Form)?;
        let (algorithm, key) = bytes.split_first().ok_or(KeyError::Form)?;
        if *algorithm != ED25519 {
            return Err(KeyError::Algorithm(*algorithm));
        }
        let key = key.try_into().map_err(|_| KeyError::Form)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| KeyError::Form)?;
        let verifier = VerifierKey::new(name, key)?;
        // The one spelling is the one that is written back.
        if verifier.to_string() == text { Ok(verifier) } else { Err(KeyError::Hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_refused() {
        let key = SigningKey::new("example.org/log", [3; 32]).unwrap();
        let verifier: VerifierKey = key.verifier().to_string().parse().unwrap();
        assert_eq!(&verifier, key.verifier());
        let note = key.sign("one\n\ntwo\n").unwrap();
        assert_eq!(verifier.open(&note), Ok("one\n\ntwo\n"));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(verifier.open(&changed).is_err(), "byte {at}");
        }
        assert!(verifier.open(&note[..note.len() - 1]).is_err());
        assert!(verifier.open(&format!("{note}\n")).is_err());
    }

    #[test]
    fn other_keys_are_not_looked_at() {
        let (one, two) =
            (SigningKey::new("log", [1; 32]).unwrap(), SigningKey::new("witness", [2; 32]).unwrap());
        let note = one.sign("text\n").unwrap();
        let second = two.sign("text\n").unwrap();
        let both = format!("{note}{}", second.strip_prefix("text\n\n").unwrap());
        assert!(one.verifier().open(&both).is_ok());
        assert!(two.verifier().open(&both).is_ok());
        assert!(matches!(two.verifier().open(&note), Err(NoteError::Unsigned(_))));
        let impostor = SigningKey::new("log", [9; 32]).unwrap();
        assert!(matches!(impostor.verifier().open(&note), Err(NoteError::Unsigned(_))));
    }

    #[test]
    fn keys_are_parsed_strictly() {
        let text = SigningKey::new("log", [1; 32]).unwrap().verifier().to_string();
        assert!(matches!(SigningKey::new("a b", [1; 32]), Err(KeyError::Name(_))));
        for refused in [
            text.replace("log", "lot"),
            text.to_uppercase(),
            format!("{text}="),
            format!("{text} "),
            text.replace('+', "-"),
            String::new(),
        ] {
            assert!(refused.parse::<VerifierKey>().is_err(), "{refused}");
        }
        assert!(!format!("{:?}", SigningKey::new("log", [1; 32]).unwrap()).contains("[1, 1"));
    }

    #[test]
    fn text_must_be_text() {
        let key = SigningKey::new("log", [1; 32]).unwrap();
        assert!(key.sign("no end").is_err());
        assert!(key.sign("tab\t\n").is_err());
        assert!(key.verifier().open("").is_err());
        assert!(matches!(key.verifier().open(&"a".repeat(NOTE_BYTES_MAX + 1)), Err(NoteError::TooLong(_))));
    }
}
