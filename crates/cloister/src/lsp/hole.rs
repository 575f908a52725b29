//! The place of a suggestion: what stands before it and behind it, and how much is wanted there.

use crate::cursor;

/// What ends a line behind which a whole block is wanted: openings of the languages that people write here.
const OPENINGS: [&str; 8] = ["{", "(", "[", ":", "=>", "->", "#(", "/*"];
const OPENING_WORDS: [&str; 15] = [
    "is", "begin", "then", "else", "loop", "do", "declare", "record", "generate", "private", "process", "of",
    "try", "repeat", "select",
];
/// Lines with ink before a place by which it is known again.
const ANCHOR_LINES: usize = 4;
const ANCHOR_BYTES_MAX: usize = 1 << 10;
/// Bytes behind a place by which it is known again: the rest of its line, and the next.
const BEHIND_BYTES_MAX: usize = 256;

/// How far back a suggestion may have begun.
const TYPED_BYTES_MAX: usize = 2 << 10;

/// A place in a document. Lines end with line feeds: models are trained on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) uri: String,
    pub(super) before: String,
    pub(super) behind: String,
    /// The person asked for it: as much as there is to say.
    pub(super) is_long: bool,
}

impl Hole {
    /// Behind `start` bytes of a text, and what `selected` puts there; `end` is where the text goes on.
    pub(super) fn new(
        uri: &str,
        text: &str,
        (start, end): (usize, usize),
        selected: &str,
        is_long: bool,
    ) -> Hole {
        let (before, _) = cursor::around(text, start);
        let (_, behind) = cursor::around(text, end);
        let before = [&line_feeds(before), selected].concat();
        Hole { uri: uri.to_owned(), before, behind: line_feeds(behind), is_long }
    }

    /// The same, when this was put there.
    pub(super) fn accepted(&self, text: &str) -> Hole {
        let before = [self.before.as_str(), text].concat();
        let (before, _) = cursor::around(&before, before.len());
        Hole { before: before.to_owned(), is_long: false, ..self.clone() }
    }

    /// Where a suggestion ends: `block` on an empty line and behind an opening, otherwise `line`.
    pub(super) fn until(&self) -> &'static str {
        if !self.rest_of_line().trim().is_empty() {
            return "line";
        }
        let line = self.before.rsplit('\n').next().unwrap_or_default().trim();
        let opens = OPENINGS.iter().any(|opening| line.ends_with(opening));
        let last_word = line.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let opens = opens || OPENING_WORDS.iter().any(|word| last_word.eq_ignore_ascii_case(word));
        if self.is_long || line.is_empty() || opens { "block" } else { "line" }
    }

    fn rest_of_line(&self) -> &str {
        self.behind.split('\n').next().unwrap_or_default()
    }

    /// By what a place is known again, when `taken` bytes of a suggestion stand before it: its last lines, and the
    /// beginning of what is behind. What scrolls away above does not matter.
    pub(super) fn anchor(&self, taken: usize) -> (&str, &str) {
        let before = &self.before[..self.before.len().saturating_sub(taken)];
        let mut start = before.len();
        let mut inked = 0;
        for line in before.rsplit_inclusive_lines() {
            let next = start - line.len();
            if inked >= ANCHOR_LINES || before.len() - next > ANCHOR_BYTES_MAX {
                break;
            }
            start = next;
            inked += usize::from(!line.trim().is_empty());
        }
        let behind = self.behind.match_indices('\n').nth(1).map_or(self.behind.len(), |(at, _)| at);
        let behind = self.behind.floor_char_boundary(behind.min(BEHIND_BYTES_MAX));
        // One line that is longer than the limit: its end.
        let start = if start == before.len() {
            before.ceil_char_boundary(before.len().saturating_sub(ANCHOR_BYTES_MAX))
        } else {
            start
        };
        (&before[start..], &self.behind[..behind])
    }

    /// Whether this is where somebody is who was there and typed on, a little.
    pub(super) fn goes_on_from(&self, earlier: &Hole) -> bool {
        let there = earlier.anchor(0);
        let fits = self.uri == earlier.uri && (earlier.is_long || !self.is_long);
        fits && self.typed_since().any(|typed| self.anchor(typed) == there)
    }

    /// How many bytes may have been typed since a suggestion began: from none to as many as are looked at.
    pub(super) fn typed_since(&self) -> impl Iterator<Item = usize> {
        let longest = self.before.len().min(TYPED_BYTES_MAX);
        (0..=longest).filter(|typed| self.before.is_char_boundary(self.before.len() - typed))
    }

    /// What a model said, fit for the place: without what stands behind it already, and without blanks alone.
    pub(super) fn fitted(&self, text: &str) -> String {
        let text = line_feeds(text);
        let rest = self.rest_of_line().trim();
        let fitted = match text.trim_end().strip_suffix(rest) {
            Some(fitted) if !rest.is_empty() && !text.contains('\n') => fitted,
            _ => text.as_str(),
        };
        if fitted.trim().is_empty() { String::new() } else { fitted.to_owned() }
    }
}

