//! Comparing the text with documents, lexeme for lexeme.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::asked::Asked;
use super::chains::{Chain, Chains};
use super::{Corpora, Limits, Way};
use crate::lexeme::{Class, Lexeme};
use crate::segment::{CHUNK_LEXEMES, Chunk, Damaged};

/// Runs that are enough for a place of the text: so many documents are compared there, those with most of it.
const RUNS_ENOUGH: u32 = 10;

/// A part of the text and of a document that agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) segment: usize,
    pub(super) document: u32,
    /// Lexemes of the text with what is around.
    pub(super) places: Range<usize>,
    /// Lexemes of the document.
    pub(super) lexemes: Range<u32>,
    /// Of them, those that are the same.
    pub(super) same: usize,
}

/// Reads documents, a chunk at a time, within a limit.
pub(super) struct Reader<'a> {
    corpora: &'a Corpora,
    chunks: HashMap<(usize, u32, u32), Option<Rc<Chunk>>>,
    bytes_left: usize,
    /// The limit kept something unread.
    pub(super) cut: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(corpora: &'a Corpora, limits: &Limits) -> Reader<'a> {
        Reader { corpora, chunks: HashMap::new(), bytes_left: limits.read_bytes_max, cut: false }
    }

    /// A lexeme that is compared costs as much as a byte that is read.
    fn compared(&mut self, lexemes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(lexemes);
    }

    pub(super) fn chunk(
        &mut self,
        segment: usize,
        document: u32,
        index: u32,
    ) -> Result<Option<Rc<Chunk>>, Damaged> {
        if let Some(chunk) = self.chunks.get(&(segment, document, index)) {
            return Ok(chunk.clone());
        }
        let of = &self.corpora.segments[segment];
        let chunk = match self.bytes_left.checked_sub(of.chunk_bytes(document, index)?) {
            Some(left) => {
                self.bytes_left = left;
                Some(Rc::new(of.chunk(document, index)?))
            }
            None => {
                self.cut = true;
                None
            }
        };
        self.chunks.insert((segment, document, index), chunk.clone());
        Ok(chunk)
    }
}

/// A place in a document, and the chunk it is in.
struct Cursor {
    segment: usize,
    document: u32,
    lexemes: u32,
    chunk: Option<(u32, Rc<Chunk>)>,
}

impl Cursor {
    fn at(&mut self, reader: &mut Reader<'_>, lexeme: u32) -> Result<Option<(&Lexeme, &[u8])>, Damaged> {
        if lexeme >= self.lexemes {
            return Ok(None);
        }
        let index = lexeme / CHUNK_LEXEMES;
        if self.chunk.as_ref().is_none_or(|(current, _)| *current != index) {
            let Some(chunk) = reader.chunk(self.segment, self.document, index)? else { return Ok(None) };
            self.chunk = Some((index, chunk));
        }
        let Some((_, chunk)) = &self.chunk else { return Ok(None) };
        Ok(chunk.lexemes.get((lexeme % CHUNK_LEXEMES) as usize).map(|lexeme| (lexeme, chunk.text.as_slice())))
    }
}

/// Whether lexemes agree, in the order in which they are asked for.
struct Agreement<'a> {
    asked: &'a Asked,
    way: Way,
    /// Which name or number of the text stands for which of the document, and the other way round.
    names: HashMap<&'a [u8], Vec<u8>>,
    back: HashMap<Vec<u8>, &'a [u8]>,
    same: usize,
}

