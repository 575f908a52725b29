//! Bundles: packed, signed, examined and laid out by the command.

use std::fs;

use oms::Sign as _;
use serde_json::Value;
use testkit::token::Token;

use crate::workplace::{Workplace, finish};

/// The smallest model that the reader takes.
fn gguf(number: u8) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let string = |value: &str| [&8_u32.to_le_bytes()[..], &text(value)].concat();
    let tokens = [&9_u32.to_le_bytes()[..], &8_u32.to_le_bytes(), &1_u64.to_le_bytes(), &text("a")].concat();
    let metadata = [
        ("general.architecture", string("llama")),
        ("general.name", string("Tiny Coder")),
        ("general.license", string("apache-2.0")),
        ("tokenizer.ggml.tokens", tokens),
    ];
    let mut bytes = [&b"GGUF"[..], &3_u32.to_le_bytes(), &0_u64.to_le_bytes()].concat();
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes.resize(bytes.len().next_multiple_of(32) + 64, number);
    bytes
}

/// A key that is nobody's secret, made by `openssl ecparam -genkey`'s rules: its scalar is one byte, repeated.
pub(crate) fn write_keys(place: &Workplace, byte: u8) {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend([byte; 32]);
    der.extend([0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let text: String = der
        .chunks_exact(3)
        .flat_map(|three| {
            let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]))
        })
        .collect();
    let label = "EC PRIVATE KEY";
    let pem = format!("-----BEGIN {label}-----\n{}\n{}\n-----END {label}-----\n", &text[..64], &text[64..]);
    let signer = oms::KeySigner::from_pem(pem.as_bytes(), None).unwrap();
    place.write("key.pem", &pem);
    place.write("pub.pem", signer.verification_material().public_key().to_pem());
}

fn create(place: &Workplace, out: &str, more: &[&str]) -> crate::workplace::Run {
    place.write("model.gguf", gguf(1));
    place.write("terms.txt", "Do what you want.\n");
    place.write("speed.json", "{}\n");
    let arguments = [
        &["bundle", "create", "--out", out, "--name", "tiny", "--version", "1.0", "--weights", "model.gguf"]
            [..],
        &["--licence-file", "terms.txt", "--report", "speed.json"],
        more,
    ]
    .concat();
    place.run(&arguments)
}

