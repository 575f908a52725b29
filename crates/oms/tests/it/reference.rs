//! The reference implementation, PyPI's `model-signing`: what it signs verifies here, what is signed here verifies
//! there, and both refuse the same.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use oms::{KeySigner, Manifest, Method, Resource, Serialization, Signature, Trust};
use rcgen::{
    ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::pki::{Chain, NOW, Plan, words};
use crate::sigstore;

/// The reference implementation, running.
struct Reference {
    child: Child,
    requests: Option<ChildStdin>,
    outcomes: BufReader<ChildStdout>,
}

impl Reference {
    fn start() -> Reference {
        let python = std::env::var("CLOISTER_TEST_MODEL_SIGNING").expect(
            "CLOISTER_TEST_MODEL_SIGNING names a Python that has the model-signing package: run `cargo xtask test`",
        );
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/reference.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python runs");
        let outcomes = BufReader::new(child.stdout.take().unwrap());
        Reference { requests: child.stdin.take(), outcomes, child }
    }

    fn ask(&mut self, request: &Value) -> Result<(), String> {
        writeln!(self.requests.as_ref().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.outcomes.read_line(&mut line).unwrap();
        let outcome: Value = serde_json::from_str(&line).expect("Python answers");
        if outcome["fine"] == true { Ok(()) } else { Err(outcome["words"].to_string()) }
    }

    fn command(&mut self, arguments: &[&str]) -> Result<(), String> {
        self.ask(&json!({ "cli": arguments }))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // Without requests it ends.
        self.requests.take();
        let _ended = self.child.wait();
    }
}

/// A folder with a model, its signature beside it, and files of keys.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = PathBuf::from(self.path(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Files whose order differs by part and by code point, an empty one, spaces and other scripts.
    fn model(&self) -> String {
        for (name, text) in [
            ("config.json", "{}"),
            ("a/b", "in a folder"),
            ("a-b", "beside it"),
            ("a/c d/é ü.txt", "spaces and letters"),
            ("a/c d/模型.bin", "0123456789"),
            ("empty", ""),
            (".hidden", "h"),
            (".git/HEAD", "ref: refs/heads/main"),
            (".gitattributes", "* text"),
        ] {
            self.file(&format!("model/{name}"), text);
        }
        self.path("model")
    }
}

/// All files below a folder, or a single file, as a manifest's resources. Empty files are none in shards.
fn tree(model: &Path, serialization: Serialization, ignored: &[&str]) -> Vec<Resource> {
    let (mut resources, mut folders) = (Vec::new(), vec![model.to_owned()]);
    while let Some(path) = folders.pop() {
        let name = path.strip_prefix(model).unwrap().to_str().unwrap();
        if ignored.contains(&name) {
            continue;
        }
        if path.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let name = if name.is_empty() { "." } else { name };
        for (name, range) in serialization.pieces(name, bytes.len().try_into().unwrap()) {
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            resources.push(Resource { name, digest: Sha256::digest(&bytes[range]).into() });
        }
    }
    resources
}

const GIT: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// What verification here is: the signature, then the tree.
fn verify(model: &str, signature: &str, trust: &Trust) -> Result<Signature, String> {
    let signature = Signature::parse(&fs::read(signature).unwrap()).map_err(|error| words(&error))?;
    signature.verify(trust, NOW).map_err(|error| words(&error))?;
    let ignored: Vec<&str> =
        signature.manifest().ignore_paths.iter().map(String::as_str).chain(GIT).collect();
    let tree = tree(Path::new(model), signature.manifest().serialization, &ignored);
    signature.manifest().check_tree(&tree).map_err(|error| words(&error))?;
    Ok(signature)
}

fn trusting(key: &KeyPair) -> Trust {
    let mut trust = Trust::new();
    trust.add_key("ada", key.public_key_pem().as_bytes()).unwrap();
    trust
}

#[test]
fn keys_both_ways() {
    let mut reference = Reference::start();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512] {
        let place = Place::new();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (private, public) =
            (place.file("key", key.serialize_pem()), place.file("pub", key.public_key_pem()));
        let folder = place.model();
        // A single file too; the signature inside of the folder, and outside.
        let single = place.file("single.gguf", "GGUF and more");
        let (inside, outside) = (place.path("model/model.sig"), place.path("out.sig"));
        for (model, signature) in [(&folder, &inside), (&folder, &outside), (&single, &outside)] {
            reference
                .command(&["sign", "key", model, "--private_key", &private, "--signature", signature])
                .unwrap();
            let found = verify(model, signature, &trusting(&key)).unwrap();
            assert!(matches!(found.method(), Method::Key { hint: Some(_) }));
            assert!(found.manifest().ignores_only_signature_and_git("model.sig"));
            let expected: Vec<&str> = if model == &single {
                vec!["."]
            } else {
                vec![".hidden", "a-b", "a/b", "a/c d/é ü.txt", "a/c d/模型.bin", "config.json", "empty"]
            };
            assert_eq!(found.manifest().paths(), expected);

            // And back, with a name that says nothing.
            let ignored = [GIT.as_slice(), &["model.sig"]].concat();
            let resources = tree(Path::new(model), Serialization::Files, &ignored);
            let ignored = ignored.into_iter().map(str::to_owned).collect();
            let manifest = Manifest::new("other", Serialization::Files, false, ignored, resources).unwrap();
            let signer = KeySigner::from_pem(key.serialize_pem().as_bytes(), None).unwrap();
            fs::write(signature, oms::sign(&manifest, &signer).unwrap()).unwrap();
            reference
                .command(&["verify", "key", model, "--public_key", &public, "--signature", signature])
                .unwrap();
            // Nobody's is nobody's there too.
            fs::write(signature, oms::unsigned(&manifest)).unwrap();
            reference
                .command(&["verify", "key", model, "--public_key", &public, "--signature", signature])
                .unwrap_err();
            fs::remove_file(signature).unwrap();
        }
    }
}

