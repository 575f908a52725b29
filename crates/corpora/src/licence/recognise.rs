//! Texts of licences, by their likeness to SPDX's.
//!
//! Two texts are alike by the pairs of words that follow each other in both (Dice's coefficient over multisets). That
//! alone would call a licence with one more condition by the licence's name; so the words on which permissions turn
//! ("not", "must", "only", "commercial", …) must be the same in number too. What is not recognised has no name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::words;

/// A longer text is no licence's.
pub(crate) const TEXT_BYTES_MAX: usize = 256 << 10;
/// Likeness, in thousandths, from which a text is a licence's.
const LIKENESS_MIN: u16 = 940;
/// Likeness from which the best is meant, and no other.
const LIKENESS_SURE: u16 = 995;
/// Below that, how much less like another text must be for it not to be meant.
const LIKENESS_MARGIN: u16 = 3;
/// Words that may stand before and after a licence's own: a title, who holds the copyright.
const OUTER_WORDS_MAX: usize = 150;
/// A text of fewer words names nothing.
const WORDS_MIN: usize = 18;

/// Words on which permissions and conditions turn.
const TURNS: &[&str] = &[
    "not",
    "no",
    "only",
    "except",
    "unless",
    "must",
    "shall",
    "may",
    "without",
    "neither",
    "nor",
    "cannot",
    "never",
    "commercial",
    "commercially",
    "noncommercial",
    "non",
    "prohibited",
    "forbidden",
    "restricted",
    "restriction",
    "restrictions",
    "military",
    "good",
    "evil",
    "exception",
    "exceptions",
    "additional",
    "notwithstanding",
    "however",
    "provided",
    "academic",
    "research",
    "evaluation",
    "internal",
    "fee",
    "royalty",
    "permitted",
    "required",
];

/// Where well-known short licences begin and end, to find one among titles, or inside a comment.
const BOUNDS: &[(&str, &str)] = &[
    ("permission is hereby granted free of charge", "other dealings in the software"),
    ("permission is hereby granted free of charge", "from the x consortium"),
    ("redistribution and use in source and binary forms", "advised of the possibility of such damage"),
    ("redistribution and use in source and binary forms", "of the possibility of such damage"),
    ("permission to use copy modify and or distribute this software", "use or performance of this software"),
    ("permission to use copy modify and distribute this software", "use or performance of this software"),
    ("this software is provided as is without any express", "altered from any source distribution"),
    (
        "permission is hereby granted free of charge to any person or organization",
        "other dealings in the software",
    ),
    ("this is free and unencumbered software", "please refer to http unlicense org"),
];

/// Between which words a party's name stands.
const PARTIES: &[(&str, &str)] = &[
    ("is provided by", "as is"),
    ("in no event shall", "be liable"),
    ("in no event will", "be liable"),
    ("neither the name of", "nor the names"),
    ("neither the name of", "nor the name of"),
    ("neither the name", "nor the names"),
];
const PARTY_WORDS_MAX: usize = 16;

/// Words that go on with a licence behind what looks like its end.
const CONTINUES: &[&str] = &["except as contained in this notice", "the views and conclusions contained"];

/// What a text was recognised as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recognised {
    /// Names that this text may stand for, sorted. A text of the GNU licences does not say whether later versions are
    /// allowed, so it stands for two.
    pub(crate) expressions: Vec<String>,
    /// In thousandths.
    pub(crate) likeness: u16,
}

/// One of SPDX's texts.
struct Template {
    expressions: Vec<String>,
    text: Shape,
}

/// What is compared of a text.
#[derive(PartialEq, Eq)]
struct Shape {
    words: Vec<u64>,
    pairs: Vec<u64>,
    turns: Vec<u32>,
}

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(templates);
static BOUNDING_WORDS: LazyLock<Vec<(Vec<u64>, Vec<u64>)>> =
    LazyLock::new(|| BOUNDS.iter().map(|(from, to)| (hashes(from), hashes(to))).collect());
static PARTIES_HASHES: LazyLock<Vec<(Vec<u64>, Vec<u64>)>> =
    LazyLock::new(|| PARTIES.iter().map(|(from, to)| (hashes(from), hashes(to))).collect());
static CONTINUES_HASHES: LazyLock<Vec<Vec<u64>>> =
    LazyLock::new(|| CONTINUES.iter().map(|phrase| hashes(phrase)).collect());
