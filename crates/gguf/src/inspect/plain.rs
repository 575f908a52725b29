//! A stranger's text, made fit for a terminal.

/// Whether a character shows nothing, changes the direction of what stands around it, or means only what
/// somebody agreed on in private: none of them is needed in a text that persons read.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// The text on one line: line ends and tabs as `\n` and `\t`, other characters that cannot be seen replaced.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => plain.push_str("\\n"),
            '\r' => plain.push_str("\\r"),
            '\t' => plain.push_str("\\t"),
            c if is_invisible(c) => plain.push(char::REPLACEMENT_CHARACTER),
            c => plain.push(c),
        }
    }
    plain
}

/// The same of its first `characters_max` characters, and an ellipsis where there are more.
pub fn shortened(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => plain(text),
        Some((end, _)) => format!("{}…", plain(&text[..end])),
    }
}

/// The first character that cannot be seen, other than line ends and tabs.
pub(super) fn first_invisible(text: &str) -> Option<char> {
    text.chars().find(|&c| is_invisible(c) && !matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides() {
        assert_eq!(plain("a\u{1b}[31m\n\u{202e}b\u{200b}é漢"), "a\u{fffd}[31m\\n\u{fffd}b\u{fffd}é漢");
        assert_eq!(shortened("abc", 2), "ab…");
        assert_eq!(shortened("ab", 2), "ab");
        assert_eq!(first_invisible("a\n\tb"), None);
        assert_eq!(first_invisible("a\u{e0041}"), Some('\u{e0041}'));
    }
}
