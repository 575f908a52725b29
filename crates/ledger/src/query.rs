//! Finding records, newest first, and walking the leaves in order for an export.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tlog::Hash;

use crate::index::{Condition, Index, IndexError, Selection};
use crate::log::Ledger;
use crate::opening::Opening;
use crate::read::{Leaves, ReadError};

pub use protocol::admin::Filter;

/// Rows of one page.
pub const QUERY_ROWS_MAX: u32 = 1000;

/// Records whose bodies one page of a search for words opens; then it says where to go on.
pub const TEXT_CANDIDATES_MAX: usize = 2000;

/// Leaves that one page of an export looks at.
pub const EXPORT_LEAVES_MAX: u32 = 4096;

/// Bytes of leaves in one page of an export: with what is written around them, they fit a frame.
const EXPORT_BYTES_MAX: usize = 2 << 20;

/// Bytes of one value of a filter.
const VALUE_BYTES_MAX: usize = 1024;

/// A leaf's metadata. Of an intent, its result's too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The leaf's index.
    pub leaf: u64,
    /// When the ledger wrote it, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// Its kind.
    pub kind: String,
    /// Who asked, or administered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// By which credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What was asked or done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The surface and dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The weights' digest, or what an upstream engine calls its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The deployment's alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The repository, as the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The file, as the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why the engine stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_tokens: Option<u32>,
    /// Of an intent: its result's leaf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u64>,
    /// The record that the leaf names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// To whom or what something was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// More, in words: a detail, or a refusal's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One page of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Newest first.
    pub rows: Vec<Row>,
    /// What to give as `before` for the next page; `None` when this was the last.
    pub before: Option<u64>,
    /// A search for words ended at [`TEXT_CANDIDATES_MAX`] bodies: older records may match.
    pub truncated: bool,
    /// Records whose bodies were searched.
    pub searched: usize,
    /// Records that could not be searched, since their bodies do not open: erased, or damaged.
    pub unreadable: usize,
}

/// One page of an export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// In order.
    pub leaves: Vec<ExportedLeaf>,
    /// What to give as `from` for the next page.
    pub next: u64,
    /// Durable leaves: at `next == size` everything was looked at.
    pub size: u64,
    /// The log's name.
    pub origin: String,
}

/// A leaf of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportedLeaf {
    /// Its metadata; of a result, who and what its intent names.
    pub row: Row,
    /// Its RFC 6962 hash, as `sha256:…`.
    pub leaf_hash: String,
    /// The leaf itself.
    pub leaf: Value,
}

/// Why a query got no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The filter cannot be used.
    #[error("{0}")]
    Filter(String),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The leaves.
    #[error(transparent)]
    Read(#[from] ReadError),
}

#[derive(Deserialize)]
struct Stored {
    time_unix_ms: u64,
    event: BTreeMap<String, Value>,
}

impl Row {
    /// What a leaf's bytes say. Fields are found by their names: a new kind of leaf that names its person
    /// `identity` or `actor` needs nothing here.
    pub(crate) fn read(leaf: u64, bytes: &[u8]) -> Result<Row, serde_json::Error> {
        let Stored { time_unix_ms, event } = serde_json::from_slice(bytes)?;
        let text = |name: &str| event.get(name).and_then(word);
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        let tokens = |name: &str| number(name).and_then(|tokens| u32::try_from(tokens).ok());
        let mut person = text("identity");
        let mut credential = text("credential");
        if person.is_none()
            && let Some(actor) = text("actor")
        {
            // As the pipeline writes it: `owner (uid:0)`.
            let parts = actor.strip_suffix(')').and_then(|actor| actor.rsplit_once(" ("));
            let parts = parts.map(|(name, by)| (name.to_owned(), by.to_owned()));
            let (name, by) = parts.map_or((actor, None), |(name, by)| (name, Some(by)));
            (person, credential) = (Some(name), credential.or(by));
        }
        let labels = event.get("labels").and_then(Value::as_array);
        Ok(Row {
            leaf,
            time_unix_ms,
            kind: text("kind").unwrap_or_default(),
            person,
            credential,
            action: text("action").or_else(|| text("step")),
            dialect: text("dialect"),
            model: text("model")
                .or_else(|| event.get("upstream")?.get("model").and_then(word))
                .or_else(|| text("weights")),
            deployment: text("deployment").or_else(|| text("alias")),
            labels: labels.map(|labels| labels.iter().filter_map(word).collect()).unwrap_or_default(),
            repository: text("repository"),
            path: text("path"),
            outcome: text("outcome"),
            stop: text("stop"),
            prompt_tokens: tokens("prompt_tokens"),
            answer_tokens: tokens("answer_tokens"),
            result: None,
            record: number("record"),
            subject: text("subject").or_else(|| text("title")),
            detail: text("detail").or_else(|| text("reason")).filter(|text| !text.is_empty()),
        })
    }

