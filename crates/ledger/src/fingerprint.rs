//! Keyed fingerprints of an answer: they find its lines again in a commit, and tell nothing of the
//! text to whoever lacks the key.

use hmac::{Hmac, KeyInit, Mac};
use protocol::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Lexemes of a shingle.
pub const SHINGLE_LEXEMES: usize = 5;

/// HMAC-SHA-256, cut to 8 bytes. In JSON, 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 8]);

/// The fingerprints of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// Of each line that holds more than white space, in order.
    pub lines: Vec<LineFingerprint>,
    /// Of each run of [`SHINGLE_LEXEMES`] lexemes (of all, where there are fewer), sorted, without
    /// repetition. A lexeme is a word of letters, digits and `_`, or one other character.
    pub shingles: Vec<Fingerprint>,
}

/// The fingerprints of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFingerprint {
    /// Of its bytes, without the line's end.
    pub raw: Fingerprint,
    /// With every run of white space as one space, and none at the ends.
    pub normalised: Fingerprint,
}

/// The fingerprints of a text, under a key of the site.
pub fn fingerprints(key: &[u8; 32], text: &str) -> Fingerprints {
    let keyed = Keyed::new(key);
    let lines = text.lines().filter_map(|line| keyed.line(line)).collect();

    let lexemes = lexemes(text);
    let mut shingles = if lexemes.is_empty() {
        Vec::new()
    } else {
        let windows = lexemes.windows(SHINGLE_LEXEMES.min(lexemes.len()));
        windows.map(|window| keyed.shingle(window)).collect()
    };
    shingles.sort_unstable();
    shingles.dedup();
    Fingerprints { lines, shingles }
}

impl Fingerprints {
    /// What a result leaf commits to: SHA-256 of the counts (little-endian, 4 bytes) and the lists.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new_with_prefix("cloister fingerprints 1\n");
        hash.update(u32::try_from(self.lines.len()).unwrap_or(u32::MAX).to_le_bytes());
        for line in &self.lines {
            hash.update(line.raw.0);
            hash.update(line.normalised.0);
        }
        hash.update(u32::try_from(self.shingles.len()).unwrap_or(u32::MAX).to_le_bytes());
        for shingle in &self.shingles {
            hash.update(shingle.0);
        }
        Digest(hash.finalize().into())
    }
}

/// The key's schedule: made once, for many lines.
#[derive(Clone)]
pub struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// Of a site's key.
    pub fn new(key: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(key);
        // A key padded to the hash's block is the same HMAC key.
        Keyed(Hmac::<Sha256>::new(&block.into()))
    }

    /// A line's, without its end; `None` where it holds only white space.
    pub fn line(&self, line: &str) -> Option<LineFingerprint> {
        let words: Vec<&str> = line.split_whitespace().collect();
        (!words.is_empty()).then(|| LineFingerprint {
            raw: self.fingerprint("line", &[line]),
            normalised: self.fingerprint("normalised", &words),
        })
    }

    /// A run of lexemes': [`SHINGLE_LEXEMES`] of them, or all of a text that has fewer.
    pub fn shingle(&self, lexemes: &[&str]) -> Fingerprint {
        self.fingerprint("shingle", lexemes)
    }

    /// Parts are joined by one space, which no part holds but a whole line.
    fn fingerprint(&self, kind: &str, parts: &[&str]) -> Fingerprint {
        let mut mac = self.0.clone();
        mac.update(kind.as_bytes());
        for (number, part) in parts.iter().enumerate() {
            mac.update(if number == 0 { b"\0" } else { b" " });
            mac.update(part.as_bytes());
        }
        let whole = mac.finalize().into_bytes();
        let mut cut = [0; 8];
        cut.copy_from_slice(&whole[..8]);
        Fingerprint(cut)
    }
}

/// The key is no one's to read in a log.
impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed(…)")
    }
}

/// A text's lexemes: words of letters, digits and `_`, and single other characters that are no white space.
pub fn lexemes(text: &str) -> Vec<&str> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end =
            if in_word(first) { rest.find(|c| !in_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (lexeme, behind) = rest.split_at(end);
        found.push(lexeme);
        rest = behind.trim_start();
    }
    found
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&protocol::digest::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = protocol::digest::unhex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Fingerprint).ok_or_else(|| serde::de::Error::custom("not 8 bytes in hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn white_space_and_layout() {
        let one = fingerprints(&KEY, "   X := Y + 1;\n\nreturn X;\n");
        let two = fingerprints(&KEY, "X  :=\tY + 1;\r\nreturn X;");
        assert_eq!(one.lines.len(), 2);
        assert_eq!(one.lines[1], two.lines[1]);
        assert_ne!(one.lines[0].raw, two.lines[0].raw);
        assert_eq!(one.lines[0].normalised, two.lines[0].normalised);
        assert_eq!(one.shingles, two.shingles);
        assert_eq!(fingerprints(&KEY, "X:=Y+1;\nreturn\nX;").shingles, one.shingles);
    }

    #[test]
    fn keyed_and_canonical() {
        let text = "A := B;";
        assert_ne!(fingerprints(&KEY, text), fingerprints(&[8; 32], text));
        let list = fingerprints(&KEY, text);
        let again: Fingerprints = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        assert_eq!(again.digest(), list.digest());
        assert_ne!(fingerprints(&KEY, "A := C;").digest(), list.digest());
        assert_eq!(fingerprints(&KEY, " \n\t\n"), Fingerprints::default());
        assert_eq!(lexemes("a_1:=b ;"), ["a_1", ":", "=", "b", ";"]);
    }

    #[test]
    fn is_hmac_sha256() {
        let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
        mac.update(b"line\0end;");
        let expected = mac.finalize().into_bytes();
        assert_eq!(fingerprints(&KEY, "end;").lines[0].raw.0, expected[..8]);
    }
}
