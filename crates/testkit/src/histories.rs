//! Scripted histories of git repositories, in which it is known of every line where it came from.
//!
//! Texts are those of real files. An answer of an assistant is a piece of one file that stands in no other; what persons
//! write are pieces of others. Each history does what people and forges do with a change, by git's own commands, and says
//! at its end, for each line of the head, what it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::draw::Draw;

/// Lines of a piece, at least and at most.
const PIECE_LINES: (u64, u64) = (6, 30);
/// Letters of a file's name by which it is a variant of another.
const NAME_LETTERS: usize = 5;
/// Bytes of a file that pieces are taken from.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What happens to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Accepted, and committed.
    Accept,
    /// Some of each hundred lines edited since.
    Edit(u64),
    /// Indented otherwise.
    Reformat,
    /// The file renamed.
    Rename,
    /// The lines moved to another file.
    Move,
    /// Rebased on a base that went on.
    Rebase,
    /// Several commits squashed to one.
    Squash,
    /// Picked to another branch.
    CherryPick,
    /// Reverted, and reverted again.
    Revert,
    /// Merged as a forge does.
    Merge,
    /// Amended.
    Amend,
}

impl Kind {
    /// All that there are.
    pub const ALL: [Kind; 14] = [
        Kind::Accept,
        Kind::Edit(10),
        Kind::Edit(20),
        Kind::Edit(40),
        Kind::Edit(60),
        Kind::Reformat,
        Kind::Rename,
        Kind::Move,
        Kind::Rebase,
        Kind::Squash,
        Kind::CherryPick,
        Kind::Revert,
        Kind::Merge,
        Kind::Amend,
    ];

