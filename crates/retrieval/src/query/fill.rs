//! For a hole in a file: what its surroundings name, then what is similar to them.

use std::collections::{BTreeMap, BTreeSet};

use languages::{Language, fold};

use super::{Found, Hit, Passage, Why, Words, fused, words};
use crate::index::IndexError;
use crate::schema::DEFINITION;
use crate::sources::Readable;

/// Names near the cursor that are looked up.
const NAMES_MAX: usize = 24;
/// Definitions of one name that are looked at,
const DEFINITIONS_OF_ONE_MAX: usize = 8;
/// and that are taken.
const DEFINITIONS_TAKEN_MAX: usize = 4;
/// Definitions whose own types are looked up.
const FOLLOWED: usize = 6;
/// Names in a definition that are looked up.
const FOLLOWED_NAMES_MAX: usize = 6;
/// Text before the cursor in which a call is looked for.
const CALL_BYTES_MAX: usize = 4096;
/// Similar pieces.
const SIMILAR_MAX: usize = 12;
/// Passages that are handed on.
const PASSAGES_MAX: usize = 24;
/// Lines before the cursor that similar pieces are looked for by,
const LINES_BEFORE: usize = 14;
/// and behind it.
const LINES_BEHIND: usize = 5;
/// What the first similar piece is worth, the best definition being 1.
const SIMILAR_WEIGHT: f64 = 0.45;
/// Pieces among which those of files that are named like this one are looked for,
const SIMILAR_LOOKED_AT: usize = 48;
/// and how much more such a one is worth.
const KIN_WEIGHT: f64 = 1.0;
/// Lines of a similar piece, and at each which of them they may begin.
const SIMILAR_LINES: usize = 16;
const SIMILAR_STEP: usize = 4;
/// Bytes of all definitions at most.
const DEFINITIONS_BYTES_MAX: usize = 3200;
/// What is worth less than this of the best is not worth its room.
const SCORE_SHARE_MIN: f64 = 0.05;
/// Definitions by their words, of each of three lists;
const BY_WORDS_MAX: usize = 16;
/// what the first of them is worth, where its unit stands on the cursor's line,
const UNIT_WEIGHT: f64 = 3.0;
/// where its unit is visible,
const VISIBLE_WEIGHT: f64 = 1.5;
/// and wherever it is.
const ANYWHERE_WEIGHT: f64 = 0.8;

/// A hole, and what is known of where it is.
#[derive(Clone, Copy, Debug)]
pub struct FillQuery<'a> {
    /// From the source's root; tells the language.
    pub path: Option<&'a str>,
    /// The source's name, if the client names one.
    pub repository: Option<&'a str>,
    /// Before the hole.
    pub prefix: &'a str,
    /// Behind it.
    pub suffix: &'a str,
    /// What the client sends of other files.
    pub open: &'a [Open<'a>],
}

/// A file that the client sends text of.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Its name.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// A name to look up.
struct Wanted {
    name: String,
    weight: f64,
    why: fn(String) -> Why,
}

/// A definition that was found.
struct Candidate<'a> {
    hit: Hit<'a>,
    score: f64,
    why: Why,
}

impl Readable {
    /// What is similar to a hole's surroundings by its words alone: what full retrieval is measured against.
    pub fn for_fill_by_words(&self, query: &FillQuery<'_>) -> Result<Found, IndexError> {
        let language = Language::detect(query.path.unwrap_or_default(), query.prefix);
        let passages = Around::new(self, query, language).similar()?;
        Ok(Found { passages, versions: self.versions() })
    }

    /// What helps to fill a hole.
    pub fn for_fill(&self, query: &FillQuery<'_>) -> Result<Found, IndexError> {
        let versions = self.versions();
        if self.is_empty() {
            return Ok(Found::default());
        }
        let language = Language::detect(query.path.unwrap_or_default(), query.prefix);
        let around = Around::new(self, query, language);
        let mut candidates = around.definitions()?;
        candidates
            .sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.hit.place().cmp(&b.hit.place())));
        let mut passages = by_file(candidates, language);
        let similar = around.similar()?;
        let is_new = |passage: &Passage| !passages.iter().any(|known| covers(known, passage));
        let similar: Vec<Passage> = similar.into_iter().filter(is_new).collect();
        passages.extend(similar);
        passages.sort_by(order);
        passages.truncate(PASSAGES_MAX);
        Ok(Found { passages, versions })
    }
}

