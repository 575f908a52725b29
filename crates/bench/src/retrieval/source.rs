//! Source text cut into words, far enough to tell code from comments and names from keywords.

use serde::{Deserialize, Serialize};

/// A language that places are drawn from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Ada,
    Vhdl,
    Rust,
    C,
}

impl Language {
    /// In the order of the tables.
    pub(crate) const ALL: [Language; 4] = [Language::Ada, Language::Vhdl, Language::Rust, Language::C];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Ada => "Ada",
            Language::Vhdl => "VHDL",
            Language::Rust => "Rust",
            Language::C => "C",
        }
    }

    /// Whether a file of that name is of this language.
    pub(crate) fn is_of(self, file_name: &str) -> bool {
        let endings: &[&str] = match self {
            Language::Ada => &["ads", "adb"],
            Language::Vhdl => &["vhd", "vhdl"],
            Language::Rust => &["rs"],
            Language::C => &["c", "h"],
        };
        file_name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
    }

    pub(crate) fn folds_case(self) -> bool {
        matches!(self, Language::Ada | Language::Vhdl)
    }

    /// A name as names are compared.
    pub(crate) fn folded(self, name: &str) -> String {
        if self.folds_case() { name.to_ascii_lowercase() } else { name.to_owned() }
    }

    /// Of a folded name: whether the language's own library has it.
    pub(crate) fn is_of_library(self, name: &str) -> bool {
        let words = match self {
            Language::Ada => ADA_LIBRARY,
            Language::Vhdl => VHDL_LIBRARY,
            Language::Rust => RUST_LIBRARY,
            Language::C => C_LIBRARY,
        };
        words.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name))
    }

    /// Of a folded name. What every program has without declaring it counts as one.
    pub(crate) fn is_keyword(self, name: &str) -> bool {
        let words = match self {
            Language::Ada => ADA,
            Language::Vhdl => VHDL,
            Language::Rust => RUST,
            Language::C => C,
        };
        words.split_ascii_whitespace().any(|word| word == name)
    }
}

/// What the language's own library calls things: a repository that has such a name, too, is not what was meant.
const ADA_LIBRARY: &str = "append clear close containing contains count create delete element element_type end_of_file \
    exclude find first flush free get get_line head image include index insert is_empty iterate key last length line name \
    new_line next open prepend previous put put_line query_element read reference replace replace_element reserve_capacity \
    reset reverse_iterate set size skip_line slice swap tail to_lower to_string to_unbounded_string to_upper trim \
    update_element value write";
const VHDL_LIBRARY: &str = "endfile file_close file_open image now read readline to_string write writeline";
const RUST_LIBRARY: &str = "append as_mut as_ref as_slice as_str build clear clone cloned contains contains_key copied drain \
    entry extend fill find first flush from from_bytes get get_mut insert into into_iter is_empty iter iter_mut keys last \
    len map new next parse peek pop position push push_str read remove replace reset resize retain seek set split split_at \
    swap take to_owned to_string truncate unwrap values with_capacity write write_all write_str zero";
const C_LIBRARY: &str = "accept bind close connect free getsockopt inet_ntop inet_pton listen malloc memchr memcmp memcpy \
    memmove memset open poll pthread_create pthread_join read realloc recv select sem_trywait send setsockopt snprintf \
    socket sprintf strchr strcmp strcpy strdup strerror strlen strncmp strncpy strndup strnlen strrchr strtol strtoul \
    usleep write";

const ADA: &str = "abort abs abstract accept access aliased all and array at begin body case constant declare delay \
    delta digits do else elsif end entry exception exit for function generic goto if in interface is limited loop mod \
    new not null of or others out overriding package pragma private procedure protected raise range record rem \
    renames requeue return reverse select separate some subtype synchronized tagged task terminate then type until \
    use when while with xor true false boolean integer natural positive string character float duration";
const VHDL: &str = "abs access after alias all and architecture array assert attribute begin block body buffer bus case \
    component configuration constant context disconnect downto else elsif end entity exit file for force function \
    generate generic group guarded if impure in inertial inout is label library linkage literal loop map mod nand new \
    next nor not null of on open or others out package parameter port postponed procedure process protected pure range \
    record register reject release rem report return rol ror select severity shared signal sla sll sra srl subtype \
    then to transport type unaffected units until use variable wait when while with xnor xor true false boolean \
    integer natural positive string character real time bit bit_vector std_logic std_logic_vector unsigned signed \
    std_ulogic std_ulogic_vector rising_edge falling_edge to_unsigned to_signed to_integer resize";
