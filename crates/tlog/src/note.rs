//! Signed notes (C2SP signed-note) with the signatures of checkpoints that Cloister knows: Ed25519 over
//! the text, and the two timestamped cosignatures of C2SP tlog-cosignature, by Ed25519 and by ML-DSA-44.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use ml_dsa::{KeyExport as _, MlDsa44};
use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;

/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// Signatures a note may carry.
pub const SIGNATURES_MAX: usize = 100;

/// What a signature line begins with.
const LINE_START: &str = "\u{2014} ";

/// What a secret key's text begins with.
const SECRET_START: &str = "PRIVATE+KEY+";

/// Bytes of an ML-DSA-44 public key.
const ML_DSA_44_KEY_BYTES: usize = 1312;

/// The longest name or origin that an ML-DSA-44 cosignature can commit to, in bytes.
const ML_DSA_44_NAME_BYTES_MAX: usize = 255;

/// The latest time a cosignature may state.
const TIME_UNIX_S_MAX: u64 = u64::MAX >> 1;

/// How a key signs, with its number in the registry of signature types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `0x01`: Ed25519 over the note's text. How a log signs.
    Ed25519 = 1,
    /// `0x04`: Ed25519 over a time and the text of a checkpoint. How a witness signs.
    CosignatureEd25519 = 4,
    /// `0x06`: ML-DSA-44 over a time, the signer's name, and what a checkpoint says. How a log or a
    /// witness signs for when Ed25519 can be broken.
    CosignatureMlDsa44 = 6,
}

/// A public key with its name: `name+hash+base64(algorithm ‖ key)`, the hash in 8 lower-case hexadecimal
/// digits.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    hash: [u8; 4],
    key: PublicKey,
}

#[derive(Clone, PartialEq)]
enum PublicKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    CosignatureEd25519(ed25519_dalek::VerifyingKey),
    CosignatureMlDsa44(Box<ml_dsa::VerifyingKey<MlDsa44>>),
}

impl Eq for PublicKey {}

/// A key that signs notes' texts with Ed25519, as a log does. Debug shows its name only; the secret is
/// erased when dropped.
pub struct SigningKey {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

/// A key that cosigns checkpoints with a time, as a witness does. Debug shows its name only; the secret
/// is erased when dropped.
pub struct CosigningKey {
    verifier: VerifierKey,
    key: CosigningSecret,
}

enum CosigningSecret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    MlDsa44(Box<ml_dsa::SigningKey<MlDsa44>>),
}

/// A key's valid signature on a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The time that a cosignature states, in seconds since 1970: the latest, where the key signed more
    /// than once. `None` for a signature that states none.
    pub time_unix_s: Option<u64>,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The name is empty, too long for the algorithm, or holds white space or `+`.
    #[error(
        "`{0}` cannot name a key: it is empty, too long, or holds white space, a control character or `+`"
    )]
    Name(String),
    /// The text is not of the form `name+hash+base64`.
    #[error("not a verifier key: expected `name+hash+base64`")]
    Form,
    /// The key is of another algorithm.
    #[error(
        "the verifier key's algorithm is {0}; 1 (Ed25519), 4 and 6 (cosignatures by Ed25519 and ML-DSA-44) are known here"
    )]
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
    /// A checkpoint or a time that a cosignature cannot state.
    #[error("this cannot be cosigned: {0}")]
    NotCosignable(&'static str),
}

/// A note's parts, none of them verified: its text, and its signature lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'n> {
    text: &'n str,
    lines: Vec<Line<'n>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line<'n> {
    /// As it stands in the note, without its end.
    whole: &'n str,
    name: &'n str,
    hash: [u8; 4],
    signature: Vec<u8>,
}