    /// An intent's row with how it ended.
    fn ended(self, result: &Row) -> Row {
        let Row { outcome, stop, answer_tokens, detail, .. } = result.clone();
        Row { outcome, stop, answer_tokens, detail, result: Some(result.leaf), ..self }
    }

    /// A result's row with who asked what.
    fn asked(self, intent: Row) -> Row {
        Row {
            person: intent.person,
            credential: intent.credential,
            action: intent.action,
            dialect: intent.dialect,
            model: intent.model,
            deployment: intent.deployment,
            labels: intent.labels,
            repository: intent.repository,
            path: intent.path,
            prompt_tokens: intent.prompt_tokens,
            ..self
        }
    }

    /// Whether a filter takes it, but for its `text`.
    fn fits(&self, filter: &Filter) -> bool {
        let equal = |asked: &Option<String>, held: &Option<String>| asked.is_none() || asked == held;
        let held = |asked: &Option<String>, held: &Option<String>, fits: fn(&str, &str) -> bool| {
            asked.as_deref().is_none_or(|asked| held.as_deref().is_some_and(|held| fits(asked, held)))
        };
        equal(&filter.person, &self.person)
            && filter.since_unix_ms.is_none_or(|since| self.time_unix_ms >= since)
            && filter.until_unix_ms.is_none_or(|until| self.time_unix_ms < until)
            && filter.kind.as_ref().is_none_or(|kind| *kind == self.kind)
            && held(&filter.model, &self.model, model_fits)
            && equal(&filter.deployment, &self.deployment)
            && equal(&filter.repository, &self.repository)
            && held(&filter.path, &self.path, path_fits)
            && filter.label.as_ref().is_none_or(|label| self.labels.contains(label))
            && equal(&filter.outcome, &self.outcome)
            && equal(&filter.action, &self.action)
    }
}

/// A value in one word: of a tagged one, the tag.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => fields.keys().next().filter(|_| fields.len() == 1).cloned(),
        _ => None,
    }
}

const DIGEST: &str = "sha256:";
const DIGITS_MIN: usize = 4;

fn model_fits(asked: &str, held: &str) -> bool {
    asked == held || model_beginning(asked).is_some_and(|beginning| held.starts_with(&beginning))
}

/// `sha256:` and the first digits of a digest, where that is what is asked.
fn model_beginning(asked: &str) -> Option<String> {
    let digits = asked.strip_prefix(DIGEST).unwrap_or(asked);
    let is_digest = digits.len() >= DIGITS_MIN && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_digest.then(|| format!("{DIGEST}{}", digits.to_ascii_lowercase()))
}

fn path_fits(asked: &str, held: &str) -> bool {
    let literal = literal(asked);
    if literal.len() == asked.len() { held.starts_with(asked) } else { glob(asked, held) }
}

/// What stands before the first wildcard.
fn literal(pattern: &str) -> &str {
    pattern.find(['*', '?']).and_then(|at| pattern.get(..at)).unwrap_or(pattern)
}

