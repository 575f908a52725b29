//! Records, for those who may see them: leaves for some, prompts and answers for fewer.

use identity::{Asked, Asking, Circumstances, Credential, LabelSet, Verb};
use ledger::{Event, Filter, QueryError};
use protocol::{Digest, RecordNumber};
use serde_json::{Value, json};

use super::{Failed, failed, failed_as};
use crate::policy::Whose;
use crate::{Assist, House, Refusal, RefusalKind};

/// What a query is called, in policies and in the ledger.
pub(super) const QUERY: &str = "ledger query";

impl Assist {
    /// A leaf, its body, and the leaves that name it, as JSON, for a person whom the policy allows to read the record:
    /// whose it is, and auditors.
    pub async fn explain(&self, credential: &Credential, record: RecordNumber) -> Result<String, Refusal> {
        const DIALECT: &str = "explain";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let asking = house.asking(&principal, DIALECT);
        // One answer for what is another's and for what is not there.
        let forbidden = || {
            let message = format!("record {record} is not yours, or does not exist");
            Refusal::new(RefusalKind::Forbidden, message)
        };
        let Ok(leaf) = house.ledger.record(record.0) else {
            house.tally.count(&principal.name, DIALECT, "another's record, or none");
            return Err(forbidden());
        };
        let whose = house.whose(&leaf).map_err(|_| forbidden())?;
        let owner = match &whose {
            Whose::Person { name, .. } => name.clone(),
            Whose::Nobody => String::new(),
        };
        let decision = house.may_read_body(&asking, &leaf).map_err(|_| forbidden())?;
        if !decision.allowed {
            let reason = "another's record, or none";
            house.tally.denied(&principal.name, DIALECT, reason, Verb::ReadRecord, &decision);
            return Err(forbidden());
        }
        if owner != principal.name {
            house.reads_anothers(&principal, record.0, &decision).await?;
        }
        let unavailable = |error| Refusal::new(RefusalKind::LedgerUnavailable, error);
        let mut shown = shown(house, record.0, true).map_err(|failed: Failed| unavailable(failed.error))?;
        if !reads_withheld(&asking) {
            keep_withheld(&mut shown);
        }
        Ok(shown.to_string())
    }

    /// Records that a filter takes, newest first, as JSON: of a person's own for everybody, of all for those who may
    /// query the ledger.
    pub async fn query(
        &self,
        credential: &Credential,
        mut filter: Filter,
        before: Option<u64>,
        count: u32,
    ) -> Result<String, Refusal> {
        const DIALECT: &str = "cloister.query";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        // It costs what a request costs, or more.
        let place = house.admission.enter(&principal.name);
        let _place = place.map_err(|(kind, message)| Refusal::new(kind, message))?;
        let asking = house.asking(&principal, DIALECT);
        let decision = asking.decide(&Asked::of_server(Verb::QueryLedger, QUERY));
        if !decision.allowed {
            let person = filter.person.get_or_insert_with(|| principal.name.clone());
            if *person != principal.name {
                house.tally.denied(
                    &principal.name,
                    DIALECT,
                    "another's records",
                    Verb::QueryLedger,
                    &decision,
                );
                let message = format!("the records of {person} are not yours: leave `person` out");
                return Err(Refusal::new(RefusalKind::Forbidden, message));
            }
        }
        let page = house.query(&asking, filter, before, count).await;
        let page = page.map_err(|failed| Refusal::new(failed.kind, failed.error))?;
        Ok(json!(page).to_string())
    }

    /// The same for administrators, who see the leaves; of others' records, no body.
    pub(super) async fn show(&self, asking: &Asking<'_>, record: u64) -> Result<Value, Failed> {
        let house = &self.house;
        let hint = "list records with `cloisterd ledger list`";
        let leaf = house.ledger.record(record).map_err(|error| failed(error, hint))?;
        // What cannot be told is not shown.
        let decision = house.may_read_body(asking, &leaf).ok();
        let may_read = decision.as_ref().is_some_and(|decision| decision.allowed);
        if let (Some(decision), Ok(Whose::Person { name, .. })) = (decision, house.whose(&leaf))
            && decision.allowed
            && name != asking.principal().name
        {
            let written = house.reads_anothers(asking.principal(), record, &decision).await;
            written.map_err(|refusal| failed(refusal, ""))?;
        }
        let mut shown = shown(house, record, may_read)?;
        if !reads_withheld(asking) {
            keep_withheld(&mut shown);
        }
        Ok(shown)
    }
}

