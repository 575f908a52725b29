//! A scratch folder for one unit, and runs of tools in it.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jail::spawn::Exit;
use jail::tool::{self, End, Launcher, Limits, Outcome, Output, ToolError, debian_toolchain, environment};
use tempfile::TempDir;

/// Where programs are found by name, as the environment of tools has it.
const SEARCH_PATH: &[&str] = &["/usr/bin", "/bin"];

/// How deep folders that a program left behind are opened for removal.
const DEPTH_MAX: usize = 64;

/// A folder that is removed in the end.
pub(crate) struct Scratch {
    /// Without a symbolic link.
    path: PathBuf,
    directory: Option<TempDir>,
}

/// How a tool is run in it.
pub(crate) struct Run<'a> {
    /// By name, or a path below the folder that begins with `./`.
    pub(crate) program: &'a str,
    pub(crate) arguments: &'a [String],
    /// Whether what lies in the folder may be executed.
    pub(crate) executes: bool,
    pub(crate) read_only: &'a [PathBuf],
    pub(crate) limits: Limits,
}

/// Why it was not run.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// A program that is not there.
    #[error("{program} is not installed (Debian has it in the package {package})")]
    NotInstalled {
        /// Its name.
        program: String,
        /// Where to get it.
        package: String,
    },
    /// No toolchain says anything about this language, or this unit.
    #[error("no checker for {language}")]
    NoChecker {
        /// The language's name.
        language: &'static str,
    },
    /// It did not end in its time.
    #[error("{program} did not end within {wall_ms_max} ms")]
    TimedOut {
        /// Its name.
        program: String,
        /// The time.
        wall_ms_max: u64,
    },
    /// Its folder could not be made.
    #[error("cannot make a scratch folder in {}", path.display())]
    Scratch {
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The jail, or its launcher.
    #[error("cannot run {program} in a jail")]
    Tool {
        /// Its name.
        program: String,
        /// The cause.
        #[source]
        source: ToolError,
    },
}

impl Scratch {
    pub(crate) fn new(root: &Path) -> Result<Scratch, NotRun> {
        let failed = |source| NotRun::Scratch { path: root.to_owned(), source };
        // The jail grants no path that has a link in it.
        let root = root.canonicalize().map_err(failed)?;
        let directory = tempfile::Builder::new().prefix("unit-").tempdir_in(&root).map_err(failed)?;
        Ok(Scratch { path: directory.path().to_owned(), directory: Some(directory) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// To be called before the first run: afterwards a name here may be a link to anywhere.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), NotRun> {
        let path = self.path.join(name);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            File::create_new(&path)?.write_all(text.as_bytes())
        };
        write().map_err(|source| NotRun::Scratch { path: path.clone(), source })
    }

    pub(crate) fn run(&self, launcher: &Launcher<'_>, run: &Run<'_>) -> Result<Outcome, NotRun> {
        let program = match run.program.strip_prefix("./") {
            Some(below) => self.path.join(below),
            None => found(run.program).ok_or_else(|| NotRun::NotInstalled {
                program: run.program.to_owned(),
                package: "of that name".to_owned(),
            })?,
        };
        let task = tool::Task {
            program,
            arguments: run.arguments.iter().map(Into::into).collect(),
            environment: environment(&self.path),
            directory: self.path.clone(),
            toolchain: debian_toolchain(),
            read_only: run.read_only.to_vec(),
            scratch: self.path.clone(),
            scratch_executes: run.executes,
            finds_itself: false,
            stdin: None,
            limits: run.limits,
        };
        tool::run(launcher, &task).map_err(|source| NotRun::Tool { program: run.program.to_owned(), source })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(directory) = self.directory.take()
            && directory.close().is_err()
        {
            // A program may have taken rights from its own folders.
            open_up(&self.path, DEPTH_MAX);
            let _what_stays = fs::remove_dir_all(&self.path);
        }
    }
}

/// Follows no link: the kind of an entry is that of the entry itself.
fn open_up(folder: &Path, depth: usize) {
    let _as_far_as_it_goes = fs::set_permissions(folder, Permissions::from_mode(0o700));
    let Some(depth) = depth.checked_sub(1) else { return };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path(), depth);
        }
    }
}

/// The file of a program.
pub(crate) fn found(name: &str) -> Option<PathBuf> {
    // A name with a folder in it is no name.
    (!name.contains('/'))
        .then(|| SEARCH_PATH.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists()))?
}

/// The first of some programs that is not there.
pub(crate) fn need(programs: &[&str], package: &str) -> Result<(), NotRun> {
    match programs.iter().find(|program| found(program).is_none()) {
        Some(missing) => {
            Err(NotRun::NotInstalled { program: (*missing).to_owned(), package: package.to_owned() })
        }
        None => Ok(()),
    }
}

pub(crate) fn succeeded(outcome: &Outcome) -> bool {
    outcome.end == End::Exited(Exit::Code(0))
}

/// The first line that says something, of the first output that does, as people may read it: at most 300 characters.
pub(crate) fn first_line(outputs: &[&Output]) -> String {
    let texts = outputs.iter().map(|output| String::from_utf8_lossy(&output.bytes));
    texts
        .filter_map(|text| text.lines().find(|line| !line.trim().is_empty()).map(plain))
        .next()
        .unwrap_or_default()
}

/// A stranger's words on one line, without control characters, at most 300 characters.
pub(crate) fn plain(words: &str) -> String {
    let shown = words.trim().chars().map(|character| if character.is_control() { ' ' } else { character });
    shown.take(300).collect()
}

/// An error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
