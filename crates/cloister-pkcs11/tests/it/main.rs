//! The program with a real module and a token in a folder: SoftHSM, which is hardware to whoever calls it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "what a test writes need not last")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{fs, io};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use oms::token::{Answer, Request, Scheme};
use oms::{Manifest, Material, PublicKey, Resource, Serialization, Sign, SignError, Signature, Trust};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512};
use tempfile::TempDir;

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];
const TOKEN: &str = "cloister test";
const PIN: &str = "482913";

/// A folder with tokens, and how to call the program.
struct Card {
    folder: TempDir,
    module: &'static str,
}

impl Card {
    fn new() -> Card {
        let module = MODULES.into_iter().find(|module| Path::new(module).exists());
        let module = module.expect("SoftHSM is there: `cargo xtask setup` installs it");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tokens")).unwrap();
        let tokens = folder.path().join("tokens").display().to_string();
        let configuration =
            format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n");
        fs::write(folder.path().join("softhsm2.conf"), configuration).unwrap();
        fs::write(folder.path().join("pin"), format!("{PIN}\n")).unwrap();
        let card = Card { folder, module };
        card.util(&["--init-token", "--free", "--label", TOKEN, "--so-pin", "5678", "--pin", PIN]);
        card
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"));
        command
    }

    fn util(&self, arguments: &[&str]) {
        let output = self.command("softhsm2-util").args(arguments).output().expect("softhsm2-util runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Puts a key on the token.
    fn import(&self, key: &KeyPair, label: &str, id: &str) {
        let path = self.folder.path().join("key.pem");
        fs::write(&path, key.serialize_pem()).unwrap();
        let path = path.to_str().unwrap();
        self.util(&["--import", path, "--token", TOKEN, "--label", label, "--id", id, "--pin", PIN]);
    }

    fn ask(&self, change: impl FnOnce(&mut Command), request: &[u8]) -> (Answer, bool) {
        let mut command = self.command(env!("CARGO_BIN_EXE_cloister-pkcs11"));
        change(&mut command);
        let Output { status, stdout, .. } = run(command, request).unwrap();
        (Answer::parse(&stdout).unwrap(), status.success())
    }

    fn arguments<'c>(
        &self,
        module: &'c str,
        token: &'c str,
        key: &'c str,
        pin: &str,
    ) -> impl FnOnce(&mut Command) {
        let pin = self.folder.path().join(pin);
        let all = [("--module", module), ("--token", token), ("--key", key)]
            .map(|(name, value)| [name.to_owned(), value.to_owned()]);
        move |command| {
            command.args(all.as_flattened()).arg("--pin-file").arg(pin);
        }
    }

    fn sound(&self, key: &str, request: &Request) -> Answer {
        let (answer, fine) = self.ask(self.arguments(self.module, TOKEN, key, "pin"), &request.to_bytes());
        assert_eq!(fine, !matches!(answer, Answer::Refused { .. }), "{answer:?}");
        answer
    }
}

fn run(mut command: Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // A program that refuses early does not read.
    let _refused = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output()
}

/// What a caller's signer looks like.
struct Token<'c> {
    card: &'c Card,
    key: &'static str,
}

