//! The corpora of known code: what `corpora.toml` says of them, and where they lie.
//!
//! ```text
//! DATA/corpora.toml          what there is; only `cloisterd corpus` writes it
//! DATA/corpora/NAME/3        a segment that is complete, and is never written again
//! DATA/corpora/NAME/building/segment one that is being made
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use identity::LabelSet;
use protocol::Digest;
use protocol::context::EVERYONE;
use protocol::corpora::{CORPORA_MAX, CorpusFacts, SEGMENT};
use serde::{Deserialize, Serialize};

use crate::data::{Data, sync_directory};
use crate::output::Hinted;
use crate::sources::make;

/// The file's name in the data directory.
pub(crate) const FILE_NAME: &str = "corpora.toml";
/// Where the corpora lie.
pub(crate) const FOLDER: &str = "corpora";
/// A segment that is being made.
const BUILDING: &str = "building";
/// Bytes of the file at most.
const FILE_BYTES_MAX: usize = 1 << 20;

/// All corpora, by name.
pub(crate) type Configured = BTreeMap<String, Configuration>;

/// A corpus, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Its folder among the corpus's own.
    pub(crate) folder: u64,
    /// The digest of its segment.
    pub(crate) root: Digest,
    /// Groups and persons who may see what of it matches.
    pub(crate) readers: Vec<String>,
    /// Labels that everything of it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
}

impl Configuration {
    fn check(&self, name: &str) -> Result<(), String> {
        if !identity::is_name(name) {
            return Err(format!(
                "`{name}` cannot be a corpus's name: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter"
            ));
        }
        if let Some(reader) = self.readers.iter().find(|reader| !identity::is_name(reader)) {
            return Err(format!("{name}: `{reader}` is neither a group, a person nor `{EVERYONE}`"));
        }
        self.labels.join(",").parse::<LabelSet>().map(drop).map_err(|error| format!("{name}: {error}"))
    }
}

/// What `corpora.toml` says; nothing without one.
pub(crate) fn configured(data: &Data) -> Result<Configured, Box<dyn Error>> {
    let path = data.path(FILE_NAME);
    if !path.exists() {
        return Ok(Configured::new());
    }
    let text = crate::file::read_text(&path, FILE_BYTES_MAX)?;
    let wrong = |what: String| {
        let hint = "correct it, or use `cloisterd corpus`";
        Hinted::new(format!("{} is not valid: {what}", path.display()), hint)
    };
    let configured: Configured = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    for (name, configuration) in &configured {
        configuration.check(name).map_err(wrong)?;
    }
    if configured.len() > CORPORA_MAX {
        return Err(wrong(format!("{} corpora: at most {CORPORA_MAX}", configured.len())).into());
    }
    Ok(configured)
}

/// Refuses what `corpora.toml` cannot say.
pub(crate) fn check(configured: &Configured) -> Result<(), Box<dyn Error>> {
    if configured.len() > CORPORA_MAX {
        let hint = "remove one, or merge some with `cloisterd corpus merge`";
        return Err(Hinted::new(format!("{CORPORA_MAX} corpora at most"), hint).into());
    }
    for (name, configuration) in configured {
        configuration.check(name).map_err(|error| Hinted::new(error, ""))?;
    }
    Ok(())
}

/// Writes it.
pub(crate) fn write(data: &Data, configured: &Configured) -> Result<(), Box<dyn Error>> {
    Ok(data.write(FILE_NAME, toml::to_string(configured)?.as_bytes())?)
}

/// What the gateway is told of all of them.
pub(crate) fn facts(configured: &Configured) -> Vec<CorpusFacts> {
    let facts = |(name, configuration): (&String, &Configuration)| CorpusFacts {
        name: name.clone(),
        folder: configuration.folder.to_string(),
        root: configuration.root,
        readers: configuration.readers.clone(),
        labels: configuration.labels.clone(),
    };
    configured.iter().map(facts).collect()
}

/// Makes the folder of all corpora, which a data directory from before there were any lacks.
pub(crate) fn make_folder(data: &Data) -> Result<(), Box<dyn Error>> {
    make(&data.path(FOLDER))
}

/// The segments of one corpus.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
}

impl Segments {
    pub(crate) fn of(data: &Data, name: &str) -> Segments {
        Segments { folder: data.path(FOLDER).join(name) }
    }

    /// A complete one.
    pub(crate) fn numbered(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// An empty folder, where the next one is made.
    pub(crate) fn building(&self) -> Result<PathBuf, Box<dyn Error>> {
        let building = self.folder.join(BUILDING);
        if building.exists() {
            fs::remove_dir_all(&building)
                .map_err(|error| format!("{} cannot be removed: {error}", building.display()))?;
        }
        make(&building)?;
        Ok(building)
    }

    /// Makes the one that was made in [`building`](Self::building) a complete one, and answers its number. Whoever made it
    /// has ended.
    pub(crate) fn publish(&self) -> Result<u64, Box<dyn Error>> {
        let number = numbers(&self.folder).last().map_or(1, |last| last + 1);
        let building = self.folder.join(BUILDING);
        fs::rename(building.join(SEGMENT), self.numbered(number))
            .and_then(|()| fs::remove_dir_all(&building))
            .map_err(|error| format!("the segment cannot be moved into place: {error}"))?;
        sync_directory(&self.folder)?;
        Ok(number)
    }
}

/// Removes what no line of `corpora.toml` names. Only who changes the corpora may: another command may be about to name
/// what it has just made. Who has mapped it keeps it until it lets go.
pub(crate) fn remove_abandoned(data: &Data, configured: &Configured) -> Result<(), Box<dyn Error>> {
    let folder = data.path(FOLDER);
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kept = configured.get(name).map(|configuration| configuration.folder);
        let removed = match kept {
            None => remove(&path),
            Some(kept) => {
                let others = numbers(&path).into_iter().filter(|number| *number != kept);
                others.map(|number| path.join(number.to_string())).try_for_each(|path| remove(&path))
            }
        };
        removed?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Box<dyn Error>> {
    fs::remove_dir_all(path).map_err(|error| format!("{} cannot be removed: {error}", path.display()))?;
    path.parent().map_or(Ok(()), |parent| Ok(sync_directory(parent)?))
}

/// Numbers of all complete ones, rising.
fn numbers(folder: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut numbers: Vec<u64> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}