    /// For tables.
    pub fn name(self) -> String {
        match self {
            Kind::Edit(percent) => format!("edit {percent} %"),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// Where a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A person.
    Human,
    /// An answer, as it was.
    Verbatim,
    /// An answer, with other white space.
    Reformatted,
    /// An answer, edited.
    Edited,
}

/// An answer that is to be on record.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// The file that it was for.
    pub path: String,
    /// Whether it was taken over, or only shown.
    pub accepted: bool,
}

/// A history as it ended.
pub struct History {
    /// What happened.
    pub kind: Kind,
    /// The repository.
    pub directory: PathBuf,
    /// What the change goes to.
    pub base: String,
    /// Answers, also such as nobody used.
    pub answers: Vec<Answer>,
    /// Of each file of the head, each line's origin.
    pub truth: BTreeMap<String, Vec<Origin>>,
}

/// Real texts.
pub struct Texts(Vec<Vec<String>>);

impl Texts {
    /// The files of folders whose names end so, as far as they are UTF-8 and of a size.
    pub fn read(folders: &[&Path], ending: &str) -> io::Result<Texts> {
        let mut paths = Vec::new();
        for folder in folders {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_file() && path.to_string_lossy().ends_with(ending) {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        // Of variants, which have the beginning of their names in common, one: they hold the same lines.
        let beginning = |path: &PathBuf| -> String {
            path.file_name().unwrap_or_default().to_string_lossy().chars().take(NAME_LETTERS).collect()
        };
        paths.dedup_by_key(|path| beginning(path));
        let mut texts = Vec::new();
        for path in paths {
            if fs::metadata(&path)?.len() > FILE_BYTES_MAX {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            // What stands at the beginning is a licence.
            let lines: Vec<String> = text
                .lines()
                .skip_while(|line| line.is_empty() || line.starts_with(['-', '/']))
                .map(str::to_owned)
                .collect();
            if lines.len() as u64 > PIECE_LINES.1 * 2 {
                texts.push(lines);
            }
        }
        Ok(Texts(texts))
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// A piece of the file of that number.
    fn piece(&self, file: usize, draw: &mut Draw) -> Vec<String> {
        let lines = &self.0[file % self.0.len()];
        let count = PIECE_LINES.0 + draw.below(PIECE_LINES.1 - PIECE_LINES.0);
        let start = draw.below(lines.len() as u64 - count);
        let range = usize::try_from(start).unwrap_or(0)..usize::try_from(start + count).unwrap_or(1);
        lines[range].to_vec()
    }
}

type Lines = Vec<(String, Origin)>;

/// A repository that is worked on.
struct Work {
    directory: PathBuf,
    files: BTreeMap<String, Lines>,
}

impl Work {
    fn git(&self, arguments: &[&str]) -> io::Result<()> {
        let ran = Command::new("git")
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_EDITOR", "true")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "ada")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "ada@site.example")))
            .stdin(Stdio::null())
            .output()?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        Err(io::Error::other(format!("git {}: {said}", arguments.join(" "))))
    }

    fn write(&self) -> io::Result<()> {
        for (path, lines) in &self.files {
            let path = self.directory.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
            let text: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
            File::create(path)?.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn commit(&self, message: &str) -> io::Result<()> {
        self.write()?;
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-q", "--allow-empty", "-m", message])
    }

    /// Puts lines into a file.
    fn insert(&mut self, path: &str, lines: Lines, draw: &mut Draw) {
        let file = self.files.entry(path.to_owned()).or_default();
        let at = usize::try_from(draw.below(file.len() as u64 + 1)).unwrap_or(0);
        file.splice(at..at, lines);
    }
}

fn of(lines: &[String], origin: Origin) -> Lines {
    lines.iter().map(|line| (line.clone(), origin)).collect()
}

/// Makes a history in an empty folder.
pub fn make(kind: Kind, directory: &Path, texts: &Texts, draw: &mut Draw) -> io::Result<History> {
    let mut work = Work { directory: directory.to_owned(), files: BTreeMap::new() };
    fs::create_dir_all(directory)?;
    work.git(&["init", "-q", "-b", "main"])?;
    // Each text of a history is of another file.
    let first = usize::try_from(draw.below(texts.count() as u64)).unwrap_or(0);
    let mut next = first;
    let mut piece = |draw: &mut Draw| {
        // Neighbours are variants of each other: a person's piece of one would be an answer's of the other.
        next += 97;
        texts.piece(next, draw)
    };
    for name in ["src/one.adb", "src/two.adb", "lib/three.adb"] {
        let lines = of(&piece(draw), Origin::Human);
        work.insert(name, lines, draw);
    }
    work.commit("the beginning")?;
    work.git(&["checkout", "-q", "-b", "feature"])?;

    let mut answers = Vec::new();
    for number in 0..6 {
        // Of these, only the first two are used: others are shown, or accepted elsewhere.
        let text: String = piece(draw).iter().map(|line| format!("{line}\n")).collect();
        let path = if number < 2 { "src/one.adb" } else { "src/elsewhere.adb" };
        answers.push(Answer { text, path: path.to_owned(), accepted: number != 2 });
    }
    let lines_of = |answer: &Answer| -> Vec<String> { answer.text.lines().map(str::to_owned).collect() };
    work.insert("src/one.adb", of(&lines_of(&answers[0]), Origin::Verbatim), draw);
    work.commit("the first answer")?;
    let own = of(&piece(draw), Origin::Human);
    work.insert("src/two.adb", own, draw);
    work.insert("src/new.adb", of(&lines_of(&answers[1]), Origin::Verbatim), draw);
    work.commit("the second answer, and a person's own")?;

    let mut base = "main".to_owned();
    match kind {
        Kind::Accept => {}
        Kind::Edit(percent) => {
            edit(&mut work, percent, draw);
            work.commit("edited")?;
        }
        Kind::Reformat => {
            for (line, origin) in work.files.values_mut().flatten() {
                if *origin == Origin::Verbatim && !line.trim().is_empty() {
                    *line = format!("\t{}", line.replace("  ", " "));
                    *origin = Origin::Reformatted;
                }
            }
            work.commit("indented otherwise")?;
        }
        Kind::Rename => {
            work.git(&["mv", "src/new.adb", "lib/renamed.adb"])?;
            let lines = work.files.remove("src/new.adb").unwrap_or_default();
            work.files.insert("lib/renamed.adb".to_owned(), lines);
            work.commit("renamed")?;
        }
        Kind::Move => {
            let file = work.files.entry("src/one.adb".to_owned()).or_default();
            let moved: Lines = file.extract_if(.., |(_, origin)| *origin == Origin::Verbatim).collect();
            work.insert("lib/three.adb", moved, draw);
            work.commit("moved")?;
        }
        Kind::Rebase | Kind::Merge => {
            let feature = std::mem::take(&mut work.files);
            work.git(&["checkout", "-q", "main"])?;
            work.files.insert("doc/other.adb".to_owned(), of(&piece(draw), Origin::Human));
            work.commit("the base goes on")?;
            let other = std::mem::replace(&mut work.files, feature);
            if kind == Kind::Rebase {
                work.git(&["checkout", "-q", "feature"])?;
                work.git(&["rebase", "-q", "main"])?;
            } else {
                work.git(&["tag", "before"])?;
                work.git(&["merge", "-q", "--no-ff", "-m", "Merge request 1", "feature"])?;
                "before".clone_into(&mut base);
            }
            work.files.extend(other);
        }
        Kind::Squash => {
            work.git(&["checkout", "-q", "-b", "squashed", "main"])?;
            work.git(&["merge", "-q", "--squash", "feature"])?;
            work.git(&["commit", "-q", "-m", "all in one"])?;
        }
        Kind::CherryPick => {
            work.git(&["checkout", "-q", "-b", "picked", "main"])?;
            work.git(&["cherry-pick", "feature~1", "feature"])?;
        }
        Kind::Revert => {
            work.git(&["revert", "--no-edit", "HEAD"])?;
            work.git(&["revert", "--no-edit", "HEAD"])?;
        }
        Kind::Amend => {
            let more = of(&piece(draw), Origin::Human);
            work.insert("src/new.adb", more, draw);
            work.write()?;
            work.git(&["commit", "-q", "-a", "--amend", "-m", "amended"])?;
        }
    }
    let truth = work.files.into_iter();
    let truth =
        truth.map(|(path, lines)| (path, lines.into_iter().map(|(_, origin)| origin).collect())).collect();
    Ok(History { kind, directory: directory.to_owned(), base, answers, truth })
}

/// Edits so many of each hundred lines of answers: a name or a number of most, some go, and some of a person's own come.
fn edit(work: &mut Work, percent: u64, draw: &mut Draw) {
    for lines in work.files.values_mut() {
        let mut edited = Lines::new();
        for (line, origin) in lines.drain(..) {
            if origin != Origin::Verbatim || draw.below(100) >= percent {
                edited.push((line, origin));
                continue;
            }
            match draw.below(10) {
                0 => {}
                1 => {
                    edited.push((line, origin));
                    let number = draw.below(1 << 20);
                    edited.push((
                        format!("   Own_{number} (Of_Mine => {});", draw.below(1 << 20)),
                        Origin::Human,
                    ));
                }
                _ => {
                    let changed = renamed(&line, draw);
                    let origin = if changed == line { origin } else { Origin::Edited };
                    edited.push((changed, origin));
                }
            }
        }
        *lines = edited;
    }
}

/// A line with one of its words replaced.
fn renamed(line: &str, draw: &mut Draw) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts: Vec<usize> = line
        .char_indices()
        .filter(|(at, c)| is_word(*c) && !line[..*at].chars().next_back().is_some_and(is_word))
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return line.to_owned();
    }
    let start = *draw.one_of(&starts);
    let length = line[start..].find(|c| !is_word(c)).unwrap_or(line.len() - start);
    format!("{}Renamed_{}{}", &line[..start], draw.below(1 << 16), &line[start + length..])
}

/// How a grading of histories did, line by line. Lines of at most three words and marks, or of one
/// word, are left out: they are common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Lines of answers that are as they were, and how many of them were graded as the assistant's.
    pub verbatim: (u64, u64),
    /// Of these, those that were graded verbatim.
    pub as_verbatim: u64,
    /// Others of these that are too short to be told when they stand alone, and are shown as common.
    pub common: u64,
    /// Edited or indented ones, and how many were graded as the assistant's.
    pub changed: (u64, u64),
    /// Lines of persons.
    pub human: u64,
    /// Of them, those graded verbatim, and those graded as the assistant's in any way.
    pub false_verbatim: u64,
    /// The second.
    pub false_ai: u64,
}

impl Score {
    /// Adds a history, by the table that `cloister review --json` printed. Answers the lines that were graded wrongly.
    pub fn add(&mut self, history: &History, table: &serde_json::Value) -> io::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (path, origins) in &history.truth {
            let text = fs::read_to_string(history.directory.join(path))?;
            let ranges = table["ranges"].as_array().into_iter().flatten();
            let mut grades: BTreeMap<u64, &str> = BTreeMap::new();
            for range in ranges.filter(|range| range["path"] == path.as_str()) {
                let number = |name: &str| range[name].as_u64().unwrap_or(0);
                let grade = range["grade"].as_str().unwrap_or("");
                grades.extend((number("first")..=number("last")).map(|line| (line, grade)));
            }
            for (number, (line, origin)) in (1..).zip(text.lines().zip(origins)) {
                let Some(grade) = grades.get(&number) else { continue };
                if says_something(line) && !self.line(*origin, grade) {
                    wrong.push(format!("{path}:{number}: {origin:?} graded {grade}: {line}"));
                }
            }
        }
        Ok(wrong)
    }

    /// Whether the grade is right.
    fn line(&mut self, origin: Origin, grade: &str) -> bool {
        let is_ai = ["ai-verbatim", "ai-modified", "matches-ai"].contains(&grade);
        match origin {
            Origin::Human => {
                self.human += 1;
                self.false_verbatim += u64::from(grade == "ai-verbatim");
                self.false_ai += u64::from(is_ai);
            }
            // A short line that was cut off from its answer's others: alone it says too little.
            Origin::Verbatim if grade == "common" => {
                self.common += 1;
                return true;
            }
            Origin::Verbatim => {
                self.verbatim.0 += 1;
                self.verbatim.1 += u64::from(is_ai);
                self.as_verbatim += u64::from(grade == "ai-verbatim");
            }
            Origin::Reformatted | Origin::Edited => {
                self.changed.0 += 1;
                self.changed.1 += u64::from(is_ai);
            }
        }
        is_ai == (origin != Origin::Human)
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Score) {
        for (mine, theirs) in [(&mut self.verbatim, other.verbatim), (&mut self.changed, other.changed)] {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
        self.as_verbatim += other.as_verbatim;
        self.common += other.common;
        self.human += other.human;
        self.false_verbatim += other.false_verbatim;
        self.false_ai += other.false_ai;
    }

    /// Of lines that were graded as the assistant's, those that are, in tenths of a percent.
    pub fn precision(&self) -> u64 {
        let right = self.verbatim.1 + self.changed.1;
        (right * 1000).checked_div(right + self.false_ai).unwrap_or(1000)
    }

    /// Of the changed lines of answers, those that were found, in tenths of a percent.
    pub fn recall_of_changed(&self) -> u64 {
        (self.changed.1 * 1000).checked_div(self.changed.0).unwrap_or(1000)
    }
}

/// Whether a line says something by itself: more than three words and marks, and more than one word.
fn says_something(line: &str) -> bool {
    let (mut lexemes, mut words, mut in_word) = (0, 0, false);
    for c in line.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        lexemes += usize::from(!(c.is_whitespace() || is_word && in_word));
        words += usize::from(is_word && !in_word);
        in_word = is_word;
    }
    lexemes > 3 && words > 1
}