impl Sign for Token<'_> {
    fn verification_material(&self) -> Material {
        match self.card.sound(self.key, &Request::PublicKey {}) {
            Answer::PublicKey { pem } => Material::key(PublicKey::from_pem(pem.as_bytes()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn sign(&self, pae: &[u8]) -> Result<Vec<u8>, SignError> {
        match self.card.sound(self.key, &Request::Sign { pae: pae.to_vec() }) {
            Answer::Signature { der } => Ok(der),
            other => Err(SignError::Failed(format!("{other:?}"))),
        }
    }
}

#[test]
fn a_token_signs_a_model() {
    let card = Card::new();
    for (algorithm, label, id) in [
        (&PKCS_ECDSA_P256_SHA256, "p256", "01"),
        (&PKCS_ECDSA_P384_SHA384, "p384", "02"),
        (&PKCS_ECDSA_P521_SHA512, "p521", "03"),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        card.import(&key, label, id);
        let answer = card.sound(label, &Request::PublicKey {});
        assert_eq!(answer, Answer::PublicKey { pem: key.public_key_pem().replace("\r\n", "\n") });
        let resource = Resource { name: "model.gguf".to_owned(), digest: [7; 32] };
        let manifest =
            Manifest::new("coder", Serialization::Files, false, Vec::new(), vec![resource]).unwrap();
        let mut trust = Trust::new();
        trust.add_key("token", key.public_key_pem().as_bytes()).unwrap();
        // Numbers of a signature have zeros in front now and then.
        for _ in 0..8 {
            let bytes = oms::sign(&manifest, &Token { card: &card, key: label }).unwrap();
            assert_eq!(Signature::parse(&bytes).unwrap().verify(&trust, 0).unwrap().root, "token");
        }
    }
}

/// A client's part of a handshake of TLS 1.3, and nothing that only looks so.
#[test]
fn a_token_signs_a_handshake() {
    let card = Card::new();
    let content = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0", &[7; 48]].concat();
    let schemes = [
        (&PKCS_ECDSA_P256_SHA256, "p256", "01", Scheme::EcdsaSecp256r1Sha256, &ECDSA_P256_SHA256_ASN1),
        (&PKCS_ECDSA_P384_SHA384, "p384", "02", Scheme::EcdsaSecp384r1Sha384, &ECDSA_P384_SHA384_ASN1),
    ];
    for (algorithm, label, id, scheme, verified) in schemes {
        let key = KeyPair::generate_for(algorithm).unwrap();
        card.import(&key, label, id);
        for _ in 0..4 {
            let answer = card.sound(label, &Request::Handshake { scheme, content: content.clone() });
            let Answer::Signature { der } = answer else { panic!("{answer:?}") };
            UnparsedPublicKey::new(verified, key.public_key_raw()).verify(&content, &der).unwrap();
        }
    }
    let server = String::from_utf8_lossy(&content).replace("client", "server").into_bytes();
    for content in [server, content[1..].to_vec(), b"DSSEv1 1 a 1 b".to_vec(), Vec::new()] {
        let request = Request::Handshake { scheme: Scheme::EcdsaSecp256r1Sha256, content };
        let (answer, fine) = card.ask(card.arguments(card.module, TOKEN, "p256", "pin"), &request.to_bytes());
        let Answer::Refused { why } = answer else { panic!("{answer:?}") };
        assert!(!fine && why.contains("no client's part of a TLS 1.3 handshake"), "{why}");
    }
}

#[test]
fn what_is_refused() {
    let card = Card::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    card.import(&key, "ours", "01");
    card.import(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), "twice", "02");
    card.import(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), "twice", "03");
    fs::write(card.folder.path().join("wrong"), "000000").unwrap();
    fs::write(card.folder.path().join("empty"), "").unwrap();
    let public = Request::PublicKey {}.to_bytes();
    let login = Request::Sign { pae: b"GET / HTTP/1.1\r\n".to_vec() }.to_bytes();
    for (module, token, key, pin, request, words) in [
        (card.module, TOKEN, "ours", "pin", login.as_slice(), "no statement of a model"),
        (card.module, TOKEN, "ours", "pin", b"{}".as_slice(), "malformed"),
        (card.module, TOKEN, "ours", "pin", b"", "malformed"),
        (card.module, TOKEN, "theirs", "pin", &public, "no private key called `theirs`"),
        (card.module, TOKEN, "twice", "pin", &public, "several private keys called `twice`"),
        (card.module, "lost", "ours", "pin", &public, "no token is called `lost`"),
        (card.module, "lost", "ours", "pin", &public, "there are: `cloister test`"),
        (card.module, TOKEN, "ours", "none", &public, "the PIN could not be read"),
        (card.module, TOKEN, "ours", "empty", &public, "the PIN is empty"),
        (card.module, TOKEN, "ours", "wrong", &public, "the PIN is wrong; it was tried once"),
        ("/nowhere.so", TOKEN, "ours", "pin", &public, "module /nowhere.so could not be loaded"),
        ("/bin/true", TOKEN, "ours", "pin", &public, "module /bin/true could not be loaded"),
    ] {
        let (answer, fine) = card.ask(card.arguments(module, token, key, pin), request);
        let Answer::Refused { why } = answer else { panic!("{words}: {answer:?}") };
        assert!(!fine && why.contains(words) && !why.contains(PIN), "{words}: {why}");
    }
    // A second token of that name.
    card.util(&["--init-token", "--free", "--label", TOKEN, "--so-pin", "5678", "--pin", PIN]);
    let (answer, _) = card.ask(card.arguments(card.module, TOKEN, "ours", "pin"), &public);
    assert!(matches!(&answer, Answer::Refused { why } if why.contains("several tokens")), "{answer:?}");
}
