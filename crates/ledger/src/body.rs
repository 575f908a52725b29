//! Bodies at rest: compressed, then XChaCha20-Poly1305 under a key of their own, which is wrapped by a
//! body key.
//!
//! ```text
//! payload  "CLB2"  nonce[24]  ciphertext(salt[16] ‖ plain bytes u32 ‖ LZ4 block)+tag[16]
//! wrap     body key's id[4]  nonce[24]  wrapped data key[32]+tag[16]
//! ```
//! The leaf commits to the payload. The wrap lies apart from it, so that body keys can be changed, and so
//! that destroying it erases the body: nothing else holds the data key, and every proof stays valid. The
//! wrapping binds the leaf's index, and a data key is used once: a wrap serves no other leaf's body.

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

const MAGIC: &[u8; 4] = b"CLB2";
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const TAG: usize = 16;
const SALT: usize = 16;
const LENGTH: usize = 4;
const DATA_KEY: usize = 32;
const HEAD: usize = MAGIC.len() + NONCE;

/// Bytes of a wrap.
pub(crate) const WRAP_BYTES: usize = KEY_ID + NONCE + DATA_KEY + TAG;

/// Bytes that a payload has at least.
const PAYLOAD_BYTES_MIN: usize = HEAD + SALT + LENGTH + TAG;

/// The longest payload: LZ4 makes what it cannot compress a little longer.
pub(crate) const PAYLOAD_BYTES_MAX: usize = PAYLOAD_BYTES_MIN + BODY_BYTES_MAX + BODY_BYTES_MAX / 200 + 64;

/// The keys that wrap bodies' keys: one for new bodies, and older ones while a change of keys is under
/// way. Debug shows nothing of them; they are erased when dropped.
#[derive(Clone)]
pub struct LedgerKeys {
    current: BodyKey,
    older: Vec<BodyKey>,
}

#[derive(Clone)]
struct BodyKey {
    id: [u8; KEY_ID],
    key: [u8; 32],
}

impl LedgerKeys {
    /// One key.
    pub fn new(body: [u8; 32]) -> Self {
        LedgerKeys { current: BodyKey::new(body), older: Vec::new() }
    }

    /// Besides, a key that still opens bodies and wraps no new one.
    #[must_use]
    pub fn with_older(mut self, body: [u8; 32]) -> Self {
        self.older.push(BodyKey::new(body));
        self
    }

    fn get(&self, id: &[u8]) -> Option<&BodyKey> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.id == id)
    }
}

impl BodyKey {
    fn new(key: [u8; 32]) -> Self {
        let digest = Sha256::new().chain_update("cloister body key id 1\0").chain_update(key).finalize();
        BodyKey { id: array(&digest), key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.into())
    }
}

impl Drop for BodyKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for LedgerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerKeys(…)")
    }
}

/// A body that is encrypted but not yet bound to a leaf.
pub(crate) struct Sealed {
    payload: Vec<u8>,
    commitment: BodyCommitment,
    data_key: Zeroizing<[u8; DATA_KEY]>,
    key_nonce: [u8; NONCE],
}

/// A body's data key under a body key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrap(pub(crate) [u8; WRAP_BYTES]);

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
    /// Compresses and encrypts a body. This is the costly half, done by the caller's own thread.
    pub(crate) fn new(plain: &[u8], randomness: &Randomness) -> Result<Self, SealError> {
        let too_long = || SealError::TooLong { bytes: plain.len() };
        let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= BODY_BYTES_MAX);
        let length = length.ok_or_else(too_long)?;
        let mut data_key = Zeroizing::new([0; DATA_KEY]);
        let (mut nonce, mut key_nonce, mut salt) = ([0; NONCE], [0; NONCE], [0; SALT]);
        for random in [data_key.as_mut_slice(), &mut nonce, &mut key_nonce, &mut salt] {
            randomness(random)?;
        }
        let content = content_digest(&salt, plain);

        let compressed = Zeroizing::new(lz4_flex::block::compress(plain));
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES_MIN + compressed.len());
        for part in [MAGIC.as_slice(), &nonce, &salt, &length.to_le_bytes(), &compressed] {
            payload.extend_from_slice(part);
        }
        let cipher = XChaCha20Poly1305::new(&(*data_key).into());
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(nonce), MAGIC, (&mut payload[HEAD..]).into())
            .map_err(|_| too_long())?;
        payload.extend_from_slice(&tag);
        let digest = Digest(Sha256::digest(&payload).into());
        let commitment = BodyCommitment { digest, bytes: payload.len() as u64, content };
        Ok(Sealed { payload, commitment, data_key, key_nonce })
    }

    /// Binds the body to a leaf. This is the cheap half, done where the index is known. Returns payload
    /// and wrap, one behind the other, and what the leaf says of them.
    pub(crate) fn bind(mut self, keys: &LedgerKeys, index: u64) -> (Vec<u8>, BodyCommitment) {
        let wrap = Wrap::new(&keys.current, &self.data_key, self.key_nonce, index);
        self.payload.extend_from_slice(&wrap.0);
        (self.payload, self.commitment)
    }
}

