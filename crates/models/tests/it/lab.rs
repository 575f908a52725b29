//! A vault, and media made by hand for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use models::import::{ImportPolicy, StageError};
use models::media::bundle::{Described, Description, blob_name};
use models::media::pack::Packing;
use models::media::{self, Medium, MediumError, Options};
use models::object::{Kind, Object, Role, UNDISCLOSED};
use models::vault::Vault;
use oms::{KeySigner, Manifest, Resource, Serialization, Sign, Trust};
use protocol::Digest;
use sha2::{Digest as _, Sha256};

use testkit::gguf::Builder;

pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) vault: Vault,
}

/// Why something did not come in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("medium")]
    Medium(#[from] MediumError),
    #[error("import")]
    Stage(#[from] StageError),
}

impl Refused {
    /// All its words, causes included.
    pub(crate) fn words(&self) -> String {
        let mut words = String::new();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            words.push_str(&error.to_string());
            words.push_str(": ");
            cause = error.source();
        }
        words
    }
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::open(&directory.path().join("models")).unwrap();
        Lab { directory, vault }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        put(&path, bytes);
        path
    }

    /// Imports without a signature.
    pub(crate) fn import(&self, path: &Path) -> Result<Object, Refused> {
        self.import_with(path, &Options::default(), &Trust::new(), true)
    }

    pub(crate) fn import_with(
        &self,
        path: &Path,
        options: &Options,
        trust: &Trust,
        unsigned: bool,
    ) -> Result<Object, Refused> {
        let medium = media::open(path, options)?;
        self.stage(&medium, trust, unsigned)
    }

    pub(crate) fn stage(&self, medium: &Medium, trust: &Trust, unsigned: bool) -> Result<Object, Refused> {
        let policy = ImportPolicy { trust, unsigned, now_unix_s: 1_700_000_000 };
        Ok(self.vault.stage(medium, &policy, &mut |_, _| {})?)
    }

    /// Everything in the vault but unfinished copies: path, mode and digest.
    pub(crate) fn listing(&self) -> BTreeMap<PathBuf, (u32, Option<Digest>)> {
        let mut all = tree(&self.path("models"));
        all.retain(|path, _| !path.starts_with(self.path("models/incoming")));
        all
    }
}

pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Digest>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let digest = metadata.is_file().then(|| digest(&fs::read(&path).unwrap()));
            found.insert(path.clone(), (metadata.permissions().mode(), digest));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

pub(crate) fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Small weights; another number gives another file.
pub(crate) fn weights(number: u32) -> Vec<u8> {
    Builder::valid().with("general.quantization_version", testkit::gguf::unsigned(number)).bytes()
}

/// A key that is nobody's secret: its scalar is one byte, repeated.
pub(crate) fn key(byte: u8) -> KeySigner {
    let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend([byte; 32]);
    der.extend([0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let label = "EC PRIVATE KEY";
    let pem = format!("-----BEGIN {label}-----\n{}\n{}\n-----END {label}-----\n", &text[..64], &text[64..]);
    KeySigner::from_pem(pem.as_bytes(), None).unwrap()
}

pub(crate) fn trust_in(key: &KeySigner) -> Trust {
    let mut trust = Trust::new();
    trust.add_key("publisher", key.verification_material().public_key().to_pem().as_bytes()).unwrap();
    trust
}

/// A bundle made by hand, right until something of it is changed.
#[derive(Clone)]
pub(crate) struct Hand {
    pub(crate) description: Description,
    /// Content by logical name, bundle.json excepted.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) ignored: Vec<String>,
}

impl Hand {
    pub(crate) fn valid() -> Hand {
        let files: BTreeMap<String, Vec<u8>> = [
            ("LICENSE".to_owned(), b"Do what you want.\n".to_vec()),
            ("model.gguf".to_owned(), weights(1)),
            ("reports/speed.json".to_owned(), b"{}\n".to_vec()),
        ]
        .into();
        let mut hand = Hand {
            description: Description {
                schema: 1,
                kind: Kind::Model,
                name: "tiny".parse().unwrap(),
                version: "1.0".parse().unwrap(),
                licence: Some("MIT".to_owned()),
                training_data: UNDISCLOSED.to_owned(),
                files: Vec::new(),
            },
            files,
            ignored: Vec::new(),
        };
        hand.describe();
        hand
    }

    pub(crate) fn with(mut self, name: &str, bytes: &[u8]) -> Hand {
        self.files.insert(name.to_owned(), bytes.to_vec());
        self.describe();
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Hand {
        self.files.remove(name);
        self.describe();
        self
    }

    fn describe(&mut self) {
        let role = |name: &str| if name.ends_with(".gguf") { Role::Weights } else { media::role(name) };
        self.description.files = self
            .files
            .iter()
            .map(|(name, bytes)| Described {
                name: name.clone(),
                role: role(name),
                bytes: bytes.len() as u64,
            })
            .collect();
    }

    pub(crate) fn resources(&self) -> Vec<Resource> {
        let mut all = self.files.clone();
        all.insert("bundle.json".to_owned(), self.description.bytes());
        all.into_iter().map(|(name, bytes)| Resource { name, digest: digest(&bytes).0 }).collect()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest {
            model_name: "tiny".to_owned(),
            serialization: Serialization::Files,
            allow_symlinks: false,
            ignore_paths: self.ignored.clone(),
            resources: self.resources(),
        }
    }

    pub(crate) fn write(&self, out: &Path) {
        self.write_as(out, &oms::unsigned(&self.manifest()));
    }

    pub(crate) fn write_as(&self, out: &Path, manifest: &[u8]) {
        for bytes in self.files.values().chain([&self.description.bytes()]) {
            put(&out.join(blob_name(&digest(bytes))), bytes);
        }
        put(&out.join("manifest.dsse"), manifest);
    }
}

/// What packs `model.gguf` and `LICENSE` of a lab.
pub(crate) fn packing(lab: &Lab) -> Packing {
    Packing {
        kind: Kind::Model,
        name: "tiny".parse().unwrap(),
        version: "1.0".parse().unwrap(),
        licence: Some("MIT".to_owned()),
        training_data: UNDISCLOSED.to_owned(),
        files: vec![
            ("model.gguf".to_owned(), Role::Weights, lab.file("sources/model.gguf", &weights(1))),
            ("LICENSE".to_owned(), Role::Licence, lab.file("sources/LICENSE", b"Do what you want.\n")),
        ],
        known: BTreeSet::new(),
    }
}