impl<'n> Note<'n> {
    /// Takes a note apart. What is accepted is written back by putting text, blank line and lines together.
    pub fn parse(note: &'n str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(note.len()));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Form("no blank line before the signatures"))?;
        let (text, rest) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let rest = rest.strip_suffix('\n').ok_or(NoteError::Form("the last line has no end"))?;
        let mut lines = Vec::new();
        for line in rest.split('\n') {
            if lines.len() >= SIGNATURES_MAX {
                return Err(NoteError::Form("too many signatures"));
            }
            lines.push(Line::parse(line).ok_or(NoteError::Form("a signature line is malformed"))?);
        }
        Ok(Note { text, lines })
    }

    /// The text, with its last line's end.
    pub fn text(&self) -> &'n str {
        self.text
    }

    /// Names of keys that signatures claim to be of, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'n str> {
        self.lines.iter().map(|line| line.name)
    }

    /// Signature lines that claim to be of a key, each with its line's end.
    pub fn lines_of(&self, key: &VerifierKey) -> Vec<String> {
        self.lines.iter().filter(|line| line.claims(key)).map(|line| format!("{}\n", line.whole)).collect()
    }

    /// Whether a key signed; `None` where no signature claims to be of it. Each that does must be.
    pub fn signed(&self, key: &VerifierKey) -> Result<Option<Signed>, NoteError> {
        let mut signed = None;
        for line in self.lines.iter().filter(|line| line.claims(key)) {
            let wrong = || NoteError::WrongSignature(key.id());
            let found = key.verify(self.text, &line.signature).ok_or_else(wrong)?;
            let before = signed.and_then(|signed: Signed| signed.time_unix_s);
            signed = Some(Signed { time_unix_s: found.time_unix_s.max(before) });
        }
        Ok(signed)
    }
}

impl<'n> Line<'n> {
    /// A name and at least five bytes: the key's hash and a signature.
    fn parse(line: &'n str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let bytes = BASE64.decode(encoded).ok()?;
        let (hash, signature) = bytes.split_first_chunk()?;
        let made = Line { whole: line, name, hash: *hash, signature: signature.to_vec() };
        (is_name(name) && !signature.is_empty()).then_some(made)
    }

    fn claims(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.hash == key.hash
    }
}

impl SigningKey {
    /// A key from its 32 secret bytes.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let verifier = VerifierKey::new(name, PublicKey::Ed25519(key.verifying_key()))?;
        Ok(SigningKey { verifier, key })
    }

    /// Its public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The note of a text, which must end with a line feed and hold no other control character.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        check_text(text)?;
        let line = self.verifier.line(&self.key.sign(text.as_bytes()).to_bytes());
        let note = format!("{text}\n{line}");
        if note.len() > NOTE_BYTES_MAX { Err(NoteError::TooLong(note.len())) } else { Ok(note) }
    }
}

