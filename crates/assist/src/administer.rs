//! Administration while the daemon runs: the same identity, the same decision, the same ledger.

use identity::{Action, Credential};
use ledger::Event;
use protocol::admin::{Command, Response};
use protocol::{Digest, RecordNumber};
use serde_json::{Value, json};

use crate::{Assist, Refusal};

/// Records of one list at most.
const LIST_COUNT_MAX: u32 = 1000;

/// Why a command failed: what was wrong, and what to do.
struct Failed {
    error: String,
    hint: &'static str,
}

impl Assist {
    /// Does what an administrator asks over the admin socket; `uid` is the peer's.
    pub async fn administer(&self, uid: u32, command: Command) -> Response {
        match self.try_administer(uid, command).await {
            Ok(value) => Response::Ok(value.to_string()),
            Err(Failed { error, hint }) => Response::Failed { error, hint: hint.to_owned() },
        }
    }

    /// A leaf, its body, and the leaves that name it, as JSON, for a principal who may see it: its own
    /// records for everybody, all for administrators.
    pub async fn explain(&self, credential: &Credential, record: RecordNumber) -> Result<String, Refusal> {
        let house = &self.house;
        let principal = house.identify(credential, "explain")?;
        let forbidden = || {
            let message = format!("record {record} is not yours, or does not exist");
            Refusal::new(crate::RefusalKind::Forbidden, message)
        };
        let leaf = house.ledger.record(record.0).map_err(|_| forbidden())?;
        let own = matches!(&leaf.leaf.event, Event::Intent(intent) if intent.identity == principal.name);
        let action = Action::Administer { command: "ledger show".to_owned() };
        if !own && !identity::decide(&principal, &action, &Default::default()).allowed {
            return Err(forbidden());
        }
        let shown = show(house, record.0)
            .map_err(|failed| Refusal::new(crate::RefusalKind::LedgerUnavailable, failed.error))?;
        Ok(shown.to_string())
    }

    async fn try_administer(&self, uid: u32, command: Command) -> Result<Value, Failed> {
        let house = &self.house;
        // What an administrator changes has a leaf that names them; what they look at has none.
        let shown = Credential::Peer { uid };
        let principal = house.identity.authenticate(&shown).map_err(|error| {
            house.tally.kept_out(&shown, "admin", &error);
            failed(error, "run this as the user that owns the data directory")
        })?;
        let name = command_name(&command);
        let action = Action::Administer { command: name.to_owned() };
        let decision = identity::decide(&principal, &action, &Default::default());
        if !decision.allowed {
            return Err(failed(decision.reason, "run this as the user that owns the data directory"));
        }
        let changed = |subject: &str, detail: String| Event::Administration {
            actor: format!("{} ({})", principal.name, principal.credential),
            action: name.to_owned(),
            subject: subject.to_owned(),
            detail,
        };
        // A change is recorded first: what the ledger does not know has not happened.
        match command {
            Command::UserAdd { name, labels } => {
                let labels: identity::LabelSet = labels.join(",").parse().map_err(|e| failed(e, ""))?;
                self.write(changed(&name, format!("labels: {labels}"))).await?;
                house.identity.user_add(&name, &labels).map_err(|e| failed(e, ""))?;
                Ok(json!({ "user": name, "labels": labels }))
            }
            Command::UserList => {
                let users = house.identity.user_list().map_err(|e| failed(e, ""))?;
                Ok(json!(users))
            }
            Command::TokenIssue { user, note } => {
                self.write(changed(&user, format!("note: {note}"))).await?;
                let issued = house
                    .identity
                    .token_issue(&user, &note)
                    .map_err(|e| failed(e, "list the users with `cloisterd user list`"))?;
                Ok(json!({ "id": issued.id, "token": issued.text }))
            }
            Command::TokenRevoke { id } => {
                self.write(changed(&id, String::new())).await?;
                house
                    .identity
                    .token_revoke(&id)
                    .map_err(|e| failed(e, "list the tokens with `cloisterd token list`"))?;
                Ok(json!({ "revoked": id }))
            }
            Command::TokenList => {
                let tokens = house.identity.token_list().map_err(|e| failed(e, ""))?;
                Ok(json!(tokens))
            }
            Command::LedgerList { count, before } => {
                let records = house
                    .ledger
                    .list(before, count.min(LIST_COUNT_MAX))
                    .map_err(|e| failed(e, "run `cloister ledger verify` on the ledger's directory"))?;
                let row = |record: ledger::Record| json!({ "index": record.index, "hash": Digest(record.hash), "leaf": record.leaf });
                Ok(Value::Array(records.into_iter().map(row).collect()))
            }
            Command::LedgerShow { record } => show(house, record),
            Command::Replay { record } => {
                let replay = house.replay(RecordNumber(record)).await.map_err(|e| failed(e, ""))?;
                Ok(json!(replay))
            }
            Command::Status => Ok(json!(self.status())),
            Command::LedgerEvidence { controls, from_unix_ms, to_unix_ms, pseudonyms } => {
                if let Some(unknown) = controls.iter().find(|name| crate::evidence::framework(name).is_none())
                {
                    return Err(failed(
                        format!("there is no framework `{unknown}`"),
                        "use the commands that came with this daemon",
                    ));
                }
                let names = if pseudonyms { "persons numbered" } else { "persons named" };
                let detail = format!("{}, {names}", crate::evidence::days(from_unix_ms, to_unix_ms));
                evidence(house, changed(&controls.join(","), detail)).await
            }
        }
    }

