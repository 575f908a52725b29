//! Media as nobody should bring them: each is refused with words that name the reason, quickly, and the
//! vault is afterwards what it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use models::media::bundle::{Described, blob_name};
use models::media::{self, Options};
use models::object::{Kind, Role};
use oms::{Manifest, Resource, Serialization, Trust};
use serde_json::{Value, json};

use crate::lab::{Hand, Lab, digest, key, put, trust_in, weights};

/// How a medium is imported, and what must be said.
struct Case {
    path: PathBuf,
    options: Options,
    trust: Trust,
    unsigned: bool,
}

impl Case {
    fn of(path: PathBuf) -> Case {
        Case { path, options: Options::default(), trust: Trust::new(), unsigned: true }
    }

    fn signed_by(path: PathBuf, byte: u8) -> Case {
        Case { trust: trust_in(&key(byte)), unsigned: false, ..Case::of(path) }
    }
}

fn check(make: impl FnOnce(&Lab) -> Case, words: &[&str]) {
    let lab = Lab::new();
    // The vault has something already, which must stay as it is.
    Hand::valid().with("model.gguf", &weights(9)).write(&lab.path("before"));
    let before = lab.import(&lab.path("before")).unwrap();
    lab.vault.put_object(&before).unwrap();
    let listing = lab.listing();
    let Case { path, options, trust, unsigned } = make(&lab);
    let started = std::time::Instant::now();
    let refused = lab.import_with(&path, &options, &trust, unsigned).unwrap_err().words();
    assert!(started.elapsed().as_secs() < 20, "it hung");
    for word in words {
        assert!(refused.contains(word), "{word:?} is not said: {refused}");
    }
    assert!(!refused.contains('\u{1b}') && refused.len() < 2000, "unfit for a terminal: {refused:?}");
    assert_eq!(lab.listing(), listing, "the vault changed");
    for entry in fs::read_dir(lab.path("models/incoming")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with("sha256-") || name.starts_with("unnamed-"), "{name}");
    }
    lab.vault.clean_incoming().unwrap();
    assert_eq!(fs::read_dir(lab.path("models/incoming")).unwrap().count(), 0);
}

/// A bundle that is right until `change`.
fn bundle(change: impl FnOnce(&Hand, &Path), words: &[&str]) {
    check(
        |lab| {
            let (hand, out) = (Hand::valid(), lab.path("media"));
            hand.write(&out);
            change(&hand, &out);
            Case::of(out)
        },
        words,
    );
}

/// A bundle whose manifest is another.
fn manifest(change: impl FnOnce(&mut Manifest), words: &[&str]) {
    check(
        |lab| {
            let (hand, out) = (Hand::valid(), lab.path("media"));
            let mut manifest = hand.manifest();
            change(&mut manifest);
            hand.write_as(&out, &oms::unsigned(&manifest));
            Case::of(out)
        },
        words,
    );
}

/// A bundle put together otherwise.
fn hand(change: impl FnOnce(Hand) -> Hand, words: &[&str]) {
    check(
        |lab| {
            change(Hand::valid()).write(&lab.path("media"));
            Case::of(lab.path("media"))
        },
        words,
    );
}

fn model_blob(out: &Path) -> PathBuf {
    out.join(blob_name(&digest(&weights(1))))
}

/// A resource of the same content under another name, described as evidence.
fn named(name: &str) -> impl FnOnce(Hand) -> Hand + '_ {
    move |hand| hand.with(name, b"evidence\n")
}

