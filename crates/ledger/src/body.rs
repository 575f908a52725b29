//! Bodies at rest: XChaCha20-Poly1305 under a key of their own, which is wrapped by the body key.
//!
//! ```text
//! "CLB1"  nonce[24]  ciphertext(salt[16] ‖ plain)+tag[16]  key nonce[24]  wrapped key[32]+tag[16]
//! ```
//! The wrapping binds the leaf's index, and the data key is used once, so a body cannot be put beside
//! another leaf. Destroying the wrapped key erases the body: nothing else holds the data key.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use protocol::Digest;
use sha2::{Digest as _, Sha256, Sha384};
use zeroize::{Zeroize, Zeroizing};

use crate::leaf::{BodyCommitment, ContentDigest};
use crate::{Randomness, RandomnessError};

/// The longest body, in plain bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const MAGIC: &[u8; 4] = b"CLB1";
const NONCE: usize = 24;
const TAG: usize = 16;
const SALT: usize = 16;
const DATA_KEY: usize = 32;
const HEAD: usize = MAGIC.len() + NONCE;
const WRAP: usize = NONCE + DATA_KEY + TAG;

/// Bytes a stored body has beyond the plain ones.
pub(crate) const OVERHEAD: usize = HEAD + SALT + TAG + WRAP;

/// The keys of the ledger. Debug shows nothing of them; they are erased when dropped.
#[derive(Clone)]
pub struct LedgerKeys {
    /// Wraps the bodies' keys.
    pub body: [u8; 32],
}

impl Drop for LedgerKeys {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

impl fmt::Debug for LedgerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerKeys(…)")
    }
}

/// A body that is encrypted but not yet bound to a leaf.
pub(crate) struct Sealed {
    /// All but the wrapped key.
    stored: Vec<u8>,
    /// Of `stored`.
    digest: Sha256,
    content: ContentDigest,
    data_key: Zeroizing<[u8; DATA_KEY]>,
    key_nonce: [u8; NONCE],
}

/// Why stored bytes are not the body of that leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The bytes do not have a body's form.
    #[error("the stored bytes do not have a body's form")]
    Form,
    /// The key of the body does not unwrap.
    #[error("the body's key does not unwrap: another body key, another leaf's body, or changed bytes")]
    Key,
    /// The bytes do not decrypt.
    #[error("the body does not decrypt: its bytes were changed")]
    Bytes,
    /// The plain bytes are not those the leaf commits to.
    #[error("the body's content is not the one the leaf commits to")]
    Content,
}

/// Why a body could not be sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("a body of {bytes} bytes is longer than {BODY_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

impl Sealed {
    /// Encrypts a body. This is the costly half, done by the caller's own thread.
    pub(crate) fn new(plain: &[u8], randomness: &Randomness) -> Result<Self, SealError> {
        if plain.len() > BODY_BYTES_MAX {
            return Err(SealError::TooLong { bytes: plain.len() });
        }
        let mut data_key = Zeroizing::new([0; DATA_KEY]);
        let (mut nonce, mut key_nonce, mut salt) = ([0; NONCE], [0; NONCE], [0; SALT]);
        for random in [data_key.as_mut_slice(), &mut nonce, &mut key_nonce, &mut salt] {
            randomness(random)?;
        }
        let content = content_digest(&salt, plain);

        let mut stored = Vec::with_capacity(plain.len() + OVERHEAD);
        for part in [MAGIC.as_slice(), &nonce, &salt, plain] {
            stored.extend_from_slice(part);
        }
        let cipher = XChaCha20Poly1305::new(&(*data_key).into());
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(nonce), MAGIC, (&mut stored[HEAD..]).into())
            .map_err(|_| SealError::TooLong { bytes: plain.len() })?;
        stored.extend_from_slice(&tag);
        let digest = Sha256::new_with_prefix(&stored);
        Ok(Sealed { stored, digest, content, data_key, key_nonce })
    }

    /// Binds the body to a leaf. This is the cheap half, done where the index is known.
    pub(crate) fn bind(mut self, keys: &LedgerKeys, index: u64) -> (Vec<u8>, BodyCommitment) {
        let mut wrapped = Zeroizing::new(*self.data_key);
        let cipher = XChaCha20Poly1305::new(&keys.body.into());
        let nonce = XNonce::from(self.key_nonce);
        // Encrypting 32 bytes in place has no way to fail; if it had, the tag of zeros would be
        // refused by every reader.
        let tag = cipher
            .encrypt_inout_detached(&nonce, &wrap_context(index), wrapped.as_mut_slice().into())
            .unwrap_or_default();
        let wrap = [self.key_nonce.as_slice(), wrapped.as_slice(), &tag].concat();
        self.digest.update(&wrap);
        self.stored.extend_from_slice(&wrap);
        let commitment = BodyCommitment {
            digest: Digest(self.digest.finalize().into()),
            bytes: self.stored.len() as u64,
            content: self.content,
        };
        (self.stored, commitment)
    }
}

