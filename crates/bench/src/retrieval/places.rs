//! Masked places: the rest of a line that needs a name which another file of the repository declares, and which
//! stands nowhere else in the file.
//!
//! So a completion cannot be right from the file alone, save by luck or by heart. Whether a person who has the
//! declaring file open could write the line is what the other conditions are for: everything else in the rest of the
//! line is known, too, no literal has to be guessed, and the name is asked for where it stands next. And a name that is
//! put together from words that stand around (`Name_End` after `"end"`) is not asked for: it is guessed, not known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use protocol::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use testkit::draw::Draw;

use super::corpora::{Repository, Split};
use super::declarations::{Declarations, declared};
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
/// Lines before and behind whose words make a name guessable.
const AROUND_LINES: usize = 3;
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

/// Lines of imports, over several lines, too.
fn imports(source: &Source, lines: &BTreeMap<usize, (usize, usize)>) -> BTreeSet<usize> {
    let beginnings: &[&str] = match source.language {
        Language::Ada => &["with", "use", "limited", "private"],
        Language::Vhdl => &["library", "use", "context"],
        Language::Rust => &["use", "extern"],
        Language::C => &[],
    };
    let mut found = BTreeSet::new();
    let mut within = false;
    for (&line, &(first, end)) in lines {
        let second = if source.folded(first) == "pub" { source.folded(first + 1) } else { String::new() };
        within |= [source.folded(first), second].iter().any(|word| beginnings.contains(&word.as_str()));
        if within {
            found.insert(line);
        }
        within &= !source.code[first..end].iter().any(|piece| source.text_of(*piece) == ";");
    }
    found
}