/// Whether much of a piece's lines are in a passage already.
fn covers(known: &Passage, piece: &Passage) -> bool {
    if known.source != piece.source || known.path != piece.path {
        return false;
    }
    let shared = |&(first, last): &(u32, u32)| {
        (last.min(piece.last_line) + 1).saturating_sub(first.max(piece.first_line))
    };
    let shared: u32 = known.parts.iter().map(shared).sum();
    5 * shared > 2 * (piece.last_line + 1 - piece.first_line.min(piece.last_line))
}

/// Most useful first, and the same order each time.
pub(super) fn order(a: &Passage, b: &Passage) -> std::cmp::Ordering {
    let place = |passage: &Passage| (passage.source.clone(), passage.path.clone(), passage.first_line);
    b.score.total_cmp(&a.score).then_with(|| place(a).cmp(&place(b)))
}

/// The cursor's surroundings.
struct Around<'a, 'q> {
    readable: &'a Readable,
    query: &'q FillQuery<'q>,
    language: Option<Language>,
    surroundings: languages::Surroundings,
    /// Units that are visible here: those that are named, and those that this one is part of.
    units: BTreeSet<String>,
    /// Whether the repository that the client names is a source.
    is_known: bool,
}

impl<'a, 'q> Around<'a, 'q> {
    fn new(readable: &'a Readable, query: &'q FillQuery<'q>, language: Option<Language>) -> Around<'a, 'q> {
        let surroundings = match language {
            Some(language) => languages::surroundings(language, query.prefix, query.suffix),
            None => languages::Surroundings::default(),
        };
        let imports = surroundings.imports.iter().filter(|import| !is_standard(import));
        let unit_of = |import: &String| match language {
            // A library is no part of a unit's name there.
            Some(Language::Vhdl) => {
                import.trim_end_matches(".all").rsplit('.').next().unwrap_or(import).to_owned()
            }
            _ => import.clone(),
        };
        let mut units: BTreeSet<String> = imports.map(unit_of).collect();
        if let Some(unit) = &surroundings.unit {
            let mut unit = unit.as_str();
            units.insert(unit.to_owned());
            while let Some((parent, _)) = unit.rsplit_once('.') {
                units.insert(parent.to_owned());
                unit = parent;
            }
        }
        let is_known =
            readable.opened().any(|(source, _)| Some(source.facts.name.as_str()) == query.repository);
        Around { readable, query, language, surroundings, units, is_known }
    }

    /// Whether something is of the very file that is being written.
    fn is_own(&self, hit: &Hit<'_>) -> bool {
        self.query.path == Some(hit.path()) && (!self.is_known || self.is_near(hit))
    }

    /// Whether something is of the same repository.
    fn is_near(&self, hit: &Hit<'_>) -> bool {
        self.query.repository == Some(hit.source.facts.name.as_str())
    }

