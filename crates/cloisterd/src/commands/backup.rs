use std::error::Error;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ledger::disk::RealDisk;
use ledger::verify::{Options, Report, Seen, Verdict, verify};
use ledger::{LocalNotary, Notary as _, backup};
use protocol::admin::Command;
use tlog::note::NOTE_BYTES_MAX;
use tlog::policy::POLICY_BYTES_MAX;
use tlog::{Checkpoint, Policy, VerifierKey};

use super::Outcome;
use super::administer::ask;
use crate::compose;
use crate::data::{Data, Keys};
use crate::file::{read, write};
use crate::output::{self, Hinted};

/// What lies beside the ledger and belongs to it: the log's name and its public keys.
const BESIDE: [&str; 2] = ["origin", "log.policy"];

/// Problems that are said where a backup is refused.
const PROBLEMS_SAID: usize = 10;

/// Copies the ledger to a directory, while the daemon runs or not; docs/backup.md.
///
/// What is durable is signed first; the copy holds what the checkpoint speaks of, bodies and their wrapped keys
/// among it, and verifies. Into the same directory, only what is new is copied. No key of keys/ is copied. That
/// a copy is made is recorded.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The directory of the copy; made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Puts a ledger back from a backup, into a data directory that has none; docs/backup.md.
///
/// The keys come from you: put them into keys/ of the new directory, and notary/ too where the old machine's
/// is left. A backup that is older than the notary's state, or than a checkpoint given with --seen, is refused.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The directory of the copy.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// A checkpoint that was kept elsewhere, as a witness's newest answer, which the backup must contain; may
    /// be repeated.
    #[arg(long, value_name = "FILE")]
    seen: Vec<PathBuf>,
}

