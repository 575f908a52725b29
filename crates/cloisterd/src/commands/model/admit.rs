use std::path::{Path, PathBuf};
use std::process::ExitCode;

use approval::SIGNATURE_BYTES_MAX;
use clap::{Args, Subcommand};
use ledger::{ADMISSION_NAMESPACE, ADMISSION_PERSONS};
use models::object::{Kind, Object};
use models::vault::{Proven, Vault};
use protocol::Digest;
use protocol::admin::{Command, ModelStep};
use qualify::report::{REPORT_BYTES_MAX, Report};

use super::{put_proof, record, step, vault_lock};
use crate::commands::Outcome;
use crate::commands::administer::ask;
use crate::data::Data;
use crate::output::Hinted;
use crate::{file, output, served};

/// Bytes of a text that is to be signed.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Writes the text that two persons sign: so that an object is promoted, a deployment rolled back, weights
/// withdrawn.
///
/// Each signs it with a key enrolled to them (`cloisterd user enrol-key`):
/// ssh-keygen -Y sign -n model@cloister -f KEY FILE
#[derive(Debug, Args)]
pub(crate) struct Request {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// That an object may be deployed.
    Promotion {
        /// A name, `name@version`, or digits of a digest.
        object: String,
        /// Where to write the text.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// That an alias serves again what it served before.
    RollBack {
        /// The alias.
        alias: String,
        /// What it is to serve: a name, `name@version`, or digits of a digest.
        object: String,
        /// Where to write the text.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// That an object's weights never serve again.
    Withdrawal {
        /// A name, `name@version`, or digits of a digest.
        object: String,
        /// Why, on one line. It stays in the ledger.
        #[arg(long)]
        reason: String,
        /// Where to write the text.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Records a person's approval of an object, to be promoted when another person's is there.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The text, as `cloisterd model request promotion` wrote it.
    file: PathBuf,
    /// A signature of it.
    #[arg(long = "approval", value_name = "FILE.sig", required = true)]
    approvals: Vec<PathBuf>,
}

/// Promotes an object that two persons approved: it may be deployed.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The text, as `cloisterd model request promotion` wrote it.
    file: PathBuf,
    /// A signature of it, beside those that were recorded with `cloisterd model approve`.
    #[arg(long = "approval", value_name = "FILE.sig")]
    approvals: Vec<PathBuf>,
}

/// Withdraws weights for good: nothing deploys them again, under whatever name they come.
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// The text, as `cloisterd model request withdrawal` wrote it.
    file: PathBuf,
    /// A signature of it; given once for each person.
    #[arg(long = "approval", value_name = "FILE.sig", required = true)]
    approvals: Vec<PathBuf>,
}

/// Attaches a qualification report to an object: one that is of its weights, and whole. It is kept in the vault.
#[derive(Debug, Args)]
pub(crate) struct Qualify {
    /// A name, `name@version`, or digits of a digest.
    object: String,
    /// The report.
    report: PathBuf,
}

impl Request {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let vault = served::vault(data)?;
        let (step, out) = match self.what {
            What::Promotion { object, out } => (step("promoted", &promotable(vault.find(&object)?)?), out),
            What::RollBack { alias, object, out } => {
                let _lock = vault_lock(data)?;
                (super::deploy::roll_back_step(data, &vault, &alias, &object)?, out)
            }
            What::Withdrawal { object, reason, out } => (withdrawal(&vault.find(&object)?, reason), out),
        };
        let command = match step.step.as_str() {
            "promoted" => "promote",
            "deployed" => "roll-back",
            _ => "withdraw",
        };
        let answer = ask(data.root(), Command::ModelText { step: Box::new(step) })?;
        file::write(&out, answer["text"].as_str().unwrap_or_default().as_bytes())?;
        let out = out.display();
        output::say(
            "nothing is done yet; the persons who approve should look first: `cloisterd model inspect`",
        );
        output::say(&format!(
            "{ADMISSION_PERSONS} persons read it and sign it: ssh-keygen -Y sign -n {ADMISSION_NAMESPACE} -f KEY {out}"
        ));
        output::say(&format!(
            "then: cloisterd model {command} {out} --approval FIRST.sig --approval SECOND.sig"
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl Approve {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let vault = served::vault(data)?;
        let object = promotable(object_of(&vault, &self.file)?)?;
        let step = ModelStep { step: "approved".to_owned(), ..step("promoted", &object) };
        for path in &self.approvals {
            let answer = record(data, &vault, step.clone(), signatures(std::slice::from_ref(path))?, None)?;
            let persons = answer["approved_by"].as_array().into_iter().flatten();
            let persons: Vec<&str> = persons.filter_map(|person| person.as_str()).collect();
            output::line(&format!("{}: approved by {}", object.title(), persons.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Promote {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let vault = served::vault(data)?;
        let object = promotable(object_of(&vault, &self.file)?)?;
        let proven = Proven::Promotion(object.digest());
        // Where a crash came between the leaf and its proof, the leaf is there already.
        let states = ask(data.root(), Command::ModelStates)?;
        let standing = states["objects"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|standing| standing["object"].as_str() == Some(object.digest().to_string().as_str()));
        match standing.and_then(|standing| standing["promoted"].as_u64()) {
            Some(leaf) => put_proof(data, &vault, proven, leaf)?,
            None => {
                record(data, &vault, step("promoted", &object), signatures(&self.approvals)?, Some(proven))?;
            }
        }
        output::line(&format!("{}: promoted", object.title()))?;
        output::say(&format!("next: cloisterd model deploy ALIAS {}", object.title()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Withdraw {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let vault = served::vault(data)?;
        let text = file::read_text(&self.file, TEXT_BYTES_MAX)?;
        let weights: Digest = field(&text, "weights")?.parse()?;
        let object = vault.find(&weights.hex())?;
        let step = withdrawal(&object, field(&text, "reason")?.to_owned());
        let step = ModelStep { title: field(&text, "name")?.to_owned(), ..step };
        record(data, &vault, step, signatures(&self.approvals)?, None)?;
        output::line(&format!("{weights}: withdrawn for good"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Qualify {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let vault = served::vault(data)?;
        let object = vault.find(&self.object)?;
        let report = file::read(&self.report, REPORT_BYTES_MAX)?;
        check_report(&Report::from_json(&report)?, &object)?;
        let digest = vault.keep(&mut report.as_slice())?;
        let step = ModelStep { detail: digest.to_string(), ..step("qualified", &object) };
        record(data, &vault, step, Vec::new(), None)?;
        output::line(&format!("{}: qualified by report {digest}", object.title()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether a report tells of this object, and to its end.
fn check_report(report: &Report, object: &Object) -> Result<(), Hinted> {
    let weights = object.weights().map(|weights| weights.digest);
    if weights != Some(report.model_digest) {
        let what = format!("the report is about other weights, {}", report.model_digest);
        return Err(Hinted::new(what, "`cloisterd model inspect` shows those of the object"));
    }
    let hint = "run the same `cloisterd qualify` once more: it goes on where it was";
    match report.ways.iter().find(|way| !way.complete) {
        _ if report.ways.is_empty() => Err(Hinted::new("the report tells of no way", hint)),
        Some(way) => {
            let what = format!("{}: {} of {} tasks are judged", way.way, way.judged, report.tasks);
            Err(Hinted::new(what, hint))
        }
        None => Ok(()),
    }
}

/// Nothing of a corpus serves, so that nothing of it is promoted.
fn promotable(object: Object) -> Result<Object, Hinted> {
    if object.kind != Kind::Corpus {
        return Ok(object);
    }
    let what = format!(
        "{} is a corpus of known code: nothing of it serves, and nothing is to be approved",
        object.title()
    );
    Err(Hinted::new(what, "answers are compared with it once it is taken in: see `cloisterd corpus list`"))
}

fn withdrawal(object: &Object, reason: String) -> ModelStep {
    ModelStep { object: None, signer: None, detail: reason, ..step("withdrawn", object) }
}

/// The object that a text to sign is about. Only its name is taken from the text: what is signed is made anew.
fn object_of(vault: &Vault, file: &Path) -> Result<Object, Box<dyn std::error::Error>> {
    let text = file::read_text(file, TEXT_BYTES_MAX)?;
    let object: Digest = field(&text, "object")?.parse()?;
    Ok(vault.object(&object)?)
}

/// A line of a text that is to be signed.
pub(super) fn field<'t>(text: &'t str, name: &str) -> Result<&'t str, Box<dyn std::error::Error>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.ok_or_else(|| format!("the text has no line `{name}`: give the one that was signed"))?)
}

pub(super) fn read_request(file: &Path) -> Result<String, Box<dyn std::error::Error>> {
    file::read_text(file, TEXT_BYTES_MAX)
}

pub(super) fn signatures(paths: &[PathBuf]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    paths.iter().map(|path| file::read_text(path, SIGNATURE_BYTES_MAX)).collect()
}