/// `**` is any text, `*` any without `/`, `?` a character other than `/`. One row of states: no pattern takes
/// longer than its length times the text's.
fn glob(pattern: &str, text: &str) -> bool {
    #[derive(Clone, Copy)]
    enum Part {
        Any,
        Name,
        One,
        Letter(char),
    }
    let mut parts = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '*' if letters.next_if_eq(&'*').is_some() => Part::Any,
            '*' => Part::Name,
            '?' => Part::One,
            letter => Part::Letter(letter),
        });
    }
    // `reached[n]`: the first n parts fit the text so far.
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    let skip = |reached: &mut Vec<bool>| {
        for (place, part) in parts.iter().enumerate() {
            if reached[place] && matches!(part, Part::Any | Part::Name) {
                reached[place + 1] = true;
            }
        }
    };
    skip(&mut reached);
    for letter in text.chars() {
        let mut next = vec![false; parts.len() + 1];
        for (place, part) in parts.iter().enumerate().filter(|(place, _)| reached[*place]) {
            match part {
                Part::Any => next[place] = true,
                Part::Name if letter != '/' => next[place] = true,
                Part::One if letter != '/' => next[place + 1] = true,
                Part::Letter(wanted) if *wanted == letter => next[place + 1] = true,
                _ => {}
            }
        }
        skip(&mut next);
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// Refuses what would find nothing for a reason that nobody sees.
fn check(filter: &Filter) -> Result<(), QueryError> {
    let values = [
        &filter.person,
        &filter.kind,
        &filter.model,
        &filter.deployment,
        &filter.repository,
        &filter.path,
        &filter.label,
        &filter.outcome,
        &filter.action,
        &filter.text,
    ];
    if values.iter().any(|value| value.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX)) {
        return Err(QueryError::Filter(format!("a filter's value is longer than {VALUE_BYTES_MAX} bytes")));
    }
    if filter.text.as_ref().is_some_and(|text| text.trim().is_empty()) {
        return Err(QueryError::Filter("the words to search for are empty".to_owned()));
    }
    Ok(())
}

impl Ledger {
    /// Records that a filter takes, newest first: at most `count` and [`QUERY_ROWS_MAX`], only those before
    /// `before`. An intent is one row with its result; blocks and results have no row of their own. `text`
    /// opens the bodies of the records that the rest of the filter takes: whose they may be is for the caller
    /// to say, by the filter. Blocks on the disk.
    pub fn query(&self, filter: &Filter, before: Option<u64>, count: u32) -> Result<Page, QueryError> {
        self.query_opening(filter, before, count, &|_| true)
    }

    /// The same; a search opens only the bodies of rows that `may_open` takes, and nothing of the page tells of others.
    pub fn query_opening(
        &self,
        filter: &Filter,
        before: Option<u64>,
        count: u32,
        may_open: &dyn Fn(&Row) -> bool,
    ) -> Result<Page, QueryError> {
        check(filter)?;
        if matches!(filter.kind.as_deref(), Some("result" | "block")) {
            let message =
                "results and blocks are in their intent's row: ask for the kind `intent`, or export";
            return Err(QueryError::Filter(message.to_owned()));
        }
        let count = usize::try_from(count.clamp(1, QUERY_ROWS_MAX)).unwrap_or(1);
        let candidates_max = if filter.text.is_some() { TEXT_CANDIDATES_MAX } else { count };
        let found = self.indexed(|index| {
            while !index.catch_up(self, u64::MAX)? {}
            // One more tells whether there are more.
            let found = select(index, filter, before, candidates_max + 1)?;
            let mut leaves = Leaves::new(self);
            let rows = found.into_iter().map(|(leaf, result)| {
                let row = self.joined(&mut leaves, leaf, result)?;
                if row.fits(filter) { Ok(row) } else { Err(IndexError::Disagrees) }
            });
            rows.collect::<Result<Vec<Row>, IndexError>>()
        })?;
        let Some(text) = &filter.text else { return Ok(page(found, count)) };
        self.search(found, &text.to_lowercase(), count, may_open)
    }

