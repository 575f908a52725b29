//! Finding: in the sources that one person may read, and nowhere else.

pub(crate) mod chat;
pub(crate) mod fill;
pub(crate) mod search;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::Digest;
use serde::Serialize;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, Searcher, TantivyDocument, Term};

use crate::file::DocumentPlace;
use crate::index::{IndexError, Opened, number, text};
use crate::schema::CHUNK;
use crate::sources::{Readable, Source};
use crate::statistics::Statistics;

/// Words of a query at most.
const WORDS_MAX: usize = 48;
/// In reciprocal rank fusion: how little the first ranks differ.
const FUSION_RANK: f64 = 8.0;

/// What was found for a request, most useful first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    /// Passages; whoever makes the prompt takes as many of the first as fit.
    pub passages: Vec<Passage>,
    /// The versions of all indexes that were asked.
    pub versions: Vec<Version>,
}

/// An index that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The source's name.
    pub source: String,
    /// The commit; empty for a folder.
    pub revision: String,
    /// Of the index's files.
    pub version: Digest,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passage {
    /// The source's name.
    pub source: String,
    /// The commit; empty for a folder.
    pub revision: String,
    /// From the source's root.
    pub path: String,
    /// Language or format.
    pub language: String,
    /// The first line, from 1; 0 in a document without lines.
    pub first_line: u32,
    /// The last line.
    pub last_line: u32,
    /// First and last lines of the parts that it was put together from; empty where it is one piece.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(u32, u32)>,
    /// The page, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The page, as the document numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_label: Option<String>,
    /// Outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
    /// A sheet and its rows, or a requirement, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// What it is, qualified; perhaps nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The text.
    pub text: String,
    /// For comparing passages of one request.
    pub score: f64,
    /// Why it was chosen.
    pub why: Vec<Why>,
    /// Labels of its source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What in it looks as if it addressed the assistant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicious: Option<String>,
}

impl Passage {
    /// A whole text of a file, nothing else of it known.
    pub fn of_text(source: String, path: String, text: String) -> Passage {
        Passage {
            source,
            revision: String::new(),
            path,
            language: String::new(),
            first_line: 0,
            last_line: 0,
            parts: Vec::new(),
            page: None,
            page_label: None,
            headings: Vec::new(),
            place: String::new(),
            name: String::new(),
            text,
            score: 0.0,
            why: Vec::new(),
            labels: Vec::new(),
            suspicious: None,
        }
    }

    /// As prompts name it.
    pub fn file_name(&self) -> String {
        format!("{}/{}", self.source, self.path)
    }

    /// Where it stands, as people read it: lines, or page and heading.
    pub fn place_text(&self) -> String {
        let mut parts = Vec::new();
        if self.first_line > 0 {
            parts.push(format!("lines {} to {}", self.first_line, self.last_line));
        }
        if let Some(page) = self.page {
            let label = self.page_label.as_ref().filter(|label| **label != page.to_string());
            parts.push(format!("page {page}{}", label.map(|l| format!(" (\"{l}\")")).unwrap_or_default()));
        }
        if !self.place.is_empty() {
            parts.push(self.place.clone());
        }
        if let Some(heading) = self.headings.last() {
            parts.push(format!("under \"{heading}\""));
        }
        parts.join(", ")
    }
}

/// Why something was chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It defines a name that stands near the cursor, or in the question.
    Defines(String),
    /// It defines the type of something that stands at the cursor.
    TypeOf(String),
    /// It declares what is being written.
    Declares(String),
    /// A definition that was chosen names it.
    NeededBy(String),
    /// It is in the unit that is named before the cursor.
    InUnit(String),
    /// It has words in common with the text around the cursor, or with the question.
    Similar,
    /// It uses a name.
    Uses(String),
    /// Its file is named in the question.
    Named(String),
    /// It is the coding rules of the repository that is asked about.
    Rules,
}

/// What looking things up cost. It depends on what somebody may read only.
#[derive(Clone, Debug, Default)]
pub struct Work(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    lookups: AtomicU64,
    documents: AtomicU64,
}

