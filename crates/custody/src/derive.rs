//! The key that seals keys, from a passphrase or a credential.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Custody, KEY_BYTES};

/// Bytes of the salt of a derivation.
pub const SALT_BYTES: usize = 16;

/// A credential is at least as long as the key that is made of it.
pub const CREDENTIAL_BYTES_MIN: usize = 32;

/// What a file may ask of whoever opens it: enough to be costly for a guesser, and no denial of service.
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 8..=1 << 20;
const PASSES: std::ops::RangeInclusive<u32> = 1..=16;
const LANES: std::ops::RangeInclusive<u32> = 1..=16;

/// What Argon2id is given besides passphrase and salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passphrase {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes; ours are computed one after the other.
    pub lanes: u32,
}

impl Passphrase {
    /// What new files are sealed with: 256 MiB and three passes, about a second of one core. RFC 9106 asks for
    /// 64 MiB and three passes at least where memory is short.
    pub const NEW: Passphrase = Passphrase { memory_kib: 256 << 10, passes: 3, lanes: 1 };

    pub(crate) fn is_sound(self) -> bool {
        MEMORY_KIB.contains(&self.memory_kib)
            && PASSES.contains(&self.passes)
            && LANES.contains(&self.lanes)
            && self.memory_kib >= 8 * self.lanes
    }
}

/// How the sealing key is made of a secret; it is stored beside what it seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Derivation {
    /// By Argon2id of a passphrase.
    Passphrase {
        /// Its cost.
        cost: Passphrase,
        /// Random.
        salt: [u8; SALT_BYTES],
    },
    /// By HKDF of a credential, which is random already.
    Credential {
        /// Random.
        salt: [u8; SALT_BYTES],
    },
}

impl Derivation {
    /// Whose secret it needs.
    pub fn custody(&self) -> Custody {
        match self {
            Derivation::Passphrase { .. } => Custody::Passphrase,
            Derivation::Credential { .. } => Custody::Credential,
        }
    }
}

/// Why there is no sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// The cost is out of range, or there is no memory for it.
    #[error("Argon2id cannot be computed with these parameters")]
    Cost,
    /// The credential can be guessed.
    #[error("a credential has at least {CREDENTIAL_BYTES_MIN} bytes")]
    Short,
}

/// A key that seals keys. Debug shows nothing of it; it is erased when dropped.
pub struct SealingKey {
    pub(crate) derivation: Derivation,
    pub(crate) key: Zeroizing<[u8; KEY_BYTES]>,
}

impl SealingKey {
    /// Makes it of the secret: a passphrase's bytes, or a credential's.
    pub fn derive(secret: &[u8], derivation: Derivation) -> Result<SealingKey, DeriveError> {
        let key = match derivation {
            Derivation::Passphrase { cost, salt } => argon2id(secret, cost, &salt)?,
            Derivation::Credential { .. } if secret.len() < CREDENTIAL_BYTES_MIN => {
                return Err(DeriveError::Short);
            }
            Derivation::Credential { salt } => hkdf(secret, &salt),
        };
        Ok(SealingKey { derivation, key })
    }

    /// How it was made.
    pub fn derivation(&self) -> Derivation {
        self.derivation
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

fn argon2id(secret: &[u8], cost: Passphrase, salt: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, DeriveError> {
    if !cost.is_sound() {
        return Err(DeriveError::Cost);
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| DeriveError::Cost)?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    argon2.hash_password_into(secret, salt, key.as_mut_slice()).map_err(|_| DeriveError::Cost)?;
    Ok(key)
}

/// RFC 5869, for one block of output.
fn hkdf(secret: &[u8], salt: &[u8; SALT_BYTES]) -> Zeroizing<[u8; KEY_BYTES]> {
    let extracted = Zeroizing::new(hmac(salt, &[secret]));
    Zeroizing::new(hmac(extracted.as_slice(), &[b"cloister sealing key 1\0", &[1]]))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY_BYTES] {
    // HMAC takes keys of any length: a longer one is hashed, and none is refused.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes any key") };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn argon2id_is_the_reference_programs() {
        // From test.c of the reference implementation: Argon2id, version 0x13, 2 passes, 64 MiB, one lane.
        let cost = Passphrase { memory_kib: 1 << 16, passes: 2, lanes: 1 };
        let key = argon2id(b"password", cost, b"somesalt").unwrap();
        assert_eq!(hex(key.as_slice()), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
    }

    #[test]
    fn hkdf_is_extract_and_expand() {
        // RFC 5869, test case 1, by the two steps: the extracted key.
        let extracted = hmac(&(0..=0x0c).collect::<Vec<u8>>(), &[&[0x0b; 22]]);
        let known = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
        assert_eq!(hex(&extracted), known);
    }

    #[test]
    fn what_is_weak_or_too_costly_is_refused() {
        let salt = [1; SALT_BYTES];
        let short = SealingKey::derive(&[1; 31], Derivation::Credential { salt });
        assert_eq!(short.err(), Some(DeriveError::Short));
        for cost in [
            Passphrase { memory_kib: 2 << 20, passes: 1, lanes: 1 },
            Passphrase { memory_kib: 1024, passes: 0, lanes: 1 },
            Passphrase { memory_kib: 16, passes: 1, lanes: 16 },
        ] {
            let refused = SealingKey::derive(b"words", Derivation::Passphrase { cost, salt });
            assert_eq!(refused.err(), Some(DeriveError::Cost));
        }
    }
}
