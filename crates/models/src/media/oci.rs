//! An OCI image layout that holds one model as CNCF ModelPack has it: `oci-layout`, `index.json` with one
//! manifest, `blobs/sha256/HEX`. Layers are single files (`…raw`) or tar archives of plain files (`…tar`).
//! Compressed layers are refused: the specification advises against them for weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::Digest;
use protocol::digest::unhex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::names::shown;
use super::tree::{Opened, Tree};
use super::{Entry, Layer, Medium, MediumError, Options, SIGNATURE_BYTES_MAX, SIGNATURE_NAME, Source, tar};
use crate::object::{self, FILES_MAX, Kind, Name, Role};

/// Says which layout it is.
pub const LAYOUT: &str = "oci-layout";
/// Lists the manifests.
pub const INDEX: &str = "index.json";
const JSON_BYTES_MAX: u64 = 4 << 20;
const TEXT_BYTES_MAX: usize = 1024;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT_TYPE: &str = "application/vnd.cncf.model.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.cncf.model.config.v1+json";
const LAYER_TYPES: &str = "application/vnd.cncf.model.";
const FILEPATH: &str = "org.cncf.model.filepath";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

/// `index.json`. Fields that are not understood are passed over, as the specification asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    descriptor: Described,
    modelfs: Option<ModelFs>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Described {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    licenses: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct ModelFs {
    #[serde(rename = "diffIds", alias = "diff_ids", default)]
    diff_ids: Vec<String>,
}

/// How a layer holds its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Raw,
    Tar,
}

/// Opens a layout. Name, version and licence are those of the model's configuration.
pub(super) fn open(tree: Tree, options: &Options) -> Result<Medium, MediumError> {
    let layout: LayoutFile = json(&tree.path().join(LAYOUT), &tree.read(LAYOUT, JSON_BYTES_MAX)?)?;
    if layout.image_layout_version != "1.0.0" {
        let what = format!("layouts of version {} are not supported", shown(&layout.image_layout_version));
        return Err(MediumError::Invalid { path: tree.path().join(LAYOUT), what });
    }
    let index_path = tree.path().join(INDEX);
    let manifest = parse_index(&tree.read(INDEX, JSON_BYTES_MAX)?, &index_path)?;
    let (manifest_digest, manifest_path) = blob(&manifest, &index_path)?;
    let manifest_bytes = stated(&tree, &manifest, &manifest_path, manifest_digest)?;
    let manifest_at = tree.path().join(&manifest_path);
    let parsed = parse_manifest(&manifest_bytes, &manifest_at)?;
    let (config_digest, config_path) = blob(&parsed.config, &manifest_at)?;
    let config_bytes = stated(&tree, &parsed.config, &config_path, config_digest)?;
    let config = parse_config(&config_bytes, &parsed.layers, &tree.path().join(&config_path))?;

    let mut wanted = vec![LAYOUT.to_owned(), INDEX.to_owned(), manifest_path.clone(), config_path.clone()];
    let mut entries = Vec::new();
    let mut layers = Vec::new();
    let mut signature = None;
    for descriptor in &parsed.layers {
        let packing = packing(descriptor, &manifest_at)?;
        let (digest, path) = blob(descriptor, &manifest_at)?;
        let Opened { mut file, bytes } = tree.file(&path)?;
        if bytes != descriptor.size {
            let what = format!("it has {bytes} bytes, and the manifest states {}", descriptor.size);
            return Err(MediumError::Invalid { path: tree.path().join(&path), what });
        }
        match packing {
            Packing::Raw => {
                let name = descriptor.annotations.get(FILEPATH).ok_or_else(|| MediumError::Invalid {
                    path: manifest_at.clone(),
                    what: format!("the layer {digest} has no annotation {FILEPATH}"),
                })?;
                if name == SIGNATURE_NAME && options.signature.is_none() && signature.is_none() {
                    let content = tree.read(&path, SIGNATURE_BYTES_MAX)?;
                    let found = Digest(Sha256::digest(&content).into());
                    let at = tree.path().join(&path);
                    if found != digest {
                        let what = format!("its digest is {found}");
                        return Err(MediumError::Invalid { path: at, what });
                    }
                    signature = Some(super::signed(&at, name.clone(), content)?);
                } else {
                    entries.push(Entry {
                        name: name.clone(),
                        role: super::role(name),
                        expected: Some(digest),
                        bytes,
                        source: Source::File(path.clone()),
                    });
                }
            }
            Packing::Tar => {
                let listing = tar::list(&mut file, bytes)
                    .map_err(|source| MediumError::Tar { path: tree.path().join(&path), source })?;
                for piece in listing.pieces {
                    entries.push(Entry {
                        role: super::role(&piece.name),
                        expected: None,
                        bytes: piece.bytes,
                        source: Source::Piece { layer: layers.len(), offset: piece.offset },
                        name: piece.name,
                    });
                }
                layers.push(Layer { path: path.clone(), digest, bytes, frame: listing.frame });
            }
        }
        wanted.push(path);
    }
    if let Some(extra) = tree.list(&|_| false)?.into_iter().find(|file| !wanted.contains(&file.name)) {
        return Err(MediumError::Extra(tree.path().join(extra.name)));
    }
    for (name, digest, content) in [
        ("oci/manifest.json", manifest_digest, manifest_bytes),
        ("oci/config.json", config_digest, config_bytes),
    ] {
        // A signature is of the publisher's tree, to which the layout's own files do not belong.
        if signature.is_none() && options.signature.is_none() {
            entries.push(Entry {
                name: name.to_owned(),
                role: Role::Evidence,
                expected: Some(digest),
                bytes: content.len() as u64,
                source: Source::Held(content),
            });
        }
    }
    let ggufs = entries.iter_mut().filter(|entry| entry.name.to_lowercase().ends_with(".gguf"));
    let mut weights = 0;
    for entry in ggufs {
        entry.role = Role::Weights;
        weights += 1;
    }
    let own = |text: &Option<String>| text.as_deref().and_then(super::name_of);
    let name = options.name.clone().or_else(|| own(&config.descriptor.name));
    let name = name.ok_or_else(|| MediumError::Invalid {
        path: tree.path().join(&config_path),
        what: "the configuration states no name: give one".to_owned(),
    })?;
    let version = options.version.clone().or_else(|| own(&config.descriptor.version));
    let licences = config.descriptor.licenses.join(" AND ");
    Medium {
        sort: object::Medium::Oci,
        kind: if weights == 0 { Kind::Evidence } else { options.kind.unwrap_or(Kind::Model) },
        name,
        version: version.unwrap_or_else(Name::first_version),
        training_data: object::UNDISCLOSED.to_owned(),
        licence: Some(shown(&licences)).filter(|licence| !licence.is_empty()),
        entries,
        signature: match &options.signature {
            Some(path) => Some(super::detached(path)?),
            None => signature,
        },
        tree,
        layers,
    }
    .checked()
}

