//! A small Ada repository for tests.

use std::path::PathBuf;

use super::corpora::{Corpus, Repository, Split};
use super::places::{Definition, Place};
use super::source::{Language, Source};

pub(crate) fn repository(name: &str, files: &[(&str, &str)]) -> Repository {
    let corpus = Corpus {
        name: name.into(),
        language: Language::Ada,
        split: Split::Tuning,
        root: PathBuf::from("/nowhere"),
    };
    let files =
        files.iter().map(|(name, text)| Source::new(Language::Ada, (*name).into(), (*text).into())).collect();
    Repository { corpus, files }
}

/// The cursor stands before `rest`, which needs something of the first line of `declaring`.
pub(crate) fn place(repository: &Repository, file: &str, rest: &str, declaring: &str) -> Place {
    let source = repository.file(file).unwrap();
    let offset = source.text.find(rest).unwrap();
    Place {
        id: "id".into(),
        corpus: repository.corpus.name.clone(),
        language: Language::Ada,
        split: Split::Tuning,
        root: repository.corpus.root.clone(),
        file: file.into(),
        offset,
        line: source.line_at(offset) + 1,
        expected: rest.into(),
        name: rest.into(),
        definitions: vec![Definition { file: declaring.into(), line: 1 }],
    }
}
