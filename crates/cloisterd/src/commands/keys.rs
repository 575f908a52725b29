use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use custody::{Custody, SealingKey};
use ledger::disk::RealDisk;
use protocol::digest::hex;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Outcome;
use crate::data::{Data, DataError, Keys as Opened, Lock};
use crate::key_files::{self, BODY, BODY_NEW, Opener, Reached, Step};
use crate::output::{self, Hinted};
use crate::{compose, settings};

/// The data directory's keys: where they lie, and changing them; docs/keys.md.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Says of each key where it lies, what it is called, and who can read its file. Opens none.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Changes where the keys lie: seals them, seals them anew, or lays them open. The daemon must be stopped.
    Seal {
        /// Where they are to lie.
        #[arg(long, value_name = "KIND")]
        custody: Kind,
        /// A file that holds the new passphrase [default: where the keys are sealed by none now,
        /// --passphrase-file; or a prompt]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Brings a new body key, under which every body's own key is wrapped anew; the old one then opens nothing
    /// in the ledger. The daemon must be stopped. After an interruption, running it again goes on.
    ChangeBodyKey,
    /// Writes the body key into a file, in the clear, for `cloister ledger verify --body-key`. The daemon must
    /// be stopped.
    ShowBodyKey {
        /// The file, which must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Where keys lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// In the clear in their files, for their owner alone.
    File,
    /// Sealed by a passphrase.
    Passphrase,
    /// Sealed by the systemd credential `cloister-key`.
    Credential,
}

impl Kind {
    fn custody(self) -> Custody {
        match self {
            Kind::File => Custody::File,
            Kind::Passphrase => Custody::Passphrase,
            Kind::Credential => Custody::Credential,
        }
    }

    /// In a record's words.
    pub(super) fn detail(self) -> String {
        format!("custody: {}", self.custody().name())
    }

    /// What seals keys for it; `None` where they are not.
    pub(super) fn sealing_key(
        self,
        passphrase: Option<&Zeroizing<Vec<u8>>>,
    ) -> Result<Option<SealingKey>, DataError> {
        match (self, passphrase) {
            (Kind::File, _) => Ok(None),
            (Kind::Passphrase, Some(passphrase)) => key_files::by_passphrase(passphrase).map(Some),
            (Kind::Passphrase, None) => Err(DataError::NoPassphrase),
            (Kind::Credential, _) => key_files::by_credential().map(Some),
        }
    }
}

impl Keys {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let data = Data::open(data)?;
        match self {
            Keys::Status { json } => return status(&data, json),
            Keys::Seal { custody, new_passphrase_file } => {
                let _lock = locked(&data)?;
                seal(&data, custody, new_passphrase_file)?;
            }
            Keys::ChangeBodyKey => {
                let _lock = locked(&data)?;
                change_body_key(&data, &mut Opener::new(), &mut |_| Ok(()))?;
            }
            Keys::ShowBodyKey { out } => {
                let _lock = locked(&data)?;
                show_body_key(&data, &out)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A daemon holds the keys in memory and wraps bodies by them, so they are changed without one.
fn locked(data: &Data) -> Result<Lock, Box<dyn Error>> {
    let running = || {
        Hinted::new(
            "the daemon is running on this data directory",
            "stop it first: it holds the keys in memory, and uses them",
        )
    };
    Ok(data.try_lock()?.ok_or_else(running)?)
}

fn status(data: &Data, as_json: bool) -> Outcome {
    let directory = data.keys_directory();
    let mut rows = Vec::new();
    let mut in_clear = false;
    for name in key_files::NAMES.into_iter().chain([BODY_NEW]) {
        let path = directory.join(name);
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let file = key_files::read_exposed(&path)?;
        in_clear |= file.custody() == Custody::File;
        let named = if name == BODY_NEW { BODY } else { name };
        rows.push(json!({
            "key": name,
            "custody": file.custody().name(),
            "id": hex(&file.id(named)),
            "owner_uid": metadata.uid(),
            "mode": format!("{:04o}", metadata.mode() & 0o7777),
            "readable_by": readable_by(metadata.mode(), metadata.uid(), metadata.gid()),
        }));
    }
    let unfinished = key_files::unfinished(&directory);
    if as_json {
        let document = json!({ "keys": rows, "in_clear": in_clear, "unfinished": unfinished });
        output::document(&document, true)?;
    } else {
        output::document(&Value::Array(rows), false)?;
    }
    if in_clear {
        output::say(
            "WARNING: keys lie in the clear beside the ledger. Whoever gets a copy of this directory reads every \
             text in it and can sign another history. Seal them: `cloisterd keys seal --custody passphrase`; \
             docs/keys.md",
        );
    }
    if !unfinished.is_empty() {
        let of_body = |name: &String| name.starts_with(BODY_NEW) || name == "body.key.old";
        let command = if unfinished.iter().any(of_body) { "change-body-key" } else { "seal --custody KIND" };
        output::say(&format!(
            "WARNING: a change of keys was interrupted and left {}. Go on with it: `cloisterd keys {command}`",
            unfinished.join(", ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Who reads a file of that mode; an access list shows in the group's bits.
fn readable_by(mode: u32, uid: u32, gid: u32) -> String {
    let mut who = vec![format!("uid {uid}")];
    if uid != 0 {
        who.push("root".to_owned());
    }
    if mode & 0o040 != 0 {
        who.push(format!("group {gid}, or an access list"));
    }
    if mode & 0o004 != 0 {
        who.push("everybody".to_owned());
    }
    who.join(", ")
}

fn seal(data: &Data, kind: Kind, new_passphrase_file: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let files = data.key_files()?;
    let by_passphrase = files.iter().any(|(_, file)| file.custody() == Custody::Passphrase);
    let mut opener = Opener::new();
    let passphrase = match kind {
        Kind::Passphrase => {
            let named = if by_passphrase { None } else { settings::passphrase_file() };
            let passphrase = key_files::new_passphrase(new_passphrase_file.or(named).as_deref())?;
            // Where it was interrupted, some files are sealed by it already.
            opener.also_try(&passphrase);
            Some(passphrase)
        }
        Kind::File | Kind::Credential => None,
    };
    let by = kind.sealing_key(passphrase.as_ref())?;
    seal_by(data, kind, by.as_ref(), &mut opener, &mut |_| Ok(()))?;
    output::say(&format!("the keys' custody is now: {}", kind.custody().name()));
    if kind == Kind::File {
        output::say("WARNING: they lie in the clear beside the ledger");
    } else {
        output::say(
            "copies of the old files elsewhere, in backups or in what the disk keeps, still hold the old form: docs/keys.md",
        );
    }
    Ok(())
}

/// Gives each key file its new form, one after the other. What is interrupted is done again from the start.
fn seal_by(
    data: &Data,
    kind: Kind,
    by: Option<&SealingKey>,
    opener: &mut Opener,
    reached: Reached<'_>,
) -> Result<(), Box<dyn Error>> {
    let files = data.key_files()?;
    let unfinished = |name: &str| files.iter().any(|(known, _)| *known == name);
    if unfinished(BODY_NEW) {
        return Err(change_first());
    }
    let origin = data.origin()?;
    let keys = data.keys_of(&files, opener)?;
    let subject = files.iter().map(|(name, file)| format!("{name} {}", hex(&file.id(name))));
    let subject = subject.collect::<Vec<_>>().join(", ");
    compose::record_change_by(data, &keys, "keys seal", &subject, kind.detail())?;
    reached(Step::Recorded)?;
    let directory = data.keys_directory();
    for (name, file) in &files {
        let key = opener.open(file, &directory.join(name), name, &origin)?;
        let bytes = key_files::encoded(&key, name, &origin, by)?;
        key_files::exchange(&directory, name, &bytes, reached)?;
    }
    Ok(())
}

/// Each step is durable before the next, and each finds what an earlier run did.
fn change_body_key(data: &Data, opener: &mut Opener, reached: Reached<'_>) -> Result<(), Box<dyn Error>> {
    let directory = data.keys_directory();
    let is_begun = directory.join(BODY_NEW).exists();
    if key_files::clear_away(&directory, BODY)? && !is_begun {
        output::say(
            "an interrupted change of the body key is finished: the old key was all that was left of it",
        );
        return Ok(());
    }
    key_files::clear_away(&directory, BODY_NEW)?;
    let keys = data.keys_by(opener)?;
    let (old, new) = match keys.body_older {
        Some(old) => {
            let detail = format!("goes on; {}", change(&old, &keys.body));
            compose::record_change_by(data, &keys, "keys change-body-key", BODY, detail)?;
            (Zeroizing::new(old), Zeroizing::new(keys.body))
        }
        None => (Zeroizing::new(keys.body), begin(data, &keys, opener, reached)?),
    };
    reached(Step::Made)?;
    settle(data, &data.keys_by(opener)?)?;
    reached(Step::Settled)?;
    let disk = RealDisk::create(&data.path("ledger"))?;
    let bar = output::counted("wrapping anew");
    let renewed = ledger::rewrap(
        &disk,
        &compose::ledger_keys(*new, Some(*old)),
        &ledger::system_randomness(),
        &mut |done, pages| {
            bar.set_length(pages);
            bar.set_position(done);
        },
    )?;
    bar.finish_and_clear();
    reached(Step::Rewrapped)?;
    key_files::replace_key(&directory, BODY, BODY_NEW, reached)?;
    output::say(&format!("the body key is now {}: {renewed} bodies' keys were wrapped anew", body_id(&new)));
    output::say("copies of the old key still open older copies of the ledger: docs/keys.md");
    Ok(())
}

/// Records that there will be a new key, and makes it, sealed as the old one is. Nothing is wrapped by it before
/// the record is durable.
fn begin(
    data: &Data,
    keys: &Opened,
    opener: &Opener,
    reached: Reached<'_>,
) -> Result<Zeroizing<[u8; 32]>, Box<dyn Error>> {
    let new = key_files::random_key()?;
    let origin = data.origin()?;
    let file = key_files::read(&data.keys_directory().join(BODY))?;
    let bytes = key_files::encoded(&new, BODY, &origin, opener.sealed_by(&file, BODY, &origin)?)?;
    compose::record_change_by(data, keys, "keys change-body-key", BODY, change(&keys.body, &new))?;
    reached(Step::Recorded)?;
    key_files::write_whole(&data.keys_directory(), BODY_NEW, &bytes)?;
    Ok(new)
}

/// From then on, everything that the old key wrapped lies in pages.
fn settle(data: &Data, keys: &Opened) -> Result<(), Box<dyn Error>> {
    let notary = compose::notary(data, keys)?;
    let verifier = notary.verifier();
    let (ledger, recovery) = compose::open_ledger(data, keys, &verifier, notary, 0)?;
    compose::report_recovery(&recovery);
    ledger.settle()?;
    Ok(ledger.close()?)
}

fn show_body_key(data: &Data, out: &Path) -> Result<(), Box<dyn Error>> {
    let keys = data.keys()?;
    if keys.body_older.is_some() {
        return Err(change_first());
    }
    if out.exists() {
        return Err(Hinted::new(format!("{} exists", out.display()), "name a new file").into());
    }
    let subject = format!("{BODY} {}", body_id(&keys.body));
    let place = std::path::absolute(out)?.display().to_string();
    compose::record_change_by(data, &keys, "keys show-body-key", &subject, place)?;
    key_files::write_new(out, &keys.body)?;
    output::say(&format!(
        "wrote {}: it opens every text of this ledger; destroy it after use",
        out.display()
    ));
    Ok(())
}

fn change_first() -> Box<dyn Error> {
    let hint = "finish it first: `cloisterd keys change-body-key`";
    Hinted::new("a change of the body key is not finished", hint).into()
}

fn change(old: &[u8; 32], new: &[u8; 32]) -> String {
    format!("{} to {}", body_id(old), body_id(new))
}

fn body_id(key: &[u8; 32]) -> String {
    hex(&custody::id(BODY, key))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use custody::{Derivation, KeyFile, Passphrase};
    use ledger::verify::{Options, Report, Verdict};
    use ledger::{Entry, Event};

    use super::*;

    const BODIES: u64 = 300;

    fn words() -> Zeroizing<Vec<u8>> {
        Zeroizing::new(b"twelve and more".to_vec())
    }

    /// What seals by the words, cheaply.
    fn by(salt: u8) -> SealingKey {
        let cost = Passphrase { memory_kib: 64, passes: 1, lanes: 1 };
        SealingKey::derive(&words(), Derivation::Passphrase { cost, salt: [salt; 16] }).unwrap()
    }

    fn knowing() -> Opener {
        let mut opener = Opener::new();
        opener.also_try(&words());
        opener
    }

    /// A data directory whose ledger has bodies.
    fn filled(root: &Path, by: Option<&SealingKey>) -> Data {
        let data = Data::create(&root.join("data"), "log", by).unwrap();
        let keys = data.keys_by(&mut knowing()).unwrap();
        append(&data, &keys, BODIES);
        data
    }

    fn append(data: &Data, keys: &Opened, count: u64) {
        let notary = compose::notary(data, keys).unwrap();
        let verifier = notary.verifier();
        let (ledger, _recovery) = compose::open_ledger(data, keys, &verifier, notary, 0).unwrap();
        for number in 0..count {
            let event = Event::Administration {
                actor: "tester".to_owned(),
                action: "test".to_owned(),
                subject: number.to_string(),
                detail: String::new(),
            };
            ledger.append_blocking(Entry { event, body: Some(b"{\"a\":1}".to_vec()) }).unwrap();
        }
        ledger.close().unwrap();
    }

    fn verify(data: &Data, body: [u8; 32]) -> Report {
        let disk = RealDisk::create(&data.path("ledger")).unwrap();
        let keys = compose::ledger_keys(body, None);
        ledger::verify::verify(&disk, &Options { keys: Some(keys), ..Options::default() }, &mut |_| {})
            .unwrap()
    }

    /// Ends a change at a step, the `skipped`th time that it comes there.
    fn end_at(step: Step, mut skipped: usize) -> impl FnMut(Step) -> Result<(), Box<dyn Error>> {
        move |reached| match (reached == step, skipped) {
            (true, 0) => Err("the machine crashed".into()),
            (true, _) => {
                skipped -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn changes_whatever_interrupts_it(by: Option<&SealingKey>) {
        for step in [
            Step::Recorded,
            Step::Made,
            Step::Settled,
            Step::Rewrapped,
            Step::Linked,
            Step::Replaced,
            Step::Destroyed,
        ] {
            let temporary = tempfile::tempdir().unwrap();
            let data = filled(temporary.path(), by);
            let old = data.keys_by(&mut knowing()).unwrap().body;
            let ended = change_body_key(&data, &mut knowing(), &mut end_at(step, 0));
            assert_eq!(ended.unwrap_err().to_string(), "the machine crashed", "{step:?}");
            // In between, a daemon could run, and everything opens.
            let between = data.keys_by(&mut knowing()).unwrap();
            append(&data, &between, 1);
            let is_replaced = [Step::Replaced, Step::Destroyed].contains(&step);
            let is_made = step != Step::Recorded && !is_replaced;
            assert_eq!(between.body_older, is_made.then_some(old), "{step:?}");
            assert_eq!(between.body == old, step == Step::Recorded, "{step:?}");
            if step != Step::Destroyed {
                change_body_key(&data, &mut knowing(), &mut |_| Ok(())).unwrap();
            }
            let keys = data.keys_by(&mut knowing()).unwrap();
            assert!(keys.body != old && keys.body_older.is_none(), "{step:?}");
            assert!(is_made || is_replaced || keys.body != between.body);
            assert_eq!(key_files::unfinished(&data.keys_directory()), Vec::<String>::new(), "{step:?}");
            let report = verify(&data, keys.body);
            assert_eq!(
                (report.verdict, report.bodies_opened),
                (Verdict::Passed, BODIES + 1),
                "{step:?} {:?}",
                report.problems
            );
            assert_eq!(verify(&data, old).bodies_opened, 0, "{step:?}: the old key opens something");
            let files = data.key_files().unwrap();
            let sealed = files.iter().filter(|(_, file)| matches!(file, KeyFile::Sealed(_))).count();
            assert_eq!(sealed, if by.is_some() { 4 } else { 0 });
        }
    }

    #[test]
    fn a_body_key_in_the_clear_changes_whatever_interrupts_it() {
        changes_whatever_interrupts_it(None);
    }

    #[test]
    fn a_sealed_body_key_changes_whatever_interrupts_it() {
        changes_whatever_interrupts_it(Some(&by(1)));
    }

    #[test]
    fn sealing_keeps_every_key_whatever_interrupts_it() {
        let kinds = [(None, Some(by(1))), (Some(by(1)), Some(by(2))), (Some(by(1)), None)];
        for (from, to) in &kinds {
            let kind = if to.is_some() { Kind::Passphrase } else { Kind::File };
            for step in [Step::Recorded, Step::Linked, Step::Replaced, Step::Destroyed] {
                for skipped in 0..if step == Step::Recorded { 1 } else { 4 } {
                    let temporary = tempfile::tempdir().unwrap();
                    let data = Data::create(&temporary.path().join("data"), "log", from.as_ref()).unwrap();
                    let all = |data: &Data| -> HashMap<&str, [u8; 32]> {
                        let (mut opener, directory) = (knowing(), data.keys_directory());
                        let files = data.key_files().unwrap();
                        let open = |(name, file): &(&'static str, KeyFile)| {
                            (*name, *opener.open(file, &directory.join(name), name, "log").unwrap())
                        };
                        files.iter().map(open).collect()
                    };
                    let before = all(&data);
                    let mut end = end_at(step, skipped);
                    seal_by(&data, kind, to.as_ref(), &mut knowing(), &mut end).unwrap_err();
                    assert_eq!(all(&data), before, "{step:?} {skipped}");
                    seal_by(&data, kind, to.as_ref(), &mut knowing(), &mut |_| Ok(())).unwrap();
                    assert_eq!(all(&data), before, "{step:?} {skipped}");
                    assert_eq!(key_files::unfinished(&data.keys_directory()), Vec::<String>::new());
                    for (_, file) in data.key_files().unwrap() {
                        assert_eq!(file.custody(), kind.custody());
                    }
                    data.keys_by(&mut knowing()).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_key_in_the_clear_among_sealed_ones_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let data = Data::create(&temporary.path().join("data"), "log", Some(&by(1))).unwrap();
        data.keys_by(&mut knowing()).unwrap();
        let body = data.keys_directory().join(BODY);
        std::fs::remove_file(&body).unwrap();
        key_files::write_new(&body, &[1; 32]).unwrap();
        assert!(matches!(data.keys_by(&mut knowing()), Err(DataError::Mixed(path)) if path == body));
        // Nor does a sealed key pass for another one.
        std::fs::copy(data.keys_directory().join("fingerprint.key"), &body).unwrap();
        assert!(data.keys_by(&mut knowing()).is_err());
    }

    #[test]
    fn who_reads() {
        assert_eq!(readable_by(0o600, 1000, 100), "uid 1000, root");
        assert_eq!(readable_by(0o644, 0, 100), "uid 0, group 100, or an access list, everybody");
    }
}
