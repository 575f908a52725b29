//! Code between fences: as a model is shown it, and as it answers with it.

use std::path::Path;

/// A fence of code that nothing in the text ends.
pub(crate) fn fence(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    "`".repeat((longest + 1).max(3))
}

/// A file as the model sees it: its name, and its text between fences longer than any in it.
pub(crate) fn fenced(path: &Path, text: &str) -> String {
    let fence = fence(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    format!("File {}:\n{fence}{}\n{text}\n{fence}\n\n", path.display(), language(path))
}

/// The fence's word for a file's language, or nothing.
pub(crate) fn language(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension {
        "ads" | "adb" | "ada" => "ada",
        "vhd" | "vhdl" => "vhdl",
        "c" | "h" => "c",
        "cc" | "cpp" | "cxx" | "hh" | "hpp" => "cpp",
        "rs" => "rust",
        "py" => "python",
        "sh" => "sh",
        "toml" => "toml",
        "json" => "json",
        _ => "",
    }
}

/// Why an answer's one block of code cannot be told.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BlockError {
    #[error("the answer has no block of code")]
    None,
    #[error("the answer has more than one block of code, and which of them is meant cannot be told")]
    Several,
    #[error("the answer's block of code does not end")]
    Open,
    #[error("the answer's block of code is empty")]
    Empty,
}

/// The text of the one block of code that an answer has, each line with its end. Words around it are allowed; a second
/// block, or one that does not end, is not. A block ends at a line of as many backquotes as began it, or more.
pub(crate) fn only_block(answer: &str) -> Result<String, BlockError> {
    let mut found: Option<String> = None;
    let mut lines = answer.lines();
    while let Some(line) = lines.next() {
        let Some(ticks) = opens(line) else { continue };
        let mut block = String::new();
        loop {
            let line = lines.next().ok_or(BlockError::Open)?;
            if opens(line).is_some_and(|more| more >= ticks && line.trim().len() == more) {
                break;
            }
            block.push_str(line);
            block.push('\n');
        }
        if found.replace(block).is_some() {
            return Err(BlockError::Several);
        }
    }
    match found {
        None => Err(BlockError::None),
        Some(block) if block.trim().is_empty() => Err(BlockError::Empty),
        Some(block) => Ok(block),
    }
}

/// The number of backquotes of a fence, at most three blanks to its left.
fn opens(line: &str) -> Option<usize> {
    let text = line.trim_start_matches(' ');
    let ticks = text.len() - text.trim_start_matches('`').len();
    (ticks >= 3 && line.len() - text.len() <= 3 && !text[ticks..].contains('`')).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cannot_close_its_fence() {
        assert_eq!(fenced(Path::new("a.adb"), "null;\n"), "File a.adb:\n```ada\nnull;\n```\n\n");
        assert_eq!(fenced(Path::new("a.md"), "```\nx\n```"), "File a.md:\n````\n```\nx\n```\n````\n\n");
        assert_eq!(fence("x"), "```");
        assert_eq!(fence("a ``` b ```` c"), "`````");
    }

    #[test]
    fn one_block_and_no_doubt() {
        for (answer, expected) in [
            ("```ada\nX := 1;\n```", Ok("X := 1;\n")),
            ("Here it is:\n\n```\n  a\n\n b\n```\nDone.", Ok("  a\n\n b\n")),
            ("````\n```\nx\n```\n````\n", Ok("```\nx\n```\n")),
            ("```\nx ``` y\n```", Ok("x ``` y\n")),
            ("```c\r\nint x;\r\n```\r\n", Ok("int x;\n")),
            ("X := 1;", Err(BlockError::None)),
            ("```inline```", Err(BlockError::None)),
            ("```\nX := 1;", Err(BlockError::Open)),
            ("```\na\n```\n```\nb\n```", Err(BlockError::Several)),
            ("```\n\n```", Err(BlockError::Empty)),
        ] {
            assert_eq!(only_block(answer), expected.map(str::to_owned), "{answer:?}");
        }
    }
}