#[test]
fn names() {
    hand(named("../../etc/passwd"), &["../../etc/passwd"]);
    hand(named("/etc/passwd"), &["/etc/passwd"]);
    hand(named("a/./b"), &["a/./b"]);
    hand(named("a\\b"), &["a\\\\b", "backslash"]);
    hand(named("C:/x"), &["C:/x", "U+003A"]);
    hand(named("a\u{1b}[2J"), &["\\u{1b}"]);
    hand(named("a\u{202e}fgg.ledom"), &["202e"]);
    hand(named(&"x".repeat(513)), &["512 bytes"]);
    hand(named(&("a/".repeat(16) + "a")), &["16 parts"]);
    hand(named("license"), &["there twice, capitals not counted"]);
    hand(named("model.gguf/x"), &["file and"]);
    hand(named("model.sig"), &["model.sig", "there twice"]);
    manifest(
        |manifest| {
            let again = manifest.resources[0].clone();
            manifest.resources.insert(0, again);
        },
        &["twice"],
    );
}

#[test]
fn what_lies_there() {
    bundle(
        |_, out| {
            fs::rename(model_blob(out), out.with_file_name("aside")).unwrap();
            symlink(out.with_file_name("aside"), model_blob(out)).unwrap();
        },
        &["symbolic link", "cp -L"],
    );
    bundle(
        |_, out| {
            fs::rename(out.join("manifest.dsse"), out.with_file_name("aside")).unwrap();
            symlink(out.with_file_name("aside"), out.join("manifest.dsse")).unwrap();
        },
        &["manifest.dsse", "symbolic link"],
    );
    bundle(
        |_, out| {
            fs::rename(out.join("blobs"), out.with_file_name("aside")).unwrap();
            symlink(out.with_file_name("aside"), out.join("blobs")).unwrap();
        },
        &["blobs", "symbolic link"],
    );
    bundle(
        |_, out| {
            fs::remove_file(model_blob(out)).unwrap();
            fifo(&model_blob(out));
        },
        &["is a FIFO"],
    );
    bundle(
        |_, out| {
            fs::remove_file(out.join("manifest.dsse")).unwrap();
            fifo(&out.join("manifest.dsse"));
        },
        &["is a FIFO"],
    );
    bundle(
        |_, out| {
            fs::remove_file(model_blob(out)).unwrap();
            drop(std::os::unix::net::UnixListener::bind(model_blob(out)));
        },
        &["is a socket"],
    );
    bundle(
        |_, out| {
            fs::remove_file(model_blob(out)).unwrap();
            fs::create_dir(model_blob(out)).unwrap();
            put(&model_blob(out).join("x"), b"x");
        },
        &["does not list it"],
    );
    bundle(|_, out| put(&out.join("README.txt"), b"read me"), &["README.txt", "does not list it"]);
    bundle(|_, out| put(&out.join("blobs/notes.txt"), b"x"), &["notes.txt", "does not list it"]);
    bundle(
        |_, out| put(&out.join(blob_name(&digest(b"unlisted"))), b"unlisted"),
        &["does not list it", "packed and signed"],
    );
    bundle(|_, out| put(&out.join(".hidden"), b"x"), &[".hidden", "does not list it"]);
}

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
}

#[test]
fn digests_and_lengths() {
    bundle(
        |_, out| {
            let mut bytes = weights(1);
            *bytes.last_mut().unwrap() ^= 1;
            put(&model_blob(out), &bytes);
        },
        &["`model.gguf` has the digest", "copy the medium again"],
    );
    // The description is signed with a length that the file does not have.
    hand(
        |mut hand| {
            hand.description.files[1].bytes += 1;
            hand
        },
        &["800 bytes", "must have 801"],
    );
    bundle(
        |_, out| fs::remove_file(model_blob(out)).unwrap(),
        &["1 files", "neither on the medium nor in the vault", "model.gguf"],
    );
    bundle(
        |_, out| fs::File::options().write(true).open(model_blob(out)).unwrap().set_len(400).unwrap(),
        &["400 bytes", "must have 800"],
    );
    // A hole of a terabyte: nothing is read of it.
    bundle(
        |_, out| fs::File::options().write(true).open(model_blob(out)).unwrap().set_len(1 << 40).unwrap(),
        &["1099511627776 bytes", "must have 800"],
    );
    // The same, described and with weights' beginning.
    check(
        |lab| {
            let mut hand = Hand::valid();
            hand.description.files[1].bytes = 1 << 40;
            hand.write(&lab.path("media"));
            let file = fs::File::options().write(true).open(model_blob(&lab.path("media"))).unwrap();
            file.set_len(1 << 40).unwrap();
            Case::of(lab.path("media"))
        },
        &["bytes are needed", "are free"],
    );
}

