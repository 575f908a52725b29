//! What is signed is read again, and keys in all their files.

use std::process::{Command, Stdio};

use oms::{
    KeySigner, Manifest, ManifestError, Material, Method, PublicKey, Resource, Serialization, Sign,
    SignError, Signature, Signer, Trust, VerifyError,
};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519};

use crate::pki::{self, NOW, manifest, words};

fn resources() -> impl Strategy<Value = Vec<Resource>> {
    let name = "[a-c]{1,2}([/ .:é-][a-c]{1,2}){0,3}";
    proptest::collection::btree_map(name, any::<[u8; 32]>(), 1..12)
        .prop_map(|all| all.into_iter().map(|(name, digest)| Resource { name, digest }).collect())
}

proptest! {
    #[test]
    fn what_is_signed_is_read_again(
        files in resources(),
        name in "[ -~é]{1,20}",
        ignored in proptest::collection::vec("[a-z./*]{1,9}", 0..3),
        links: bool,
        shard_bytes in proptest::option::of(1u64..9),
    ) {
        let (serialization, files) = match shard_bytes {
            None => (Serialization::Files, files),
            Some(shard_bytes) => {
                let shards = Serialization::Shards { shard_bytes };
                let pieces = files.iter().flat_map(|Resource { name, digest }| {
                    shards.pieces(name, u64::from(digest[0] % 20)).map(|(name, _)| Resource { name, digest: *digest })
                });
                (shards, pieces.collect())
            }
        };
        let manifest = match Manifest::new(&name, serialization, links, ignored, files.clone()) {
            Ok(manifest) => manifest,
            Err(ManifestError::FileAndFolder(_) | ManifestError::Empty) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let key = pki::key();
        let signer = KeySigner::from_pem(key.serialize_pem().as_bytes(), None).unwrap();
        for (bytes, method) in [
            (oms::sign(&manifest, &signer).unwrap(), Method::Key { hint: Some(fingerprint(&signer)) }),
            (oms::unsigned(&manifest), Method::None),
        ] {
            let signature = Signature::parse(&bytes).unwrap();
            prop_assert_eq!(signature.manifest(), &manifest);
            prop_assert_eq!(signature.manifest().statement(), manifest.statement());
            prop_assert_eq!(signature.method(), method);
        }
        prop_assert_eq!(manifest.check_tree(&files), Ok(()));
    }
}

fn fingerprint(signer: &KeySigner) -> String {
    signer.verification_material().public_key().fingerprint()
}

#[test]
fn keys_of_every_curve_in_every_file() {
    for (name, algorithm) in [
        ("prime256v1", &PKCS_ECDSA_P256_SHA256),
        ("secp384r1", &PKCS_ECDSA_P384_SHA384),
        ("secp521r1", &PKCS_ECDSA_P521_SHA512),
    ] {
        let ours = KeyPair::generate_for(algorithm).unwrap();
        let sec1 = openssl(&["ecparam", "-name", name, "-genkey"], b"");
        let public = openssl(&["pkey", "-pubout"], &sec1);
        let pkcs8 = openssl(&["pkey"], &sec1);
        assert!(sec1.starts_with(b"-----BEGIN EC PARAMETERS"));
        for (private, public) in [
            (ours.serialize_pem().into_bytes(), ours.public_key_pem().into_bytes()),
            (sec1.clone(), public.clone()),
            (pkcs8.clone(), public.clone()),
        ] {
            let signer = KeySigner::from_pem(&private, None).unwrap();
            let key = PublicKey::from_pem(&public).unwrap();
            assert_eq!(signer.verification_material(), Material::key(key.clone()));
            assert_eq!(PublicKey::from_pem(key.to_pem().as_bytes()).unwrap(), key);
            let signature = Signature::parse(&oms::sign(&manifest(), &signer).unwrap()).unwrap();
            let mut trust = Trust::new();
            trust.add_key("other", pki::key().public_key_pem().as_bytes()).unwrap();
            assert!(matches!(signature.verify(&trust, NOW), Err(VerifyError::UnknownKey(_))));
            trust.add_key("ada", &public).unwrap();
            let verified = signature.verify(&trust, NOW).unwrap();
            assert_eq!(verified.root, "ada");
            assert_eq!(verified.signer, Signer::Key { fingerprint: key.fingerprint() });
        }
        let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "pass:secret"], &sec1);
        let older = openssl(&["ec", "-aes128", "-passout", "pass:secret"], &sec1);
        for text in [encrypted, older] {
            let error = KeySigner::from_pem(&text, None).unwrap_err().to_string();
            assert!(error.contains("is encrypted: decrypt it first"), "{error}");
        }
    }
}

