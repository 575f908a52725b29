//! A DSSE envelope by itself, around an in-toto statement that is not a model's: what supply-chain tools read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::json;
use crate::key::PublicKey;
use crate::sign::{Sign, SignError};
use crate::signature::{Envelope, EnvelopeSignature, PAYLOAD_TYPE, SIGNATURE_BYTES_MAX, pae};

/// Why an envelope says nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It has not the form of one.
    #[error("not a DSSE envelope of an in-toto statement: {0}")]
    Form(&'static str),
    /// It is not this key's.
    #[error("no signature of the envelope is of the key {0}")]
    Key(String),
}

/// Signs a statement's JSON: the envelope's JSON.
pub fn sign(statement: &[u8], signer: &dyn Sign) -> Result<Vec<u8>, SignError> {
    let message = pae(statement);
    let material = signer.verification_material();
    let key = material.public_key();
    let signature = signer.sign(&message)?;
    if !key.signed(&message, &signature) {
        return Err(SignError::Wrong(key.fingerprint()));
    }
    Ok(written(statement, BASE64.encode(signature), key))
}

/// The one spelling of an envelope.
fn written(statement: &[u8], sig: String, key: &PublicKey) -> Vec<u8> {
    let envelope = Envelope {
        payload: BASE64.encode(statement),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: vec![EnvelopeSignature { sig, keyid: Some(key.fingerprint()) }],
    };
    // Strings: nothing of them can fail.
    let mut bytes = serde_json::to_vec(&envelope).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The statement's JSON, if the key signed it and every byte of the envelope is as [`sign`] writes it: also those that
/// no signature covers, as the key's hint.
pub fn verify_exactly(envelope: &[u8], key: &PublicKey) -> Result<Vec<u8>, EnvelopeError> {
    let statement = verify(envelope, key)?;
    let read: Envelope = json::from_slice(envelope).map_err(|_| EnvelopeError::Form("it is no such JSON"))?;
    let [signature] = read.signatures.as_slice() else {
        return Err(EnvelopeError::Form("it has not exactly one signature"));
    };
    if written(&statement, signature.sig.clone(), key) != envelope {
        return Err(EnvelopeError::Form("bytes that its signature does not cover were changed"));
    }
    Ok(statement)
}

/// The statement's JSON, if the key signed it.
pub fn verify(envelope: &[u8], key: &PublicKey) -> Result<Vec<u8>, EnvelopeError> {
    if envelope.len() > SIGNATURE_BYTES_MAX {
        return Err(EnvelopeError::Form("it is too long"));
    }
    let envelope: Envelope =
        json::from_slice(envelope).map_err(|_| EnvelopeError::Form("it is no such JSON"))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(EnvelopeError::Form("its payload is of another type"));
    }
    let payload =
        BASE64.decode(&envelope.payload).map_err(|_| EnvelopeError::Form("its payload is not base64"))?;
    let message = pae(&payload);
    let signed = |signature: &EnvelopeSignature| {
        BASE64.decode(&signature.sig).is_ok_and(|signature| key.signed(&message, &signature))
    };
    if envelope.signatures.iter().any(signed) {
        Ok(payload)
    } else {
        Err(EnvelopeError::Key(key.fingerprint()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySigner;

    /// Made by `openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt`, for this test.
    const KEY: &[u8] = include_bytes!("../tests/dsse.pem");

    #[test]
    fn what_is_signed_verifies_and_nothing_else() {
        let signer = KeySigner::from_pem(KEY, None).unwrap();
        let key = signer.verification_material().public_key().clone();
        let envelope = sign(b"{\"a\":1}", &signer).unwrap();
        assert_eq!(verify(&envelope, &key).unwrap(), b"{\"a\":1}");
        let changed = String::from_utf8(envelope).unwrap().replace("eyJhIjoxfQ", "eyJhIjoyfQ");
        assert!(matches!(verify(changed.as_bytes(), &key), Err(EnvelopeError::Key(_))));
        assert!(matches!(verify(b"{}", &key), Err(EnvelopeError::Form(_))));
    }

    /// A byte is changed anywhere, and the envelope is refused: also where the signature says nothing.
    #[test]
    fn every_byte_of_an_envelope_counts() {
        let signer = KeySigner::from_pem(KEY, None).unwrap();
        let key = signer.verification_material().public_key().clone();
        let envelope = sign(b"{\"a\":1}", &signer).unwrap();
        assert_eq!(verify_exactly(&envelope, &key).unwrap(), b"{\"a\":1}");
        for at in 0..envelope.len() {
            for bit in 0..8 {
                let mut changed = envelope.clone();
                changed[at] ^= 1 << bit;
                assert!(verify_exactly(&changed, &key).is_err(), "byte {at}, bit {bit}");
            }
        }
        let twice = [&envelope[..envelope.len() - 1], b" \n"].concat();
        assert!(verify(&twice, &key).is_ok() && verify_exactly(&twice, &key).is_err());
    }
}