#[test]
fn manifests() {
    bundle(
        |_, out| {
            let bytes = fs::read(out.join("manifest.dsse")).unwrap();
            put(&out.join("manifest.dsse"), &bytes[..bytes.len() / 2]);
        },
        &["manifest.dsse", "not a signature"],
    );
    bundle(|_, out| put(&out.join("manifest.dsse"), b""), &["manifest.dsse", "not a signature"]);
    bundle(
        |_, out| fs::File::create(out.join("manifest.dsse")).unwrap().set_len(1 << 40).unwrap(),
        &["manifest.dsse", "more than 8388608"],
    );
    let many = |count: u32| {
        let name = |number: u32| format!("f{number:06}");
        (0..count).map(|number| Resource { name: name(number), digest: [0; 32] }).collect::<Vec<_>>()
    };
    // As many as fit into the longest manifest, and then some more.
    manifest(|manifest| manifest.resources = many(100_000), &["manifest.dsse has", "more than 8388608"]);
    manifest(|manifest| manifest.resources = many(20_000), &["lists 20000 files, more than 4096"]);
    manifest(
        |manifest| manifest.resources.retain(|file| file.name != "bundle.json"),
        &["does not list bundle.json"],
    );
    manifest(
        |manifest| manifest.serialization = Serialization::Shards { shard_bytes: 10 },
        &["manifest.dsse"],
    );
    manifest(
        |manifest| manifest.ignore_paths = vec!["reports".to_owned()],
        &["leaves out more than its own file"],
    );
    manifest(
        |manifest| manifest.resources.push(Resource { name: "z.txt".to_owned(), digest: [7; 32] }),
        &["lists `z.txt`", "not described"],
    );
    manifest(|manifest| manifest.resources.retain(|file| file.name != "LICENSE"), &["does not list it"]);
    hand(
        |mut hand| {
            let absent = Described { name: "z.txt".to_owned(), role: Role::Evidence, bytes: 1 };
            hand.description.files.push(absent);
            hand
        },
        &["`z.txt` is described", "does not list it"],
    );
    hand(
        |mut hand| {
            hand.description.schema = 2;
            hand
        },
        &["version 2 are not supported"],
    );
    bundle(
        |hand, out| {
            let mut text = hand.description.clone();
            text.licence = Some("Proprietary".to_owned());
            put(&out.join(blob_name(&digest(&hand.description.bytes()))), &text.bytes());
        },
        &["not bundle.json as signed"],
    );
    bundle(
        |hand, out| fs::remove_file(out.join(blob_name(&digest(&hand.description.bytes())))).unwrap(),
        &["bundle.json is missing"],
    );
}

