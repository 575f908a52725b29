//! Masked places: the rest of a line that needs a name which another file of the repository declares, and which
//! stands nowhere else in the file.
//!
//! So a completion cannot be right from the file alone, save by luck or by heart. Whether a person who has the
//! declaring file open could write the line is what the other conditions are for: everything else in the rest of the
//! line is known, too, no literal has to be guessed, and the name is asked for where it stands next.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use protocol::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use testkit::draw::Draw;

use super::corpora::{Repository, Split};
use super::declarations::Declarations;
use super::source::{Kind, Language, Piece, Source, words};

/// Places of one file.
const FILE_MAX: usize = 6;
/// Of the places of a language and a split, those of one repository.
const REPOSITORY_PER_CENT_MAX: usize = 40;
/// Of a line's pieces, those that may stand before the cursor.
const BEFORE_PER_CENT_MAX: usize = 60;
const REST_BYTES: std::ops::RangeInclusive<usize> = 8..=120;
const NAME_BYTES_MIN: usize = 4;
/// Pieces between the cursor and the name that is needed: `X :=`, `if not`, `Call (Object.`.
const PIECES_BEFORE_NAME_MAX: usize = 3;
/// Declarations of a name; more, and no one knows which is meant.
const DECLARATIONS_MAX: usize = 4;
/// Characters of a literal; a longer one is a text that someone thought of.
const LITERAL_BYTES_MAX: usize = 3;
/// Folders, by name, that are no one's work of today.
const FOLDERS_LEFT_OUT: &[&str] = &[
    "test",
    "tests",
    "testsuite",
    "testing",
    "testcurl",
    "testzzuf",
    "examples",
    "example",
    "demo",
    "demos",
    "fixtures",
    "benches",
    "doc",
    "docs",
    "tb",
    "sim",
    "sim-unisim",
    "simulation",
    "obsolete",
    "vendor",
    "third_party",
    "generated",
    "android",
    "w32",
];

/// A place, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// Of everything that makes it this place.
    pub(crate) id: String,
    pub(crate) corpus: String,
    pub(crate) language: Language,
    pub(crate) split: Split,
    /// The repository's folder.
    #[serde(skip)]
    pub(crate) root: PathBuf,
    /// Relative to the root, with `/`.
    pub(crate) file: String,
    /// The cursor: bytes of the file before it.
    pub(crate) offset: usize,
    /// From 1.
    pub(crate) line: usize,
    /// What stands from the cursor to the line's end.
    pub(crate) expected: String,
    /// The name that is needed, as it stands there.
    pub(crate) name: String,
    /// Where it is declared.
    pub(crate) definitions: Vec<Definition>,
}

/// A line, from 1, that declares a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Definition {
    pub(crate) file: String,
    pub(crate) line: usize,
}

impl Place {
    /// The file's text before the cursor, and behind what is masked.
    pub(crate) fn around<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        let behind = &text[self.offset..];
        (&text[..self.offset], &behind[behind.find('\n').unwrap_or(behind.len())..])
    }
}

/// At most `count` places of the repositories, which are of one language and one split. The same for the same seed,
/// and few are mostly the first of many.
pub(crate) fn draw(repositories: &[&Repository], seed: u64, count: usize) -> Vec<Place> {
    let most = (count * REPOSITORY_PER_CENT_MAX / 100).max(1);
    let mut left: Vec<_> = repositories
        .iter()
        .map(|repository| {
            of_repository(repository, seed).into_iter().take(most).collect::<Vec<_>>().into_iter()
        })
        .collect();
    let mut places = Vec::new();
    while places.len() < count {
        let before = places.len();
        for candidates in &mut left {
            places.extend(candidates.next().filter(|_| places.len() < count));
        }
        if places.len() == before {
            break;
        }
    }
    places
}

