//! Approvals: a person's signature over the exact text of what is to happen.
//!
//! The signatures are OpenSSH's (`PROTOCOL.sshsig`), as `ssh-keygen -Y sign -n NAMESPACE -f KEY FILE`
//! makes them: with a key in a file, on a FIDO token, or on a card behind an agent or PKCS#11. A name on a
//! command line approves nothing. Which key is whose is decided elsewhere (an enrolment); what may be done
//! with one, two or more approvals likewise.
//!
//! No I/O, no clock, no randomness.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, SshSig};

/// The longest signature's text, in bytes.
pub const SIGNATURE_BYTES_MAX: usize = 4096;

/// The longest public key's text, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// A person's public key: shown and parsed as OpenSSH's one line, without a comment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    key: ssh_key::public::KeyData,
    text: String,
}

/// A person's signature over a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who approves: whoever the key was enrolled to.
    pub person: String,
    /// The key, as OpenSSH's one line without a comment.
    pub key: PublicKey,
    /// The armored signature, beginning `-----BEGIN SSH SIGNATURE-----`.
    pub signature: String,
}

/// Why a text is not a key that can approve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not a public key in OpenSSH's form.
    #[error("not a public key: expected one line as in ~/.ssh/id_ed25519.pub")]
    Form,
    /// Its algorithm is not one of those that approve.
    #[error(
        "a key of type {0} cannot approve: use ssh-ed25519, ecdsa-sha2-nistp256 or -nistp384, or their `sk-` forms"
    )]
    Algorithm(String),
}

/// Why a signature approves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// It is not an SSH signature.
    #[error("not an SSH signature: make it with `ssh-keygen -Y sign -n {namespace} -f KEY FILE`")]
    Form {
        /// What the signature is to be made for.
        namespace: String,
    },
    /// It was made for something else.
    #[error("the signature was made for `{found}`, not for `{expected}`")]
    Namespace {
        /// What it should be made for.
        expected: String,
        /// What it was made for.
        found: String,
    },
    /// It was made by another key.
    #[error("the signature of {person} was made by another key than the one enrolled")]
    Key {
        /// Whose it should be.
        person: String,
    },
    /// It is not over this text.
    #[error("the signature of {person} is not over this text")]
    Text {
        /// Whose it is.
        person: String,
    },
    /// There are not enough different persons.
    #[error("{needed} different persons with different keys must approve; there are {found}")]
    Persons {
        /// How many must.
        needed: usize,
        /// How many do.
        found: usize,
    },
}

impl PublicKey {
    fn new(key: ssh_key::public::KeyData) -> Result<Self, KeyError> {
        let algorithm = key.algorithm();
        match algorithm {
            Algorithm::Ed25519
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 | EcdsaCurve::NistP384 } => {}
            other => return Err(KeyError::Algorithm(other.to_string())),
        }
        let text = ssh_key::PublicKey::new(key.clone(), "").to_openssh().map_err(|_| KeyError::Form)?;
        Ok(PublicKey { key, text: text.trim_end().to_owned() })
    }

    /// How people compare keys: `SHA256:` and base64, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl Approval {
    /// The approval in an armored signature that was made for `namespace` over `text` by a key of
    /// `keys_of`, which lists who has which key.
    pub fn identify<'p>(
        signature: &str,
        namespace: &str,
        text: &[u8],
        keys: impl IntoIterator<Item = (&'p str, &'p PublicKey)>,
    ) -> Result<Option<Self>, ApprovalError> {
        let parsed = parse(signature, namespace)?;
        let owner = keys.into_iter().find(|(_, key)| key.key == *parsed.public_key());
        let Some((person, key)) = owner else { return Ok(None) };
        let signature = signature.trim().to_owned();
        let approval = Approval { person: person.to_owned(), key: key.clone(), signature };
        approval.verify(namespace, text)?;
        Ok(Some(approval))
    }

    /// Whether the key signed the text, for that.
    pub fn verify(&self, namespace: &str, text: &[u8]) -> Result<(), ApprovalError> {
        let signature = parse(&self.signature, namespace)?;
        if *signature.public_key() != self.key.key {
            return Err(ApprovalError::Key { person: self.person.clone() });
        }
        if signature.namespace() != namespace {
            return Err(ApprovalError::Namespace {
                expected: namespace.to_owned(),
                found: signature.namespace().to_owned(),
            });
        }
        let key = ssh_key::PublicKey::new(self.key.key.clone(), "");
        key.verify(namespace, text, &signature)
            .map_err(|_| ApprovalError::Text { person: self.person.clone() })
    }
}

/// Whether that many different persons, with different keys, signed the text.
pub fn verify_all(
    approvals: &[Approval],
    persons: usize,
    namespace: &str,
    text: &[u8],
) -> Result<(), ApprovalError> {
    approvals.iter().try_for_each(|approval| approval.verify(namespace, text))?;
    let names: BTreeSet<&str> = approvals.iter().map(|approval| approval.person.as_str()).collect();
    let keys: BTreeSet<&PublicKey> = approvals.iter().map(|approval| &approval.key).collect();
    let found = names.len().min(keys.len());
    if found < persons { Err(ApprovalError::Persons { needed: persons, found }) } else { Ok(()) }
}

