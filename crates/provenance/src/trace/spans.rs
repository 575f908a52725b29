//! Which of all that was found is shown, and what is said of it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::asked::Asked;
use super::chains::{Chains, chains};
use super::nearby::{Copied, copied};
use super::runs::{Reader, Run, near, runs};
use super::{Corpora, CorpusAsked, Found, Kind, Limits, Nearby, Span, Surroundings, Trace, Way};
use crate::policy;
use crate::segment::{CHUNK_LEXEMES, Damaged};

/// Documents whose origins are counted for a span.
const DOCUMENTS_MAX: usize = 4096;
/// Origins that are counted for a span.
const ORIGINS_MAX: usize = 8192;
/// Origins of one document of which some are shown.
const ORIGINS_OF_DOCUMENT_MAX: u32 = 256;
const LICENCES_MAX: usize = 64;
/// Exact matches that are told of each by itself.
const ALL_EXACT_MAX: usize = 512;

/// A run that may become a span.
struct Candidate {
    run: Run,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Exact,
    Near,
    Renamed,
}

impl Candidate {
    /// Hundredths of lexemes that this is worth: of the same one more than of one that is alike.
    fn value(&self) -> usize {
        let alike = self.run.places.len() - self.run.same.min(self.run.places.len());
        match self.form {
            Form::Exact => self.run.same * 100,
            Form::Near => self.run.same * 95,
            Form::Renamed => self.run.same * 90 + alike * 50,
        }
    }

    /// Whether this one, too, has what the span says.
    fn bears_out(&self, span: &Candidate) -> bool {
        let places = &span.run.places;
        if self.form == Form::Exact || self.form == span.form {
            let both = overlap(&self.run.places, places);
            return if span.form == Form::Exact {
                both == places.len()
            } else {
                both * 10 >= places.len() * 9
            };
        }
        false
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> usize {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

pub(super) fn trace(
    corpora: &Corpora,
    text: &str,
    surroundings: Surroundings<'_>,
    nearby: &[Nearby<'_>],
    limits: &Limits,
) -> Result<Trace, Damaged> {
    let asked = Asked::of(text, surroundings, limits);
    let mut reader = Reader::new(corpora, limits);
    let exact = chains(corpora, &asked, Way::Exact, limits, |_| false)?;
    let found = runs(corpora, &asked, &exact, limits.lexemes_min, &mut reader)?;
    let mut cut = asked.cut || is_unread(&exact, &found, limits.lexemes_min);
    let mut candidates: Vec<Candidate> = near(&found)
        .into_iter()
        .filter(|run| run.similarity() >= limits.near_permille_min)
        .map(|run| Candidate { run, form: Form::Near })
        .collect();
    candidates.extend(found.into_iter().map(|run| Candidate { run, form: Form::Exact }));
    candidates.retain(|candidate| {
        candidate.run.same >= limits.lexemes_min as usize
            && is_enough_inside(&asked, limits, &candidate.run.places)
    });

    let run = Way::Renamed.winnowing().run as usize;
    let is_known = |place: usize| {
        candidates.iter().any(|candidate| overlap(&candidate.run.places, &(place..place + run)) == run)
    };
    let renamed = chains(corpora, &asked, Way::Renamed, limits, is_known)?;
    let found = runs(corpora, &asked, &renamed, limits.renamed_lexemes_min, &mut reader)?;
    cut |= is_unread(&renamed, &found, limits.renamed_lexemes_min);
    let seen = Seen { corpora, asked: &asked, limits, exact, renamed };
    candidates.extend(
        found
            .into_iter()
            .filter(|run| {
                run.places.len() >= limits.renamed_lexemes_min as usize
                    && is_enough_inside(&asked, limits, &run.places)
            })
            .map(|run| Candidate { run, form: Form::Renamed }),
    );

    let (copies, cut_nearby) = copied(&asked, nearby, limits);
    cut |= cut_nearby;
    let kept = keep(&asked, limits, &candidates);
    let mut spans = Vec::new();
    for candidate in &kept {
        spans.push(seen.span(candidate, &candidates, &copies, nearby, &mut reader)?);
    }
    spans.extend(seen.only_copied(&kept, &copies, nearby));
    let mut exact = Vec::new();
    if limits.all_exact {
        for candidate in candidates.iter().filter(|candidate| candidate.form == Form::Exact) {
            if exact.len() == ALL_EXACT_MAX {
                cut = true;
                break;
            }
            exact.push(seen.span(candidate, &candidates, &copies, nearby, &mut reader)?);
        }
    }
    spans.sort_by_key(|span| (span.start, Reverse(span.end)));
    cut |= spans.len() > limits.spans_max || reader.cut;
    spans.truncate(limits.spans_max);
    Ok(Trace {
        spans,
        exact,
        asked: corpora
            .segments
            .iter()
            .zip(corpora.names.iter())
            .map(|(segment, name)| CorpusAsked { name: name.clone(), root: segment.manifest().root.clone() })
            .collect(),
        lexemes: small(asked.inside.len()),
        cut_short: cut,
    })
}

/// Whether postings were left unread of a hash that no run explains.
fn is_unread(found: &Chains, runs: &[Run], lexemes_min: u32) -> bool {
    let length = found.way.winnowing().run as usize;
    found.probes.iter().filter(|probe| probe.is_cut).any(|probe| {
        let places = probe.place..probe.place + length;
        !runs
            .iter()
            .any(|run| run.places.len() >= lexemes_min as usize && overlap(&run.places, &places) == length)
    })
}

/// A match that begins or ends in the surroundings must have a part in the text that says something; one of the text alone
/// is as long as it is.
fn is_enough_inside(asked: &Asked, limits: &Limits, places: &Range<usize>) -> bool {
    asked.count_inside(places) >= limits.inside_lexemes_min.max(1) as usize
}

/// The candidates that say most and say different things: each has lexemes enough that no better one has. What is the same
/// comes before what is renamed, however long that is.
fn keep<'a>(asked: &Asked, limits: &Limits, candidates: &'a [Candidate]) -> Vec<&'a Candidate> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by_key(|candidate| {
        let run = &candidate.run;
        let is_renamed = candidate.form == Form::Renamed;
        (
            is_renamed,
            Reverse(candidate.value()),
            run.places.start,
            run.segment,
            run.document,
            run.lexemes.start,
        )
    });
    let mut covered = vec![false; asked.lexemes.len()];
    let mut kept = Vec::new();
    for candidate in order {
        let places = candidate.run.places.clone();
        let inside = places.start.max(asked.inside.start)..places.end.min(asked.inside.end);
        let free = covered[inside.clone()].iter().filter(|covered| !**covered).count();
        // A renamed one may well lie around an exact piece of itself.
        let enough = match candidate.form {
            Form::Renamed => limits.inside_lexemes_min,
            Form::Exact | Form::Near => limits.lexemes_min,
        } as usize;
        if kept.len() < limits.spans_max && (free == inside.len() || free >= enough) {
            covered[inside].fill(true);
            kept.push(candidate);
        }
    }
    kept
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// All that is known of a text while its spans are described.
struct Seen<'a> {
    corpora: &'a Corpora,
    asked: &'a Asked,
    limits: &'a Limits,
    exact: Chains,
    renamed: Chains,
}