/// All places of a repository, in drawn order.
fn of_repository(repository: &Repository, seed: u64) -> Vec<Place> {
    let declarations = Declarations::of(&repository.files);
    let copies = copies(repository);
    let mut drawn: Vec<(String, Place)> = Vec::new();
    for (index, source) in repository.files.iter().enumerate() {
        if left_out(source) {
            continue;
        }
        let file = OfFile::new(repository, &declarations, index);
        let mut places: Vec<(String, Place)> = (0..tests_begin(source))
            .filter(|&line| copies.get(&around(source, line)).is_some_and(|&copies| copies == 1))
            .filter_map(|line| file.place(line, seed))
            .map(|place| (lot(seed, &[&place.corpus, &place.file, &place.line.to_string()]), place))
            .collect();
        places.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        // A name is asked for once in a file: otherwise the second would be no secret.
        let mut names = Vec::new();
        places.retain(|(_, place)| {
            let new = !names.contains(&place.name);
            names.push(place.name.clone());
            new
        });
        places.truncate(FILE_MAX);
        drawn.extend(places);
    }
    drawn.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    drawn.into_iter().map(|(_, place)| place).collect()
}

fn left_out(source: &Source) -> bool {
    let mut folders: Vec<&str> = source.name.split('/').collect();
    let name = folders.pop().unwrap_or_default().to_ascii_lowercase();
    let head: String = source.text.chars().take(2_000).collect::<String>().to_ascii_lowercase();
    folders.iter().any(|folder| FOLDERS_LEFT_OUT.contains(folder))
        || ["test_", "tb_"].iter().any(|beginning| name.starts_with(beginning))
        || ["_tb.", "_test.", "-test."].iter().any(|part| name.contains(part))
        || [
            "generated by",
            "automatically generated",
            "generated automatically",
            "do not edit",
            "do not modify",
        ]
        .iter()
        .any(|words| head.contains(words))
}

/// The line where a Rust file's tests begin; elsewhere its end.
fn tests_begin(source: &Source) -> usize {
    let lines = source.line_count();
    (0..lines).find(|&line| source.line(line).starts_with("#[cfg(test)]")).unwrap_or(lines)
}

/// A line between its neighbours, blanks made one.
fn around(source: &Source, line: usize) -> String {
    let lines = [line.wrapping_sub(1), line, line + 1]
        .map(|line| source.line(line).split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase());
    lines.join("\n")
}

/// How often three lines stand together in the repository: what was copied needs no declaration.
fn copies(repository: &Repository) -> HashMap<String, usize> {
    let mut copies = HashMap::new();
    for source in &repository.files {
        for line in 0..source.line_count() {
            *copies.entry(around(source, line)).or_default() += 1;
        }
    }
    copies
}

/// Lots that depend on nothing but these texts.
fn lot(seed: u64, texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    Digest(hash.finalize().into()).hex()
}

/// A file, while its lines are looked at.
struct OfFile<'a> {
    repository: &'a Repository,
    declarations: &'a Declarations,
    source: &'a Source,
    seen: std::collections::BTreeSet<usize>,
    /// How often each word stands in the text, comments included.
    counts: HashMap<String, usize>,
    /// The code of each line: indices of its first piece and behind its last.
    lines: BTreeMap<usize, (usize, usize)>,
}

