//! Other people's repositories, as `cargo xtask fetch --corpora` left them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use testkit::Failure;

use super::source::{Language, Source};

/// A larger file is no one's to edit.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is chosen by looking at figures is chosen on `Tuning`; `Test` is what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Split {
    Tuning,
    Test,
}

/// A repository on disk.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Corpus {
    pub(crate) name: String,
    pub(crate) language: Language,
    pub(crate) split: Split,
    /// Absolute, once [`corpora`] gave it.
    pub(crate) root: PathBuf,
}

/// A repository in memory: its files of the corpus's language, in the order of their names.
pub(crate) struct Repository {
    pub(crate) corpus: Corpus,
    pub(crate) files: Vec<Source>,
}

/// Those in the cache folder.
pub(crate) fn corpora(cache: &Path) -> Result<Vec<Corpus>, Failure> {
    let folder = cache.join("corpora");
    let list = folder.join("corpora.json");
    let bytes = fs::read(&list)
        .map_err(|error| format!("{}: {error}: run `cargo xtask fetch --corpora`", list.display()))?;
    let mut corpora: Vec<Corpus> = serde_json::from_slice(&bytes)?;
    corpora.iter_mut().for_each(|corpus| corpus.root = folder.join(&corpus.root));
    Ok(corpora)
}

impl Repository {
    pub(crate) fn read(corpus: &Corpus) -> Result<Repository, Failure> {
        let mut names = Vec::new();
        walk(&corpus.root, &corpus.root, corpus.language, &mut names)?;
        names.sort_unstable();
        let mut files = Vec::new();
        for name in names {
            let bytes = fs::read(corpus.root.join(&name))?;
            // Latin-1 is no one's prompt.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(Source::new(corpus.language, name, text));
            }
        }
        Ok(Repository { corpus: corpus.clone(), files })
    }

    /// The file of that name.
    pub(crate) fn file(&self, name: &str) -> Option<&Source> {
        let index = self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok()?;
        self.files.get(index)
    }
}

fn walk(root: &Path, folder: &Path, language: Language, names: &mut Vec<String>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            walk(root, &path, language, names)?;
        } else if kind.is_file() && entry.metadata()?.len() <= FILE_BYTES_MAX {
            let name = path.strip_prefix(root)?.to_str().map(str::to_owned);
            names.extend(name.filter(|name| language.is_of(name)));
        }
    }
    Ok(())
}