/// The one manifest of `index.json`.
fn parse_index(bytes: &[u8], path: &Path) -> Result<Descriptor, MediumError> {
    let invalid = |what: String| MediumError::Invalid { path: path.to_owned(), what };
    let index: Index = json(path, bytes)?;
    if index.schema_version != 2 {
        return Err(invalid(format!("its schemaVersion is {}, not 2", index.schema_version)));
    }
    let count = index.manifests.len();
    let manifest = index.manifests.into_iter().next().filter(|_| count == 1);
    let manifest = manifest.ok_or_else(|| {
        invalid(format!(
            "it lists {count} manifests: a medium has one (copy one reference into a layout of its own)"
        ))
    })?;
    if manifest.media_type != MANIFEST_TYPE {
        return Err(invalid(format!(
            "its entry is a `{}`, not a `{MANIFEST_TYPE}`",
            shown(&manifest.media_type)
        )));
    }
    Ok(manifest)
}

/// A manifest of ModelPack's.
fn parse_manifest(bytes: &[u8], path: &Path) -> Result<Manifest, MediumError> {
    let invalid = |what: String| MediumError::Invalid { path: path.to_owned(), what };
    let manifest: Manifest = json(path, bytes)?;
    if manifest.schema_version != 2
        || manifest.media_type.as_deref().is_some_and(|stated| stated != MANIFEST_TYPE)
    {
        return Err(invalid("it is no OCI image manifest".to_owned()));
    }
    let artifact = manifest.artifact_type.as_deref().unwrap_or_default();
    if artifact != ARTIFACT_TYPE {
        return Err(invalid(format!("its artifactType is `{}`, not `{ARTIFACT_TYPE}`", shown(artifact))));
    }
    let config = &manifest.config.media_type;
    if config != CONFIG_TYPE {
        return Err(invalid(format!("its configuration is a `{}`, not a `{CONFIG_TYPE}`", shown(config))));
    }
    if manifest.layers.len() > FILES_MAX {
        return Err(invalid(format!("it has {} layers, more than {FILES_MAX}", manifest.layers.len())));
    }
    Ok(manifest)
}

