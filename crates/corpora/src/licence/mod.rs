//! Which licence each file of a package stands under, by what was found there. docs/licences.md says how.

mod by_path;
mod expression;
mod header;
mod metadata;
mod recognise;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use provenance::document::{Evidence, Licence, Standing};

use by_path::ByPath;
use header::Header;
use metadata::{Metadata, Stated};

pub(crate) use by_path::paragraphs;
pub(crate) use expression::{normal_form, normal_form_of_cargo};
pub(crate) use metadata::System;

/// Files of one source that state licences, at most.
pub(crate) const STATEMENTS_MAX: usize = 200_000;

/// Which files state licences of others, and so are read before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// In `LICENSES/`, as REUSE has it: the texts that the package's files refer to.
    Referred,
    Metadata(System),
    Dep5,
    ReuseDep5,
    ReuseToml,
}

/// What such a file says; what else it holds is forgotten.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// A licence's text, if it was recognised.
    Text {
        referred: bool,
        recognised: Option<recognise::Recognised>,
    },
    Metadata(Metadata),
    ByPath(ByPath),
}

impl Kind {
    /// By the path alone; None for other files.
    pub(crate) fn of(path: &str) -> Option<Kind> {
        if let Some(system) = metadata::system(path) {
            return Some(Kind::Metadata(system));
        }
        let mut names = path.rsplit('/');
        let name = names.next().unwrap_or_default();
        let folder = names.next().unwrap_or_default();
        match (folder, name) {
            ("debian", "copyright") => return Some(Kind::Dep5),
            (".reuse", "dep5") => return Some(Kind::ReuseDep5),
            (_, "REUSE.toml") => return Some(Kind::ReuseToml),
            ("LICENSES", _) => return Some(Kind::Referred),
            _ => {}
        }
        let small = name.to_ascii_lowercase();
        let begins =
            ["license", "licence", "copying", "unlicense"].iter().find(|begin| small.starts_with(**begin))?;
        let rest = &small[begins.len()..];
        // What follows the word is a suffix, and the file no source code of that name.
        let is_suffix = rest.is_empty() || rest.starts_with(['.', '-', '_', 's', '3']);
        const CODE: &[&str] = &[
            "rs", "py", "c", "h", "cc", "cpp", "hpp", "js", "ts", "tsx", "jsx", "go", "java", "kt", "cs",
            "rb", "sh", "pl", "pm", "adb", "ads", "vhd", "vhdl", "v", "sv", "json", "toml", "yaml", "yml",
            "xml", "svg", "png", "css", "lua", "php", "swift", "csv", "in", "am", "mk", "el", "hs", "ml",
            "bat", "ps1",
        ];
        // What others' parts are under, all in one text, is not what the package is under.
        if ["third", "3rd", "dependencies", "bundled"].iter().any(|word| rest.contains(word)) {
            return None;
        }
        let ending = rest.rsplit_once('.').map_or("", |(_, ending)| ending);
        (is_suffix && !CODE.contains(&ending)).then_some(Kind::Text)
    }

    /// Reads a file of this kind; None where it states nothing. A hostile one costs bounded work.
    pub(crate) fn read(self, path: &str, bytes: &[u8]) -> Option<Statement> {
        match self {
            Kind::Text => Some(Statement::Text { referred: false, recognised: recognise::text(bytes) }),
            Kind::Referred => Some(Statement::Text { referred: true, recognised: recognise::text(bytes) }),
            Kind::Metadata(system) => metadata::read(path, system, bytes).map(Statement::Metadata),
            Kind::Dep5 => by_path::dep5(bytes, false).map(Statement::ByPath),
            Kind::ReuseDep5 => by_path::dep5(bytes, true).map(Statement::ByPath),
            Kind::ReuseToml => by_path::reuse(bytes).map(Statement::ByPath),
        }
    }

    /// Bytes of such a file that are read.
    pub(crate) fn bytes_max(self) -> usize {
        match self {
            Kind::Text | Kind::Referred => recognise::TEXT_BYTES_MAX,
            Kind::Metadata(_) => metadata::METADATA_BYTES_MAX,
            Kind::Dep5 | Kind::ReuseDep5 | Kind::ReuseToml => by_path::BYTES_MAX,
        }
    }
}

/// What the files of a package state of its licences, by folder.
#[derive(Debug, Default)]
pub(crate) struct Index {
    folders: BTreeMap<String, Folder>,
}

#[derive(Debug, Default)]
struct Folder {
    /// Texts in the folder itself, then those in its `LICENSES/`.
    texts: Vec<(String, recognise::Recognised)>,
    referred: Vec<(String, recognise::Recognised)>,
    /// There is a licence's file, and what it says has no name.
    has_unnamed: bool,
    metadata: Vec<(String, Metadata)>,
    by_path: Vec<(String, ByPath)>,
}