#[test]
fn created_signed_verified_shown_and_unpacked() {
    let place = Workplace::new();
    write_keys(&place, 7);
    create(&place, "media", &[]).check(0).says("tiny@1.0: 5 files").says("not signed yet");
    create(&place, "media", &[]).check(0);
    place.run(&["bundle", "verify", "media"]).check(2);
    place.run(&["bundle", "verify", "media", "--key", "pub.pem"]).check(1).says("not signed");
    assert!(
        place.run(&["bundle", "verify", "media", "--unsigned"]).check(0).out.contains("5 files are right")
    );
    place.run(&["bundle", "sign", "media", "--key", "key.pem"]).check(0).says("signed tiny@1.0 by the key");
    let signed = place.read("media/manifest.dsse");
    create(&place, "media", &[]).check(0);
    assert_eq!(place.read("media/manifest.dsse"), signed, "packing again leaves the signature");
    let run = place.run(&["bundle", "verify", "media", "--key", "pub.pem"]).check(0);
    assert!(run.out.contains("trusted by pub.pem") && run.out.contains("5 files are right"), "{run:#?}");
    let shown = place.run(&["bundle", "show", "media"]).check(0).out;
    for words in ["tiny@1.0 (model)", "apache-2.0", "undisclosed", "by the key", "reports/speed.json"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    let shown: Value =
        serde_json::from_str(&place.run(&["bundle", "show", "media", "--json"]).check(0).out).unwrap();
    assert_eq!((&shown["kind"], shown["files"].as_array().unwrap().len()), (&"model".into(), 5));

    place.run(&["bundle", "unpack", "media", "--out", "tree"]).check(0);
    assert_eq!(fs::read(place.path("tree/model.gguf")).unwrap(), gguf(1));
    assert_eq!(place.read("tree/LICENSE"), "Do what you want.\n");
    assert_eq!(place.read("tree/model.sig"), signed);
    let sbom: Value = serde_json::from_str(&place.read("tree/sbom.cdx.json")).unwrap();
    let component = &sbom["metadata"]["component"];
    assert_eq!((&sbom["specVersion"], &component["type"]), (&"1.6".into(), &"machine-learning-model".into()));
    assert_eq!(component["licenses"][0]["license"]["name"], "apache-2.0");
    place.run(&["bundle", "unpack", "media", "--out", "tree"]).check(2).says("is not empty");

    write_keys(&place, 8);
    place.run(&["bundle", "verify", "media", "--key", "pub.pem"]).check(1).says("not a trusted root");
}

#[test]
fn a_corpus_is_carried_like_a_model() {
    let place = Workplace::new();
    write_keys(&place, 7);
    for folder in ["segment", "empty", "deep/folder"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("segment/documents", "CLOISTER documents");
    place.write("segment/manifest.json", "{}\n");
    place.write("terms.txt", "Do what you want.\n");
    let create = |more: &[&str]| {
        place.run(
            &[&["bundle", "create", "--out", "media", "--name", "known", "--version", "1"], more].concat(),
        )
    };
    create(&[]).check(2);
    create(&["--corpus", "segment", "--weights", "terms.txt"]).check(2);
    create(&["--corpus", "segment", "--kind", "draft"]).check(2);
    create(&["--corpus", "missing"]).check(2).says("cloisterd corpus build --out");
    create(&["--corpus", "empty"]).check(2).says("is empty");
    create(&["--corpus", "deep"]).check(2).says("is no file of a segment");
    create(&["--corpus", "segment", "--licence-file", "terms.txt"]).check(0).says("known@1: 4 files");
    place.run(&["bundle", "sign", "media", "--key", "key.pem"]).check(0).says("signed known@1 by the key");
    let run = place.run(&["bundle", "verify", "media", "--key", "pub.pem"]).check(0);
    assert!(run.out.contains("4 files are right"), "{run:#?}");
    let shown = place.run(&["bundle", "show", "media"]).check(0).out;
    for words in ["known@1 (corpus)", "not stated", "segment   segment/documents"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    place.run(&["bundle", "unpack", "media", "--out", "tree"]).check(0);
    assert_eq!(place.read("tree/segment/documents"), "CLOISTER documents");
    create(&["--corpus", "segment", "--licence-file", "terms.txt"]).check(0);
    place.write("segment/documents", "CLOISTER Documents");
    create(&["--corpus", "segment", "--licence-file", "terms.txt"]).check(1).says("holds another bundle");
}

#[test]
fn differential_and_damaged() {
    let place = Workplace::new();
    write_keys(&place, 7);
    create(&place, "full", &[]).check(0);
    create(&place, "thin", &["--base", "full"]).check(0).says("blobs left out");
    assert_eq!(place.read("full/manifest.dsse"), place.read("thin/manifest.dsse"));
    let run = place.run(&["bundle", "verify", "thin", "--unsigned"]).check(0);
    assert!(
        run.out.contains("not on this medium: model.gguf") && run.out.contains("must be in the vault"),
        "{run:#?}"
    );
    place.run(&["bundle", "unpack", "thin", "--out", "tree"]).check(1).says("not on this medium");
    let listed: Vec<String> = fs::read_dir(place.path("full/blobs"))
        .unwrap()
        .map(|blob| blob.unwrap().file_name().into_string().unwrap())
        .collect();
    place.write("digests.txt", listed.join("\n"));
    create(&place, "listed", &["--known", "digests.txt"]).check(0);
    assert_eq!(
        fs::read_dir(place.path("listed/blobs")).unwrap().count(),
        1,
        "the description always goes along"
    );
    place.write("digests.txt", "nonsense\n");
    create(&place, "other", &["--known", "digests.txt"]).check(2).says("line 1");

    let blob =
        listed.iter().map(|name| format!("full/blobs/{name}")).find(|blob| place.read_bytes(blob) == gguf(1));
    place.write(&blob.unwrap(), gguf(2));
    let run = place.run(&["bundle", "verify", "full", "--unsigned"]).check(1);
    assert!(run.out.contains("wrong: model.gguf"), "{run:#?}");
    place.run(&["bundle", "unpack", "full", "--out", "tree"]).check(1).says("not what the manifest says");
}

#[test]
fn what_is_not_packed() {
    let place = Workplace::new();
    place.write("evil.pkl", b"(lp0\n.");
    create(&place, "media", &["--evidence", "evil.pkl"]).check(1).says("pickle");
    place.write("tool", b"\x7fELF");
    create(&place, "media", &["--evidence", "tool"]).check(1).says("ELF");
    create(&place, "media", &["--report", "speed.json"]).check(1).says("there twice");
    create(&place, "media", &["--weights", "terms.txt"]).check(2);
    place.write("terms.gguf", "no weights");
    let run = place.run(&[
        "bundle",
        "create",
        "--out",
        "m",
        "--name",
        "x",
        "--version",
        "1",
        "--weights",
        "terms.gguf",
    ]);
    run.check(1).says("does not begin with GGUF");
    place.run(&["bundle", "show", "media"]).check(2).says("is no bundle");
    let run = place.run(&[
        "bundle",
        "create",
        "--out",
        "m",
        "--name",
        "X",
        "--version",
        "1",
        "--weights",
        "x.gguf",
    ]);
    run.check(2).says("cannot be a name");
}

/// What the reference implementation says of a tree that we laid out.
fn reference(place: &Workplace) -> bool {
    let python = std::env::var("CLOISTER_TEST_MODEL_SIGNING").expect(
        "CLOISTER_TEST_MODEL_SIGNING names a Python that has the model-signing package: run `cargo xtask test`",
    );
    let mut command = std::process::Command::new(python);
    command.current_dir(place.directory.path());
    command.args(["-m", "model_signing", "verify", "key", "tree", "--signature", "tree/model.sig"]);
    command.args(["--public_key", "pub.pem"]);
    crate::workplace::finish(command, "").code == Some(0)
}

#[test]
fn the_reference_implementation_believes_what_was_unpacked() {
    let place = Workplace::new();
    write_keys(&place, 7);
    create(&place, "media", &[]).check(0);
    place.run(&["bundle", "sign", "media", "--key", "key.pem"]).check(0);
    place.run(&["bundle", "unpack", "media", "--out", "tree"]).check(0);
    assert!(reference(&place));
    place.write("tree/LICENSE", "Do what we want.\n");
    assert!(!reference(&place));
    place.write("tree/LICENSE", "Do what you want.\n");
    assert!(reference(&place));
    place.write("tree/more.txt", "more");
    assert!(!reference(&place), "a file that nobody signed");
}

/// A key that never leaves its token: the program that loads the token's module is another one.
#[test]
fn signed_by_a_token() {
    let place = Workplace::new();
    write_keys(&place, 9);
    create(&place, "media", &[]).check(0);
    let token = Token::new("models").unwrap();
    let converted = place.path("pkcs8.pem");
    let pkcs8 = std::process::Command::new("openssl")
        .args(["pkcs8", "-topk8", "-nocrypt", "-in"])
        .arg(place.path("key.pem"))
        .arg("-out")
        .arg(&converted)
        .status();
    assert!(pkcs8.unwrap().success());
    token.import(&converted, "signing", "01").unwrap();
    let sign = |key: &str| {
        let mut command = place.command();
        command.env("SOFTHSM2_CONF", token.configuration());
        command.args(["bundle", "sign", "media", "--pkcs11-module", token.module, "--token", "models"]);
        command.args(["--token-key", key, "--pin-file"]).arg(token.pin_file());
        finish(command, "")
    };
    sign("another").check(1).says("the token models cannot sign");
    sign("signing").check(0).says("signed tiny@1.0 by the key");
    place.run(&["bundle", "verify", "media", "--key", "pub.pem"]).check(0);
}