static TURN_HASHES: LazyLock<Vec<u64>> = LazyLock::new(|| TURNS.iter().map(|word| hash(word)).collect());

/// The licence that a whole text is, but for its title and who holds the copyright.
pub(crate) fn text(bytes: &[u8]) -> Option<Recognised> {
    if bytes.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let words = hashes(&without_notices(&text));
    if words.len() < WORDS_MIN {
        return None;
    }
    if let Some(found) = nearest(&Shape::new(words.clone())) {
        return Some(found);
    }
    BOUNDING_WORDS.iter().find_map(|(from, to)| {
        let (start, end) = bounded(&words, from, to)?;
        let outer: Vec<u64> = words[..start].iter().chain(&words[end..]).copied().collect();
        let idle = outer.len() <= OUTER_WORDS_MAX && Shape::new(outer).turns.iter().all(|count| *count == 0);
        if !idle {
            return None;
        }
        // A second licence may follow; its words would be outside, or inside.
        nearest(&Shape::new(words[start..end].to_vec()))
    })
}

/// Short licences whose whole text stands among these words, each with the place of its first word.
pub(crate) fn inside(words: &[u64]) -> Vec<(Recognised, usize)> {
    let mut found: Vec<(Recognised, usize, usize)> = Vec::new();
    for (from, to) in BOUNDING_WORDS.iter() {
        let Some((start, end)) = bounded(words, from, to) else { continue };
        if CONTINUES_HASHES.iter().any(|more| words[end..].starts_with(more)) {
            continue;
        }
        if let Some(recognised) = nearest(&Shape::new(words[start..end].to_vec())) {
            found.push((recognised, start, end));
        }
    }
    // Of those that begin at one place, the longest: it holds the others.
    found.sort_by(|a, b| (a.1, b.2).cmp(&(b.1, a.2)));
    found.dedup_by_key(|(_, start, _)| *start);
    found.into_iter().map(|(recognised, start, _)| (recognised, start)).collect()
}

/// Whether a short licence begins among these words, recognised or not.
pub(crate) fn begins(words: &[u64]) -> bool {
    BOUNDING_WORDS.iter().any(|(from, _)| place(words, from).is_some())
}

/// The exceptions whose text stands among these words.
pub(crate) fn exceptions(words: &[u64]) -> Vec<&'static str> {
    static TEXTS: LazyLock<Vec<(&str, Vec<u64>)>> = LazyLock::new(|| {
        let texts = spdx::text::EXCEPTION_TEXTS
            .iter()
            .filter(|(name, _)| spdx::exception_id(name).is_some_and(|id| !id.is_deprecated()));
        texts.map(|(name, text)| (*name, pairs(&hashes(text)))).collect()
    });
    let these = pairs(words);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (name, pairs) in TEXTS.iter() {
        if pairs.len() >= 12 && pairs.len() <= these.len() && shared(&these, pairs) * 100 >= pairs.len() * 95
        {
            found.push((pairs.len(), name));
        }
    }
    // One exception's text may hold another's.
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, name)| name).take(1).collect()
}

/// The place of the first of `phrase`'s words in `words`.
pub(crate) fn place(words: &[u64], phrase: &[u64]) -> Option<usize> {
    words.windows(phrase.len().max(1)).position(|window| window == phrase)
}

/// The words of a text, each as a number.
pub(crate) fn hashes(text: &str) -> Vec<u64> {
    let mut hashes = Vec::new();
    words::each(text, |word, _| hashes.push(hash(word)));
    hashes
}

/// A word as a number (FNV-1a, 64 bits).
pub(crate) fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// From the first word of `from` to the last of the next `to`.
fn bounded(words: &[u64], from: &[u64], to: &[u64]) -> Option<(usize, usize)> {
    let start = place(words, from)?;
    let end = start + place(&words[start..], to)? + to.len();
    Some((start, end))
}

