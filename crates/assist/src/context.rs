//! What the team knows, as far as this person may read it: for prompts, and for people who look for themselves.
//!
//! Rights come first: a [`Readable`] holds the sources that [`Asking::decide`] allows, and whatever is looked up is looked
//! up in it. So no count, no score, no error and no record tells of a source that somebody may not read.

use identity::{Asked, Asking, Credential, LabelSet, Verb};
use ledger::Event;
use protocol::RecordNumber;
use protocol::context::SourceFacts;
use retrieval::{ChatQuery, FillQuery, Found, Open, Readable};
use serde_json::{Value, json};

use crate::{Ask, Assist, House, Refusal, RefusalKind, Request, Role};

/// What somebody looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Passages with words.
    Search {
        /// The words.
        query: String,
        /// Only in this source.
        source: Option<String>,
        /// Results at most.
        count: usize,
    },
    /// Where a name is defined.
    Definition {
        /// The name, simple or qualified.
        name: String,
        /// Results at most.
        count: usize,
    },
    /// What uses a name.
    References {
        /// The name.
        name: String,
        /// Results at most.
        count: usize,
    },
    /// Lines of a file.
    Read {
        /// The source.
        source: String,
        /// The file, from the source's root.
        path: String,
        /// The first line, from 1.
        first_line: u32,
        /// The last line.
        last_line: u32,
    },
    /// What there is.
    Sources,
}

impl Lookup {
    fn action(&self) -> &'static str {
        match self {
            Lookup::Search { .. } => "search",
            Lookup::Definition { .. } => "definition",
            Lookup::References { .. } => "references",
            Lookup::Read { .. } => "read",
            Lookup::Sources => "sources",
        }
    }

    fn question(&self) -> Value {
        match self {
            Lookup::Search { query, source, .. } => json!({ "search": query, "source": source }),
            Lookup::Definition { name, .. } => json!({ "definition": name }),
            Lookup::References { name, .. } => json!({ "references": name }),
            Lookup::Read { source, path, first_line, last_line } => {
                json!({ "read": path, "source": source, "first_line": first_line, "last_line": last_line })
            }
            Lookup::Sources => json!({ "sources": true }),
        }
    }
}

/// The one question that decides: whether a person may read a source.
pub(crate) fn may_read(asking: &Asking<'_>, verb: Verb, source: &SourceFacts) -> bool {
    let Ok(labels) = source.labels.join(",").parse::<LabelSet>() else { return false };
    asking.decide(&Asked::of_source(verb, &source.name, &source.readers, labels)).allowed
}

impl House {
    fn readable(&self, asking: &Asking<'_>, verb: Verb) -> Readable {
        self.context.readable(|source| may_read(asking, verb, source))
    }

    /// What helps with a request; nothing where nothing may. `source` is the one that it is about.
    pub(crate) async fn retrieve(
        &self,
        request: &Request,
        asking: &Asking<'_>,
        source: Option<&SourceFacts>,
    ) -> Result<Found, Refusal> {
        let wanted = request.context && !matches!(request.ask, Ask::Complete { .. });
        let readable = self.readable(asking, Verb::ReadSource);
        if !wanted || readable.is_empty() {
            return Ok(Found::default());
        }
        let (ask, subject) = (request.ask.clone(), request.subject.clone());
        let rules = source.and_then(|source| Some((source.name.clone(), source.rules_file.clone()?)));
        let found = tokio::task::spawn_blocking(move || {
            let repository = subject.repository.as_deref().map(repository_name);
            let (path, repository) = (subject.path.as_deref(), repository.as_deref());
            match &ask {
                Ask::Chat { messages, .. } => {
                    let question = messages.iter().rev().find(|message| message.role == Role::User);
                    let question = question.map_or("", |message| &message.content);
                    let mut found = readable.for_chat(&ChatQuery { question, path, repository })?;
                    if let Some((source, file)) = rules {
                        match readable.rules(&source, &file)? {
                            // Before what only helps: they are to be kept.
                            Some(rules) => found.passages.insert(0, rules),
                            None => tracing::warn!(source, file, "the coding rules are not in the index"),
                        }
                    }
                    Ok(found)
                }
                Ask::Fill { prefix, suffix, extra } => {
                    let open: Vec<Open<'_>> = extra
                        .iter()
                        .map(|extra| Open { path: &extra.file_name, text: &extra.text })
                        .collect();
                    readable.for_fill(&FillQuery { path, repository, prefix, suffix, open: &open })
                }
                Ask::Complete { .. } => Ok(Found::default()),
            }
        });
        let found = found.await.map_err(|_| Refusal::broken())?;
        found.map_err(|error| unavailable(&error))
    }
}

/// As sources are named: the last part of an address or a path.
pub(crate) fn repository_name(repository: &str) -> String {
    let last = repository.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(repository);
    last.strip_suffix(".git").unwrap_or(last).to_lowercase()
}