#[test]
fn contents() {
    hand(|hand| hand.without("model.gguf"), &["weights 0 times", "one file must be them"]);
    hand(|hand| hand.with("other.gguf", &weights(2)), &["weights 2 times", "one file must be them"]);
    hand(
        |hand| hand.with("model.gguf", b"no weights at all"),
        &["weights `model.gguf`", "does not begin with GGUF"],
    );
    hand(
        |hand| {
            let whole = weights(1);
            hand.with("model.gguf", &whole[..whole.len() - 200])
        },
        &["reaches past the end"],
    );
    // Roles swapped: the licence is to serve.
    hand(
        |mut hand| {
            hand.description.files[0].role = Role::Weights;
            hand.description.files[1].role = Role::Evidence;
            hand
        },
        &["weights `LICENSE`", "does not begin with GGUF"],
    );
    hand(|hand| hand.with("extra.bin", b"\x80\x04\x95\x10\0\0\0\0\0\0\0"), &["extra.bin", "Python pickle"]);
    hand(|hand| hand.with("extra.bin", b"PK\x03\x04archive/data.pkl"), &["extra.bin", "zip archive"]);
    hand(|hand| hand.with("old.pkl", b"(lp0\n."), &["old.pkl", "Python pickle"]);
    hand(|hand| hand.with("x.npy", b"\x93NUMPY\x01\0\x10\0{'descr': '|O', }"), &["x.npy", "objects"]);
    hand(|hand| hand.with("notes.txt", b"\x7fELF\x02\x01\x01"), &["notes.txt", "ELF"]);
    hand(|hand| hand.with("notes.txt", b"MZ\x90\0"), &["notes.txt", "PE"]);
    hand(|hand| hand.with("notes.txt", b"\xcf\xfa\xed\xfe"), &["notes.txt", "Mach-O"]);
    hand(|hand| hand.with("notes.txt", b"#!/bin/sh\nrm -rf /\n"), &["notes.txt", "#!"]);
    hand(|hand| hand.with("modeling_tiny.py", b"import os\n"), &["modeling_tiny.py", "script, by its name"]);
}

#[test]
fn signatures() {
    let signed = |lab: &Lab, hand: &Hand, byte: u8| {
        hand.write_as(&lab.path("media"), &oms::sign(&hand.manifest(), &key(byte)).unwrap());
        lab.path("media")
    };
    check(|lab| Case::signed_by(signed(lab, &Hand::valid(), 7), 8), &["not accepted", "not a trusted root"]);
    check(
        |lab| Case { unsigned: true, ..Case::signed_by(signed(lab, &Hand::valid(), 7), 8) },
        &["not accepted", "not a trusted root"],
    );
    check(
        |lab| {
            Hand::valid().write(&lab.path("media"));
            Case::signed_by(lab.path("media"), 7)
        },
        &["is not signed", "--unsigned"],
    );
    check(
        |lab| {
            let hand = Hand { ignored: vec!["reports".to_owned()], ..Hand::valid() };
            Case::signed_by(signed(lab, &hand, 7), 7)
        },
        &["leaves out more than its own file"],
    );
    // The statement is another's, the signature the first one's.
    let swapped = |change: fn(&mut Manifest)| {
        move |lab: &Lab| {
            let hand = Hand::valid();
            let mut manifest = hand.manifest();
            change(&mut manifest);
            let right: Value =
                serde_json::from_slice(&oms::sign(&hand.manifest(), &key(7)).unwrap()).unwrap();
            let mut wrong: Value = serde_json::from_slice(&oms::sign(&manifest, &key(7)).unwrap()).unwrap();
            wrong["dsseEnvelope"]["signatures"] = right["dsseEnvelope"]["signatures"].clone();
            hand.write_as(&lab.path("media"), &serde_json::to_vec(&wrong).unwrap());
            Case::signed_by(lab.path("media"), 7)
        }
    };
    // Names exchanged, so that the digests, and the root over them, stay in their order.
    check(
        swapped(|manifest| {
            let names: Vec<String> = manifest.resources.iter().map(|file| file.name.clone()).collect();
            assert_eq!(names, ["LICENSE", "bundle.json", "model.gguf", "reports/speed.json"]);
            manifest.resources[0].name = "COPYING".to_owned();
        }),
        &["LICENSE"],
    );
    check(
        swapped(|manifest| manifest.model_name = "other".to_owned()),
        &["not accepted", "signature is wrong"],
    );
    check(
        |lab| {
            let path = signed(lab, &Hand::valid(), 7);
            let mut bytes = weights(1);
            *bytes.last_mut().unwrap() ^= 1;
            put(&model_blob(&path), &bytes);
            Case::signed_by(path, 7)
        },
        &["`model.gguf` has the digest"],
    );
}

