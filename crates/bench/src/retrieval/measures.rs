//! How good an answer is, and how sure a difference.

use testkit::draw::Draw;

use super::places::Place;
use super::snippet::Snippet;
use super::source::{Language, words};

/// Draws of the bootstrap.
const RESAMPLES: usize = 2_000;

/// A line as lines are compared: trimmed, each run of blanks one, small letters where the language folds case.
pub(crate) fn normalised(language: Language, line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    language.folded(&line)
}

/// The line that was answered. An answer that begins with a line's end has none.
pub(crate) fn first_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

/// 1 for equal texts, 0 for such that have nothing in common: 1 − Levenshtein's distance by the longer's length.
pub(crate) fn similarity(one: &str, other: &str) -> f64 {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let longest = one.len().max(other.len());
    if longest == 0 {
        return 1.0;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (index, known) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != known);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(diagonal + 1).min(row[index] + 1);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "letters of a line")]
    let part = row[other.len()] as f64 / longest as f64;
    1.0 - part
}

/// Whether the answered line has the name that was needed.
pub(crate) fn names(place: &Place, answer: &str) -> bool {
    let needed = place.language.folded(&place.name);
    words(place.language, first_line(answer)).any(|(_, word)| word == needed)
}

/// Whether one of the first `k` snippets has a line that declares the needed name.
pub(crate) fn recalled(place: &Place, ranked: &[Snippet], k: usize) -> bool {
    ranked.iter().take(k).any(|snippet| snippet.tells(place))
}

/// How like an expected line, normalised, the most alike of the snippets' lines is; 0 without any.
pub(crate) fn nearest(language: Language, expected: &str, snippets: &[Snippet]) -> f64 {
    let lines = snippets.iter().flat_map(|snippet| snippet.text.lines());
    lines.map(|line| similarity(&normalised(language, line), expected)).fold(0.0, f64::max)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "places")]
    let count = values.len() as f64;
    values.iter().sum::<f64>() / count
}

/// The mean of paired differences, and the interval in which 95 % of it lie when the places are drawn again.
pub(crate) fn bootstrap(differences: &[f64]) -> (f64, [f64; 2]) {
    let mut draw = Draw::new(0x0b00_7572_6170);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let again: Vec<f64> = differences.iter().map(|_| *draw.one_of(differences)).collect();
            mean(&again)
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    (mean(differences), [means[RESAMPLES / 40], means[RESAMPLES - 1 - RESAMPLES / 40]])
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{place, repository};
    use super::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn lines_are_compared_without_what_does_not_matter() {
        assert_eq!(normalised(Language::Ada, "  Put  (X);\t"), "put (x);");
        assert_eq!(normalised(Language::C, " F( x ) "), "F( x )");
        assert_eq!(first_line("  a;\nb;"), "  a;");
        assert_eq!((first_line("\na;"), first_line("")), ("", ""));
    }

    #[test]
    fn the_needed_name_is_a_whole_word_of_the_first_line() {
        let repository = repository("r", &[("main.adb", "Close_Valve\n")]);
        let place = place(&repository, "main.adb", "Close_Valve", "none.ads");
        assert!(names(&place, "  if close_valve (1)"));
        assert!(!names(&place, "Close_Valves;\nClose_Valve;"));
    }

    #[test]
    fn similarities() {
        for (one, other, expected) in [
            ("", "", 1.0),
            ("abc", "abc", 1.0),
            ("abc", "", 0.0),
            ("kitten", "sitting", 1.0 - 3.0 / 7.0),
            ("é", "e", 0.0),
        ] {
            assert!(close(similarity(one, other), expected), "{one} {other}");
            assert!(close(similarity(other, one), expected), "{other} {one}");
        }
    }

    #[test]
    fn the_nearest_line_is_any_of_any_snippet() {
        let snippet = |text: &str| Snippet {
            file_name: "a.ads".into(),
            text: text.into(),
            first_line: 1,
            last_line: 2,
            parts: Vec::new(),
        };
        let snippets = [snippet("one\n"), snippet("two\n  Open_VALVE (x);\n")];
        assert!(close(nearest(Language::Ada, "open_valve (x);", &snippets), 1.0));
        assert!(close(nearest(Language::Ada, "onx", &snippets), 2.0 / 3.0));
        assert!(close(nearest(Language::Ada, "one", &[]), 0.0));
    }

    #[test]
    fn an_interval_is_around_its_mean_and_narrows() {
        let differences =
            |count: usize| (0..count).map(|index| f64::from(u8::from(index % 4 == 0))).collect();
        let width = |values: Vec<f64>| {
            let (mean, [low, high]) = bootstrap(&values);
            assert!(close(mean, 0.25) && low <= mean && mean <= high);
            high - low
        };
        assert!(width(differences(400)) < width(differences(40)));
        assert_eq!(bootstrap(&[0.0; 5]), (0.0, [0.0, 0.0]));
    }
}
