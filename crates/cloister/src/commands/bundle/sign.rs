use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::models::media::pack;
use oms::token::Request;
use oms::{KeySigner, Material, PublicKey, Sign, SignError};

use super::KEY_BYTES_MAX;
use crate::commands::Session;
use crate::failure::Failure;
use crate::file;
use crate::token::TokenKey;

/// Signs a bundle with a key, or with a key and its certificate (OpenSSF Model Signing)
///
/// The signature is over the digests in the manifest: blobs that were left out or lie elsewhere are signed
/// too. Keys are of the curves P-256, P-384 or P-521. A key in a file is PEM, not encrypted: keep it where models
/// are qualified, not on the medium. A key in a token or on a card is used by PKCS#11; the module is loaded by a
/// program of its own, `cloister-pkcs11`, which signs no other document than a manifest of a model. A signature that is there is
/// replaced.
#[derive(clap::Args)]
pub(crate) struct SignBundle {
    /// The bundle
    #[arg(value_name = "MEDIA")]
    media: PathBuf,
    /// The private key
    #[arg(long, value_name = "FILE", required_unless_present = "pkcs11_module")]
    key: Option<PathBuf>,
    /// Instead of a file: the PKCS#11 module of a token
    #[arg(long, value_name = "MODULE", conflicts_with = "key", requires_all = ["token", "token_key"])]
    pkcs11_module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    token: Option<String>,
    /// The key's label in the token
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    token_key: Option<String>,
    /// A file that holds the token's PIN [default: asked for]
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pin_file: Option<PathBuf>,
    /// The certificate of that key and those that lead to an authority, as PEM, the key's own first
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
}

impl SignBundle {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let chain = self.certificates.as_deref().map(|path| file::read(path, KEY_BYTES_MAX)).transpose()?;
        let signer = self.signer(chain.as_deref())?;
        let medium = super::open(&self.media)?;
        let Some(signed) = &medium.signature else {
            return Err(Failure::refused(format!("{} has no manifest", self.media.display())));
        };
        let refused = || Failure::refused(format!("{} was not signed", self.media.display()));
        let bytes =
            oms::sign(signed.signature.manifest(), &*signer).map_err(|error| refused().caused_by(&error))?;
        pack::replace_manifest(&self.media, &bytes).map_err(|error| refused().caused_by(&error))?;
        let fingerprint = signer.verification_material().public_key().fingerprint();
        session.output.say(format!("signed {}@{} by the key {fingerprint}", medium.name, medium.version));
        Ok(ExitCode::SUCCESS)
    }

    fn signer(&self, chain: Option<&[u8]>) -> Result<Box<dyn Sign>, Failure> {
        if let (Some(module), Some(token), Some(key)) = (&self.pkcs11_module, &self.token, &self.token_key) {
            let signer = TokenSigner::new(module, (token, key), self.pin_file.as_deref(), chain);
            let refused = |why| Failure::refused(format!("the token {token} cannot sign: {why}"));
            return Ok(Box::new(signer.map_err(refused)?));
        }
        let Some(path) = &self.key else { return Err(Failure::usage("name a key with --key")) };
        let key = file::read(path, KEY_BYTES_MAX)?;
        let signer = KeySigner::from_pem(&key, chain)
            .map_err(|error| Failure::usage(format!("{} cannot sign", path.display())).caused_by(&error))?;
        Ok(Box::new(signer))
    }
}

/// Signs with a key that stays in its token.
struct TokenSigner {
    key: TokenKey,
    material: Material,
}

impl TokenSigner {
    /// An error says in words why it cannot sign.
    fn new(
        module: &Path,
        (token, key): (&str, &str),
        pin_file: Option<&Path>,
        chain: Option<&[u8]>,
    ) -> Result<TokenSigner, String> {
        let key = TokenKey::new(module, token, key, pin_file).map_err(|error| error.to_string())?;
        let public = PublicKey::from_pem(key.public_pem()?.as_bytes()).map_err(|error| error.to_string())?;
        let material = match chain {
            Some(chain) => Material::certificates(public, chain).map_err(|error| error.to_string())?,
            None => Material::key(public),
        };
        Ok(TokenSigner { key, material })
    }
}

impl Sign for TokenSigner {
    fn verification_material(&self) -> Material {
        self.material.clone()
    }

    fn sign(&self, pae: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(&Request::Sign { pae: pae.to_vec() }).map_err(SignError::Failed)
    }
}
