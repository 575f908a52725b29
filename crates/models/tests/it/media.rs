use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use models::import::{ImportPolicy, StageError};
use models::media::bundle::blob_name;
use models::media::pack::{self, PackError};
use models::media::{self, Options};
use models::object::{Kind, Medium, Object, Role};
use oms::Trust;

use crate::lab::{Hand, Lab, Refused, digest, key, packing, put, tree, trust_in, weights};
use testkit::gguf::{Builder, string};

fn names(object: &Object) -> Vec<(&str, Role)> {
    object.files.iter().map(|file| (file.name.as_str(), file.role)).collect()
}

#[test]
fn packed_imported_written_and_found() {
    let lab = Lab::new();
    let out = lab.path("media");
    let mut last = (0, 0);
    let packed = pack::pack(&out, &packing(&lab), &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(last.0, last.1, "all is told of");
    assert!(!packed.unchanged);
    let object = lab.import(&out).unwrap();
    assert_eq!(
        names(&object),
        [
            ("LICENSE", Role::Licence),
            ("bundle.json", Role::Evidence),
            ("model.gguf", Role::Weights),
            ("sbom.cdx.json", Role::Sbom),
        ]
    );
    assert_eq!((object.kind, object.medium, object.signature.is_none()), (Kind::Model, Medium::Bundle, true));
    assert_eq!(object.weights().unwrap().digest, digest(&weights(1)));
    for file in &object.files {
        let blob = lab.vault.blob_path(&file.digest);
        assert_eq!(fs::metadata(&blob).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(digest(&fs::read(&blob).unwrap()), file.digest);
    }
    assert_eq!(fs::read_dir(lab.path("models/incoming")).unwrap().count(), 0);
    let before = lab.listing();
    assert_eq!(lab.import(&out).unwrap(), object, "an import may be repeated");
    assert_eq!(lab.listing(), before);
}

#[test]
fn packing_again_changes_nothing_and_takes_no_other_bundle_s_place() {
    let lab = Lab::new();
    let out = lab.path("media");
    pack::pack(&out, &packing(&lab), &mut |_, _| {}).unwrap();
    let before = tree(&out);
    assert!(pack::pack(&out, &packing(&lab), &mut |_, _| {}).unwrap().unchanged);
    assert_eq!(tree(&out), before);
    let mut other = packing(&lab);
    other.version = "2".parse().unwrap();
    assert!(matches!(pack::pack(&out, &other, &mut |_, _| {}), Err(PackError::Taken(_))));
    assert_eq!(tree(&out), before);
}

#[test]
fn packing_goes_on_after_an_interruption() {
    let lab = Lab::new();
    let whole = lab.path("whole");
    pack::pack(&whole, &packing(&lab), &mut |_, _| {}).unwrap();
    let out = lab.path("media");
    let model = weights(1);
    let hex = digest(&model).hex();
    // Half a blob, one that is damaged, and one of other files.
    put(&out.join(format!("unfinished-sha256-{hex}")), &model[..model.len() / 2]);
    put(&out.join(blob_name(&digest(b"Do what you want.\n"))), b"Do what you wAnt.\n");
    put(&out.join("blobs/sha256-00"), b"other");
    pack::pack(&out, &packing(&lab), &mut |_, _| {}).unwrap();
    let relative = |root: &std::path::Path| {
        let all = tree(root).into_iter();
        all.map(|(path, (_, digest))| (path.strip_prefix(root).unwrap().to_owned(), digest))
            .collect::<Vec<_>>()
    };
    assert_eq!(relative(&out), relative(&whole));
    put(&lab.path("strange/readme.txt"), b"mine");
    let strange = pack::pack(&lab.path("strange"), &packing(&lab), &mut |_, _| {});
    assert!(matches!(strange, Err(PackError::Stranger(_))));
}

#[test]
fn a_differential_bundle_has_the_same_manifest_and_needs_what_it_builds_upon() {
    let lab = Lab::new();
    let (full, thin) = (lab.path("full"), lab.path("thin"));
    let mut asked = packing(&lab);
    pack::pack(&full, &asked, &mut |_, _| {}).unwrap();
    asked.known = BTreeSet::from([digest(&weights(1)), digest(b"Do what you want.\n")]);
    assert_eq!(pack::pack(&thin, &asked, &mut |_, _| {}).unwrap().left_out, 2);
    assert_eq!(fs::read(full.join("manifest.dsse")).unwrap(), fs::read(thin.join("manifest.dsse")).unwrap());
    let refused = lab.import(&thin).unwrap_err();
    assert!(
        matches!(&refused, Refused::Stage(StageError::Missing { count: 2, names }) if names.iter().any(|name| name.contains("model.gguf"))),
        "{}",
        refused.words()
    );
    let object = lab.import(&full).unwrap();
    assert_eq!(lab.import(&thin).unwrap(), object);
    // A blob of the vault that was damaged does not count as there.
    let blob = lab.vault.blob_path(&digest(&weights(1)));
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o600)).unwrap();
    put(&blob, &weights(2));
    assert!(matches!(lab.import(&thin), Err(Refused::Stage(StageError::Missing { count: 1, .. }))));
    assert_eq!(lab.import(&full).unwrap(), object, "and is mended by a medium that has it");
    assert_eq!(digest(&fs::read(&blob).unwrap()), digest(&weights(1)));
}

