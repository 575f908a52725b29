//! The site's policy: shown, asked what-ifs, and replaced when two persons approved exactly the files.

use approval::Approval;
use identity::{Case, Cases, Circumstances, Expected, Person, Policy, PolicyFile, Principal, Thing};
use ledger::{Event, Filter, POLICY_NAMESPACE, PolicyChange};
use protocol::Digest;
use serde_json::{Value, json};

use super::{ADMIN, Failed, blocking, failed, failed_with_causes, unanswered};
use crate::Assist;

/// Signatures of one change at most.
const SIGNATURES_MAX: usize = 16;

/// Intents that are decided again at most.
const INTENTS_MAX: u32 = 10_000;

/// A change that is to be approved.
struct Change {
    after: u64,
    before: Option<Digest>,
    /// The files that are to be in force; `None` for the default ones.
    files: Option<Digest>,
    policy: Digest,
}

impl Assist {
    /// What is in force, and why there is nothing, if so.
    pub(super) async fn policy_show(&self) -> Result<Value, Failed> {
        let newest = self.house.ledger.policy().map_err(|error| failed_with_causes(&error, ""))?;
        let leaf = newest.map(|(leaf, _)| leaf);
        Ok(match self.house.policy.current() {
            Ok(policy) => json!({
                "policy": policy.digest(),
                "files_digest": policy.files_digest(),
                "default": policy.is_builtin(),
                "policies": policy.policies(),
                "leaf": leaf,
                "files": policy.files(),
            }),
            Err(why) => json!({ "policy": null, "leaf": leaf, "unusable": &*why }),
        })
    }

    /// What two persons sign; refused where the files are no policy.
    pub(super) async fn policy_text(&self, files: Vec<(String, String)>) -> Result<Value, Failed> {
        let change = self.change(files)?;
        let text = PolicyChange::text(self.house.ledger.origin(), change.after, change.before, change.files);
        Ok(json!({ "text": text, "files_digest": change.files, "policy": change.policy }))
    }

    /// Writes down that other files are to be in force. Whoever asked for it puts them in their place then.
    pub(super) async fn policy_set(
        &self,
        principal: &Principal,
        files: Vec<(String, String)>,
        signatures: &[String],
    ) -> Result<Value, Failed> {
        let house = &self.house;
        let body = json!({ "files": files }).to_string();
        let Change { after, before, files, policy } = self.change(files)?;
        // Approved before, and not in its place since: a crash came between, or somebody changed a file.
        if signatures.is_empty() && before == files {
            return Ok(json!({ "leaf": after, "files_digest": files, "policy": policy, "approved_by": [] }));
        }
        let text = PolicyChange::text(house.ledger.origin(), after, before, files);
        let approvals =
            self.approvals_of(&principal.name, "policy set", POLICY_NAMESPACE, &text, signatures)?;
        let actor = format!("{} ({})", principal.name, principal.credential);
        let change = PolicyChange { actor, after, before, files, policy, approvals };
        let hint = "two persons, each with an own enrolled key, sign what `cloisterd policy request` wrote";
        change.verify(house.ledger.origin()).map_err(|error| failed_with_causes(&error, hint))?;
        let approved_by: Vec<String> =
            change.approvals.iter().map(|approval| approval.person.clone()).collect();
        let receipt = house.append(Event::Policy(Box::new(change)), Some(body.into_bytes())).await;
        let receipt = receipt.map_err(|refusal| failed(refusal, ""))?;
        Ok(
            json!({ "leaf": receipt.index, "files_digest": files, "policy": policy, "approved_by": approved_by }),
        )
    }

    /// Takes the files as they are now.
    pub(super) async fn policy_reload(&self) -> Result<Value, Failed> {
        let assist = self.clone();
        let looked = tokio::task::spawn_blocking(move || assist.look_at_policy()).await;
        let hint = "until it is mended, nothing is answered; docs/policy.md";
        looked.map_err(|error| failed(error, ""))?.map_err(|error| failed(error, hint))?;
        self.policy_show().await
    }

    /// What is decided of one request, and by which rule. A person of whom the case says a name only is looked up.
    pub(super) fn policy_explain(&self, case: &str) -> Result<Value, Failed> {
        let house = &self.house;
        let mut case: Case = serde_json::from_str(case).map_err(|error| failed(error, ""))?;
        if case.person == (Person { name: case.person.name.clone(), ..Person::default() }) {
            let known = house.identity.person(&case.person.name, "token:0").map_err(|e| failed(e, ""))?;
            let hint = "list the users with `cloisterd user list`, or say roles, groups and labels";
            let name = case.person.name;
            case.person = match known {
                Some(known) => of_principal(&known),
                None if name == "owner" => owner(),
                None => return Err(failed(format!("there is no user {name}"), hint)),
            };
        }
        if case.time_unix_s == 0 {
            case.time_unix_s = (house.outside.now_unix_s)();
        }
        let policy = house.policy.current().map_err(|why| failed(why, ""))?;
        let decision = case.decide(&policy, house.identity.lattice()).map_err(|e| failed(e, ""))?;
        Ok(json!({
            "allowed": decision.allowed,
            "rules": decision.rules,
            "reason": decision.reason,
            "policy": decision.policy,
            "person": case.person,
        }))
    }