impl CosigningKey {
    /// A key that cosigns with Ed25519, from its 32 secret bytes. The signature does not commit to the
    /// name: a key of its own for each cosigner.
    pub fn ed25519(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(&seed));
        let verifier = VerifierKey::new(name, PublicKey::CosignatureEd25519(key.verifying_key()))?;
        Ok(CosigningKey { verifier, key: CosigningSecret::Ed25519(key) })
    }

    /// A key that cosigns with ML-DSA-44, from its 32 secret bytes (FIPS 204's ξ). Its name has at most
    /// 255 bytes.
    pub fn ml_dsa_44(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = Box::new(ml_dsa::SigningKey::<MlDsa44>::from_seed(&seed.into()));
        let public = Box::new(AsRef::<ml_dsa::VerifyingKey<MlDsa44>>::as_ref(&*key).clone());
        let verifier = VerifierKey::new(name, PublicKey::CosignatureMlDsa44(public))?;
        Ok(CosigningKey { verifier, key: CosigningSecret::MlDsa44(key) })
    }

    /// Its public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The key as a text to keep, on one line without its end: `PRIVATE+KEY+name+hash+base64`, as notes'
    /// private keys are commonly written.
    pub fn to_secret(&self) -> String {
        let seed = match &self.key {
            CosigningSecret::Ed25519(key) => key.to_bytes().to_vec(),
            CosigningSecret::MlDsa44(key) => key.to_seed().to_vec(),
        };
        let key = BASE64.encode([&[self.verifier.algorithm() as u8], seed.as_slice()].concat());
        format!("{SECRET_START}{}+{key}", self.verifier.id())
    }

    /// Reads exactly what [`to_secret`](Self::to_secret) writes.
    pub fn from_secret(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.strip_prefix(SECRET_START).ok_or(KeyError::Form)?.splitn(3, '+');
        let (Some(name), Some(_), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let bytes = BASE64.decode(encoded).map_err(|_| KeyError::Form)?;
        let (algorithm, seed) = bytes.split_first().ok_or(KeyError::Form)?;
        let seed = seed.try_into().map_err(|_| KeyError::Form)?;
        let key = match algorithm {
            4 => CosigningKey::ed25519(name, seed)?,
            6 => CosigningKey::ml_dsa_44(name, seed)?,
            other => return Err(KeyError::Algorithm(*other)),
        };
        if key.to_secret() == text { Ok(key) } else { Err(KeyError::Hash) }
    }

    /// The signature line, with its end, that states: at that time (seconds since 1970, not 0) this was
    /// the largest checkpoint of its log that the signer had seen.
    pub fn cosign(&self, checkpoint: &Checkpoint, time_unix_s: u64) -> Result<String, NoteError> {
        if time_unix_s == 0 || time_unix_s > TIME_UNIX_S_MAX {
            return Err(NoteError::NotCosignable("the time is not one after 1970"));
        }
        let mut signature = time_unix_s.to_be_bytes().to_vec();
        match &self.key {
            CosigningSecret::Ed25519(key) => {
                let message = ed25519_message(&checkpoint.text(), time_unix_s);
                signature.extend(key.sign(message.as_bytes()).to_bytes());
            }
            CosigningSecret::MlDsa44(key) => {
                let message = ml_dsa_44_message(&self.verifier.name, checkpoint, time_unix_s)
                    .ok_or(NoteError::NotCosignable("the log's origin is longer than 255 bytes"))?;
                let signed = key.expanded_key().sign_deterministic(&message, &[]);
                let signed = signed.map_err(|_| NoteError::NotCosignable("ML-DSA-44 found no signature"))?;
                signature.extend(signed.encode());
            }
        }
        Ok(self.verifier.line(&signature))
    }
}

/// What an Ed25519 cosignature signs.
fn ed25519_message(text: &str, time_unix_s: u64) -> String {
    format!("cosignature/v1\ntime {time_unix_s}\n{text}")
}

/// What an ML-DSA-44 cosignature of a checkpoint signs; `None` when a name is too long to be stated.
fn ml_dsa_44_message(cosigner: &str, checkpoint: &Checkpoint, time_unix_s: u64) -> Option<Vec<u8>> {
    let mut message = b"subtree/v1\n\0".to_vec();
    message.push(u8::try_from(cosigner.len()).ok()?);
    message.extend(cosigner.as_bytes());
    message.extend(time_unix_s.to_be_bytes());
    message.push(u8::try_from(checkpoint.origin.len()).ok()?);
    message.extend(checkpoint.origin.as_bytes());
    message.extend(0u64.to_be_bytes());
    message.extend(checkpoint.size.to_be_bytes());
    message.extend(checkpoint.root);
    Some(message)
}

impl VerifierKey {
    fn new(name: &str, key: PublicKey) -> Result<Self, KeyError> {
        let bytes_max = match key {
            PublicKey::CosignatureMlDsa44(_) => ML_DSA_44_NAME_BYTES_MAX,
            _ => usize::MAX,
        };
        if !is_name(name) || name.len() > bytes_max {
            return Err(KeyError::Name(name.to_owned()));
        }
        let mut verifier = VerifierKey { name: name.to_owned(), hash: [0; 4], key };
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', verifier.algorithm() as u8])
            .chain_update(verifier.key_bytes())
            .finalize();
        verifier.hash = [digest[0], digest[1], digest[2], digest[3]];
        Ok(verifier)
    }