#[test]
fn signed_by_a_key_that_is_trusted() {
    let lab = Lab::new();
    let hand = Hand::valid();
    let out = lab.path("media");
    let signature = oms::sign(&hand.manifest(), &key(7)).unwrap();
    hand.write_as(&out, &signature);
    let object = lab.import_with(&out, &Options::default(), &trust_in(&key(7)), false).unwrap();
    let signed_by = object.signature.clone().unwrap();
    assert_eq!((signed_by.method.as_str(), signed_by.root.as_str()), ("key", "publisher"));
    assert_eq!(signed_by.file, digest(&signature));
    assert!(object.files.iter().any(|file| file.name == "model.sig" && file.digest == signed_by.file));
    assert!(lab.vault.blob_path(&signed_by.file).exists());
    lab.vault.verify_object(&object, 2, &mut |_, _| {}).unwrap();
}

#[test]
fn an_interrupted_copy_goes_on_and_is_not_believed() {
    let lab = Lab::new();
    let out = lab.path("media");
    let hand = Hand::valid();
    hand.write(&out);
    let model = weights(1);
    let staged = lab.path("models/incoming").join(format!("sha256-{}", digest(&model).hex()));
    for left in [&model[..100], &model[..], &[0; 100], &vec![0; model.len()], &vec![0; model.len() + 1]] {
        put(&staged, left);
        fs::set_permissions(&staged, fs::Permissions::from_mode(0o400)).unwrap();
        let object = lab.import(&out).unwrap();
        lab.vault.verify_object(&object, 1, &mut |_, _| {}).unwrap();
        assert!(!staged.exists());
        fs::remove_file(lab.vault.blob_path(&digest(&model))).unwrap();
    }
    put(&staged, b"left");
    assert_eq!(lab.vault.clean_incoming().unwrap(), 1);
}

#[test]
fn two_imports_at_once_are_one_too_many() {
    let lab = Lab::new();
    let out = lab.path("media");
    Hand::valid().write(&out);
    let medium = media::open(&out, &Options::default()).unwrap();
    let trust = Trust::new();
    let policy = ImportPolicy { trust: &trust, unsigned: true, now_unix_s: 0 };
    let mut second = None;
    lab.vault
        .stage(&medium, &policy, &mut |_, _| {
            second.get_or_insert_with(|| lab.vault.stage(&medium, &policy, &mut |_, _| {}));
        })
        .unwrap();
    assert!(matches!(second.unwrap(), Err(StageError::Busy(_))));
}

#[test]
fn one_file_with_and_without_a_signature() {
    let lab = Lab::new();
    let path = lab.file("Tiny Coder.gguf", &weights(1));
    let object = lab.import(&path).unwrap();
    assert_eq!((object.title().as_str(), object.medium), ("tiny-coder@1", Medium::Gguf));
    let inode = || fs::metadata(lab.vault.blob_path(&digest(&weights(1)))).unwrap().ino();
    let before = inode();
    assert_eq!(lab.import(&path).unwrap(), object);
    assert_eq!(inode(), before, "what is here already is not copied");
    let other = lab.import(&lab.file("other.gguf", &weights(2))).unwrap();
    assert_eq!(other.weights().unwrap().digest, digest(&weights(2)), "of the same length");
    for (name, serialization) in [
        ("Tiny Coder.gguf", oms::Serialization::Files),
        (".", oms::Serialization::Files),
        (".", oms::Serialization::Shards { shard_bytes: 100 }),
        ("Tiny Coder.gguf", oms::Serialization::Shards { shard_bytes: 1 << 20 }),
    ] {
        let bytes = weights(1);
        let resources = serialization
            .pieces(name, bytes.len() as u64)
            .map(|(name, range)| {
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                oms::Resource { name, digest: digest(&bytes[range]).0 }
            })
            .collect();
        let manifest =
            oms::Manifest::new("x", serialization, false, vec!["x.sig".to_owned()], resources).unwrap();
        let signature = lab.file("x.sig", &oms::sign(&manifest, &key(7)).unwrap());
        let options = Options { signature: Some(signature), ..Options::default() };
        let object = lab.import_with(&path, &options, &trust_in(&key(7)), false).unwrap();
        assert!(object.signature.is_some(), "{name} {serialization:?}");
        let other = lab.file("y/Tiny Coder.gguf", &weights(2));
        lab.import_with(&other, &options, &trust_in(&key(7)), false).unwrap_err();
    }
}

