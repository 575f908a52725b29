//! What a chat template is made of, and what of it no template needs. It is read here, never rendered.
//!
//! Cloister renders a template with marks in the place of what messages say (`assist::template`), so here a
//! condition on a message's words is never met. It is told nonetheless: other programs render the same template.

mod expression;
mod lexer;

use std::collections::{BTreeMap, BTreeSet};

use protocol::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use similar::{ChangeTag, TextDiff};

use self::expression::Taint;
use self::lexer::{Piece, Token};
use super::anomalies::{Anomalies, Code, Severity};
use super::plain::{first_invisible, plain, shortened};

/// Longer literal text than templates have, unless it is a prompt of its own.
const LITERAL_CHARACTERS_MAX: usize = 400;
/// Literal text of so many words reads like a prompt.
const PROMPT_WORDS: usize = 8;
const BLOCKS_NESTED_MAX: usize = 8;
const LOOPS_NESTED_MAX: usize = 4;
/// Larger numbers than indexes and lengths in a template are.
const NUMBER_MAX: u64 = 65_536;
const EXCERPT_CHARACTERS: usize = 60;
/// Lines of a difference that are told; a template of a megabyte has no readable difference.
const DIFF_LINES_MAX: usize = 4096;

/// A chat template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatTemplate {
    /// `default`, or what the metadata key calls it.
    pub name: String,
    /// SHA-256 of its text, as a deployment's lock has it.
    pub sha256: Digest,
    /// Its text as it is in the file: not fit for terminals.
    pub text: String,
    /// What it is made of.
    pub constructs: Constructs,
}

/// What a template is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Constructs {
    /// Statements by name, with how often they stand there.
    pub statements: BTreeMap<String, u64>,
    /// Filters.
    pub filters: BTreeMap<String, u64>,
    /// Tests, the names behind `is`.
    pub tests: BTreeMap<String, u64>,
    /// Functions and macros that are called.
    pub functions: BTreeMap<String, u64>,
    /// Methods that are called.
    pub methods: BTreeMap<String, u64>,
    /// Blocks in one another.
    pub blocks_nested: usize,
    /// Loops in one another.
    pub loops_nested: usize,
    /// Whether macros call one another in a circle, or a loop itself.
    pub recursion: bool,
    /// Characters of literal text that it can put into a prompt.
    pub literal_characters: usize,
    /// The longest literal text in one piece, in characters.
    pub literal_longest_characters: usize,
}

/// A line of a difference between two templates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    /// Whether it is in both.
    pub change: Change,
    /// From 1, in the old one.
    pub old: Option<usize>,
    /// From 1, in the new one.
    pub new: Option<usize>,
    /// The line, fit for terminals.
    pub text: String,
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// In both.
    Same,
    /// In the old one only.
    Removed,
    /// In the new one only.
    Added,
}

/// The lines in which two templates differ, each with three of those around it. Empty for equal ones.
pub fn template_diff(old: &str, new: &str) -> Vec<DiffLine> {
    let mut config = TextDiff::configure();
    // Both texts are strangers': what takes longer than that is told as replaced, line for line.
    config.timeout(std::time::Duration::from_secs(2));
    let diff = config.diff_lines(old, new);
    let groups = diff.grouped_ops(3);
    let changes = groups.iter().flatten().flat_map(|op| diff.iter_changes(op));
    let lines = changes.map(|change| DiffLine {
        change: match change.tag() {
            ChangeTag::Equal => Change::Same,
            ChangeTag::Delete => Change::Removed,
            ChangeTag::Insert => Change::Added,
        },
        old: change.old_index().map(|line| line + 1),
        new: change.new_index().map(|line| line + 1),
        // A line end that differs shows, the one that every line has does not.
        text: plain(change.value().strip_suffix('\n').unwrap_or(change.value())),
    });
    lines.take(DIFF_LINES_MAX).collect()
}

/// Looks at a template; what is unusual goes to `anomalies`.
pub(super) fn look(name: &str, text: &str, anomalies: &mut Anomalies) -> ChatTemplate {
    let mut look = Look {
        template: if name == "default" { "the chat template".to_owned() } else { format!("template {name}") },
        constructs: Constructs::default(),
        anomalies,
        open: Vec::new(),
        run: Run::default(),
        taint: Taint::new(),
        calls: BTreeMap::new(),
    };
    look.whole(text);
    let constructs = look.constructs;
    let sha256 = Digest(Sha256::digest(text).into());
    ChatTemplate { name: name.to_owned(), sha256, text: text.to_owned(), constructs }
}