    fn is_open(&self, hit: &Hit<'_>) -> bool {
        self.query
            .open
            .iter()
            .any(|open| open.path == hit.path() || open.path.ends_with(&format!("/{}", hit.path())))
    }

    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for named in self.surroundings.near.iter().take(NAMES_MAX) {
            let near = 2.0 / (1.0 + f64::from(named.distance_lines) / 3.0);
            let weight = if named.on_line { 3.0 } else { near };
            let weight = if named.behind { weight * 0.5 } else { weight };
            wanted.push(Wanted { name: named.name.clone(), weight, why: Why::Defines });
        }
        if let Some(language) = self.language
            && let Some(callee) = called(language, self.query.prefix)
        {
            let simple = callee.rsplit('.').next().unwrap_or(&callee).to_owned();
            wanted.push(Wanted { name: callee, weight: 3.5, why: Why::Defines });
            wanted.push(Wanted { name: simple, weight: 3.2, why: Why::Defines });
        }
        for (depth, name) in self.surroundings.enclosing.iter().enumerate().take(3) {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let weight = 1.5 / (1.0 + depth as f64);
            wanted.push(Wanted { name: name.clone(), weight, why: Why::Declares });
        }
        if let Some(language) = self.language {
            for name in types_at_cursor(language, typed(self.query.prefix)) {
                wanted.push(Wanted { name, weight: 2.5, why: Why::TypeOf });
            }
        }
        let mut seen = BTreeSet::new();
        wanted.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        wanted.retain(|wanted| seen.insert(wanted.name.clone()));
        wanted
    }

    fn definitions(&self) -> Result<Vec<Candidate<'a>>, IndexError> {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        let wanted = self.wanted();
        for wanted in &wanted {
            self.look_up(
                &wanted.name,
                wanted.weight,
                &|| (wanted.why)(wanted.name.clone()),
                &mut candidates,
            )?;
        }
        self.by_words(&mut candidates)?;
        // What the best of them need in turn: the types of parameters and components.
        candidates
            .sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.hit.place().cmp(&b.hit.place())));
        let Some(language) = self.language else { return Ok(candidates) };
        let mut needed: Vec<(String, f64, String)> = Vec::new();
        for candidate in candidates.iter().take(FOLLOWED) {
            let own = candidate.hit.text(|fields| fields.name).to_owned();
            let signature = candidate.hit.text(|fields| fields.text);
            let around = languages::surroundings(language, &format!("{signature}\n"), "");
            for named in around.near.iter().take(FOLLOWED_NAMES_MAX) {
                needed.push((named.name.clone(), candidate.score * 0.4, own.clone()));
            }
        }
        let looked_up: BTreeSet<String> = wanted.into_iter().map(|wanted| wanted.name).collect();
        let mut seen = BTreeSet::new();
        for (name, weight, by) in needed {
            if !looked_up.contains(&name) && seen.insert(name.clone()) {
                self.look_up(&name, weight, &|| Why::NeededBy(by.clone()), &mut candidates)?;
            }
        }
        Ok(candidates)
    }

    fn look_up(
        &self,
        name: &str,
        weight: f64,
        why: &dyn Fn() -> Why,
        candidates: &mut Vec<Candidate<'a>>,
    ) -> Result<(), IndexError> {
        let hits = self.readable.definitions_of(name, &self.units, DEFINITIONS_OF_ONE_MAX)?;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let rarity = 1.0 / (hits.len().max(1) as f64).sqrt();
        let mut scored: Vec<(f64, Hit<'a>)> = Vec::new();
        for hit in hits {
            if !self.is_usable(&hit) {
                continue;
            }
            let visible = hit.is_in(&self.units);
            let mut score = weight * rarity;
            score *= if visible { 2.0 } else { 1.0 };
            score *= if self.is_near(&hit) { 1.5 } else { 1.0 };
            score *= if hit.number(|fields| fields.is_body) == 0 { 1.3 } else { 0.7 };
            score *=
                if folder(hit.path()) == folder(self.query.path.unwrap_or_default()) { 1.2 } else { 1.0 };
            scored.push((score, hit));
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.place().cmp(&b.1.place())));
        for (score, hit) in scored.into_iter().take(DEFINITIONS_TAKEN_MAX) {
            add(candidates, Candidate { why: why(), hit, score });
        }
        Ok(())
    }

    /// Definitions with words of the surroundings: those of a unit that stands on the cursor's line, those of visible
    /// units, then all.
    fn by_words(&self, candidates: &mut Vec<Candidate<'a>>) -> Result<(), IndexError> {
        let around = self.words();
        let on_line = self.units_on_line();
        let lists =
            [(Some(&on_line), UNIT_WEIGHT), (Some(&self.units), VISIBLE_WEIGHT), (None, ANYWHERE_WEIGHT)];
        for (units, weight) in lists {
            let hits = self.readable.with_words(DEFINITION, &around, units, BY_WORDS_MAX)?;
            let usable = hits.into_iter().filter(|hit| self.is_usable(hit));
            for (rank, hit) in usable.enumerate() {
                let near = if self.is_near(&hit) { 1.2 } else { 1.0 };
                let spec = if hit.number(|fields| fields.is_body) == 0 { 1.0 } else { 0.6 };
                // `entity work.` is followed by an entity's name.
                let entity = hit.text(|fields| fields.kind) == "entity"
                    && self.surroundings.prefix.as_deref() == Some("work");
                let score = fused(rank, weight) * near * spec * if entity { 3.0 } else { 1.0 };
                let why = match hit.text(|fields| fields.unit) {
                    unit if units.is_some() && !unit.is_empty() => Why::InUnit(unit.to_owned()),
                    _ => Why::Similar,
                };
                add(candidates, Candidate { score, hit, why });
            }
        }
        Ok(())
    }

    /// Visible units, and those beside and above this one, whose last name stands on the cursor's line.
    fn units_on_line(&self) -> BTreeSet<String> {
        let Some(language) = self.language else { return BTreeSet::new() };
        // The word that is being typed, too: only where it is a unit's whole name it changes anything.
        let line = self.query.prefix.rsplit('\n').next().unwrap_or_default();
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let mut found = BTreeSet::new();
        for word in line.split(|c: char| !is_part(c)) {
            let word = fold(language, word.trim_end_matches('.'));
            let mut names: Vec<&str> = vec![&word];
            names.extend(word.match_indices('.').map(|(end, _)| &word[..end]));
            for name in names.into_iter().filter(|name| name.len() > 1) {
                let ends = |unit: &&String| {
                    unit.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                found.extend(self.units.iter().filter(ends).cloned());
                let ancestors = self.surroundings.unit.iter().flat_map(|unit| {
                    let ends = unit.match_indices('.').map(|(end, _)| end).chain([unit.len()]);
                    ends.map(|end| unit[..end].to_owned()).collect::<Vec<_>>()
                });
                found.extend(ancestors.map(|above| format!("{above}.{name}")));
                found.insert(name.to_owned());
            }
        }
        found
    }

    /// Of use here, and not shown already.
    fn is_usable(&self, hit: &Hit<'_>) -> bool {
        let is_related =
            self.language.is_none_or(|language| related(language, hit.text(|fields| fields.language)));
        // Of a unit, its name alone tells nothing: what it declares is looked for by words.
        let is_unit = matches!(hit.text(|fields| fields.kind), "package" | "architecture");
        is_related && !is_unit && !self.is_own(hit) && !self.is_open(hit)
    }

    /// Words around the cursor. The word that is being typed is none yet: a keystroke in it changes nothing.
    fn words(&self) -> Words {
        let (prefix, suffix) = (self.query.prefix, self.query.suffix);
        let mut lines: Vec<&str> = typed(prefix).lines().rev().take(LINES_BEFORE).collect();
        let mut found = Words::new();
        let skip = |word: &str| word.len() < 3;
        if !lines.is_empty() {
            words(lines.remove(0), 2.0, &mut found, skip);
        }
        for line in lines {
            words(line, 1.0, &mut found, skip);
        }
        for line in suffix.lines().skip(1).take(LINES_BEHIND) {
            words(line, 0.6, &mut found, skip);
        }
        found
    }

    fn similar(&self) -> Result<Vec<Passage>, IndexError> {
        let words = self.words();
        let own = path_words(self.query.path.unwrap_or_default());
        let mut hits: Vec<(f64, Hit<'a>)> = Vec::new();
        for hit in self.readable.similar(&words, SIMILAR_LOOKED_AT)? {
            let is_related = self.language.is_none_or(|own| related(own, hit.text(|fields| fields.language)));
            if self.is_own(&hit) || self.is_open(&hit) || !is_related {
                continue;
            }
            // Who writes one of several files that do alike things looks at the others.
            let kin = 1.0 + KIN_WEIGHT * alike(&own, &path_words(hit.path()));
            hits.push((hit.score * kin, hit));
        }
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.place().cmp(&b.1.place())));
        let mut passages = Vec::new();
        for (rank, (_, hit)) in hits.into_iter().take(SIMILAR_MAX).enumerate() {
            let mut passage = hit.passage(Why::Similar);
            let near = if self.is_near(&hit) { 1.2 } else { 1.0 };
            let visible = if hit.is_in(&self.units) { 1.3 } else { 1.0 };
            passage.score = fused(rank, SIMILAR_WEIGHT) * near * visible;
            narrow(&mut passage, &words);
            passages.push(passage);
        }
        Ok(passages)
    }
}

