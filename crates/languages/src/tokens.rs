//! Tokens of code for a text index.

/// A token of more bytes is left out.
pub const TOKEN_BYTES_MAX: usize = 64;

/// A word of a text, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Lower-case.
    pub text: String,
    /// Its first byte in the text.
    pub offset_from: usize,
    /// The byte behind it.
    pub offset_to: usize,
    /// Which word of the text it is or is a part of, from 0.
    pub position: usize,
}

/// The words of a text in their order, each followed by its parts when it has several: `parseHTTPHeader` is also
/// `parse`, `http` and `header`, `Read_Value` also `read` and `value`. Single letters are no parts.
///
/// ```
/// let words: Vec<String> = languages::tokens("Read_Value (x2)").map(|token| token.text).collect();
/// assert_eq!(words, ["read_value", "read", "value", "x2"]);
/// ```
pub fn tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    let mut words = Words { text, at: 0 };
    let mut position = 0;
    std::iter::from_fn(move || words.next()).filter(|(from, to)| to - from <= TOKEN_BYTES_MAX).flat_map(
        move |(from, to)| {
            let token = move |from: usize, to: usize, position| Token {
                text: text[from..to].to_lowercase(),
                offset_from: from,
                offset_to: to,
                position,
            };
            let this = position;
            position += 1;
            let word = &text[from..to];
            let mut parts = Vec::new();
            if has_parts(word) {
                split(word, |part_from, part_to| {
                    if word[part_from..part_to].chars().nth(1).is_some()
                        && (part_from, part_to) != (0, word.len())
                    {
                        parts.push(token(from + part_from, from + part_to, this));
                    }
                });
            }
            std::iter::once(token(from, to, this)).chain(parts)
        },
    )
}

struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Option<(usize, usize)> {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        loop {
            let from = self.at + self.text[self.at..].find(is_word)?;
            let rest = &self.text[from..];
            let to = from + rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            self.at = to;
            if self.text[from..to].contains(|letter| letter != '_') {
                return Some((from, to));
            }
        }
    }
}

fn has_parts(word: &str) -> bool {
    word.contains('_') || word.chars().skip(1).any(char::is_uppercase)
}

/// Calls `part` with the ends of each part: between underscores, and of those at each change of case.
fn split(word: &str, mut part: impl FnMut(usize, usize)) {
    let mut from = 0;
    let mut before: Option<char> = None;
    let mut letters = word.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins = match before {
            Some(before) if letter != '_' && before != '_' => {
                letter.is_uppercase() && (!before.is_uppercase() || next_is_lower)
            }
            _ => true,
        };
        if begins && at > from {
            part(from, at);
        }
        if begins {
            from = at;
        }
        if letter == '_' {
            from = at + 1;
        }
        before = Some(letter);
    }
    if word.len() > from {
        part(from, word.len());
    }
}
