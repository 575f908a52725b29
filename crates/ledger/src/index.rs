//! Where a query finds records: a SQLite file of leaves' metadata, made from the leaves.
//!
//! It holds nothing of a body. It may be deleted, damaged or older than the log at any time: then it is made
//! again. It is never trusted over the leaves: what a query returns is read from the leaves it names, and an
//! index that named others, or an intent without the result it has, is made again. So it needs no durability (`synchronous = off`), and it is written
//! off the path of requests, in batches, with a pause after each.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use crate::log::{Inner, Ledger};
use crate::query::Row;
use crate::read::{Leaves, ReadError};
use crate::shared::Shared;

/// The file, in the ledger's directory. SQLite keeps `-wal` and `-shm` beside it.
pub(crate) const FILE: &str = "index.db";

/// Raised whenever rows would be made otherwise: an index of another version is made again.
const SCHEMA_VERSION: i64 = 2;

/// Texts are kept once, in `words`; everything else is integers. `clock_ms` is the latest time of this leaf
/// and all before it: it never falls, as the clock may, so a range of times is a range of leaves. `seal` is of the
/// leaf and its result: what no leaf tells is that an intent has none, so a row whose result was lost would pass.
const SCHEMA: &str = "
create table words (id integer primary key, text text not null unique) strict;
create table leaves (
    leaf integer primary key,
    time_ms integer not null,
    clock_ms integer not null,
    kind integer not null,
    person integer,
    credential integer,
    action integer,
    dialect integer,
    model integer,
    deployment integer,
    repository integer,
    path integer,
    outcome integer,
    stop integer,
    prompt_tokens integer,
    answer_tokens integer,
    result integer,
    seal integer not null
) strict;
create table labels (label integer not null, leaf integer not null, primary key (label, leaf)) strict, without rowid;
create table progress (
    only_row integer primary key check (only_row = 1),
    next integer not null,
    last_hash blob not null,
    clock_ms integer not null,
    fall_ms integer not null
) strict;
create index leaves_clock on leaves (clock_ms);
create index leaves_kind on leaves (kind);
create index leaves_person on leaves (person) where person is not null;
create index leaves_action on leaves (action) where action is not null;
create index leaves_model on leaves (model) where model is not null;
create index leaves_deployment on leaves (deployment) where deployment is not null;
create index leaves_repository on leaves (repository) where repository is not null;
create index leaves_path on leaves (path) where path is not null;
create index leaves_outcome on leaves (outcome) where outcome is not null;
insert into progress values (1, 0, x'', 0, 0);
pragma user_version = 2;
";

/// Leaves of one transaction: some tens of milliseconds.
const BATCH_LEAVES: u64 = 1024;

/// Words whose numbers are remembered.
const WORDS_MAX: usize = 1 << 16;

/// The background looks for new leaves at most that often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Rows counted to tell which of several conditions is the narrowest.
const NARROW_ROWS_MAX: i64 = 50_000;

/// Words of one condition that go into a statement; where more match, each row is looked up instead.
const STATED_WORDS_MAX: usize = 1000;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite. It is made again once; then this is an error of the disk.
    #[error("the ledger's index failed; stop the daemon and delete ledger/{FILE}: it is made again")]
    Database(#[from] rusqlite::Error),
    /// The file cannot be removed to be made again.
    #[error("{0}: the ledger's index cannot be removed; stop the daemon and delete it")]
    Remove(String, #[source] io::Error),
    /// The leaves cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not fit the leaves.
    #[error("the ledger's index does not fit the leaves, even made again; run `cloister ledger verify`")]
    Disagrees,
}

/// An open index.
pub struct Index {
    connection: Connection,
    words: HashMap<String, i64>,
    /// Whether it was compared with the leaves since it was opened.
    compared: bool,
}

/// How far an index is.
struct Progress {
    /// The first leaf that is not in it.
    next: u64,
    /// The hash of the leaf before.
    last_hash: Vec<u8>,
    clock_ms: u64,
    /// How far the clock once fell behind its latest time.
    fall_ms: u64,
}

/// A condition: a column has one of these words.
pub(crate) struct Condition {
    pub(crate) column: &'static str,
    pub(crate) words: Vec<i64>,
}

/// Which rows of the index.
#[derive(Default)]
pub(crate) struct Selection {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) label: Option<i64>,
    pub(crate) since_ms: Option<u64>,
    pub(crate) until_ms: Option<u64>,
    pub(crate) before: Option<u64>,
}