#[test]
fn paths_left_out() {
    let mut reference = Reference::start();
    let place = Place::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, model) = (place.file("key", key.serialize_pem()), place.model());
    let (signature, left_out) = (place.path("model/model.sig"), place.path("model/a"));
    let sign = ["sign", "key", &model, "--private_key", &private, "--signature", &signature];
    reference.command(&[&sign[..], &["--ignore-paths", &left_out]].concat()).unwrap();
    let found = verify(&model, &signature, &trusting(&key)).unwrap();
    assert!(found.manifest().ignore_paths.contains(&"a".to_owned()));
    assert!(!found.manifest().ignores_only_signature_and_git("model.sig"));
    assert_eq!(found.manifest().paths(), [".hidden", "a-b", "config.json", "empty"]);
    // What git keeps, signed.
    reference.command(&[&sign[..], &["--no-ignore-git-paths"]].concat()).unwrap();
    let found = Signature::parse(&fs::read(&signature).unwrap()).unwrap();
    assert_eq!(found.manifest().ignore_paths, ["model.sig"]);
    assert!(found.manifest().paths().contains(&".git/HEAD"));
    found.verify(&trusting(&key), NOW).unwrap();
    // Links are said.
    std::os::unix::fs::symlink("config.json", place.path("model/link")).unwrap();
    assert!(reference.command(&sign).unwrap_err().contains("symlink"));
    reference.command(&[&sign[..], &["--allow_symlinks"]].concat()).unwrap();
    let found = verify(&model, &signature, &trusting(&key)).unwrap();
    assert!(found.manifest().allow_symlinks && found.manifest().paths().contains(&"link"));
}

#[test]
fn shards_both_ways() {
    let mut reference = Reference::start();
    let place = Place::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, public) = (place.file("key", key.serialize_pem()), place.file("pub", key.public_key_pem()));
    let (model, signature) = (place.model(), place.path("model/model.sig"));
    // Offsets whose order by number and by code point differs.
    place.file("model/long", "x".repeat(35));
    place.file("model/exact", "y".repeat(16));
    let single = place.file("single.gguf", "GGUF and more");
    let outside = place.path("out.sig");
    for (model, signature) in [(&model, &signature), (&single, &outside)] {
        let request = |verb: &str, key: &str| json!({ "verb": verb, "model": model, "signature": signature, "key": key, "shard_bytes": 8 });
        reference.ask(&request("sign", &private)).unwrap();
        let found = verify(model, signature, &trusting(&key)).unwrap();
        assert_eq!(found.manifest().serialization, Serialization::Shards { shard_bytes: 8 });
        let signer = KeySigner::from_pem(key.serialize_pem().as_bytes(), None).unwrap();
        fs::write(signature, oms::sign(found.manifest(), &signer).unwrap()).unwrap();
        assert_eq!(verify(model, signature, &trusting(&key)).unwrap().manifest(), found.manifest());
        reference.ask(&request("verify", &public)).unwrap();
        let file = if model == &single { single.clone() } else { place.path("model/long") };
        fs::write(file, "z".repeat(35)).unwrap();
        reference.ask(&request("verify", &public)).unwrap_err();
        assert!(verify(model, signature, &trusting(&key)).unwrap_err().contains("changed"));
    }
}

