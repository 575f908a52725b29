use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use protocol::admin::Command;
use serde_json::{Value, json};

use super::Outcome;
use super::administer::ask;
use crate::data::{Data, Lock};
use crate::indexer::{Indexer, Said};
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::sources::{self, Configuration, Indexes, Rules};

/// Between two questions how far the daemon is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A daemon that has not begun after this has other sources to index first.
const BEGIN_WAIT_MAX: Duration = Duration::from_secs(600);
/// Files that are listed one by one.
const LIST_MAX: u32 = 10_000;

/// Sources of local context: repositories and folders that prompts may draw on.
#[derive(Debug, Subcommand)]
pub(crate) enum Repo {
    Add(Add),
    List(List),
    Sync(Sync),
    Status(Status),
    Remove(Remove),
}

/// Adds a git repository, bare or with a work tree, or a folder of documents, and indexes it.
///
/// What is committed is indexed, not what lies in a work tree: a commit names it. A branch, and a submodule, is a source
/// of its own. Only those who may read a source ever learn that it exists: without --readers, that is nobody but you.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The repository or the folder.
    path: PathBuf,
    /// A name, unique on this server [default: the folder's].
    #[arg(long)]
    name: Option<String>,
    /// A branch; what is checked out, otherwise.
    #[arg(long)]
    branch: Option<String>,
    /// A group or a person who may read it, or `everyone`; may be repeated, or a list with commas.
    #[arg(long = "readers", value_name = "GROUP", value_delimiter = ',')]
    readers: Vec<String>,
    /// A label that everything of it carries; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// A configuration pragma that GNAT is told, as 'pragma Profile (Ravenscar);'; may be repeated.
    #[arg(long = "pragma", value_name = "PRAGMA")]
    pragmas: Vec<String>,
    /// A switch for the compilers that look at its files, as -gnatyM79 or -Wextra; may be repeated.
    #[arg(long = "switch", value_name = "SWITCH", allow_hyphen_values = true)]
    switches: Vec<String>,
    /// A file of the source that says how its code is written, as docs/coding-rules.md: its first 3 KiB go into questions about the
    /// repository, whatever else does.
    #[arg(long, value_name = "FILE")]
    rules_file: Option<String>,
    /// Do not follow changes: index again only when `repo sync` says so.
    #[arg(long)]
    no_watch: bool,
    /// Do not wait until it is indexed.
    #[arg(long)]
    no_wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Lists sources.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Indexes what changed, now.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// A source; all of them, otherwise.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Shows what a source's index holds, and what is left out of it and why.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The source.
    name: String,
    /// List every file that is left out.
    #[arg(long)]
    left_out: bool,
    /// List passages that look as if they gave the assistant instructions.
    #[arg(long)]
    suspicious: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Removes a source from every index, at once. The repository itself is not touched.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The source.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Repo {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            Repo::Add(command) => command.run(data),
            Repo::List(command) => command.run(data),
            Repo::Sync(command) => command.run(data),
            Repo::Status(command) => command.run(data),
            Repo::Remove(command) => command.run(data),
        }
    }
}