impl Index {
    /// Opens the index of a ledger's directory, or makes it; in memory without one. What cannot be used is
    /// removed and begun again.
    pub fn open(directory: Option<&Path>) -> Result<Index, IndexError> {
        let Some(directory) = directory else {
            let connection = Connection::open_in_memory()?;
            return Ok(Index::prepared(connection)?);
        };
        let file = directory.join(FILE);
        match Connection::open(&file).and_then(Index::prepared) {
            Ok(index) => Ok(index),
            Err(error) => {
                tracing::warn!(%error, "the ledger's index cannot be used and is made again");
                Index::remove(directory)?;
                Ok(Index::prepared(Connection::open(&file)?)?)
            }
        }
    }

    fn prepared(connection: Connection) -> Result<Index, rusqlite::Error> {
        // No file outside the directory: the gateway's jail has no other. The cache, 64 MiB, holds the rows of a
        // million records: a question that few rows answer looks at many.
        connection.execute_batch(
            "pragma temp_store = memory; pragma journal_mode = wal; pragma synchronous = off; pragma cache_size = -65536;",
        )?;
        match connection.query_row("pragma user_version", [], |row| row.get(0))? {
            SCHEMA_VERSION => {}
            0 => connection.execute_batch(&format!("begin; {SCHEMA} commit;"))?,
            _newer => return Err(rusqlite::Error::InvalidQuery),
        }
        let index = Index { connection, words: HashMap::new(), compared: false };
        index.progress()?;
        Ok(index)
    }

