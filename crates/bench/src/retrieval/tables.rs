//! What came of a run: by language and way, as tables, as JSON, and place by place for a reader.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Variant;
use super::answers::Answered;
use super::measures::{bootstrap, first_line, mean, names, nearest, normalised, recalled, similarity};
use super::places::Place;
use super::snippet::Snippet;
use super::source::Language;
use crate::quantiles::Quantiles;

/// Snippets among which the declaration is looked for.
const RANKS: [usize; 4] = [1, 3, 5, 10];

/// A place, completed in one way.
pub(crate) struct Outcome {
    place: Place,
    variant: Variant,
    exact: bool,
    /// Whether the needed name is in the line.
    named: bool,
    similarity: f64,
    /// At each of [`RANKS`].
    recalled: [bool; 4],
    /// Within what went into the prompt.
    recalled_in_prompt: bool,
    /// How like the expected line the most alike of the lines is that went into the prompt.
    nearest: f64,
    has_snippets: bool,
    answered: Answered,
    retrieval_ms: f64,
}

impl Outcome {
    /// `ranked` is all that was found, the best first, and `used` what of it went into the prompt.
    pub(crate) fn new(
        place: Place,
        variant: Variant,
        ranked: &[Snippet],
        used: &[Snippet],
        answered: Answered,
        retrieval_ms: f64,
    ) -> Outcome {
        let answer = normalised(place.language, first_line(&answered.text));
        let expected = normalised(place.language, &place.expected);
        Outcome {
            exact: answer == expected,
            named: names(&place, &answered.text),
            similarity: similarity(&answer, &expected),
            recalled: RANKS.map(|rank| recalled(&place, ranked, rank)),
            recalled_in_prompt: recalled(&place, used, used.len()),
            nearest: nearest(place.language, &expected, used),
            has_snippets: !used.is_empty(),
            place,
            variant,
            answered,
            retrieval_ms,
        }
    }
}

/// Of one language and one way.
#[derive(Serialize)]
pub(crate) struct Figures {
    language: Language,
    variant: &'static str,
    places: usize,
    exact: f64,
    /// To the file only, with the interval of 95 %.
    exact_difference: Option<(f64, [f64; 2])>,
    /// The part of the answers that have the needed name.
    named: f64,
    named_difference: Option<(f64, [f64; 2])>,
    similarity: f64,
    similarity_difference: Option<(f64, [f64; 2])>,
    /// By rank. None for ways without snippets.
    recall: Option<BTreeMap<usize, f64>>,
    recall_in_prompt: Option<f64>,
    nearest: Option<f64>,
    prompt_tokens_p50: f64,
    answer_ms_p50: f64,
    answer_ms_p95: f64,
    retrieval_ms_p50: f64,
    retrieval_ms_p95: f64,
}

/// By language, then in the order of the ways.
pub(crate) fn figures(outcomes: &[Outcome], variants: &[Variant]) -> Vec<Figures> {
    let mut figures = Vec::new();
    for language in Language::ALL {
        let of = |variant: Variant| -> Vec<&Outcome> {
            let is = |outcome: &&Outcome| outcome.place.language == language && outcome.variant == variant;
            outcomes.iter().filter(is).collect()
        };
        let base = of(Variant::FileOnly);
        for &variant in variants {
            let own = of(variant);
            if !own.is_empty() {
                figures.push(figures_of(language, variant, &own, &base));
            }
        }
    }
    figures
}

fn figures_of(language: Language, variant: Variant, own: &[&Outcome], base: &[&Outcome]) -> Figures {
    let all = |value: fn(&Outcome) -> f64| own.iter().map(|outcome| value(outcome)).collect::<Vec<_>>();
    // Both lists are in the order of the places.
    let difference = |value: fn(&Outcome) -> f64| {
        let pairs = own.iter().zip(base);
        let differences: Vec<f64> = pairs.map(|(own, base)| value(own) - value(base)).collect();
        (variant != Variant::FileOnly && !differences.is_empty()).then(|| bootstrap(&differences))
    };
    let exact = |outcome: &Outcome| part(outcome.exact);
    let named = |outcome: &Outcome| part(outcome.named);
    let with_snippets = own.iter().any(|outcome| outcome.has_snippets);
    let recall_at =
        |index: usize| mean(&own.iter().map(|outcome| part(outcome.recalled[index])).collect::<Vec<_>>());
    let answer_ms = Quantiles::of(all(|outcome| outcome.answered.ms));
    let retrieval_ms = Quantiles::of(all(|outcome| outcome.retrieval_ms));
    #[expect(clippy::cast_precision_loss, reason = "tokens of a prompt")]
    let prompt_tokens = Quantiles::of(all(|outcome| outcome.answered.prompt_tokens as f64));
    Figures {
        language,
        variant: variant.name(),
        places: own.len(),
        exact: mean(&all(exact)),
        exact_difference: difference(exact),
        named: mean(&all(named)),
        named_difference: difference(named),
        similarity: mean(&all(|outcome| outcome.similarity)),
        similarity_difference: difference(|outcome| outcome.similarity),
        recall: with_snippets.then(|| RANKS.iter().copied().zip((0..RANKS.len()).map(recall_at)).collect()),
        recall_in_prompt: with_snippets.then(|| mean(&all(|outcome| part(outcome.recalled_in_prompt)))),
        nearest: with_snippets.then(|| mean(&all(|outcome| outcome.nearest))),
        prompt_tokens_p50: prompt_tokens.median(),
        answer_ms_p50: answer_ms.median(),
        answer_ms_p95: answer_ms.at(95),
        retrieval_ms_p50: retrieval_ms.median(),
        retrieval_ms_p95: retrieval_ms.at(95),
    }
}