const RUST: &str = "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match \
    mod move mut pub ref return self Self static struct super trait true type unsafe use where while bool char str \
    u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 String Vec Option Some None Result Ok Err Box";
const C: &str = "auto break case char const continue default do double else enum extern float for goto if inline int long \
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while \
    define include ifdef ifndef endif elif undef pragma error defined NULL size_t ssize_t uint8_t uint16_t uint32_t \
    uint64_t int8_t int16_t int32_t int64_t uintptr_t intptr_t bool true false";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Number,
    /// A string or a character.
    Text,
    Symbol,
    Comment,
}

/// A piece of a text; what lies between two is blank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A file of a repository.
pub(crate) struct Source {
    pub(crate) language: Language,
    /// Relative to the repository's root, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Without comments.
    pub(crate) code: Vec<Piece>,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The lines, from 0, that a comment stands on.
    commented: Vec<usize>,
}

impl Source {
    pub(crate) fn new(language: Language, name: String, text: String) -> Source {
        let (comments, code): (Vec<Piece>, Vec<Piece>) =
            pieces(language, &text).into_iter().partition(|piece| piece.kind == Kind::Comment);
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(place, _)| place + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let mut source = Source { language, name, text, code, lines, commented: Vec::new() };
        source.commented = comments
            .iter()
            .flat_map(|piece| source.line_at(piece.start)..=source.line_at(piece.end))
            .collect();
        source
    }

    /// The text of a piece.
    pub(crate) fn text_of(&self, piece: Piece) -> &str {
        &self.text[piece.start..piece.end]
    }

    /// A piece of the code as names are compared; empty beyond the ends.
    pub(crate) fn folded(&self, index: usize) -> String {
        self.code.get(index).map_or_else(String::new, |piece| self.language.folded(self.text_of(*piece)))
    }

    pub(crate) fn is_word(&self, index: usize) -> bool {
        self.code.get(index).is_some_and(|piece| piece.kind == Kind::Word)
    }

    pub(crate) fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The line, from 0, that a byte stands on.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// Where a line, from 0, begins.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line).copied().unwrap_or(self.text.len())
    }

    /// The text of a line, from 0, without its end.
    pub(crate) fn line(&self, line: usize) -> &str {
        if line >= self.lines.len() {
            return "";
        }
        self.text[self.line_start(line)..self.line_start(line + 1)].trim_end_matches(['\n', '\r'])
    }

    /// The text of lines, from 0, the second not among them.
    pub(crate) fn lines(&self, first: usize, end: usize) -> &str {
        &self.text[self.line_start(first)..self.line_start(end)]
    }

    pub(crate) fn has_comment(&self, line: usize) -> bool {
        self.commented.binary_search(&line).is_ok()
    }
}

/// Names as they are compared, keywords and comments among them: as a search through the text sees them.
pub(crate) fn words(language: Language, text: &str) -> impl Iterator<Item = (usize, String)> {
    let bytes = text.as_bytes();
    let mut place = 0;
    std::iter::from_fn(move || {
        while place < bytes.len() && !begins_word(bytes[place]) {
            // 0x1F is no word.
            place =
                if bytes[place].is_ascii_digit() { end_of(bytes, place, continues_word) } else { place + 1 };
        }
        let start = place;
        place = end_of(bytes, place, continues_word);
        (start < place).then(|| (start, language.folded(&text[start..place])))
    })
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit()
}

fn end_of(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[start..].iter().position(|&byte| !belongs(byte)).map_or(bytes.len(), |length| start + length)
}

/// Whatever the text is, each piece is at least a byte and ends where a character does.
fn pieces(language: Language, text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let dashes = matches!(language, Language::Ada | Language::Vhdl);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        let (byte, rest) = (bytes[place], &bytes[place..]);
        if byte.is_ascii_whitespace() {
            place += 1;
            continue;
        }
        let line_end = || end_of(bytes, place, |byte| byte != b'\n');
        let after_name = pieces.last().is_some_and(|piece| {
            piece.kind == Kind::Word && piece.end == place || text[piece.start..piece.end] == *")"
        });
        let (kind, end) = if rest.starts_with(if dashes { b"--" } else { b"//" }) {
            (Kind::Comment, line_end())
        } else if rest.starts_with(b"/*") && language != Language::Ada {
            (Kind::Comment, text[place + 2..].find("*/").map_or(bytes.len(), |length| place + 2 + length + 2))
        } else if begins_word(byte) {
            let end = end_of(bytes, place, continues_word);
            match raw_string(language, &text[place..]) {
                Some(length) => (Kind::Text, place + length),
                None => (Kind::Word, end),
            }
        } else if byte.is_ascii_digit() {
            (Kind::Number, end_of(bytes, place, |byte| continues_word(byte) || byte == b'#'))
        } else if byte == b'"' {
            (Kind::Text, string_end(bytes, place, !dashes))
        } else if byte == b'\'' && !(dashes && after_name) {
            character_end(text, place).map_or((Kind::Symbol, place + 1), |end| (Kind::Text, end))
        } else {
            let two = [":=", "=>", "..", "**", "/=", "<=", ">=", "<>", "::", "->", "==", "!=", "&&", "||"];
            let length = if two.iter().any(|two| rest.starts_with(two.as_bytes())) { 2 } else { 1 };
            (Kind::Symbol, place + length)
        };
        pieces.push(Piece { kind, start: place, end });
        place = end;
    }
    pieces
}