/// A piece of metadata that speaks for a file.
struct Piece<'a> {
    path: &'a str,
    stated: &'a str,
    expression: Option<&'a str>,
}

impl Index {
    /// Adds what a file states. Paths are of one package, and begin at its root.
    pub(crate) fn add(&mut self, path: &str, statement: Statement) {
        let folder = self.folders.entry(governed(path).to_owned()).or_default();
        match statement {
            Statement::Text { referred: true, recognised } => {
                folder.referred.extend(recognised.map(|recognised| (path.to_owned(), recognised)));
            }
            Statement::Text { referred: false, recognised: None } => folder.has_unnamed = true,
            Statement::Text { referred: false, recognised: Some(recognised) } => {
                folder.texts.push((path.to_owned(), recognised));
            }
            Statement::Metadata(metadata) => folder.metadata.push((path.to_owned(), metadata)),
            Statement::ByPath(by_path) => folder.by_path.push((path.to_owned(), by_path)),
        }
    }

    /// What the package's root states of its name and version.
    pub(crate) fn root(&self) -> Option<&Metadata> {
        let root = self.folders.get("")?;
        let named =
            root.metadata.iter().map(|(_, metadata)| metadata).filter(|metadata| metadata.name.is_some());
        named.min_by_key(|metadata| metadata.system)
    }

    /// The licence of a file, of which these are the first bytes.
    pub(crate) fn licence(&self, path: &str, bytes: &[u8]) -> Licence {
        // A licence's text speaks of licences, and is under none of its own.
        let header = match Kind::of(path) {
            Some(Kind::Text | Kind::Referred) => Header::Silent,
            _ => header::read(path, bytes),
        };
        let mut evidence = Vec::new();
        let mut said = BTreeSet::new();
        // Patterns that take too long to compare may name the file: then nothing is known.
        let Some(rule) = self.rule(path) else { return Licence::unknown() };
        let overridden = rule.as_ref().is_some_and(|(_, rule)| rule.overrides);
        let has_header = header != Header::Silent;
        if let (Header::Says(pieces), false) = (&header, overridden) {
            for (expression, line) in pieces {
                said.insert(expression.clone());
                evidence.push(Evidence::Header { expression: expression.clone(), line: *line });
            }
        }
        let mut nameless = header == Header::Unnamed && !overridden;
        if let Some((file, rule)) = rule.filter(|(_, rule)| !(rule.yields && has_header)) {
            match &rule.words.expression {
                Some(expression) => {
                    said.insert(expression.clone());
                    // Whoever reviewed the package read what has no name here.
                    nameless = false;
                }
                None => nameless |= said.is_empty(),
            }
            evidence.push(Evidence::Package {
                path: file.to_owned(),
                stated: rule.words.stated.clone(),
                expression: rule.words.expression.clone(),
            });
        }
        if nameless {
            return Licence { standing: Standing::Unknown, evidence };
        }
        if !said.is_empty() {
            return Licence { standing: standing(said), evidence };
        }
        self.of_folders(path)
    }

    /// The nearest rule for a path: of the nearest folder that has one, the last. None where that takes too long to find.
    fn rule(&self, path: &str) -> Option<Option<(&str, &by_path::Rule)>> {
        let mut steps = by_path::STEPS_MAX;
        for at in folders_of(path) {
            let Some(folder) = self.folders.get(at) else { continue };
            let beneath = path[at.len()..].trim_start_matches('/');
            for (file, by_path) in &folder.by_path {
                for rule in by_path.rules.iter().rev() {
                    if rule.matches(beneath, &mut steps)? {
                        return Some(Some((file.as_str(), rule)));
                    }
                }
            }
        }
        Some(None)
    }