impl Work {
    /// Queries, each of one index.
    pub fn lookups(&self) -> u64 {
        self.0.lookups.load(Ordering::Relaxed)
    }

    /// Documents of indexes that were read.
    pub fn documents(&self) -> u64 {
        self.0.documents.load(Ordering::Relaxed)
    }
}

/// A document that a query found.
#[derive(Clone, Debug)]
pub(crate) struct Hit<'a> {
    pub(crate) source: &'a Source,
    pub(crate) opened: &'a Opened,
    pub(crate) document: TantivyDocument,
    pub(crate) score: f64,
}

impl Hit<'_> {
    pub(crate) fn text(&self, field: impl Fn(&crate::schema::Fields) -> Field) -> &str {
        text(&self.document, field(&self.opened.fields)).unwrap_or_default()
    }

    pub(crate) fn number(&self, field: impl Fn(&crate::schema::Fields) -> Field) -> u32 {
        u32::try_from(number(&self.document, field(&self.opened.fields))).unwrap_or(u32::MAX)
    }

    pub(crate) fn path(&self) -> &str {
        self.text(|fields| fields.path)
    }

    pub(crate) fn lines(&self) -> (u32, u32) {
        (self.number(|fields| fields.first), self.number(|fields| fields.last))
    }

    /// Whether one of the file's library units is among them.
    pub(crate) fn is_in(&self, units: &BTreeSet<String>) -> bool {
        use tantivy::schema::Value;
        let mut of_file = self.document.get_all(self.opened.fields.unit);
        of_file.any(|unit| unit.as_str().is_some_and(|unit| units.contains(unit)))
    }

    /// Ties are broken by what it is, so that the order is the same each time.
    pub(crate) fn place(&self) -> (&str, &str, (u32, u32)) {
        (&self.source.facts.name, self.path(), self.lines())
    }

    pub(crate) fn passage(&self, why: Why) -> Passage {
        let place = serde_json::from_str(self.text(|fields| fields.place));
        let DocumentPlace { page, page_label, headings, place } = place.unwrap_or_default();
        let (first_line, last_line) = self.lines();
        let suspicious = Some(self.text(|fields| fields.suspicious)).filter(|what| !what.is_empty());
        Passage {
            source: self.source.facts.name.clone(),
            revision: self.opened.summary.revision.clone(),
            path: self.path().to_owned(),
            language: self.text(|fields| fields.language).to_owned(),
            first_line,
            last_line,
            parts: Vec::new(),
            page,
            page_label,
            headings,
            place,
            name: self.text(|fields| fields.name).to_owned(),
            text: self.text(|fields| fields.text).to_owned(),
            score: self.score,
            why: vec![why],
            labels: self.source.facts.labels.clone(),
            suspicious: suspicious.map(str::to_owned),
        }
    }
}

/// Words to look for, each with its weight.
pub(crate) type Words = Vec<(String, f32)>;

impl Readable {
    pub(crate) fn opened(&self) -> impl Iterator<Item = (&Source, &Opened)> {
        self.sources.iter().filter_map(|source| source.opened.as_ref().map(|opened| (&**source, opened)))
    }

    /// The versions of all indexes that are asked.
    pub fn versions(&self) -> Vec<Version> {
        let version = |(source, opened): (&Source, &Opened)| Version {
            source: source.facts.name.clone(),
            revision: opened.summary.revision.clone(),
            version: opened.version,
        };
        self.opened().map(version).collect()
    }