fn nearest(shape: &Shape) -> Option<Recognised> {
    let mut best: u16 = 0;
    let mut alike: Vec<(u16, &Template)> = Vec::new();
    for template in TEMPLATES.iter() {
        let (a, b) = (shape.pairs.len(), template.text.pairs.len());
        // Beyond this, no likeness is enough.
        if a * 100 < b * 88 || b * 100 < a * 88 {
            continue;
        }
        let likeness = shared(&shape.pairs, &template.text.pairs) * 2000 / (a + b).max(1);
        let likeness = u16::try_from(likeness).unwrap_or(0);
        best = best.max(likeness);
        if likeness >= LIKENESS_MIN {
            alike.push((likeness, template));
        }
    }
    // One that is nearly as like may be what is meant, unless the best is all but equal.
    let least = if best >= LIKENESS_SURE { best } else { best.saturating_sub(LIKENESS_MARGIN) };
    let of_best: Vec<&Template> = alike
        .into_iter()
        .filter(|(likeness, template)| *likeness >= least && template.text.turns == shape.turns)
        .map(|(_, template)| template)
        .collect();
    if of_best.is_empty() {
        return None;
    }
    let mut expressions: Vec<String> =
        of_best.iter().flat_map(|template| template.expressions.iter().cloned()).collect();
    expressions.sort();
    expressions.dedup();
    Some(Recognised { expressions, likeness: best })
}

impl Shape {
    fn new(words: Vec<u64>) -> Shape {
        let words = without_parties(&words);
        let turns = TURN_HASHES
            .iter()
            .map(|turn| u32::try_from(words.iter().filter(|word| *word == turn).count()).unwrap_or(u32::MAX))
            .collect();
        Shape { pairs: pairs(&words), turns, words }
    }
}

/// Without the names of those who license or disclaim, which SPDX's texts let everybody put in.
fn without_parties(words: &[u64]) -> Vec<u64> {
    let mut kept = Vec::with_capacity(words.len());
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        let named = PARTIES_HASHES.iter().find_map(|(before, behind)| {
            let after = rest.strip_prefix(before.as_slice())?;
            let length = place(&after[..after.len().min(PARTY_WORDS_MAX)], behind)?;
            // A condition among the names is none.
            let is_name = !after[..length].iter().any(|word| TURN_HASHES.contains(word));
            is_name.then_some((before, &after[length..]))
        });
        match named {
            Some((before, after)) => {
                kept.extend(before);
                rest = after;
            }
            None => {
                kept.push(*first);
                rest = after;
            }
        }
    }
    kept
}

/// The pairs of neighbours, sorted.
fn pairs(words: &[u64]) -> Vec<u64> {
    let mut pairs: Vec<u64> =
        words.windows(2).map(|pair| pair[0].rotate_left(21).wrapping_add(pair[1])).collect();
    pairs.sort_unstable();
    pairs
}

/// How many of two sorted lists are the same.
fn shared(mut a: &[u64], mut b: &[u64]) -> usize {
    let mut shared = 0;
    while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
        match first_a.cmp(first_b) {
            std::cmp::Ordering::Less => a = rest_a,
            std::cmp::Ordering::Greater => b = rest_b,
            std::cmp::Ordering::Equal => {
                shared += 1;
                (a, b) = (rest_a, rest_b);
            }
        }
    }
    shared
}