fn part(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// As BENCHMARKS.md has them; without answers, what was found alone.
pub(crate) fn print(outcomes: &[Outcome], variants: &[Variant], with_answers: bool) {
    let figures = figures(outcomes, variants);
    for language in Language::ALL {
        let rows: Vec<&Figures> = figures.iter().filter(|figures| figures.language == language).collect();
        let Some(first) = rows.first() else { continue };
        if with_answers {
            print_answers(language, first.places, &rows);
        }
        if rows.iter().all(|row| row.recall.is_none()) {
            continue;
        }
        println!(
            "\n| {}, {} places: the declaration is among the first | 1 | 3 | 5 | 10 | in the prompt | the line most alike | chosen in, p50 | p95 |\n\
             |---|---|---|---|---|---|---|---|---|",
            language.name(),
            first.places
        );
        for row in &rows {
            let (Some(recall), Some(in_prompt), Some(nearest)) =
                (&row.recall, row.recall_in_prompt, row.nearest)
            else {
                continue;
            };
            let recall: Vec<String> = recall.values().map(|part| format!("{:.0} %", part * 100.0)).collect();
            println!(
                "| {} | {} | {:.0} % | {nearest:.3} | {:.1} ms | {:.1} ms |",
                row.variant,
                recall.join(" | "),
                in_prompt * 100.0,
                row.retrieval_ms_p50,
                row.retrieval_ms_p95
            );
        }
    }
}

fn print_answers(language: Language, places: usize, rows: &[&Figures]) {
    println!(
        "\n| {}, {} places | exact | to file only (95 %) | has the name | to file only (95 %) | similarity | \
             to file only (95 %) | prompt tokens, p50 | p50 | p95 |\n|---|---|---|---|---|---|---|---|---|---|",
        language.name(),
        places
    );
    for row in rows {
        println!(
            "| {} | {:.1} % | {} | {:.1} % | {} | {:.3} | {} | {:.0} | {:.0} ms | {:.0} ms |",
            row.variant,
            row.exact * 100.0,
            interval(row.exact_difference, 100.0, 1),
            row.named * 100.0,
            interval(row.named_difference, 100.0, 1),
            row.similarity,
            interval(row.similarity_difference, 1.0, 3),
            row.prompt_tokens_p50,
            row.answer_ms_p50,
            row.answer_ms_p95,
        );
    }
}

fn interval(difference: Option<(f64, [f64; 2])>, scale: f64, digits: usize) -> String {
    difference.map_or_else(String::new, |(mean, [low, high])| {
        let [mean, low, high] = [mean, low, high].map(|value| value * scale);
        format!("{mean:+.digits$} ({low:+.digits$} to {high:+.digits$})")
    })
}

/// Place by place.
pub(crate) fn show(outcomes: &[Outcome]) {
    let mut last = "";
    for outcome in outcomes {
        let place = &outcome.place;
        if place.id != last {
            last = &place.id;
            let definitions: Vec<String> = place
                .definitions
                .iter()
                .map(|definition| format!("{}:{}", definition.file, definition.line))
                .collect();
            println!(
                "\n{} {}:{} needs {} of {}",
                place.corpus,
                place.file,
                place.line,
                place.name,
                definitions.join(", ")
            );
            println!("  {:10}   {}", "", place.expected);
        }
        let mark = if outcome.exact { "=" } else { " " };
        let told = if outcome.recalled_in_prompt { "*" } else { " " };
        println!("  {:10}{told}{mark} {}", outcome.variant.name(), first_line(&outcome.answered.text));
    }
}
