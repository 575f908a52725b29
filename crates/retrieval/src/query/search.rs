//! For people, and for tools that act in their name: search, definitions, references, and reading a file.

use std::collections::BTreeSet;

use serde::Serialize;
use tantivy::Term;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::IndexRecordOption;

use super::{Hit, Passage, Why, Words, words};
use crate::index::IndexError;
use crate::schema::{CHUNK, SUSPICIOUS};
use crate::sources::Readable;

/// What one answer holds at most.
const COUNT_MAX: usize = 100;
/// Pieces of a file that are read.
const FILE_CHUNKS_MAX: usize = 20_000;
/// Lines that are read at once.
const LINES_MAX: u32 = 2000;
/// Bytes of coding rules that go into a prompt.
const RULES_BYTES_MAX: usize = 3 << 10;

/// Where a name is defined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Definition {
    /// The source's name.
    pub source: String,
    /// The commit; empty for a folder.
    pub revision: String,
    /// From the source's root.
    pub path: String,
    /// The language.
    pub language: String,
    /// Qualified, as spelled.
    pub name: String,
    /// What it is, as `function`.
    pub kind: String,
    /// The first line, from 1.
    pub first_line: u32,
    /// The last line.
    pub last_line: u32,
    /// Whether it is a body, and not a declaration.
    pub is_body: bool,
    /// What a caller needs of it.
    pub signature: String,
    /// What stands beside it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Lines of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadLines {
    /// The source's name.
    pub source: String,
    /// The commit; empty for a folder.
    pub revision: String,
    /// From the source's root.
    pub path: String,
    /// The first line, from 1.
    pub first_line: u32,
    /// The last line.
    pub last_line: u32,
    /// Their text. Of a document, its passages.
    pub text: String,
}

impl Readable {
    /// Pieces with the words of a query, best first; in one source, or in all.
    pub fn search(
        &self,
        query: &str,
        source: Option<&str>,
        count: usize,
    ) -> Result<Vec<Passage>, IndexError> {
        let mut wanted = Words::new();
        words(query, 1.0, &mut wanted, |_| false);
        let only = self.only(source);
        let hits = only.similar(&wanted, count.min(COUNT_MAX))?;
        Ok(hits.iter().map(|hit| hit.passage(Why::Similar)).collect())
    }

    /// Where a name is defined, declarations first.
    pub fn definitions(&self, name: &str, count: usize) -> Result<Vec<Definition>, IndexError> {
        let mut found: Vec<Definition> = Vec::new();
        for name in spellings(name) {
            for hit in self.definitions_of(&name, &BTreeSet::new(), count.min(COUNT_MAX))? {
                let definition = definition(&hit);
                if !found.contains(&definition) {
                    found.push(definition);
                }
            }
        }
        found.sort_by_cached_key(|found| {
            (found.is_body, found.source.clone(), found.path.clone(), found.first_line)
        });
        found.truncate(count);
        Ok(found)
    }

    /// Pieces that use a name.
    pub fn references(&self, name: &str, count: usize) -> Result<Vec<Passage>, IndexError> {
        let names = spellings(name);
        let hits = self.find(count.min(COUNT_MAX), |opened| {
            let uses = |name: &String| {
                let term = Term::from_field_text(opened.fields.uses, name);
                let query: Box<dyn Query> = Box::new(TermQuery::new(term, IndexRecordOption::Basic));
                (Occur::Should, query)
            };
            Box::new(BooleanQuery::new(names.iter().map(uses).collect()))
        })?;
        let mut passages: Vec<Passage> =
            hits.iter().map(|hit| hit.passage(Why::Uses(name.to_owned()))).collect();
        passages.sort_by(|a, b| (&a.source, &a.path, a.first_line).cmp(&(&b.source, &b.path, b.first_line)));
        Ok(passages)
    }

    /// Pieces that look as if they addressed the assistant.
    pub fn suspicious(&self, source: &str, count: usize) -> Result<Vec<Passage>, IndexError> {
        let only = self.only(Some(source));
        let mut hits = only.find(count.min(COUNT_MAX), |opened| {
            let term = Term::from_field_text(opened.fields.class, SUSPICIOUS);
            Box::new(TermQuery::new(term, IndexRecordOption::Basic))
        })?;
        hits.sort_by(|a, b| a.place().cmp(&b.place()));
        Ok(hits.iter().map(|hit| hit.passage(Why::Similar)).collect())
    }

