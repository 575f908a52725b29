mod local;
mod sarif;
mod spdx;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use client::{Client, Provenance};
use ignore::WalkBuilder;
use serde::Serialize;

use super::{Session, wait};
use crate::failure::{EXIT_FAILED, Failure};
use crate::settings::Settings;
use crate::{file, provenance, subject};

/// Bytes of one text, as the server takes it.
const TEXT_BYTES_MAX: u64 = 512 << 10;
/// Files of one run.
const FILES_MAX: usize = 100_000;

/// Says which known code a file, standard input or a whole tree matches, and under which licence
///
/// The server compares each text with the corpora that you may see, lexeme for lexeme (or this command does, with those
/// that you name by --corpus, which no policy applies to): layout, comment marks and the
/// case of letters do not count. A match says that two texts are alike, and nothing of where one was learned. What is
/// found in so many places that it says nothing is common, and left out of what people are shown.
///
/// Of a folder, what git ignores is left out, and so is what is no text or longer than 512 KiB; how many files that were
/// is said.
///
/// Exit codes: 0 nothing is against the policy, 1 something is (--fail-on), or not everything was compared with every
/// corpus, or there is none, 2 the arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct Trace {
    /// Files and folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A corpus's folder (`cloisterd corpus build --out`): compare here with that, and ask no server; may be repeated
    #[arg(long, value_name = "DIR")]
    corpus: Vec<PathBuf>,
    /// Compare everything with everything, as an oracle for auditors: exact matches only, small corpora only
    #[arg(long, requires = "corpus")]
    exact: bool,
    /// What ends with exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Block)]
    fail_on: FailOn,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What ends with exit code 1.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Nothing does
    Never,
    /// A match that the site's policy keeps out
    Block,
    /// Also one that it says to look at
    Warn,
    /// Any match that is not common
    Any,
}

/// How it is told.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One document with a list of files
    Json,
    /// SARIF 2.1.0, for review tools
    Sarif,
    /// SPDX 2.3 with snippets, for bills of materials
    Spdx,
}

/// A text that is to be traced: where it is, or standard input, and the name that it is told by.
type Named = (Option<PathBuf>, String);

/// What a file matches.
#[derive(Serialize)]
struct Traced {
    /// As it was named, or beneath the folder that was.
    path: String,
    #[serde(flatten)]
    provenance: Provenance,
    /// Of the file's bytes, for bills of materials. The texts of a whole tree are not kept.
    #[serde(skip)]
    digests: spdx::Digests,
}

impl Traced {
    /// Matches that say something: what is common, or copied from what went into a prompt, does not.
    fn told(&self) -> impl Iterator<Item = &client::Match> {
        self.provenance.matches.iter().filter(|one| !one.is_common && one.kind != "copied")
    }

