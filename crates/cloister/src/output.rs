//! stdout is data, stderr is talk.
//!
//! Text from a model or a server is a stranger's. On a terminal its control characters and
//! direction overrides are shown, not obeyed: an answer must not be able to move the cursor, retitle
//! the window, or make code read otherwise than it is. Into a pipe or a file it goes as it is.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Where a command writes.
pub(crate) struct Output {
    data: Box<dyn Write>,
    talk: Box<dyn Write>,
    /// stdout is a terminal.
    terminal: bool,
    quiet: bool,
    /// The last text on stdout ended its line (or there was none).
    line_ended: bool,
}

/// What a line is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// As the terminal shows text.
    None,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
}

impl Colour {
    /// The parameter of the terminal's own sequence, where there is one.
    fn code(self) -> Option<&'static str> {
        match self {
            Colour::None => None,
            Colour::Red => Some("31"),
            Colour::Green => Some("32"),
            Colour::Yellow => Some("33"),
            Colour::Blue => Some("34"),
            Colour::Magenta => Some("35"),
        }
    }
}

impl Output {
    /// stdout and stderr. Neither stays locked: a progress bar draws from a thread of its own.
    pub(crate) fn standard(quiet: bool) -> Self {
        Output {
            data: Box::new(io::stdout()),
            talk: Box::new(io::stderr()),
            terminal: io::stdout().is_terminal(),
            quiet,
            line_ended: true,
        }
    }

    /// A piece of text, at once.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if let Some(last) = text.chars().next_back() {
            self.line_ended = last == '\n';
        }
        if self.terminal {
            self.data.write_all(visible(text).as_bytes())?;
        } else {
            self.data.write_all(text.as_bytes())?;
        }
        self.data.flush()
    }

    /// Ends the line on a terminal, where the prompt comes next. A pipe gets the bytes only.
    pub(crate) fn end_text(&mut self) -> io::Result<()> {
        if self.terminal && !self.line_ended { self.text("\n") } else { Ok(()) }
    }

    /// A line.
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        self.text(&format!("{line}\n"))
    }

    /// A line in a colour, where there is a terminal to show it.
    pub(crate) fn coloured(&mut self, colour: Colour, line: &str) -> io::Result<()> {
        let Some(code) = colour.code().filter(|_| self.terminal) else { return self.line(line) };
        self.data.write_all(format!("\x1b[{code}m").as_bytes())?;
        self.text(line)?;
        self.data.write_all(b"\x1b[0m\n")?;
        self.line_ended = true;
        self.data.flush()
    }

    /// A JSON document on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string(value)?;
        text.push('\n');
        self.text(&text)
    }

    /// Bytes that are not text of a stranger: a completion script, say.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.data.write_all(bytes)?;
        self.data.flush()
    }

    /// A remark for a person, unless `--quiet`. When stderr is gone there is nobody to tell.
    pub(crate) fn say(&mut self, line: impl Display) {
        if !self.quiet {
            self.complain(&line.to_string());
        }
    }

    /// What a person must be told even with `--quiet`.
    pub(crate) fn complain(&mut self, lines: &str) {
        drop(writeln!(self.talk, "{}", visible(lines)));
    }

    /// A prompt for input, left on its line.
    pub(crate) fn prompt(&mut self, text: &str) {
        drop(write!(self.talk, "{text}").and_then(|()| self.talk.flush()));
    }

    /// A question to a person at a terminal, left on its line, also with `--quiet`.
    pub(crate) fn ask(&mut self, colour: Colour, text: &str) {
        let code = colour.code().unwrap_or("0");
        self.prompt(&format!("\x1b[{code}m{text}\x1b[0m"));
    }

    /// Whether stdout is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A bar over so many files; hidden where there is one, or nobody looks.
    pub(crate) fn files_bar(&self, files: usize) -> ProgressBar {
        if files < 2 || !self.shows_progress() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} files {eta}");
        ProgressBar::new(files as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    /// Whether talk is wanted and stderr is a terminal: whether a progress bar makes sense.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}

/// The text with what a terminal would obey made visible. Line feeds and tabs stay.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' if characters.peek() == Some(&'\n') => {}
            // The Unicode block of control pictures mirrors the C0 controls.
            '\0'..='\x1f' => {
                out.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'));
            }
            '\x7f' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}' => out.push_str(&format!("<U+{:04X}>", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(visible("a\tb\r\nc\n"), "a\tb\nc\n");
        assert_eq!(visible("\x1b[2J\x07\r"), "␛[2J␇␍");
        assert_eq!(visible("\u{9b}31m\x7f"), "<U+009B>31m␡");
        assert_eq!(visible("if a\u{202e}b\u{2066}"), "if a<U+202E>b<U+2066>");
        assert_eq!(visible("Größe 日本 🙂"), "Größe 日本 🙂");
    }
}
