//! The sources of local context: what `sources.toml` says of them, and where their indexes lie.
//!
//! ```text
//! DATA/sources.toml          what there is; only `cloisterd repo` and people write it
//! DATA/context/NAME/12       an index that is complete, and is never written again
//! DATA/context/NAME/building one that is being made
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use identity::LabelSet;
use languages::Language;
use protocol::context::{EVERYONE, SOURCES_MAX, SourceFacts};
use serde::{Deserialize, Serialize};

use crate::data::{Data, sync_directory};
use crate::output::Hinted;

/// The file's name in the data directory.
pub(crate) const FILE_NAME: &str = "sources.toml";
/// Where the indexes lie.
pub(crate) const FOLDER: &str = "context";
/// An index that is being made.
const BUILDING: &str = "building";
/// Bytes of the file at most.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Configuration pragmas that say what is legal or how it behaves, and name no file.
const PRAGMAS: [&str; 15] = [
    "Assertion_Policy",
    "Detect_Blocking",
    "Locking_Policy",
    "Normalize_Scalars",
    "Overflow_Mode",
    "Partition_Elaboration_Policy",
    "Priority_Specific_Dispatching",
    "Profile",
    "Profile_Warnings",
    "Queuing_Policy",
    "Restriction_Warnings",
    "Restrictions",
    "SPARK_Mode",
    "Task_Dispatching_Policy",
    "Unevaluated_Use_Of_Old",
];
/// Bytes of a pragma.
const PRAGMA_BYTES_MAX: usize = 200;

/// Bytes of the name of a file with rules.
const FILE_NAME_BYTES_MAX: usize = 512;

/// All sources, by name.
pub(crate) type Configured = BTreeMap<String, Configuration>;

/// A source, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// A repository or a folder: an absolute path.
    pub(crate) path: PathBuf,
    /// A branch; what is checked out when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<String>,
    /// Groups and persons who may read it.
    pub(crate) readers: Vec<String>,
    /// Labels that everything of it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
    /// Whether changes are followed.
    #[serde(default = "yes")]
    pub(crate) watch: bool,
    /// What compilers that look at its files are told.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub(crate) rules: Rules,
}

/// A source's coding rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rules {
    /// Configuration pragmas of Ada, such as `pragma Profile (Ravenscar);`.
    pub(crate) pragmas: Vec<String>,
    /// Switches, such as `-gnatyM79` or `-Wextra`.
    pub(crate) switches: Vec<String>,
    /// A file of the source, from its root, whose words models are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

impl Rules {
    fn is_empty(&self) -> bool {
        *self == Rules::default()
    }

    /// Why they are none.
    fn check(&self) -> Result<(), String> {
        let is_pragma = |text: &String| {
            text.len() <= PRAGMA_BYTES_MAX
                && text.starts_with("pragma ")
                && text.ends_with(';')
                && text.matches(';').count() == 1
                && !text.contains(char::is_control)
                && PRAGMAS.iter().any(|name| {
                    let rest =
                        text.strip_prefix("pragma ").and_then(|rest| rest.trim_start().strip_prefix(name));
                    rest.is_some_and(|rest| rest.trim_start().starts_with(['(', ';']))
                })
        };
        if let Some(text) = self.pragmas.iter().find(|text| !is_pragma(text)) {
            return Err(format!(
                "rules.pragmas: {text:?} is none of those that restrict ({}), on one line of {PRAGMA_BYTES_MAX} bytes at most",
                PRAGMAS.join(", ")
            ));
        }
        let is_below = |file: &String| {
            let path = Path::new(file);
            file.len() <= FILE_NAME_BYTES_MAX
                && !file.contains(char::is_control)
                && path.components().all(|part| matches!(part, Component::Normal(_)))
        };
        if let Some(file) = self.file.as_ref().filter(|file| file.is_empty() || !is_below(file)) {
            return Err(format!("rules.file: {file:?} is no file below the source, as docs/coding-rules.md"));
        }
        let is_known =
            |switch: &String| Language::ALL.into_iter().any(|language| language.accepts_switch(switch));
        match self.switches.iter().find(|switch| !is_known(switch)) {
            Some(switch) => {
                Err(format!("rules.switches: {switch:?} is none that changes warnings or the language alone"))
            }
            None => Ok(()),
        }
    }
}

fn yes() -> bool {
    true
}

impl Configuration {
    /// What the gateway is told of it.
    pub(crate) fn facts(&self, name: &str) -> SourceFacts {
        SourceFacts {
            name: name.to_owned(),
            readers: self.readers.clone(),
            labels: self.labels.clone(),
            rules_file: self.rules.file.clone(),
        }
    }

    /// Why it is none.
    fn check(&self, name: &str) -> Result<(), String> {
        if !identity::is_name(name) {
            return Err(format!(
                "`{name}` cannot be a source's name: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter"
            ));
        }
        if !self.path.is_absolute() {
            return Err(format!("{name}: {} is no absolute path", self.path.display()));
        }
        if let Some(reader) = self.readers.iter().find(|reader| !identity::is_name(reader)) {
            return Err(format!("{name}: `{reader}` is neither a group, a person nor `{EVERYONE}`"));
        }
        self.rules.check().map_err(|error| format!("{name}: {error}"))?;
        self.labels.join(",").parse::<LabelSet>().map(drop).map_err(|error| format!("{name}: {error}"))
    }
}

