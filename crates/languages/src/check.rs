//! What the site's own toolchains say of a unit: which programs there are for a language, how each is called, and what
//! its words mean. Nothing is run here: whoever runs a [`Plan`] does it in a jail of its own, and hands back what was
//! written.
//!
//! Text of a unit, names of a project and words of a compiler are strangers': a plan names no file but those that it
//! writes and those of the [`Project`], and [`Checker::read`] takes any bytes.

use std::path::{Path, PathBuf};

use crate::{Language, language};

/// One toolchain's opinion.
pub struct Checker {
    /// Its name, as records and people know it: `gnat`.
    pub name: &'static str,
    /// Programs that must all be there, by name: found on the toolchain's search path.
    pub programs: &'static [&'static str],
    /// Which package of Debian's has them.
    pub package: &'static str,
    /// What a clean answer claims, and no more: `legal by the language's rules; not elaborated, not run`.
    pub claims: &'static str,
    /// The first of [`Checker::programs`] with these arguments states its version on its first line.
    pub version: &'static [&'static str],
    pub(crate) plan: fn(&Unit<'_>) -> Option<Plan>,
    pub(crate) library: Option<fn(&[PathBuf]) -> Plan>,
    pub(crate) read: fn(&Unit<'_>, &Written<'_>) -> Vec<Diagnostic>,
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
    /// Line of the unit's text, from 1; `None` when it is about another file, or none.
    pub line: Option<u32>,
    /// Byte in that line, from 1; `None` when the checker does not say.
    pub column: Option<u32>,
    /// The other file that it is about, without the project's path.
    pub file: Option<String>,
    /// The checker's own words, without control characters.
    pub message: String,
}

impl Checker {
    /// How it is called for this unit; `None` when it has nothing to say of such a one.
    pub fn plan(&self, unit: &Unit<'_>) -> Option<Plan> {
        (self.plan)(unit)
    }

    /// How the project's own files are prepared, so that units are checked against them: run once in a folder that is
    /// [`Project::library`] from then on. `None`: it needs none.
    pub fn library(&self, files: &[PathBuf]) -> Option<Plan> {
        self.library.map(|library| library(files))
    }

    /// What a run of its plan said. A run that failed without a word that is understood is an error in itself.
    pub fn read(&self, unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
        (self.read)(unit, written)
    }
}

impl Language {
    /// The checkers of the language, the first being the one to ask while a person types.
    pub fn checkers(self) -> &'static [Checker] {
        self.pack().checkers
    }

    /// All checkers that there are.
    pub fn all_checkers() -> impl Iterator<Item = (Language, &'static Checker)> {
        language::ALL
            .into_iter()
            .flat_map(|language| language.checkers().iter().map(move |one| (language, one)))
    }
}

/// An `-I` for each directory of the project.
pub(crate) fn includes(project: &Project) -> impl Iterator<Item = String> {
    project.directories.iter().filter_map(|directory: &PathBuf| Some(format!("-I{}", utf8(directory)?)))
}

pub(crate) fn utf8(path: &Path) -> Option<&str> {
    path.to_str()
}