    /// A row as the leaves say. What the index says is not taken for more than where to look.
    fn joined(&self, leaves: &mut Leaves<'_>, leaf: u64, result: Option<u64>) -> Result<Row, IndexError> {
        let row = read_row(leaves, leaf)?;
        let Some(result) = result else { return Ok(row) };
        let result = read_row(leaves, result)?;
        if row.kind == "intent" && result.kind == "result" && result.record == Some(leaf) {
            Ok(row.ended(&result))
        } else {
            Err(IndexError::Disagrees)
        }
    }

    fn search(
        &self,
        found: Vec<Row>,
        text: &str,
        count: usize,
        may_open: &dyn Fn(&Row) -> bool,
    ) -> Result<Page, QueryError> {
        let mut page = Page::default();
        let more = found.len() > TEXT_CANDIDATES_MAX;
        for row in found.into_iter().take(TEXT_CANDIDATES_MAX) {
            if page.rows.len() >= count {
                return Ok(page);
            }
            page.before = Some(row.leaf);
            if row.kind != "intent" || !may_open(&row) {
                continue;
            }
            page.searched += 1;
            let mut texts = String::new();
            let mut readable = true;
            for leaf in [Some(row.leaf), row.result].into_iter().flatten() {
                let record = self.record(leaf);
                let erased = record.as_ref().is_ok_and(|record| record.erased);
                match record.map(|record| record.body) {
                    Ok(Some(body)) => match serde_json::from_slice::<Opening>(&body) {
                        Ok(opening) => {
                            for text in [opening.prompt_text, opening.context_text, opening.output_text] {
                                texts.push_str(&text.unwrap_or_default().to_lowercase());
                                texts.push('\n');
                            }
                        }
                        Err(_) => readable = false,
                    },
                    Ok(None) => readable &= !erased,
                    Err(_) => readable = false,
                }
            }
            page.unreadable += usize::from(!readable);
            if text.split_whitespace().all(|word| texts.contains(word)) {
                page.rows.push(row);
            }
        }
        page.truncated = more;
        page.before = page.before.filter(|_| more);
        Ok(page)
    }

    /// Leaves from `from` on that a filter takes, in order: of at most `count` and [`EXPORT_LEAVES_MAX`]
    /// leaves that are looked at, blocks not among them. It reads the leaves, not the index: nothing is
    /// missing from it that is in the log. A result counts as its person's; an outcome is that of a result,
    /// so a filter for one takes no intents. Blocks on the disk.
    pub fn export(&self, filter: &Filter, from: u64, count: u32) -> Result<Exported, QueryError> {
        check(filter)?;
        if filter.text.is_some() {
            let message = "an export holds no bodies, so it cannot search them: use `ledger query --text`";
            return Err(QueryError::Filter(message.to_owned()));
        }
        let size = self.inner.shared.lock().size;
        let end = size.min(from.saturating_add(u64::from(count.clamp(1, EXPORT_LEAVES_MAX))));
        let mut exported =
            Exported { next: from.min(size), size, origin: self.origin().to_owned(), ..Exported::default() };
        let mut leaves = Leaves::new(self);
        let mut intents = Leaves::new(self);
        let mut bytes_total = 0;
        for leaf in from..end {
            if bytes_total > EXPORT_BYTES_MAX {
                break;
            }
            let bytes = leaves.get(leaf)?;
            let mut row = parse(leaf, &bytes)?;
            exported.next = leaf + 1;
            if row.kind == "block" && filter.kind.as_deref() != Some("block") {
                continue;
            }
            if matches!(row.kind.as_str(), "result" | "block")
                && let Some(record) = row.record.filter(|record| *record < leaf)
            {
                row = row.asked(read_row(&mut intents, record)?);
            }
            if row.fits(filter) {
                bytes_total += bytes.len();
                let leaf_hash: Hash = tlog::leaf_hash(&bytes);
                exported.leaves.push(ExportedLeaf {
                    row,
                    leaf_hash: protocol::Digest(leaf_hash).to_string(),
                    leaf: serde_json::from_slice(&bytes).map_err(|error| damaged(leaf, &error))?,
                });
            }
        }
        Ok(exported)
    }
}