/// What `sources.toml` says; nothing without one.
pub(crate) fn configured(data: &Data) -> Result<Configured, Box<dyn Error>> {
    let path = data.path(FILE_NAME);
    if !path.exists() {
        return Ok(Configured::new());
    }
    let text = crate::file::read_text(&path, FILE_BYTES_MAX)?;
    let wrong = |what: String| {
        Hinted::new(format!("{} is not valid: {what}", path.display()), "correct it, or use `cloisterd repo`")
    };
    let configured: Configured = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if configured.len() > SOURCES_MAX {
        return Err(wrong(format!("{} sources: at most {SOURCES_MAX}", configured.len())).into());
    }
    for (name, configuration) in &configured {
        configuration.check(name).map_err(wrong)?;
    }
    Ok(configured)
}

/// Refuses what `sources.toml` cannot say.
pub(crate) fn check(configured: &Configured) -> Result<(), Box<dyn Error>> {
    for (name, configuration) in configured {
        configuration.check(name).map_err(|error| Hinted::new(error, ""))?;
    }
    Ok(())
}

/// Writes it.
pub(crate) fn write(data: &Data, configured: &Configured) -> Result<(), Box<dyn Error>> {
    let text = toml::to_string(configured)?;
    Ok(data.write(FILE_NAME, text.as_bytes())?)
}

/// What the gateway is told of all of them.
pub(crate) fn facts(configured: &Configured) -> Vec<SourceFacts> {
    configured.iter().map(|(name, configuration)| configuration.facts(name)).collect()
}

/// Makes the folder of all indexes, which a data directory from before there were any lacks.
pub(crate) fn make_folder(data: &Data) -> Result<(), Box<dyn Error>> {
    make(&data.path(FOLDER))
}

pub(crate) fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    Ok(made.map_err(|error| format!("{} cannot be made: {error}", folder.display()))?)
}

/// The indexes of one source.
#[derive(Clone, Debug)]
pub(crate) struct Indexes {
    folder: PathBuf,
}

impl Indexes {
    pub(crate) fn of(data: &Data, name: &str) -> Indexes {
        Indexes { folder: data.path(FOLDER).join(name) }
    }

    /// Where the next one is made.
    pub(crate) fn building(&self) -> Result<PathBuf, Box<dyn Error>> {
        let building = self.folder.join(BUILDING);
        make(&building)?;
        Ok(building)
    }

    /// The newest complete one.
    pub(crate) fn published(&self) -> Option<PathBuf> {
        self.numbers().last().map(|number| self.folder.join(number.to_string()))
    }

    /// Numbers of all complete ones, rising.
    fn numbers(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut numbers: Vec<u64> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Makes the one that was being made a complete one. Whoever made it has ended.
    pub(crate) fn publish(&self) -> Result<PathBuf, Box<dyn Error>> {
        let number = self.numbers().last().map_or(1, |last| last + 1);
        let folder = self.folder.join(number.to_string());
        fs::rename(self.folder.join(BUILDING), &folder)
            .map_err(|error| format!("the index cannot be moved into place: {error}"))?;
        sync_directory(&self.folder)?;
        Ok(folder)
    }

    /// Removes all complete ones but that.
    pub(crate) fn keep_only(&self, kept: &Path) {
        for number in self.numbers() {
            let folder = self.folder.join(number.to_string());
            if folder != kept {
                let _tried_again_with_the_next = fs::remove_dir_all(&folder);
            }
        }
    }

    /// Removes one that cannot be used.
    pub(crate) fn discard(&self, folder: &Path) {
        let _tried_again_with_the_next = fs::remove_dir_all(folder);
        let _as_well = fs::remove_dir_all(self.folder.join(BUILDING));
    }

    /// Removes everything. Answers how many files and bytes that were.
    pub(crate) fn remove(&self) -> Result<(u64, u64), Box<dyn Error>> {
        let cannot = |error: std::io::Error| format!("{} cannot be removed: {error}", self.folder.display());
        if !self.folder.exists() {
            return Ok((0, 0));
        }
        let counted = count(&self.folder).map_err(cannot)?;
        fs::remove_dir_all(&self.folder).map_err(cannot)?;
        if let Some(parent) = self.folder.parent() {
            sync_directory(parent)?;
        }
        Ok(counted)
    }
}

/// Folders of sources that there are no more.
pub(crate) fn abandoned(data: &Data, configured: &Configured) -> Vec<String> {
    let Ok(entries) = fs::read_dir(data.path(FOLDER)) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !configured.contains_key(name)).collect()
}

fn count(folder: &Path) -> std::io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            let (more, larger) = count(&entry.path())?;
            files += more;
            bytes += larger;
        } else {
            files += 1;
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}
