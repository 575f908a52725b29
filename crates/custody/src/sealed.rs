//! The form of a key file.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Custody;
use crate::derive::{Derivation, Passphrase, SALT_BYTES, SealingKey};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Bytes of a key's id.
pub const ID_BYTES: usize = 4;

/// The longest key file.
pub const KEY_FILE_BYTES_MAX: usize =
    MAGIC.len() + 1 + 12 + SALT_BYTES + ID_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES;

const MAGIC: &[u8; 4] = b"CLK1";
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const BY_PASSPHRASE: u8 = 1;
const BY_CREDENTIAL: u8 = 2;

/// A key file's content.
#[derive(Debug)]
pub enum KeyFile {
    /// A key in the clear.
    Clear(ClearKey),
    /// A sealed one.
    Sealed(Sealed),
}

/// A key in the clear; Debug shows nothing of it.
pub struct ClearKey(pub(crate) Zeroizing<[u8; KEY_BYTES]>);

/// A sealed key, and what is known of it without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    derivation: Derivation,
    id: [u8; ID_BYTES],
    nonce: [u8; NONCE_BYTES],
    ciphertext: [u8; KEY_BYTES],
    tag: [u8; TAG_BYTES],
}

/// Why bytes are no key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Neither form.
    #[error("neither a key of {KEY_BYTES} bytes nor a sealed key")]
    Form,
    /// A newer program's.
    #[error("a sealed key of a custody that this version does not know")]
    Custody,
    /// Out of range.
    #[error("the parameters of the passphrase's derivation are out of range")]
    Cost,
}

/// Why a sealed key stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key does not open: another secret, another key's or another log's file, or changed bytes")]
pub struct OpenError;

impl KeyFile {
    /// Reads a key file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<KeyFile, FormError> {
        if let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes) {
            return Ok(KeyFile::Clear(ClearKey(Zeroizing::new(key))));
        }
        Sealed::parse(bytes).map(KeyFile::Sealed)
    }

    /// Where the key is.
    pub fn custody(&self) -> Custody {
        match self {
            KeyFile::Clear(_) => Custody::File,
            KeyFile::Sealed(sealed) => sealed.derivation.custody(),
        }
    }

    /// The id of the key, which a sealed one states; `name` is the key's.
    pub fn id(&self, name: &str) -> [u8; ID_BYTES] {
        match self {
            KeyFile::Clear(key) => id(name, key.key()),
            KeyFile::Sealed(sealed) => sealed.id,
        }
    }
}

impl ClearKey {
    /// The key.
    pub fn key(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for ClearKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearKey(…)")
    }
}