    /// Removes the files of a ledger's directory. They must not be open.
    fn remove(directory: &Path) -> Result<(), IndexError> {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let file: PathBuf = directory.join(format!("{FILE}{ending}"));
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(IndexError::Remove(file.display().to_string(), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes in at most `leaves_max` leaves more; whether it has them all now. Blocks on the disk.
    ///
    /// # Errors
    /// [`IndexError::Disagrees`] when it was made from other leaves than the ledger's, as after a roll-back.
    pub fn catch_up(&mut self, ledger: &Ledger, leaves_max: u64) -> Result<bool, IndexError> {
        let size = ledger.inner.shared.lock().size;
        let mut progress = self.progress()?;
        let mut leaves = Leaves::new(ledger);
        if progress.next > size {
            return Err(IndexError::Disagrees);
        }
        if !self.compared && progress.next > 0 {
            let last = leaves.get(progress.next - 1)?;
            if tlog::leaf_hash(&last).as_slice() != progress.last_hash {
                return Err(IndexError::Disagrees);
            }
        }
        self.compared = true;
        let end = size.min(progress.next.saturating_add(leaves_max));
        while progress.next < end {
            self.take_in(&mut leaves, &mut progress, end)?;
        }
        Ok(end == size)
    }

    /// One batch, in one transaction.
    fn take_in(
        &mut self,
        leaves: &mut Leaves<'_>,
        progress: &mut Progress,
        end: u64,
    ) -> Result<(), IndexError> {
        self.connection.execute_batch("begin immediate")?;
        let taken = (|| {
            for _ in 0..BATCH_LEAVES.min(end - progress.next) {
                let bytes = leaves.get(progress.next)?;
                let row = Row::read(progress.next, &bytes).map_err(|error| ReadError::Damaged {
                    file: "the ledger".to_owned(),
                    index: progress.next,
                    what: format!("the leaf cannot be read: {error}"),
                })?;
                progress.clock_ms = progress.clock_ms.max(row.time_unix_ms);
                progress.fall_ms = progress.fall_ms.max(progress.clock_ms - row.time_unix_ms);
                self.add(&row, progress.clock_ms)?;
                progress.next += 1;
                progress.last_hash = tlog::leaf_hash(&bytes).to_vec();
            }
            self.connection
                .prepare_cached("update progress set next = ?1, last_hash = ?2, clock_ms = ?3, fall_ms = ?4")?
                .execute(params![
                    sql(progress.next),
                    progress.last_hash,
                    sql(progress.clock_ms),
                    sql(progress.fall_ms)
                ])?;
            Ok::<_, IndexError>(())
        })();
        let ended = self.connection.execute_batch(if taken.is_ok() { "commit" } else { "rollback" });
        if taken.is_err() {
            // Words of a transaction that is gone have no numbers.
            self.words.clear();
        }
        taken?;
        Ok(ended?)
    }

    fn add(&mut self, row: &Row, clock_ms: u64) -> Result<(), rusqlite::Error> {
        match row.kind.as_str() {
            // The text is not here, and what else a block says is the record's.
            "block" => return Ok(()),
            "result" => return self.add_result(row),
            _ => {}
        }
        let kind = self.word(&row.kind)?;
        let mut number = |text: &Option<String>| text.as_deref().map(|text| self.word(text)).transpose();
        let (person, credential) = (number(&row.person)?, number(&row.credential)?);
        let (action, dialect) = (number(&row.action)?, number(&row.dialect)?);
        let (model, deployment) = (number(&row.model)?, number(&row.deployment)?);
        let (repository, path) = (number(&row.repository)?, number(&row.path)?);
        let (outcome, stop) = (number(&row.outcome)?, number(&row.stop)?);
        self.connection
            .prepare_cached(
                "insert into leaves (leaf, time_ms, clock_ms, kind, person, credential, action, dialect, model,
                    deployment, repository, path, outcome, stop, prompt_tokens, answer_tokens, seal)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )?
            .execute(params![
                sql(row.leaf),
                sql(row.time_unix_ms),
                sql(clock_ms),
                kind,
                person,
                credential,
                action,
                dialect,
                model,
                deployment,
                repository,
                path,
                outcome,
                stop,
                row.prompt_tokens,
                row.answer_tokens,
                seal(sql(row.leaf), None),
            ])?;
        for label in &row.labels {
            let label = self.word(label)?;
            self.connection
                .prepare_cached("insert or ignore into labels values (?1, ?2)")?
                .execute(params![label, sql(row.leaf)])?;
        }
        Ok(())
    }

    /// A result belongs to its record's row.
    fn add_result(&mut self, row: &Row) -> Result<(), rusqlite::Error> {
        let Some(record) = row.record else { return Ok(()) };
        let mut number = |text: &Option<String>| text.as_deref().map(|text| self.word(text)).transpose();
        let (outcome, stop, intent) =
            (number(&row.outcome)?, number(&row.stop)?, number(&Some("intent".to_owned()))?);
        self.connection
            .prepare_cached(
                "update leaves set outcome = ?2, stop = ?3, answer_tokens = ?4, result = ?5, seal = ?7
                 where leaf = ?1 and kind = ?6 and result is null",
            )?
            .execute(params![
                sql(record),
                outcome,
                stop,
                row.answer_tokens,
                sql(row.leaf),
                intent,
                seal(sql(record), Some(sql(row.leaf))),
            ])?;
        Ok(())
    }

    fn word(&mut self, text: &str) -> Result<i64, rusqlite::Error> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        self.connection.prepare_cached("insert or ignore into words (text) values (?1)")?.execute([text])?;
        let id = self
            .connection
            .prepare_cached("select id from words where text = ?1")?
            .query_row([text], |row| row.get(0))?;
        if self.words.len() >= WORDS_MAX {
            self.words.clear();
        }
        self.words.insert(text.to_owned(), id);
        Ok(id)
    }

    fn progress(&self) -> Result<Progress, rusqlite::Error> {
        self.connection.query_row("select next, last_hash, clock_ms, fall_ms from progress", [], |row| {
            let unsigned = |column| row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or(0));
            let (next, clock_ms, fall_ms) = (unsigned(0)?, unsigned(2)?, unsigned(3)?);
            Ok(Progress { next, last_hash: row.get(1)?, clock_ms, fall_ms })
        })
    }

