use std::process::ExitCode;

use clap::Args;
use models::deployment::{Lock, means};
use protocol::Digest;
use protocol::admin::Command;
use serde_json::{Value, json};

use crate::commands::Outcome;
use crate::commands::administer::ask;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::served;

/// Lists objects and deployments, and how they stand.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the digests of all files that lie here, one a line: with them, `cloister bundle create --known` leaves
    /// those files out of the next medium.
    #[arg(long, conflicts_with = "json")]
    digests: bool,
}

/// Shows in what two objects or two locks differ.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// An object or an alias: a name, `name@version`, or digits of a digest.
    first: String,
    /// Another one.
    second: String,
}

impl List {
    pub(super) fn run(self, data: &Data) -> Outcome {
        if self.digests {
            let objects = served::vault(data)?.objects()?;
            let files = objects.iter().flat_map(|object| &object.files);
            let digests: std::collections::BTreeSet<Digest> = files.map(|file| file.digest).collect();
            digests.iter().try_for_each(|digest| output::line(&digest.to_string()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let states = ask(data.root(), Command::ModelStates)?;
        let locks = served::locked(data)?;
        if self.json {
            let deployments: Vec<Value> = locks.iter().map(|lock| json!(lock)).collect();
            let all = json!({ "deployments": deployments, "ledger": states });
            output::document(&all, true)?;
            return Ok(ExitCode::SUCCESS);
        }
        for object in states["objects"].as_array().into_iter().flatten() {
            let text = |name: &str| object[name].as_str().unwrap_or_default();
            let withdrawn = if object["withdrawn"].is_null() { "" } else { ", withdrawn" };
            output::line(&format!(
                "{}  {}{withdrawn}  signed by {}  {}",
                text("title"),
                text("step"),
                text("signer"),
                text("object")
            ))?;
        }
        for lock in &locks {
            output::line(&match lock {
                Lock::Model(deployment) => {
                    format!("deployment {}: {} ({})", deployment.alias, deployment.title, deployment.model)
                }
                Lock::Upstream(upstream) => {
                    format!("deployment {}: upstream engine at {}", upstream.alias, upstream.upstream)
                }
            })?;
        }
        if locks.is_empty() {
            output::say("nothing is deployed");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Diff {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let states = ask(data.root(), Command::ModelStates)?;
        let (first, second) = (lock_of(data, &states, &self.first)?, lock_of(data, &states, &self.second)?);
        let differences = match (first, second) {
            (Some(first), Some(second)) => first.differences(&second),
            _ => objects(data, &self.first, &self.second)?,
        };
        for difference in &differences {
            output::line(difference)?;
        }
        if differences.is_empty() {
            output::say("no difference");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The lock that an alias has, or that digits of a lock's digest mean.
fn lock_of(data: &Data, states: &Value, name: &str) -> Result<Option<Lock>, Box<dyn std::error::Error>> {
    if let Some(lock) = served::locked(data)?.into_iter().find(|lock| lock.alias().as_str() == name) {
        return Ok(Some(lock));
    }
    let vault = served::vault(data)?;
    for alias in states["aliases"].as_object().into_iter().flat_map(|aliases| aliases.values()) {
        let retired = alias["retired"].as_array().into_iter().flatten();
        for deployed in retired.chain([&alias["current"]]) {
            let digest = deployed["lock"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
            if let Some(digest) = digest.filter(|digest| means(name, "", &[*digest])) {
                return Ok(Some(vault.lock(&digest)?));
            }
        }
    }
    Ok(None)
}

fn objects(data: &Data, first: &str, second: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let vault = served::vault(data)?;
    let find = |name: &str| -> Result<_, Box<dyn std::error::Error>> {
        let hint = "see `cloisterd model list`; to compare a deployment, both must be ones";
        vault.find(name).map_err(|error| Hinted::new(error.to_string(), hint).into())
    };
    let (first, second) = (find(first)?, find(second)?);
    let mut lines = Vec::new();
    let mut compare = |what: &str, first: String, second: String| {
        if first != second {
            lines.push(format!("{what}: {first} -> {second}"));
        }
    };
    compare("title", first.title(), second.title());
    compare("training_data", first.training_data.clone(), second.training_data.clone());
    let none = || "not stated".to_owned();
    compare(
        "licence",
        first.licence.clone().unwrap_or_else(none),
        second.licence.clone().unwrap_or_else(none),
    );
    compare("signer", super::signer(&first), super::signer(&second));
    let names: std::collections::BTreeSet<&String> =
        first.files.iter().chain(&second.files).map(|file| &file.name).collect();
    for name in names {
        let digest = |object: &models::object::Object| {
            let file = object.files.iter().find(|file| file.name == *name);
            file.map_or_else(|| "absent".to_owned(), |file| file.digest.to_string())
        };
        compare(name, digest(&first), digest(&second));
    }
    Ok(lines)
}