#[test]
fn snapshots() {
    let folder = |change: fn(&Path)| {
        move |lab: &Lab| {
            let folder = lab.path("snapshot");
            put(&folder.join("config.json"), b"{}");
            put(&folder.join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}");
            change(&folder);
            Case::of(folder)
        }
    };
    check(
        folder(|folder| {
            put(&folder.with_file_name("blobs").join("x"), b"tokens");
            symlink("../blobs/x", folder.join("tokenizer.json")).unwrap();
        }),
        &["tokenizer.json is a symbolic link", "cp -L"],
    );
    check(
        folder(|folder| put(&folder.join("pytorch_model.bin"), b"PK\x03\x04")),
        &["pytorch_model.bin", "zip archive, as PyTorch packs pickles"],
    );
    check(
        folder(|folder| put(&folder.join("pytorch_model.bin"), b"\x80\x02}q\0.")),
        &["pytorch_model.bin", "Python pickle"],
    );
    check(folder(|folder| put(&folder.join("a\u{1b}b"), b"x")), &["U+001B"]);
    check(
        folder(|folder| {
            (0..20_000).for_each(|number| drop(fs::File::create(folder.join(number.to_string())).unwrap()));
        }),
        &["more than 16384"],
    );
    // Signed, and then a file more.
    check(
        |lab| {
            let case = folder(|_| {})(lab);
            let resources = ["config.json", "model.safetensors"].map(|name| Resource {
                name: name.to_owned(),
                digest: digest(&fs::read(case.path.join(name)).unwrap()).0,
            });
            let manifest = |ignored: &[&str]| {
                let ignored = ignored.iter().map(|&path| path.to_owned()).collect();
                Manifest::new("s", Serialization::Files, false, ignored, resources.to_vec()).unwrap()
            };
            put(
                &case.path.join("model.sig"),
                &oms::sign(&manifest(&["model.sig", ".git"]), &key(7)).unwrap(),
            );
            let trust = trust_in(&key(7));
            assert!(lab.vault.clean_incoming().is_ok());
            let opened = media::open(&case.path, &Options::default()).unwrap();
            assert_eq!((opened.kind, opened.entries.len()), (Kind::Evidence, 2));
            put(&case.path.join("extra.json"), b"{}");
            Case { trust, unsigned: false, ..case }
        },
        &["extra.json", "does not list it"],
    );
    check(|lab| Case::of(lab.file("x/notes.txt", b"nothing")), &["no medium that can be imported"]);
    check(
        |lab| {
            put(&lab.path("nothing/notes.txt"), b"nothing");
            Case::of(lab.path("nothing"))
        },
        &["no medium that can be imported"],
    );
}

/// An OCI layout under construction.
struct Layout {
    layers: Vec<(String, Option<String>, Vec<u8>)>,
    manifests: usize,
    diff_ids: Option<Vec<String>>,
    artifact: String,
}

impl Layout {
    fn valid() -> Layout {
        let weight = "application/vnd.cncf.model.weight.v1.raw";
        let doc = "application/vnd.cncf.model.doc.v1.tar";
        Layout {
            layers: vec![
                (weight.to_owned(), Some("model.gguf".to_owned()), weights(1)),
                (
                    doc.to_owned(),
                    None,
                    tar(&[("LICENSE", b'0', b"MIT"), ("docs/README.md", b'0', &[b'x'; 600])]),
                ),
            ],
            manifests: 1,
            diff_ids: None,
            artifact: "application/vnd.cncf.model.manifest.v1+json".to_owned(),
        }
    }

