//! How the tokens of a vocabulary are spelled, and unfinished words and blanks at the end of a prompt.

use llama::Model;
use protocol::worker::Token;

/// Tokens of an unfinished word that are chosen again, at most.
const HEALED_MAX: usize = 4;

/// Each token's bytes.
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where each token's bytes end.
    ends: Vec<usize>,
}

impl Vocabulary {
    pub(crate) fn of(model: &Model) -> Vocabulary {
        let mut bytes = Vec::new();
        let ends = (0..model.vocabulary())
            .map(|token| {
                model.append_piece(Token::try_from(token).unwrap_or(Token::MAX), &mut bytes);
                bytes.len()
            })
            .collect();
        Vocabulary { bytes, ends }
    }

    /// A token's bytes: perhaps a part of a UTF-8 sequence; none for a control token.
    pub(crate) fn piece(&self, token: Token) -> &[u8] {
        let Ok(token) = usize::try_from(token) else { return &[] };
        let start = if token == 0 { 0 } else { self.ends.get(token - 1).copied().unwrap_or(0) };
        self.ends.get(token).map_or(&[], |&end| &self.bytes[start..end])
    }

    /// Takes the last word off a prompt if it may be unfinished, or blanks, which mostly belong to the word
    /// after them, and returns how that is spelled. At least one token stays.
    pub(crate) fn take_unfinished(&self, prompt: &mut Vec<Token>) -> Vec<u8> {
        let in_word =
            |byte: Option<&u8>| byte.is_some_and(|&byte| byte == b'_' || byte.is_ascii_alphanumeric());
        let mut spelled = Vec::new();
        for _ in 0..HEALED_MAX {
            let piece = prompt.last().map_or(&[][..], |&last| self.piece(last));
            let blanks = spelled.is_empty() && matches!(piece.last(), Some(b' ' | b'\t'));
            if prompt.len() < 2 || !(blanks || in_word(piece.last())) {
                break;
            }
            let goes_on = !blanks && in_word(piece.first());
            spelled.splice(0..0, piece.iter().copied());
            prompt.pop();
            if !goes_on {
                break;
            }
        }
        spelled
    }

    /// Whether a token spells the beginning of `wanted`, or all of it and more.
    pub(crate) fn fits(&self, token: Token, wanted: &[u8]) -> bool {
        let piece = self.piece(token);
        !piece.is_empty() && (wanted.starts_with(piece) || piece.starts_with(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(pieces: &[&str]) -> Vocabulary {
        let mut vocabulary = Vocabulary { bytes: Vec::new(), ends: Vec::new() };
        for piece in pieces {
            vocabulary.bytes.extend(piece.bytes());
            vocabulary.ends.push(vocabulary.bytes.len());
        }
        vocabulary
    }

    #[test]
    fn unfinished_words_are_taken_off() {
        let vocabulary = vocabulary(&["", " pro", "ced", "ure", ";\n", "x", "      "]);
        let take = |tokens: &[Token]| {
            let mut prompt = tokens.to_vec();
            let spelled = String::from_utf8(vocabulary.take_unfinished(&mut prompt)).unwrap();
            (prompt, spelled)
        };
        assert_eq!(take(&[0, 4, 1, 2]), (vec![0, 4], " proced".to_owned()));
        assert_eq!(take(&[0, 4]), (vec![0, 4], String::new()));
        assert_eq!(take(&[5, 2]), (vec![5], "ced".to_owned()));
        assert_eq!(take(&[4, 6]), (vec![4], "      ".to_owned()));
        assert_eq!(take(&[6, 2]), (vec![6], "ced".to_owned()));
        assert_eq!(take(&[4, 0]), (vec![4, 0], String::new()));
        assert!(vocabulary.fits(1, b" proced") && vocabulary.fits(2, b"c") && !vocabulary.fits(0, b"c"));
    }
}