impl Backup {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let opened = Data::open(data)?;
        let out = std::path::absolute(&self.out)?;
        directory(&out)?;
        let target = RealDisk::create(&out.join("ledger"))
            .map_err(|error| format!("{} cannot be made: {error}", out.join("ledger").display()))?;
        let source = RealDisk::existing(&opened.path("ledger"))?;
        // Recorded once; afterwards only signed.
        let mut to = Some(out.display().to_string());
        let mut sign = || {
            let signed = ask(data, Command::LedgerBackup { to: to.take() });
            signed.map(drop).map_err(|error| error.to_string())
        };
        let bar = output::counted("leaves");
        let copied = backup::copy(&source, &target, &mut sign, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let copied = copied?;
        for name in BESIDE {
            write(&out.join(name), &read(&opened.path(name), POLICY_BYTES_MAX)?)?;
        }
        if self.json {
            output::document(&serde_json::to_value(copied)?, true)?;
        } else {
            output::say(&format!(
                "copied {} leaves: {} files, {} bytes; {} files were there already",
                copied.leaves, copied.files, copied.bytes, copied.files_kept
            ));
            let (ledger, policy) = (out.join("ledger"), out.join("log.policy"));
            output::say(&format!(
                "check it with: cloister ledger verify {} --policy {}",
                ledger.display(),
                policy.display()
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Restore {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        if !data.join("keys/notary.key").exists() {
            let hint = format!(
                "put the log's keys into {}, readable by nobody else: notary.key, notary-mldsa.key, body.key, \
                 fingerprint.key",
                data.join("keys").display()
            );
            return Err(Hinted::new("the keys are missing", hint).into());
        }
        let data = Data::open(data)?;
        let _lock = data.try_lock()?.ok_or("the daemon holds the data directory: stop it")?;
        let ledger = data.path("ledger");
        if std::fs::read_dir(&ledger).is_ok_and(|mut entries| entries.next().is_some()) {
            let hint = "choose a new data directory with --data; or move ledger/ away, and keep it";
            return Err(Hinted::new(format!("{} is there already", ledger.display()), hint).into());
        }
        let copy = RealDisk::existing(&self.from.join("ledger"))
            .map_err(|error| format!("{} is no backup: {error}", self.from.display()))?;
        if backup::is_incomplete(&copy) {
            return Err("the backup is not whole: it was broken off; take another".into());
        }
        let origin = String::from_utf8(read(&self.from.join("origin"), POLICY_BYTES_MAX)?)?;
        let policy = read(&self.from.join("log.policy"), POLICY_BYTES_MAX)?;
        // Sealed keys are sealed for the log of that name.
        if !data.path("origin").exists() {
            data.write("origin", origin.as_bytes())?;
        }
        let keys = data.keys()?;
        for name in ["notary", "identity", "models", "models/deployments", "run"] {
            directory(&data.path(name))?;
        }
        let mut notary = LocalNotary::open(&data.path("notary"), origin.trim_end(), keys.notary)?;
        let verifier = notary.verifier();
        let known = Policy::parse(&policy)?.logs().any(|log| log.to_string() == verifier);
        if !known {
            let hint = "take the keys of the machine that the backup is of";
            return Err(Hinted::new("keys/notary.key is not the key of the backup's log", hint).into());
        }
        let report = self.check(&copy, &verifier, &keys)?;
        compare(&mut notary, &verifier.parse()?, &report)?;

        let target = RealDisk::create(&ledger)?;
        let bar = output::counted("leaves");
        let copied = backup::copy(&copy, &target, &mut || Ok(()), &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let copied = copied?;
        for (name, bytes) in [("origin", origin.as_bytes()), ("log.policy", policy.as_slice())] {
            if !data.path(name).exists() {
                data.write(name, bytes)?;
            }
        }
        let adopted = notary.last()?.is_none();
        if adopted {
            let (note, frontier) = backup::frontier(&target)?;
            notary.adopt(&note, frontier)?;
        }
        drop(notary);
        let from = std::path::absolute(&self.from)?.display().to_string();
        let of_notary =
            if adopted { "the notary's state was made from it" } else { "the notary's state fits" };
        compose::record_change(
            &data,
            "ledger restore",
            &from,
            format!("{} leaves; {of_notary}", copied.leaves),
        )?;
        output::say(&format!("put back {} leaves; {of_notary}", copied.leaves));
        if adopted {
            output::say(
                "whatever was signed after this backup is gone, and shows against receipts and witnesses of it",
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The backup must verify, with all that was kept elsewhere.
    fn check(&self, copy: &RealDisk, verifier: &str, keys: &Keys) -> Result<Report, Box<dyn Error>> {
        let seen = |path: &PathBuf| {
            Ok::<_, Box<dyn Error>>(Seen::Checkpoint(String::from_utf8(read(path, NOTE_BYTES_MAX)?)?))
        };
        let options = Options {
            verifier: Some(verifier.to_owned()),
            keys: Some(crate::compose::ledger_keys(keys.body, keys.body_older)),
            seen: self.seen.iter().map(seen).collect::<Result<_, _>>()?,
            ..Options::default()
        };
        let bar = output::counted("leaves");
        let report = verify(copy, &options, &mut |progress| {
            bar.set_length(progress.leaves_total);
            bar.set_position(progress.leaves_done);
        })?;
        bar.finish_and_clear();
        if report.verdict == Verdict::Passed {
            return Ok(report);
        }
        for problem in report.problems.iter().take(PROBLEMS_SAID) {
            let file = problem.file.as_ref().map_or_else(String::new, |file| format!("{file}: "));
            let leaf = problem.index.map_or_else(String::new, |leaf| format!("leaf {leaf}: "));
            output::say(&format!("problem: {file}{leaf}{}", problem.what));
        }
        let error = format!("the backup does not verify: {} problems", report.problems_total);
        Err(Hinted::new(error, "take another; nothing was put back").into())
    }
}

/// What the notary signed must be what the backup ends in.
fn compare(notary: &mut LocalNotary, key: &VerifierKey, report: &Report) -> Result<(), Box<dyn Error>> {
    let Some(note) = notary.last()? else { return Ok(()) };
    let signed = Checkpoint::open(&note, key)?;
    let here = report.leaves_signed;
    if signed.size == here && report.root.is_some_and(|root| root.0 == signed.root) {
        return Ok(());
    }
    let error = match signed.size {
        size if size > here => {
            format!("the notary has signed {size} leaves, the backup has {here}: it is older")
        }
        size if size < here => format!("the notary has signed {size} leaves, fewer than the backup's {here}"),
        size => format!("the notary signed another history of {size} leaves than the backup"),
    };
    let hint = "take a newer backup. If there is none, move notary/ away and keep it: then the log goes on from \
                the backup, and what it loses shows against receipts and witnesses";
    Err(Hinted::new(error, hint).into())
}

fn directory(path: &Path) -> Result<(), Box<dyn Error>> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("{} cannot be made: {error}", path.display()).into())
}
