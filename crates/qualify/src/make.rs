//! A suite of a site's own code: bodies of subprograms and processes are taken out, and are what a model is to write.
//!
//! A task is kept when its own text passes and an empty answer does not. What passes is said by the site's build and run,
//! where they are given, and else by the language's checker: then a task asks for code that is legal where it stands, and
//! no more. The code is taken as it is, so the suite is as confidential as the code.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use languages::{Definition, Language, Parsed, SymbolKind, parse};
use sha2::{Digest as _, Sha256};

use crate::{
    judge::{Place, Verdict},
    suite::{Form, General, LINE_BYTES_MAX, Task, TaskFile},
};

/// Files of a folder that are looked at.
pub const FILES_MAX: usize = 20_000;
/// The longest file that is taken, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 << 10;
/// Files beside that with the hole.
const TASK_FILES_MAX: usize = 256;
/// Their texts in bytes.
const TASK_BYTES_MAX: usize = 2 << 20;
/// Lines that a hole has.
const HOLE_LINES: Range<usize> = 2..60;
/// Tasks that are tried for each that is wanted.
const TRIES: usize = 20;
/// How deep folders are read.
const DEPTH_MAX: usize = 32;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Bodies in this language.
    pub language: Language,
    /// So many tasks at most.
    pub count: usize,
    /// Chooses among the bodies.
    pub seed: u64,
    /// [`General::build`]; with it each task has all files of the folder, and else those that its file builds on.
    pub build: Vec<String>,
    /// [`General::run`].
    pub run: Option<Vec<String>>,
    /// [`General::expect_stdout`].
    pub expect_stdout: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// As many as wanted, or fewer.
    pub tasks: Vec<General>,
    /// Bodies that there were to choose from.
    pub bodies: usize,
    /// Why others were left out, with how many: what their own text came to, or that nothing at all passes, too.
    pub left_out: Vec<(String, usize)>,
}

impl Made {
    /// The suite's file.
    pub fn to_json_lines(&self) -> Result<String, MakeError> {
        let lines = self.tasks.iter().map(|task| Ok(serde_json::to_string(task)? + "\n"));
        lines.collect::<Result<String, _>>().map_err(|source| MakeError::Json { source })
    }
}

/// Makes a suite of the files in a folder. Hidden files and links are passed over, and so is what is not UTF-8 or too long.
/// The same folder, wish and compilers make the same suite.
pub fn make_suite(place: &Place, folder: &Path, wanted: &Wanted) -> Result<Made, MakeError> {
    let files = read_folder(folder)?;
    let of_language: Vec<(&String, &String, Parsed)> = files
        .iter()
        .filter(|(name, text)| Language::detect(name, text) == Some(wanted.language))
        .map(|(name, text)| (name, text, parse(wanted.language, text)))
        .collect();
    let mut bodies = Vec::new();
    for (number, (name, text, parsed)) in of_language.iter().enumerate() {
        for hole in parsed.definitions.iter().filter_map(|definition| hole(wanted.language, text, definition))
        {
            let rank: [u8; 32] = Sha256::new()
                .chain_update(wanted.seed.to_le_bytes())
                .chain_update(name.as_bytes())
                .chain_update(hole.start.to_le_bytes())
                .finalize()
                .into();
            bodies.push((rank, number, hole));
        }
    }
    bodies.sort_unstable_by_key(|(rank, ..)| *rank);
    let mut made = Made { bodies: bodies.len(), ..Made::default() };
    let mut left_out: HashMap<String, usize> = HashMap::new();
    // Whether a file's own text passes does not depend on the hole.
    let mut passes: HashMap<usize, Verdict> = HashMap::new();
    for (_, number, hole) in bodies.into_iter().take(wanted.count.saturating_mul(TRIES)) {
        if made.tasks.len() >= wanted.count {
            break;
        }
        let (name, text, _) = &of_language[number];
        let mut leave = |why: String| *left_out.entry(why).or_default() += 1;
        let beside = if wanted.build.is_empty() {
            builds_on(&of_language, number)
        } else {
            files.iter().filter(|(other, _)| other != *name).map(|(name, text)| (name, text)).collect()
        };
        let bytes: usize = beside.iter().map(|(_, text)| text.len()).sum();
        if beside.len() > TASK_FILES_MAX || bytes > TASK_BYTES_MAX {
            leave(format!("{} files with {bytes} bytes beside it are too many", beside.len()));
            continue;
        }
        let line = text[..hole.start].matches('\n').count() + 1;
        let general = General {
            id: format!("{name}:{line}"),
            language: wanted.language.name().to_owned(),
            file_name: (*name).clone(),
            prefix: text[..hole.start].to_owned(),
            suffix: text[hole.end..].to_owned(),
            files: beside
                .into_iter()
                .map(|(name, text)| TaskFile { name: name.clone(), text: text.clone() })
                .collect(),
            build: wanted.build.clone(),
            run: wanted.run.clone(),
            expect_stdout: wanted.expect_stdout.clone(),
        };
        // Escapes make a line longer; what is too long would not be read again.
        if serde_json::to_string(&general).map_or(usize::MAX, |line| line.len()) > LINE_BYTES_MAX {
            leave("its line is too long".to_owned());
            continue;
        }
        let task = Task::general(general.clone()).map_err(|what| MakeError::Task { what })?;
        let judge = |answer: &str| place.judge(&task, Form::Completion, answer);
        match passes.entry(number).or_insert_with(|| judge(&text[hole])) {
            Verdict::Passed => {}
            Verdict::NotJudged { reason } => return Err(MakeError::NotJudged { reason: reason.clone() }),
            _ => {
                leave("its own text does not pass".to_owned());
                continue;
            }
        }
        if judge("") == Verdict::Passed {
            leave("an empty answer passes".to_owned());
            continue;
        }
        made.tasks.push(general);
    }
    made.left_out = left_out.into_iter().collect();
    made.left_out.sort();
    Ok(made)
}

