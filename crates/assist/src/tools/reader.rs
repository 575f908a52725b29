//! An answer, read as it comes: text, and calls among it.
//!
//! Text is held back only from where a call may begin, and comes out again as it was where none did.

use super::json_calls::{self, TAG, TAG_END, calls};
use super::{ToolFormat, Tools};

/// What a model said next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words for the person.
    Text(String),
    /// A call of an offered tool.
    Call {
        /// The tool.
        name: String,
        /// A JSON object, as text.
        arguments: String,
    },
}

/// Reads an answer. With no tools all of it is text.
#[derive(Clone, Debug)]
pub struct CallReader {
    tools: Tools,
    format: Option<ToolFormat>,
    /// What came and is not decided.
    held: String,
    /// Of `held`, the bytes at its beginning that the prompt ended with: no words of the model's.
    prompted_bytes: usize,
    /// The text so far ends a line, or there is none.
    line_begins: bool,
    /// The text so far is inside a code block.
    in_block: bool,
    /// Blanks that came before any word, or behind a call: shown only if a word follows.
    blanks: String,
    /// No word was shown since the beginning or the last call.
    fresh: bool,
}

/// What the beginning of the held text is.
enum Begins {
    /// Text, that many bytes of it.
    Text(usize),
    /// That many bytes, which are calls if they parse.
    Calls { bytes: usize, from: usize, to: usize },
    /// More must come.
    Undecided,
}

impl CallReader {
    /// Reads answers to a request with these tools, in the form that the model writes calls.
    pub fn new(format: Option<ToolFormat>, tools: Tools) -> CallReader {
        let format = format.filter(|_| !tools.offered.is_empty());
        let opening = format.and_then(|format| format.opening(&tools)).unwrap_or_default();
        let held: String = opening
            .into_iter()
            .map(|part| match part {
                protocol::worker::Part::Text(text) | protocol::worker::Part::Template(text) => text,
                protocol::worker::Part::Token(_) => String::new(),
            })
            .collect();
        CallReader {
            tools,
            format,
            prompted_bytes: held.len(),
            held,
            line_begins: true,
            in_block: false,
            blanks: String::new(),
            fresh: true,
        }
    }

    /// The pieces that are decided when this text came.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        if self.format.is_none() {
            return if text.is_empty() { Vec::new() } else { vec![Piece::Text(text.to_owned())] };
        }
        self.held.push_str(text);
        self.decide(false)
    }

    /// The last pieces.
    pub fn finish(&mut self) -> Vec<Piece> {
        self.decide(true)
    }

    /// A whole answer's text and calls.
    pub fn read(mut self, text: &str) -> (String, Vec<(String, String)>) {
        let mut pieces = self.push(text);
        pieces.extend(self.finish());
        let (mut words, mut calls) = (String::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Text(text) => words.push_str(&text),
                Piece::Call { name, arguments } => calls.push((name, arguments)),
            }
        }
        (words, calls)
    }

    fn decide(&mut self, ended: bool) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while !self.held.is_empty() {
            match self.begins(ended) {
                Begins::Undecided => break,
                Begins::Text(bytes) => self.say(bytes, &mut pieces),
                Begins::Calls { bytes, from, to } => {
                    match self.held.get(from..to).and_then(|text| calls(text, &self.tools)) {
                        Some(calls) => {
                            let rest = self.held.split_off(bytes);
                            self.held = rest;
                            (self.prompted_bytes, self.fresh, self.line_begins) = (0, true, true);
                            self.blanks.clear();
                            pieces.extend(
                                calls
                                    .into_iter()
                                    .map(|call| Piece::Call { name: call.name, arguments: call.arguments }),
                            );
                        }
                        None => self.say(bytes, &mut pieces),
                    }
                }
            }
        }
        pieces
    }

    /// What the held text, which is not empty, begins with: at least a byte of it.
    fn begins(&self, ended: bool) -> Begins {
        let held = self.held.as_str();
        let undecided = |len: usize| if ended { Begins::Text(len) } else { Begins::Undecided };
        if self.format.is_some_and(ToolFormat::is_tagged) {
            if let Some(inner) = held.strip_prefix(TAG) {
                let end = inner.find(TAG_END).map(|end| (end, TAG.len() + end + TAG_END.len()));
                return match end {
                    Some((end, bytes)) => Begins::Calls { bytes, from: TAG.len(), to: TAG.len() + end },
                    // Many models end their turn without the closing tag.
                    None if ended => Begins::Calls { bytes: held.len(), from: TAG.len(), to: held.len() },
                    None => Begins::Undecided,
                };
            }
            if TAG.starts_with(held) {
                return undecided(held.len());
            }
        }
        if self.line_begins && !self.in_block {
            if let Some(begins) = block(held, ended) {
                return begins;
            }
            if held.starts_with(['{', '[']) && json_calls::may_be_call(held) {
                return match json_calls::object_end(held) {
                    Some(bytes) => Begins::Calls { bytes, from: 0, to: bytes },
                    None => undecided(held.len()),
                };
            }
        }
        // Text, to where something else may begin: the next line or a tag.
        let first = held.chars().next().map_or(1, char::len_utf8);
        let line = held.find('\n').map_or(held.len(), |end| end + 1);
        let tag = match self.format.is_some_and(ToolFormat::is_tagged) {
            true => held.get(first..).and_then(|rest| rest.find('<')).map(|at| first + at),
            false => None,
        };
        // A fence is looked at whole, to know whether a block begins or ends.
        let fence = "```".starts_with(held) || held.starts_with("```");
        if self.line_begins && fence && !held.contains('\n') {
            return undecided(held.len());
        }
        Begins::Text(line.min(tag.unwrap_or(line)))
    }

    /// Takes text from the beginning of what is held.
    fn say(&mut self, bytes: usize, pieces: &mut Vec<Piece>) {
        let rest = self.held.split_off(bytes.min(self.held.len()));
        let said = std::mem::replace(&mut self.held, rest);
        for line in said.split_inclusive('\n') {
            if self.line_begins && line.starts_with("```") {
                self.in_block = !self.in_block;
            }
            self.line_begins = line.ends_with('\n');
        }
        let prompted = self.prompted_bytes.min(said.len());
        self.prompted_bytes -= prompted;
        let words = said.get(prompted..).unwrap_or_default();
        if self.fresh && words.trim().is_empty() {
            self.blanks.push_str(words);
            return;
        }
        self.fresh = false;
        let text = std::mem::take(&mut self.blanks) + words;
        match pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(&text),
            _ => pieces.push(Piece::Text(text)),
        }
    }
}