/// Models are trained on line feeds.
pub(super) fn line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Lines from the last to the first, each with its end.
trait LinesFromTheEnd {
    fn rsplit_inclusive_lines(&self) -> impl Iterator<Item = &str>;
}

impl LinesFromTheEnd for str {
    fn rsplit_inclusive_lines(&self) -> impl Iterator<Item = &str> {
        let mut rest = self;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let body = rest.strip_suffix('\n').unwrap_or(rest);
            let start = body.rfind('\n').map_or(0, |at| at + 1);
            let (left, line) = rest.split_at(start);
            rest = left;
            Some(line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` is the place.
    fn hole(marked: &str) -> Hole {
        let at = marked.find('|').unwrap();
        Hole::new("file:///a", &marked.replacen('|', "", 1), (at, at), "", false)
    }

    #[test]
    fn blocks_and_lines() {
        for (marked, until) in [
            ("begin\n   |\nend;", "block"),
            ("procedure P is|\n", "block"),
            ("   if X then |\n", "block"),
            ("   THEN|\n", "block"),
            ("int f() {|", "block"),
            ("def f(x):|\n", "block"),
            ("   X := |\n", "line"),
            ("   X := |;\n", "line"),
            ("   |X := 1;\n", "line"),
            ("   this|\n", "line"),
            ("|", "block"),
        ] {
            assert_eq!(hole(marked).until(), until, "{marked:?}");
        }
        assert_eq!(Hole { is_long: true, ..hole("   X := |\n") }.until(), "block");
    }

    #[test]
    fn anchors_are_the_last_lines_and_the_next() {
        let many = "1\n2\n\n3\n4\n   x := |y;\nz\nend";
        assert_eq!(hole(many).anchor(0), ("2\n\n3\n4\n   x := ", "y;\nz"));
        assert_eq!(hole(many).anchor("   x := ".len()), ("1\n2\n\n3\n4\n", "y;\nz"));
        let scrolled = "0\n1\n2\n\n3\n4\n   x := |y;\nz\n";
        assert_eq!(hole(scrolled).anchor(0), hole(many).anchor(0));
        let long = "é".repeat(2000) + "|";
        assert_eq!(hole(&long).anchor(0), ("é".repeat(512).as_str(), ""));
        assert_eq!(hole("|").anchor(9), ("", ""));
    }

    #[test]
    fn typed_on() {
        let earlier = hole("0\n1\n2\n3\n4\nx := |;\nend");
        assert!(hole("0\n1\n2\n3\n4\nx := |;\nend").goes_on_from(&earlier));
        assert!(hole("1\n2\n3\n4\nx := é\ny|;\nend").goes_on_from(&earlier));
        for other in ["1\n2\n3\n4\nx :=|;\nend", "1\n2\n3\n4\nx := y|);\nend", "1\n2\n3\n4\ny := z|;\nend"] {
            assert!(!hole(other).goes_on_from(&earlier), "{other:?}");
        }
        let (long, elsewhere) =
            (Hole { is_long: true, ..earlier.clone() }, Hole { uri: "u".to_owned(), ..earlier.clone() });
        assert!(earlier.goes_on_from(&long) && !long.goes_on_from(&earlier));
        assert!(!elsewhere.goes_on_from(&earlier));
    }

    #[test]
    fn what_stands_there_already_is_not_said_again() {
        assert_eq!(hole("f (|);\n").fitted("X);"), "X");
        assert_eq!(hole("f (|);\n").fitted("X"), "X");
        assert_eq!(hole("f (|);\n").fitted("A);\nB);"), "A);\nB);");
        assert_eq!(hole("f (|\n").fitted("X);\r\nY"), "X);\nY");
        assert_eq!(hole("|\n").fitted("  \n"), "");
    }

    #[test]
    fn as_if_accepted() {
        let next = hole("a\r\nb |;\r\n").accepted("c\nd");
        assert_eq!((next.before.as_str(), next.behind.as_str()), ("a\nb c\nd", ";\n"));
        let selected = Hole::new("u", "x.Pu;\n", (2, 4), "Push", false);
        assert_eq!((selected.before.as_str(), selected.behind.as_str()), ("x.Push", ";\n"));
    }
}