#[test]
fn both_refuse_what_was_changed() {
    let mut reference = Reference::start();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    type Change = fn(&Place);
    let bundle = |place: &Place, edit: &dyn Fn(&mut Value)| {
        let path = place.path("model.sig");
        let mut bundle: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut bundle);
        fs::write(path, bundle.to_string()).unwrap();
    };
    let cases: &[(&str, Change, &str)] = &[
        ("a changed file", |place| drop(place.file("model/a/b", "In a folder")), "changed: `a/b`"),
        ("an emptied file", |place| drop(place.file("model/a/b", "")), "changed: `a/b`"),
        ("an added file", |place| drop(place.file("model/a/z", "")), "not signed: `a/z`"),
        (
            "a removed file",
            |place| fs::remove_file(place.path("model/config.json")).unwrap(),
            "missing: `config.json`",
        ),
        (
            "a renamed file",
            |place| {
                fs::rename(place.path("model/config.json"), place.path("model/konfig.json")).unwrap();
            },
            "missing: `config.json`; not signed: `konfig.json`",
        ),
        (
            "two swapped files",
            |place| {
                fs::rename(place.path("model/a-b"), place.path("model/t")).unwrap();
                fs::rename(place.path("model/a/b"), place.path("model/a-b")).unwrap();
                fs::rename(place.path("model/t"), place.path("model/a/b")).unwrap();
            },
            "changed: `a",
        ),
    ];
    for by_reference in [true, false] {
        for number in 0..cases.len() + 5 {
            let place = Place::new();
            let (private, model) = (place.file("key", key.serialize_pem()), place.model());
            let (public, wrong) =
                (place.file("pub", key.public_key_pem()), place.file("wrong", stranger.public_key_pem()));
            let signature = place.path("model.sig");
            if by_reference {
                reference
                    .command(&["sign", "key", &model, "--private_key", &private, "--signature", &signature])
                    .unwrap();
            } else {
                let resources = tree(Path::new(&model), Serialization::Files, &GIT);
                let manifest =
                    Manifest::new("m", Serialization::Files, false, Vec::new(), resources).unwrap();
                let signer = KeySigner::from_pem(key.serialize_pem().as_bytes(), None).unwrap();
                fs::write(&signature, oms::sign(&manifest, &signer).unwrap()).unwrap();
            }
            verify(&model, &signature, &trusting(&key)).unwrap();
            let (mut used, mut trust) = (&public, trusting(&key));
            let (name, expected) = match number.checked_sub(cases.len()) {
                None => {
                    let (name, change, expected) = cases[number];
                    change(&place);
                    (name, expected)
                }
                Some(0) => {
                    (used, trust) = (&wrong, trusting(&stranger));
                    ("another key", "not a trusted root")
                }
                Some(1) => {
                    bundle(&place, &|bundle| {
                        let text = &mut bundle["dsseEnvelope"]["signatures"][0]["sig"];
                        let mut der = BASE64.decode(text.as_str().unwrap()).unwrap();
                        *der.last_mut().unwrap() ^= 1;
                        *text = json!(BASE64.encode(der));
                    });
                    ("a changed signature", "the signature is wrong")
                }
                Some(2) => {
                    bundle(&place, &|bundle| {
                        let text = &mut bundle["dsseEnvelope"]["payload"];
                        let payload =
                            String::from_utf8(BASE64.decode(text.as_str().unwrap()).unwrap()).unwrap();
                        *text = json!(BASE64.encode(payload.replacen("config.json", "Config.json", 1)));
                    });
                    ("a changed name", "")
                }
                Some(3) => {
                    bundle(&place, &|bundle| {
                        bundle["verificationMaterial"]["publicKey"]["hint"] = json!("00".repeat(32));
                    });
                    ("another hint", "not a trusted root")
                }
                Some(_) => {
                    bundle(&place, &|bundle| {
                        bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.2+json");
                    });
                    ("another type", "bundle's type")
                }
            };
            let found = verify(&model, &signature, &trust).map(drop).unwrap_err();
            assert!(found.contains(expected), "{name}: {found}");
            let verify = ["verify", "key", &model, "--public_key", used, "--signature", &signature];
            assert!(reference.command(&verify).is_err(), "the reference accepts {name}");
        }
    }
}

