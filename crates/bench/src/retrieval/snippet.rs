//! Pieces of other files that go in front of the file of the place.

use serde::Serialize;

use super::places::Place;
use super::source::Source;

/// Lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Snippet {
    /// Relative to the repository's root, with `/`.
    pub(crate) file_name: String,
    pub(crate) text: String,
    /// From 1.
    pub(crate) first_line: usize,
    /// Among them.
    pub(crate) last_line: usize,
    /// First and last lines of what it was put together from; empty where it is one piece.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<(usize, usize)>,
}

impl Snippet {
    /// Lines of a file, from 0, the second not among them.
    pub(crate) fn of(source: &Source, first: usize, end: usize) -> Snippet {
        let end = end.min(source.line_count());
        Snippet {
            file_name: source.name.clone(),
            text: source.lines(first, end).to_owned(),
            first_line: first + 1,
            last_line: end,
            parts: Vec::new(),
        }
    }

    /// Whether a line that declares the needed name is in it.
    pub(crate) fn tells(&self, place: &Place) -> bool {
        place.definitions.iter().any(|definition| {
            let whole = [(self.first_line, self.last_line)];
            let parts = if self.parts.is_empty() { &whole[..] } else { &self.parts };
            let holds = |&(first, last): &(usize, usize)| (first..=last).contains(&definition.line);
            self.file_name == definition.file && parts.iter().any(holds)
        })
    }

    /// Its first lines, of at most that many bytes.
    fn cut(mut self, bytes_max: usize) -> Option<Snippet> {
        let fitting = self.text.get(..self.text.floor_char_boundary(bytes_max))?;
        let end = fitting.rfind('\n')? + 1;
        self.text.truncate(end);
        self.last_line = self.first_line + self.text.matches('\n').count() - 1;
        Some(self)
    }
}

/// The best of them that fit, the best first: the last is cut where it has to be.
pub(crate) fn fitting(ranked: &[Snippet], bytes_max: usize) -> Vec<Snippet> {
    let mut room = bytes_max;
    let mut taken = Vec::new();
    for snippet in ranked {
        if snippet.text.len() <= room {
            room -= snippet.text.len();
            taken.push(snippet.clone());
        } else {
            taken.extend(snippet.clone().cut(room));
            break;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::source::Language;
    use super::*;

    #[test]
    fn the_best_fit_and_the_last_is_cut_at_a_line() {
        let source = Source::new(Language::C, "a.c".into(), "one\ntwo\nthree\nfour\n".into());
        let ranked = [Snippet::of(&source, 2, 3), Snippet::of(&source, 0, 4), Snippet::of(&source, 3, 4)];
        let taken = fitting(&ranked, 15);
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].text.as_str(), taken[0].first_line, taken[0].last_line), ("three\n", 3, 3));
        assert_eq!((taken[1].text.as_str(), taken[1].first_line, taken[1].last_line), ("one\ntwo\n", 1, 2));
        assert!(fitting(&ranked[1..], 2).is_empty());
    }
}