    fn write(&self, out: &Path) {
        let blob = |bytes: &[u8]| {
            put(&out.join("blobs/sha256").join(digest(bytes).hex()), bytes);
            (digest(bytes).to_string(), bytes.len())
        };
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|(media_type, path, bytes)| {
                let (digest, size) = blob(bytes);
                let mut layer = json!({ "mediaType": media_type, "digest": digest, "size": size });
                if let Some(path) = path {
                    layer["annotations"] = json!({ "org.cncf.model.filepath": path });
                }
                layer
            })
            .collect();
        let diff_ids: Vec<String> =
            layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect();
        let config = json!({
            "descriptor": { "name": "Tiny Coder", "version": "2.0", "licenses": ["MIT"] },
            "config": { "format": "gguf" },
            "modelfs": { "type": "layers", "diffIds": self.diff_ids.clone().unwrap_or(diff_ids) },
        });
        let (digest, size) = blob(config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": self.artifact,
            "config": { "mediaType": "application/vnd.cncf.model.config.v1+json", "digest": digest, "size": size },
            "layers": layers,
        });
        let (digest, size) = blob(manifest.to_string().as_bytes());
        let entry = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
        });
        let index = json!({ "schemaVersion": 2, "manifests": vec![entry; self.manifests] });
        put(&out.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
        put(&out.join("index.json"), index.to_string().as_bytes());
    }
}

/// A tar archive: name, type and content of each entry; links lead to `target`.
fn tar(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, sort, content) in entries {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[156] = *sort;
        if matches!(sort, b'1' | b'2') {
            header[157..163].copy_from_slice(b"target");
        }
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = 8 * 32 + header.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn layout(change: impl FnOnce(&mut Layout), words: &[&str]) {
    check(
        |lab| {
            let mut layout = Layout::valid();
            change(&mut layout);
            layout.write(&lab.path("oci"));
            Case::of(lab.path("oci"))
        },
        words,
    );
}

fn tarred(entries: &[(&str, u8, &[u8])], words: &[&str]) {
    layout(|layout| layout.layers[1].2 = tar(entries), words);
}

#[test]
fn a_layout_that_is_right() {
    let lab = Lab::new();
    Layout::valid().write(&lab.path("oci"));
    let object = lab.import(&lab.path("oci")).unwrap();
    assert_eq!((object.title().as_str(), object.licence.as_deref()), ("tiny-coder@2.0", Some("MIT")));
    let names: Vec<&str> = object.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["LICENSE", "docs/README.md", "model.gguf", "oci/config.json", "oci/manifest.json"]);
    assert_eq!(object.files[1].digest, digest(&[b'x'; 600]));
    assert_eq!(object.weights().unwrap().digest, digest(&weights(1)));
    lab.vault.verify_object(&object, 2, &mut |_, _| {}).unwrap();
    assert_eq!(lab.import(&lab.path("oci")).unwrap(), object);
    assert_eq!(fs::read_dir(lab.path("models/incoming")).unwrap().count(), 0);

    // Long names and large files come in pax headers.
    let path = format!("docs/{}.md", "x".repeat(150));
    let record = format!("{} path={path}\n", path.len() + 10);
    let mut layout = Layout::valid();
    layout.layers[1].2 = tar(&[("PaxHeaders/x", b'x', record.as_bytes()), ("docs/x", b'0', b"long")]);
    layout.write(&lab.path("pax"));
    let object = lab.import(&lab.path("pax")).unwrap();
    assert!(object.files.iter().any(|file| file.name == path && file.digest == digest(b"long")));
}

