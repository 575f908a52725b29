//! Signatures of models: OpenSSF Model Signing v1.0, as pure functions of bytes.
//!
//! A signature is a Sigstore bundle (v0.3) that holds a DSSE envelope that holds an in-toto Statement v1,
//! whose predicate lists every file of a model with its SHA-256 digest. [`Signature::parse`] reads one,
//! [`Signature::verify`] says who signed it under which root of a [`Trust`], [`Manifest::check_tree`] compares
//! what was signed with what is there, and [`sign`] writes one.
//!
//! Stricter than the reference implementation (PyPI `model-signing`), on purpose:
//! - Certificates must be valid now, where the reference looks at the moment when the signer's became valid: a
//!   key that leaked after its certificate expired signs nothing any more.
//! - Above a signer that is an authority itself, names must not be constrained: such constraints are evaluated for
//!   other signers only.
//! - Revocation counts: [`Trust::add_crl`]. An issuer without any CRL is believed; one with a CRL needs a fresh one.
//! - Names that could leave the folder, or be two names, are refused; so are JSON objects with a key twice,
//!   shards that leave bytes out, and resources in no known order.
//! - Of Sigstore's keyless method, [`Trust::add_sigstore`] names each signer; nothing is fetched.
//!
//! Not read, and refused by name: signatures of the 0.2 series, digests other than SHA-256, keyless signatures that
//! logs of Rekor's second version hold. Entries of transparency logs and time stamps beside a key or a
//! certificate chain are passed over: they prove nothing here, and nothing is concluded from them.
//!
//! The statement's own root digest commits to digests but not to names. Whoever needs one digest for a model
//! takes [`Signature::statement_digest`].
//!
//! No I/O and no clock; randomness only inside of ECDSA.

mod certificate;
pub mod dsse;
mod json;
mod key;
mod manifest;
mod path;
mod pem;
mod sign;
mod signature;
mod sigstore;
pub mod token;
mod trust;

pub use key::{KeyError, PublicKey};
pub use manifest::{
    IGNORED_MAX, MODEL_NAME_BYTES_MAX, Manifest, ManifestError, NAME_BYTES_MAX, RESOURCES_MAX, Resource,
    Serialization, TreeError,
};
pub use sign::{KeySigner, Material, Sign, SignError, sign, unsigned};
pub use signature::{CERTIFICATES_MAX, Method, ParseError, SIGNATURE_BYTES_MAX, Signature, is_pae};
pub use sigstore::TRUSTED_ROOT_BYTES_MAX;
pub use trust::{CRL_BYTES_MAX, ROOTS_MAX, Signer, Trust, TrustError, Verified, VerifyError};