    /// The last requests, as cases: what was asked of which deployment, by whom, with what labels. Persons are as they
    /// are now; who is not known any more is left out.
    pub(super) async fn policy_intents(&self, count: u32) -> Result<Value, Failed> {
        let house = &self.house;
        let (mut cases, mut before) = (Cases::default(), None);
        let wanted = count.min(INTENTS_MAX);
        let mut looked = 0;
        while looked < wanted {
            let filter = Filter { kind: Some("intent".to_owned()), ..Filter::default() };
            let page_of = (wanted - looked).min(ledger::QUERY_ROWS_MAX);
            let page = blocking(house.ledger.clone(), move |ledger| ledger.query(&filter, before, page_of));
            let page = page.await.map_err(unanswered)?;
            for row in page.rows {
                looked += 1;
                let name = row.person.unwrap_or_default();
                let known = house.identity.person(&name, "token:0").map_err(|e| failed(e, ""))?;
                let person = match known {
                    Some(known) => of_principal(&known),
                    None if name == "owner" => owner(),
                    None => continue,
                };
                let action = match row.action.as_deref() {
                    Some("chat") => "chat",
                    _ => "complete",
                };
                cases.case.push(Case {
                    name: format!("record {}", row.leaf),
                    person,
                    action: action.to_owned(),
                    resource: Thing { deployment: row.deployment, ..Thing::default() },
                    carried: row.labels,
                    command: String::new(),
                    requester: String::new(),
                    dialect: row.dialect.unwrap_or_default(),
                    time_unix_s: i64::try_from(row.time_unix_ms / 1000).unwrap_or(i64::MAX),
                    // It was answered, so it was allowed.
                    expect: Expected::Allow,
                    rule: String::new(),
                });
            }
            before = page.before;
            if before.is_none() {
                break;
            }
        }
        Ok(json!(cases))
    }

    fn change(&self, files: Vec<(String, String)>) -> Result<Change, Failed> {
        let files: Vec<PolicyFile> =
            files.into_iter().map(|(name, text)| PolicyFile { name, text }).collect();
        let policy = if files.is_empty() { Policy::builtin() } else { Policy::compile(files) };
        let policy = policy.map_err(|error| failed(error, "`cloisterd policy check` says where"))?;
        let newest = self.house.ledger.policy().map_err(|error| failed_with_causes(&error, ""))?;
        let (after, before) = newest.map_or((0, None), |(leaf, change)| (leaf, change.files));
        Ok(Change { after, before, files: policy.files_digest(), policy: policy.digest() })
    }

    /// Approvals in signatures of a text, each by a key that is enrolled to somebody who may approve what that person
    /// requested.
    pub(super) fn approvals_of(
        &self,
        requester: &str,
        command: &str,
        namespace: &str,
        text: &str,
        signatures: &[String],
    ) -> Result<Vec<Approval>, Failed> {
        let house = &self.house;
        if signatures.len() > SIGNATURES_MAX {
            return Err(failed(format!("more than {SIGNATURES_MAX} signatures"), ""));
        }
        let keys = house.identity.key_list().map_err(|error| failed(error, ""))?;
        let mut approvals: Vec<Approval> = Vec::new();
        for (number, signature) in (1..).zip(signatures) {
            let live = keys.iter().filter(|row| row.revoked_unix_s.is_none());
            let live = live.map(|row| (row.user.as_str(), &row.key));
            let found = Approval::identify(signature, namespace, text.as_bytes(), live);
            let found = found.map_err(|error| {
                failed(format!("signature {number}: {error}"), "sign the text as it is requested now")
            })?;
            let approval = found.ok_or_else(|| {
                let error = format!("signature {number} was made by a key that is enrolled to nobody");
                failed(error, "enrol it with `cloisterd user enrol-key`")
            })?;
            self.may_approve(&approval, requester, command)?;
            approvals.push(approval);
        }
        Ok(approvals)
    }

    /// Whether a person may approve what another requested.
    fn may_approve(&self, approval: &Approval, requester: &str, command: &str) -> Result<(), Failed> {
        let house = &self.house;
        let Approval { person, key, .. } = approval;
        let credential = format!("key:{}", key.fingerprint());
        let known = house.identity.person(person, &credential).map_err(|error| failed(error, ""))?;
        let principal = known.ok_or_else(|| failed(format!("{person} approves nothing any more"), ""))?;
        let asking = house.asking_to_mend(&principal, ADMIN);
        let asked = identity::Asked::approval(command, requester);
        let decision = asking.decide(&asked);
        if decision.allowed {
            return Ok(());
        }
        house.tally.denied(&principal.name, ADMIN, "an approval", asked.verb, &decision);
        let by = if decision.rules.is_empty() {
            "nothing permits it".to_owned()
        } else {
            decision.rules.join(", ")
        };
        let Circumstances { dialect, .. } = asking.circumstances();
        Err(failed(format!("{person} may not approve `{command}` of {requester}: {by} ({dialect})"), ""))
    }
}

/// Who owns the data directory.
fn owner() -> Person {
    Person { name: "owner".to_owned(), owner: true, strength: "peer".to_owned(), ..Person::default() }
}

fn of_principal(principal: &Principal) -> Person {
    Person {
        name: principal.name.clone(),
        roles: principal.roles.iter().map(ToString::to_string).collect(),
        groups: principal.groups.clone(),
        labels: principal.clearance.names(),
        owner: principal.is_owner,
        strength: principal.strength().to_owned(),
        scope: principal.scope.names(),
    }
}
