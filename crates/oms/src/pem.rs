//! PEM (RFC 7468): blocks of base64 between lines that say what they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

/// Longest text, in bytes.
pub(crate) const PEM_BYTES_MAX: usize = 1 << 20;

/// A block: its label, and its bytes.
pub(crate) struct Block {
    pub(crate) label: String,
    /// May be a private key.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether lines in front of it say that it is encrypted, in the way of before PKCS#8.
    pub(crate) encrypted: bool,
}

/// All blocks of a text, in order. Text around them is passed over, as every tool does that writes some there.
pub(crate) fn blocks(text: &[u8], bytes_max: usize) -> Result<Vec<Block>, &'static str> {
    if text.len() > bytes_max {
        return Err("it is too long");
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is not PEM: not text")?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let (mut encoded, mut encrypted) = (Zeroizing::new(String::new()), false);
        loop {
            let line = lines.next().ok_or("a PEM block has no END line")?;
            if line == end {
                break;
            }
            if line.starts_with("-----") {
                return Err("a PEM block ends with another's END line");
            }
            if line.contains(':') {
                encrypted |= line.starts_with("Proc-Type:") && line.contains("ENCRYPTED");
                continue;
            }
            encoded.push_str(line);
        }
        let bytes = if encrypted { Vec::new() } else { decoded(&encoded)? };
        blocks.push(Block { label: label.to_owned(), bytes: Zeroizing::new(bytes), encrypted });
    }
    if blocks.is_empty() { Err("it is not PEM: no BEGIN line") } else { Ok(blocks) }
}

fn decoded(encoded: &str) -> Result<Vec<u8>, &'static str> {
    BASE64.decode(encoded).map_err(|_| "a PEM block is not base64")
}

/// One block, 64 columns wide, as all tools write it: digests are taken over this text.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> String {
    let encoded = BASE64.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for length in [0, 1, 47, 48, 49, 200] {
            let bytes = vec![7; length];
            let text = format!("words\n{}more\r\n", encode("X Y", &bytes)) + &encode("Z", &bytes);
            let found = blocks(text.as_bytes(), PEM_BYTES_MAX).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].label.as_str(), found[0].bytes.as_slice()), ("X Y", bytes.as_slice()));
        }
    }

    #[test]
    fn refused() {
        for (text, words) in [
            ("", "no BEGIN"),
            ("-----BEGIN A-----\nAAAA\n", "no END"),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", "another's"),
            ("-----BEGIN A-----\nAA*A\n-----END A-----\n", "not base64"),
            (&"x".repeat(PEM_BYTES_MAX + 1), "too long"),
        ] {
            assert!(blocks(text.as_bytes(), PEM_BYTES_MAX).err().unwrap().contains(words), "{words}");
        }
    }
}