impl Seen<'_> {
    fn span(
        &self,
        candidate: &Candidate,
        candidates: &[Candidate],
        copies: &[Copied],
        nearby: &[Nearby<'_>],
        reader: &mut Reader<'_>,
    ) -> Result<Span, Damaged> {
        let run = &candidate.run;
        let found = match candidate.form {
            Form::Renamed => &self.renamed,
            Form::Exact | Form::Near => &self.exact,
        };
        let inside = self.asked.count_inside(&run.places);
        let copy = copies.iter().find(|copy| {
            let places =
                run.places.start.max(self.asked.inside.start)..run.places.end.min(self.asked.inside.end);
            overlap(&copy.places, &places) * 10 >= inside * 9
        });
        let kind = match (copy, candidate.form) {
            (Some(copy), _) => Kind::Copied { from: nearby[copy.nearby].name.to_owned() },
            (None, Form::Exact) => Kind::Exact,
            (None, Form::Near) => Kind::Near { similarity: run.similarity() },
            (None, Form::Renamed) => Kind::Renamed { similarity: run.similarity() },
        };
        let mut documents = self.documents_like(run, found);
        let borne_out: Vec<&Run> =
            candidates.iter().filter(|other| other.bears_out(candidate)).map(|other| &other.run).collect();
        documents.extend(borne_out.iter().map(|run| (run.segment, run.document)));
        let (packages, licences) = self.packages_and_licences(&documents)?;
        let corpora: BTreeSet<usize> = documents.iter().map(|(segment, _)| *segment).collect();
        let name = |segment: usize| self.corpora.names[segment].clone();
        let corpora = corpora.into_iter().map(name).collect();
        let rarity_bits = self.rarity_bits(&run.places, found.way);
        let plain_bits_max = match found.way {
            Way::Exact => self.limits.common_rarity_bits_max,
            Way::Renamed => self.limits.renamed_common_rarity_bits_max,
        };
        let is_plain = rarity_bits < plain_bits_max;
        let is_common = is_plain || packages >= self.limits.common_packages_min;
        let origins = self.origins(&borne_out, reader)?;
        let span = self.described(&run.places, kind, rarity_bits);
        Ok(Span {
            is_common,
            documents: small(documents.len()),
            packages,
            origins,
            licences,
            corpora,
            ..span
        })
    }

    /// With nothing of where it is.
    fn described(&self, places: &Range<usize>, kind: Kind, rarity_bits: u32) -> Span {
        let asked = self.asked;
        let inside = asked.count_inside(places);
        let first = places.start.max(asked.inside.start);
        let last = places.end.min(asked.inside.end).saturating_sub(1);
        let start = asked.lexemes[first].start.max(small(asked.inside_bytes.start));
        let end = asked.lexemes[last].end.min(small(asked.inside_bytes.end));
        let line = |byte: u32| {
            let before = &asked.bytes[asked.inside_bytes.start..byte as usize];
            1 + small(before.iter().filter(|byte| **byte == b'\n').count())
        };
        Span {
            start: start - small(asked.inside_bytes.start),
            end: end - small(asked.inside_bytes.start),
            lines: (line(start), line(end)),
            lexemes: small(inside),
            lexemes_around: small(places.len() - inside),
            kind,
            rarity_bits,
            is_common: rarity_bits < self.limits.common_rarity_bits_max,
            documents: 0,
            packages: 0,
            origins: Vec::new(),
            licences: Vec::new(),
            corpora: Vec::new(),
        }
    }

    /// What only the prompt had, the longest first.
    fn only_copied(&self, kept: &[&Candidate], copies: &[Copied], nearby: &[Nearby<'_>]) -> Vec<Span> {
        let mut order: Vec<&Copied> = copies
            .iter()
            .filter(|copy| {
                copy.places.len() >= self.limits.lexemes_min as usize
                    && is_enough_inside(self.asked, self.limits, &copy.places)
            })
            .collect();
        order.sort_by_key(|copy| (Reverse(copy.places.len()), copy.places.start, copy.nearby));
        let mut taken: Vec<Range<usize>> =
            kept.iter().map(|candidate| candidate.run.places.clone()).collect();
        let mut spans = Vec::new();
        for copy in order {
            if taken.len() < self.limits.spans_max
                && taken.iter().all(|taken| overlap(taken, &copy.places) == 0)
            {
                taken.push(copy.places.clone());
                let kind = Kind::Copied { from: nearby[copy.nearby].name.to_owned() };
                spans.push(self.described(&copy.places, kind, self.rarity_bits(&copy.places, Way::Exact)));
            }
        }
        spans
    }

    /// Documents with all of the run's chosen hashes that its own has: of those that every document with the run chose,
    /// where there are; and of those whose postings were all read.
    fn documents_like(&self, run: &Run, found: &Chains) -> HashSet<(usize, u32)> {
        let mut places: Vec<((usize, u32), usize)> = Vec::new();
        let mut read: HashMap<usize, usize> = HashMap::new();
        for chain in &found.chains {
            for place in chain.within(&run.places, found.way) {
                places.push(((chain.segment, chain.document), *place));
                *read.entry(*place).or_default() += 1;
            }
        }
        places.sort_unstable();
        places.dedup();
        let own_document = (run.segment, run.document);
        let start = places.partition_point(|(document, _)| *document < own_document);
        let own = places[start..].iter().take_while(|(document, _)| *document == own_document);
        let mut own: Vec<usize> = own.map(|(_, place)| *place).collect();
        let certain = self.asked.certain(&run.places, found.way);
        for wanted in [&|place: &usize| !found.is_cut(*place), &|place: &usize| certain.contains(place)]
            as [&dyn Fn(&usize) -> bool; 2]
        {
            if own.iter().any(wanted) {
                own.retain(wanted);
            }
        }
        if own.iter().all(|place| found.is_cut(*place)) {
            own = own.into_iter().max_by_key(|place| read.get(place).copied()).into_iter().collect();
        }
        if own.is_empty() {
            return HashSet::new();
        }
        places
            .chunk_by(|(one, _), (other, _)| one == other)
            .map(|document| (document[0].0, document))
            .filter(|(number, document)| {
                own.iter().all(|place| document.binary_search(&(*number, *place)).is_ok())
            })
            .map(|(number, _)| number)
            .collect()
    }

    fn packages_and_licences(
        &self,
        documents: &HashSet<(usize, u32)>,
    ) -> Result<(u32, Vec<String>), Damaged> {
        let mut ordered: Vec<(usize, u32)> = documents.iter().copied().collect();
        ordered.sort_unstable();
        let mut packages = HashSet::new();
        let mut licences = HashSet::new();
        let mut left = ORIGINS_MAX;
        for (number, document) in ordered.into_iter().take(DOCUMENTS_MAX) {
            let segment = &self.corpora.segments[number];
            for origin in segment.origins(document)?.take(left) {
                left -= 1;
                let numbers = segment.origin_numbers(origin)?;
                packages.insert((number, numbers.package));
                licences.insert((number, numbers.licence));
            }
        }
        let mut names = HashSet::new();
        for (number, package) in packages {
            names.insert(self.corpora.segments[number].package(package)?.package);
        }
        let mut expressions = BTreeSet::new();
        for (number, licence) in licences {
            expressions.extend(policy::names(&self.corpora.segments[number].licence(licence)?));
        }
        Ok((small(names.len()), expressions.into_iter().take(LICENCES_MAX).collect()))
    }

    fn origins(&self, runs: &[&Run], reader: &mut Reader<'_>) -> Result<Vec<Found>, Damaged> {
        let mut known = Vec::new();
        let mut seen = HashSet::new();
        for run in runs {
            if !seen.insert((run.segment, run.document)) {
                continue;
            }
            let segment = &self.corpora.segments[run.segment];
            for number in segment.origins(run.document)?.take(ORIGINS_OF_DOCUMENT_MAX as usize) {
                known.push((segment.origin(number)?, *run));
            }
        }
        known.sort_by(|(one, one_run), (other, other_run)| {
            let time = |time: Option<i64>| (time.is_none(), time);
            (time(one.first_seen_unix_s), one, one_run.segment).cmp(&(
                time(other.first_seen_unix_s),
                other,
                other_run.segment,
            ))
        });
        known.truncate(self.limits.origins_max);
        let mut found = Vec::new();
        for (origin, run) in known {
            let segment = &self.corpora.segments[run.segment];
            found.push(Found {
                corpus: self.corpora.names[run.segment].clone(),
                origin,
                blob: segment.document(run.document)?.blob,
                lines: (
                    line(run, run.lexemes.start, reader)?,
                    line(run, run.lexemes.end.saturating_sub(1), reader)?,
                ),
            });
        }
        Ok(found)
    }

    fn rarity_bits(&self, places: &Range<usize>, way: Way) -> u32 {
        let words = &self.corpora.words;
        let mut bits = 0.0;
        match way {
            Way::Exact => {
                let lexemes = &self.asked.lexemes[places.clone()];
                let different: BTreeSet<u64> = lexemes.iter().map(|lexeme| lexeme.hash).collect();
                for hash in different {
                    bits += words.bits(hash, way);
                }
            }
            Way::Renamed => {
                let classes = &self.asked.classes[places.clone()];
                let different: BTreeSet<(u64, u64)> =
                    classes.windows(2).map(|pair| (pair[0].hash(), pair[1].hash())).collect();
                for (_, hash) in different {
                    bits += words.bits(hash, way);
                }
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not below none; a conversion of floats saturates"
        )]
        let bits = bits as u32;
        bits
    }
}

/// The line of a document's lexeme. Its chunk was read when it was compared.
fn line(run: &Run, lexeme: u32, reader: &mut Reader<'_>) -> Result<u32, Damaged> {
    let Some(chunk) = reader.chunk(run.segment, run.document, lexeme / CHUNK_LEXEMES)? else { return Ok(1) };
    let before = chunk
        .lexemes
        .get((lexeme % CHUNK_LEXEMES) as usize)
        .and_then(|lexeme| chunk.text.get(..lexeme.start as usize))
        .unwrap_or_default();
    Ok(chunk.line.saturating_add(small(before.iter().filter(|byte| **byte == b'\n').count())))
}
