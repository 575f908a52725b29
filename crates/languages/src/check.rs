//! What the site's own toolchains say of a unit: which programs there are for a language, how each is called, and what
//! its words mean. Nothing is run here: whoever runs a [`Plan`] does it in a jail of its own, and hands back what was
//! written.
//!
//! Text of a unit, names of a project and words of a compiler are strangers': a plan names no file but those that it
//! writes and those of the [`Project`], and [`Checker::read`] takes any bytes.

mod moved;
mod reading;

use std::fmt::Write as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::Language;

pub use moved::new_diagnostics;
pub(crate) use reading::{Columns, Format, remarks};

/// One toolchain's opinion.
pub struct Checker {
    /// Its name, as records and people know it: `gnat`.
    pub name: &'static str,
    /// Programs that must all be there, by name: found on the toolchain's search path.
    pub programs: &'static [&'static str],
    /// Which package of Debian's has them.
    pub package: &'static str,
    /// What a clean answer claims, and no more: `legal by the language's rules; not run`.
    pub claims: &'static str,
    /// The first of [`Checker::programs`] with these arguments states its version on its first line.
    pub version: &'static [&'static str],
    /// What must not even be handed to the program.
    pub(crate) refuse: Option<fn(&Unit<'_>) -> Option<Diagnostic>>,
    pub(crate) purpose: Purpose,
    pub(crate) plan: fn(&Unit<'_>) -> Option<Plan>,
    pub(crate) library: Option<fn(&[PathBuf]) -> Plan>,
    pub(crate) read: fn(&Unit<'_>, &Written<'_>) -> Vec<Diagnostic>,
}

/// What a checker is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// To judge a unit.
    Judge,
    /// To judge, too, a whole unit that the first has nothing against, where this is one for it.
    JudgeFurther(fn(&Unit<'_>) -> bool),
    /// Not to judge, but to say how a unit behaves: in one note, equal for two that behave the same.
    Behave,
    /// To run a unit, where this may be one for it, which does both.
    Run(fn(&Unit<'_>) -> bool),
}

/// The text that is looked at, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// Its language.
    pub language: Language,
    /// The file's name without folders, as the project has it or a person would give it. `None`: the pack finds one.
    pub file_name: Option<&'a str>,
    /// The whole text.
    pub text: &'a str,
    /// What it is a part of.
    pub project: &'a Project,
    /// The rules of its repository.
    pub rules: &'a Rules,
}

/// Other files of a unit's project, for reading. All paths are absolute; those that are not UTF-8 are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Where the unit's own file lies, if it is in the project.
    pub directory: Option<PathBuf>,
    /// Directories that hold files of the language, the nearest first.
    pub directories: Vec<PathBuf>,
    /// What [`Checker::library`] made of the project.
    pub library: Option<PathBuf>,
    /// What is in the file that [`Language::declared_in`] names, if it is there.
    pub specification: Option<String>,
}

/// A repository's coding rules, as far as a toolchain checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Configuration pragmas of Ada, such as `pragma Profile (Ravenscar);`.
    pub pragmas: Vec<String>,
    /// Switches for the checkers, of those that [`Language::accepts_switch`] knows.
    pub switches: Vec<String>,
}

/// One run of a program in an empty folder of its own, which is its working directory and may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Files that are there when it starts: a name without folders, and the text.
    pub files: Vec<(String, String)>,
    /// The program, by name. A shell is one like others: what a stranger wrote comes to it by files and arguments
    /// only, never in its script.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Whether what is made in that folder is run, too.
    pub executes: bool,
}

/// What a run wrote.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// On standard output; perhaps only its beginning.
    pub stdout: &'a [u8],
    /// On standard error, likewise.
    pub stderr: &'a [u8],
    /// Whether it ended by itself with status 0.
    pub succeeded: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is not legal, or would not build.
    Error,
    /// It is suspect.
    Warning,
    /// More about another.
    Note,
}

/// One remark of a checker's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Line of the unit's text, from 1, and at most one behind its last; `None` when it is about another file, or none.
    pub line: Option<u32>,
    /// Byte in that line, from 1, and at most one behind its last; `None` when the checker does not say, or says it
    /// too loosely.
    pub column: Option<u32>,
    /// Name of the other file that it is about, without folders: at most 128 bytes.
    pub file: Option<String>,
    /// The checker's own words, without control characters: at most 512 bytes.
    pub message: String,
}

/// So many remarks are kept of one run.
const DIAGNOSTICS_MAX: usize = 100;

impl Checker {
    /// Why the unit must not be handed to the program, if so: nothing is run then, and this is the answer.
    pub fn refuse(&self, unit: &Unit<'_>) -> Option<Diagnostic> {
        self.refuse.and_then(|refuse| refuse(unit))
    }

