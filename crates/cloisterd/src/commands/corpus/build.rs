use std::error::Error;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use protocol::corpora::{BuildTask, SEGMENT, SOURCES_MAX};
use serde_json::json;

use super::{Audience, Taken, check_name, corpora_lock, made, read_in_words};
use crate::builder::{Builder, Built, bytes};
use crate::commands::Outcome;
use crate::corpora::{self, Segments};
use crate::corpus_process;
use crate::data::{Data, sync_directory};
use crate::output::{self, Hinted};
use crate::settings::Settings;

/// Builds a corpus of repositories, folders and archives.
///
/// Of a git repository, bare or with a work tree, what is committed is read; of a folder, all text files; archives are
/// TAR (also by gzip, bzip2, xz or zstd), ZIP, crates, wheels, and Debian's .dsc with the files that it names. Each file
/// goes in with where it is from and under which licence, as far as the source itself says so. The sources are read by a
/// process in a jail, and by none else. The same files make the same corpus, byte for byte.
///
/// A corpus of that name that is there already is replaced: it is asked until the new one is ready. With --out, the
/// corpus is made in a folder of its own, to be carried in (`cloister bundle create --corpus`), and no data directory is
/// needed.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// A name: a-z, 0-9, `.`, `_` and `-`, beginning with a letter.
    name: String,
    /// Repositories, folders and archives.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    audience: Audience,
    /// Make it in this folder, which must be empty or not there, and do nothing else.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["readers", "labels"])]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(super) fn run(self, data: &Path) -> Outcome {
        check_name(&self.name)?;
        let sources = self.sources()?;
        let built = match &self.out {
            Some(out) => self.build_out(Data::open(data).ok().as_ref(), &sources, out)?,
            None => {
                let data = Data::open(data)?;
                let _lock = corpora_lock(&data)?;
                let configured = corpora::configured(&data)?;
                let building = Segments::of(&data, &self.name).building()?;
                let built = self.build(Some(&data), &sources, &building)?;
                let (readers, labels) = self.audience.of(configured.get(&self.name));
                let from = read_in_words(&built.sources);
                let (action, name, root) = ("corpus build", self.name.as_str(), built.root);
                Taken { action, name, root, from, readers, labels }.publish(&data, configured)?;
                built
            }
        };
        show(&self.name, &sources, &built, self.out.as_deref(), self.json)
    }

    /// Where they really are.
    fn sources(&self) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        if self.sources.len() > SOURCES_MAX {
            let hint = "build several corpora, and merge them with `cloisterd corpus merge`";
            return Err(Hinted::new(format!("{SOURCES_MAX} sources at most"), hint).into());
        }
        let real = |source: &PathBuf| {
            let unreadable = |error: std::io::Error| {
                let hint = "give a repository, a folder or an archive";
                Hinted::new(format!("{} cannot be read: {error}", source.display()), hint)
            };
            fs::canonicalize(source).map_err(unreadable)
        };
        Ok(self.sources.iter().map(real).collect::<Result<Vec<_>, _>>()?)
    }

    /// Has the sources read by the builder, which makes the segment in `building`.
    fn build(
        &self,
        data: Option<&Data>,
        sources: &[PathBuf],
        building: &Path,
    ) -> Result<Built, Box<dyn Error>> {
        let root = data.map(|data| fs::canonicalize(data.root())).transpose()?;
        let lies_in = |source: &&PathBuf| {
            let reach = corpus_process::reach(source);
            root.as_ref().is_some_and(|root| reach.starts_with(root) || root.starts_with(&reach))
        };
        if let Some(source) = sources.iter().find(lies_in) {
            let what = format!("{} and the data directory lie in each other", source.display());
            return Err(Hinted::new(what, "keys and ledgers are no known code: give another source").into());
        }
        let settings = match data {
            Some(data) => Settings::read(data.root())?,
            None => Settings::default(),
        };
        let task = BuildTask::Build {
            name: self.name.clone(),
            sources: sources.iter().map(|source| bytes(source)).collect(),
            building: bytes(building),
        };
        let bar = output::counting(&format!("reading {}", self.name), "files");
        let built = Builder::start(data, &settings, task).and_then(|builder| made(builder, &bar));
        bar.finish_and_clear();
        built.map_err(|error| {
            let hint = "correct that, or leave that source out; nothing was changed";
            Hinted::new(format!("{} is not built: {}", self.name, output::on_one_line(&*error)), hint).into()
        })
    }

    /// In a folder beside `out`, which becomes it once the segment is complete.
    fn build_out(
        &self,
        data: Option<&Data>,
        sources: &[PathBuf],
        out: &Path,
    ) -> Result<Built, Box<dyn Error>> {
        let out = std::path::absolute(out)?;
        let cannot = |error: std::io::Error| format!("{} cannot be made: {error}", out.display());
        if out.symlink_metadata().is_ok() && fs::read_dir(&out).map_err(cannot)?.next().is_some() {
            let hint = "choose an empty folder, or one that is not there";
            return Err(Hinted::new(format!("{} is not empty", out.display()), hint).into());
        }
        let (Some(parent), Some(name)) = (out.parent(), out.file_name()) else {
            return Err(Hinted::new(
                format!("{} cannot be a corpus's folder", out.display()),
                "choose another",
            )
            .into());
        };
        let building = Unfinished::make(parent, &name.to_string_lossy()).map_err(cannot)?;
        let built = self.build(data, sources, &building.0)?;
        // An empty folder gives way.
        fs::rename(building.0.join(SEGMENT), &out).map_err(cannot)?;
        sync_directory(parent)?;
        Ok(built)
    }
}

/// A folder that goes when nobody needs it any more.
struct Unfinished(PathBuf);

impl Unfinished {
    fn make(parent: &Path, name: &str) -> std::io::Result<Unfinished> {
        let folder = parent.join(format!(".{name}.building-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Unfinished(folder))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _the_name_says_what_it_is = fs::remove_dir_all(&self.0);
    }
}

fn show(name: &str, sources: &[PathBuf], built: &Built, out: Option<&Path>, json: bool) -> Outcome {
    if json {
        let mut shown = serde_json::to_value(built)?;
        shown["corpus"] = json!(name);
        shown["out"] = json!(out);
        for (number, source) in sources.iter().enumerate() {
            shown["sources"][number]["path"] = json!(source);
        }
        output::document(&shown, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (source, read) in sources.iter().zip(&built.sources) {
        let left_out: Vec<String> =
            read.left_out.iter().map(|(reason, files)| format!("{files} left out: {reason}")).collect();
        let left_out = if left_out.is_empty() { String::new() } else { format!("; {}", left_out.join(", ")) };
        output::say(&format!("{}: {}, {} files{left_out}", source.display(), read.package, read.files));
    }
    output::line(&format!("{name}: {}", built.root))?;
    output::say(&format!("{} different files of {} bytes", built.documents, built.bytes));
    match out {
        Some(out) => output::say(&format!(
            "to carry it: cloister bundle create --out MEDIA --name {name} --version 1 --corpus {}",
            out.display()
        )),
        None if built.documents == 0 => output::say("there is no text file in it: nothing will match"),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}