impl Add {
    fn run(self, data: &Path) -> Outcome {
        let opened = Data::open(data)?;
        let _lock = sources_lock(&opened)?;
        let unreadable = |error: std::io::Error| {
            Hinted::new(
                format!("{} cannot be read: {error}", self.path.display()),
                "give a repository or a folder",
            )
        };
        let path = std::fs::canonicalize(&self.path).map_err(unreadable)?;
        if !path.is_dir() {
            let hint = "give a repository or a folder; a single document goes into a folder of its own";
            return Err(Hinted::new(format!("{} is no folder", path.display()), hint).into());
        }
        if path.starts_with(opened.root()) || opened.root().starts_with(&path) {
            let error = format!("{} and the data directory lie in each other", path.display());
            return Err(Hinted::new(error, "keys and ledgers are no sources: choose another folder").into());
        }
        let name = match self.name {
            Some(name) => name,
            None => default_name(&path)?,
        };
        let mut configured = sources::configured(&opened)?;
        if configured.contains_key(&name) {
            let hint = "choose another with --name, or remove that one first";
            return Err(Hinted::new(format!("there is a source {name} already"), hint).into());
        }
        let readers = if self.readers.is_empty() { vec!["owner".to_owned()] } else { self.readers };
        let source = Configuration {
            path,
            branch: self.branch,
            readers,
            labels: self.labels,
            watch: !self.no_watch,
            rules: Rules { pragmas: self.pragmas, switches: self.switches, file: self.rules_file },
        };
        let detail = format!(
            "{}{}; readers {}; labels {}{}",
            source.path.display(),
            source.branch.as_ref().map(|branch| format!(", branch {branch}")).unwrap_or_default(),
            source.readers.join(","),
            source.labels.join(","),
            source.rules.file.as_ref().map(|file| format!("; rules {file}")).unwrap_or_default(),
        );
        if let Some(file) = source.rules.file.as_ref().filter(|file| !source.path.join(file).is_file()) {
            output::say(&format!(
                "{name}: there is no {file} in the folder: until it is indexed, questions go without rules"
            ));
        }
        configured.insert(name.clone(), source);
        change(data, &opened, "repo add", &name, detail, &configured)?;
        if self.no_wait {
            return print(&json!({ "source": name }), self.json);
        }
        let state = index(data, &opened, &name)?;
        if state["summary"]["files"] == 0 {
            output::say(&format!(
                "{name}: there is no file in it that can be indexed: `cloisterd repo status {name}`"
            ));
        }
        print(&state, self.json)
    }
}