/// The words that a name is made of, in small letters: of `Is_UTF8` and `isUtf8` the same. One letter is no word.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut small = false;
    for letter in name.chars() {
        if letter == '_' || small && letter.is_uppercase() {
            parts.push(String::new());
        }
        small = letter.is_lowercase() || letter.is_ascii_digit();
        if let (Some(part), true) = (parts.last_mut(), letter != '_') {
            part.extend(letter.to_lowercase());
        }
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// A file, while its lines are looked at.
struct OfFile<'a> {
    repository: &'a Repository,
    declarations: &'a Declarations,
    source: &'a Source,
    seen: BTreeSet<usize>,
    /// How often each word stands in the text, comments included.
    counts: HashMap<String, usize>,
    /// The code of each line: indices of its first piece and behind its last.
    lines: BTreeMap<usize, (usize, usize)>,
    /// What the file itself declares for others.
    own: BTreeSet<String>,
    /// Lines of imports: what they name, no declaration tells.
    imports: BTreeSet<usize>,
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
        let own = declared(source).into_iter().map(|index| source.folded(index)).collect();
        let seen = declarations.seen_from(index);
        OfFile {
            repository,
            declarations,
            source,
            seen,
            counts,
            imports: imports(source, &lines),
            lines,
            own,
        }
    }

    /// A place on that line, from 0, where there is one.
    fn place(&self, line: usize, seed: u64) -> Option<Place> {
        let source = self.source;
        let &(first, end) = self.lines.get(&line)?;
        let code = &source.code[first..end];
        let whole = source.line(line);
        let reaches_on = code.last().is_some_and(|piece| source.line_at(piece.end) != line);
        let left_out = self.imports.contains(&line) || self.is_head(first) || self.is_choice(code);
        if code.len() < 2 || source.has_comment(line) || reaches_on || left_out {
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
        let around = self.parts_around(line, offset);
        let needed = (0..rest.len().min(PIECES_BEFORE_NAME_MAX + 1))
            .find_map(|index| Some((rest[index], self.needed(index, rest, &around)?)));
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
            name: source.text_of(name).to_owned(),
            definitions,
        })
    }

    /// Pragmas, attributes and the preprocessor: what they name, no declaration tells.
    fn is_head(&self, first: usize) -> bool {
        let heads: &[&str] = match self.source.language {
            Language::Ada => &["pragma", "package", "separate"],
            Language::Vhdl => &[],
            Language::Rust => &["mod", "#"],
            Language::C => &["#"],
        };
        heads.contains(&self.source.folded(first).as_str())
    }

    /// Alternatives of a case: which of them comes next, only what stands below could tell.
    fn is_choice(&self, code: &[Piece]) -> bool {
        let is = |piece: Option<&Piece>, text: &str| {
            piece.is_some_and(|piece| self.source.text_of(*piece) == text)
        };
        match self.source.language {
            Language::Ada | Language::Vhdl => {
                is(code.last(), "=>") || is(code.last(), "|") || is(code.first(), "|")
            }
            Language::Rust => is(code.get(code.len().saturating_sub(2)), "=>"),
            Language::C => is(code.first(), "case"),
        }
    }

    /// Whether a name is being given here: what the next thing is, no declaration tells.
    fn is_given(&self, piece: Piece, follows: Option<&str>) -> bool {
        let index = self.source.code.partition_point(|known| known.start < piece.start);
        let before = index.checked_sub(1).map(|before| self.source.folded(before)).unwrap_or_default();
        let words: &[&str] = match self.source.language {
            Language::Ada => &["procedure", "function", "entry", "body", "type", "subtype"],
            Language::Vhdl => &[
                "procedure",
                "function",
                "type",
                "subtype",
                "component",
                "entity",
                "architecture",
                "alias",
                "variable",
                "signal",
                "constant",
            ],
            Language::Rust => &["fn", "struct", "enum", "trait", "let", "mut", "const", "type"],
            Language::C => &["struct", "enum", "union"],
        };
        // A function of C begins at the margin, its type before its name or on the line above.
        let at_margin = || {
            let line = self.source.line(self.source.line_at(piece.start));
            line.starts_with(|first: char| !first.is_whitespace())
        };
        words.contains(&before.as_str())
            || self.source.language.folds_case() && follows == Some(":")
            || self.source.language == Language::C && follows == Some("(") && at_margin()
    }

    /// The words, of which names are made, on the lines around a cursor, without what is masked.
    fn parts_around(&self, line: usize, offset: usize) -> BTreeSet<String> {
        let source = self.source;
        let before = source.lines(line.saturating_sub(AROUND_LINES), line);
        let own = &source.line(line)[..source.line(line).len().min(offset - source.line_start(line))];
        let behind = source.lines(line + 1, line + 1 + AROUND_LINES);
        // Not folded: the case tells where a part begins.
        let texts = [before, own, behind].into_iter();
        texts.flat_map(|text| words(Language::C, text)).flat_map(|(_, word)| parts(&word)).collect()
    }

    /// Where the name is declared, when it is what the rest of the line is asked for.
    fn needed(&self, index: usize, rest: &[Piece], around: &BTreeSet<String>) -> Option<Vec<Definition>> {
        let name = self.name(rest[index])?;
        let is_of_library = self.source.language.is_of_library(&name);
        if name.len() < NAME_BYTES_MIN || is_of_library || self.is_elsewhere(&name, rest) {
            return None;
        }
        // Of another thing of the same name, the file itself knows best.
        let follows = rest.get(index + 1).map(|piece| self.source.text_of(*piece));
        if self.own.contains(&name) || self.is_given(rest[index], follows) {
            return None;
        }
        if parts(self.source.text_of(rest[index])).iter().all(|part| around.contains(part)) {
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
    use super::super::fixture::repository;
    use super::*;

    const SPECIFICATION: &str = "package Stores is\n   Capacity : constant Integer := 8;\n   procedure Insert_Sorted \
        (Item : Integer);\n   function Is_Exhausted return Boolean;\nend Stores;\n";
    const MAIN: &str = "with Stores;\nprocedure Main is\n   Total : Integer := 0;\nbegin\n   Stores.Insert_Sorted \
        (Total);\n   if Stores.Is_Exhausted then\n      Total := Stores.Capacity + 1;\n   end if;\n   Unknown_To_All \
        (Stores, \"some words\");\nend Main;\n";

    #[test]
    fn a_place_is_what_it_says() {
        let repository = repository("r", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        let mut names = BTreeSet::new();
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
    fn what_is_declared_there_and_which_case_comes_next_is_not_asked() {
        let main = "with Stores;\npackage body Main is\n   procedure Insert_Sorted is\n   begin\n      case Total is\n         \
            when Stores.Capacity =>\n            null;\n      end case;\n   end;\nend Main;\n";
        let repository = repository("r", &[("main.adb", main), ("stores.ads", SPECIFICATION)]);
        assert!((0..30).all(|seed| draw(&[&repository], seed, 5).is_empty()));
    }

    #[test]
    fn a_name_made_of_words_around_is_not_asked() {
        assert_eq!(parts("Is_UTF8"), ["is", "utf8"]);
        assert_eq!(parts("isUtf8"), ["is", "utf8"]);
        assert_eq!(parts("Decode1ToDecode2Type"), ["decode1", "to", "decode2", "type"]);
        let main = MAIN.replace("   if Stores", "   --  exhausted is what it is\n   if Stores");
        let repository = repository("r", &[("main.adb", &main), ("stores.ads", SPECIFICATION)]);
        let mut places = (0..30).flat_map(|seed| draw(&[&repository], seed, 5));
        assert!(places.all(|place| place.name != "Is_Exhausted"));
    }

    #[test]
    fn what_no_one_can_know_is_not_asked() {
        let repository = repository("r", &[("main.adb", MAIN), ("stores.ads", SPECIFICATION)]);
        let places = (0..30).flat_map(|seed| draw(&[&repository], seed, 5));
        assert!(places.into_iter().all(|place| !place.expected.contains("words")));
    }
}
