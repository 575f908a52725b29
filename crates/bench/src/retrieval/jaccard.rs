//! What editors' plugins do: of the files that are likely open, the windows most like what was just written.

use std::collections::HashSet;

use super::corpora::Repository;
use super::measures::similarity;
use super::places::Place;
use super::snippet::Snippet;
use super::source::{Language, Source, words};

/// Files that count as open.
const OPEN_MAX: usize = 20;
/// Of the file of the place, lines before the cursor; of the others, a window.
const WINDOW_LINES: usize = 60;
const STEP_LINES: usize = 20;
const SNIPPETS_MAX: usize = 10;

/// The best first, one a file.
pub(crate) fn snippets(repository: &Repository, place: &Place) -> Vec<Snippet> {
    let Some(current) = repository.file(&place.file) else { return Vec::new() };
    let (before, _) = place.around(&current.text);
    let begin = before.rmatch_indices('\n').nth(WINDOW_LINES - 1).map_or(0, |(newline, _)| newline + 1);
    let wanted = names(place.language, &before[begin..]);
    let mut found: Vec<(f64, Snippet)> = open(repository, place)
        .into_iter()
        .filter_map(|source| best_window(source, &wanted))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.into_iter().map(|(_, snippet)| snippet).take(SNIPPETS_MAX).collect()
}

/// Files of the same folder, those named most alike first; then others named alike.
fn open<'a>(repository: &'a Repository, place: &Place) -> Vec<&'a Source> {
    let (folder, name) = place.file.rsplit_once('/').unwrap_or(("", &place.file));
    let mut others: Vec<_> = repository
        .files
        .iter()
        .filter(|source| source.name != place.file)
        .map(|source| {
            let (its_folder, its_name) = source.name.rsplit_once('/').unwrap_or(("", &source.name));
            (its_folder == folder, similarity(name, its_name), source)
        })
        .collect();
    others.sort_by(|one, other| other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)));
    others.into_iter().map(|(_, _, source)| source).take(OPEN_MAX).collect()
}

fn best_window(source: &Source, wanted: &HashSet<String>) -> Option<(f64, Snippet)> {
    let lines = source.line_count();
    let starts = (0..).step_by(STEP_LINES).take_while(|start| *start == 0 || start + STEP_LINES < lines);
    let scored = starts.map(|start| {
        let window = source.lines(start, start + WINDOW_LINES);
        (jaccard(wanted, &names(source.language, window)), start)
    });
    // Of equal ones the first.
    let (score, start) = scored.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    Some((score, Snippet::of(source, start, start + WINDOW_LINES)))
}

/// The set of names in a text.
fn names(language: Language, text: &str) -> HashSet<String> {
    words(language, text).map(|(_, word)| word).filter(|word| !language.is_keyword(word)).collect()
}

/// The part of two sets' elements that is in both.
fn jaccard(one: &HashSet<String>, other: &HashSet<String>) -> f64 {
    let both = one.intersection(other).count();
    let either = one.len() + other.len() - both;
    #[expect(clippy::cast_precision_loss, reason = "words of a window")]
    let part = both as f64 / either.max(1) as f64;
    part
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{place, repository};
    use super::*;

    #[test]
    fn the_window_most_alike_comes_first() {
        let current = "procedure Main is\nbegin\n   Open_Valve (Pump);\n   null;\nend Main;\n";
        let alike = format!("{}procedure Open_Valve (Pump : Device);\n", "--  nothing\n".repeat(100));
        let repository = repository(
            "r",
            &[("a/alike.ads", alike.as_str()), ("a/main.adb", current), ("b/other.ads", "Pump\n")],
        );
        let found = snippets(&repository, &place(&repository, "a/main.adb", "null;", "a/alike.ads"));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].file_name, "a/alike.ads");
        assert!(found[0].text.contains("Open_Valve") && found[0].text.lines().count() <= WINDOW_LINES);
    }

    #[test]
    fn parts() {
        let set = |text: &str| names(Language::Ada, text);
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(close(jaccard(&set("a b c"), &set("b c d")), 0.5));
        assert!(close(jaccard(&set(""), &set("")), 0.0));
        assert!(set("if then end").is_empty());
    }
}