    /// The number of a word, or none.
    pub(crate) fn known(&self, text: &str) -> Result<Vec<i64>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached("select id from words where text = ?1")?;
        statement.query_row([text], |row| row.get(0)).optional().map(Vec::from_iter)
    }

    /// The numbers of the words that begin with `beginning` and that `fits` takes.
    pub(crate) fn words(
        &self,
        beginning: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Vec<i64>, rusqlite::Error> {
        let mut statement = self
            .connection
            .prepare_cached("select id, text from words where text >= ?1 and text < ?1 || char(1114111)")?;
        let mut rows = statement.query([beginning])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if fits(row.get_ref(1)?.as_str()?) {
                found.push(row.get(0)?);
            }
        }
        Ok(found)
    }

    /// The records that a selection names, newest first, each with its result's leaf; at most `count`.
    ///
    /// # Errors
    /// [`IndexError::Disagrees`] when a row is not as it was written.
    pub(crate) fn select(
        &self,
        selection: &Selection,
        count: usize,
    ) -> Result<Vec<(u64, Option<u64>)>, IndexError> {
        let Some(mut terms) = self.range(selection)? else { return Ok(Vec::new()) };
        let mut stated = Vec::new();
        let mut looked_up = Vec::new();
        for condition in &selection.conditions {
            if condition.words.is_empty() {
                return Ok(Vec::new());
            }
            if condition.words.len() > STATED_WORDS_MAX {
                let words: std::collections::HashSet<i64> = condition.words.iter().copied().collect();
                looked_up.push((condition.column, words));
                continue;
            }
            let words: Vec<String> = condition.words.iter().map(i64::to_string).collect();
            let term = format!("{} in ({})", condition.column, words.join(", "));
            let counting =
                format!("select count(*) from (select 1 from leaves where {term} limit {NARROW_ROWS_MAX})");
            let rows: i64 = self.connection.query_row(&counting, [], |row| row.get(0))?;
            stated.push((rows, term));
        }
        // SQLite would guess which condition is the narrowest: it is told. A sign before a column keeps its
        // index from being used; where nothing is narrow, the newest rows are looked at one after the other.
        stated.sort();
        let mut from = "leaves";
        let mut narrowest = NARROW_ROWS_MAX;
        if let Some(label) = selection.label {
            let counting = format!(
                "select count(*) from (select 1 from labels where label = {label} limit {NARROW_ROWS_MAX})"
            );
            narrowest = self.connection.query_row(&counting, [], |row| row.get(0))?;
            from = "labels cross join leaves on leaves.leaf = labels.leaf";
            terms.push(format!("labels.label = {label}"));
        }
        for (place, (rows, term)) in stated.iter().enumerate() {
            let leads = place == 0 && selection.label.is_none() && *rows < narrowest;
            terms.push(if leads { term.clone() } else { format!("+{term}") });
        }
        let place = if selection.label.is_some() { "labels.leaf" } else { "leaves.leaf" };
        let columns: String =
            looked_up.iter().map(|(column, _)| format!(", {column}")).collect::<Vec<_>>().concat();
        let filter = if terms.is_empty() { String::new() } else { format!("where {}", terms.join(" and ")) };
        let text =
            format!("select leaves.leaf, result, seal{columns} from {from} {filter} order by {place} desc");
        let mut statement = self.connection.prepare(&text)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut fits = true;
            for (place, (_, words)) in looked_up.iter().enumerate() {
                fits &= row.get::<_, Option<i64>>(3 + place)?.is_some_and(|word| words.contains(&word));
            }
            if !fits {
                continue;
            }
            let result: Option<i64> = row.get(1)?;
            let leaf: i64 = row.get(0)?;
            if seal(leaf, result) != row.get::<_, i64>(2)? {
                return Err(IndexError::Disagrees);
            }
            found.push((
                u64::try_from(leaf).unwrap_or(u64::MAX),
                result.and_then(|result| u64::try_from(result).ok()),
            ));
            if found.len() >= count {
                break;
            }
        }
        Ok(found)
    }

    /// The terms that bound leaves and times; `None` when there is nothing within.
    fn range(&self, selection: &Selection) -> Result<Option<Vec<String>>, rusqlite::Error> {
        let leaf = if selection.label.is_some() { "labels.leaf" } else { "leaves.leaf" };
        let mut terms = Vec::new();
        if let Some(since) = selection.since_ms.map(sql) {
            let first: Option<i64> = self
                .connection
                .query_row(
                    "select leaf from leaves where clock_ms >= ?1 order by clock_ms, leaf limit 1",
                    [since],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(first) = first else { return Ok(None) };
            terms.push(format!("{leaf} >= {first} and time_ms >= {since}"));
        }
        let mut before = selection.before.map(sql);
        if let Some(until) = selection.until_ms.map(sql) {
            let fallen = until.saturating_add(sql(self.progress()?.fall_ms));
            let last: Option<i64> = self
                .connection
                .query_row(
                    "select leaf from leaves where clock_ms < ?1 order by clock_ms desc, leaf desc limit 1",
                    [fallen],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(last) = last else { return Ok(None) };
            before = Some(before.unwrap_or(i64::MAX).min(last.saturating_add(1)));
            terms.push(format!("time_ms < {until}"));
        }
        if let Some(before) = before {
            terms.push(format!("{leaf} < {before}"));
        }
        Ok(Some(terms))
    }
}

/// What is the matter with the index of a ledger's directory that nobody has open.
pub(crate) fn ailment(directory: &Path) -> Option<String> {
    let file = directory.join(FILE);
    if !file.exists() {
        return Some("it is missing".to_owned());
    }
    let checked = Connection::open(&file).and_then(Index::prepared).and_then(|index| {
        index.connection.query_row("pragma quick_check(1)", [], |row| row.get::<_, String>(0))
    });
    match checked {
        Ok(said) if said == "ok" => None,
        Ok(said) => Some(said),
        Err(error) => Some(error.to_string()),
    }
}

/// Removes the files of the index. They must not be open.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    Index::remove(directory).map_err(io::Error::other)
}