/// The files whose units a file names, and those that these name.
fn builds_on<'a>(all: &[(&'a String, &'a String, Parsed)], number: usize) -> Vec<(&'a String, &'a String)> {
    let mut wanted = vec![number];
    let mut at = 0;
    while let Some(current) = wanted.get(at).copied() {
        at += 1;
        let parsed = &all[current].2;
        for (other, (name, _, declared)) in all.iter().enumerate() {
            let file = name.rsplit('/').next().unwrap_or(name);
            let named = parsed.imports.iter().any(|import| {
                let last = import.rsplit(['.', ':']).next().unwrap_or(import);
                declared.units.iter().any(|unit| unit == import || unit == last)
                    || import.rsplit('/').next() == Some(file)
            });
            // A body needs its own specification, and a child its parent.
            let own = parsed.units.iter().any(|unit| {
                declared.units.iter().any(|other| {
                    other == unit
                        || unit.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('.'))
                })
            });
            if (named || own) && !wanted.contains(&other) && wanted.len() <= TASK_FILES_MAX {
                wanted.push(other);
            }
        }
    }
    // The first is the file itself.
    let mut others: Vec<(&String, &String)> =
        wanted.into_iter().skip(1).map(|number| (all[number].0, all[number].1)).collect();
    others.sort_unstable();
    others
}

/// What is taken out of a body: all between its head and its end.
fn hole(language: Language, text: &str, definition: &Definition) -> Option<Range<usize>> {
    if !definition.is_body
        && !matches!(language, Language::C | Language::Cpp | Language::Rust | Language::Python)
    {
        return None;
    }
    if !matches!(definition.kind, SymbolKind::Subprogram | SymbolKind::Process) {
        return None;
    }
    let body = text.get(definition.bytes.clone())?;
    let head = behind_signature(body, &definition.signature)?;
    let (from, to) = match language {
        Language::Ada | Language::Vhdl => {
            let end = words(body).filter(|word| body[word.clone()].eq_ignore_ascii_case("end")).last()?.start;
            let is = words(body)
                .find(|word| word.start >= head && body[word.clone()].eq_ignore_ascii_case("is"))
                .map(|word| word.end);
            match definition.kind {
                SymbolKind::Process => (head, end),
                _ => (is?, end),
            }
        }
        Language::C | Language::Cpp | Language::Rust => {
            (head + body[head..].find('{')? + 1, body.rfind('}')?)
        }
        // Its signature ends with the colon.
        Language::Python => (head, body.len()),
        _ => return None,
    };
    // Whole lines, where what is around stands on lines of its own.
    let from = match body.get(from..to)?.find('\n') {
        Some(line) if body[from..from + line].trim().is_empty() => from + line + 1,
        _ => from,
    };
    let to = match body.get(from..to)?.rfind('\n') {
        Some(line) if body[from + line..to].trim().is_empty() => from + line + 1,
        _ => to,
    };
    let lines = body[from..to].lines().filter(|line| !line.trim().is_empty()).count();
    HOLE_LINES.contains(&lines).then(|| definition.bytes.start + from..definition.bytes.start + to)
}

