//! Checkpoints (C2SP tlog-checkpoint): what a log says of its size and root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::note::{NoteError, SigningKey, VerifierKey};
use crate::tree::Hash;

/// A log's size and root, under its name. The text is three lines: origin, size in decimal, root in
/// base64. Extension lines are refused: this log writes none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, which is its key's.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// Why a checkpoint is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// The note is malformed or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// The checkpoint is of another log.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    Origin {
        /// The key's name.
        expected: String,
        /// The text's first line.
        found: String,
    },
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// Reads exactly what [`text`](Self::text) writes.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Form("expected exactly three lines: origin, size, root"));
        };
        if origin.is_empty() {
            return Err(CheckpointError::Form("the origin is empty"));
        }
        let size = size.parse().map_err(|_| CheckpointError::Form("the size is not a decimal number"))?;
        let root = BASE64.decode(root).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or(CheckpointError::Form("the root is not 32 bytes in base64"))?;
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root };
        if checkpoint.text() == text {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Form("the size is not in canonical form"))
        }
    }

    /// Signs it. The key's name must be the origin.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CheckpointError> {
        self.check_origin(key.verifier())?;
        Ok(key.sign(&self.text())?)
    }

    /// The checkpoint of a note that the key signed.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::parse(key.open(note)?)?;
        checkpoint.check_origin(key)?;
        Ok(checkpoint)
    }

    fn check_origin(&self, key: &VerifierKey) -> Result<(), CheckpointError> {
        if self.origin == key.name() {
            return Ok(());
        }
        Err(CheckpointError::Origin { expected: key.name().to_owned(), found: self.origin.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let key = SigningKey::new("example.org/log", [3; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "example.org/log".into(), size: 17, root: [8; 32] };
        let note = checkpoint.sign(&key).unwrap();
        assert_eq!(Checkpoint::open(&note, key.verifier()), Ok(checkpoint.clone()));
        let other = Checkpoint { origin: "example.org/other".into(), ..checkpoint };
        assert!(matches!(other.sign(&key), Err(CheckpointError::Origin { .. })));
        let signed_anyway = key.sign(&other.text()).unwrap();
        assert!(matches!(
            Checkpoint::open(&signed_anyway, key.verifier()),
            Err(CheckpointError::Origin { .. })
        ));
    }

    #[test]
    fn parsed_strictly() {
        let root = BASE64.encode([8; 32]);
        assert!(Checkpoint::parse(&format!("o\n1\n{root}\n")).is_ok());
        for refused in [
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n 1\n{root}\n"),
            format!("\n1\n{root}\n"),
            format!("o\n1\n{root}"),
            format!("o\n1\n{root}\nextension\n"),
            format!("o\n1\n{root}\n\n"),
            "o\n1\nAAAA\n".to_owned(),
            format!("o\n1\n{}\n", root.trim_end_matches('=')),
            format!("o\n18446744073709551616\n{root}\n"),
        ] {
            assert!(Checkpoint::parse(&refused).is_err(), "{refused}");
        }
    }
}
