//! Administration while the daemon runs: the same identity, the same decision, the same ledger.

mod commands;
mod erasure;
mod models;
mod policy;
mod records;
mod slice;
mod spill;

pub use models::{NotAdmitted, check_admitted};

use approval::PublicKey;
use identity::{Asked, Credential, Scope, Terms};
use ledger::Event;
use protocol::admin::{Command, Response};
use protocol::context::Stage;
use protocol::posture::Summary;
use protocol::{Digest, RecordNumber};
use serde_json::{Value, json};

use crate::{Assist, RefusalKind};

use commands::{mends, name_of, verb_of};
use records::{blocking, unanswered};

/// The surface of administration, as policies name it.
const ADMIN: &str = "admin";

/// Records of one list at most.
const LIST_COUNT_MAX: u32 = 1000;

const SOURCES_HINT: &str = "list the sources with `cloisterd repo list`";
const NOT_INDEXED: &str = "there is no such source, or it is not indexed yet";

/// Why a command failed: what was wrong, and what to do.
struct Failed {
    error: String,
    hint: &'static str,
    kind: RefusalKind,
}

impl Assist {
    /// Does what an administrator asks over the admin socket; `uid` is the peer's.
    pub async fn administer(&self, uid: u32, command: Command) -> Response {
        match self.try_administer(uid, command).await {
            Ok(value) => Response::Ok(value.to_string()),
            Err(Failed { error, hint, .. }) => Response::Failed { error, hint: hint.to_owned() },
        }
    }

    /// Writes down a look at the jails, with its table as the body. Answers the leaf's number.
    pub async fn record_posture(&self, summary: Summary, text: &str) -> Result<u64, String> {
        let event = Event::Posture {
            occasion: summary.occasion.name().to_owned(),
            passed: summary.passed,
            failed: summary.failed,
            untried: summary.untried,
            clock: Some(summary.clock),
        };
        let written = self.house.append(event, Some(text.as_bytes().to_vec())).await;
        written.map(|receipt| receipt.index).map_err(|refusal| refusal.to_string())
    }

