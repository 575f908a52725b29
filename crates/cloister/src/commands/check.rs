mod sarif;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use client::{Check as Opinion, Client, Subject};
use serde::{Deserialize, Serialize};

use super::{Session, wait};
use crate::checks;
use crate::failure::{EXIT_FAILED, Failure};
use crate::hunks::Change;
use crate::{fences, file, git, subject};

/// Bytes of one file, as the server takes it.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What a change is compared with where nothing is said.
const BASE: &str = "HEAD";

/// Has the site's compilers look at files, as they look at answers
///
/// Each file goes to the server, and its compiler looks at it in a jail, against the other files of its repository where that
/// is a source that you may read. A whole unit of Ada, SPARK or VHDL that it has nothing against is run or synthesised, too.
/// No model is asked. --mend shows what the compiler's own words allow to be mended; --write writes it.
///
/// Exit codes: 0 nothing is against it, 1 something is (--fail-on), or a file was not looked at, 2 the arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Files
    #[arg(value_name = "FILE", required_unless_present = "changed")]
    files: Vec<PathBuf>,
    /// Also the files of the repository you stand in that differ from this commit, branch or tag, from where the two parted; what
    /// is not committed, and what git does not know yet, included
    #[arg(long, value_name = "BASE", num_args = 0..=1, default_missing_value = BASE)]
    changed: Option<String>,
    /// Show what can be mended, for `git apply`
    #[arg(long)]
    mend: bool,
    /// Write it, too
    #[arg(long, requires = "mend")]
    write: bool,
    /// What ends with exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
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
    /// Nothing that is said does
    Never,
    /// An error
    Error,
    /// Also a warning
    Warning,
}

/// How it is told.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One document with a list of files
    Json,
    /// SARIF 2.1.0, for review tools, with what can be mended as fixes
    Sarif,
}

#[derive(Serialize)]
struct Asked<'a> {
    text: &'a str,
    mend: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloister: Option<Subject>,
}

/// What the server says.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Answer {
    checks: Vec<Opinion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mended: Option<Mended>,
    record: Option<u64>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Mended {
    text: String,
    what: Vec<String>,
    checks: Vec<Opinion>,
}

/// A file, and what is said of it.
#[derive(Serialize)]
struct Checked {
    /// As it was named.
    path: String,
    #[serde(flatten)]
    answer: Answer,
    #[serde(skip)]
    text: String,
}

impl Checked {
    /// Whether all that should look at it did.
    fn is_whole(&self) -> bool {
        self.answer.checks.iter().all(|check| check.outcome != "not_run")
    }

    fn has(&self, severity: &str) -> bool {
        let mut remarks = self.answer.checks.iter().flat_map(|check| &check.remarks);
        remarks.any(|remark| remark.severity == severity)
    }
}

impl Check {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let mut files = self.files.clone();
        if let Some(base) = &self.changed {
            files.extend(git::changed(Path::new("."), base)?);
        }
        let settings = session.settings()?;
        let bar = session.output.files_bar(files.len());
        let (mut all, mut left_out, mut unseen) = (Vec::new(), 0_usize, 0_usize);
        for path in &files {
            bar.inc(1);
            let looked = match file::read_text(path, FILE_BYTES_MAX) {
                Ok(text) => Ok((wait(ask(&settings.client, path, &text, self.mend))?, text)),
                Err(failure) => Err(failure.message().to_owned()),
            };
            let unreadable = looked.is_err();
            let why = match looked {
                Ok((answer, text)) if !answer.checks.is_empty() => {
                    all.push(Checked { path: path.display().to_string(), answer, text });
                    continue;
                }
                Ok(_) => format!("{}: the server knows no compiler for it", path.display()),
                Err(why) => why,
            };
            // What changed may be a picture; what is named, or is source by its name, is to be looked at.
            if self.files.contains(path) || unreadable && !fences::language(path).is_empty() {
                unseen += 1;
                bar.suspend(|| session.output.complain(&why));
            } else {
                left_out += 1;
            }
        }
        bar.finish_and_clear();
        match if self.json { Format::Json } else { self.format } {
            Format::Text => self.show(session, &all)?,
            Format::Json => session.output.json(&serde_json::json!({ "files": all }))?,
            Format::Sarif => session.output.json(&sarif::document(&all))?,
        }
        if self.write {
            for (checked, mended) in all.iter().filter_map(|one| Some((one, one.answer.mended.as_ref()?))) {
                file::replace(Path::new(&checked.path), checked.text.as_bytes(), mended.text.as_bytes())?;
                session.output.say(format!("{}: mended", checked.path));
            }
        }
        if left_out > 0 {
            session.output.say(format!(
                "{left_out} files were left out: no text, or in no language with a compiler here"
            ));
        }
        let partial = all.iter().filter(|checked| !checked.is_whole()).count();
        if partial > 0 {
            session.output.complain(&format!("{partial} files were not looked at, or not by all"));
        }
        let is_against = |checked: &Checked| match self.fail_on {
            FailOn::Never => false,
            FailOn::Error => checked.has("error"),
            FailOn::Warning => checked.has("error") || checked.has("warning"),
        };
        let fails = unseen > 0 || partial > 0 || all.iter().any(is_against);
        Ok(if fails { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
    }

    fn show(&self, session: &mut Session, all: &[Checked]) -> Result<(), Failure> {
        for checked in all {
            session.output.line(format_args!("{}", checked.path))?;
            for line in checks::lines(&checked.answer.checks) {
                session.output.line(line)?;
            }
            if let Some(mended) = &checked.answer.mended {
                let left: u32 = mended.checks.iter().map(|check| check.errors).sum();
                session.output.say(format!(
                    "{}: {}; {left} errors are left",
                    checked.path,
                    mended.what.join(", ")
                ));
                Change::new(&checked.path, checked.text.clone(), mended.text.clone())
                    .show(&mut session.output)?;
            }
        }
        let with_errors = all.iter().filter(|checked| checked.has("error")).count();
        session.output.say(format!("{with_errors} of {} files have errors", all.len()));
        Ok(())
    }
}

async fn ask(client: &Client, path: &Path, text: &str, mend: bool) -> Result<Answer, Failure> {
    let asked = Asked { text, mend, cloister: subject::of_file(path) };
    Ok(client.post::<Answer>("/v1/cloister/check", &asked).await?.value)
}