/// The plain bytes of a leaf's body, checked against the leaf's commitment to them.
pub(crate) fn unseal(
    stored: &[u8],
    keys: &LedgerKeys,
    index: u64,
    content: &ContentDigest,
) -> Result<Vec<u8>, UnsealError> {
    if stored.len() < OVERHEAD || !stored.starts_with(MAGIC) {
        return Err(UnsealError::Form);
    }
    let (payload, wrap) = stored.split_at(stored.len() - WRAP);
    let mut data_key = Zeroizing::new([0; DATA_KEY]);
    data_key.copy_from_slice(&wrap[NONCE..NONCE + DATA_KEY]);
    let (key_nonce, key_tag) = (array::<NONCE>(&wrap[..NONCE]), array::<TAG>(&wrap[NONCE + DATA_KEY..]));
    XChaCha20Poly1305::new(&keys.body.into())
        .decrypt_inout_detached(
            &key_nonce.into(),
            &wrap_context(index),
            data_key.as_mut_slice().into(),
            &key_tag.into(),
        )
        .map_err(|_| UnsealError::Key)?;

    let (ciphertext, tag) = payload[HEAD..].split_at(payload.len() - HEAD - TAG);
    let mut salted = ciphertext.to_vec();
    let (nonce, tag) = (array::<NONCE>(&payload[MAGIC.len()..HEAD]), array::<TAG>(tag));
    XChaCha20Poly1305::new(&(*data_key).into())
        .decrypt_inout_detached(&nonce.into(), MAGIC, salted.as_mut_slice().into(), &tag.into())
        .map_err(|_| UnsealError::Bytes)?;
    let plain = salted.split_off(SALT);
    if content_digest(&salted, &plain) == *content { Ok(plain) } else { Err(UnsealError::Content) }
}

fn content_digest(salt: &[u8], plain: &[u8]) -> ContentDigest {
    ContentDigest(Sha384::new().chain_update(salt).chain_update(plain).finalize().into())
}

fn wrap_context(index: u64) -> Vec<u8> {
    [b"cloister body key 1\0".as_slice(), &index.to_le_bytes()].concat()
}

/// The first bytes of a slice that is known to be long enough.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_leaf_only() {
        let keys = LedgerKeys { body: [1; 32] };
        let random = crate::system_randomness();
        let (stored, commitment) = Sealed::new(b"the prompt", &random).unwrap().bind(&keys, 7);
        assert_eq!(commitment.bytes, stored.len() as u64);
        assert_eq!(commitment.digest.0, <[u8; 32]>::from(Sha256::digest(&stored)));
        assert!(!stored.windows(6).any(|window| window == b"prompt"));
        let content = &commitment.content;
        assert_eq!(unseal(&stored, &keys, 7, content).unwrap(), b"the prompt");
        assert_eq!(unseal(&stored, &keys, 8, content), Err(UnsealError::Key));
        assert_eq!(unseal(&stored, &LedgerKeys { body: [2; 32] }, 7, content), Err(UnsealError::Key));
        assert_eq!(unseal(&stored, &keys, 7, &ContentDigest([0; 48])), Err(UnsealError::Content));
        for at in 0..stored.len() {
            let mut changed = stored.clone();
            changed[at] ^= 1;
            assert!(unseal(&changed, &keys, 7, content).is_err(), "byte {at}");
            assert!(unseal(&stored[..at], &keys, 7, content).is_err(), "cut at {at}");
        }
        assert_eq!(format!("{keys:?}"), "LedgerKeys(…)");
    }

    #[test]
    fn an_empty_body_is_a_body() {
        let keys = LedgerKeys { body: [1; 32] };
        let (stored, commitment) = Sealed::new(b"", &crate::system_randomness()).unwrap().bind(&keys, 0);
        assert_eq!(stored.len(), OVERHEAD);
        assert_eq!(unseal(&stored, &keys, 0, &commitment.content).unwrap(), b"");
    }
}