/// The length of Rust's `r"…"`, `r#"…"#`, `b"…"` and the like, which begin as a word does.
fn raw_string(language: Language, text: &str) -> Option<usize> {
    if language != Language::Rust {
        return None;
    }
    let quote = text.find('"').filter(|&quote| quote <= 8)?;
    match text[..quote].trim_end_matches('#') {
        "r" | "br" | "cr" => {
            let close = format!("\"{}", "#".repeat(quote - text[..quote].trim_end_matches('#').len()));
            Some(text[quote + 1..].find(&close).map_or(text.len(), |length| quote + 1 + length + close.len()))
        }
        "b" | "c" if quote == 1 => Some(string_end(text.as_bytes(), 1, true)),
        _ => None,
    }
}

fn string_end(bytes: &[u8], start: usize, escapes: bool) -> usize {
    let mut place = start + 1;
    while place < bytes.len() {
        match bytes[place] {
            b'\\' if escapes => place += 1,
            b'"' => return place + 1,
            // No string of Ada or VHDL goes over a line.
            b'\n' if !escapes => return place,
            _ => {}
        }
        place += 1;
    }
    bytes.len()
}

/// `'x'` or `'\n'`; not Rust's lifetimes.
fn character_end(text: &str, start: usize) -> Option<usize> {
    let mut characters = text[start + 1..].char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        characters.next()?;
        let (length, _) = characters.take(10).find(|&(_, character)| character == '\'')?;
        return Some(start + 1 + length + 1);
    }
    let (length, second) = characters.next()?;
    (second == '\'').then_some(start + 1 + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, text: &str, expected: &[&str]) {
        let source = Source::new(language, "x".into(), text.into());
        let code: Vec<&str> = source.code.iter().map(|&piece| source.text_of(piece)).collect();
        assert_eq!(code, expected);
    }

    #[test]
    fn pieces_of_code() {
        check(
            Language::Ada,
            "X := T'Image (C'('a')) & \"-- no\" -- yes\n",
            &["X", ":=", "T", "'", "Image", "(", "C", "'", "(", "'a'", ")", ")", "&", "\"-- no\""],
        );
        check(
            Language::Vhdl,
            "a <= '0' when b'event /* x */ else x\"1F\";",
            &["a", "<=", "'0'", "when", "b", "'", "event", "else", "x", "\"1F\"", ";"],
        );
        check(Language::C, "p->n = '\\''; /* c */ // d", &["p", "->", "n", "=", "'\\''", ";"]);
        check(
            Language::Rust,
            "f::<'a>(r#\"x\"y\"#, b\"z\", 'q')",
            &["f", "::", "<", "'", "a", ">", "(", "r#\"x\"y\"#", ",", "b\"z\"", ",", "'q'", ")"],
        );
    }

    #[test]
    fn lines_and_comments() {
        let source = Source::new(Language::Ada, "x".into(), "A;\nB; -- c\n\nC;".into());
        assert_eq!((source.line(1), source.line(3), source.line(9)), ("B; -- c", "C;", ""));
        assert_eq!((source.line_at(0), source.line_at(3), source.line_at(12)), (0, 1, 3));
        assert_eq!(source.lines(0, 2), "A;\nB; -- c\n");
        assert!(source.has_comment(1) && !source.has_comment(0));
    }

    #[test]
    fn words_fold_where_the_language_does() {
        let all = |language| words(language, "Ab_1 + 0xFF, cD").map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(all(Language::Ada), ["ab_1", "cd"]);
        assert_eq!(all(Language::C), ["Ab_1", "cD"]);
    }

    #[test]
    fn cutting_never_panics() {
        for language in Language::ALL {
            for text in ["'", "\"", "r#\"", "/*", "'\\", "--", "é'é'", "\"\\", "b\"", "0#", "\u{80}"] {
                Source::new(language, "x".into(), text.into());
            }
        }
    }
}
