//! Corpora of known code: how they are made, carried in, looked after and removed.

mod build;
mod import;
mod list;
mod merge;
mod remove;
mod verify;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use protocol::Digest;
use protocol::admin::Command;
use protocol::context::EVERYONE;
use serde_json::Value;

use super::Outcome;
use super::administer::ask;
use crate::builder::{Builder, Built, Came, SourceRead};
use crate::corpora::{self, Configuration, Configured, Segments};
use crate::data::{Data, Lock};
use crate::output::{self, Hinted};

/// Between two questions how the daemon stands.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Bytes of what a leaf says of a change: sources beyond that are counted.
const DETAIL_BYTES_MAX: usize = 4096;

/// Corpora of known code: what answers are compared with, so that what matches is named with its origin and licence.
///
/// A corpus is built of repositories, folders and archives, here or outside, and carried in as models are. It is never
/// changed: a newer one takes its place. See docs/corpora.md.
#[derive(Debug, Subcommand)]
pub(crate) enum Corpus {
    Build(build::Build),
    Import(import::Import),
    List(list::List),
    Verify(verify::Verify),
    Merge(merge::Merge),
    Remove(remove::Remove),
}

/// Who may see what of a corpus matches.
#[derive(Debug, Args)]
pub(super) struct Audience {
    /// A group or a person who may see what of it matches, or `everyone`; may be repeated, or a list with commas
    /// [default: as before; `everyone` of a new one]
    #[arg(long = "readers", value_name = "GROUP", value_delimiter = ',')]
    readers: Vec<String>,
    /// A label that everything of it carries; may be repeated [default: as before; none of a new one]
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
}

impl Corpus {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            Corpus::Build(command) => command.run(data),
            Corpus::Import(command) => command.run(&Data::open(data)?),
            Corpus::List(command) => command.run(&Data::open(data)?),
            Corpus::Verify(command) => command.run(&Data::open(data)?),
            Corpus::Merge(command) => command.run(&Data::open(data)?),
            Corpus::Remove(command) => command.run(&Data::open(data)?),
        }
    }
}

impl Audience {
    /// What of it holds where nothing else is said.
    fn of(self, before: Option<&Configuration>) -> (Vec<String>, Vec<String>) {
        let everyone = || vec![EVERYONE.to_owned()];
        let or = |given: Vec<String>, before: Option<&Vec<String>>| {
            if given.is_empty() { before.cloned() } else { Some(given) }
        };
        let readers = or(self.readers, before.map(|before| &before.readers));
        let labels = or(self.labels, before.map(|before| &before.labels));
        (readers.unwrap_or_else(everyone), labels.unwrap_or_default())
    }
}

/// A corpus whose segment lies complete in its building folder.
struct Taken<'a> {
    /// What was done, as `corpus build`.
    action: &'static str,
    name: &'a str,
    root: Digest,
    /// Where it is from, in words.
    from: String,
    readers: Vec<String>,
    labels: Vec<String>,
}

impl Taken<'_> {
    /// The leaf, then the segment under its number, then the file, then whoever uses it; what it replaces goes last.
    fn publish(self, data: &Data, mut configured: Configured) -> Result<(), Box<dyn Error>> {
        let Taken { action, name, root, from, readers, labels } = self;
        let detail =
            format!("root {root}; {from}; readers {}; labels {}", readers.join(","), labels.join(","));
        configured.insert(name.to_owned(), Configuration { folder: 0, root, readers, labels });
        // Whether it can be written at all, before the ledger says that it was.
        corpora::check(&configured)?;
        record(data, action, name, detail)?;
        let folder = Segments::of(data, name).publish()?;
        if let Some(new) = configured.get_mut(name) {
            new.folder = folder;
        }
        corpora::write(data, &configured)?;
        ask(data.root(), Command::CorpusReload)?;
        wait_until_open(data, name, root)?;
        corpora::remove_abandoned(data, &configured)
    }
}

/// Writes the leaf of a change that is about to be made.
fn record(data: &Data, action: &str, name: &str, detail: String) -> Result<(), Box<dyn Error>> {
    let (action, name) = (action.to_owned(), name.to_owned());
    ask(data.root(), Command::CorpusChange { action, name, detail }).map(drop)
}