    async fn try_administer(&self, uid: u32, command: Command) -> Result<Value, Failed> {
        let house = &self.house;
        // What an administrator changes has a leaf that names them; what they look at has none.
        let shown = Credential::Peer { uid };
        let principal = house.identity.authenticate(&shown).map_err(|error| {
            house.tally.kept_out(&shown, "admin", &error);
            failed(error, "run this as the user that owns the data directory")
        })?;
        let name = name_of(&command);
        // Whoever mends a policy that cannot be used is judged by the default one, and needs approvals all the same.
        let asking = if mends(&command) {
            house.asking_to_mend(&principal, ADMIN)
        } else {
            house.asking(&principal, ADMIN)
        };
        let asked = Asked::of_server(verb_of(&command), name);
        let decision = asking.decide(&asked);
        if !decision.allowed {
            house.tally.denied(&principal.name, ADMIN, "administration", asked.verb, &decision);
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
            Command::UserAdd { name, labels, groups } => {
                let labels: identity::LabelSet = labels.join(",").parse().map_err(|e| failed(e, ""))?;
                house.identity.lattice().check(&labels).map_err(|e| failed(e, ""))?;
                let detail = format!("labels: {labels}; groups: {}", groups.join(","));
                self.write(changed(&name, detail)).await?;
                house.identity.user_add(&name, &labels, &groups).map_err(|e| failed(e, ""))?;
                Ok(json!({ "user": name, "labels": labels, "groups": groups }))
            }
            Command::UserGroups { name, groups } => {
                self.write(changed(&name, format!("groups: {}", groups.join(",")))).await?;
                let hint = "list the users with `cloisterd user list`";
                house.identity.user_groups(&name, &groups).map_err(|e| failed(e, hint))?;
                Ok(json!({ "user": name, "groups": groups }))
            }
            Command::UserDisable { name } => {
                // Whoever reads the ledger without this server's list of persons must know that the keys approve no more.
                let keys = house.identity.key_list().map_err(|e| failed(e, ""))?;
                for row in keys.iter().filter(|row| row.user == name && row.revoked_unix_s.is_none()) {
                    let revoked = Event::Administration {
                        actor: format!("{} ({})", principal.name, principal.credential),
                        action: ledger::REVOKE_KEY.to_owned(),
                        subject: name.clone(),
                        detail: row.key.to_string(),
                    };
                    self.write(revoked).await?;
                    house.identity.key_revoke(&name, &row.key).map_err(|e| failed(e, ""))?;
                }
                self.write(changed(&name, String::new())).await?;
                let hint = "list the users with `cloisterd user list`";
                house.identity.user_disable(&name).map_err(|e| failed(e, hint))?;
                Ok(json!({ "user": name, "disabled": true }))
            }
            Command::UserLabels { name, labels } => {
                let labels: identity::LabelSet = labels.join(",").parse().map_err(|e| failed(e, ""))?;
                house.identity.lattice().check(&labels).map_err(|e| failed(e, ""))?;
                self.write(changed(&name, format!("labels: {labels}"))).await?;
                let hint = "list the users with `cloisterd user list`";
                house.identity.user_labels(&name, &labels).map_err(|e| failed(e, hint))?;
                Ok(json!({ "user": name, "labels": labels }))
            }
            Command::UserRoles { name, roles } => {
                let roles = identity::parse_roles(&roles).map_err(|e| failed(e, ""))?;
                let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
                self.write(changed(&name, format!("roles: {}", names.join(",")))).await?;
                let hint = "list the users with `cloisterd user list`";
                house.identity.user_roles(&name, &roles).map_err(|e| failed(e, hint))?;
                Ok(json!({ "user": name, "roles": roles }))
            }
            Command::PolicyShow => self.policy_show().await,
            Command::PolicyText { files } => self.policy_text(files).await,
            Command::PolicySet { files, signatures } => self.policy_set(&principal, files, &signatures).await,
            Command::PolicyReload => self.policy_reload().await,
            Command::PolicyExplain { case } => self.policy_explain(&case),
            Command::PolicyIntents { count } => self.policy_intents(count).await,
            Command::Spill { source, reason } => {
                self.write(changed(&source, reason.clone())).await?;
                self.spill(&source, &reason).await
            }
            Command::SourceChange { action, name, detail } => {
                let actor = format!("{} ({})", principal.name, principal.credential);
                let subject = name.clone();
                self.write(Event::Administration { actor, action, subject, detail }).await?;
                Ok(json!({ "source": name }))
            }
            Command::CorpusChange { action, name, detail } => {
                let actor = format!("{} ({})", principal.name, principal.credential);
                let subject = name.clone();
                self.write(Event::Administration { actor, action, subject, detail }).await?;
                Ok(json!({ "corpus": name }))
            }
            Command::CorpusReload => {
                let hint = "correct corpora.toml, then run the command again";
                house.supervision.reload_sources().await.map_err(|e| failed(e, hint))?;
                Ok(json!({ "corpora": house.library.views(|_| true) }))
            }
            Command::CorpusStates => Ok(json!({ "corpora": house.library.views(|_| true) })),
            Command::SourceReload => {
                let hint = "correct sources.toml, then run the command again";
                let sources = house.supervision.reload_sources().await.map_err(|e| failed(e, hint))?;
                Ok(json!({ "sources": sources }))
            }
            Command::SourceSynchronise { name } => {
                self.source(&name)?;
                // Before anything is done, so that whoever waits for it sees that it was not yet.
                house.context.stage(&name, Stage::Waiting);
                house.supervision.synchronise(&name).map_err(|e| failed(e, ""))?;
                Ok(json!({ "source": name }))
            }
            Command::SourceStates => Ok(json!({ "sources": house.context.views(|_| true) })),
            Command::SourceLeftOut { name, count } => {
                let left_out = house.context.left_out(&name, usize::try_from(count).unwrap_or(usize::MAX));
                let left_out = left_out.ok_or_else(|| failed(NOT_INDEXED, SOURCES_HINT))?;
                Ok(json!({ "source": name, "left_out": left_out.map_err(|e| failed(e, ""))? }))
            }
            Command::SourceSuspicious { name, count } => {
                self.source(&name)?;
                // Administrators see where, and not what.
                let found = house.context.readable(|_| true);
                let found = found.suspicious(&name, usize::try_from(count).unwrap_or(usize::MAX));
                let found = found.map_err(|e| failed(e, ""))?;
                let row = |passage: &retrieval::Passage| {
                    json!({
                        "path": passage.path,
                        "first_line": passage.first_line,
                        "last_line": passage.last_line,
                        "page": passage.page,
                        "what": passage.suspicious,
                    })
                };
                Ok(json!({ "source": name, "suspicious": found.iter().map(row).collect::<Vec<_>>() }))
            }
            Command::UserList => {
                let users = house.identity.user_list().map_err(|e| failed(e, ""))?;
                Ok(json!(users))
            }
            Command::TokenIssue { user, note, scope, days } => {
                let scope = Scope::of(scope.iter().map(String::as_str)).map_err(|e| failed(e, ""))?;
                let terms = Terms::from_now(days, scope);
                let until = terms.expires_unix_s.map_or("never".to_owned(), |expires| expires.to_string());
                let detail = format!("note: {note}; expires: {until}; limited to: {}", terms.scope);
                self.write(changed(&user, detail)).await?;
                let issued = house
                    .identity
                    .token_issue(&user, &note, &terms)
                    .map_err(|e| failed(e, "list the users with `cloisterd user list`"))?;
                Ok(json!({
                    "id": issued.id,
                    "token": issued.text,
                    "expires_unix_s": terms.expires_unix_s,
                    "scope": terms.scope,
                }))
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
            Command::LedgerShow { record } => self.show(&asking, record).await,
            Command::Replay { record } => {
                let replay = house.replay(RecordNumber(record)).await.map_err(|e| failed(e, ""))?;
                Ok(json!(replay))
            }
            Command::Status => Ok(json!(self.status())),
            Command::AirgapVerify => {
                let hint = "a daemon that runs says more in its own messages";
                let looked = house.supervision.posture().await.map_err(|e| failed(e, hint))?;
                let posture: Value = serde_json::from_str(&looked.text).map_err(|e| failed(e, hint))?;
                Ok(json!({ "record": looked.record, "posture": posture }))
            }
            Command::WitnessExport { since } => self.witness_export(since).await,
            Command::WitnessImport { checkpoint, policy } => self.witness_import(&checkpoint, &policy).await,
            Command::WitnessAdd { name, key } => {
                self.write(changed(&name, format!("key: {key}"))).await?;
                Ok(json!({ "witness": name, "key": key }))
            }
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
            Command::UserEnrolKey { user, key } => {
                let key: PublicKey = key.parse().map_err(|e| failed(e, ""))?;
                house.identity.key_check(&user, &key).map_err(|e| failed(e, ""))?;
                self.write(changed(&user, key.to_string())).await?;
                house.identity.key_enrol(&user, &key).map_err(|e| failed(e, ""))?;
                Ok(json!({ "user": user, "key": key, "fingerprint": key.fingerprint() }))
            }
            Command::UserRevokeKey { user, key } => {
                let key: PublicKey = key.parse().map_err(|e| failed(e, ""))?;
                self.write(changed(&user, key.to_string())).await?;
                let hint = "list the keys with `cloisterd user keys`";
                house.identity.key_revoke(&user, &key).map_err(|e| failed(e, hint))?;
                Ok(json!({ "user": user, "revoked": key.fingerprint() }))
            }
            Command::UserKeys => Ok(json!(house.identity.key_list().map_err(|e| failed(e, ""))?)),
            Command::ModelStep { step, signatures } => {
                let actor = format!("{} ({})", principal.name, principal.credential);
                self.model_step(&principal.name, actor, *step, &signatures).await
            }
            Command::ModelText { step } => self.model_text(*step).await,
            Command::ModelStates => Ok(self.model_states().await),
            Command::Reload => self.reload().await,
            Command::ModelTrust { added, name, detail } => {
                let what = if added { "added" } else { "removed" };
                self.write(changed(&name, format!("{what}: {detail}"))).await?;
                Ok(json!({ "name": name }))
            }
            Command::EraseRequest { records, leaves, reason } => {
                self.erase_request(&records, leaves, &reason).await
            }
            Command::Erase { text, signatures } => self.erase(&principal.name, &text, &signatures).await,
            Command::LedgerBackup { to } => {
                if let Some(to) = to {
                    self.write(changed(&to, String::new())).await?;
                }
                let ledger = house.ledger.clone();
                let head = tokio::task::spawn_blocking(move || ledger.sign()).await;
                let head = head.map_err(|error| failed(error, ""))?.map_err(|error| failed(error, ""))?;
                Ok(json!({ "size": head.size_signed }))
            }
            Command::LedgerQuery { filter, before, count } => {
                let page = house.query(&asking, filter, before, count).await?;
                Ok(json!(page))
            }
            Command::LedgerExport { filter, from, count } => {
                let exported =
                    blocking(house.ledger.clone(), move |ledger| ledger.export(&filter, from, count));
                Ok(json!(exported.await.map_err(unanswered)?))
            }
            Command::LedgerSlice { scope } => {
                let subject = scope.subject();
                slice::seal(house, scope, |detail| changed(&subject, detail)).await
            }
            Command::LedgerSliceChunk { scope, end, before } => slice::chunk(house, scope, end, before).await,
        }
    }

    /// Refuses the name of a source that there is not.
    fn source(&self, name: &str) -> Result<(), Failed> {
        let there = self.house.context.views(|facts| facts.name == name);
        if there.is_empty() {
            Err(failed(format!("there is no source {name}"), SOURCES_HINT))
        } else {
            Ok(())
        }
    }

    async fn witness_export(&self, since: Option<u64>) -> Result<Value, Failed> {
        let ledger = self.house.ledger.clone();
        let request = tokio::task::spawn_blocking(move || {
            // What is durable now goes out too.
            ledger.sign().map_err(|error| failed(error, ""))?;
            let hint = "give the number of leaves that the witness names, with --since";
            ledger.witness_request(since).map_err(|error| failed_with_causes(&error, hint))
        });
        let request = request.await.map_err(|error| failed(error, ""))??;
        Ok(json!({ "since": request.old_size, "request": request.to_string() }))
    }

    async fn witness_import(&self, checkpoint: &str, policy: &[u8]) -> Result<Value, Failed> {
        let hint = "export again and have that cosigned; or run `cloister ledger verify --policy`";
        let ledger = &self.house.ledger;
        let witnessed =
            ledger.check_witnessed(checkpoint, policy).map_err(|error| failed_with_causes(&error, hint))?;
        if !witnessed.witnesses.is_empty() {
            self.write(Event::Witness {
                size: witnessed.size,
                root: Digest(witnessed.root),
                witnesses: witnessed.witnesses.clone(),
            })
            .await?;
            ledger.store_witnessed(&witnessed).map_err(|error| failed_with_causes(&error, ""))?;
        }
        Ok(json!({ "leaves": witnessed.size, "witnesses": witnessed.witnesses }))
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

/// An error and what caused it, on one line.
fn failed_with_causes(error: &dyn std::error::Error, hint: &'static str) -> Failed {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    failed(text, hint)
}

fn failed(error: impl std::fmt::Display, hint: &'static str) -> Failed {
    failed_as(RefusalKind::Invalid, error, hint)
}

fn failed_as(kind: RefusalKind, error: impl std::fmt::Display, hint: &'static str) -> Failed {
    Failed { error: error.to_string(), hint, kind }
}