#[test]
fn an_adapter_is_one_by_its_own_word() {
    let lab = Lab::new();
    let adapter = Builder::valid().without("tokenizer.ggml.tokens").without("tokenizer.ggml.scores");
    let adapter = adapter.without("tokenizer.ggml.eos_token_id").with("general.type", string("adapter"));
    let bytes = adapter.with("adapter.type", string("lora")).bytes();
    let mut hand = Hand::valid().with("model.gguf", &bytes);
    hand.write(&lab.path("model"));
    assert!(lab.import(&lab.path("model")).unwrap_err().words().contains("no vocabulary"));
    hand.description.kind = Kind::Adapter;
    hand.write(&lab.path("adapter"));
    assert_eq!(lab.import(&lab.path("adapter")).unwrap().kind, Kind::Adapter);
    let mut hand = Hand::valid();
    hand.description.kind = Kind::Adapter;
    hand.write(&lab.path("none"));
    assert!(lab.import(&lab.path("none")).unwrap_err().words().contains("LoRA adapter"));
}

#[test]
fn a_snapshot_is_evidence_unless_its_gguf_is_asked_for() {
    let lab = Lab::new();
    let folder = lab.path("Qwen Coder");
    put(&folder.join("config.json"), b"{}");
    put(&folder.join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}");
    put(&folder.join("q4/model.gguf"), &weights(1));
    put(&folder.join(".gitattributes"), b"*.gguf filter=lfs");
    put(&folder.join(".git/hooks/pre-commit"), b"#!/bin/sh\n");
    let object = lab.import(&folder).unwrap();
    assert_eq!((object.kind, object.title().as_str()), (Kind::Evidence, "qwen-coder@1"));
    assert_eq!(object.files.len(), 3, "git's own files are no part of it");
    assert!(object.weights().is_none());
    let options = Options { serve: true, version: Some("3".parse().unwrap()), ..Options::default() };
    let object = lab.import_with(&folder, &options, &Trust::new(), true).unwrap();
    assert_eq!((object.kind, object.weights().unwrap().name.as_str()), (Kind::Model, "q4/model.gguf"));
    put(&folder.join("other.gguf"), &weights(2));
    let refused = lab.import_with(&folder, &options, &Trust::new(), true).unwrap_err();
    assert!(refused.words().contains("several GGUF files"), "{}", refused.words());
}

#[test]
fn a_corpus_is_packed_and_imported_by_its_files() {
    let lab = Lab::new();
    let out = lab.path("media");
    let documents = lab.file("segment/documents", b"CLOISTER documents");
    let postings = lab.file("segment/postings", b"CLOISTER postings");
    let mut asked = packing(&lab);
    asked.kind = Kind::Corpus;
    assert!(matches!(pack::pack(&out, &asked, &mut |_, _| {}), Err(PackError::Invalid(_))), "it has weights");
    asked.files.remove(0);
    assert!(
        matches!(pack::pack(&out, &asked, &mut |_, _| {}), Err(PackError::Invalid(_))),
        "it has no segment"
    );
    let out = lab.path("corpus");
    asked.files.push(("segment/documents".to_owned(), Role::Segment, documents));
    asked.files.push(("segment/postings".to_owned(), Role::Segment, postings));
    pack::pack(&out, &asked, &mut |_, _| {}).unwrap();
    let object = lab.import(&out).unwrap();
    assert_eq!(object.kind, Kind::Corpus);
    assert_eq!(
        names(&object),
        [
            ("LICENSE", Role::Licence),
            ("bundle.json", Role::Evidence),
            ("segment/documents", Role::Segment),
            ("segment/postings", Role::Segment),
        ],
        "no bill of materials is made of it"
    );
    let segment: Vec<_> = object.segment().map(|(name, file)| (name, file.bytes)).collect();
    assert_eq!(segment, [("documents", 18), ("postings", 17)]);
    assert_eq!(lab.vault.put_object(&object).unwrap(), object.digest());
    assert_eq!(lab.vault.find("tiny@1.0").unwrap(), object);
    lab.vault.verify_object(&object, 2, &mut |_, _| {}).unwrap();
}