struct Look<'a> {
    /// What it is called in words.
    template: String,
    constructs: Constructs,
    anomalies: &'a mut Anomalies,
    /// Statements that wait for their end; macros with their name.
    open: Vec<(&'static str, String)>,
    run: Run,
    taint: Taint,
    /// Names that each macro calls.
    calls: BTreeMap<String, BTreeSet<String>>,
}

/// Literal text that comes out in one piece: a long text is not short for being cut into strings.
#[derive(Default)]
struct Run {
    text: String,
    line: usize,
}

/// Statements with an end, and the name of that end.
const BLOCKS: &[(&str, &str)] = &[
    ("if", "endif"),
    ("for", "endfor"),
    ("macro", "endmacro"),
    ("call", "endcall"),
    ("filter", "endfilter"),
    ("set", "endset"),
    ("with", "endwith"),
    ("block", "endblock"),
    ("autoescape", "endautoescape"),
    // The publishers' mark of what a model is trained to say.
    ("generation", "endgeneration"),
];

/// Names with which a template reaches for the interpreter, as far as one has them.
const INTERNALS: &[&str] = &[
    "attr",
    "compile",
    "cycler",
    "dir",
    "eval",
    "exec",
    "getattr",
    "globals",
    "import_module",
    "joiner",
    "lipsum",
    "locals",
    "open",
    "popen",
    "self",
    "setattr",
    "system",
    "vars",
];

/// Filters and functions that a renderer of chat templates has.
const KNOWN: &[&str] = &[
    "abs",
    "batch",
    "bool",
    "capitalize",
    "caller",
    "count",
    "default",
    "d",
    "dict",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "from_json",
    "fromjson",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "loop",
    "lower",
    "lstrip",
    "map",
    "max",
    "min",
    "namespace",
    "pprint",
    "raise_exception",
    "range",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "rstrip",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "strftime_now",
    "string",
    "strip",
    "sum",
    "super",
    "title",
    "to_json",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
    "zip",
];

