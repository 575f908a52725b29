//! The words of texts, as licences are compared: letters and digits, small, in one spelling.

/// Words of a line that differ only in spelling. (SPDX's matching guidelines, 8.)
const SPELLINGS: &[(&str, &str)] = &[
    ("licence", "license"),
    ("licences", "licenses"),
    ("licenced", "licensed"),
    ("sublicence", "sublicense"),
    ("https", "http"),
    ("organisation", "organization"),
    ("acknowledgement", "acknowledgment"),
    ("favour", "favor"),
    ("merchantibility", "merchantability"),
];

/// Calls `on` with each word of a text and its line, counted from 1. A word that a hyphen breaks over the end of a line
/// is one word.
pub(crate) fn each(text: &str, mut on: impl FnMut(&str, u32)) {
    let mut broken: Option<(String, u32)> = None;
    let mut number = 0u32;
    for line in text.lines() {
        number = number.saturating_add(1);
        // What frames a comment at its right edge, as in Ada's `-- text --`.
        let line = line.trim_end().trim_end_matches("*/").trim_end();
        let line = match line.strip_suffix("--") {
            Some(inner) => inner.trim_end(),
            None => line.trim_end_matches(['*', '#', '|']).trim_end(),
        };
        let breaks = line
            .strip_suffix('-')
            .is_some_and(|before| before.ends_with(|letter: char| letter.is_alphabetic()));
        let mut words =
            line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            let mut word = word.to_lowercase();
            let mut place = number;
            if let Some((start, at)) = broken.take() {
                word = start + &word;
                place = at;
            }
            if breaks && words.peek().is_none() {
                broken = Some((word, place));
                break;
            }
            on(spelled(&word), place);
        }
    }
    if let Some((word, place)) = broken {
        on(spelled(&word), place);
    }
}

fn spelled(word: &str) -> &str {
    SPELLINGS.iter().find(|(from, _)| *from == word).map_or(word, |(_, to)| to)
}

#[cfg(test)]
mod tests {
    #[test]
    fn frames_and_broken_words() {
        let mut words = Vec::new();
        super::each(
            "-- the Free Soft- --\n-- ware Licence; ver- --\n-- sion 3.1 --\n * end */",
            |word, line| {
                words.push(format!("{word}{line}"));
            },
        );
        assert_eq!(words, ["the1", "free1", "software1", "license2", "version2", "33", "13", "end4"]);
    }
}