    /// Lines of a file; `None` where there is no such file for this person.
    pub fn read(
        &self,
        source: &str,
        path: &str,
        first_line: u32,
        last_line: u32,
    ) -> Result<Option<ReadLines>, IndexError> {
        let last_line = last_line.min(first_line.saturating_add(LINES_MAX - 1));
        let only = self.only(Some(source));
        let mut hits = only.find(FILE_CHUNKS_MAX, |opened| {
            let is = |field, text: &str| -> (Occur, Box<dyn Query>) {
                let query = TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic);
                (Occur::Must, Box::new(query))
            };
            Box::new(BooleanQuery::new(vec![is(opened.fields.path, path), is(opened.fields.class, CHUNK)]))
        })?;
        hits.sort_by_key(Hit::lines);
        let Some(first) = hits.first() else { return Ok(None) };
        let mut read = ReadLines {
            source: source.to_owned(),
            revision: first.opened.summary.revision.clone(),
            path: path.to_owned(),
            first_line,
            last_line: first_line.saturating_sub(1),
            text: String::new(),
        };
        let mut at = first_line;
        for hit in &hits {
            let (begin, _) = hit.lines();
            if begin == 0 {
                read.text.push_str(hit.text(|fields| fields.text));
                read.text.push('\n');
                continue;
            }
            for (line, text) in (begin..).zip(hit.text(|fields| fields.text).lines()) {
                if line < first_line || line > last_line || line < at {
                    continue;
                }
                // Blank lines between pieces are in none of them.
                read.text.push_str(&"\n".repeat(usize::try_from(line - at).unwrap_or(0)));
                read.text.push_str(text);
                read.text.push('\n');
                at = line + 1;
                read.last_line = line;
            }
        }
        Ok(Some(read))
    }

    /// The beginning of a file as a source's coding rules, whole lines of at most 3 KiB; `None` where there is no such file for
    /// this person.
    pub fn rules(&self, source: &str, path: &str) -> Result<Option<Passage>, IndexError> {
        let Some(read) = self.read(source, path, 1, LINES_MAX)? else { return Ok(None) };
        let mut end = 0;
        for line in read.text.split_inclusive('\n') {
            if end + line.len() > RULES_BYTES_MAX {
                break;
            }
            end += line.len();
        }
        let text = read.text.get(..end).unwrap_or_default().to_owned();
        if text.trim().is_empty() {
            return Ok(None);
        }
        let labels = self.opened().find(|(one, _)| one.facts.name == source);
        Ok(Some(Passage {
            revision: read.revision,
            first_line: read.first_line,
            last_line: u32::try_from(text.lines().count()).unwrap_or(u32::MAX).min(read.last_line),
            why: vec![Why::Rules],
            labels: labels.map(|(one, _)| one.facts.labels.clone()).unwrap_or_default(),
            ..Passage::of_text(read.source, read.path, text)
        }))
    }

    /// Pieces of files whose path ends so, those with the words first.
    pub(super) fn of_file(
        &self,
        path: &str,
        around: &Words,
        count: usize,
    ) -> Result<Vec<Hit<'_>>, IndexError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let mut wanted = Words::new();
        words(stem, 3.0, &mut wanted, |_| false);
        let hits = self.find(200, |opened| {
            let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
            for (occur, list) in [(Occur::Must, &wanted), (Occur::Should, around)] {
                for (word, weight) in list {
                    let term = Term::from_field_text(opened.fields.body, word);
                    let term = TermQuery::new(term, IndexRecordOption::WithFreqs);
                    parts.push((occur, Box::new(BoostQuery::new(Box::new(term), *weight))));
                }
            }
            Box::new(BooleanQuery::new(parts))
        })?;
        let is_it = |hit: &Hit<'_>| {
            hit.path() == path || hit.path().strip_suffix(path).is_some_and(|before| before.ends_with('/'))
        };
        Ok(hits.into_iter().filter(is_it).take(count).collect())
    }

    /// Only one of the sources.
    fn only(&self, source: Option<&str>) -> Readable {
        let is_it = |name: &str| source.is_none_or(|source| source == name);
        let sources = self.sources.iter().filter(|source| is_it(&source.facts.name)).cloned().collect();
        Readable { sources, work: self.work.clone() }
    }
}

fn definition(hit: &Hit<'_>) -> Definition {
    let (first_line, last_line) = hit.lines();
    Definition {
        source: hit.source.facts.name.clone(),
        revision: hit.opened.summary.revision.clone(),
        path: hit.path().to_owned(),
        language: hit.text(|fields| fields.language).to_owned(),
        name: hit.text(|fields| fields.name).to_owned(),
        kind: hit.text(|fields| fields.kind).to_owned(),
        first_line,
        last_line,
        is_body: hit.number(|fields| fields.is_body) != 0,
        signature: hit.text(|fields| fields.text).to_owned(),
        comment: hit.text(|fields| fields.comment).to_owned(),
    }
}

/// A name as it is spelled, and without case, as some languages have it.
fn spellings(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    if lower == name { vec![lower] } else { vec![name.to_owned(), lower] }
}