/// A code block that may be calls; `None` where the text begins with no such block.
fn block(held: &str, ended: bool) -> Option<Begins> {
    const FENCES: [&str; 3] = ["```json\n", "```\n", "```tool_call\n"];
    let undecided = || Some(if ended { Begins::Text(held.len()) } else { Begins::Undecided });
    if FENCES.iter().any(|fence| fence.starts_with(held)) {
        return undecided();
    }
    let fence = FENCES.iter().find(|fence| held.starts_with(**fence))?;
    let inner = &held[fence.len()..];
    if !json_calls::may_be_call(inner) {
        return None;
    }
    let bare = inner.trim_start();
    if bare.is_empty() {
        return undecided();
    }
    let from = fence.len();
    match inner.find("\n```") {
        Some(end) => Some(Begins::Calls { bytes: from + end + 4, from, to: from + end }),
        None if ended => Some(Begins::Calls { bytes: held.len(), from, to: held.len() }),
        None => Some(Begins::Undecided),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Json, Tool, ToolChoice};

    fn tools(choice: ToolChoice) -> Tools {
        let tool = |name: &str| Tool {
            name: name.to_owned(),
            description: None,
            parameters: Json::Null,
            strict: false,
        };
        Tools { offered: vec![tool("f"), tool("g")], choice }
    }

    const TAGGED: &str = "tools <tool_call>";

    fn tagged(is_held: bool) -> Option<ToolFormat> {
        ToolFormat::of_template(Some(TAGGED), is_held)
    }

    fn read(choice: ToolChoice, answer: &str) -> (String, Vec<String>) {
        read_with(tagged(false), choice, answer)
    }

    fn read_with(format: Option<ToolFormat>, choice: ToolChoice, answer: &str) -> (String, Vec<String>) {
        let reader = CallReader::new(format, tools(choice));
        let (text, calls) = reader.read(answer);
        (text, calls.into_iter().map(|(name, arguments)| name + &arguments).collect())
    }

    #[test]
    fn text_and_calls() {
        let f = r#"{"name": "f", "arguments": {"a": 1}}"#;
        let called: &[&str] = &[r#"f{"a":1}"#];
        for (answer, text, calls) in [
            (format!("<tool_call>\n{f}\n</tool_call>"), "", called),
            (format!("Let me look.\n<tool_call>{f}</tool_call>\n"), "Let me look.\n", called),
            (format!("\n <tool_call>{f}"), "", called),
            (format!("<tool_call>{f}</tool_call>\nSo."), "\nSo.", called),
            (f.to_owned(), "", called),
            (format!("```json\n{f}\n```"), "", called),
            (format!("I call:\n```json\n{f}\n```\nDone"), "I call:\n\nDone", called),
            (format!("```\n[{f}]\n```"), "", called),
            (format!("Hm.\n{f}\n"), "Hm.\n", called),
            (format!("Hm. {f}"), "Hm. {\"name\": \"f\", \"arguments\": {\"a\": 1}}", &[]),
            (
                format!("```python\n{f}\n```"),
                "```python\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n```",
                &[],
            ),
            (
                "<tool_call>{\"name\":\"h\"}</tool_call>".to_owned(),
                "<tool_call>{\"name\":\"h\"}</tool_call>",
                &[],
            ),
            ("<tool_call>f()</tool_call>".to_owned(), "<tool_call>f()</tool_call>", &[]),
            ("{\"name\": \"f\", \"arg".to_owned(), "{\"name\": \"f\", \"arg", &[]),
            ("```ada\nX < Y;\n```\n".to_owned(), "```ada\nX < Y;\n```\n", &[]),
            ("```json\n{\"a\": 1}\n```".to_owned(), "```json\n{\"a\": 1}\n```", &[]),
            ("```json\n{\"name\": \"x\"}\n```".to_owned(), "```json\n{\"name\": \"x\"}\n```", &[]),
        ] {
            assert_eq!(
                read(ToolChoice::Auto, &answer),
                (text.to_owned(), calls.iter().map(|s| (*s).to_owned()).collect()),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_call_that_the_prompt_began() {
        let answer = r#" "g", "arguments": {}}"#;
        assert_eq!(read(ToolChoice::Required, answer), (String::new(), vec!["g{}".to_owned()]));
        let named = ToolChoice::Named("g".to_owned());
        assert_eq!(
            read(named.clone(), " {\"x\": 2}}\n</tool_call>"),
            (String::new(), vec![r#"g{"x":2}"#.to_owned()])
        );
        // Held to a schema, all of it comes from the model but the tag, and nothing comes behind.
        let (answer, called) = (r#"{"name": "g", "arguments": {"x": 2}}"#, vec![r#"g{"x":2}"#.to_owned()]);
        let bare = ToolFormat::of_template(Some("tools"), true);
        for format in [tagged(true), bare] {
            assert_eq!(read_with(format, ToolChoice::Required, answer), (String::new(), called.clone()));
        }
        // The prompt's words are not the model's.
        assert_eq!(read(named, " nothing"), (" nothing".to_owned(), vec![]));
    }

    #[test]
    fn only_what_may_be_a_call_is_held() {
        let mut reader = CallReader::new(tagged(false), tools(ToolChoice::Auto));
        let text = |text: &str| vec![Piece::Text(text.to_owned())];
        assert_eq!(reader.push("Use x <"), text("Use x "));
        assert_eq!(reader.push(" y"), text("< y"));
        assert_eq!(reader.push(" <tool"), text(" "));
        assert_eq!(reader.push("box>\n{"), text("<toolbox>\n"));
        assert_eq!(reader.push("\"na"), vec![]);
        assert_eq!(reader.push("ughty\": 1"), text("{\"naughty\": 1"));
        assert_eq!(reader.finish(), vec![]);
        let mut plain = CallReader::new(tagged(false), Tools::default());
        assert_eq!(plain.push("<tool_call>"), text("<tool_call>"));
    }

    proptest! {
        /// However it comes in, an answer is read the same, and what is no call comes out as it went in.
        #[test]
        fn cuts_change_nothing(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<tool_call>", "</tool_call>", "\n", "```", "json\n", "{\"name\":", " \"f\"", "\"h\"", ", \"arguments\": {", "}", "}}",
                "[", "]", "é<", " ", "x", "`",
            ]), 0..12),
            size in 1usize..7,
        ) {
            let answer = parts.concat();
            let whole = read(ToolChoice::Auto, &answer);
            let mut reader = CallReader::new(tagged(false), tools(ToolChoice::Auto));
            let mut pieces = Vec::new();
            let characters: Vec<char> = answer.chars().collect();
            for chunk in characters.chunks(size) {
                pieces.extend(reader.push(&chunk.iter().collect::<String>()));
            }
            pieces.extend(reader.finish());
            let (mut text, mut calls) = (String::new(), Vec::new());
            for piece in pieces {
                match piece {
                    Piece::Text(words) => text.push_str(&words),
                    Piece::Call { name, arguments } => calls.push(name + &arguments),
                }
            }
            prop_assert_eq!(&(text, calls), &whole);
            if whole.1.is_empty() && !answer.trim().is_empty() {
                prop_assert_eq!(&whole.0, &answer);
            }
        }
    }
}
