//! For a question: files that it names, names that it uses, and passages with its words.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Passage, Why, Words, fused, words};
use crate::index::IndexError;
use crate::query::fill::order;
use crate::sources::Readable;

/// Bytes of a question that are looked at.
const QUESTION_BYTES_MAX: usize = 8192;
/// Names in a question that are looked up.
const NAMES_MAX: usize = 16;
/// Passages with its words.
const SIMILAR_MAX: usize = 16;
/// Passages that are handed on.
const PASSAGES_MAX: usize = 16;
/// Pieces of a file that is named.
const NAMED_MAX: usize = 6;
/// A passage has at least this share of the weight of the question's words, or it has too little to do with it.
const SHARE_MIN: f64 = 0.2;

/// Words that tell nothing of what a question is about.
const STOP_WORDS: &[&str] = &[
    "the", "and", "for", "are", "is", "in", "of", "to", "what", "which", "how", "does", "do", "can", "with",
    "this", "that", "from", "where", "when", "why", "who", "it", "be", "on", "as", "at", "by", "an", "or",
    "if", "me", "my", "we", "you", "our", "please", "show", "tell", "give", "write", "explain", "use",
    "used", "using", "code", "should", "would", "could", "there", "have", "has", "not", "all", "any", "into",
    "its", "about", "file", "function",
];

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct ChatQuery<'a> {
    /// The last that the person said.
    pub question: &'a str,
    /// From the source's root, if the client names a file.
    pub path: Option<&'a str>,
    /// The source's name, if the client names one.
    pub repository: Option<&'a str>,
}

impl Readable {
    /// What helps to answer a question.
    pub fn for_chat(&self, query: &ChatQuery<'_>) -> Result<Found, IndexError> {
        if self.is_empty() {
            return Ok(Found::default());
        }
        let mut found: BTreeMap<(String, String, u32, String), Passage> = BTreeMap::new();
        let mut take = |mut passage: Passage, score: f64| {
            let page = passage.page.map(|page| page.to_string()).unwrap_or_default();
            let head: String = passage.text.chars().take(40).collect();
            let place = (passage.source.clone(), passage.path.clone(), passage.first_line, page + &head);
            passage.score = score;
            match found.get_mut(&place) {
                Some(known) => {
                    known.score += score;
                    known.why.extend(passage.why);
                }
                None => {
                    found.insert(place, passage);
                }
            }
        };
        let question = head(query.question, QUESTION_BYTES_MAX);
        let words = question_words(question);
        let hits = self.similar(&words, SIMILAR_MAX)?;
        let best = hits.first().map_or(0.0, |hit| hit.score);
        for (rank, hit) in hits.into_iter().enumerate() {
            let text = format!("{} {}", hit.text(|fields| fields.text), hit.text(|fields| fields.place));
            if hit.score >= best * 0.3 && share(&words, &text) >= SHARE_MIN {
                let near = if query.repository == Some(hit.source.facts.name.as_str()) { 1.2 } else { 1.0 };
                take(hit.passage(Why::Similar), fused(rank, 1.0) * near);
            }
        }
        let nowhere = BTreeSet::new();
        for name in names(question).into_iter().take(NAMES_MAX) {
            for (rank, hit) in self.definitions_of(&name, &nowhere, 4)?.into_iter().enumerate() {
                take(hit.passage(Why::Defines(name.clone())), fused(rank, 1.2));
            }
        }
        for file in files(question).into_iter().take(4) {
            for (rank, hit) in self.of_file(&file, &words, NAMED_MAX)?.into_iter().enumerate() {
                take(hit.passage(Why::Named(file.clone())), fused(rank, 1.5));
            }
        }
        let mut passages: Vec<Passage> = found.into_values().collect();
        passages.sort_by(order);
        passages.truncate(PASSAGES_MAX);
        Ok(Found { passages, versions: self.versions() })
    }
}

fn head(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

fn question_words(question: &str) -> Words {
    let mut found = Words::new();
    words(question, 1.0, &mut found, |word| word.len() < 2 || STOP_WORDS.contains(&word));
    found
}

/// The share of the words that a text has.
fn share(words: &Words, text: &str) -> f64 {
    let there: BTreeSet<String> = languages::tokens(text).map(|token| token.text).collect();
    let total: f32 = words.iter().map(|(_, weight)| weight).sum();
    let found: f32 = words.iter().filter(|(word, _)| there.contains(word)).map(|(_, weight)| weight).sum();
    f64::from(found / total.max(f32::MIN_POSITIVE))
}

/// What looks like a name of code, as spelled and without case.
fn names(question: &str) -> Vec<String> {
    let mut names = Vec::new();
    for word in question.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | ':')) {
        let word = word.trim_matches(|c: char| matches!(c, '.' | ':'));
        let inner_capital =
            word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase);
        let is_name = word.len() > 2 && (word.contains(['_', '.']) || word.contains("::") || inner_capital);
        if !is_name {
            continue;
        }
        let simple = word.rsplit(['.', ':']).next().unwrap_or(word);
        for name in [word.to_owned(), word.to_lowercase(), simple.to_owned(), simple.to_lowercase()] {
            if name.len() > 2 && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// What looks like a file's name.
fn files(question: &str) -> Vec<String> {
    let mut files = Vec::new();
    for word in question.split(|c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'' | ',' | '(' | ')'))
    {
        let word = word.trim_matches(|c: char| matches!(c, '.' | ':' | '?' | '!' | ';'));
        let end = word.rsplit_once('.').map_or("", |(_, end)| end);
        let is_file = (1..=8).contains(&end.len()) && end.chars().all(char::is_alphanumeric);
        if is_file && word.len() > 3 && !files.iter().any(|file| file == word) {
            files.push(word.to_owned());
        }
    }
    files
}