    /// The best `count` of all sources together.
    pub(crate) fn find(
        &self,
        count: usize,
        query: impl Fn(&Opened) -> Box<dyn Query>,
    ) -> Result<Vec<Hit<'_>>, IndexError> {
        let searchers: Vec<&Searcher> = self.opened().map(|(_, opened)| &opened.searcher).collect();
        let statistics = Statistics(searchers);
        let mut all: Vec<(f64, &Source, &Opened, DocAddress)> = Vec::new();
        for (source, opened) in self.opened() {
            self.work.0.lookups.fetch_add(1, Ordering::Relaxed);
            let collector = TopDocs::with_limit(count).order_by_score();
            let query = query(opened);
            let found = opened.searcher.search_with_statistics_provider(&*query, &collector, &statistics)?;
            all.extend(found.into_iter().map(|(score, at)| (f64::from(score), source, opened, at)));
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.truncate(count);
        let mut hits = Vec::with_capacity(all.len());
        for (score, source, opened, at) in all {
            self.work.0.documents.fetch_add(1, Ordering::Relaxed);
            hits.push(Hit { source, opened, document: opened.searcher.doc(at)?, score });
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.place().cmp(&b.place())));
        Ok(hits)
    }

    /// Pieces with those words, best first.
    pub(crate) fn similar(&self, words: &Words, count: usize) -> Result<Vec<Hit<'_>>, IndexError> {
        self.with_words(CHUNK, words, None, count)
    }

    /// Documents of a class with those words, best first; only those of some library units, where they are given.
    pub(crate) fn with_words(
        &self,
        class: &str,
        words: &Words,
        units: Option<&BTreeSet<String>>,
        count: usize,
    ) -> Result<Vec<Hit<'_>>, IndexError> {
        if words.is_empty() || units.is_some_and(BTreeSet::is_empty) {
            return Ok(Vec::new());
        }
        self.find(count, |opened| {
            let of = |field: Field, text: &str, option| -> Box<dyn Query> {
                Box::new(TermQuery::new(Term::from_field_text(field, text), option))
            };
            // What a document must be says nothing of how good it is.
            let must = |query: Box<dyn Query>| -> (Occur, Box<dyn Query>) {
                (Occur::Must, Box::new(ConstScoreQuery::new(query, 0.0)))
            };
            let word = |(word, weight): &(String, f32)| -> (Occur, Box<dyn Query>) {
                let query = of(opened.fields.body, word, IndexRecordOption::WithFreqs);
                (Occur::Should, Box::new(BoostQuery::new(query, *weight)))
            };
            let words: Vec<_> = words.iter().map(word).collect();
            let mut parts = vec![
                must(of(opened.fields.class, class, IndexRecordOption::Basic)),
                (Occur::Must, Box::new(BooleanQuery::new(words))),
            ];
            if let Some(units) = units {
                let unit =
                    |unit: &String| (Occur::Should, of(opened.fields.unit, unit, IndexRecordOption::Basic));
                parts.push(must(Box::new(BooleanQuery::new(units.iter().map(unit).collect()))));
            }
            Box::new(BooleanQuery::new(parts))
        })
    }

    /// Definitions of a name, those in `units` first.
    pub(crate) fn definitions_of(
        &self,
        name: &str,
        units: &BTreeSet<String>,
        count: usize,
    ) -> Result<Vec<Hit<'_>>, IndexError> {
        self.find(count, |opened| {
            let basic = |field: Field, text: &str| -> Box<dyn Query> {
                Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
            };
            let mut parts = vec![(Occur::Must, basic(opened.fields.symbol, name))];
            for unit in units {
                let query = BoostQuery::new(basic(opened.fields.unit, unit), 4.0);
                parts.push((Occur::Should, Box::new(query)));
            }
            Box::new(BooleanQuery::new(parts))
        })
    }
}

/// Adds the words of a text, each once: what is there already keeps its weight.
pub(crate) fn words(text: &str, weight: f32, into: &mut Words, skip: impl Fn(&str) -> bool) {
    for token in languages::tokens(text) {
        if into.len() >= WORDS_MAX {
            break;
        }
        if token.text.len() < 2 || skip(&token.text) || into.iter().any(|(word, _)| *word == token.text) {
            continue;
        }
        into.push((token.text, weight));
    }
}

/// What a rank is worth when lists are put together.
pub(crate) fn fused(rank: usize, weight: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
    let rank = rank as f64;
    weight * FUSION_RANK / (FUSION_RANK + rank)
}
