//! What may serve: the locks of `deployments.lock`, each only as a leaf of the ledger says. The vault keeps a
//! proof beside each lock and each promoted object; a proof leads to a checkpoint that the log's key signed.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ledger::{Admission, Event, Leaf, Step};
use models::deployment::{self, FILE_BYTES_MAX, Lock, Wanted};
use models::vault::{Proven, Vault};
use protocol::Digest;
use tlog::{Policy, TlogProof};

use crate::data::Data;
use crate::output::Hinted;
use crate::settings::Settings;

/// The deployments to serve, in the configuration's order: each is what the ledger says, and nothing else is
/// wanted. `verifier` is the log's key.
pub(crate) fn locks(data: &Data, settings: &Settings, verifier: &str) -> Result<Vec<Lock>, Box<dyn Error>> {
    let (vault, policy) = (vault(data)?, policy_of(verifier)?);
    let mut locks = locked(data)?;
    for lock in &locks {
        check(&vault, &policy, lock)?;
    }
    if let Some(wanted) = wanted(data)? {
        refuse_drift(&locks, &wanted)?;
    }
    let Some(names) = &settings.deployments else { return Ok(locks) };
    let mut chosen = Vec::new();
    for name in names {
        let place = locks.iter().position(|lock| lock.alias().as_str() == name);
        let place = place.ok_or_else(|| {
            let hint = "see `cloisterd model list`, or change `deployments` in cloister.toml";
            Hinted::new(format!("there is no deployment {}", name.escape_debug()), hint)
        })?;
        chosen.push(locks.remove(place));
    }
    Ok(chosen)
}

/// A lock that was deployed once, so that what it answered can be run again.
pub(crate) fn once(data: &Data, lock: Digest, verifier: &str) -> Result<Lock, Box<dyn Error>> {
    let (vault, policy) = (vault(data)?, policy_of(verifier)?);
    let lock = vault.lock(&lock)?;
    check(&vault, &policy, &lock)?;
    Ok(lock)
}

/// The vault of a data directory.
pub(crate) fn vault(data: &Data) -> Result<Vault, Box<dyn Error>> {
    Ok(Vault::open(&data.path("models"))?)
}

/// The locks in `deployments.lock`; nothing of them is checked.
pub(crate) fn locked(data: &Data) -> Result<Vec<Lock>, Box<dyn Error>> {
    match read(&data.path(deployment::LOCK))? {
        Some(text) => deployment::parse_locks(&text).map_err(|error| in_file(deployment::LOCK, &error)),
        None => Ok(Vec::new()),
    }
}

/// What `deployments.toml` wants, where there is one.
pub(crate) fn wanted(data: &Data) -> Result<Option<Wanted>, Box<dyn Error>> {
    let text = read(&data.path(deployment::WANTED))?;
    let parsed = text.map(|text| deployment::parse_wanted(&text)).transpose();
    parsed.map_err(|error| in_file(deployment::WANTED, &error))
}

fn in_file(name: &str, error: &dyn Error) -> Box<dyn Error> {
    format!("{name}: {error}").into()
}

fn read(path: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)) {
        Ok(bytes) if bytes as u64 > FILE_BYTES_MAX => {
            Err(format!("{} has more than {FILE_BYTES_MAX} bytes", path.display()).into())
        }
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display()).into()),
    }
}

fn refuse_drift(locks: &[Lock], wanted: &Wanted) -> Result<(), Box<dyn Error>> {
    let mut drift = Vec::new();
    for (alias, wanted) in wanted {
        match locks.iter().find(|lock| lock.alias() == alias) {
            Some(lock) => drift.extend(lock.drift(wanted).into_iter().map(|line| format!("{alias}: {line}"))),
            None => drift.push(format!("{alias}: is wanted, and not deployed")),
        }
    }
    for lock in locks.iter().filter(|lock| !wanted.contains_key(lock.alias())) {
        drift.push(format!("{}: is deployed, and not wanted", lock.alias()));
    }
    if drift.is_empty() {
        return Ok(());
    }
    let error =
        format!("deployments.toml wants something else than deployments.lock:\n  {}", drift.join("\n  "));
    let hint = "`cloisterd model deploy` deploys what is wanted; or change deployments.toml back";
    Err(Hinted::new(error, hint).into())
}

/// Whether the ledger says that this lock was deployed, and that its object was promoted.
fn check(vault: &Vault, policy: &Policy, lock: &Lock) -> Result<(), Box<dyn Error>> {
    let (alias, digest) = (lock.alias(), lock.digest());
    let deployed = proven(vault, policy, Proven::Deployment(digest)).map_err(|error| {
        let hint = "if deployments.lock was changed by hand or lost: `cloisterd model restore-lock` writes what the ledger says";
        Hinted::new(format!("no leaf of the ledger deployed {alias} as deployments.lock says: {error}"), hint)
    })?;
    let fits = deployed.step == Step::Deployed
        && deployed.lock == Some(digest)
        && deployed.alias.as_deref() == Some(alias.as_str());
    if !fits {
        return Err(format!("the proof that {alias} was deployed is of another step").into());
    }
    let Lock::Model(deployment) = lock else { return Ok(()) };
    let promoted = proven(vault, policy, Proven::Promotion(deployment.object))
        .map_err(|error| format!("{} ({alias}) was not promoted: {error}", deployment.title))?;
    let fits = promoted.step == Step::Promoted
        && promoted.object == Some(deployment.object)
        && promoted.weights == Some(deployment.model);
    if !fits {
        return Err(format!("the proof that {} was promoted is of another step", deployment.title).into());
    }
    let text = promoted.text(policy.logs().next().map_or("", |log| log.name()), 0);
    approval::verify_all(
        &promoted.approvals,
        ledger::ADMISSION_PERSONS,
        ledger::ADMISSION_NAMESPACE,
        text.as_bytes(),
    )?;
    Ok(())
}

/// The step that a proof in the vault is of, after the proof was checked.
fn proven(vault: &Vault, policy: &Policy, of: Proven) -> Result<Admission, Box<dyn Error>> {
    let proof: TlogProof = vault.proof(of)?.parse()?;
    let leaf = proof.extra.as_ref().ok_or("the proof carries no leaf")?;
    proof.verify(&tlog::leaf_hash(leaf), policy)?;
    match Leaf::parse(leaf)?.event {
        Event::Model(step) => Ok(*step),
        other => Err(format!("the proof is of a leaf of the kind `{}`", other.kind()).into()),
    }
}

/// A policy of the log's own key alone: witnesses come later than deployments.
fn policy_of(verifier: &str) -> Result<Policy, Box<dyn Error>> {
    Ok(Policy::parse(format!("log {verifier}\nquorum none\n").as_bytes())?)
}

/// The log's key, as the policy beside the ledger states it: for commands that do not open the keys.
pub(crate) fn verifier(data: &Data) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read(data.path("log.policy"))?;
    let policy = Policy::parse(&text)?;
    let log = policy.logs().next().ok_or("log.policy names no log")?;
    Ok(log.to_string())
}
