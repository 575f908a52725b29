//! Names from outside: which paths a medium may have, and which files may lie under them.

use std::collections::BTreeSet;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Parts of a name at most.
pub const NAME_PARTS_MAX: usize = 16;

/// Why a text cannot be a file's name on a medium.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name `{}` is refused: {problem}", shown(.name))]
pub struct NameError {
    /// The name as it came; a stranger's text.
    pub name: String,
    /// What is wrong with it.
    pub problem: NameProblem,
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`].
    #[error("it is longer than {NAME_BYTES_MAX} bytes")]
    Long,
    /// More than [`NAME_PARTS_MAX`].
    #[error("it has more than {NAME_PARTS_MAX} parts")]
    Deep,
    /// It begins with `/`.
    #[error("it is absolute: names are relative to the medium")]
    Absolute,
    /// It has a part `..` or `.`, or an empty one.
    #[error("it has a part `{0}`: names go down only")]
    Part(String),
    /// It has a character that other systems or terminals take for something else.
    #[error("it has the character U+{:04X}, which has a meaning of its own to some system or terminal", u32::from(*.0))]
    Character(char),
    /// A part ends so that some systems drop the end.
    #[error("a part of it ends with a space or a dot, which some systems drop")]
    Ending,
    /// It is not text.
    #[error("it is not UTF-8")]
    Encoding,
    /// The same, or the same but for capitals, is there already.
    #[error("it is there twice, capitals not counted")]
    Twice,
    /// It is a file's name and a folder's.
    #[error("it is the name of a file and of a folder, capitals not counted")]
    FileAndFolder,
}

/// Checks one name: relative, `/` between parts, no part empty, `.` or `..`, no backslash or colon (drive
/// letters, streams), no control, direction or invisible character, at most [`NAME_BYTES_MAX`] bytes and
/// [`NAME_PARTS_MAX`] parts.
pub fn check(name: &str) -> Result<(), NameError> {
    problem(name).map_or(Ok(()), |problem| Err(NameError { name: name.to_owned(), problem }))
}

fn problem(name: &str) -> Option<NameProblem> {
    if name.is_empty() {
        return Some(NameProblem::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Some(NameProblem::Long);
    }
    if name.starts_with('/') {
        return Some(NameProblem::Absolute);
    }
    if let Some(character) = name.chars().find(|&c| is_refused(c)) {
        return Some(NameProblem::Character(character));
    }
    if name.split('/').count() > NAME_PARTS_MAX {
        return Some(NameProblem::Deep);
    }
    if let Some(part) = name.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        return Some(NameProblem::Part(part.to_owned()));
    }
    name.split('/').any(|part| part.ends_with([' ', '.'])).then_some(NameProblem::Ending)
}

/// Separators of other systems, and what a terminal or a reader would not show as it is.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\\' | ':'
                | '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fffd}'
        )
}

/// Names seen so far: each once, capitals not counted, and none a folder of another.
#[derive(Debug, Default)]
pub struct Names {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Names {
    /// Checks a name by itself and beside those before it.
    pub fn add(&mut self, name: &str) -> Result<(), NameError> {
        check(name)?;
        let refused = |problem| Err(NameError { name: name.to_owned(), problem });
        let folded = name.to_lowercase();
        let folders: Vec<String> = folded.match_indices('/').map(|(at, _)| folded[..at].to_owned()).collect();
        if self.files.contains(&folded) {
            return refused(NameProblem::Twice);
        }
        if self.folders.contains(&folded) || folders.iter().any(|folder| self.files.contains(folder)) {
            return refused(NameProblem::FileAndFolder);
        }
        self.folders.extend(folders);
        self.files.insert(folded);
        Ok(())
    }
}

/// A stranger's text, short and harmless on a terminal.
pub(crate) fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let mut out = String::new();
    for c in text.chars().take(CHARACTERS_MAX) {
        match c {
            '\\' => out.push('\\'),
            c if is_refused(c) && c != ':' => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_pass() {
        let mut names = Names::default();
        for name in ["model.gguf", "reports/q4 test.json", "Größe/日本.txt", ".gitattributes", "a/b/c", "a/c"]
        {
            names.add(name).unwrap();
        }
    }

    #[test]
    fn names_that_do_not() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let deep = "a/".repeat(NAME_PARTS_MAX) + "a";
        for (name, expected) in [
            ("", NameProblem::Empty),
            (&long, NameProblem::Long),
            (&deep, NameProblem::Deep),
            ("/etc/passwd", NameProblem::Absolute),
            ("../x", NameProblem::Part("..".into())),
            ("a/../x", NameProblem::Part("..".into())),
            ("a/./x", NameProblem::Part(".".into())),
            ("a//x", NameProblem::Part(String::new())),
            ("a/", NameProblem::Part(String::new())),
            ("a\\..\\x", NameProblem::Character('\\')),
            ("C:x", NameProblem::Character(':')),
            ("a\0", NameProblem::Character('\0')),
            ("a\u{1b}[2J", NameProblem::Character('\u{1b}')),
            ("a\u{202e}fugg.x", NameProblem::Character('\u{202e}')),
            ("a\u{200b}", NameProblem::Character('\u{200b}')),
            ("a ", NameProblem::Ending),
            ("a./b", NameProblem::Ending),
        ] {
            assert_eq!(check(name).unwrap_err().problem, expected, "{name:?}");
        }
    }

    #[test]
    fn names_beside_each_other() {
        let mut names = Names::default();
        names.add("a/B").unwrap();
        assert_eq!(names.add("A/b").unwrap_err().problem, NameProblem::Twice);
        assert_eq!(names.add("A").unwrap_err().problem, NameProblem::FileAndFolder);
        assert_eq!(names.add("a/b/c").unwrap_err().problem, NameProblem::FileAndFolder);
        names.add("a/c").unwrap();
    }

    #[test]
    fn what_is_shown_is_harmless() {
        assert_eq!(shown("a\u{1b}\u{202e}b"), "a\\u{1b}\\u{202e}b");
        assert_eq!(shown(&"x".repeat(81)).chars().count(), 81);
    }
}
