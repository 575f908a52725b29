//! What a model is asked for an action, and what of its answer is code.

use super::actions::Action;
use crate::fences::fence;

/// Bytes of the document on each side of what an action is about.
const AROUND_BYTES_MAX: usize = 4 << 10;

/// What an action is about.
pub(super) struct Subject<'a> {
    pub(super) path: &'a str,
    pub(super) language: &'a str,
    pub(super) before: &'a str,
    pub(super) lines: &'a str,
    pub(super) behind: &'a str,
    /// What a compiler says, of `fix`.
    pub(super) diagnostic: Option<&'a str>,
}

/// The message to the chat model.
pub(super) fn message(action: Action, subject: &Subject<'_>) -> String {
    let Subject { path, language, before, lines, behind, diagnostic } = subject;
    let before = &before[before.ceil_char_boundary(before.len().saturating_sub(AROUND_BYTES_MAX))..];
    let behind = &behind[..behind.floor_char_boundary(behind.len().min(AROUND_BYTES_MAX))];
    let is_ada = matches!(*language, "ada" | "spark");
    let wish = match action {
        Action::Explain => "Explain this code briefly: what it does, what it needs, what can go wrong.".to_owned(),
        Action::WriteContract if is_ada => {
            "Add a SPARK contract to this declaration: the aspects Global, Pre and Post where they can be stated. \
             Give the whole declaration again with its contract, in one block of code, and nothing else of the file."
                .to_owned()
        }
        Action::WriteContract => {
            "State what this code requires and ensures as assertions or contract annotations of its language. Give \
             these lines again with them, in one block of code, and nothing else of the file."
                .to_owned()
        }
        Action::WriteTest => {
            "Write a test of this code, a whole file of its own, in one block of code.".to_owned()
        }
        Action::Document => {
            "Add a documentation comment in the usual form of the language. Give these lines again with it, in one \
             block of code, and nothing else of the file."
                .to_owned()
        }
        Action::Fix | Action::GenerateBody => format!(
            "The compiler says: {}\nCorrect these lines. Give them again, corrected, in one block of code, and nothing \
             else of the file.",
            diagnostic.unwrap_or("nothing")
        ),
    };
    let whole = [before, lines, behind].concat();
    let (outer, inner) = (fence(&whole), fence(lines));
    format!(
        "The file {path}:\n{outer}{language}\n{whole}\n{outer}\n\nThese lines of it:\n{inner}{language}\n{lines}\n{inner}\n\n{wish}"
    )
}

/// The first block of code of an answer; the whole answer where there is none. Without the line's end at its end.
pub(super) fn code(answer: &str) -> &str {
    let Some(open) = answer.find("```") else { return answer.trim_end() };
    let ticks = answer[open..].len() - answer[open..].trim_start_matches('`').len();
    let Some(line_end) = answer[open..].find('\n') else { return "" };
    let body = &answer[open + line_end + 1..];
    let close = format!("\n{}", &answer[open..open + ticks]);
    // An answer that was cut off has no end of it.
    let end = if body.starts_with(&close[1..]) { 0 } else { body.find(&close).unwrap_or(body.len()) };
    body[..end].trim_end()
}

/// A text indented as far as the one that it replaces, at least.
pub(super) fn indented_as(original: &str, text: &str) -> String {
    let blanks = |text: &str| {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        line[..line.len() - line.trim_start().len()].to_owned()
    };
    let (wanted, have) = (blanks(original), blanks(text));
    let Some(missing) = wanted.strip_suffix(have.as_str()).filter(|missing| !missing.is_empty()) else {
        return text.to_owned();
    };
    let lines =
        text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{missing}{line}") });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_answers() {
        for (answer, expected) in [
            ("Here:\n```ada\nX := 1;\n```\nDone.", "X := 1;"),
            ("````\na\n```\nb\n````\n", "a\n```\nb"),
            ("```c\nint x;", "int x;"),
            ("X := 1;\n", "X := 1;"),
            ("```\n```\n", ""),
            ("```", ""),
        ] {
            assert_eq!(code(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn indentation_is_kept() {
        assert_eq!(indented_as("   X;\n", "Y;\n\n  Z;"), "   Y;\n\n     Z;");
        assert_eq!(indented_as("   X;", "   Y;"), "   Y;");
        assert_eq!(indented_as("X;", "   Y;"), "   Y;");
    }

    #[test]
    fn what_the_compiler_says_is_told() {
        let subject = Subject {
            path: "a.adb",
            language: "ada",
            before: "before\n",
            lines: "X := ;",
            behind: "\nbehind",
            diagnostic: Some("missing operand"),
        };
        let message = message(Action::Fix, &subject);
        assert!(
            message.contains("missing operand") && message.contains("before\nX := ;\nbehind"),
            "{message}"
        );
    }
}