    /// Whether all of it was compared with all that there is.
    fn is_whole(&self) -> bool {
        let provenance = &self.provenance;
        !provenance.corpora.is_empty() && provenance.not_asked.is_empty() && !provenance.cut_short
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
}

/// Who compares.
enum Comparer {
    Server(Settings),
    Here(local::Local),
}

impl Trace {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let comparer = if self.corpus.is_empty() {
            Comparer::Server(session.settings()?)
        } else {
            Comparer::Here(local::Local::open(&self.corpus, self.exact)?)
        };
        let format = if self.json { Format::Json } else { self.format };
        let (texts, left_out) = self.texts()?;
        let bar = session.output.files_bar(texts.len());
        let mut all = Vec::new();
        let mut unreadable = 0_usize;
        for (path, shown) in texts {
            let text = match path.as_deref() {
                None => Ok(file::read_stdin(TEXT_BYTES_MAX)?),
                Some(path) => file::read_text(path, TEXT_BYTES_MAX),
            };
            bar.inc(1);
            match text {
                Ok(text) => {
                    let provenance = match &comparer {
                        Comparer::Server(settings) => wait(ask(&settings.client, path.as_deref(), &text))?,
                        Comparer::Here(local) => local.trace(&text)?,
                    };
                    all.push(Traced { path: shown, provenance, digests: spdx::Digests::of(&text) });
                }
                Err(failure) => {
                    unreadable += 1;
                    bar.suspend(|| session.output.complain(failure.message()));
                }
            }
        }
        bar.finish_and_clear();
        match format {
            Format::Text => Trace::show(session, &all)?,
            Format::Json => session.output.json(&serde_json::json!({ "files": all }))?,
            Format::Sarif => session.output.json(&sarif::document(&all))?,
            Format::Spdx => session.output.json(&spdx::document(&all, jiff::Timestamp::now()))?,
        }
        if left_out > 0 {
            session.output.say(format!("{left_out} files were left out: no text, or longer than 512 KiB"));
        }
        let is_against = |traced: &Traced| {
            traced.told().any(|one| match self.fail_on {
                FailOn::Never => false,
                FailOn::Block => one.action == "block",
                FailOn::Warn => one.action != "annotate",
                FailOn::Any => true,
            })
        };
        let partial = all.iter().filter(|traced| !traced.is_whole()).count();
        if partial > 0 {
            session.output.complain(&format!("{partial} files were not compared with everything"));
        }
        let fails = unreadable > 0 || partial > 0 || all.iter().any(is_against);
        Ok(if fails { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
    }

    /// The texts to be traced, and how many files were left out.
    fn texts(&self) -> Result<(Vec<Named>, usize), Failure> {
        let (mut texts, mut left_out) = (Vec::new(), 0);
        for path in &self.paths {
            if path.as_os_str() == "-" {
                texts.push((None, "-".to_owned()));
                continue;
            }
            if !path.is_dir() {
                texts.push((Some(path.clone()), path.display().to_string()));
                continue;
            }
            let walk = WalkBuilder::new(path)
                .hidden(false)
                .follow_links(false)
                .filter_entry(|entry| entry.file_name() != ".git")
                .sort_by_file_path(Path::cmp)
                .build();
            for entry in walk {
                let entry = entry.map_err(|error| {
                    Failure::refused(format!("{} cannot be read", path.display())).caused_by(&error)
                })?;
                if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                    continue;
                }
                if texts.len() >= FILES_MAX {
                    return Err(Failure::usage(format!("more than {FILES_MAX} files: trace it in parts")));
                }
                if is_text(entry.path()) {
                    texts.push((Some(entry.path().to_owned()), entry.path().display().to_string()));
                } else {
                    left_out += 1;
                }
            }
        }
        Ok((texts, left_out))
    }

    fn show(session: &mut Session, all: &[Traced]) -> Result<(), Failure> {
        let many = all.len() > 1;
        for traced in all {
            if many && traced.told().next().is_none() && traced.provenance.not_asked.is_empty() {
                continue;
            }
            if many {
                session.output.line(format_args!("{}", traced.path))?;
            }
            for line in provenance::lines(&traced.provenance) {
                session.output.line(line)?;
            }
        }
        let corpora = all.first().map(|traced| provenance::corpora(&traced.provenance)).unwrap_or_default();
        if corpora.is_empty() {
            session.output.say(
                "there is no corpus of known code that you may see: `cloisterd corpus build`, or ask the administrator",
            );
        } else if many {
            let hits = all.iter().filter(|traced| traced.told().next().is_some()).count();
            session.output.say(format!("{hits} of {} files match known code in {corpora}", all.len()));
        }
        Ok(())
    }
}

async fn ask(client: &Client, path: Option<&Path>, text: &str) -> Result<Provenance, Failure> {
    let subject = match path {
        Some(path) => subject::of_file(path),
        None => subject::of_directory(Path::new(".")),
    };
    let asked = Asked { text, repository: subject.and_then(|subject| subject.repository) };
    Ok(client.post::<Provenance>("/v1/cloister/trace", &asked).await?.value)
}

/// Whether it is worth sending: short enough, and UTF-8.
fn is_text(path: &Path) -> bool {
    file::read_text(path, TEXT_BYTES_MAX).is_ok_and(|text| !text.contains('\0'))
}
