//! Signing: with a key of one's own, or through whatever holds one.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, KeyPair as _,
};

use crate::certificate::Certificate;
use crate::key::{CURVES, Curve, KeyError, PublicKey};
use crate::manifest::{Manifest, ManifestError};
use crate::pem;
use crate::signature::{CERTIFICATE_BYTES_MAX, CERTIFICATES_MAX, Signed, bundle, pae};

/// Something that signs: a key in memory, or a program that asks a token.
pub trait Sign {
    /// How verifiers will know the signer.
    fn verification_material(&self) -> Material;

    /// Signs a DSSE pre-authentication encoding: an ECDSA signature in DER, over the SHA-256, SHA-384 or SHA-512 of it for
    /// a key on P-256, P-384 or P-521.
    fn sign(&self, pae: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A public key, and the chain of its certificate when the method is certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    key: PublicKey,
    /// DER, the signer's first. Empty: the method is the key alone.
    chain: Vec<Vec<u8>>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// What is to be signed could not be read again.
    #[error("the manifest is refused")]
    Manifest(#[from] ManifestError),
    /// The signer failed.
    #[error("the signer did not sign: {0}")]
    Failed(String),
    /// What the signer made is not of its key.
    #[error(
        "what the signer made is not a signature of its own key {0}: the signer and its public key do not belong together"
    )]
    Wrong(String),
}

/// Signs a manifest: the bundle's JSON.
pub fn sign(manifest: &Manifest, signer: &dyn Sign) -> Result<Vec<u8>, SignError> {
    manifest.check()?;
    let statement = manifest.statement();
    let message = pae(&statement);
    let Material { key, chain } = signer.verification_material();
    let signature = signer.sign(&message)?;
    if !key.signed(&message, &signature) {
        return Err(SignError::Wrong(key.fingerprint()));
    }
    Ok(bundle(&statement, Some(&Signed { key: &key, chain: &chain, signature: &signature })))
}

/// A manifest in a bundle that nobody signed: [`Signature::parse`](crate::Signature::parse) reads it, and it never verifies.
pub fn unsigned(manifest: &Manifest) -> Vec<u8> {
    bundle(&manifest.statement(), None)
}

impl Material {
    /// The method of keys.
    pub fn key(key: PublicKey) -> Material {
        Material { key, chain: Vec::new() }
    }

    /// The method of certificates: `chain` is PEM, the certificate of this key first, then those that lead to a
    /// root, which may be left out.
    pub fn certificates(key: PublicKey, chain: &[u8]) -> Result<Material, KeyError> {
        let blocks = pem::blocks(chain, pem::PEM_BYTES_MAX).map_err(KeyError::Chain)?;
        if blocks.len() > CERTIFICATES_MAX {
            return Err(KeyError::Chain("it has more than 10 certificates"));
        }
        let mut ders = Vec::new();
        for block in blocks {
            if block.label != "CERTIFICATE" {
                return Err(KeyError::Chain("it holds a PEM block that is not a `CERTIFICATE`"));
            }
            if block.bytes.len() > CERTIFICATE_BYTES_MAX {
                return Err(KeyError::Chain("a certificate is longer than 64 KiB"));
            }
            let certificate = Certificate::parse(&block.bytes).map_err(KeyError::Chain)?;
            if ders.is_empty() && certificate.spki() != key.spki() {
                return Err(KeyError::OtherCertificate);
            }
            ders.push(block.bytes.to_vec());
        }
        Ok(Material { key, chain: ders })
    }

    /// The signer's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

/// A private key in memory.
pub struct KeySigner {
    pair: EcdsaKeyPair,
    material: Material,
}

impl KeySigner {
    /// Reads a private key, PEM of PKCS#8 or SEC1, not encrypted. With a chain, the method is certificates, and the first
    /// certificate must be of this key.
    pub fn from_pem(key: &[u8], chain: Option<&[u8]>) -> Result<KeySigner, KeyError> {
        let blocks = pem::blocks(key, pem::PEM_BYTES_MAX).map_err(KeyError::Form)?;
        // `openssl ecparam -genkey` writes the curve in front.
        let mut blocks = blocks.iter().filter(|block| block.label != "EC PARAMETERS");
        let (Some(block), None) = (blocks.next(), blocks.next()) else {
            return Err(KeyError::Form("it holds several PEM blocks, where one private key is asked for"));
        };
        let pkcs8 = match block.label.as_str() {
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            _ if block.encrypted => return Err(KeyError::Encrypted),
            "PRIVATE KEY" => true,
            "EC PRIVATE KEY" => false,
            "OPENSSH PRIVATE KEY" => {
                return Err(KeyError::Form(
                    "it is OpenSSH's: convert it with `ssh-keygen -p -m PKCS8 -f COPY`",
                ));
            }
            "PUBLIC KEY" | "CERTIFICATE" => {
                return Err(KeyError::Form("it is public, where the private key is asked for"));
            }
            _ => return Err(KeyError::Form("the PEM block is not a private key in PKCS#8 or SEC1")),
        };
        for curve in CURVES {
            let algorithm = match curve {
                Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
                Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
            };
            let read = if pkcs8 { EcdsaKeyPair::from_pkcs8 } else { EcdsaKeyPair::from_private_key_der };
            let Ok(pair) = read(algorithm, &block.bytes) else { continue };
            let key = PublicKey::from_point(curve, pair.public_key().as_ref())?;
            let material = match chain {
                None => Material::key(key),
                Some(chain) => Material::certificates(key, chain)?,
            };
            return Ok(KeySigner { pair, material });
        }
        Err(KeyError::Unsupported)
    }
}

impl Sign for KeySigner {
    fn verification_material(&self) -> Material {
        self.material.clone()
    }

    fn sign(&self, pae: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = self.pair.sign(&SystemRandom::new(), pae);
        let signed =
            signed.map_err(|_| SignError::Failed("the key was refused by the library".to_owned()))?;
        Ok(signed.as_ref().to_vec())
    }
}

impl fmt::Debug for KeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySigner({:?})", self.material)
    }
}