    /// By the nearest licences' texts and the nearest metadata.
    fn of_folders(&self, path: &str) -> Licence {
        let folders =
            || folders_of(path).enumerate().filter_map(|(up, at)| Some((up, self.folders.get(at)?)));
        let texts = folders().find(|(_, folder)| {
            folder.has_unnamed || !folder.texts.is_empty() || !folder.referred.is_empty()
        });
        let stated = folders().find_map(|(up, folder)| {
            let pieces = folder.pieces(|| folders().filter(|(above, _)| *above > up).map(|(_, above)| above));
            (!pieces.is_empty()).then_some((up, pieces))
        });
        let (text_up, texts, has_unnamed) = match texts {
            Some((up, folder)) => (up, folder.nearest_texts(), folder.has_unnamed),
            None => (usize::MAX, [].as_slice(), false),
        };
        // Metadata of a folder around the licence's text speaks of more than this part.
        let pieces = match stated {
            Some((up, pieces)) if up <= text_up => pieces,
            _ => Vec::new(),
        };
        let mut evidence = Vec::new();
        for (file, recognised) in texts {
            for expression in &recognised.expressions {
                evidence.push(Evidence::File {
                    path: file.clone(),
                    expression: expression.clone(),
                    likeness: recognised.likeness,
                });
            }
        }
        for piece in &pieces {
            evidence.push(Evidence::Package {
                path: piece.path.to_owned(),
                stated: piece.stated.to_owned(),
                expression: piece.expression.map(str::to_owned),
            });
        }
        let of_texts: BTreeSet<String> =
            texts.iter().flat_map(|(_, recognised)| recognised.expressions.iter().cloned()).collect();
        let of_pieces: BTreeSet<String> =
            pieces.iter().filter_map(|piece| piece.expression.map(str::to_owned)).collect();
        let standing = match (of_texts.is_empty(), of_pieces.is_empty()) {
            (true, true) => Standing::Unknown,
            (true, false) if pieces.iter().any(|piece| piece.expression.is_none()) => Standing::Unknown,
            (true, false) => standing(of_pieces),
            // Another text beside them may hold for this file, and has no name.
            (false, true) if has_unnamed => Standing::Unknown,
            (false, true) => standing(of_texts),
            // What joins several texts, and which versions one text stands for, only metadata can say.
            (false, false) => match of_pieces.first() {
                Some(only) if of_pieces.len() == 1 && agrees(only, texts) => Standing::Stated(only.clone()),
                _ => standing(of_texts.into_iter().chain(of_pieces).collect()),
            },
        };
        Licence { standing, evidence }
    }
}

impl Folder {
    /// The folder's own texts; those that headers refer to only where it has none.
    fn nearest_texts(&self) -> &[(String, recognise::Recognised)] {
        match (self.texts.is_empty(), self.has_unnamed) {
            (false, _) => &self.texts,
            (true, true) => &[],
            (true, false) => &self.referred,
        }
    }

    /// What its metadata states of the licence.
    fn pieces<'a, Above: Iterator<Item = &'a Folder>>(&'a self, above: impl Fn() -> Above) -> Vec<Piece<'a>> {
        let mut pieces: Vec<Piece<'a>> = Vec::new();
        for (path, metadata) in &self.metadata {
            match &metadata.licence {
                Stated::Nothing => {}
                Stated::Words { stated, expression } => {
                    pieces.push(Piece { path, stated, expression: expression.as_deref() });
                }
                Stated::Above => pieces.extend(above().find_map(|folder| {
                    folder.metadata.iter().find_map(|(path, metadata)| match &metadata.licence {
                        Stated::Words { stated, expression } if metadata.system == System::Cargo => {
                            Some(Piece { path, stated, expression: expression.as_deref() })
                        }
                        _ => None,
                    })
                })),
            }
        }
        for (path, by_path) in &self.by_path {
            pieces.extend(by_path.overall.as_ref().map(|words| Piece {
                path,
                stated: &words.stated,
                expression: words.expression.as_deref(),
            }));
        }
        pieces
    }
}

/// Whether each text is of a licence that the expression names.
fn agrees(stated: &str, texts: &[(String, recognise::Recognised)]) -> bool {
    let named = expression::licences_of(stated);
    texts.iter().all(|(_, recognised)| {
        recognised.expressions.iter().any(|text| {
            named.iter().any(|name| {
                let base = name.split(" WITH ").next().unwrap_or_default();
                name == text || base == text || base.trim_end_matches('+') == text
            })
        })
    })
}

fn standing(said: BTreeSet<String>) -> Standing {
    let mut said: Vec<String> = said.into_iter().collect();
    match said.len() {
        0 => Standing::Unknown,
        1 => Standing::Stated(said.remove(0)),
        _ => Standing::Conflict(said),
    }
}

/// The folder that a statement speaks for.
fn governed(path: &str) -> &str {
    let mut folder = parent(path);
    loop {
        let name = folder.rsplit('/').next().unwrap_or_default();
        let is_inner = matches!(name, "LICENSES" | ".reuse")
            || (name == "debian" && path.ends_with("/copyright"))
            || (name == "debian" && path == "debian/copyright")
            || name.ends_with(".dist-info")
            || name.ends_with(".egg-info")
            || (name == "licenses" && parent(folder).ends_with(".dist-info"));
        if !is_inner || folder.is_empty() {
            return folder;
        }
        folder = parent(folder);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The folders of a file, the nearest first, the root (empty) last.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(path).filter(|path| !path.is_empty());
    std::iter::from_fn(move || {
        let folder = parent(next?);
        next = Some(folder).filter(|folder| !folder.is_empty());
        Some(folder)
    })
}

#[cfg(test)]
mod tests;