/// Signs there and verifies here, and the other way.
fn both_ways(reference: &mut Reference, chain: &Chain) -> [Result<(), String>; 4] {
    let place = Place::new();
    let model = place.model();
    let (key, signer) =
        (place.file("key", chain.signer.serialize_pem()), place.file("crt", &chain.signer_pem));
    let (middle, root) = (place.file("middle", chain.middle.pem()), place.file("root", chain.root.pem()));
    let (theirs, ours) = (place.path("theirs.sig"), place.path("ours.sig"));
    let mut sign = vec!["sign", "certificate", &model, "--signature", &theirs, "--private_key", &key];
    sign.extend(["--signing_certificate", &signer, "--certificate_chain", &middle]);
    reference.command(&sign).unwrap();
    let resources = tree(Path::new(&model), Serialization::Files, &GIT);
    let manifest = Manifest::new("m", Serialization::Files, false, Vec::new(), resources).unwrap();
    let own =
        KeySigner::from_pem(chain.signer.serialize_pem().as_bytes(), Some(chain.pem.as_bytes())).unwrap();
    fs::write(&ours, oms::sign(&manifest, &own).unwrap()).unwrap();
    let mut there = |signature: &str| {
        let verify =
            ["verify", "certificate", &model, "--signature", signature, "--certificate_chain", &root];
        reference.command(&verify)
    };
    let here = |signature| {
        let found = verify(&model, signature, &chain.trust())?;
        assert_eq!(found.method(), Method::Certificate);
        Ok(())
    };
    [here(&theirs), here(&ours), there(&theirs), there(&ours)]
}

#[test]
fn certificates_both_ways() {
    let mut reference = Reference::start();
    type Change = fn(&mut Plan);
    let cases: &[(&str, Change, bool)] = &[
        ("as it is", |_| {}, true),
        ("P-384", |plan| plan.signer.1 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(), true),
        ("P-521", |plan| plan.signer.1 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap(), true),
        (
            "RSA above",
            |plan| {
                plan.root.1 = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
                plan.middle.1 = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
            },
            true,
        ),
        ("only the usage", |plan| plan.signer.0.extended_key_usages.clear(), true),
        ("only the extended usage", |plan| plan.signer.0.key_usages.clear(), true),
        (
            "usage of something else",
            |plan| {
                plan.signer.0.key_usages = vec![KeyUsagePurpose::KeyAgreement];
                plan.signer.0.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            },
            false,
        ),
        (
            "no usage",
            |plan| {
                plan.signer.0.key_usages.clear();
                plan.signer.0.extended_key_usages.clear();
            },
            false,
        ),
        ("middle is no authority", |plan| plan.middle.0.is_ca = rcgen::IsCa::ExplicitNoCa, false),
        (
            "middle may not sign certificates",
            |plan| {
                plan.middle.0.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            },
            false,
        ),
        (
            "root allows none below",
            |plan| {
                plan.root.0.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
            },
            false,
        ),
    ];
    for (name, change, fine) in cases {
        for plan in [Plan::new, Plan::of_authority] {
            let mut plan = plan();
            change(&mut plan);
            for (way, outcome) in both_ways(&mut reference, &plan.build()).into_iter().enumerate() {
                assert_eq!(outcome.is_ok(), *fine, "{name}, way {way}: {outcome:?}");
            }
        }
    }
    for plan in [Plan::new, Plan::of_authority] {
        // Another root.
        let elsewhere = Chain { root: plan().build().root, ..plan().build() };
        for outcome in both_ways(&mut reference, &elsewhere) {
            outcome.unwrap_err();
        }
        // Here alone a certificate must be valid now: there, it is enough that it once was.
        let mut plan = plan();
        plan.signer.0.not_after = rcgen::date_time_ymd(2026, 1, 1);
        let [here, also_here, there, also_there] = both_ways(&mut reference, &plan.build());
        assert!(here.unwrap_err().contains("expired") && also_here.unwrap_err().contains("expired"));
        assert_eq!((there, also_there), (Ok(()), Ok(())));
    }
}