impl List {
    fn run(self, data: &Path) -> Outcome {
        let configured = sources::configured(&Data::open(data)?)?;
        let states = states(data)?;
        let row = |(name, source): (&String, &Configuration)| {
            let mut row = states.get(name).cloned().unwrap_or_else(|| json!({ "name": name }));
            row["path"] = json!(source.path);
            row["branch"] = json!(source.branch);
            row["watch"] = json!(source.watch);
            row
        };
        let rows: Vec<Value> = configured.iter().map(row).collect();
        if self.json {
            return print(&Value::Array(rows), true);
        }
        for row in &rows {
            let summary = &row["summary"];
            output::line(&format!(
                "{:20} {:10} {:>7} files  readers {}{}  {}",
                words(&row["name"]),
                stage_word(&row["stage"]),
                summary["files"].as_u64().unwrap_or(0),
                list(&row["readers"]),
                if row["labels"].as_array().is_some_and(|labels| !labels.is_empty()) {
                    format!("  labels {}", list(&row["labels"]))
                } else {
                    String::new()
                },
                words(&row["path"]),
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Sync {
    fn run(self, data: &Path) -> Outcome {
        let opened = Data::open(data)?;
        let configured = sources::configured(&opened)?;
        let names: Vec<String> = match self.name {
            Some(name) if configured.contains_key(&name) => vec![name],
            Some(name) => {
                let hint = "list the sources with `cloisterd repo list`";
                return Err(Hinted::new(format!("there is no source {name}"), hint).into());
            }
            None => configured.into_keys().collect(),
        };
        let mut done = Vec::new();
        for name in names {
            done.push(index(data, &opened, &name)?);
        }
        match <[Value; 1]>::try_from(done) {
            Ok([one]) => print(&one, self.json),
            Err(all) => print(&Value::Array(all), self.json),
        }
    }
}

impl Status {
    fn run(self, data: &Path) -> Outcome {
        let name = self.name;
        let states = states(data)?;
        let hint = "list the sources with `cloisterd repo list`";
        let state = states
            .get(&name)
            .cloned()
            .ok_or_else(|| Hinted::new(format!("there is no source {name}"), hint))?;
        let mut shown = state;
        if self.left_out {
            let asked = Command::SourceLeftOut { name: name.clone(), count: LIST_MAX };
            shown["left_out"] = ask(data, asked)?["left_out"].take();
        }
        if self.suspicious {
            let asked = Command::SourceSuspicious { name: name.clone(), count: 100 };
            shown["suspicious"] = ask(data, asked)?["suspicious"].take();
        }
        if self.json {
            return print(&shown, true);
        }
        let summary = &shown["summary"];
        output::line(&format!("source    {name}"))?;
        output::line(&format!("stage     {}", stage_words(&shown["stage"])))?;
        output::line(&format!("readers   {}", list(&shown["readers"])))?;
        output::line(&format!("labels    {}", list(&shown["labels"])))?;
        if !summary.is_null() {
            output::line(&format!(
                "revision  {} {}",
                words(&summary["revision"]),
                words(&summary["branch"])
            ))?;
            output::line(&format!("index     {}", words(&shown["version"])))?;
            output::line(&format!(
                "holds     {} files, {} bytes of text, {} pieces, {} definitions",
                summary["files"], summary["bytes"], summary["chunks"], summary["definitions"]
            ))?;
            for (reason, count) in summary["left_out"].as_object().into_iter().flatten() {
                output::line(&format!("left out  {count} {}", reason.replace('_', " ")))?;
            }
            if summary["suspicious"].as_u64().unwrap_or(0) > 0 {
                output::line(&format!(
                    "suspicious {} pieces look as if they gave the assistant instructions: --suspicious",
                    summary["suspicious"]
                ))?;
            }
        }
        for left_out in shown["left_out"].as_array().into_iter().flatten() {
            output::line(&format!(
                "{:12} {} {}",
                words(&left_out["reason"]).replace('_', " "),
                words(&left_out["path"]).escape_debug(),
                words(&left_out["detail"])
            ))?;
        }
        for suspicious in shown["suspicious"].as_array().into_iter().flatten() {
            output::line(&format!(
                "{}:{}: {}",
                words(&suspicious["path"]).escape_debug(),
                suspicious["first_line"],
                words(&suspicious["what"])
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Remove {
    fn run(self, data: &Path) -> Outcome {
        let opened = Data::open(data)?;
        let _lock = sources_lock(&opened)?;
        let mut configured = sources::configured(&opened)?;
        if configured.remove(&self.name).is_none() {
            let hint = "list the sources with `cloisterd repo list`";
            return Err(Hinted::new(format!("there is no source {}", self.name), hint).into());
        }
        change(data, &opened, "repo remove", &self.name, String::new(), &configured)?;
        // Whoever removed it was the daemon, or this command in its place: neither is believed.
        if opened.path(sources::FOLDER).join(&self.name).exists() {
            let error = format!("the index of {} is still there", self.name);
            return Err(Hinted::new(error, "stop the daemon, and run `cloisterd repo sync`").into());
        }
        let held = ask(data, Command::SourceStates)?;
        let names = held["sources"].as_array().into_iter().flatten().map(|source| words(&source["name"]));
        if names.into_iter().any(|name| name == self.name) {
            return Err(format!("the daemon still holds {}", self.name).into());
        }
        print(&json!({ "removed": self.name, "index": "gone", "held": false }), self.json)
    }
}

/// The leaf, then the file, then whoever uses it.
fn change(
    data: &Path,
    opened: &Data,
    action: &str,
    name: &str,
    detail: String,
    configured: &sources::Configured,
) -> Result<(), Box<dyn Error>> {
    // Whether it can be written at all, before the ledger says that it was.
    sources::check(configured)?;
    let (action, name) = (action.to_owned(), name.to_owned());
    ask(data, Command::SourceChange { action, name, detail })?;
    sources::write(opened, configured)?;
    ask(data, Command::SourceReload).map(drop)
}

/// Indexes a source, by the daemon where one runs, with a bar; answers how it stands then.
fn index(data: &Path, opened: &Data, name: &str) -> Result<Value, Box<dyn Error>> {
    let bar = output::counted(&format!("indexing {name}"));
    match opened.try_lock()? {
        Some(lock) => {
            let indexed = index_here(opened, name, &bar);
            drop(lock);
            indexed?;
        }
        None => {
            ask(data, Command::SourceSynchronise { name: name.to_owned() })?;
            wait_for_daemon(data, name, &bar)?;
        }
    }
    bar.finish_and_clear();
    states(data)?.remove(name).ok_or_else(|| format!("{name} was removed meanwhile").into())
}

/// Without a daemon; the caller holds the data directory's lock.
fn index_here(opened: &Data, name: &str, bar: &indicatif::ProgressBar) -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(opened.root())?;
    let configured = sources::configured(opened)?;
    let source = configured.get(name).ok_or_else(|| format!("there is no source {name}"))?;
    sources::make_folder(opened)?;
    let indexer = Indexer::start(opened, &settings, name, source, false)?;
    let mut done = None;
    while done.is_none() {
        match indexer.next()? {
            Some(Said::Progress { done, total }) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            Some(Said::Weakened(warning)) => output::say(&warning),
            Some(Said::Done { changed, .. }) => done = Some(changed),
            Some(Said::Failed(reason)) => {
                let hint = "correct that, then run `cloisterd repo sync`";
                return Err(Hinted::new(format!("{name} is not indexed: {reason}"), hint).into());
            }
            None => break,
        }
    }
    let exit = indexer.child.wait()?;
    match (done, exit) {
        (Some(changed), jail::spawn::Exit::Code(0)) => {
            let indexes = Indexes::of(opened, name);
            if changed {
                let published = indexes.publish()?;
                indexes.keep_only(&published);
            }
            Ok(())
        }
        (_, exit) => {
            let hint = "run `cloisterd repo sync`: what it read last is left out then";
            Err(Hinted::new(format!("the indexer of {name} ended ({exit:?})"), hint).into())
        }
    }
}

/// Until the daemon has indexed it once more.
fn wait_for_daemon(data: &Path, name: &str, bar: &indicatif::ProgressBar) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut runs = false;
    loop {
        std::thread::sleep(ASK_EVERY);
        let states = states(data)?;
        let state = states.get(name).ok_or_else(|| format!("{name} was removed meanwhile"))?;
        let stage = &state["stage"];
        if let Some(reason) = stage["failed"]["reason"].as_str() {
            let hint = "correct that, then run `cloisterd repo sync`";
            return Err(Hinted::new(format!("{name} is not indexed: {reason}"), hint).into());
        }
        let indexing = &stage["indexing"];
        if indexing.is_object() {
            runs = true;
            bar.set_length(indexing["total"].as_u64().unwrap_or(0));
            bar.set_position(indexing["done"].as_u64().unwrap_or(0));
        }
        if stage == "ready" && !state["summary"].is_null() {
            return Ok(());
        }
        if !runs && begun.elapsed() > BEGIN_WAIT_MAX {
            let hint = "it goes on: `cloisterd repo list` shows how far it is";
            return Err(Hinted::new("the daemon is busy with other sources", hint).into());
        }
    }
}

fn states(data: &Path) -> Result<BTreeMap<String, Value>, Box<dyn Error>> {
    let answer = ask(data, Command::SourceStates)?;
    let states = answer["sources"].as_array().cloned().unwrap_or_default();
    Ok(states.into_iter().map(|state| (words(&state["name"]), state)).collect())
}

fn sources_lock(opened: &Data) -> Result<Lock, Box<dyn Error>> {
    sources::make_folder(opened)?;
    let lock = opened.lock_of("context/.lock")?;
    Ok(lock.ok_or_else(|| Hinted::new("another command is changing the sources", "wait until it is done"))?)
}

/// The folder's name, as far as it can be a source's.
fn default_name(path: &Path) -> Result<String, Box<dyn Error>> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".git").unwrap_or(&name).to_owned();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .collect();
    if identity::is_name(&name) {
        return Ok(name);
    }
    Err(Hinted::new(format!("`{name}` cannot be a source's name"), "choose one with --name").into())
}

fn print(value: &Value, json: bool) -> Outcome {
    output::document(value, json)?;
    Ok(ExitCode::SUCCESS)
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(words).collect::<Vec<_>>().join(",")
}

fn stage_word(stage: &Value) -> String {
    match stage {
        Value::String(word) => word.clone(),
        Value::Object(one) => one.keys().next().cloned().unwrap_or_default(),
        _ => "waiting".to_owned(),
    }
}

fn stage_words(stage: &Value) -> String {
    if let Some(reason) = stage["failed"]["reason"].as_str() {
        return format!("failed: {reason}");
    }
    match stage["indexing"].as_object() {
        Some(of) => format!("indexing, {} of {} files", of["done"], of["total"]),
        None => stage_word(stage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders() {
        let name = |path: &str| default_name(Path::new(path)).ok();
        assert_eq!(name("/srv/git/Flight Software.git").as_deref(), Some("flight-software"));
        assert_eq!(name("/srv/docs").as_deref(), Some("docs"));
        assert_eq!(name("/srv/2026"), None);
    }
}
