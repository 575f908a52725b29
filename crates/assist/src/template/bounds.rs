//! Bounds on what a template can make of little, beside the fuel that bounds its steps.
//!
//! A renderer with fuel still overflows its stack on `not not not …` and on a namespace that holds itself, which ends
//! the process, and multiplies lists that share their elements until memory ends. So a template is read before it is
//! compiled: what no chat template needs is refused ([`STATEMENTS`] is all there is; no `*`, no bare namespace), tags are
//! limited in length, and every value that a `set`, a loop or a macro keeps is passed through [`CHECK`], which refuses
//! those that are large, deep or shared without end. Between two checks a value grows by no more than a tag's length.

use std::collections::BTreeSet;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// The function that checks values; no template may name it.
pub(super) const CHECK: &str = "__bounded";
/// The longest that are known have 16 KiB.
const TEMPLATE_BYTES_MAX: usize = 64 << 10;
/// Each may become a frame of the parser's stack, and each reference a copy.
const TOKENS_IN_TAG_MAX: usize = 400;
/// Each is a branch within the one before it.
const BRANCHES_MAX: usize = 200;
/// Values within a value, those that are there twice counted twice.
const VALUES_MAX: usize = 16 << 10;
/// What people say is not counted: marks stand for it.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// A tool's schema within the list of them has most.
const DEPTH_MAX: usize = 32;
const RANGE_MAX: usize = 4096;
pub(super) const INDENT_MAX: usize = 16;

const STATEMENTS: &[&str] = &[
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "endfor",
    "set",
    "endset",
    "macro",
    "endmacro",
    "filter",
    "endfilter",
    "break",
    "continue",
    "do",
];

/// Filters that make much of little; no known template uses them.
pub(super) const FILTERS_LEFT_OUT: &[&str] =
    &["batch", "slice", "format", "chain", "zip", "groupby", "pprint", "map"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Text,
    Number,
    Op,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// Where it begins in the template.
    at: usize,
    /// Brackets that are open before it.
    depth: i64,
}

impl Token<'_> {
    fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Name | Kind::Op) && self.text == text
    }
}

struct Tag<'a> {
    tokens: Vec<Token<'a>>,
    /// Where its closing mark begins, with the sign that trims.
    close: usize,
    end: usize,
    statement: bool,
}

/// The template with its values checked, or why it is refused.
pub(super) fn bounded(template: &str) -> Result<String, String> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("it has more than {TEMPLATE_BYTES_MAX} bytes"));
    }
    let tags = tags(template)?;
    let spaces: BTreeSet<&str> = tags.iter().filter_map(namespace).collect();
    let mut text = String::with_capacity(template.len() * 2);
    let mut done = 0;
    let mut insert = |at: usize, inserted: &str| {
        text.push_str(&template[done..at]);
        text.push_str(inserted);
        done = at;
    };
    let mut branches = 0;
    let mut sets = Vec::new();
    for tag in &tags {
        names(tag, &spaces)?;
        let keyword = tag.tokens.first().filter(|_| tag.statement);
        let Some(keyword) = keyword else { continue };
        if !STATEMENTS.contains(&keyword.text) {
            let shown: String = keyword.text.chars().take(32).flat_map(char::escape_default).collect();
            return Err(format!("it has a statement `{shown}`, which no chat template needs"));
        }
        let rest = &tag.tokens[1..];
        // What follows a tag belongs to its trimming mark, so what is put behind it trims the same.
        let trim = &template[tag.close..tag.end - 2];
        match keyword.text {
            "elif" => branches += 1,
            "for" => {
                let Some(at) = rest.iter().position(|token| token.depth == 0 && token.is("in")) else {
                    continue;
                };
                let ends = |token: &&Token<'_>| token.depth == 0 && (token.is("if") || token.is("recursive"));
                if rest.iter().any(|token| token.depth == 0 && token.is("recursive")) {
                    return Err("it has a recursive loop".to_owned());
                }
                let end = rest[at + 1..].iter().find(ends).map_or(tag.close, |token| token.at);
                insert(rest[at].at + 2, &format!(" {CHECK}(("));
                insert(end, ")) ");
            }
            "set" => match rest.iter().find(|token| token.depth == 0 && token.is("=")) {
                Some(equals) => {
                    insert(equals.at + 1, &format!(" {CHECK}(("));
                    insert(tag.close, ")) ");
                }
                None => sets.push(rest.first().map(|name| name.text).unwrap_or_default()),
            },
            "endset" => {
                if let Some(name) = sets.pop() {
                    insert(tag.end, &format!("{{% do {CHECK}({name}) {trim}%}}"));
                }
            }
            "macro" => {
                let named =
                    rest.windows(2).filter(|pair| pair[1].depth == 1 && (pair[0].is("(") || pair[0].is(",")));
                let names: Vec<&str> =
                    named.filter(|pair| pair[1].kind == Kind::Name).map(|pair| pair[1].text).collect();
                insert(tag.end, &format!("{{% do {CHECK}([{}]) {trim}%}}", names.join(", ")));
            }
            _ => {}
        }
    }
    insert(template.len(), "");
    if branches > BRANCHES_MAX {
        return Err(format!("it has more than {BRANCHES_MAX} branches"));
    }
    Ok(text)
}