impl<'a> Agreement<'a> {
    fn new(asked: &'a Asked, way: Way) -> Agreement<'a> {
        Agreement { asked, way, names: HashMap::new(), back: HashMap::new(), same: 0 }
    }

    fn agree(&mut self, place: usize, lexeme: &Lexeme, text: &[u8]) -> bool {
        let (here, there) = (self.asked.lexeme(place), lexeme.of(text));
        let is_same = self.asked.lexemes.get(place).is_some_and(|asked| asked.hash == lexeme.hash)
            && here.eq_ignore_ascii_case(there);
        let agrees = match (self.way, self.asked.classes.get(place)) {
            (Way::Exact, _) => is_same,
            (Way::Renamed, Some(Class::Name)) => {
                lexeme.class(text) == Class::Name && self.stand_for_each_other(here, there)
            }
            (Way::Renamed, Some(Class::Number)) => lexeme.class(text) == Class::Number,
            (Way::Renamed, _) => is_same,
        };
        self.same += usize::from(agrees && is_same);
        agrees
    }

    fn stand_for_each_other(&mut self, here: &'a [u8], there: &[u8]) -> bool {
        let there = there.to_ascii_lowercase();
        match (self.names.get(here), self.back.get(&there)) {
            (Some(name), Some(back)) => *name == there && back.eq_ignore_ascii_case(here),
            (None, None) => {
                self.names.insert(here, there.clone());
                self.back.insert(there, here);
                true
            }
            // One name in two spellings of the text.
            (None, Some(back)) if back.eq_ignore_ascii_case(here) => {
                self.names.insert(here, there);
                true
            }
            _ => false,
        }
    }
}

/// All that the chains, the best first, agree on with the text.
pub(super) fn runs(
    corpora: &Corpora,
    asked: &Asked,
    found: &Chains,
    lexemes_min: u32,
    reader: &mut Reader<'_>,
) -> Result<Vec<Run>, Damaged> {
    let run_lexemes = found.way.winnowing().run as usize;
    let mut compared = vec![0u32; found.probes.len()];
    let mut runs: Vec<Run> = Vec::new();
    for chain in &found.chains {
        let mut end = 0;
        for place in &chain.places {
            if place + run_lexemes <= end
                || compared.get(found.probe(*place)).is_none_or(|runs| *runs >= RUNS_ENOUGH)
            {
                continue;
            }
            let run = extend(corpora, asked, found.way, chain, *place, reader)?;
            let Some(run) = run else { continue };
            end = run.places.end;
            // A shorter one does not stand for others: the next may be long enough.
            if run.places.len() >= lexemes_min as usize {
                let inside =
                    found.probe(run.places.start)..found.probe((end + 1).saturating_sub(run_lexemes));
                for compared in compared.get_mut(inside).unwrap_or_default() {
                    *compared += 1;
                }
            }
            runs.push(run);
        }
    }
    runs.sort_unstable_by(|one, other| {
        let key =
            |run: &Run| (run.segment, run.document, run.places.start, run.lexemes.start, run.places.end);
        key(one).cmp(&key(other))
    });
    runs.dedup();
    Ok(runs)
}

/// As far as text and document agree around this place, where they have the same chosen hash.
fn extend(
    corpora: &Corpora,
    asked: &Asked,
    way: Way,
    chain: &Chain,
    place: usize,
    reader: &mut Reader<'_>,
) -> Result<Option<Run>, Damaged> {
    if reader.bytes_left == 0 {
        reader.cut = true;
        return Ok(None);
    }
    let segment = &corpora.segments[chain.segment];
    let Some(lexeme) = chain.lexeme(place) else { return Ok(None) };
    let lexemes = segment.document(chain.document)?.lexemes;
    let mut cursor = Cursor { segment: chain.segment, document: chain.document, lexemes, chunk: None };
    let mut agreement = Agreement::new(asked, way);
    let (mut end, mut lexeme_end) = (place, lexeme);
    while end < asked.lexemes.len()
        && let Some((other, text)) = cursor.at(reader, lexeme_end)?
        && agreement.agree(end, other, text)
    {
        end += 1;
        lexeme_end += 1;
    }
    reader.compared(end - place);
    if end < place + way.winnowing().run as usize {
        return Ok(None);
    }
    let (mut start, mut lexeme_start) = (place, lexeme);
    while start > 0
        && lexeme_start > 0
        && let Some((other, text)) = cursor.at(reader, lexeme_start - 1)?
        && agreement.agree(start - 1, other, text)
    {
        start -= 1;
        lexeme_start -= 1;
    }
    reader.compared(place - start);
    Ok(Some(Run {
        segment: chain.segment,
        document: chain.document,
        places: start..end,
        lexemes: lexeme_start..lexeme_end,
        same: agreement.same,
    }))
}

/// Lexemes between two runs of a near match, on either side.
const GAP_LEXEMES_MAX: usize = 24;

/// Runs of one document that follow one another with small gaps: near matches. Runs must be sorted as [`runs`] gives them.
pub(super) fn near(runs: &[Run]) -> Vec<Run> {
    let mut found = Vec::new();
    for document in runs.chunk_by(|one, other| (one.segment, one.document) == (other.segment, other.document))
    {
        let mut used = vec![false; document.len()];
        for first in 0..document.len() {
            if used[first] {
                continue;
            }
            let mut joined = document[first].clone();
            let mut parts = 1;
            for next in first + 1..document.len() {
                let run = &document[next];
                if run.places.start > joined.places.end + GAP_LEXEMES_MAX {
                    break;
                }
                if used[next] {
                    continue;
                }
                let Some(overlap) = follows(&joined, run) else { continue };
                used[next] = true;
                parts += 1;
                joined.same += run.places.len() - overlap;
                joined.places.end = run.places.end;
                joined.lexemes.end = run.lexemes.end;
            }
            if parts > 1 {
                found.push(joined);
            }
        }
    }
    found
}

/// Whether a run goes on behind another, and how many lexemes both have: what was put in may begin like what follows it.
fn follows(joined: &Run, next: &Run) -> Option<usize> {
    let in_text = joined.places.end.saturating_sub(next.places.start);
    let in_document = (joined.lexemes.end.saturating_sub(next.lexemes.start)) as usize;
    let overlap = in_text.max(in_document);
    let gap_in_text = next.places.start.saturating_sub(joined.places.end);
    let gap_in_document = next.lexemes.start.saturating_sub(joined.lexemes.end) as usize;
    let goes_on = next.places.start >= joined.places.start
        && next.lexemes.start >= joined.lexemes.start
        && overlap < next.places.len()
        && gap_in_text <= GAP_LEXEMES_MAX
        && gap_in_document <= GAP_LEXEMES_MAX
        && next.places.end > joined.places.end
        && next.lexemes.end > joined.lexemes.end;
    goes_on.then_some(overlap)
}

impl Run {
    /// Thousandths of the longer side that are the same.
    pub(super) fn similarity(&self) -> u16 {
        let longer = self.places.len().max(self.lexemes.len()).max(1);
        u16::try_from(self.same * 1000 / longer).unwrap_or(1000).min(1000)
    }
}