fn parse(signature: &str, namespace: &str) -> Result<SshSig, ApprovalError> {
    let form = || ApprovalError::Form { namespace: namespace.to_owned() };
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(form());
    }
    // `ssh-keygen` ends the armor with a line feed, which the text in a record has not.
    let parsed = SshSig::from_pem(format!("{}\n", signature.trim())).map_err(|_| form())?;
    // The one spelling is the one that is written back.
    let again = parsed.to_pem(LineEnding::LF).map_err(|_| form())?;
    if again.trim() == signature.trim() { Ok(parsed) } else { Err(form()) }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads OpenSSH's line; a comment behind the key is left out.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > KEY_BYTES_MAX {
            return Err(KeyError::Form);
        }
        let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|_| KeyError::Form)?;
        PublicKey::new(key.key_data().clone())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by OpenSSH 9.2's ssh-keygen with throw-away keys, over "erase leaf 7\n", for the namespace "test".
    const KEYS: [(&str, &str, &str); 2] = [
        ("ada", include_str!("../tests/ada.pub"), include_str!("../tests/ada.sig")),
        ("grace", include_str!("../tests/grace.pub"), include_str!("../tests/grace.sig")),
    ];
    const TEXT: &[u8] = b"erase leaf 7\n";

    fn approvals() -> Vec<Approval> {
        let keys: Vec<(&str, PublicKey)> =
            KEYS.iter().map(|(person, key, _)| (*person, key.parse().unwrap())).collect();
        let keys = || keys.iter().map(|(person, key)| (*person, key));
        let made = KEYS.iter().map(|(_, _, signature)| Approval::identify(signature, "test", TEXT, keys()));
        made.map(|approval| approval.unwrap().unwrap()).collect()
    }

    #[test]
    fn what_openssh_signs() {
        let approvals = approvals();
        assert_eq!(approvals[0].person, "ada");
        assert_eq!(approvals[1].person, "grace");
        assert_eq!(verify_all(&approvals, 2, "test", TEXT), Ok(()));
        let again: Vec<Approval> = serde_json::from_str(&serde_json::to_string(&approvals).unwrap()).unwrap();
        assert_eq!(again, approvals);
        assert!(approvals[0].key.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn for_another_text_purpose_or_person() {
        let approvals = approvals();
        let error = approvals[0].verify("test", b"erase leaf 8\n").unwrap_err();
        assert_eq!(error, ApprovalError::Text { person: "ada".to_owned() });
        assert!(matches!(approvals[0].verify("other", TEXT), Err(ApprovalError::Namespace { .. })));
        let stolen = Approval { key: approvals[1].key.clone(), ..approvals[0].clone() };
        assert_eq!(stolen.verify("test", TEXT), Err(ApprovalError::Key { person: "ada".to_owned() }));
        assert_eq!(Approval::identify(KEYS[0].2, "test", TEXT, []), Ok(None));
        assert!(matches!(Approval::identify("text", "test", TEXT, []), Err(ApprovalError::Form { .. })));
    }

    #[test]
    fn one_person_is_not_two() {
        let approvals = approvals();
        let twice = [approvals[0].clone(), approvals[0].clone()];
        let too_few = ApprovalError::Persons { needed: 2, found: 1 };
        assert_eq!(verify_all(&twice, 2, "test", TEXT), Err(too_few.clone()));
        let other_name = Approval { person: "grace".to_owned(), ..approvals[0].clone() };
        let one_key = [approvals[0].clone(), other_name];
        assert_eq!(verify_all(&one_key, 2, "test", TEXT), Err(too_few.clone()));
        assert_eq!(verify_all(&approvals[..1], 2, "test", TEXT), Err(too_few));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let approval = approvals().remove(0);
        for at in 0..approval.signature.len() {
            let mut bytes = approval.signature.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(signature) = String::from_utf8(bytes) else { continue };
            let changed = Approval { signature, ..approval.clone() };
            assert!(changed.verify("test", TEXT).is_err(), "byte {at}");
        }
    }

    #[test]
    fn keys_that_cannot_approve() {
        assert_eq!("ssh-ed25519 nonsense".parse::<PublicKey>(), Err(KeyError::Form));
        assert_eq!("".parse::<PublicKey>(), Err(KeyError::Form));
        let rsa = include_str!("../tests/rsa.pub");
        assert!(matches!(rsa.parse::<PublicKey>(), Err(KeyError::Algorithm(_))));
        let commented: PublicKey = KEYS[0].1.parse().unwrap();
        assert_eq!(commented.to_string().split(' ').count(), 2);
    }
}