/// With nobody between the root and a signer who is an authority, or nobody above the signer at all.
#[test]
fn signers_that_are_authorities() {
    let mut reference = Reference::start();
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let usages = [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    type Below = (rcgen::IsCa, Vec<KeyUsagePurpose>, Option<rcgen::CustomExtension>, bool);
    let mut critical = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    critical.set_criticality(true);
    let cases: &[(&str, Below)] = &[
        ("an authority", (authority, usages.to_vec(), None, true)),
        ("one that only signs models", (authority, usages[..1].to_vec(), None, true)),
        ("one of no usage", (authority, Vec::new(), None, false)),
        ("one that signs no models", (authority, usages[1..].to_vec(), None, false)),
        ("one with a critical extension", (authority, usages.to_vec(), Some(critical), false)),
        ("no authority", (rcgen::IsCa::ExplicitNoCa, usages[..1].to_vec(), None, true)),
        ("one that says nothing", (rcgen::IsCa::NoCa, usages[..1].to_vec(), None, true)),
    ];
    for (name, (is_ca, usages, extension, fine)) in cases {
        for alone in [false, true] {
            let mut params = crate::pki::signer_params();
            (params.is_ca, params.key_usages) = (*is_ca, usages.clone());
            params.extended_key_usages.clear();
            params.custom_extensions.extend(extension.clone());
            let chain = Plan::new().build();
            let certificate = if alone {
                params.self_signed(&chain.signer)
            } else {
                params.signed_by(&chain.signer, &chain.root)
            };
            let pem = certificate.unwrap().pem();
            let root = if alone { pem.clone() } else { chain.root.pem() };
            for trusted in [true, false] {
                let root = if trusted { root.clone() } else { Plan::new().build().root.pem() };
                let place = Place::new();
                let (model, signature) = (place.model(), place.path("model.sig"));
                let (key, signer) =
                    (place.file("key", chain.signer.serialize_pem()), place.file("crt", &pem));
                let root_path = place.file("root", &root);
                let sign = ["sign", "certificate", &model, "--signature", &signature, "--private_key", &key];
                let with = ["--signing_certificate", &signer, "--certificate_chain", &root_path];
                let verify_there = ["verify", "certificate", &model, "--signature", &signature];
                for there in [true, false] {
                    if there {
                        reference.command(&[&sign[..], &with].concat()).unwrap();
                    } else {
                        let resources = tree(Path::new(&model), Serialization::Files, &GIT);
                        let manifest =
                            Manifest::new("m", Serialization::Files, false, Vec::new(), resources).unwrap();
                        let own = KeySigner::from_pem(
                            chain.signer.serialize_pem().as_bytes(),
                            Some(pem.as_bytes()),
                        );
                        fs::write(&signature, oms::sign(&manifest, &own.unwrap()).unwrap()).unwrap();
                    }
                    let found = reference
                        .command(&[&verify_there[..], &["--certificate_chain", &root_path]].concat());
                    let what = format!("{name}, alone {alone}, trusted {trusted}, signed there {there}");
                    assert_eq!(found.is_ok(), *fine && trusted, "{what}: {found:?}");
                    let mut trust = Trust::new();
                    let found = trust
                        .add_authority("root", root.as_bytes())
                        .map_err(|error| words(&error))
                        .and_then(|()| verify(&model, &signature, &trust).map(drop));
                    assert_eq!(found.is_ok(), *fine && trusted, "{what}: {found:?}");
                }
            }
        }
    }
}

/// What is made here as Sigstore would is believed there too, and no more of it.
#[test]
fn keyless_as_there() {
    let mut reference = Reference::start();
    let place = Place::new();
    let (model, signature) = (place.model(), place.path("model.sig"));
    let resources = tree(Path::new(&model), Serialization::Files, &GIT);
    let manifest = Manifest::new("m", Serialization::Files, false, Vec::new(), resources).unwrap();
    let instance = sigstore::Instance::new();
    let bundle = instance.sign(&manifest);
    fs::write(&signature, bundle.to_string()).unwrap();
    let config = |instance: &sigstore::Instance| {
        json!({
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": instance.trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [], "oidcUrls": [], "rekorTlogUrls": [], "tsaUrls": [],
                "rekorTlogConfig": { "selector": "ANY" }, "tsaConfig": { "selector": "ANY" },
            },
        })
        .to_string()
    };
    let other = sigstore::Instance::new();
    for (instance, identity, issuer, fine) in [
        (&instance, sigstore::IDENTITY, sigstore::ISSUER, true),
        (&instance, "bob@example.org", sigstore::ISSUER, false),
        (&instance, sigstore::IDENTITY, "https://login.example.net", false),
        (&other, sigstore::IDENTITY, sigstore::ISSUER, false),
    ] {
        let trusted = place.file("trust.json", config(instance));
        let there = ["verify", "sigstore", &model, "--signature", &signature, "--identity", identity];
        let with = ["--identity_provider", issuer, "--trust_config", &trusted];
        let found = reference.command(&[&there[..], &with].concat());
        assert_eq!(found.is_ok(), fine, "{identity} {issuer}: {found:?}");
        let mut trust = Trust::new();
        trust.add_sigstore("x", instance.trusted_root().to_string().as_bytes(), identity, issuer).unwrap();
        let found = verify(&model, &signature, &trust).map(drop);
        assert_eq!(found.is_ok(), fine, "{identity} {issuer}: {found:?}");
    }
}