/// Payload and wrap of a bound body; `None` when there is none.
pub(crate) fn split(bound: &[u8]) -> Option<(&[u8], Wrap)> {
    bound.split_last_chunk::<WRAP_BYTES>().map(|(payload, wrap)| (payload, Wrap(*wrap)))
}

impl Wrap {
    /// What stands where a wrap was destroyed.
    pub(crate) const DESTROYED: Wrap = Wrap([0; WRAP_BYTES]);

    fn new(key: &BodyKey, data_key: &[u8; DATA_KEY], nonce: [u8; NONCE], index: u64) -> Self {
        let mut wrapped = Zeroizing::new(*data_key);
        // Encrypting 32 bytes in place has no way to fail; if it had, the tag of zeros would be refused by
        // every reader.
        let tag = key
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), &wrap_context(index), wrapped.as_mut_slice().into())
            .unwrap_or_default();
        let mut bytes = [0; WRAP_BYTES];
        let mut rest = bytes.as_mut_slice();
        for part in [key.id.as_slice(), &nonce, wrapped.as_slice(), &tag] {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        Wrap(bytes)
    }

    /// The data key.
    fn open(&self, keys: &LedgerKeys, index: u64) -> Result<Zeroizing<[u8; DATA_KEY]>, UnsealError> {
        let (id, rest) = self.0.split_at(KEY_ID);
        let (nonce, rest) = rest.split_at(NONCE);
        let (wrapped, tag) = rest.split_at(DATA_KEY);
        let key = keys.get(id).ok_or(UnsealError::Key)?;
        let mut data_key = Zeroizing::new(array::<DATA_KEY>(wrapped));
        let (nonce, tag) = (array::<NONCE>(nonce), array::<TAG>(tag));
        key.cipher()
            .decrypt_inout_detached(
                &nonce.into(),
                &wrap_context(index),
                data_key.as_mut_slice().into(),
                &tag.into(),
            )
            .map_err(|_| UnsealError::Key)?;
        Ok(data_key)
    }

    /// Whether the key for new bodies made it.
    pub(crate) fn is_current(&self, keys: &LedgerKeys) -> bool {
        self.0.starts_with(&keys.current.id)
    }

    /// The same data key under the key for new bodies.
    pub(crate) fn renewed(
        &self,
        keys: &LedgerKeys,
        index: u64,
        randomness: &Randomness,
    ) -> Result<Self, RenewError> {
        let data_key = self.open(keys, index)?;
        let mut nonce = [0; NONCE];
        randomness(&mut nonce)?;
        Ok(Wrap::new(&keys.current, &data_key, nonce, index))
    }
}

/// Why a wrap was not renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewError {
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

/// The plain bytes of a leaf's body, checked against the leaf's commitment to them.
pub(crate) fn unseal(
    payload: &[u8],
    wrap: &Wrap,
    keys: &LedgerKeys,
    index: u64,
    content: &ContentDigest,
) -> Result<Vec<u8>, UnsealError> {
    if payload.len() < PAYLOAD_BYTES_MIN || !payload.starts_with(MAGIC) {
        return Err(UnsealError::Form);
    }
    let data_key = wrap.open(keys, index)?;
    let (ciphertext, tag) = payload[HEAD..].split_at(payload.len() - HEAD - TAG);
    let mut salted = Zeroizing::new(ciphertext.to_vec());
    let (nonce, tag) = (array::<NONCE>(&payload[MAGIC.len()..HEAD]), array::<TAG>(tag));
    XChaCha20Poly1305::new(&(*data_key).into())
        .decrypt_inout_detached(&nonce.into(), MAGIC, salted.as_mut_slice().into(), &tag.into())
        .map_err(|_| UnsealError::Bytes)?;
    let (salt, rest) = salted.split_at(SALT);
    let (length, compressed) = rest.split_at(LENGTH);
    let length = usize::try_from(u32::from_le_bytes(array(length))).unwrap_or(usize::MAX);
    if length > BODY_BYTES_MAX {
        return Err(UnsealError::Form);
    }
    let plain = lz4_flex::block::decompress(compressed, length).map_err(|_| UnsealError::Form)?;
    if content_digest(salt, &plain) == *content { Ok(plain) } else { Err(UnsealError::Content) }
}