/// Until the daemon has read and hashed all of it. Where none runs, the next one does.
fn wait_until_open(data: &Data, name: &str, root: Digest) -> Result<(), Box<dyn Error>> {
    let bar = output::counting(&format!("the daemon reads all of {name}"), "times asked");
    loop {
        if !daemon_runs(data)? {
            output::say("no daemon runs: the next one reads all of it before it is asked");
            return Ok(());
        }
        let states = states(data)?;
        let is = |state: &&Value| state["name"] == name;
        let state = states.iter().find(is).ok_or_else(|| format!("{name} was removed meanwhile"))?;
        if state["root"].as_str() == Some(&root.to_string()) {
            if state["stage"] == "open" {
                bar.finish_and_clear();
                return Ok(());
            }
            if let Some(reason) = state["stage"]["failed"]["reason"].as_str() {
                let hint = "look at it with `cloisterd corpus verify`, then build or import it once more";
                return Err(Hinted::new(format!("{name} is not used: {reason}"), hint).into());
            }
        }
        bar.inc(1);
        std::thread::sleep(ASK_EVERY);
    }
}

/// Whether a daemon holds the data directory.
fn daemon_runs(data: &Data) -> Result<bool, Box<dyn Error>> {
    Ok(data.try_lock()?.is_none())
}

/// How all corpora stand.
fn states(data: &Data) -> Result<Vec<Value>, Box<dyn Error>> {
    Ok(ask(data.root(), Command::CorpusStates)?["corpora"].as_array().cloned().unwrap_or_default())
}

/// Holds off other commands that change corpora.
fn corpora_lock(data: &Data) -> Result<Lock, Box<dyn Error>> {
    corpora::make_folder(data)?;
    let lock = data.lock_of("corpora/.lock")?;
    Ok(lock.ok_or_else(|| Hinted::new("another command is changing the corpora", "wait until it is done"))?)
}

/// Those that are meant by name, or all of them.
fn of_names<'c>(
    configured: &'c Configured,
    names: &[String],
) -> Result<Vec<(&'c String, &'c Configuration)>, Box<dyn Error>> {
    if names.is_empty() {
        return Ok(configured.iter().collect());
    }
    let find = |name: &String| {
        let hint = "list the corpora with `cloisterd corpus list`";
        let missing = || Hinted::new(format!("there is no corpus {}", name.escape_debug()), hint);
        Ok(configured.get_key_value(name).ok_or_else(missing)?)
    };
    names.iter().map(find).collect()
}

/// Refuses what cannot be a corpus's name.
fn check_name(name: &str) -> Result<(), Hinted> {
    if identity::is_name(name) {
        return Ok(());
    }
    let what = format!("`{}` cannot be a corpus's name", name.escape_debug());
    Err(Hinted::new(what, "use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter"))
}

/// A segment that the builder made.
fn made(builder: Builder, bar: &indicatif::ProgressBar) -> Result<Built, Box<dyn Error>> {
    let came = builder.finish(bar)?;
    bar.finish_and_clear();
    match came {
        Came::Segment(built) => Ok(built),
        Came::Damaged(_) => Err("the corpus builder answered what was not asked".into()),
    }
}

/// What was read, for the leaf: each package with its version or commit.
fn read_in_words(sources: &[SourceRead]) -> String {
    let mut words = "of ".to_owned();
    for (number, source) in sources.iter().enumerate() {
        let which = source.commit.as_ref().or(source.version.as_ref());
        let which = which.map(|which| format!("@{which}")).unwrap_or_default();
        let more = format!("{}{}{which}", if number == 0 { "" } else { ", " }, source.package);
        if words.len() + more.len() > DETAIL_BYTES_MAX {
            return format!("{words} and {} more", sources.len() - number);
        }
        words.push_str(&more);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leaf_says_of_sources() {
        let source = |package: &str, commit: Option<&str>| SourceRead {
            package: package.to_owned(),
            version: Some("1.2".to_owned()),
            commit: commit.map(str::to_owned),
            files: 1,
            left_out: Vec::new(),
        };
        let sources = [source("git:core", Some("abc")), source("crate:smoltcp", None)];
        assert_eq!(read_in_words(&sources), "of git:core@abc, crate:smoltcp@1.2");
        let many = vec![source("git:core", Some("abc")); 1000];
        let words = read_in_words(&many);
        assert!(words.len() < DETAIL_BYTES_MAX + 20 && words.ends_with(" more"), "{words}");
    }

    #[test]
    fn what_is_not_said_stays() {
        let before = Configuration {
            folder: 1,
            root: Digest([0; 32]),
            readers: vec!["crew".to_owned()],
            labels: vec!["flight".to_owned()],
        };
        let audience = |readers: &[&str]| Audience {
            readers: readers.iter().map(|&reader| reader.to_owned()).collect(),
            labels: Vec::new(),
        };
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(audience(&[]).of(None), (owned(&["everyone"]), owned(&[])));
        assert_eq!(audience(&[]).of(Some(&before)), (owned(&["crew"]), owned(&["flight"])));
        assert_eq!(audience(&["pilots"]).of(Some(&before)), (owned(&["pilots"]), owned(&["flight"])));
    }
}
