//! Cuts a template into text, outputs and statements, and these into tokens. Delimiters are Jinja's own.

use std::iter::Peekable;
use std::str::CharIndices;

/// A piece of a template; lines count from 1.
pub(super) enum Piece {
    Text { text: String, line: usize },
    Output { tokens: Vec<Token>, line: usize },
    Statement { tokens: Vec<Token>, line: usize },
    Comment,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// A string, its escapes resolved.
    Text(String),
    /// A whole number, or the whole part of one; the largest where it is larger.
    Number(u64),
    Op(String),
}

impl Token {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        self.name() == Some(name)
    }

    pub(super) fn is_op(&self, text: &str) -> bool {
        matches!(self, Token::Op(op) if op == text)
    }
}

pub(super) struct Pieces<'a> {
    rest: &'a str,
    line: usize,
    /// Text up to `endraw` comes next.
    raw: bool,
    broken: Option<(usize, &'static str)>,
}

pub(super) fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text, line: 1, raw: false, broken: None }
}

impl Pieces<'_> {
    /// Where it ended before its end, and why.
    pub(super) fn broken(&self) -> Option<(usize, &'static str)> {
        self.broken
    }

    fn take(&mut self, len: usize) -> &str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn fail<T>(&mut self, why: &'static str) -> Option<T> {
        self.broken = Some((self.line, why));
        self.rest = "";
        None
    }

    fn text(&mut self, len: usize) -> Option<Piece> {
        let line = self.line;
        Some(Piece::Text { text: self.take(len).to_owned(), line })
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.rest.is_empty() && !self.raw {
            return None;
        }
        if std::mem::take(&mut self.raw) {
            let Some(end) = end_of_raw(self.rest) else { return self.fail("`raw` without its end") };
            return self.text(end);
        }
        let begin = self.rest.match_indices('{').map(|(at, _)| at).find(|&at| {
            let next = self.rest.as_bytes().get(at + 1);
            next.is_some_and(|next| b"{%#".contains(next))
        });
        match begin {
            None => return self.text(self.rest.len()),
            Some(at) if at > 0 => return self.text(at),
            Some(_) => {}
        }
        let line = self.line;
        let begin = &self.rest[..2];
        if begin == "{#" {
            let Some(end) = self.rest.find("#}") else { return self.fail("a comment without its end") };
            self.take(end + 2);
            return Some(Piece::Comment);
        }
        let (is_output, close) = (begin == "{{", if begin == "{{" { "}}" } else { "%}" });
        match tokens(&self.rest[2..], close) {
            Err(why) => self.fail(why),
            Ok((tokens, len)) => {
                self.take(2 + len);
                self.raw = !is_output && tokens.first().is_some_and(|token| token.is_name("raw"));
                Some(if is_output {
                    Piece::Output { tokens, line }
                } else {
                    Piece::Statement { tokens, line }
                })
            }
        }
    }
}

/// Where `{% endraw %}` begins, in any of its spellings.
fn end_of_raw(text: &str) -> Option<usize> {
    text.match_indices("{%")
        .map(|(at, _)| at)
        .find(|&at| text[at + 2..].trim_start_matches(['-', '+']).trim_start().starts_with("endraw"))
}

/// The tokens up to `close`, and how many bytes they and it take.
fn tokens(text: &str, close: &str) -> Result<(Vec<Token>, usize), &'static str> {
    let mut tokens = Vec::new();
    let mut characters = text.char_indices().peekable();
    let mut braces = 0u32;
    // `{%-` and `{%+` trim; they are no operators.
    characters.next_if(|&(_, c)| c == '-' || c == '+');
    while let Some((at, c)) = characters.next() {
        let rest = &text[at..];
        let trimmed = rest.strip_prefix(['-', '+']).filter(|rest| rest.starts_with(close));
        if braces == 0 && (rest.starts_with(close) || trimmed.is_some()) {
            return Ok((tokens, at + usize::from(trimmed.is_some()) + close.len()));
        }
        tokens.push(match c {
            _ if c.is_whitespace() => continue,
            '"' | '\'' => Token::Text(string(&mut characters, c)?),
            '0'..='9' => number(c, &mut characters),
            _ if c == '_' || c.is_alphabetic() => {
                let mut name = String::from(c);
                while let Some((_, c)) = characters.next_if(|&(_, c)| c == '_' || c.is_alphanumeric()) {
                    name.push(c);
                }
                Token::Name(name)
            }
            _ => {
                braces = match c {
                    '{' => braces.saturating_add(1),
                    '}' => braces.saturating_sub(1),
                    _ => braces,
                };
                let double = ["==", "!=", "<=", ">=", "**", "//"].into_iter().find(|op| rest.starts_with(op));
                if double.is_some() {
                    characters.next();
                }
                Token::Op(double.map_or_else(|| c.to_string(), str::to_owned))
            }
        });
    }
    Err("a tag without its end")
}

fn string(characters: &mut Peekable<CharIndices<'_>>, quote: char) -> Result<String, &'static str> {
    let mut text = String::new();
    while let Some((_, c)) = characters.next() {
        match c {
            _ if c == quote => return Ok(text),
            '\\' => {
                let (_, c) = characters.next().ok_or("a string without its end")?;
                let digits = match c {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                text.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    _ if digits > 0 => hexadecimal(characters, digits),
                    c => c,
                });
            }
            c => text.push(c),
        }
    }
    Err("a string without its end")
}

fn hexadecimal(characters: &mut Peekable<CharIndices<'_>>, digits: usize) -> char {
    let mut code = 0u32;
    for _ in 0..digits {
        let Some((_, c)) = characters.next_if(|(_, c)| c.is_ascii_hexdigit()) else { break };
        code = code.wrapping_mul(16).wrapping_add(c.to_digit(16).unwrap_or(0));
    }
    // Halves of a pair, among others.
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn number(first: char, characters: &mut Peekable<CharIndices<'_>>) -> Token {
    let mut spelled = String::from(first);
    while let Some((_, c)) = characters.next_if(|&(_, c)| c == '_' || c.is_ascii_alphanumeric()) {
        spelled.push(c);
    }
    spelled.retain(|c| c != '_');
    let (digits, radix) = match spelled.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&spelled[2..], 16),
        [b'0', b'o' | b'O', ..] => (&spelled[2..], 8),
        [b'0', b'b' | b'B', ..] => (&spelled[2..], 2),
        _ => (spelled.as_str(), 10),
    };
    // `1e9` and what does not fit are large.
    Token::Number(u64::from_str_radix(digits, radix).unwrap_or(u64::MAX))
}
