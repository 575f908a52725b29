//! One run of a site's program, in a jail of its own.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jail::spawn::{Exit, Program};
use jail::tool::{self, End, Launcher, Limits, Outcome, Task};
use languages::{Checker, Language, Plan};
use protocol::check::Toolchain;

/// Settings of Debian's compilers that they do not work without, and that lie apart from them.
const SETTINGS: [&str; 2] = ["/etc/gnucobol", "/etc/fpc.cfg"];
/// Characters of a version that is told.
const VERSION_CHARACTERS_MAX: usize = 80;

/// Where the site's programs are.
#[derive(Clone, Debug)]
pub struct Site {
    /// What a run may read and execute.
    pub paths: Vec<PathBuf>,
    /// Where programs are looked for, in this order; each beneath one of `paths`.
    pub search: Vec<PathBuf>,
}

/// Runs plans.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The program that is a launcher of tools when it is given these arguments, such as `/proc/self/exe`.
    pub launcher: PathBuf,
    /// Those arguments.
    pub arguments: &'static [&'static str],
    /// Where compilers are.
    pub site: Site,
    /// Folders of runs are made here, and removed after each. No part of its path is a symbolic link.
    pub scratch: PathBuf,
}

/// Why a program was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// Some of its programs are not here.
    #[error("{} not installed here ({}): the package {package} has it", programs.join(", "), if programs.len() == 1 { "is" } else { "are" })]
    Missing {
        /// Which.
        programs: Vec<String>,
        /// What has them.
        package: &'static str,
    },
    /// No folder for it.
    #[error("no folder for the run can be made in {}", scratch.display())]
    Scratch {
        /// Where.
        scratch: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The jail was not applied, or the program did not start.
    #[error(transparent)]
    Tool(#[from] tool::ToolError),
    /// Its time was over.
    #[error("it did not end within {} ms", wall_ms_max)]
    TimedOut {
        /// The limit.
        wall_ms_max: u64,
    },
}

impl Site {
    /// A Debian system's, and more folders that hold toolchains, with programs in their `bin`.
    pub fn new(more: &[PathBuf]) -> Site {
        let mut search = vec![PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
        search.splice(0..0, more.iter().map(|folder| folder.join("bin")));
        let mut paths = tool::debian_toolchain();
        paths.extend(more.iter().cloned());
        // A link stays one in the jail, so that what it points to is granted too.
        let settings = SETTINGS.into_iter().map(PathBuf::from);
        let settings = settings.flat_map(|path| [path.canonicalize().ok(), Some(path)]).flatten();
        for path in settings.filter(|path| path.symlink_metadata().is_ok()) {
            if !paths.iter().any(|granted| path.starts_with(granted)) {
                paths.push(path);
            }
        }
        Site { paths, search }
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        self.search.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// Which of a checker's programs are not here.
    pub fn missing(&self, checker: &Checker) -> Vec<String> {
        let missing = checker.programs.iter().filter(|name| self.program(name).is_none());
        missing.map(|name| (*name).to_owned()).collect()
    }
}

impl Runner {
    /// What there is of all checkers, each asked for its version.
    pub fn survey(&self) -> Vec<Toolchain> {
        let facts = |(language, checker): (Language, &Checker)| {
            let missing = self.site.missing(checker);
            Toolchain {
                language: language.name().to_owned(),
                checker: checker.name.to_owned(),
                claims: checker.claims.to_owned(),
                version: missing.is_empty().then(|| self.version(checker)),
                missing,
                package: checker.package.to_owned(),
            }
        };
        Language::all_checkers().map(facts).collect()
    }

    /// What a checker says its version is, or why it says none.
    fn version(&self, checker: &Checker) -> String {
        let Some(program) = checker.programs.first() else { return String::new() };
        let arguments = checker.version.iter().map(|word| (*word).to_owned()).collect();
        let stated = self.run(
            &Plan { files: Vec::new(), program, arguments, executes: false },
            &[],
            Limits::default(),
        );
        let line = match stated {
            Ok(outcome) => {
                let words = if outcome.stdout.bytes.is_empty() { outcome.stderr } else { outcome.stdout };
                String::from_utf8_lossy(&words.bytes).lines().next().unwrap_or_default().to_owned()
            }
            Err(error) => format!("states no version: {error}"),
        };
        line.chars().filter(|c| !c.is_control()).take(VERSION_CHARACTERS_MAX).collect()
    }

    /// Runs a plan in a new folder, with more paths to read. The folder is gone afterwards.
    pub fn run(&self, plan: &Plan, read_only: &[PathBuf], limits: Limits) -> Result<Outcome, NotRun> {
        let folder = self.folder()?;
        let outcome = self.run_in(folder.path(), plan, read_only, limits);
        drop(folder);
        outcome
    }

    /// Runs a plan in a folder that is there, and stays.
    pub fn run_in(
        &self,
        folder: &Path,
        plan: &Plan,
        read_only: &[PathBuf],
        limits: Limits,
    ) -> Result<Outcome, NotRun> {
        let scratch = |source| NotRun::Scratch { scratch: folder.to_owned(), source };
        for (name, text) in &plan.files {
            // Names are the packs', but a unit's own may be among them.
            if !is_plain(name) {
                return Err(scratch(io::Error::other(format!("{name:?} is no plain file name"))));
            }
            let made = File::create_new(folder.join(name));
            made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(scratch)?;
        }
        let program = self.site.program(plan.program).ok_or_else(|| NotRun::Missing {
            programs: vec![plan.program.to_owned()],
            package: "that has it",
        })?;
        let path = self.site.search.iter().map(|folder| folder.as_os_str()).collect::<Vec<_>>();
        // The libraries of a toolchain that is not Debian's lie beside its programs, which look for them from there. A
        // shell starts any of them.
        let is_debian = |path: &Path| ["/usr", "/bin"].iter().any(|debian| path.starts_with(debian));
        let starts_others = plan.program == "sh" && !self.site.search.iter().all(|path| is_debian(path));
        let finds_itself = starts_others || !is_debian(&program);
        let mut environment = tool::environment(folder);
        environment.retain(|(name, _)| name != "PATH");
        environment.push((OsString::from("PATH"), path.join(std::ffi::OsStr::new(":"))));
        let task = Task {
            program,
            arguments: plan.arguments.iter().map(OsString::from).collect(),
            environment,
            directory: folder.to_owned(),
            toolchain: self.site.paths.clone(),
            read_only: read_only.to_vec(),
            scratch: folder.to_owned(),
            scratch_executes: plan.executes,
            finds_itself,
            stdin: None,
            limits,
        };
        let launcher = Launcher { program: Program::Path(&self.launcher), arguments: self.arguments };
        let outcome = tool::run(&launcher, &task)?;
        match outcome.end {
            End::TimedOut => Err(NotRun::TimedOut { wall_ms_max: limits.wall_ms_max }),
            End::Exited(_) => Ok(outcome),
        }
    }

    /// A folder for one run.
    pub fn folder(&self) -> Result<Folder, NotRun> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.scratch.join(format!("run-{}-{number}", std::process::id()));
        // Texts are of no interest to other users of the machine.
        let made =
            fs::create_dir_all(&self.scratch).and_then(|()| DirBuilder::new().mode(0o700).create(&path));
        made.map_err(|source| NotRun::Scratch { scratch: self.scratch.clone(), source })?;
        Ok(Folder { path })
    }
}

/// Whether a run ended by itself with status 0.
pub(crate) fn succeeded(outcome: &Outcome) -> bool {
    outcome.end == End::Exited(Exit::Code(0))
}

/// One component, and no way up.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// A folder that is removed with this.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever a run left there is a stranger's; links are removed, not followed. What stays is removed at the
        // next start.
        let _stays = fs::remove_dir_all(&self.path);
    }
}