    /// The name: of a log's key, the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.key {
            PublicKey::Ed25519(_) => Algorithm::Ed25519,
            PublicKey::CosignatureEd25519(_) => Algorithm::CosignatureEd25519,
            PublicKey::CosignatureMlDsa44(_) => Algorithm::CosignatureMlDsa44,
        }
    }

    /// The public key itself, without name and algorithm: 32 bytes, or 1,312 of ML-DSA-44. Two keys with
    /// the same are the same signer, whatever they are named.
    pub fn key_bytes(&self) -> Vec<u8> {
        match &self.key {
            PublicKey::Ed25519(key) | PublicKey::CosignatureEd25519(key) => key.as_bytes().to_vec(),
            PublicKey::CosignatureMlDsa44(key) => key.to_bytes().to_vec(),
        }
    }

    /// The text of a note that this key signed. Signatures of other keys are not looked at; each that
    /// claims to be of this one must be.
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteError> {
        let note = Note::parse(note)?;
        match note.signed(self)? {
            Some(_) => Ok(note.text()),
            None => Err(NoteError::Unsigned(self.id())),
        }
    }

    /// What signature lines name it by: `name+hash`. A whole key may be long.
    fn id(&self) -> String {
        format!("{}+{:08x}", self.name, u32::from_be_bytes(self.hash))
    }

    /// `None` for a wrong signature.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Signed> {
        let ed25519 = |key: &ed25519_dalek::VerifyingKey, message: &str, signature: &[u8]| {
            let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
            key.verify_strict(message.as_bytes(), &signature).ok()
        };
        if let PublicKey::Ed25519(key) = &self.key {
            ed25519(key, text, signature)?;
            return Some(Signed { time_unix_s: None });
        }
        let (time, signature) = signature.split_first_chunk()?;
        let time_unix_s = Some(u64::from_be_bytes(*time)).filter(|time| *time <= TIME_UNIX_S_MAX)?;
        // Only checkpoints are cosigned.
        let checkpoint = Checkpoint::parse(text).ok()?;
        match &self.key {
            PublicKey::Ed25519(_) => None,
            PublicKey::CosignatureEd25519(key) => {
                ed25519(key, &ed25519_message(text, time_unix_s), signature)?;
                Some(Signed { time_unix_s: Some(time_unix_s) })
            }
            PublicKey::CosignatureMlDsa44(key) => {
                let message = ml_dsa_44_message(&self.name, &checkpoint, time_unix_s)?;
                let signature = ml_dsa::Signature::<MlDsa44>::try_from(signature).ok()?;
                let valid = key.verify_with_context(&message, &[], &signature);
                valid.then_some(Signed { time_unix_s: Some(time_unix_s) })
            }
        }
    }

    /// A line of a signature by this key, with its end.
    fn line(&self, signature: &[u8]) -> String {
        let encoded = BASE64.encode([self.hash.as_slice(), signature].concat());
        format!("{LINE_START}{} {encoded}\n", self.name)
    }
}