#[test]
fn what_is_no_key() {
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let koblitz = openssl(&["ecparam", "-name", "secp256k1", "-genkey", "-noout"], b"");
    let compressed = openssl(
        &["pkey", "-pubout", "-ec_conv_form", "compressed"],
        &openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b""),
    );
    let own = pki::key();
    let twice = own.public_key_pem().repeat(2);
    for (text, public, private) in [
        (b"".as_slice(), "no BEGIN", "no BEGIN"),
        (own.serialize_pem().as_bytes(), "is a private key", ""),
        (own.public_key_pem().as_bytes(), "", "it is public"),
        (ed25519.serialize_pem().as_bytes(), "is a private key", "not an elliptic-curve key"),
        (ed25519.public_key_pem().as_bytes(), "not an elliptic-curve key", "it is public"),
        (&koblitz, "is a private key", "not an elliptic-curve key"),
        (&openssl(&["pkey", "-pubout"], &koblitz), "not an elliptic-curve key", "it is public"),
        (&compressed, "not an elliptic-curve key", "it is public"),
        (twice.as_bytes(), "several", "several"),
    ] {
        let found = PublicKey::from_pem(text).err().map_or_else(String::new, |error| error.to_string());
        assert!(found.contains(public) && found.is_empty() == public.is_empty(), "{found}");
        let found = KeySigner::from_pem(text, None).err().map_or_else(String::new, |error| error.to_string());
        assert!(found.contains(private) && found.is_empty() == private.is_empty(), "{found}");
    }
    // A point beside the curve.
    let mut spki = PublicKey::from_pem(own.public_key_pem().as_bytes()).unwrap().spki().to_vec();
    *spki.last_mut().unwrap() ^= 1;
    assert!(PublicKey::from_spki(&spki).is_err());
}

/// What a signer is given is what a program with a token signs, and nothing else is.
#[test]
fn encodings() {
    struct Seen(KeySigner);
    impl Sign for Seen {
        fn verification_material(&self) -> Material {
            self.0.verification_material()
        }
        fn sign(&self, pae: &[u8]) -> Result<Vec<u8>, SignError> {
            assert!(oms::is_pae(pae));
            assert!(
                !oms::is_pae(&pae[1..])
                    && !oms::is_pae(&pae[..pae.len() - 1])
                    && !oms::is_pae(&[pae, b"x"].concat())
            );
            self.0.sign(pae)
        }
    }
    let signer = Seen(KeySigner::from_pem(pki::key().serialize_pem().as_bytes(), None).unwrap());
    oms::sign(&manifest(), &signer).unwrap();
    for text in
        ["", "DSSEv1", "DSSEv1 28 application/vnd.in-toto+json", "DSSEv1 28 application/vnd.in-toto+json 0"]
    {
        assert!(!oms::is_pae(text.as_bytes()), "{text}");
    }
    assert!(oms::is_pae(b"DSSEv1 28 application/vnd.in-toto+json 0 "));
    assert!(!oms::is_pae(b"DSSEv1 28 application/vnd.in-toto+json 00 "));
}

