//! Which conditions of a template hang on what a message says, or on the date.

use std::collections::BTreeSet;

use super::lexer::Token;

/// A condition that no template needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// On what a message says: compared with which literal, and whether that is markup of the model's own format.
    Content { literal: Option<String>, markup: bool },
    /// On the date.
    Time,
}

/// Names that hold what messages say, or the date.
pub(super) struct Taint {
    content: BTreeSet<String>,
    time: BTreeSet<String>,
}

/// Methods and tests that look into a text.
const LOOKING: &[&str] = &[
    "startswith",
    "endswith",
    "find",
    "rfind",
    "index",
    "count",
    "contains",
    "containing",
    "startingwith",
    "endingwith",
    "eq",
    "equalto",
    "sameas",
    "match",
    "search",
];
const COMPARING: &[&str] = &["==", "!=", "<", ">", "<=", ">="];
/// Sorts of parts of a message, which templates of models that see pictures ask for.
const PARTS: &[&str] = &[
    "audio",
    "audio_url",
    "file",
    "image",
    "image_url",
    "input_audio",
    "input_image",
    "refusal",
    "text",
    "thinking",
    "tool_call",
    "tool_result",
    "tool_use",
    "video",
    "video_url",
];

impl Taint {
    pub(super) fn new() -> Taint {
        Taint { content: ["content".to_owned()].into(), time: ["strftime_now".to_owned()].into() }
    }

    /// `names` get the value of `expression`.
    pub(super) fn assign(&mut self, names: &[&str], expression: &[Token]) {
        let (content, time) = (refers(&self.content, expression), refers(&self.time, expression));
        // Of `ns.x` the last is what is set.
        for name in names {
            if content && !matches!(*name, "message" | "messages" | "loop") {
                self.content.insert((*name).to_owned());
            }
            if time {
                self.time.insert((*name).to_owned());
            }
        }
    }

    /// What an expression asks.
    pub(super) fn conditions(&self, tokens: &[Token]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for atom in atoms(tokens) {
            let compares = atom.iter().any(|token| match token {
                Token::Op(op) => COMPARING.contains(&op.as_str()),
                Token::Name(name) => name == "in" || LOOKING.contains(&name.as_str()),
                _ => false,
            });
            if compares && refers(&self.time, &atom) {
                findings.push(Finding::Time);
            }
            if compares && refers(&self.content, &atom) {
                findings.extend(self.content_compared(&atom));
            }
        }
        if self.content_chooses(tokens) {
            findings.push(Finding::Content { literal: None, markup: false });
        }
        findings
    }

    /// The literals that what a message says is compared with; the first that is not harmless.
    fn content_compared(&self, atom: &[Token]) -> Option<Finding> {
        let mut markup = None;
        for (at, token) in atom.iter().enumerate() {
            let Token::Text(text) = token else { continue };
            let key =
                at > 0 && atom[at - 1].is_op("[") && atom.get(at + 1).is_some_and(|next| next.is_op("]"));
            // `message['content'] in ['x']` has a list of one, which looks like a key: it follows a word.
            let key = key && at > 1 && !matches!(&atom[at - 2], Token::Name(name) if name == "in");
            let text_trimmed = text.trim();
            if key || text_trimmed.is_empty() || PARTS.contains(&text_trimmed) || self.content.contains(text)
            {
                continue;
            }
            if is_markup(text_trimmed) {
                markup = Some(text.clone());
                continue;
            }
            return Some(Finding::Content { literal: Some(text.clone()), markup: false });
        }
        markup.map(|text| Finding::Content { literal: Some(text), markup: true })
    }

    /// Whether what a message says is a key into something: `{'x': 'y'}[message.content]`.
    fn content_chooses(&self, tokens: &[Token]) -> bool {
        tokens.iter().enumerate().any(|(at, token)| {
            let subscript = token.is_op("[") && at > 0 && ends_value(&tokens[at - 1]);
            subscript && {
                let inner = until_closed(&tokens[at + 1..]);
                !matches!(inner, [Token::Text(_)]) && refers(&self.content, inner)
            }
        })
    }
}

fn refers(names: &BTreeSet<String>, tokens: &[Token]) -> bool {
    tokens.iter().enumerate().any(|(at, token)| match token {
        Token::Name(name) => names.contains(name),
        Token::Text(text) => {
            let key =
                at > 0 && tokens[at - 1].is_op("[") && tokens.get(at + 1).is_some_and(|next| next.is_op("]"));
            let got = at > 1 && tokens[at - 1].is_op("(") && tokens[at - 2].is_name("get");
            (key || got) && names.contains(text)
        }
        _ => false,
    })
}

fn ends_value(token: &Token) -> bool {
    match token {
        Token::Name(name) => !super::is_keyword(name),
        Token::Op(op) => matches!(op.as_str(), "]" | ")" | "}"),
        _ => false,
    }
}

/// Tokens up to the bracket that closes the one before them.
fn until_closed(tokens: &[Token]) -> &[Token] {
    let mut depth = 0u32;
    for (at, token) in tokens.iter().enumerate() {
        if token.is_op("[") {
            depth += 1;
        } else if token.is_op("]") {
            let Some(outer) = depth.checked_sub(1) else { return &tokens[..at] };
            depth = outer;
        }
    }
    tokens
}

/// The parts of an expression between `and`, `or`, `not`, `if`, `else` and the parentheses that group.
fn atoms(tokens: &[Token]) -> Vec<Vec<Token>> {
    let mut atoms = Vec::new();
    let mut atom: Vec<Token> = Vec::new();
    let mut calls: Vec<bool> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let ends = match token {
            // `not in` is one word.
            Token::Name(name) if name == "not" => !tokens.get(at + 1).is_some_and(|next| next.is_name("in")),
            Token::Name(name) => matches!(name.as_str(), "and" | "or" | "if" | "else"),
            Token::Op(op) if op == "(" => {
                let call = at > 0 && ends_value(&tokens[at - 1]);
                calls.push(call);
                // A group within what is compared, `('x' ~ y) in z`, is part of it.
                !call && atom.is_empty()
            }
            Token::Op(op) if op == ")" => {
                let grouped = calls.pop() == Some(false);
                grouped && !tokens.get(at + 1).is_some_and(continues)
            }
            _ => false,
        };
        if ends {
            atoms.push(std::mem::take(&mut atom));
        } else {
            atom.push(token.clone());
        }
    }
    atoms.push(atom);
    atoms
}

/// Whether what stands before is only the left side of something.
fn continues(token: &Token) -> bool {
    match token {
        Token::Name(name) => name == "in" || name == "is" || name == "not",
        Token::Op(op) => op != ")" && op != ",",
        _ => false,
    }
}

/// Marks of a model's own format, as `</think>` is: no person says them by chance.
fn is_markup(text: &str) -> bool {
    let bracketed =
        text.starts_with('<') && text.ends_with('>') || text.starts_with('[') && text.ends_with(']');
    bracketed && text.len() <= 40 && !text.contains(char::is_whitespace)
}