/// A model's configuration; what it says of the layers' content must be what the manifest says, as no
/// layer is compressed.
fn parse_config(bytes: &[u8], layers: &[Descriptor], path: &Path) -> Result<Config, MediumError> {
    let invalid = |what: &str| MediumError::Invalid { path: path.to_owned(), what: what.to_owned() };
    let config: Config = json(path, bytes)?;
    let texts = [&config.descriptor.name, &config.descriptor.version].into_iter().flatten();
    if texts.chain(&config.descriptor.licenses).any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(invalid("its name, version or a licence is too long"));
    }
    if let Some(ModelFs { diff_ids }) = &config.modelfs {
        let same = diff_ids.len() == layers.len()
            && diff_ids.iter().zip(layers).all(|(diff, layer)| *diff == layer.digest);
        // Layers that are compressed have other digests, and are refused by that name.
        if !diff_ids.is_empty() && !same && layers.iter().all(|layer| packing(layer, path).is_ok()) {
            return Err(invalid("its diffIds are not the digests of the manifest's layers"));
        }
    }
    Ok(config)
}

fn packing(layer: &Descriptor, path: &Path) -> Result<Packing, MediumError> {
    let invalid = |what: String| MediumError::Invalid { path: path.to_owned(), what };
    let media_type = layer.media_type.as_str();
    if media_type.ends_with("+gzip") || media_type.ends_with("+zstd") {
        return Err(MediumError::Compressed {
            path: path.to_owned(),
            digest: blob(layer, path)?.0,
            media_type: shown(media_type),
        });
    }
    let unknown = || invalid(format!("a layer is a `{}`, which is not known", shown(media_type)));
    let sort = media_type.strip_prefix(LAYER_TYPES).ok_or_else(unknown)?;
    let (sort, packing) = match sort.rsplit_once(".v1.") {
        Some((sort, "raw")) => (sort, Packing::Raw),
        Some((sort, "tar")) => (sort, Packing::Tar),
        _ => return Err(unknown()),
    };
    if !matches!(sort, "weight" | "weight.config" | "doc" | "code" | "dataset") {
        return Err(unknown());
    }
    if !layer.urls.is_empty() {
        return Err(invalid("a layer is said to lie elsewhere (urls): nothing is fetched".to_owned()));
    }
    Ok(packing)
}

/// A descriptor's digest, and where its blob lies.
fn blob(descriptor: &Descriptor, path: &Path) -> Result<(Digest, String), MediumError> {
    let digest: Option<Digest> =
        descriptor.digest.strip_prefix("sha256:").and_then(|hex| Some(Digest(unhex(hex)?.try_into().ok()?)));
    let digest = digest.ok_or_else(|| MediumError::Invalid {
        path: path.to_owned(),
        what: format!("`{}` is no SHA-256 digest", shown(&descriptor.digest)),
    })?;
    Ok((digest, format!("blobs/sha256/{}", digest.hex())))
}

/// Reads a blob that is understood, and compares it with what is stated of it.
fn stated(tree: &Tree, descriptor: &Descriptor, blob: &str, digest: Digest) -> Result<Vec<u8>, MediumError> {
    let path: PathBuf = tree.path().join(blob);
    let content = tree.read(blob, JSON_BYTES_MAX)?;
    let found = Digest(Sha256::digest(&content).into());
    if found != digest || content.len() as u64 != descriptor.size {
        let what = format!(
            "it has {} bytes of the digest {found}, not {} as stated",
            content.len(),
            descriptor.size
        );
        return Err(MediumError::Invalid { path, what });
    }
    Ok(content)
}

fn json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, MediumError> {
    serde_json::from_slice(bytes).map_err(|source| MediumError::Json { path: path.to_owned(), source })
}

/// Parses bytes as each of the layout's files, as the fuzzer does; whether any passed.
pub fn parses(bytes: &[u8]) -> bool {
    let path = Path::new("fuzzed");
    let manifest = parse_manifest(bytes, path);
    let layers = manifest.as_ref().map(|manifest| manifest.layers.as_slice()).unwrap_or_default();
    let packed = layers.iter().all(|layer| packing(layer, path).is_ok());
    let config = parse_config(bytes, layers, path).is_ok();
    parse_index(bytes, path).is_ok() || config || (manifest.is_ok() && packed)
}