#[test]
fn chains_must_begin_with_the_key() {
    let chain = pki::Plan::new().build();
    let key = chain.signer.serialize_pem();
    let with = |pem: &str| KeySigner::from_pem(key.as_bytes(), Some(pem.as_bytes())).map(drop);
    assert_eq!(with(&chain.pem), Ok(()));
    for (pem, words) in [
        (chain.middle.pem() + &chain.signer_pem, "not of this key"),
        (String::new(), "no BEGIN"),
        (key.clone(), "not a `CERTIFICATE`"),
        (chain.signer_pem.repeat(11), "more than 10"),
    ] {
        let error = with(&pem).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Signers that hand over something else.
struct Broken(KeySigner, Result<Vec<u8>, String>);

impl Sign for Broken {
    fn verification_material(&self) -> Material {
        self.0.verification_material()
    }

    fn sign(&self, _pae: &[u8]) -> Result<Vec<u8>, SignError> {
        self.1.clone().map_err(SignError::Failed)
    }
}

#[test]
fn nothing_wrong_is_handed_out() {
    let key = pki::key().serialize_pem();
    for (answer, expected) in [
        (Ok(vec![0x30, 0]), "not a signature of its own key"),
        (Ok(Vec::new()), "not a signature of its own key"),
        (Err("the token is gone".to_owned()), "did not sign: the token is gone"),
    ] {
        let broken = Broken(KeySigner::from_pem(key.as_bytes(), None).unwrap(), answer);
        let error = oms::sign(&manifest(), &broken).unwrap_err();
        assert!(words(&error).contains(expected), "{error}");
    }
    let signer = KeySigner::from_pem(key.as_bytes(), None).unwrap();
    let unsorted = Manifest { resources: manifest().resources.into_iter().rev().collect(), ..manifest() };
    assert!(matches!(oms::sign(&unsorted, &signer), Err(SignError::Manifest(ManifestError::Unsorted(_)))));
    assert!(!format!("{signer:?}").contains("PRIVATE"));
}

/// What is signed is these bytes: the same manifest must make the same ones.
#[test]
fn statements() {
    let resource = |name: &str| Resource { name: name.to_owned(), digest: [0xab; 32] };
    let shards = Serialization::Shards { shard_bytes: 4 };
    // SHA-256 of both digests, one after the other.
    let root = "ec65c8798ecf95902413c40f7b9e6d4b0068885f5f324aba1f9ba1c8e14aea61";
    let digest = "ab".repeat(32);
    let statement = |serialization: &str, resources: [(&str, &str); 2]| {
        let resource = |(name, algorithm)| {
            format!(r#"{{"name":"{name}","algorithm":"{algorithm}","digest":"{digest}"}}"#)
        };
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"m","digest":{{"sha256":"{root}"}}}}],"#
        ) + r#""predicateType":"https://model_signing/signature/v1.0","predicate":{"serialization":{"#
            + serialization
            + r#"},"resources":["#
            + &resources.map(resource).join(",")
            + "]}}"
    };
    for (serialization, resources, ignored, expected) in [
        (
            Serialization::Files,
            vec![resource("b"), resource("a")],
            vec!["m.sig".to_owned()],
            statement(
                r#""method":"files","hash_type":"sha256","allow_symlinks":false,"ignore_paths":["m.sig"]"#,
                [("a", "sha256"), ("b", "sha256")],
            ),
        ),
        (
            shards,
            vec![resource("a:0:4"), resource("a:4:5")],
            Vec::new(),
            statement(
                r#""method":"shards","hash_type":"sha256","shard_size":4,"allow_symlinks":false"#,
                [("a:0:4", "sha256-sharded-4"), ("a:4:5", "sha256-sharded-4")],
            ),
        ),
    ] {
        let manifest = Manifest::new("m", serialization, false, ignored, resources).unwrap();
        assert_eq!(String::from_utf8(manifest.statement()).unwrap(), expected);
    }
}

#[test]
fn trees() {
    let manifest = manifest();
    assert_eq!(manifest.paths(), ["LICENSE", "docs/é.md", "model.gguf"]);
    assert!(manifest.ignores_only_signature_and_git("model.sig"));
    assert!(!manifest.ignores_only_signature_and_git("other.sig"));
    let mut tree = manifest.resources.clone();
    tree.reverse();
    assert_eq!(manifest.check_tree(&tree), Ok(()));
    tree[0].digest[0] ^= 1;
    tree[1].name = "docs/renamed\n".to_owned();
    tree.push(tree[2].clone());
    let error = manifest.check_tree(&tree).unwrap_err();
    assert_eq!(error.counts, [1, 2, 1]);
    assert_eq!(
        error.to_string(),
        "the model is not what was signed: missing: `docs/é.md`; not signed: `docs/renamed\\n`, `LICENSE`; changed: `model.gguf`"
    );
    let many: Vec<Resource> =
        (0..30).map(|number| Resource { name: format!("f{number}"), digest: [0; 32] }).collect();
    let error = manifest.check_tree(&many).unwrap_err();
    assert_eq!((error.unsigned.len(), error.counts), (10, [3, 30, 0]));
    assert!(error.to_string().contains(" and 20 more"));
}

#[test]
fn pieces() {
    let names =
        |serialization: Serialization, bytes| -> Vec<_> { serialization.pieces("a", bytes).collect() };
    assert_eq!(names(Serialization::Files, 7), [("a".to_owned(), 0..7)]);
    assert_eq!(names(Serialization::Files, 0), [("a".to_owned(), 0..0)]);
    let shards = Serialization::Shards { shard_bytes: 3 };
    assert_eq!(names(shards, 0), []);
    assert_eq!(names(shards, 6), [("a:0:3".to_owned(), 0..3), ("a:3:6".to_owned(), 3..6)]);
    assert_eq!(names(shards, 4), [("a:0:3".to_owned(), 0..3), ("a:3:4".to_owned(), 3..4)]);
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl runs: `cargo xtask setup` installs it");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}