fn page(mut rows: Vec<Row>, count: usize) -> Page {
    let more = rows.len() > count;
    rows.truncate(count);
    let before = rows.last().map(|row| row.leaf).filter(|_| more);
    Page { rows, before, ..Page::default() }
}

fn read_row(leaves: &mut Leaves<'_>, leaf: u64) -> Result<Row, ReadError> {
    parse(leaf, &leaves.get(leaf)?)
}

fn parse(leaf: u64, bytes: &[u8]) -> Result<Row, ReadError> {
    Row::read(leaf, bytes).map_err(|error| damaged(leaf, &error))
}

fn damaged(index: u64, error: &serde_json::Error) -> ReadError {
    let what = format!("the leaf cannot be read: {error}");
    ReadError::Damaged { file: "the ledger".to_owned(), index, what }
}

/// What the index has for a filter. A word that it does not know is nowhere.
fn select(
    index: &Index,
    filter: &Filter,
    before: Option<u64>,
    count: usize,
) -> Result<Vec<(u64, Option<u64>)>, IndexError> {
    let mut selection = Selection {
        since_ms: filter.since_unix_ms,
        until_ms: filter.until_unix_ms,
        before,
        ..Selection::default()
    };
    let exact = [
        ("person", &filter.person),
        ("kind", &filter.kind),
        ("deployment", &filter.deployment),
        ("repository", &filter.repository),
        ("outcome", &filter.outcome),
        ("action", &filter.action),
    ];
    for (column, asked) in exact {
        if let Some(asked) = asked {
            let words = index.known(asked)?;
            selection.conditions.push(Condition { column, words });
        }
    }
    if let Some(asked) = &filter.model {
        let mut words = index.known(asked)?;
        if let Some(beginning) = model_beginning(asked) {
            words.extend(index.words(&beginning, |_| true)?);
        }
        selection.conditions.push(Condition { column: "model", words });
    }
    if let Some(asked) = &filter.path {
        let words = index.words(literal(asked), |word| path_fits(asked, word))?;
        selection.conditions.push(Condition { column: "path", words });
    }
    if let Some(asked) = &filter.label {
        match index.known(asked)?.first() {
            Some(label) => selection.label = Some(*label),
            None => return Ok(Vec::new()),
        }
    }
    index.select(&selection, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("src/", "src/a.rs", true),
            ("src/", "lib/src/a.rs", false),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/deep/a.rs", false),
            ("src/**.rs", "src/deep/a.rs", true),
            ("**/a.rs", "src/deep/a.rs", true),
            ("src/?.rs", "src/é.rs", true),
            ("src/?.rs", "src//.rs", false),
            ("*", "a/b", false),
            ("**", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(path_fits(pattern, path), expected, "{pattern} {path}");
        }
        // Patterns that make a backtracking matcher slow.
        assert!(!glob(&"*a".repeat(200), &"a".repeat(150)));
    }

    #[test]
    fn models_by_their_first_digits() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for asked in [digest.as_str(), "abab", "sha256:abab", "ABAB"] {
            assert!(model_fits(asked, &digest), "{asked}");
        }
        for asked in ["aba", "sha256:", "bbbb", "coder"] {
            assert!(!model_fits(asked, &digest), "{asked}");
        }
        assert!(model_fits("coder", "coder"));
    }

    #[test]
    fn rows_of_kinds_that_are_not_known_here() {
        let leaf = br#"{"schema":1,"time_unix_ms":5,"event":{"kind":"key_rotation","actor":"owner (uid:0)","labels":[1,"a"],"model":{"x":1,"y":2}}}"#;
        let row = Row::read(7, leaf).unwrap();
        assert_eq!((row.kind.as_str(), row.person.as_deref()), ("key_rotation", Some("owner")));
        assert_eq!(
            (row.credential.as_deref(), row.labels.as_slice()),
            (Some("uid:0"), &["a".to_owned()][..])
        );
        assert_eq!(row.model, None);
    }
}
