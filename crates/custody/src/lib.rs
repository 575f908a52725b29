//! Key files of the data directory: 32 bytes in the clear, or sealed under a key that lies elsewhere.
//! No I/O: bytes in, bytes out; the caller brings randomness.
//!
//! ```text
//! clear    key[32]
//! sealed   "CLK1"  custody u8  parameters  id[4]  nonce[24]  ciphertext[32]  tag[16]
//!          custody 1, passphrase: memory KiB u32, passes u32, lanes u32, salt[16]   (Argon2id, RFC 9106)
//!          custody 2, credential: salt[16]                                          (HKDF with SHA-256)
//! ```
//! Numbers are little-endian. The seal is XChaCha20-Poly1305; its associated data is everything before the
//! nonce, the key's name and the log's origin, so that no sealed key passes for another one or for another
//! log's, and no parameter can be changed. A sealed file never has 32 bytes: the two forms cannot be mixed up.

mod derive;
mod sealed;

pub use derive::{CREDENTIAL_BYTES_MIN, Derivation, DeriveError, Passphrase, SALT_BYTES, SealingKey};
pub use sealed::{
    ClearKey, FormError, ID_BYTES, KEY_BYTES, KEY_FILE_BYTES_MAX, KeyFile, OpenError, Sealed, id,
};

/// Where a key is, when nobody uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Custody {
    /// In the clear in its file.
    File,
    /// Sealed by a passphrase that a person knows.
    Passphrase,
    /// Sealed by a credential that the service manager hands over.
    Credential,
}

impl Custody {
    /// As commands and records name it.
    pub fn name(self) -> &'static str {
        match self {
            Custody::File => "file",
            Custody::Passphrase => "passphrase",
            Custody::Credential => "credential",
        }
    }
}