fn content_digest(salt: &[u8], plain: &[u8]) -> ContentDigest {
    ContentDigest(Sha384::new().chain_update(salt).chain_update(plain).finalize().into())
}

fn wrap_context(index: u64) -> Vec<u8> {
    [b"cloister body key 2\0".as_slice(), &index.to_le_bytes()].concat()
}

/// The first bytes of a slice that is known to be long enough.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(plain: &[u8], keys: &LedgerKeys, index: u64) -> (Vec<u8>, Wrap, BodyCommitment) {
        let sealed = Sealed::new(plain, &crate::system_randomness()).unwrap();
        let (bytes, commitment) = sealed.bind(keys, index);
        let (payload, wrap) = split(&bytes).unwrap();
        (payload.to_vec(), wrap, commitment)
    }

    #[test]
    fn opens_for_its_leaf_only() {
        let keys = LedgerKeys::new([1; 32]);
        let (payload, wrap, commitment) = bound(b"the prompt", &keys, 7);
        assert_eq!(commitment.bytes, payload.len() as u64);
        assert_eq!(commitment.digest.0, <[u8; 32]>::from(Sha256::digest(&payload)));
        assert!(!payload.windows(6).any(|window| window == b"prompt"));
        let content = &commitment.content;
        assert_eq!(unseal(&payload, &wrap, &keys, 7, content).unwrap(), b"the prompt");
        assert_eq!(unseal(&payload, &wrap, &keys, 8, content), Err(UnsealError::Key));
        let other = LedgerKeys::new([2; 32]);
        assert_eq!(unseal(&payload, &wrap, &other, 7, content), Err(UnsealError::Key));
        assert_eq!(unseal(&payload, &wrap, &keys, 7, &ContentDigest([0; 48])), Err(UnsealError::Content));
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert!(unseal(&changed, &wrap, &keys, 7, content).is_err(), "byte {at}");
            assert!(unseal(&payload[..at], &wrap, &keys, 7, content).is_err(), "cut at {at}");
        }
        for at in 0..WRAP_BYTES {
            let mut changed = wrap;
            changed.0[at] ^= 1;
            assert_eq!(unseal(&payload, &changed, &keys, 7, content), Err(UnsealError::Key), "byte {at}");
        }
        assert!(unseal(&payload, &Wrap::DESTROYED, &keys, 7, content).is_err());
        assert_eq!(format!("{keys:?}"), "LedgerKeys(…)");
    }

    #[test]
    fn bodies_of_any_length() {
        let keys = LedgerKeys::new([1; 32]);
        let (payload, wrap, commitment) = bound(b"", &keys, 0);
        assert_eq!(unseal(&payload, &wrap, &keys, 0, &commitment.content).unwrap(), b"");
        let text = "the same words again and again\n".repeat(1000);
        let (payload, wrap, commitment) = bound(text.as_bytes(), &keys, 1);
        assert!(payload.len() < text.len() / 20, "{} bytes", payload.len());
        assert_eq!(unseal(&payload, &wrap, &keys, 1, &commitment.content).unwrap(), text.as_bytes());
        let mut noise = vec![0; 100_000];
        crate::system_randomness()(&mut noise).unwrap();
        let (payload, wrap, commitment) = bound(&noise, &keys, 2);
        assert!(payload.len() <= PAYLOAD_BYTES_MIN + noise.len() + noise.len() / 200 + 64);
        assert_eq!(unseal(&payload, &wrap, &keys, 2, &commitment.content).unwrap(), noise);
    }

    #[test]
    fn a_renewed_wrap_needs_the_new_key_only() {
        let (old, new) = ([1; 32], [2; 32]);
        let (payload, wrap, commitment) = bound(b"text", &LedgerKeys::new(old), 3);
        let both = LedgerKeys::new(new).with_older(old);
        assert!(!wrap.is_current(&both));
        let renewed = wrap.renewed(&both, 3, &crate::system_randomness()).unwrap();
        assert!(renewed.is_current(&both) && renewed != wrap);
        let content = &commitment.content;
        assert_eq!(unseal(&payload, &renewed, &LedgerKeys::new(new), 3, content).unwrap(), b"text");
        let old = LedgerKeys::new(old);
        assert_eq!(unseal(&payload, &renewed, &old, 3, content), Err(UnsealError::Key));
        assert!(wrap.renewed(&LedgerKeys::new(new), 3, &crate::system_randomness()).is_err());
    }
}
