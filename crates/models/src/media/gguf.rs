//! One GGUF file, perhaps with a signature in a file of its own.

use std::io::Read;
use std::path::Path;

use super::tree::{Opened, Tree, TreeError};
use super::{Entry, Medium, MediumError, Options, Source};
use crate::object::{self, Kind, Name, Role};

/// Opens a file. Its name is the operator's own word, or that of the file.
pub(super) fn open(path: &Path, options: &Options) -> Result<Medium, MediumError> {
    let (directory, file_name) = super::parent_and_name(path)?;
    let tree = Tree::open(&directory)?;
    let Opened { file, bytes } = tree.file(&file_name)?;
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic).map_err(|source| TreeError::Io { path: path.to_owned(), source })?;
    if magic != b"GGUF" {
        return Err(MediumError::Unknown(path.to_owned()));
    }
    let stem = file_name.strip_suffix(".gguf").unwrap_or(&file_name);
    let name = options.name.clone().or_else(|| super::name_of(stem));
    let name = name.ok_or_else(|| MediumError::Invalid {
        path: path.to_owned(),
        what: "no name can be made of the file's: give one".to_owned(),
    })?;
    let entry = Entry {
        name: file_name.clone(),
        role: Role::Weights,
        expected: None,
        bytes,
        source: Source::File(file_name),
    };
    Medium {
        sort: object::Medium::Gguf,
        kind: options.kind.unwrap_or(Kind::Model),
        name,
        version: options.version.clone().unwrap_or_else(Name::first_version),
        training_data: object::UNDISCLOSED.to_owned(),
        licence: None,
        entries: vec![entry],
        signature: options.signature.as_deref().map(super::detached).transpose()?,
        tree,
        layers: Vec::new(),
    }
    .checked()
}
