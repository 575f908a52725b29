//! Where a text is looked at: a project, a folder for runs, and outside of both what must be neither read nor changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use checks::{Runner, Site};
use languages::{Checker, Language};

use crate::LAUNCH;

pub(crate) struct Ground {
    _directory: tempfile::TempDir,
    /// What may be read.
    pub(crate) project: PathBuf,
    pub(crate) scratch: PathBuf,
    pub(crate) outside: PathBuf,
    /// 32 hexadecimal digits, in files of `outside` alone. The first is a letter, so that it is a name in any language.
    pub(crate) secret: String,
}

/// The secret, in the words of languages that would tell it.
const SECRETS: [(&str, &str); 8] = [
    ("secret.h", "{SECRET}\n"),
    ("secret.ads", "package Secret is\n   Word : constant String := \"{SECRET}\";\nend Secret;\n"),
    ("secret.v", "module secret; initial $display({SECRET}); endmodule\n"),
    ("secret.f", "      integer(kind={SECRET}) :: secret\n"),
    ("secret.cpy", "           DISPLAY {SECRET}.\n"),
    ("secret.rs", "pub const WORD: u8 = {SECRET};\n"),
    ("secret.vhd", "package secret is constant word : integer := {SECRET}; end;\n"),
    ("secret.py", "{SECRET} = \n"),
];

impl Ground {
    pub(crate) fn new() -> Ground {
        let directory = tempfile::Builder::new().prefix("cloister-checks-").tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let [project, scratch, outside] = ["project", "scratch", "outside"].map(|name| root.join(name));
        for folder in [&project, &outside] {
            fs::create_dir(folder).unwrap();
        }
        let mut random = [0; 16];
        File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = format!("f{}", &secret[1..]);
        let ground = Ground { _directory: directory, project, scratch, outside, secret };
        for (name, text) in SECRETS {
            write(&ground.outside.join(name), &text.replace("{SECRET}", &ground.secret));
        }
        for name in ["a-link.h", "a-link.cpy"] {
            let target = ground.outside.join(name.replace("a-link", "secret"));
            std::os::unix::fs::symlink(target, ground.project.join(name)).unwrap();
        }
        ground
    }

    /// What runs compilers here.
    pub(crate) fn runner(&self) -> Runner {
        Runner {
            launcher: "/proc/self/exe".into(),
            arguments: &[LAUNCH],
            site: site(),
            scratch: self.scratch.clone(),
        }
    }

    /// Names of this ground in a text.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("{OUTSIDE}", self.outside.to_str().unwrap())
            .replace("{PROJECT}", self.project.to_str().unwrap())
    }

    /// All that a run must leave as it is.
    pub(crate) fn around(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        [&self.outside, &self.project].into_iter().flat_map(|folder| contents(folder)).collect()
    }

    /// What is left of runs.
    pub(crate) fn left_in_scratch(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.scratch) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Whether the secret is in it, in letters of either case.
    pub(crate) fn is_told(&self, bytes: &[u8]) -> bool {
        String::from_utf8_lossy(bytes).to_ascii_lowercase().contains(&self.secret)
    }

    /// Processes of this machine that have the folder of runs in their words or in their environment.
    pub(crate) fn processes(&self) -> Vec<String> {
        let marker = self.scratch.to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            if !entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            {
                continue;
            }
            for file in ["cmdline", "environ"] {
                let words = fs::read(entry.path().join(file)).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).into_owned();
                if words.contains(marker) {
                    found.push(words);
                }
            }
        }
        found
    }
}

/// Debian's programs, and the Rust toolchain of whoever tests where it lies elsewhere.
fn site() -> Site {
    static SYSROOT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sysroot = SYSROOT.get_or_init(|| {
        let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
        let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        (path.join("bin/rustc").is_file() && !path.starts_with("/usr")).then_some(path)
    });
    Site::new(&sysroot.iter().cloned().collect::<Vec<_>>())
}

/// That all of a checker's programs are there; else its test fails, with the name of the package. GNATprove is in no
/// package of Debian's, and is not asked for.
pub(crate) fn is_there(runner: &Runner, checker: &Checker) -> bool {
    let missing = runner.site.missing(checker);
    if checker.name == "gnatprove" && !missing.is_empty() {
        println!("NOT TRIED: no gnatprove here");
        return false;
    }
    assert!(missing.is_empty(), "{missing:?} missing: apt-get install {}", checker.package);
    true
}

pub(crate) fn checker(language: Language, name: &str) -> &'static Checker {
    language.checkers().iter().find(|checker| checker.name == name).unwrap()
}

/// Files and links with what they hold, and empty folders.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                let target = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
                found.insert(path, target);
            } else if path.is_dir() {
                found.insert(path.clone(), Vec::new());
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// The folders on its way are made.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