    /// How it is called for this unit; `None` when it has nothing to say of such a one, or refuses it.
    pub fn plan(&self, unit: &Unit<'_>) -> Option<Plan> {
        if self.refuse(unit).is_some() {
            return None;
        }
        (self.plan)(unit)
    }

    /// How the project's own files are prepared, so that units are checked against them: run once in a folder that is
    /// [`Project::library`] from then on. `None`: it needs none.
    pub fn library(&self, files: &[PathBuf]) -> Option<Plan> {
        self.library.map(|library| library(files))
    }

    /// What a run of its plan said: at most 100 remarks, none twice. A run that failed and names no error is an error
    /// in itself.
    pub fn read(&self, unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
        let mut found = (self.read)(unit, written);
        found.truncate(DIAGNOSTICS_MAX);
        if !written.succeeded && !found.iter().any(|one| one.severity == Severity::Error) {
            found.truncate(DIAGNOSTICS_MAX - 1);
            found.push(reading::failure(self.name, written));
        }
        found
    }
}

impl Diagnostic {
    /// An error without a place.
    pub(crate) fn error(message: &str) -> Diagnostic {
        let message = reading::clean(message, reading::MESSAGE_BYTES_MAX);
        Diagnostic { severity: Severity::Error, line: None, column: None, file: None, message }
    }
}

impl Plan {
    /// A run that is given the unit's text in a file of that name, and those arguments.
    pub(crate) fn of(unit: &Unit<'_>, file_name: &str, program: &'static str, arguments: &[&str]) -> Plan {
        Plan {
            files: vec![(file_name.to_owned(), unit.text.to_owned())],
            program,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            executes: false,
        }
    }

    /// With more arguments.
    pub(crate) fn with(mut self, arguments: impl IntoIterator<Item = String>) -> Plan {
        self.arguments.extend(arguments);
        self
    }
}

impl Language {
    /// The checkers of the language, the first being the one to ask while a person types.
    pub fn checkers(self) -> &'static [Checker] {
        self.pack().checkers
    }

    /// The name of the file that declares what a unit is the body of, where that is another file.
    pub fn declared_in(unit: &Unit<'_>) -> Option<String> {
        match unit.language {
            Language::Ada => crate::ada::specification_name(unit),
            _ => None,
        }
    }

    /// The checker that looks at a whole unit once the first has nothing against it, where this may be one
    /// for it; it has no plan where it turns out that it is none.
    pub fn further_checker(unit: &Unit<'_>) -> Option<&'static Checker> {
        let looks = |checker: &&Checker| match checker.purpose {
            Purpose::JudgeFurther(looks) | Purpose::Run(looks) => looks(unit),
            Purpose::Judge | Purpose::Behave => false,
        };
        unit.language.checkers().iter().find(looks)
    }

    /// What says how a unit behaves, where there is something that may; it has no plan where it turns out that it
    /// cannot.
    pub fn driver(unit: &Unit<'_>) -> Option<&'static Checker> {
        let behaves = |checker: &&Checker| match checker.purpose {
            Purpose::Run(looks) => looks(unit),
            Purpose::Behave => checker.plan(unit).is_some(),
            Purpose::Judge | Purpose::JudgeFurther(_) => false,
        };
        unit.language.checkers().iter().find(behaves)
    }

    /// All checkers that there are.
    pub fn all_checkers() -> impl Iterator<Item = (Language, &'static Checker)> {
        Language::ALL
            .into_iter()
            .flat_map(|language| language.checkers().iter().map(move |one| (language, one)))
    }
}

/// The project's directories behind that switch, the unit's own first, none twice.
pub(crate) fn directories(project: &Project, switch: &str) -> Vec<String> {
    let mut found = Vec::new();
    for directory in project.directory.iter().chain(&project.directories) {
        if let Some(directory) = directory.to_str() {
            let argument = format!("{switch}{directory}");
            if !found.contains(&argument) {
                found.push(argument);
            }
        }
    }
    found
}

/// What a note tells of how a unit behaves: `sha256:` and 64 digits.
pub(crate) fn digest(hash: Sha256) -> String {
    hash.finalize().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _always_written = write!(text, "{byte:02x}");
        text
    })
}

/// The site's switches that this one checker knows.
pub(crate) fn switches(unit: &Unit<'_>, knows: fn(&str) -> bool) -> impl Iterator<Item = String> {
    unit.rules.switches.iter().filter(move |switch| knows(switch)).cloned()
}

/// Whether a switch begins so and goes on with letters, digits, `-`, `+`, `.` or `=` only: no path, no list.
pub(crate) fn is_plain_switch(switch: &str, beginnings: &[&str]) -> bool {
    const SWITCH_BYTES_MAX: usize = 64;
    switch.len() <= SWITCH_BYTES_MAX
        && beginnings.iter().filter_map(|beginning| switch.strip_prefix(beginning)).any(|rest| {
            rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'='))
        })
}