/// Tells a row's leaf and result from others, not against forgery.
fn seal(leaf: i64, result: Option<i64>) -> i64 {
    let mut bytes = leaf.to_be_bytes().to_vec();
    bytes.extend(result.into_iter().flat_map(i64::to_be_bytes));
    let [a, b, c, d, e, f, g, h, ..] = tlog::leaf_hash(&bytes);
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// SQLite's integers have a sign. Nothing here comes near.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Ledger {
    /// Has the index take in at most `leaves_max` leaves more; whether it has them all now. Blocks on the disk.
    pub fn catch_up_index(&self, leaves_max: u64) -> Result<bool, IndexError> {
        self.indexed(|index| index.catch_up(self, leaves_max))
    }

    /// Works with the index; one that cannot be used is made again, once.
    pub(crate) fn indexed<T>(
        &self,
        mut work: impl FnMut(&mut Index) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let directory = self.inner.disk.directory();
        let mut place = self.inner.index.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match place.take() {
            Some(index) => place.insert(index),
            None => place.insert(Index::open(directory)?),
        };
        let error = match work(index) {
            Err(error @ (IndexError::Database(_) | IndexError::Disagrees)) => error,
            done => return done,
        };
        tracing::warn!(%error, "the ledger's index is made again");
        // Closed before its files go.
        *place = None;
        if let Some(directory) = directory {
            Index::remove(directory)?;
        }
        work(place.insert(Index::open(directory)?))
    }
}

/// Keeps the index caught up until the writer ends, so that a query finds little to do. It works at most half
/// of the time, holds the ledger only while it works, and stops while the disk is low.
pub(crate) fn follow(ledger: &Weak<Inner>, shared: &Arc<Shared>, disk_free_bytes_min: u64) {
    let mut wait = Duration::ZERO;
    loop {
        let since = Instant::now();
        let mut state = shared.lock();
        loop {
            if state.writer_ended || state.poisoned.is_some() {
                return;
            }
            let rest = wait.saturating_sub(since.elapsed());
            if rest.is_zero() {
                break;
            }
            let waited = shared.progress.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        let Some(inner) = ledger.upgrade() else { return };
        let began = Instant::now();
        let has_room = inner.disk.free_bytes().is_ok_and(|free| free > disk_free_bytes_min);
        let caught_up = if has_room { Ledger { inner }.catch_up_index(BATCH_LEAVES) } else { Ok(true) };
        wait = match caught_up {
            Ok(false) => began.elapsed(),
            Ok(true) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "the ledger's index could not be caught up");
                INTERVAL * 30
            }
        };
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}