impl Sealed {
    /// Seals a key. `name` and `origin` must be the same when it is opened; the nonce must be random.
    pub fn new(
        key: &[u8; KEY_BYTES],
        by: &SealingKey,
        name: &str,
        origin: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Sealed {
        let (derivation, id) = (by.derivation, id(name, key));
        let mut ciphertext = *key;
        // Encrypting 32 bytes in place has no way to fail; if it had, nothing would open the tag of zeros, and
        // the key itself must not stand there.
        let context = context(&derivation, id, name, origin);
        let tag = cipher(by).encrypt_inout_detached(
            &XNonce::from(nonce),
            &context,
            ciphertext.as_mut_slice().into(),
        );
        let Ok(tag) = tag else {
            return Sealed { derivation, id, nonce, ciphertext: [0; KEY_BYTES], tag: [0; TAG_BYTES] };
        };
        Sealed { derivation, id, nonce, ciphertext, tag: tag.into() }
    }

    /// How the sealing key is made.
    pub fn derivation(&self) -> Derivation {
        self.derivation
    }

    /// The key, which is the one of the id.
    pub fn open(
        &self,
        by: &SealingKey,
        name: &str,
        origin: &str,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, OpenError> {
        let mut key = Zeroizing::new(self.ciphertext);
        cipher(by)
            .decrypt_inout_detached(
                &XNonce::from(self.nonce),
                &context(&self.derivation, self.id, name, origin),
                key.as_mut_slice().into(),
                &self.tag.into(),
            )
            .map_err(|_| OpenError)?;
        if id(name, &key) == self.id { Ok(key) } else { Err(OpenError) }
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = head(&self.derivation, self.id);
        for part in [self.nonce.as_slice(), &self.ciphertext, &self.tag] {
            bytes.extend_from_slice(part);
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Sealed, FormError> {
        let mut rest = bytes;
        if take(&mut rest)? != *MAGIC {
            return Err(FormError::Form);
        }
        let derivation = match take(&mut rest)? {
            [BY_PASSPHRASE] => {
                let mut number = || take(&mut rest).map(u32::from_le_bytes);
                let cost = Passphrase { memory_kib: number()?, passes: number()?, lanes: number()? };
                if !cost.is_sound() {
                    return Err(FormError::Cost);
                }
                Derivation::Passphrase { cost, salt: take(&mut rest)? }
            }
            [BY_CREDENTIAL] => Derivation::Credential { salt: take(&mut rest)? },
            _ => return Err(FormError::Custody),
        };
        let sealed = Sealed {
            derivation,
            id: take(&mut rest)?,
            nonce: take(&mut rest)?,
            ciphertext: take(&mut rest)?,
            tag: take(&mut rest)?,
        };
        if rest.is_empty() { Ok(sealed) } else { Err(FormError::Form) }
    }
}

/// How a key is named in records and by `keys status`: the first bytes of a digest of it. Keys are random, so
/// that this says nothing of them. Of the body key it is what the ledger calls it too.
pub fn id(name: &str, key: &[u8; KEY_BYTES]) -> [u8; ID_BYTES] {
    let words = name.replace('.', " ");
    let digest: [u8; 32] =
        Sha256::new().chain_update(format!("cloister {words} id 1\0")).chain_update(key).finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Everything before the nonce.
fn head(derivation: &Derivation, id: [u8; ID_BYTES]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    match derivation {
        Derivation::Passphrase { cost, salt } => {
            bytes.push(BY_PASSPHRASE);
            for number in [cost.memory_kib, cost.passes, cost.lanes] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(salt);
        }
        Derivation::Credential { salt } => {
            bytes.push(BY_CREDENTIAL);
            bytes.extend_from_slice(salt);
        }
    }
    bytes.extend_from_slice(&id);
    bytes
}

/// The associated data: no name holds a zero byte.
fn context(derivation: &Derivation, id: [u8; ID_BYTES], name: &str, origin: &str) -> Vec<u8> {
    [head(derivation, id).as_slice(), name.as_bytes(), &[0], origin.as_bytes()].concat()
}

fn cipher(by: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*by.key).into())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], FormError> {
    let (first, behind) = rest.split_first_chunk().ok_or(FormError::Form)?;
    *rest = behind;
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COST: Passphrase = Passphrase { memory_kib: 64, passes: 1, lanes: 1 };
    const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];

    fn by_passphrase(words: &str) -> SealingKey {
        let derivation = Derivation::Passphrase { cost: COST, salt: [3; SALT_BYTES] };
        SealingKey::derive(words.as_bytes(), derivation).unwrap()
    }

    fn by_credential() -> SealingKey {
        SealingKey::derive(&[5; 32], Derivation::Credential { salt: [4; SALT_BYTES] }).unwrap()
    }

    fn sealed(bytes: &[u8]) -> Sealed {
        match KeyFile::parse(bytes).unwrap() {
            KeyFile::Sealed(sealed) => sealed,
            KeyFile::Clear(_) => panic!("not sealed"),
        }
    }

    #[test]
    fn opens_by_its_secret_for_its_name_and_log_only() {
        for by in [by_passphrase("the right words"), by_credential()] {
            let bytes = Sealed::new(&KEY, &by, "body.key", "log", [9; NONCE_BYTES]).to_bytes();
            assert!(bytes.len() <= KEY_FILE_BYTES_MAX && bytes.len() != KEY_BYTES);
            assert!(!bytes.windows(4).any(|window| window == [7; 4]));
            let read = sealed(&bytes);
            assert_eq!((read.to_bytes(), read.derivation()), (bytes, by.derivation()));
            assert_eq!(*read.open(&by, "body.key", "log").unwrap(), KEY);
            assert!(read.open(&by, "notary.key", "log").is_err());
            assert!(read.open(&by, "body.key", "other").is_err());
            assert!(read.open(&by_passphrase("other words"), "body.key", "log").is_err());
            assert_eq!(format!("{by:?}"), "SealingKey(…)");
        }
    }

    #[test]
    fn every_byte_counts() {
        let by = by_passphrase("the right words");
        let bytes = Sealed::new(&KEY, &by, "body.key", "log", [9; NONCE_BYTES]).to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(KeyFile::Sealed(sealed)) = KeyFile::parse(&changed) {
                assert!(sealed.open(&by, "body.key", "log").is_err(), "byte {at}");
            }
            let cut = KeyFile::parse(&bytes[..at]);
            assert!(at == KEY_BYTES || cut.is_err(), "cut at {at}");
        }
        assert!(KeyFile::parse(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn refused_by_name() {
        let by = by_passphrase("the right words");
        let bytes = Sealed::new(&KEY, &by, "body.key", "log", [9; NONCE_BYTES]).to_bytes();
        let with = |at: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[at] = byte;
            KeyFile::parse(&changed).err().unwrap()
        };
        assert_eq!(with(0, b'X'), FormError::Form);
        assert_eq!(with(4, 9), FormError::Custody);
        assert_eq!(with(8, 1), FormError::Cost);
        assert_eq!(KeyFile::parse(&[0; 31]).err(), Some(FormError::Form));
    }

    #[test]
    fn ids_differ_by_key_and_name() {
        assert_ne!(id("body.key", &KEY), id("notary.key", &KEY));
        assert_ne!(id("body.key", &KEY), id("body.key", &[8; KEY_BYTES]));
        let clear = KeyFile::parse(&KEY).unwrap();
        assert_eq!((clear.id("body.key"), clear.custody()), (id("body.key", &KEY), Custody::File));
        assert_eq!(format!("{clear:?}"), "Clear(ClearKey(…))");
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(KeyFile::Sealed(sealed)) = KeyFile::parse(&bytes) {
                prop_assert_eq!(sealed.to_bytes(), bytes);
            }
        }
    }
}
