//! Searching and pasting: the names around the cursor as whole words in all other files, and what stands where
//! most of them meet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::corpora::Repository;
use super::places::Place;
use super::snippet::Snippet;
use super::source::words;

/// Besides the cursor's own line.
const LINES_ABOVE: usize = 3;
const WINDOW_LINES: usize = 20;
/// Windows begin at every one of these.
const STEP_LINES: usize = 10;
const SNIPPETS_MAX: usize = 10;
const NAME_BYTES_MIN: usize = 3;

/// The lines of a repository on which each word stands, by file and line from 0.
pub(crate) struct Grep {
    lines: HashMap<String, Vec<(u32, u32)>>,
}

impl Grep {
    pub(crate) fn of(repository: &Repository) -> Grep {
        let mut lines: HashMap<String, Vec<(u32, u32)>> = HashMap::new();
        for (file, source) in (0..).zip(&repository.files) {
            for (place, word) in words(source.language, &source.text) {
                let line = u32::try_from(source.line_at(place)).unwrap_or(u32::MAX);
                let known = lines.entry(word).or_default();
                if known.last() != Some(&(file, line)) {
                    known.push((file, line));
                }
            }
        }
        Grep { lines }
    }

    /// The window with the most of the names first, of equal ones that with the most lines that have one.
    pub(crate) fn snippets(&self, repository: &Repository, place: &Place) -> Vec<Snippet> {
        let Some(current) = repository.file(&place.file) else { return Vec::new() };
        let (before, _) = place.around(&current.text);
        let begin = before.rmatch_indices('\n').nth(LINES_ABOVE).map_or(0, |(newline, _)| newline + 1);
        let names: BTreeSet<String> = words(place.language, &before[begin..])
            .map(|(_, word)| word)
            .filter(|word| word.len() >= NAME_BYTES_MIN && !place.language.is_keyword(word))
            .collect();
        let step = u32::try_from(STEP_LINES).unwrap_or(1);
        // Names and lines, by file and window. A line is in the window that begins in its step and the one before.
        let mut windows: BTreeMap<(u32, u32), (BTreeSet<usize>, usize)> = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            for &(file, line) in self.lines.get(name).into_iter().flatten() {
                let own = line / step;
                for window in own.saturating_sub(1)..=own {
                    let (names, lines) = windows.entry((file, window)).or_default();
                    names.insert(number);
                    *lines += 1;
                }
            }
        }
        let mut ranked: Vec<_> =
            windows.into_iter().map(|(at, (names, lines))| (names.len(), lines, at)).collect();
        ranked.sort_by(|one, other| (other.0, other.1).cmp(&(one.0, one.1)).then(one.2.cmp(&other.2)));
        let mut found: Vec<Snippet> = Vec::new();
        for (_, _, (file, window)) in ranked {
            let Some(source) = usize::try_from(file).ok().and_then(|file| repository.files.get(file)) else {
                continue;
            };
            let first = usize::try_from(window * step).unwrap_or(0);
            let snippet = Snippet::of(source, first, first + WINDOW_LINES);
            let overlaps = found.iter().any(|known| {
                known.file_name == snippet.file_name
                    && known.first_line <= snippet.last_line
                    && snippet.first_line <= known.last_line
            });
            if source.name != place.file && !overlaps {
                found.push(snippet);
            }
            if found.len() == SNIPPETS_MAX {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{place, repository};
    use super::*;

    #[test]
    fn the_window_where_most_of_the_names_meet_comes_first() {
        let current =
            "procedure Main is\nbegin\n   Open_Valve (Pump);\n   Close_Valve\n     (Pump);\nend Main;\n";
        let far = format!("procedure Open_Valve;\n{}--  Pump Main\n", "--\n".repeat(200));
        let near = "procedure Open_Valve (Pump : Device);\n";
        let files = [("far.ads", far.as_str()), ("main.adb", current), ("near.ads", near)];
        let repository = repository("r", &files);
        let place = place(&repository, "main.adb", "Close_Valve", "near.ads");
        let found = Grep::of(&repository).snippets(&repository, &place);
        assert_eq!(found[0].file_name, "far.ads");
        assert!(found[0].text.contains("Pump Main"));
        assert_eq!(found[1].file_name, "near.ads");
        assert!(found.iter().all(|snippet| snippet.text.lines().count() <= WINDOW_LINES));
        assert!(found[1].tells(&place) && !found[0].tells(&place));
    }
}