/// The name in `set NAME = namespace(…)`.
fn namespace<'a>(tag: &Tag<'a>) -> Option<&'a str> {
    match tag.tokens.as_slice() {
        [set, name, equals, made, ..] if set.is("set") && equals.is("=") && made.is("namespace") => {
            Some(name.text)
        }
        _ => None,
    }
}

/// A namespace is the one value that can come to hold itself. Where its name only ever stands before a dot, nobody can
/// put it anywhere.
fn names(tag: &Tag<'_>, spaces: &BTreeSet<&str>) -> Result<(), String> {
    if tag.tokens.len() > TOKENS_IN_TAG_MAX {
        return Err(format!("a tag of it has more than {TOKENS_IN_TAG_MAX} words and marks"));
    }
    let made = namespace(tag).is_some();
    for (at, token) in tag.tokens.iter().enumerate() {
        if token.is("*") || token.is("**") {
            return Err("it multiplies or has arguments of any number".to_owned());
        }
        if token.kind != Kind::Name {
            continue;
        }
        if token.text == CHECK {
            return Err(format!("it names `{CHECK}`"));
        }
        if at > 0 && tag.tokens[at - 1].is(".") || made && (at == 1 || at == 3) {
            continue;
        }
        let follows = |text: &str| tag.tokens.get(at + 1).is_some_and(|next| next.is(text));
        let argument = token.depth > 0 && follows("=");
        if token.text == "namespace" || spaces.contains(token.text) && !follows(".") && !argument {
            return Err("it uses a namespace other than by its attributes".to_owned());
        }
    }
    Ok(())
}

/// The tags of a template, as the renderer sees them.
fn tags(template: &str) -> Result<Vec<Tag<'_>>, String> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(begin) = template[at..].find('{').map(|found| at + found) {
        let statement = match template.as_bytes().get(begin + 1) {
            Some(b'#') => {
                let end = template[begin + 2..].find("#}").ok_or("a comment of it does not end")?;
                at = begin + 2 + end + 2;
                continue;
            }
            Some(b'%') => true,
            Some(b'{') => false,
            _ => {
                at = begin + 1;
                continue;
            }
        };
        let tag = tag(template, begin + 2, statement)?;
        at = tag.end;
        tags.push(tag);
    }
    Ok(tags)
}