/// The words that a path is made of.
fn path_words(path: &str) -> BTreeSet<String> {
    let words = path.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect()
}

/// The part of two sets' words that is in both.
fn alike(one: &BTreeSet<String>, other: &BTreeSet<String>) -> f64 {
    let both = one.intersection(other).count();
    let either = (one.len() + other.len() - both).max(1);
    #[expect(clippy::cast_precision_loss, reason = "words of a path")]
    let part = both as f64 / either as f64;
    part
}

/// Of a long piece the lines with most of the words.
fn narrow(passage: &mut Passage, wanted: &Words) {
    let lines: Vec<&str> = passage.text.split_inclusive('\n').collect();
    if lines.len() <= SIMILAR_LINES || passage.first_line == 0 {
        return;
    }
    let place = |word: &str| wanted.iter().position(|(wanted, _)| wanted == word);
    let words_of = |line: &&str| languages::tokens(line).filter_map(|token| place(&token.text)).collect();
    let found: Vec<Vec<usize>> = lines.iter().map(words_of).collect();
    let worth = |first: usize| {
        let words: BTreeSet<&usize> = found[first..first + SIMILAR_LINES].iter().flatten().collect();
        words.into_iter().map(|&word| wanted[word].1).sum::<f32>()
    };
    let firsts = (0..=lines.len() - SIMILAR_LINES).step_by(SIMILAR_STEP);
    // Of equal ones the first.
    let better = |best: (f32, usize), next: (f32, usize)| if next.0 > best.0 { next } else { best };
    let (_, first) = firsts.map(|first| (worth(first), first)).fold((0.0, 0), better);
    let text = lines[first..first + SIMILAR_LINES].concat();
    let number = |lines: usize| u32::try_from(lines).unwrap_or(u32::MAX);
    passage.first_line += number(first);
    passage.last_line = passage.first_line + number(SIMILAR_LINES - 1);
    passage.text = text;
}