impl House {
    /// A search for words opens bodies, so it is written down before: who searched, with which filter. The
    /// words themselves may be somebody's own and go into the leaf's body.
    pub(super) async fn query(
        &self,
        asking: &Asking<'_>,
        mut filter: Filter,
        before: Option<u64>,
        count: u32,
    ) -> Result<ledger::Page, Failed> {
        let principal = asking.principal();
        if filter.text.is_some() {
            let decision = asking.decide(&Asked::of_server(Verb::SearchRecords, QUERY));
            // Whoever says no person searches what they may: of everybody, or of their own.
            if !decision.allowed {
                filter.person.get_or_insert_with(|| principal.name.clone());
            }
            if filter.person.as_ref() != Some(&principal.name) && !decision.allowed {
                self.tally.denied(
                    &principal.name,
                    "cloister.query",
                    "a search",
                    Verb::SearchRecords,
                    &decision,
                );
                let error = format!("{} may search the words of their own records only", principal.name);
                return Err(failed_as(RefusalKind::Forbidden, error, ""));
            }
            let shown = Filter { text: None, ..filter.clone() };
            let event = Event::Administration {
                actor: format!("{} ({})", principal.name, principal.credential),
                action: QUERY.to_owned(),
                subject: filter.person.clone().unwrap_or_else(|| "everybody".to_owned()),
                detail: format!("a search for words in bodies, by {}", given(&shown)),
            };
            let body = json!({ "filter": filter, "before": before }).to_string();
            let written = self.append(event, Some(body.into_bytes())).await;
            written.map_err(|refusal| failed_as(RefusalKind::LedgerUnavailable, refusal, ""))?;
        }
        let (principal, time_unix_s) = (principal.clone(), asking.circumstances().time_unix_s);
        let policy = self.policy.current();
        let found = blocking(self.ledger.clone(), move |ledger| {
            let circumstances = Circumstances { time_unix_s, dialect: "cloister.query" };
            let asking = Asking::new(policy, &principal, circumstances);
            // That a record has a word tells of what is in it, and so does where a search stopped.
            let may_open = |row: &ledger::Row| {
                let Ok(labels) = row.labels.join(",").parse::<LabelSet>() else { return false };
                let owner = row.person.as_deref().unwrap_or_default();
                asking.decide(&Asked::of_record(row.leaf, owner, labels)).allowed
            };
            ledger.query_opening(&filter, before, count, &may_open)
        });
        found.await.map_err(unanswered)
    }
}

/// The parts of a filter that are given, as JSON.
fn given(filter: &Filter) -> String {
    let mut given = json!(filter);
    if let Value::Object(fields) = &mut given {
        fields.retain(|_, value| !value.is_null());
    }
    given.to_string()
}

/// Work that reads many files does not hold up those who wait for an answer.
pub(super) async fn blocking<T: Send + 'static>(
    ledger: ledger::Ledger,
    work: impl FnOnce(&ledger::Ledger) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let done = tokio::task::spawn_blocking(move || work(&ledger)).await;
    done.unwrap_or_else(|_| Err(QueryError::Filter("the query was broken off: try again".to_owned())))
}

pub(super) fn unanswered(error: QueryError) -> Failed {
    match error {
        QueryError::Filter(message) => failed_as(RefusalKind::Invalid, message, ""),
        error => {
            let hint = "run `cloister ledger verify` on the ledger's directory";
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(&error) {
                text = format!("{text}: {cause}");
            }
            failed_as(RefusalKind::LedgerUnavailable, text, hint)
        }
    }
}

/// A leaf and those that name it; their bodies where they may be read.
fn shown(house: &House, record: u64, with_bodies: bool) -> Result<Value, Failed> {
    let hint = "run `cloister ledger verify` on the ledger's directory";
    let leaf =
        house.ledger.record(record).map_err(|e| failed(e, "list records with `cloisterd ledger list`"))?;
    let mut related = Vec::new();
    for index in house.ledger.related(record).map_err(|e| failed(e, hint))? {
        related.push(view(&house.ledger.record(index).map_err(|e| failed(e, hint))?, with_bodies));
    }
    let mut shown = view(&leaf, with_bodies);
    shown["related"] = Value::Array(related);
    Ok(shown)
}

/// Whether somebody reads what a policy withheld: those who read everybody's records, and not whoever asked.
fn reads_withheld(asking: &Asking<'_>) -> bool {
    asking.decide(&Asked::of_server(Verb::SearchRecords, QUERY)).allowed
}

/// What a policy withheld is not shown to whoever asked for it by another way.
fn keep_withheld(shown: &mut Value) {
    let keep = |leaf: &mut Value| {
        if leaf.pointer("/leaf/event/outcome").is_some_and(|outcome| outcome == "withheld") {
            leaf["body"] = json!({ "withheld": true });
        }
    };
    // The result has a number of its own.
    keep(shown);
    shown["related"].as_array_mut().into_iter().flatten().for_each(keep);
}

fn view(record: &ledger::Record, with_body: bool) -> Value {
    let parsed = || record.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
    let body = match (with_body, &record.leaf.body) {
        (true, _) => parsed().unwrap_or(Value::Null),
        (false, Some(_)) => {
            json!({ "not_shown": "prompts and answers are for whose they are, and for auditors" })
        }
        (false, None) => Value::Null,
    };
    json!({
        "index": record.index,
        "hash": Digest(record.hash),
        "leaf": record.leaf,
        "body": body,
        "erased": record.erased,
    })
}