#[test]
fn layouts() {
    layout(|layout| layout.manifests = 2, &["lists 2 manifests"]);
    layout(|layout| layout.manifests = 0, &["lists 0 manifests"]);
    layout(|layout| layout.artifact = "application/vnd.docker".to_owned(), &["artifactType"]);
    layout(|layout| layout.layers[0].0 += "+gzip", &["is compressed", "+gzip", "without compression"]);
    layout(|layout| layout.layers[1].0 += "+zstd", &["is compressed", "+zstd"]);
    layout(
        |layout| layout.layers[1].0 = "application/octet-stream".to_owned(),
        &["application/octet-stream", "not known"],
    );
    layout(
        |layout| layout.layers[1].0 = "application/vnd.cncf.model.trick.v1.raw".to_owned(),
        &["not known"],
    );
    layout(|layout| layout.layers[0].1 = None, &["has no annotation org.cncf.model.filepath"]);
    layout(|layout| layout.layers[0].1 = Some("../model.gguf".to_owned()), &["`../model.gguf` is refused"]);
    layout(|layout| layout.layers[0].1 = Some("LICENSE".to_owned()), &["LICENSE", "twice"]);
    layout(|layout| layout.diff_ids = Some(vec!["sha256:00".to_owned()]), &["diffIds"]);
    layout(
        |layout| layout.layers[0].2 = b"no weights".to_vec(),
        &["weights `model.gguf`", "does not begin with GGUF"],
    );
    let written = |change: fn(&Path)| {
        move |lab: &Lab| {
            Layout::valid().write(&lab.path("oci"));
            change(&lab.path("oci"));
            Case::of(lab.path("oci"))
        }
    };
    fn layer(out: &Path, bytes: &[u8]) -> PathBuf {
        out.join("blobs/sha256").join(digest(bytes).hex())
    }
    check(
        written(|out| {
            let mut bytes = weights(1);
            *bytes.last_mut().unwrap() ^= 1;
            put(&layer(out, &weights(1)), &bytes);
        }),
        &["`model.gguf` has the digest"],
    );
    check(
        written(|out| {
            let mut bytes = Layout::valid().layers[1].2.clone();
            bytes[512] ^= 1;
            put(&layer(out, &Layout::valid().layers[1].2), &bytes);
        }),
        &["has the digest", "copy the medium again"],
    );
    check(written(|out| put(&out.join("blobs/sha256/extra"), b"x")), &["extra", "does not list it"]);
    check(written(|out| fs::remove_file(layer(out, &weights(1))).unwrap()), &["is missing"]);
    check(written(|out| put(&out.join("index.json"), b"{")), &["index.json"]);
    check(written(|out| fs::remove_file(out.join("oci-layout")).unwrap()), &["oci-layout", "missing"]);
}

#[test]
fn tar_layers() {
    tarred(&[("../x", b'0', b"x")], &["`../x` is refused"]);
    tarred(&[("/etc/passwd", b'0', b"x")], &["absolute"]);
    tarred(&[("a", b'2', b"")], &["`a` is a symbolic link"]);
    tarred(&[("a", b'1', b"")], &["`a` is a hard link"]);
    tarred(&[("a", b'3', b"")], &["`a` is a device"]);
    tarred(&[("a", b'6', b"")], &["`a` is a FIFO"]);
    tarred(&[("a", b'5', b"")], &["`a` is a folder"]);
    tarred(&[("a", b'S', b"")], &["`a` is a sparse file"]);
    tarred(&[("a", b'L', b"name")], &["long name of GNU's"]);
    tarred(&[("a", b'0', b"x"), ("A", b'0', b"y")], &["there twice"]);
    tarred(&[("a", b'x', b"22 SCHILY.fflags=xyz1\n"), ("b", b'0', b"")], &["does not need"]);
    tarred(&[("a", b'x', b"99 path=b\n"), ("b", b'0', b"")], &["damaged"]);
    tarred(&[("a", b'x', b"19 size=1000000000\n"), ("b", b'0', b"")], &["past the archive's end"]);
    tarred(&[("run.sh", b'0', b"echo")], &["run.sh", "script"]);
    tarred(&[("notes.txt", b'0', b"\x7fELF")], &["notes.txt", "ELF"]);
    let whole = tar(&[("a", b'0', b"x")]);
    let raw = |bytes: Vec<u8>, words: &[&str]| layout(|layout| layout.layers[1].2 = bytes, words);
    raw(whole[..1024].to_vec(), &["without the end's mark"]);
    raw(whole[..700].to_vec(), &["past the archive's end"]);
    raw([&whole[..], b"hidden"].concat(), &["hidden after the end's mark"]);
    let mut hidden = whole.clone();
    hidden[600] = 1;
    raw(hidden, &["hidden after an entry's end"]);
    let mut damaged = whole;
    damaged[0] = b'b';
    raw(damaged, &["checksum"]);
}