/// Once each: what is found for two reasons is better than for one.
fn add<'a>(candidates: &mut Vec<Candidate<'a>>, candidate: Candidate<'a>) {
    let place = candidate.hit.place();
    let name = candidate.hit.text(|fields| fields.name);
    let same = |known: &&mut Candidate<'a>| {
        known.hit.place() == place && known.hit.text(|fields| fields.name) == name
    };
    match candidates.iter_mut().find(same) {
        Some(known) => {
            let (more, less) = (known.score.max(candidate.score), known.score.min(candidate.score));
            known.score = more + 0.5 * less;
        }
        None => candidates.push(candidate),
    }
}

/// One passage for each file, with its definitions in the order of the file.
fn by_file(candidates: Vec<Candidate<'_>>, language: Option<Language>) -> Vec<Passage> {
    let best = candidates.first().map_or(1.0, |candidate| candidate.score).max(f64::MIN_POSITIVE);
    let mut files: BTreeMap<(String, String), Vec<Candidate<'_>>> = BTreeMap::new();
    let mut bytes_left = DEFINITIONS_BYTES_MAX;
    for candidate in candidates {
        let length = candidate.hit.text(|fields| fields.text).len();
        if length > bytes_left || candidate.score < best * SCORE_SHARE_MIN {
            continue;
        }
        let file = (candidate.hit.source.facts.name.clone(), candidate.hit.path().to_owned());
        let of_file = files.entry(file).or_default();
        let (first, last) = candidate.hit.lines();
        let inside = |other: &Candidate<'_>| {
            let (from, to) = other.hit.lines();
            from <= first && last <= to
        };
        if !of_file.iter().any(inside) {
            bytes_left -= length;
            of_file.push(candidate);
        }
    }
    let mut passages = Vec::new();
    for (_, mut of_file) in files {
        let score = of_file.iter().map(|candidate| candidate.score).fold(0.0, f64::max) / best;
        of_file.sort_by_key(|candidate| candidate.hit.lines());
        let Some(first) = of_file.first() else { continue };
        let mut passage = first.hit.passage(first.why.clone());
        passage.score = score;
        passage.why = of_file.iter().map(|candidate| candidate.why.clone()).collect();
        passage.why.dedup();
        passage.parts = of_file.iter().map(|candidate| candidate.hit.lines()).collect();
        passage.last_line = of_file.iter().map(|candidate| candidate.hit.lines().1).max().unwrap_or(0);
        passage.text.clear();
        let mut owner = String::new();
        for candidate in &of_file {
            let name = candidate.hit.text(|fields| fields.name);
            let parent = name.rsplit_once('.').map_or("", |(parent, _)| parent);
            if let Some(language) = language
                && !parent.is_empty()
                && parent != owner
            {
                passage.text.push_str(&format!("{} in {parent}:\n", language.line_comment()));
                owner = parent.to_owned();
            }
            passage.text.push_str(candidate.hit.text(|fields| fields.text).trim_end());
            passage.text.push('\n');
        }
        passages.push(passage);
    }
    passages
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether code of one language is of use to the other.
fn related(one: Language, other: &str) -> bool {
    let c = |language: Language| matches!(language, Language::C | Language::Cpp);
    one.name() == other || Language::from_name(other).is_some_and(|other| c(one) && c(other))
}