/// Whether a text may name a key.
pub fn is_name(name: &str) -> bool {
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
        let key = BASE64.encode([&[self.algorithm() as u8], self.key_bytes().as_slice()].concat());
        write!(f, "{}+{key}", self.id())
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
        let ed25519 = || {
            let key = key.try_into().map_err(|_| KeyError::Form)?;
            ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| KeyError::Form)
        };
        let key = match algorithm {
            1 => PublicKey::Ed25519(ed25519()?),
            4 => PublicKey::CosignatureEd25519(ed25519()?),
            6 => {
                let key: &[u8; ML_DSA_44_KEY_BYTES] = key.try_into().map_err(|_| KeyError::Form)?;
                let key = ml_dsa::VerifyingKey::<MlDsa44>::decode(&(*key).into());
                PublicKey::CosignatureMlDsa44(Box::new(key))
            }
            other => return Err(KeyError::Algorithm(*other)),
        };
        let verifier = VerifierKey::new(name, key)?;
        // The one spelling is the one that is written back.
        if verifier.to_string() == text { Ok(verifier) } else { Err(KeyError::Hash) }
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CosigningKey").field("verifier", &self.verifier).finish_non_exhaustive()
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

    fn cosigners() -> [CosigningKey; 2] {
        [
            CosigningKey::ed25519("w.example", [4; 32]).unwrap(),
            CosigningKey::ml_dsa_44("w.example", [4; 32]).unwrap(),
        ]
    }

    #[test]
    fn cosignatures_state_a_time() {
        let log = SigningKey::new("example.org/log", [3; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "example.org/log".into(), size: 17, root: [8; 32] };
        let note = checkpoint.sign(&log).unwrap();
        for key in cosigners() {
            let both = format!(
                "{note}{}{}",
                key.cosign(&checkpoint, 9).unwrap(),
                key.cosign(&checkpoint, 7).unwrap()
            );
            let parsed = Note::parse(&both).unwrap();
            assert_eq!(parsed.signed(key.verifier()), Ok(Some(Signed { time_unix_s: Some(9) })));
            assert_eq!(parsed.signed(log.verifier()), Ok(Some(Signed { time_unix_s: None })));
            assert_eq!(parsed.lines_of(key.verifier()).len(), 2);
            assert_eq!(Note::parse(&note).unwrap().signed(key.verifier()), Ok(None));
            let verifier: VerifierKey = key.verifier().to_string().parse().unwrap();
            assert_eq!(&verifier, key.verifier());
            assert_eq!(verifier.open(&both), Ok(checkpoint.text().as_str()));
            let secret = key.to_secret();
            assert_eq!(CosigningKey::from_secret(&secret).unwrap().verifier(), key.verifier());
            for wrong in [
                format!("{secret}\n"),
                secret.replace("w.example", "v.example"),
                secret.replace("PRIV", "priv"),
            ] {
                assert!(CosigningKey::from_secret(&wrong).is_err(), "{wrong}");
            }
            for time in [0, u64::MAX, 1 << 63] {
                assert!(matches!(key.cosign(&checkpoint, time), Err(NoteError::NotCosignable(_))));
            }
            // The same signature under another text is wrong, whatever it is of.
            let other = log.sign("no checkpoint\n").unwrap() + &key.cosign(&checkpoint, 9).unwrap();
            assert!(matches!(verifier.open(&other), Err(NoteError::WrongSignature(_))));
        }
        let long = Checkpoint { origin: "o".repeat(256), ..checkpoint };
        let [_, ml_dsa] = cosigners();
        assert!(matches!(ml_dsa.cosign(&long, 9), Err(NoteError::NotCosignable(_))));
        assert!(matches!(CosigningKey::ml_dsa_44(&"n".repeat(256), [0; 32]), Err(KeyError::Name(_))));
    }

    #[test]
    fn every_changed_byte_of_a_cosignature_is_refused() {
        let log = SigningKey::new("o", [3; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "o".into(), size: 17, root: [8; 32] };
        for key in cosigners() {
            let note = checkpoint.sign(&log).unwrap() + &key.cosign(&checkpoint, 1_700_000_000).unwrap();
            for at in 0..note.len() {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let accepted = key.verifier().open(&changed).is_ok() && log.verifier().open(&changed).is_ok();
                assert!(!accepted, "byte {at}");
            }
        }
    }

    /// The example of the signed-note specification.
    #[test]
    fn the_published_note_is_accepted() {
        let key: VerifierKey =
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().unwrap();
        let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        assert_eq!(key.open(note), Ok("This is an example message.\n"));
    }
}