/// Without the lines that say who holds the copyright, and that all rights are reserved.
fn without_notices(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let bare = line
            .trim_start_matches(|letter: char| !letter.is_alphanumeric() && letter != '(' && letter != '©');
        let small = bare.chars().take(120).collect::<String>().to_lowercase();
        let small = small.trim();
        // Followed by a year, a sign or a place to fill in: the word alone may be in the middle of a sentence, and (c) be
        // a condition's letter.
        let after = ["copyright", "(c)", "©"].iter().find_map(|word| small.strip_prefix(word));
        let after = after.map(|after| after.trim_start_matches([':', ' ', ',']));
        let is_notice = after.is_some_and(|after| {
            after.starts_with(|letter: char| {
                letter.is_ascii_digit() || matches!(letter, '<' | '[' | '{' | '©')
            }) || after.starts_with("(c)")
                || after.starts_with("copyright")
                || after.starts_with("by ")
        });
        if is_notice || small.starts_with("spdx-") || small.trim_end_matches('.') == "all rights reserved" {
            kept.push('\n');
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// SPDX's texts, with and without what follows their terms.
fn templates() -> Vec<Template> {
    let mut by_text: BTreeMap<Vec<u64>, Vec<String>> = BTreeMap::new();
    let mut note = |text: &str, name: String| {
        let words = hashes(&without_notices(text));
        if words.len() >= WORDS_MIN {
            by_text.entry(words).or_default().push(name);
        }
    };
    for (name, text) in spdx::text::LICENSE_TEXTS {
        if spdx::license_id(name).is_none_or(|id| id.is_deprecated()) {
            continue;
        }
        note(text, (*name).to_owned());
        if let Some(end) = end_of_terms(text) {
            note(&text[..end], (*name).to_owned());
        }
        if let Some(after) = text.trim_start().split_once('\n').map(|(_, after)| after) {
            // Without the title.
            note(after, (*name).to_owned());
        }
        if *name == "Apache-2.0" {
            for (exception, more) in spdx::text::EXCEPTION_TEXTS {
                if *exception == "LLVM-exception" {
                    let title = "--- LLVM Exceptions to the Apache 2.0 License ----";
                    note(&format!("{text}\n{title}\n{more}"), format!("{name} WITH {exception}"));
                    if let Some(end) = end_of_terms(text) {
                        note(
                            &format!("{}\n{title}\n{more}", &text[..end]),
                            format!("{name} WITH {exception}"),
                        );
                    }
                }
            }
        }
    }
    by_text
        .into_iter()
        .map(|(words, expressions)| Template { expressions, text: Shape::new(words) })
        .collect()
}

fn end_of_terms(text: &str) -> Option<usize> {
    const END: &str = "END OF TERMS AND CONDITIONS";
    text.find(END).map(|at| at + END.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> String {
        spdx::license_id(name).map(|id| id.text().to_owned()).unwrap_or_default()
    }

    fn check(given: &str, expected: &[&str]) {
        let found = text(given.as_bytes()).map(|found| found.expressions).unwrap_or_default();
        assert_eq!(found, expected, "{}", given.chars().take(60).collect::<String>());
    }

    #[test]
    fn every_text_of_the_list_is_itself() {
        let mut others = Vec::new();
        for (name, given) in spdx::text::LICENSE_TEXTS {
            let Some(id) = spdx::license_id(name) else { continue };
            if id.is_deprecated() || given.len() > TEXT_BYTES_MAX {
                continue;
            }
            let Some(found) = text(given.as_bytes()) else { continue };
            if !found.expressions.iter().any(|found| found == name) {
                others.push((*name, found.expressions));
            }
        }
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn a_text_with_a_title_and_a_holder() {
        let mit = named("MIT").replace("<year> <copyright holders>", "2019 The Someone Project Developers");
        check(&mit, &["MIT"]);
        check(&format!("# The MIT License (MIT)\n\nSomeone, and the contributors of it\n{mit}"), &["MIT"]);
        check(&mit.replace("MIT License", ""), &["MIT"]);
        check(&named("Apache-2.0"), &["Apache-2.0"]);
        check(&named("GPL-3.0-only"), &["GPL-3.0-only", "GPL-3.0-or-later"]);
    }

    #[test]
    fn one_more_condition_is_another_licence() {
        let mit = named("MIT");
        for more in [
            "The Software may not be used for military purposes.",
            "Use is permitted for evaluation.",
            "Commercial use needs a permission of its own.",
        ] {
            check(&format!("{mit}\n{more}\n"), &[]);
            check(&format!("{more}\n{mit}\n"), &[]);
        }
        check(&mit.replace("without restriction", "with restriction"), &[]);
        let clause = "\"Commons Clause\" License Condition v1.0\nThe Software is provided to you under the License, \
            without the right to Sell the Software.";
        check(&format!("{clause}\n\n{}", named("Apache-2.0")), &[]);
    }

    #[test]
    fn who_disclaims_makes_no_other_licence() {
        let two = named("BSD-2-Clause").replace("THE COPYRIGHT HOLDERS AND CONTRIBUTORS", "THE AUTHOR");
        check(&two, &["BSD-2-Clause"]);
        let x11 = named("X11");
        check(&x11, &["X11"]);
        let (mit, _) = x11.split_once("Except as contained").unwrap_or_default();
        assert!(inside(&hashes(&x11)).iter().all(|(found, _)| found.expressions == ["X11"]));
        assert_eq!(
            inside(&hashes(mit)).first().map(|(found, _)| found.expressions.clone()),
            Some(vec!["MIT".into()])
        );
    }

    #[test]
    fn no_licence() {
        check("", &[]);
        check("Copyright 2020 Someone. All rights reserved.", &[]);
        check(&"word ".repeat(5000), &[]);
        check(
            "This project is under the MIT licence or the Apache licence, at your option. See LICENSE-MIT.",
            &[],
        );
    }
}