/// Without the word that is being typed.
fn typed(prefix: &str) -> &str {
    prefix.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_')
}

/// Units that every model knows, and no team's sources hold.
fn is_standard(import: &str) -> bool {
    ["ieee.", "std.", "std::", "core::", "alloc::"].iter().any(|begin| import.starts_with(begin))
}

/// What is called, or instantiated, where the cursor stands between its parentheses.
fn called(language: Language, prefix: &str) -> Option<String> {
    let begin = prefix.len().saturating_sub(CALL_BYTES_MAX);
    let begin = (begin..=prefix.len()).find(|&begin| prefix.is_char_boundary(begin))?;
    let text = &prefix[begin..];
    let mut depth = 0;
    let open = text.char_indices().rev().find(|(_, c)| {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    let before = text[..open?.0].trim_end();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
    let last = |text: &str| {
        let start = text.rfind(|c: char| !is_part(c)).map_or(0, |at| at + 1);
        text.get(start..).unwrap_or_default().to_owned()
    };
    let name = last(before);
    if language == Language::Vhdl && name.eq_ignore_ascii_case("map") {
        // `label : entity work.name generic map (…) port map (`
        let lower = before.to_lowercase();
        let entity = lower.rfind("entity ").map(|at| at + "entity ".len());
        let component = lower.rfind(':').map(|at| at + 1);
        let at = entity.max(component)?;
        let named = lower[at..].trim_start().trim_start_matches("component ");
        let named = named.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).next()?;
        return Some(named.rsplit('.').next().unwrap_or(named).to_owned()).filter(|name| !name.is_empty());
    }
    let name = fold(language, name.trim_matches(|c| matches!(c, '.' | ':')));
    (name.len() > 1).then(|| name.replace("::", "."))
}

/// Types of what is named on the cursor's line, as the text before it declares them: `Name : … Type`.
fn types_at_cursor(language: Language, prefix: &str) -> Vec<String> {
    if !matches!(language, Language::Ada | Language::Vhdl) {
        return Vec::new();
    }
    let line_begin = prefix.rfind('\n').map_or(0, |newline| newline + 1);
    let (before, line) = prefix.split_at(line_begin);
    let names: BTreeSet<String> =
        line.split(|c: char| !c.is_alphanumeric() && c != '_').map(|name| fold(language, name)).collect();
    let mut types = Vec::new();
    for declared in before.lines().rev().take(400) {
        let Some((left, right)) = declared.split_once(':') else { continue };
        let declares = left.split(|c: char| !c.is_alphanumeric() && c != '_');
        if !declares.map(|name| fold(language, name)).any(|name| name.len() > 1 && names.contains(&name)) {
            continue;
        }
        let right = right.split(":=").next().unwrap_or_default();
        let skipped = ["in", "out", "inout", "access", "constant", "aliased", "not", "null", "all", "buffer"];
        let mut parts = right.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        let name = parts.find(|part| !part.is_empty() && !skipped.contains(&part.to_lowercase().as_str()));
        if let Some(name) = name {
            let simple = name.rsplit('.').next().unwrap_or(name);
            types.push(fold(language, simple));
        }
    }
    types.truncate(4);
    types
}