/// Where a signature ends in the text that it was taken from, whose blanks may be others.
fn behind_signature(body: &str, signature: &str) -> Option<usize> {
    let mut characters = body.char_indices().filter(|(_, character)| !character.is_whitespace());
    let mut end = 0;
    for expected in signature.chars().filter(|character| !character.is_whitespace()) {
        let (at, character) = characters.next()?;
        if character != expected {
            return None;
        }
        end = at + character.len_utf8();
    }
    Some(end)
}

/// Runs of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let start = at + text[at..].find(is_part)?;
        let end =
            text[start..].find(|character| !is_part(character)).map_or(text.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}

/// Paths below a folder, in their order, and texts.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, MakeError> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((path, name, depth)) = folders.pop() {
        let during = |source| MakeError::Read { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(during)? {
            let entry = entry.map_err(during)?;
            let Ok(own) = entry.file_name().into_string() else { continue };
            if own.starts_with('.') {
                continue;
            }
            let below = if name.is_empty() { own } else { format!("{name}/{own}") };
            let kind = entry.file_type().map_err(during)?;
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), below, depth + 1));
            } else if kind.is_file() {
                let mut bytes = Vec::new();
                let file = File::open(entry.path()).map_err(during)?;
                file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(during)?;
                if bytes.len() as u64 <= FILE_BYTES_MAX
                    && let Ok(text) = String::from_utf8(bytes)
                {
                    files.push((below, text));
                }
                if files.len() > FILES_MAX {
                    return Err(MakeError::TooMany { path: folder.to_owned() });
                }
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Why no suite is made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A folder or a file in it.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// More than [`FILES_MAX`].
    #[error("{} holds more than {FILES_MAX} files", path.display())]
    TooMany {
        /// Which folder.
        path: PathBuf,
    },
    /// A task that would not be read again.
    #[error("a task cannot be made: {what}")]
    Task {
        /// What is wrong.
        what: String,
    },
    /// A toolchain is missing.
    #[error("nothing can be judged here: {reason}")]
    NotJudged {
        /// Why.
        reason: String,
    },
    /// A task has no text of JSON.
    #[error("a task cannot be written down")]
    Json {
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, text: &str, expected: &[&str]) {
        let parsed = parse(language, text);
        let holes: Vec<&str> = parsed
            .definitions
            .iter()
            .filter_map(|definition| hole(language, text, definition))
            .map(|hole| &text[hole])
            .collect();
        assert_eq!(holes, expected, "{:?}", parsed.definitions);
    }

    #[test]
    fn holes_are_what_stands_between_head_and_end() {
        check(
            Language::Ada,
            "package body P is\n   function F (N : Integer;\n               M : Integer) return Integer\n   is\n      X : Integer;\n   begin\n      \
             X := N;\n      return X;\n   end F;\n   procedure Short is begin null; end Short;\nend P;\n",
            &["      X : Integer;\n   begin\n      X := N;\n      return X;\n"],
        );
        check(
            Language::Vhdl,
            "architecture rtl of e is\n  signal s : bit;\nbegin\n  p : process (clk)\n    variable v : bit;\n  begin\n    v := a;\n    s <= v;\n  \
             end process;\nend architecture;\n",
            &["    variable v : bit;\n  begin\n    v := a;\n    s <= v;\n"],
        );
        check(Language::C, "int f(int n)\n{\n    n++;\n    return n;\n}\n", &["    n++;\n    return n;\n"]);
        check(
            Language::Python,
            "def f(n: int) -> int:\n    m = n\n    return m\n\nx = 1\n",
            &["    m = n\n    return m"],
        );
    }
}