/// An index that cannot be read is an error, not an answer without context.
fn unavailable(error: &retrieval::IndexError) -> Refusal {
    tracing::error!(%error, "an index cannot be read");
    Refusal::new(RefusalKind::Busy, "local context cannot be read at the moment: try again".to_owned())
}

/// Labels of everything of some passages.
pub(crate) fn labels_of<'a>(
    passages: impl Iterator<Item = &'a retrieval::Passage>,
) -> Result<LabelSet, Refusal> {
    let mut labels = LabelSet::default();
    for passage in passages {
        labels = labels.join(&parsed(&passage.labels)?);
    }
    Ok(labels)
}

/// Labels of everything of a source.
pub(crate) fn labels_of_source(source: Option<&SourceFacts>) -> Result<LabelSet, Refusal> {
    source.map_or_else(|| Ok(LabelSet::default()), |source| parsed(&source.labels))
}

/// Labels, as they are configured.
pub(crate) fn parsed(labels: &[String]) -> Result<LabelSet, Refusal> {
    let parsed = labels.join(",").parse();
    parsed.map_err(|error: identity::LabelError| Refusal::new(RefusalKind::Forbidden, error.to_string()))
}

impl Assist {
    /// Looks into the sources that this person may read. The lookup's leaf is durable before anything is answered.
    pub async fn look_up(
        &self,
        credential: &Credential,
        lookup: Lookup,
    ) -> Result<(RecordNumber, String), Refusal> {
        const DIALECT: &str = "cloister.context";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let _place = house.admit(DIALECT, &principal)?;
        let asking = house.asking(&principal, DIALECT);
        let verb = if matches!(lookup, Lookup::Read { .. }) { Verb::ReadSource } else { Verb::SearchSource };
        let views = house.context.views(|source| may_read(&asking, verb, source));
        let readable = house.readable(&asking, verb);
        let (action, question) = (lookup.action(), lookup.question());
        let results = if lookup == Lookup::Sources {
            views.iter().map(view).collect()
        } else {
            let found = tokio::task::spawn_blocking(move || look(&readable, lookup));
            found.await.map_err(|_| Refusal::broken())?.map_err(|error| unavailable(&error))?
        };
        let named: Vec<&str> = results.iter().filter_map(|result| result["source"].as_str()).collect();
        let mut labels = LabelSet::default();
        for view in views.iter().filter(|view| named.contains(&view.name.as_str())) {
            labels = labels.join(&parsed(&view.labels)?);
        }
        let count = u32::try_from(results.len()).unwrap_or(u32::MAX);
        let leaf = ledger::Lookup {
            identity: principal.name.clone(),
            credential: principal.credential.clone(),
            labels: house.identity.lattice().reduced(&labels).names(),
            policy: asking.policy(),
            action: action.to_owned(),
            shown: count,
        };
        let places: Vec<Value> = results.iter().map(place_of).collect();
        let body = json!({ "question": question, "shown": places }).to_string().into_bytes();
        let receipt = house.append(Event::Lookup(Box::new(leaf)), Some(body)).await?;
        let answer = json!({ "record": receipt.index, "labels": labels, "results": results });
        Ok((RecordNumber(receipt.index), answer.to_string()))
    }
}

/// A source in the list of them.
fn view(view: &retrieval::SourceView) -> Value {
    let summary = view.summary.as_ref();
    json!({
        "source": view.name,
        "labels": view.labels,
        "stage": view.stage,
        "revision": summary.map(|summary| &summary.revision),
        "files": summary.map(|summary| summary.files),
    })
}

/// Where a result stands, without its text.
fn place_of(result: &Value) -> Value {
    let mut place = serde_json::Map::new();
    for name in ["source", "revision", "path", "first_line", "last_line", "page"] {
        if let Some(value) = result.get(name).filter(|value| !value.is_null()) {
            place.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(place)
}

fn look(readable: &Readable, lookup: Lookup) -> Result<Vec<Value>, retrieval::IndexError> {
    Ok(match lookup {
        Lookup::Search { query, source, count } => {
            values(&readable.search(&query, source.as_deref(), count)?)
        }
        Lookup::Definition { name, count } => values(&readable.definitions(&name, count)?),
        Lookup::References { name, count } => values(&readable.references(&name, count)?),
        Lookup::Read { source, path, first_line, last_line } => {
            values(readable.read(&source, &path, first_line, last_line)?.as_slice())
        }
        // No index has that.
        Lookup::Sources => Vec::new(),
    })
}

fn values<T: serde::Serialize>(results: &[T]) -> Vec<Value> {
    results.iter().map(|result| json!(result)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_by_their_last_name() {
        for (repository, name) in [
            ("https://forge/team/Flight.git", "flight"),
            ("git@forge:flight", "flight"),
            ("flight", "flight"),
            ("/srv/git/flight/", "flight"),
        ] {
            assert_eq!(repository_name(repository), name, "{repository}");
        }
    }
}