fn tag(template: &str, begin: usize, statement: bool) -> Result<Tag<'_>, String> {
    let bytes = template.as_bytes();
    let close = if statement { "%}" } else { "}}" };
    let mut at = begin + usize::from(matches!(bytes.get(begin), Some(b'-' | b'+')));
    let mut tokens = Vec::new();
    let mut depth = 0i64;
    while let Some(&byte) = bytes.get(at) {
        let rest = &template[at..];
        let signed = usize::from(matches!(byte, b'-' | b'+'));
        if depth == 0 && bytes[at + signed..].starts_with(close.as_bytes()) {
            return Ok(Tag { tokens, close: at, end: at + signed + 2, statement });
        }
        let (kind, len) = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' | b'"' => (Kind::Text, text(rest)?),
            b'0'..=b'9' => (
                Kind::Number,
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len()),
            ),
            _ if byte == b'_' || byte.is_ascii_alphabetic() || !byte.is_ascii() => (
                Kind::Name,
                rest.find(|c: char| c.is_ascii() && !(c == '_' || c.is_ascii_alphanumeric()))
                    .unwrap_or(rest.len()),
            ),
            _ => {
                let double = ["//", "**", "==", "!=", ">=", "<="].iter().any(|op| rest.starts_with(op));
                (Kind::Op, if double { 2 } else { 1 })
            }
        };
        let mut token = Token { kind, text: &rest[..len], at, depth };
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                token.depth = depth;
            }
            _ => {}
        }
        tokens.push(token);
        at += len;
    }
    Err("a tag of it does not end".to_owned())
}

/// The length of a string, with its quotes.
fn text(rest: &str) -> Result<usize, String> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == bytes[0] => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err("a string of it does not end".to_owned())
}

/// Passes a value that is neither large nor deep.
pub(super) fn check(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    let mut weight = Weight { values: 0, text_bytes: 0 };
    weight.add(&value, 0)?;
    let fuel = weight.values / 16 + weight.text_bytes / 64;
    state.consume_fuel(u64::try_from(fuel).unwrap_or(u64::MAX))?;
    Ok(value)
}

struct Weight {
    values: usize,
    text_bytes: usize,
}

impl Weight {
    fn add(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.values += 1;
        self.text_bytes += value.as_str().map_or(0, str::len);
        if self.values > VALUES_MAX || self.text_bytes > TEXT_BYTES_MAX || depth > DEPTH_MAX {
            return Err(Error::new(ErrorKind::InvalidOperation, "a value is larger than templates need"));
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                for item in value.try_iter()? {
                    self.add(&item, depth + 1)?;
                }
            }
            ValueKind::Map => {
                for key in value.try_iter()? {
                    self.add(&key, depth + 1)?;
                    self.add(&value.get_item(&key)?, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// `range`, of no more numbers than a conversation has messages.
pub(super) fn range(lower: i64, upper: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let invalid = |words: &'static str| Error::new(ErrorKind::InvalidOperation, words);
    let (from, to) = upper.map_or((0, lower), |upper| (lower, upper));
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(invalid("a range steps by 0"));
    }
    let mut numbers = Vec::new();
    let mut next = Some(from);
    while let Some(number) = next.filter(|&number| if step > 0 { number < to } else { number > to }) {
        if numbers.len() >= RANGE_MAX {
            return Err(invalid("a range is longer than templates need"));
        }
        numbers.push(number);
        next = number.checked_add(step);
    }
    Ok(Value::from(numbers))
}

/// `map`, of an attribute or a filter without arguments.
pub(super) fn map(
    state: &mut State<'_, '_>,
    value: Value,
    filter: Option<String>,
    arguments: minijinja::value::Kwargs,
) -> Result<Value, Error> {
    let value = check(state, value)?;
    let attribute: Option<String> = arguments.get("attribute")?;
    arguments.assert_all_used()?;
    let mut items = Vec::new();
    for item in value.try_iter()? {
        items.push(match (&filter, &attribute) {
            (Some(filter), None) => state.apply_filter(filter, &[item])?,
            (None, Some(attribute)) => item.get_attr(attribute)?,
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "map takes a filter's name or an attribute",
                ));
            }
        });
    }
    Ok(Value::from(items))
}
