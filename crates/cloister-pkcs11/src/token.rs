//! One token, and its keys.

use std::io;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use oms::token::Scheme;
use oms::{KeyError, PublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::der;

/// Why a token did not do what was asked. The token's own errors are named as PKCS#11 names them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the module {} could not be loaded: {error}", path.display())]
    Module { path: PathBuf, error: Error },
    #[error("no token is called `{0}`: look whether it is plugged in; there are: {1}")]
    NoToken(String, String),
    #[error("several tokens are called `{0}`: unplug all but one")]
    Tokens(String),
    #[error("the PIN could not be read: {0}; give it in a file with --pin-file, or run this on a terminal")]
    NoPin(io::Error),
    #[error("the PIN is empty, longer than 255 bytes, or no text")]
    BadPin,
    #[error("the PIN is wrong; it was tried once, and a token locks itself after a few")]
    WrongPin,
    #[error(
        "one try of the PIN is left before the token locks itself, which is for a person to make: log in with the token's own program"
    )]
    LastTry,
    #[error("the token is locked: its PIN was wrong too often")]
    Locked,
    #[error("the token has no {what} called `{label}`")]
    NoKey { what: &'static str, label: String },
    #[error("the token has several {what}s called `{label}`: give the one to sign with a label of its own")]
    Keys { what: &'static str, label: String },
    #[error("the key `{label}` cannot sign models: {why}")]
    Unfit { label: String, why: KeyError },
    #[error("the token does not say which point of its curve the key `{0}` is")]
    NoPoint(String),
    #[error("the token's signature is no pair of numbers")]
    NoSignature,
    #[error("the token could not {doing}: {error}")]
    Token { doing: &'static str, error: Error },
}

/// Length of the salt of an RSA signature in TLS 1.3: that of its hash.
const SALT_BYTES: u64 = 32;

/// A token that was logged in to, as long as the session lasts.
pub(crate) struct Token {
    session: Session,
    /// Must outlive the session.
    _module: Pkcs11,
}

fn doing(doing: &'static str) -> impl Fn(Error) -> TokenError {
    move |error| TokenError::Token { doing, error }
}

impl Token {
    /// Logs in. `pin` is asked once, if the token wants it from here.
    pub(crate) fn open(
        path: &Path,
        token: &str,
        pin: impl FnOnce() -> Result<Zeroizing<String>, TokenError>,
    ) -> Result<Token, TokenError> {
        let unloadable = |error| TokenError::Module { path: path.to_owned(), error };
        let module = Pkcs11::new(path).map_err(unloadable)?;
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(unloadable)?;
        let slot = find_token(&module, token)?;
        let session = module.open_ro_session(slot).map_err(doing("open a session"))?;
        log_in(&module, slot, &session, pin)?;
        Ok(Token { session, _module: module })
    }

    fn private(&self, kind: KeyType, label: &str) -> Result<ObjectHandle, TokenError> {
        find(&self.session, ObjectClass::PRIVATE_KEY, kind, "private key", label)
    }

    /// The public half of a key that signs models; the private one must be there too.
    pub(crate) fn public(&self, label: &str) -> Result<PublicKey, TokenError> {
        self.private(KeyType::EC, label)?;
        let public = find(&self.session, ObjectClass::PUBLIC_KEY, KeyType::EC, "public key", label)?;
        public_key(&self.session, public, label)
    }

    /// Signs the digest that the key's curve has. The DER of an ECDSA signature.
    pub(crate) fn sign(&self, label: &str, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let digest = self.public(label)?.digest(message);
        self.ecdsa(label, &digest)
    }

    /// Signs as a scheme of TLS has it.
    pub(crate) fn sign_handshake(
        &self,
        label: &str,
        scheme: Scheme,
        content: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        match scheme {
            Scheme::EcdsaSecp256r1Sha256 => self.ecdsa(label, &Sha256::digest(content)),
            Scheme::EcdsaSecp384r1Sha384 => self.ecdsa(label, &Sha384::digest(content)),
            Scheme::EcdsaSecp521r1Sha512 => self.ecdsa(label, &Sha512::digest(content)),
            Scheme::RsaPssRsaeSha256 => {
                let parameters = PkcsPssParams {
                    hash_alg: MechanismType::SHA256,
                    mgf: PkcsMgfType::MGF1_SHA256,
                    s_len: SALT_BYTES.into(),
                };
                let key = self.private(KeyType::RSA, label)?;
                let digest = Sha256::digest(content);
                self.session.sign(&Mechanism::RsaPkcsPss(parameters), key, &digest).map_err(doing("sign"))
            }
        }
    }

    fn ecdsa(&self, label: &str, digest: &[u8]) -> Result<Vec<u8>, TokenError> {
        let key = self.private(KeyType::EC, label)?;
        // Every token knows the mechanism without a hash; those with one are rarer, and slower over a card's wire.
        let raw = self.session.sign(&Mechanism::Ecdsa, key, digest).map_err(doing("sign"))?;
        der::signature(&raw).ok_or(TokenError::NoSignature)
    }
}

fn find_token(module: &Pkcs11, label: &str) -> Result<Slot, TokenError> {
    let slots = module.get_slots_with_initialized_token().map_err(doing("list tokens"))?;
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for slot in slots {
        // One that was just unplugged is no reason to leave the others.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if info.label() == label {
            found.push(slot);
        } else {
            others.push(format!("`{}`", info.label().escape_debug()));
        }
    }
    match found.as_slice() {
        [slot] => Ok(*slot),
        [] if others.is_empty() => Err(TokenError::NoToken(label.to_owned(), "none".to_owned())),
        [] => Err(TokenError::NoToken(label.to_owned(), others.join(", "))),
        _ => Err(TokenError::Tokens(label.to_owned())),
    }
}

fn log_in(
    module: &Pkcs11,
    slot: Slot,
    session: &Session,
    pin: impl FnOnce() -> Result<Zeroizing<String>, TokenError>,
) -> Result<(), TokenError> {
    let info = module.get_token_info(slot).map_err(doing("describe itself"))?;
    if !info.login_required() {
        return Ok(());
    }
    if info.user_pin_locked() {
        return Err(TokenError::Locked);
    }
    if info.user_pin_final_try() {
        return Err(TokenError::LastTry);
    }
    // A token with a keypad takes the PIN itself.
    let pin = if info.protected_authentication_path() { None } else { Some(pin()?) };
    let pin = pin.map(|pin| AuthPin::new(pin.as_str().into()));
    session.login(UserType::User, pin.as_ref()).map_err(|error| match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _) => {
            TokenError::WrongPin
        }
        Error::Pkcs11(RvError::PinLocked, _) => TokenError::Locked,
        error => TokenError::Token { doing: "log in", error },
    })
}

