//! Lines that are an answer's as they are: found by their fingerprints, in runs of one answer.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::sought::{Line, Looked, Sought, Table, word};
use super::{File, Grade, Graded};
use crate::slice::Record;

/// Places of one fingerprint that are looked at: those of answers that were taken over, and the newest, first.
const PLACES_MAX: usize = 64;
/// Records with the same line, from which on a short line says nothing.
const FREQUENT_RECORDS: usize = 12;
/// Lexemes of a line that may be frequent without saying anything.
const FREQUENT_LEXEMES_MAX: usize = 8;
/// Lines that may be missing or added within a run.
const GAP_LINES_MAX: usize = 6;
/// Lexemes of a run's lines that say something: with fewer it is chance.
const RUN_LEXEMES_MIN: usize = 8;
/// The same where the answer was for this very file.
const RUN_LEXEMES_MIN_AT_PATH: usize = 4;
/// The same for a run that, in a file that the answer was not for, is taken for what was accepted and moved since. Shorter
/// ones are written anew by somebody: an `#include`, a line of a licence's header.
const MOVED_LEXEMES_MIN: usize = 24;

/// A line of a record.
#[derive(Clone, Copy)]
struct Posting {
    record: u32,
    place: u32,
}

/// Where fingerprints of the change are in records.
pub(super) struct Index<'a> {
    pub(super) sought: &'a Sought<'a>,
    pub(super) records: &'a [Record],
    /// How many lines of each record were taken over.
    accepted: Vec<usize>,
    lines: Table<Vec<Posting>>,
    /// How many records have a line.
    frequency: Table<usize>,
    /// Which records have a run of lexemes.
    shingles: Table<Vec<u32>>,
}

/// Lines of a file, as far as they are placed.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) lines: Vec<Option<At>>,
    /// Lines that are known and say too little.
    says_nothing: Vec<bool>,
    /// Their places in the file's list.
    ats: Vec<usize>,
    /// Lines of records that stand in the file.
    used: HashSet<(u32, u32)>,
}

/// Where a line was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) record: u32,
    /// The line of the record, where it is one.
    pub(super) place: Option<u32>,
    pub(super) kept_percent: u8,
    pub(super) grade: Grade,
    /// How well it stands here: in a file that the answer was for, and in how many lines that follow it.
    evidence: (bool, usize),
}

impl At {
    /// A line that is left of a record, in part.
    pub(super) fn in_part(record: u32, kept_percent: u8, grade: Grade) -> At {
        At { record, place: None, kept_percent, grade, evidence: (false, 0) }
    }
}

