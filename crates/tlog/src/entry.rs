//! Entry bundles: up to 256 leaves in a file, each with its length in a big-endian `u16` before it.

/// The longest leaf, in bytes.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Why a leaf does not fit a bundle.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a leaf of {bytes} bytes is longer than {ENTRY_BYTES_MAX}")]
pub struct EntryTooLong {
    /// The leaf's length.
    pub bytes: usize,
}

/// Why bytes are not a bundle.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BundleError {
    /// The bundle ends inside an entry.
    #[error("the bundle ends inside the entry at offset {offset}")]
    Truncated {
        /// Where that entry begins.
        offset: usize,
    },
    /// The bundle holds more than its width says.
    #[error("stray bytes follow the last entry at offset {offset}")]
    Trailing {
        /// Where they begin.
        offset: usize,
    },
}

/// Appends a leaf to a bundle.
pub fn append(bundle: &mut Vec<u8>, leaf: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(leaf.len()).map_err(|_| EntryTooLong { bytes: leaf.len() })?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(leaf);
    Ok(())
}

/// An entry of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleEntry<'b> {
    /// Where its length begins in the bundle.
    pub offset: usize,
    /// The leaf's bytes.
    pub leaf: &'b [u8],
}

/// The first `count` entries of a bundle, and where they end.
pub fn prefix(bundle: &[u8], count: usize) -> Result<(Vec<BundleEntry<'_>>, usize), BundleError> {
    let mut entries = Vec::with_capacity(count.min(256));
    let mut offset = 0;
    for _ in 0..count {
        let truncated = BundleError::Truncated { offset };
        let (length, rest) = bundle[offset..].split_first_chunk().ok_or(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let leaf = rest.get(..length).ok_or(BundleError::Truncated { offset })?;
        entries.push(BundleEntry { offset, leaf });
        offset += 2 + length;
    }
    Ok((entries, offset))
}

/// A bundle of exactly `count` entries.
pub fn parse(bundle: &[u8], count: usize) -> Result<Vec<BundleEntry<'_>>, BundleError> {
    let (entries, end) = prefix(bundle, count)?;
    if end == bundle.len() { Ok(entries) } else { Err(BundleError::Trailing { offset: end }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut bundle = Vec::new();
        let leaves: [&[u8]; 3] = [b"one", b"", &[7; ENTRY_BYTES_MAX]];
        for leaf in leaves {
            append(&mut bundle, leaf).unwrap();
        }
        let entries = parse(&bundle, 3).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.leaf).collect::<Vec<_>>(), leaves);
        assert_eq!(entries[1].offset, 5);
        assert_eq!(append(&mut bundle, &[0; 65_536]), Err(EntryTooLong { bytes: 65_536 }));
    }

    #[test]
    fn refuses_other_lengths() {
        let bundle = [0, 1, b'a', 0, 2, b'b'];
        assert_eq!(parse(&bundle, 1), Err(BundleError::Trailing { offset: 3 }));
        assert_eq!(parse(&bundle, 2), Err(BundleError::Truncated { offset: 3 }));
        assert_eq!(parse(&bundle[..4], 2), Err(BundleError::Truncated { offset: 3 }));
        assert_eq!(prefix(&bundle, 1).unwrap().1, 3);
    }
}