fn find(
    session: &Session,
    class: ObjectClass,
    kind: KeyType,
    what: &'static str,
    label: &str,
) -> Result<ObjectHandle, TokenError> {
    let template =
        [Attribute::Class(class), Attribute::KeyType(kind), Attribute::Label(label.as_bytes().to_vec())];
    let objects = session.find_objects(&template).map_err(doing("look for the key"))?;
    match objects.as_slice() {
        [object] => Ok(*object),
        [] => Err(TokenError::NoKey { what, label: label.to_owned() }),
        _ => Err(TokenError::Keys { what, label: label.to_owned() }),
    }
}

fn public_key(session: &Session, object: ObjectHandle, label: &str) -> Result<PublicKey, TokenError> {
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
    let attributes = session.get_attributes(object, &wanted).map_err(doing("show the public key"))?;
    let (mut curve, mut point) = (Vec::new(), Vec::new());
    for attribute in attributes {
        match attribute {
            Attribute::EcParams(der) => curve = der,
            Attribute::EcPoint(der) => point = der,
            _ => {}
        }
    }
    if point.is_empty() {
        return Err(TokenError::NoPoint(label.to_owned()));
    }
    // The standard has the point in an OCTET STRING; some modules leave that out. Both begin with 4.
    let wrapped = der::octets(&point).and_then(|inner| PublicKey::from_curve_and_point(&curve, inner).ok());
    wrapped
        .map_or_else(|| PublicKey::from_curve_and_point(&curve, &point), Ok)
        .map_err(|why| TokenError::Unfit { label: label.to_owned(), why })
}