impl<'a> Index<'a> {
    pub(super) fn new(sought: &'a Sought<'a>, records: &'a [Record]) -> Index<'a> {
        let accepted: Vec<usize> = records.iter().map(Record::accepted_lines).collect();
        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_by_key(|at| {
            (accepted[*at] == 0, std::cmp::Reverse((records[*at].time_unix_ms, records[*at].number)))
        });
        let mut index = Index {
            sought,
            records,
            accepted,
            lines: Table::default(),
            frequency: Table::default(),
            shingles: Table::default(),
        };
        let mut wanted: Table<()> = Table::default();
        let lines = sought.looked.iter().flat_map(|looked| &looked.lines);
        wanted.extend(lines.map(|line| (word(line.fingerprint.normalised), ())));
        for at in order {
            let Ok(record) = u32::try_from(at) else { break };
            let lists = &records[at].fingerprints;
            for (place, line) in (0..).zip(&lists.lines) {
                let word = word(line.normalised);
                if !wanted.contains_key(&word) {
                    continue;
                }
                *index.frequency.entry(word).or_default() += 1;
                let postings = index.lines.entry(word).or_default();
                if postings.len() < PLACES_MAX {
                    postings.push(Posting { record, place });
                }
            }
            for shingle in lists.shingles.iter().map(|shingle| word(*shingle)) {
                if sought.has_shingle(shingle) {
                    let postings = index.shingles.entry(shingle).or_default();
                    if postings.len() < PLACES_MAX {
                        postings.push(record);
                    }
                }
            }
        }
        index
    }

    /// Whether a line says something: it is not short, and not everywhere.
    pub(super) fn says_something(&self, line: &Line) -> bool {
        let frequent = || {
            line.lexemes <= FREQUENT_LEXEMES_MAX
                && self
                    .frequency
                    .get(&word(line.fingerprint.normalised))
                    .is_some_and(|n| *n >= FREQUENT_RECORDS)
        };
        !line.is_common() && !frequent()
    }

    pub(super) fn records_with(&self, shingle: u64) -> &[u32] {
        self.shingles.get(&shingle).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a line of a record was taken over.
    pub(super) fn is_accepted(&self, record: u32, place: Option<u32>) -> bool {
        let accepted = self.accepted[record as usize];
        place.map_or(accepted > 0, |place| (place as usize) < accepted)
    }

    /// Whether what stands of a record in a file is what was taken over, and not a piece that somebody wrote who never saw
    /// the answer.
    fn is_taken(&self, record: u32, share: &Share, file: &File) -> bool {
        let lines = self.records[record as usize].fingerprints.lines.len();
        let accepted = self.accepted[record as usize].min(lines);
        let is_most = share.places.len() * 2 > accepted;
        accepted > 0 && (self.is_at(record, file) || is_most && share.weight >= MOVED_LEXEMES_MIN)
    }

    /// Whether the record was asked or decided for this file.
    pub(super) fn is_at(&self, record: u32, file: &File) -> bool {
        let record = &self.records[record as usize];
        let decided = record.decisions.iter().filter_map(|(_, _, decision)| decision.path.as_deref());
        let mut paths = record.intent.path.as_deref().into_iter().chain(decided);
        // Editors name files from where they were opened.
        paths.any(|path| path == file.path || path.ends_with(&format!("/{}", file.path)))
    }
}

/// Lines of a file that stand in one record in the same order.
struct Run {
    record: u32,
    /// Lines of the file and of the record.
    lines: Vec<(usize, u32)>,
    weight: usize,
}

/// How much of a record stands in a file, in all its runs.
#[derive(Default)]
struct Share {
    places: HashSet<u32>,
    weight: usize,
}

/// Finds the runs, and gives each line to the best.
pub(super) fn place(index: &Index<'_>, number: usize) -> Placed {
    let (file, looked) = (&index.sought.files()[number], &index.sought.looked[number]);
    let mut placed = Placed {
        lines: vec![None; looked.lines.len()],
        says_nothing: looked.lines.iter().map(|line| !index.says_something(line)).collect(),
        ats: looked.lines.iter().map(|line| line.at).collect(),
        used: HashSet::new(),
    };
    let mut runs = runs(index, looked);
    let mut shares: HashMap<u32, Share> = HashMap::new();
    for run in &mut runs {
        let said = run.lines.iter().filter(|(at, _)| !placed.says_nothing[*at]);
        run.weight = said.map(|(at, _)| looked.lines[*at].lexemes).sum();
        let share = shares.entry(run.record).or_default();
        share.places.extend(run.lines.iter().map(|(_, place)| *place));
        share.weight += run.weight;
    }
    let author =
        |run: &Run| file.author.as_ref() == Some(&index.records[run.record as usize].intent.identity);
    runs.sort_by_cached_key(|run| {
        let record = &index.records[run.record as usize];
        let accepted = run.lines.iter().any(|(_, place)| index.is_accepted(run.record, Some(*place)));
        // What follows each other in both counts before anything else.
        let breaks =
            run.lines.windows(2).filter(|pair| pair[1].0 - pair[0].0 != 1 || pair[1].1 - pair[0].1 != 1);
        let consecutive = run.lines.len() - breaks.count();
        let first = (accepted, run.weight, consecutive);
        std::cmp::Reverse((
            first,
            index.is_at(run.record, file),
            record.time_unix_ms,
            author(run),
            record.number,
        ))
    });
    let mut again = Vec::new();
    for run in &runs {
        let taking = Taking {
            is_taken: index.is_taken(run.record, &shares[&run.record], file),
            evidence: (index.is_at(run.record, file), run.lines.len()),
        };
        let free: Vec<(usize, u32)> =
            run.lines.iter().copied().filter(|(at, _)| placed.lines[*at].is_none()).collect();
        let said = free.iter().filter(|(at, _)| !placed.says_nothing[*at]);
        let weight: usize = said.map(|(at, _)| looked.lines[*at].lexemes).sum();
        let least = if index.is_at(run.record, file) { RUN_LEXEMES_MIN_AT_PATH } else { RUN_LEXEMES_MIN };
        if weight < least {
            // Known, and by chance: unless a better run takes them.
            continue;
        }
        for (at, place) in free {
            if placed.used.contains(&(run.record, place)) {
                // Another answer with the same line may be the one that was accepted here.
                again.push((at, run.record, place, taking));
            } else {
                take(index, &mut placed, looked, (at, run.record, place), taking);
            }
        }
        extend(index, &mut placed, looked, run, taking);
    }
    for (at, record, place, taking) in again {
        if placed.lines[at].is_none() {
            let taking = Taking { is_taken: false, ..taking };
            take(index, &mut placed, looked, (at, record, place), taking);
        }
    }
    // What is left and stands in records says too little to be any one's.
    for (at, line) in looked.lines.iter().enumerate() {
        let known = index.lines.contains_key(&word(line.fingerprint.normalised));
        placed.says_nothing[at] |= known && placed.lines[at].is_none() && line.lexemes < RUN_LEXEMES_MIN;
    }
    placed
}

/// What holds for a whole run.
#[derive(Clone, Copy)]
struct Taking {
    is_taken: bool,
    evidence: (bool, usize),
}

fn take(
    index: &Index<'_>,
    placed: &mut Placed,
    looked: &Looked,
    (at, record, place): (usize, u32, u32),
    Taking { is_taken, evidence }: Taking,
) {
    let line = &looked.lines[at];
    let raw = index.records[record as usize].fingerprints.lines[place as usize].raw == line.fingerprint.raw;
    let grade = match (is_taken && index.is_accepted(record, Some(place)), raw) {
        (true, true) => Grade::AiVerbatim,
        (true, false) => Grade::AiModified,
        (false, _) => Grade::MatchesAi,
    };
    // A frequent line within a run is the run's; one that is too short to say anything stays common, with the record.
    let grade = if line.is_common() { Grade::Common } else { grade };
    placed.used.insert((record, place));
    placed.lines[at] = Some(At { record, place: Some(place), kept_percent: 100, grade, evidence });
}

/// One acceptance put a line into one place: of several that are like it, the best keeps it.
pub(super) fn settle(files: &mut [Placed]) {
    let mut best: HashMap<(u32, u32), (bool, usize)> = HashMap::new();
    let claims = |found: &At| matches!(found.grade, Grade::AiVerbatim | Grade::AiModified);
    for found in files.iter().flat_map(|placed| &placed.lines).flatten().filter(|found| claims(found)) {
        if let Some(place) = found.place {
            let most = best.entry((found.record, place)).or_default();
            *most = (*most).max(found.evidence);
        }
    }
    for found in files.iter_mut().flat_map(|placed| &mut placed.lines).flatten() {
        let Some(place) = found.place.filter(|_| claims(found)) else { continue };
        // The first of equals: it is taken out of the table.
        match best.entry((found.record, place)) {
            Entry::Occupied(most) if *most.get() == found.evidence => drop(most.remove()),
            _ => found.grade = Grade::MatchesAi,
        }
    }
}

/// Common lines at the ends of a run, and in it, are the run's where they stand in the record too.
fn extend(index: &Index<'_>, placed: &mut Placed, looked: &Looked, run: &Run, taking: Taking) {
    let record = &index.records[run.record as usize].fingerprints.lines;
    let ends = [(run.lines.first(), false), (run.lines.last(), true)];
    for (end, forward) in ends {
        let Some((mut at, mut place)) = end.map(|(at, place)| (*at, *place as usize)) else { continue };
        loop {
            let step = |value: usize| if forward { value.checked_add(1) } else { value.checked_sub(1) };
            let (Some(next), Some(next_place)) = (step(at), step(place)) else { break };
            let (Some(line), Some(theirs)) = (looked.lines.get(next), record.get(next_place)) else { break };
            let Ok(of_record) = u32::try_from(next_place) else { break };
            if placed.lines[next].is_some()
                || placed.used.contains(&(run.record, of_record))
                || theirs.normalised != line.fingerprint.normalised
            {
                break;
            }
            take(index, placed, looked, (next, run.record, of_record), taking);
            (at, place) = (next, next_place);
        }
    }
}

/// All runs, of all records.
fn runs(index: &Index<'_>, looked: &Looked) -> Vec<Run> {
    let mut hits: Vec<(u32, usize, u32)> = Vec::new();
    for (at, line) in looked.lines.iter().enumerate() {
        let postings = index.lines.get(&word(line.fingerprint.normalised));
        hits.extend(postings.into_iter().flatten().map(|posting| (posting.record, at, posting.place)));
    }
    hits.sort_unstable();
    let mut runs = Vec::new();
    for of_record in hits.chunk_by(|one, other| one.0 == other.0) {
        let mut open: Vec<Run> = Vec::new();
        for of_line in of_record.chunk_by(|one, other| one.1 == other.1) {
            let at = of_line[0].1;
            let (ended, still): (Vec<Run>, Vec<Run>) = open
                .into_iter()
                .partition(|run| run.lines.last().is_none_or(|last| at - last.0 > GAP_LINES_MAX));
            runs.extend(ended);
            open = still;
            for (record, _, place) in of_line {
                // The run whose end is nearest before it.
                let distance = |run: &Run| {
                    let last = run.lines.last().filter(|last| last.0 < at && last.1 < *place)?;
                    let gap = (place - last.1) as usize;
                    (gap <= GAP_LINES_MAX).then_some(gap + (at - last.0))
                };
                let nearest = open.iter_mut().filter_map(|run| Some((distance(run)?, run)));
                match nearest.min_by_key(|(distance, _)| *distance) {
                    Some((_, run)) => run.lines.push((at, *place)),
                    None => open.push(Run { record: *record, lines: vec![(at, *place)], weight: 0 }),
                }
            }
        }
        runs.extend(open);
    }
    runs
}

impl Placed {
    /// The grade of every line of the file that was handed in.
    pub(super) fn finish(self, file: &File) -> Vec<Graded> {
        let empty = |line| Graded { line, grade: Grade::Common, record: None, kept_percent: 0 };
        let mut graded: Vec<Graded> = file.lines.iter().map(|(number, _)| empty(*number)).collect();
        for ((at, says_nothing), place) in self.ats.iter().zip(&self.says_nothing).zip(&self.lines) {
            let line = &mut graded[*at];
            match place {
                Some(found) => {
                    line.grade = found.grade;
                    line.record = Some(found.record as usize);
                    line.kept_percent = found.kept_percent;
                }
                None if *says_nothing => line.grade = Grade::Common,
                None => line.grade = Grade::Unknown,
            }
        }
        // Empty and common lines between two of one record are that record's.
        let mut last: Option<(usize, usize)> = None;
        for at in 0..graded.len() {
            if let Some(record) = graded[at].record {
                if let Some((before, of)) = last
                    && of == record
                    && graded[before..=at].windows(2).all(|pair| pair[0].line + 1 == pair[1].line)
                    && graded[before + 1..at]
                        .iter()
                        .all(|line| line.grade == Grade::Common && line.record.is_none())
                {
                    graded[before + 1..at].iter_mut().for_each(|line| line.record = Some(record));
                }
                last = Some((at, record));
            }
        }
        graded
    }
}