impl Look<'_> {
    fn warn(&mut self, code: Code, words: &str) {
        self.anomalies.warn(code, format!("{} {words}", self.template));
    }

    fn note(&mut self, code: Code, words: &str) {
        self.anomalies.note(code, format!("{} {words}", self.template));
    }

    fn whole(&mut self, text: &str) {
        if let Some(c) = first_invisible(text) {
            let words = format!("holds U+{:04X}, which cannot be seen", u32::from(c));
            self.warn(Code::InvisibleCharacters, &words);
        }
        let mut pieces = lexer::pieces(text);
        for piece in pieces.by_ref() {
            match piece {
                Piece::Text { text, line } => self.literal(&text, line),
                Piece::Comment => {}
                Piece::Output { tokens, line } => self.output(&tokens, line),
                Piece::Statement { tokens, line } => self.statement(&tokens, line),
            }
        }
        self.flush();
        let broken = pieces.broken().map(|(line, why)| format!("has {why} on line {line}"));
        let open = self.open.last().map(|(block, _)| format!("ends within `{block}`"));
        if let Some(words) = broken.or(open) {
            self.warn(Code::TemplateSyntax, &words);
        }
        self.circles();
        let Constructs { blocks_nested, loops_nested, .. } = self.constructs;
        if blocks_nested > BLOCKS_NESTED_MAX || loops_nested > LOOPS_NESTED_MAX {
            let words = format!("has {blocks_nested} blocks and {loops_nested} loops in one another");
            self.warn(Code::TemplateNesting, &words);
        }
    }

    fn output(&mut self, tokens: &[Token], line: usize) {
        self.expression(tokens, line);
        // Strings that are put together are one text; anything else ends it.
        for token in tokens {
            match token {
                Token::Text(text) => self.literal(text, line),
                Token::Op(op) if op == "+" || op == "~" || op == "(" || op == ")" => {}
                _ => self.flush(),
            }
        }
    }

    fn statement(&mut self, tokens: &[Token], line: usize) {
        let Some(Token::Name(keyword)) = tokens.first() else {
            self.warn(Code::TemplateSyntax, &format!("has a statement without a name on line {line}"));
            return;
        };
        self.flush();
        let rest = &tokens[1..];
        *self.constructs.statements.entry(plain(keyword)).or_default() += 1;
        if BLOCKS.iter().any(|(_, end)| end == keyword) {
            let ends = self.open.last().is_some_and(|(open, _)| BLOCKS.contains(&(*open, keyword)));
            if ends {
                self.open.pop();
            } else {
                self.warn(Code::TemplateSyntax, &format!("has `{keyword}` on line {line} without its begin"));
            }
            return;
        }
        match keyword.as_str() {
            "include" | "import" | "from" | "extends" => {
                let words = format!("loads another template with `{keyword}` on line {line}");
                self.warn(Code::TemplateLoad, &words);
            }
            "call" => {
                self.warn(Code::TemplateCallBlock, &format!("has a call block on line {line}"));
                self.expression(rest, line);
            }
            "for" => {
                let names = rest.iter().take_while(|token| !token.is_name("in")).filter_map(Token::name);
                let names: Vec<&str> = names.collect();
                let expression =
                    rest.iter().position(|token| token.is_name("in")).map_or(rest, |at| &rest[at + 1..]);
                self.taint.assign(&names, expression);
                self.expression(expression, line);
            }
            "set" => {
                if let Some(at) = rest.iter().position(|token| token.is_op("=")) {
                    let (names, expression) = (&rest[..at], &rest[at + 1..]);
                    let names: Vec<&str> = names.iter().filter_map(Token::name).collect();
                    self.doubling(&names, expression, line);
                    self.taint.assign(&names, expression);
                    self.expression(expression, line);
                    self.strings(expression, line);
                    return;
                }
                self.expression(rest, line);
            }
            "macro" => {}
            "if" | "elif" | "else" | "with" | "filter" | "do" | "block" | "autoescape" | "break"
            | "continue" | "generation" => self.expression(rest, line),
            // What it holds is text to the lexer already.
            "raw" | "endraw" => return,
            _ => {
                let words = format!("has the unknown statement `{}` on line {line}", shortened(keyword, 32));
                self.warn(Code::TemplateSyntax, &words);
            }
        }
        self.strings(rest, line);
        let Some((block, _)) = BLOCKS.iter().find(|(block, _)| block == keyword) else { return };
        let name = rest.first().and_then(Token::name).unwrap_or_default();
        self.open.push((block, name.to_owned()));
        let loops = self.open.iter().filter(|(block, _)| *block == "for").count();
        self.constructs.blocks_nested = self.constructs.blocks_nested.max(self.open.len());
        self.constructs.loops_nested = self.constructs.loops_nested.max(loops);
        if *block == "for" && rest.iter().any(|token| token.is_name("recursive")) {
            self.constructs.recursion = true;
            self.note(Code::TemplateRecursion, &format!("has a recursive loop on line {line}"));
        }
    }

    /// Strings of a statement may come out later, or be compared: each is looked at on its own.
    fn strings(&mut self, tokens: &[Token], line: usize) {
        for token in tokens {
            if let Token::Text(text) = token {
                self.literal(text, line);
            } else if !(token.is_op("+") || token.is_op("~")) {
                self.flush();
            }
        }
        self.flush();
    }

    fn literal(&mut self, text: &str, line: usize) {
        if self.run.text.is_empty() {
            self.run.line = line;
        }
        self.run.text.push_str(text);
    }

    /// The end of a literal text.
    fn flush(&mut self) {
        let Run { text, line } = std::mem::take(&mut self.run);
        let seen = text.trim();
        let characters = seen.chars().count();
        if characters == 0 {
            return;
        }
        self.constructs.literal_characters += characters;
        self.constructs.literal_longest_characters =
            self.constructs.literal_longest_characters.max(characters);
        let excerpt = shortened(seen, EXCERPT_CHARACTERS);
        let template = &self.template;
        if characters > LITERAL_CHARACTERS_MAX {
            let words =
                format!("{template} has a literal text of {characters} characters on line {line}: {excerpt}");
            self.anomalies.add(Code::TemplateLongText, Severity::Warning, words, Some(seen.to_owned()));
        } else if seen.split_whitespace().filter(|word| word.chars().all(is_of_prose)).count() >= PROMPT_WORDS
        {
            let words = format!("{template} has a text of its own on line {line}: {excerpt}");
            self.anomalies.add(Code::TemplateText, Severity::Note, words, Some(seen.to_owned()));
        }
        let lower = seen.to_ascii_lowercase();
        if ["http://", "https://", "ftp://", "www."].iter().any(|begin| lower.contains(begin)) {
            let words = format!("names a web address on line {line}: {excerpt}");
            self.warn(Code::TemplateUrl, &words);
        }
        // Those that stand in the file as such were seen at the beginning; these were spelled with escapes.
        if let Some(c) = first_invisible(seen) {
            let words = format!("has U+{:04X}, which cannot be seen, in a text on line {line}", u32::from(c));
            self.warn(Code::InvisibleCharacters, &words);
        }
    }

    fn expression(&mut self, tokens: &[Token], line: usize) {
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| tokens.get(at));
            let is_before = |op: &str| before.is_some_and(|token| token.is_op(op));
            let called = tokens.get(at + 1).is_some_and(|token| token.is_op("("));
            match token {
                Token::Name(name) => {
                    let behind_is = before.is_some_and(|token| token.is_name("is"))
                        || before.is_some_and(|token| token.is_name("not"))
                            && at >= 2
                            && tokens[at - 2].is_name("is");
                    let names = if is_before("|") {
                        &mut self.constructs.filters
                    } else if is_before(".") && called {
                        &mut self.constructs.methods
                    } else if behind_is && name != "not" {
                        &mut self.constructs.tests
                    } else if called && !is_keyword(name) {
                        &mut self.constructs.functions
                    } else {
                        self.name(name, is_before("."), false, line);
                        continue;
                    };
                    *names.entry(plain(name)).or_default() += 1;
                    if !behind_is {
                        self.name(name, is_before("."), true, line);
                    }
                    if is_before("|") || called && !is_before(".") && !behind_is {
                        self.called(name, line);
                    }
                }
                Token::Text(text) if text.starts_with("__") => {
                    let words = format!("names `{}` on line {line}", shortened(text, 32));
                    self.warn(Code::TemplateInternals, &words);
                }
                Token::Number(number) if *number > NUMBER_MAX => {
                    self.warn(Code::TemplateHeavy, &format!("counts to {number} on line {line}"));
                }
                Token::Op(op) if op == "**" => {
                    self.warn(Code::TemplateHeavy, &format!("raises to a power on line {line}"));
                }
                _ => {}
            }
        }
        self.conditions(tokens, line);
    }

    /// A name that is looked up.
    fn name(&mut self, name: &str, attribute: bool, called: bool, line: usize) {
        // `open`, `system` and the like are words that a template may use for what it passes on.
        let internal = INTERNALS.contains(&name)
            && (called || !attribute && matches!(name, "self" | "cycler" | "lipsum" | "joiner"));
        if name.starts_with("__") || internal {
            let words = format!("reaches for `{}` on line {line}", shortened(name, 32));
            self.warn(Code::TemplateInternals, &words);
        }
    }

    /// A filter, function or macro that is called.
    fn called(&mut self, name: &str, line: usize) {
        if let Some((_, within)) = self.open.iter().rev().find(|(block, _)| *block == "macro") {
            self.calls.entry(within.clone()).or_default().insert(name.to_owned());
        }
        let of_its_own = self.constructs.statements.contains_key("macro");
        if !KNOWN.contains(&name) && !INTERNALS.contains(&name) && !of_its_own {
            let words =
                format!("calls `{}` on line {line}, which Cloister does not have", shortened(name, 32));
            self.note(Code::TemplateUnknownName, &words);
        }
        if name == "strftime_now" {
            self.note(Code::TemplateClock, &format!("puts the date to use on line {line}"));
        }
    }

    fn conditions(&mut self, tokens: &[Token], line: usize) {
        for finding in self.taint.conditions(tokens) {
            match finding {
                expression::Finding::Content { literal, markup } => {
                    let of = literal.map_or_else(String::new, |text| {
                        format!(": `{}`", shortened(&text, EXCERPT_CHARACTERS))
                    });
                    let words = format!("asks what a message says on line {line}{of}");
                    if markup {
                        self.note(Code::TemplateContentCondition, &words);
                    } else {
                        self.warn(Code::TemplateContentCondition, &words);
                    }
                }
                expression::Finding::Time => {
                    self.warn(Code::TemplateTimeCondition, &format!("decides by the date on line {line}"));
                }
            }
        }
    }

    /// `x = x + x` in a loop makes a text of any length.
    fn doubling(&mut self, names: &[&str], expression: &[Token], line: usize) {
        let in_loop = self.open.iter().any(|(block, _)| *block == "for" || *block == "macro");
        let Some(name) = names.last().filter(|_| in_loop) else { return };
        if expression.iter().filter(|token| token.is_name(name)).count() > 1
            && expression.iter().any(|token| token.is_op("+") || token.is_op("~"))
        {
            let words = format!("doubles `{}` in a loop on line {line}", shortened(name, 32));
            self.warn(Code::TemplateHeavy, &words);
        }
    }

    fn circles(&mut self) {
        let circle = self.calls.keys().find(|&begin| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&String> = self.calls[begin].iter().collect();
            while let Some(name) = next.pop() {
                if seen.insert(name) {
                    next.extend(self.calls.get(name).into_iter().flatten());
                }
            }
            seen.contains(begin)
        });
        if let Some(name) = circle.cloned() {
            self.constructs.recursion = true;
            self.note(Code::TemplateRecursion, &format!("has macro `{}` call itself", shortened(&name, 32)));
        }
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "in" | "is" | "if" | "else")
}

fn is_of_prose(c: char) -> bool {
    c.is_alphabetic() || ",.;:!?'\"’-()".contains(c)
}

#[cfg(test)]
mod tests;