impl<'a> OfFile<'a> {
    fn new(repository: &'a Repository, declarations: &'a Declarations, index: usize) -> OfFile<'a> {
        let source = &repository.files[index];
        let mut counts = HashMap::new();
        words(source.language, &source.text).for_each(|(_, word)| *counts.entry(word).or_default() += 1);
        let mut lines = BTreeMap::new();
        for (index, piece) in source.code.iter().enumerate() {
            let line = lines.entry(source.line_at(piece.start)).or_insert((index, index));
            line.1 = index + 1;
        }
        OfFile { repository, declarations, source, seen: declarations.seen_from(index), counts, lines }
    }

    /// A place on that line, from 0, where there is one.
    fn place(&self, line: usize, seed: u64) -> Option<Place> {
        let source = self.source;
        let &(first, end) = self.lines.get(&line)?;
        let code = &source.code[first..end];
        let whole = source.line(line);
        let reaches_on = code.last().is_some_and(|piece| source.line_at(piece.end) != line);
        if code.len() < 2 || source.has_comment(line) || reaches_on || self.is_head(first) {
            return None;
        }
        let number = lot(seed, &["cursor", &self.repository.corpus.name, &source.name, &line.to_string()]);
        let mut draw = Draw::new(u64::from_str_radix(number.get(..16)?, 16).ok()?);
        let most = code.len() * BEFORE_PER_CENT_MAX / 100;
        let before = usize::try_from(draw.below(most as u64 + 1)).unwrap_or(0);

        let rest = &code[before..];
        let offset = rest.first()?.start;
        let expected = &source.text[offset..rest.last()?.end];
        if !REST_BYTES.contains(&expected.len()) || !whole.trim_end().ends_with(expected) {
            return None;
        }
        let needed = rest
            .iter()
            .take(PIECES_BEFORE_NAME_MAX + 1)
            .find_map(|piece| Some((piece, self.needed(*piece, rest)?)));
        let (name, definitions) = needed?;
        if !rest.iter().all(|piece| self.is_known(*piece, rest)) {
            return None;
        }
        let corpus = &self.repository.corpus;
        let id = lot(0, &[&corpus.name, &source.name, &offset.to_string(), expected]);
        Some(Place {
            id: id.get(..16)?.to_owned(),
            corpus: corpus.name.clone(),
            language: source.language,
            split: corpus.split,
            root: corpus.root.clone(),
            file: source.name.clone(),
            offset,
            line: line + 1,
            expected: expected.to_owned(),
            name: source.text_of(*name).to_owned(),
            definitions,
        })
    }

    /// Imports, pragmas, attributes and the preprocessor: what they name, no declaration tells.
    fn is_head(&self, first: usize) -> bool {
        let word = self.source.folded(first);
        let second = self.source.folded(first + 1);
        match self.source.language {
            Language::Ada => {
                ["with", "use", "pragma", "limited", "private", "separate"].contains(&word.as_str())
                    || word == "package"
            }
            Language::Vhdl => ["library", "use", "context"].contains(&word.as_str()),
            Language::Rust => {
                ["use", "mod", "#", "extern"].contains(&word.as_str()) || word == "pub" && second == "use"
            }
            Language::C => word == "#",
        }
    }

    /// Where the name is declared, when it is what the rest of the line is asked for.
    fn needed(&self, piece: Piece, rest: &[Piece]) -> Option<Vec<Definition>> {
        let name = self.name(piece)?;
        if name.len() < NAME_BYTES_MIN || self.is_elsewhere(&name, rest) {
            return None;
        }
        let declared = self.declarations.named(&name);
        let seen = declared.iter().any(|declared| self.seen.contains(&declared.file));
        if declared.len() > DECLARATIONS_MAX || !seen {
            return None;
        }
        let definition = |file: usize, line: usize| Definition {
            file: self.repository.files[file].name.clone(),
            line: line + 1,
        };
        let seen = declared.iter().filter(|declared| self.seen.contains(&declared.file));
        Some(seen.map(|declared| definition(declared.file, declared.line)).collect())
    }

    /// Whether someone who sees this file and those that it sees could write this.
    fn is_known(&self, piece: Piece, rest: &[Piece]) -> bool {
        let text = self.source.text_of(piece);
        match piece.kind {
            Kind::Symbol => true,
            Kind::Number => text.len() <= LITERAL_BYTES_MAX,
            Kind::Text => text.len() <= LITERAL_BYTES_MAX + 2,
            Kind::Comment => false,
            Kind::Word => {
                let word = self.source.language.folded(text);
                self.source.language.is_keyword(&word)
                    || self.is_elsewhere(&word, rest)
                    || self
                        .declarations
                        .named(&word)
                        .iter()
                        .any(|declared| self.seen.contains(&declared.file))
            }
        }
    }

    /// A folded name that is no keyword.
    fn name(&self, piece: Piece) -> Option<String> {
        let name = self.source.language.folded(self.source.text_of(piece));
        (piece.kind == Kind::Word && !self.source.language.is_keyword(&name)).then_some(name)
    }

    /// Whether a folded word stands in the file outside the rest of this line.
    fn is_elsewhere(&self, word: &str, rest: &[Piece]) -> bool {
        let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return false };
        let masked = &self.source.text[first.start..last.end];
        let here = words(self.source.language, masked).filter(|(_, known)| known == word).count();
        self.counts.get(word).copied().unwrap_or(0) > here
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpora::Corpus;
    use super::*;

    fn repository(name: &str, files: &[(&str, &str)]) -> Repository {
        let corpus = Corpus {
            name: name.into(),
            language: Language::Ada,
            split: Split::Tuning,
            root: PathBuf::from("/nowhere"),
        };
        let files = files
            .iter()
            .map(|(name, text)| Source::new(Language::Ada, (*name).into(), (*text).into()))
            .collect();
        Repository { corpus, files }
    }

    const SPECIFICATION: &str = "package Stores is\n   Capacity : constant Integer := 8;\n   procedure Insert_Sorted \
        (Item : Integer);\n   function Is_Exhausted return Boolean;\nend Stores;\n";
    const MAIN: &str = "with Stores;\nprocedure Main is\n   Total : Integer := 0;\nbegin\n   Stores.Insert_Sorted \
        (Total);\n   if Stores.Is_Exhausted then\n      Total := Stores.Capacity + 1;\n   end if;\n   Unknown_To_All \
        (Stores, \"some words\");\nend Main;\n";

    #[test]
    fn a_place_is_what_it_says() {
        let repository = repository("r", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        let mut names = std::collections::BTreeSet::new();
        for seed in 0..30 {
            for place in draw(&[&repository], seed, 5) {
                let text = repository.file(&place.file).unwrap().text.as_str();
                let (before, behind) = place.around(text);
                assert_eq!(format!("{before}{}{behind}", place.expected), text);
                assert!(place.expected.contains(&place.name) && REST_BYTES.contains(&place.expected.len()));
                assert!(!before.contains(&place.name) && !behind.contains(&place.name));
                for definition in &place.definitions {
                    let source = repository.file(&definition.file).unwrap();
                    assert!(definition.file != place.file);
                    assert!(source.line(definition.line - 1).contains(&place.name));
                }
                names.insert(place.name);
            }
        }
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Capacity", "Insert_Sorted", "Is_Exhausted"]);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let repository = repository("r", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        assert_eq!(draw(&[&repository], 7, 9), draw(&[&repository], 7, 9));
    }

    #[test]
    fn one_repository_gives_at_most_its_part() {
        let one = repository("one", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        let other = repository("other", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        let places = draw(&[&one, &other], 3, 2);
        assert!(places.iter().filter(|place| place.corpus == "one").count() <= 1);
    }

    #[test]
    fn generated_files_and_tests_are_left_out() {
        let generated = format!("--  This file was generated by a tool.\n{MAIN}");
        for (name, text) in [("main.adb", generated.as_str()), ("tests/main.adb", MAIN)] {
            let repository = repository("r", &[(name, text), ("stores.ads", SPECIFICATION)]);
            assert!((0..9).all(|seed| draw(&[&repository], seed, 5).is_empty()), "{name}");
        }
    }

    #[test]
    fn what_no_one_can_know_is_not_asked() {
        let repository = repository("r", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        let places = (0..30).flat_map(|seed| draw(&[&repository], seed, 5));
        assert!(places.into_iter().all(|place| !place.expected.contains("words")));
    }
}