    async fn write(&self, event: Event) -> Result<(), Failed> {
        self.house.append(event, None).await.map(drop).map_err(|refusal| failed(refusal, ""))
    }
}

/// Writes the leaf, and has the log signed up to it.
async fn evidence(house: &crate::House, event: Event) -> Result<Value, Failed> {
    let receipt = house.append(event, None).await.map_err(|refusal| failed(refusal, ""))?;
    let ledger = house.ledger.clone();
    let head = tokio::task::spawn_blocking(move || ledger.sign()).await.map_err(|error| failed(error, ""))?;
    let head = head.map_err(|error| failed(error, ""))?;
    let made = house.ledger.record(receipt.index).map_err(|error| failed(error, ""))?;
    Ok(json!({
        "leaf": receipt.index,
        "hash": Digest(receipt.leaf_hash),
        "time_unix_ms": made.leaf.time_unix_ms,
        "checkpoint": head.checkpoint,
        "size": head.size_signed,
    }))
}

fn show(house: &crate::House, record: u64) -> Result<Value, Failed> {
    let hint = "run `cloister ledger verify` on the ledger's directory";
    let leaf =
        house.ledger.record(record).map_err(|e| failed(e, "list records with `cloisterd ledger list`"))?;
    let mut related = Vec::new();
    for index in house.ledger.related(record).map_err(|e| failed(e, hint))? {
        related.push(view(&house.ledger.record(index).map_err(|e| failed(e, hint))?));
    }
    let mut shown = view(&leaf);
    shown["related"] = Value::Array(related);
    Ok(shown)
}

fn view(record: &ledger::Record) -> Value {
    let body: Value =
        record.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or(Value::Null);
    json!({ "index": record.index, "hash": Digest(record.hash), "leaf": record.leaf, "body": body })
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::UserAdd { .. } => "user add",
        Command::UserList => "user list",
        Command::TokenIssue { .. } => "token issue",
        Command::TokenRevoke { .. } => "token revoke",
        Command::TokenList => "token list",
        Command::LedgerList { .. } => "ledger list",
        Command::LedgerShow { .. } => "ledger show",
        Command::Replay { .. } => "replay",
        Command::Status => "status",
        Command::LedgerEvidence { .. } => "ledger evidence",
    }
}

fn failed(error: impl std::fmt::Display, hint: &'static str) -> Failed {
    Failed { error: error.to_string(), hint }
}
