//! The build of a release: a fixed environment, no network, no path of this machine in what comes out.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{ENGINE, PROGRAMS, Source, vendor};
use crate::{
    elf::{self, Linkage},
    engine,
    failure::{During as _, Failure},
    places::NATIVE,
    process::{is_root, output_of, run, succeeds},
};

/// What of the environment reaches the build. All else could change what comes out.
const KEPT: [&str; 7] =
    ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "LIBCLANG_PATH", "TMPDIR"];

/// Runs its arguments where there is the loopback device, which is down, and nothing else; refuses elsewhere.
const ALONE: &str = r#"set -eu
test "$(tail -n +3 /proc/net/dev | tr -d ' ' | cut -d: -f1)" = lo
test "$(tail -n +2 /proc/net/route | wc -l)" = 0
exec "$@""#;

/// Where and of what.
pub(super) struct Build {
    /// The repository's sources.
    pub(super) root: PathBuf,
    /// Where to build: of no other use.
    pub(super) target: PathBuf,
    /// As `cargo xtask vendor` made it.
    pub(super) vendored: Option<PathBuf>,
    /// Whether in an empty network namespace.
    pub(super) isolated: bool,
    /// The compiler.
    pub(super) rustc: PathBuf,
}

impl Build {
    /// Refuses what cannot be built so, before anything is.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for path in [Some(&self.root), Some(&self.target), self.vendored.as_ref()].into_iter().flatten() {
            if path.to_string_lossy().contains(char::is_whitespace) {
                return Err(Failure::new(format!(
                    "{}: compilers split their flags at spaces",
                    path.display()
                ))
                .hint("Choose a folder without spaces in its path."));
            }
        }
        if let Some(vendored) = &self.vendored
            && !vendored.join(vendor::CONFIGURATION).is_file()
        {
            return Err(Failure::new(format!("{} was not made by `cargo xtask vendor`", vendored.display())));
        }
        if self.isolated && !succeeds(&mut self.isolated(Path::new("true"))) {
            return Err(Failure::new("the system lets nobody make an empty network namespace here").hint(
                "Run it as root, or allow user namespaces; or say --not-isolated, and see to it that there is no network.",
            ));
        }
        Ok(())
    }

    /// Builds the programs and returns where each is.
    pub(super) fn programs(&self, source: &Source) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
        let flags = engine::flags(engine::LEVEL);
        let mut build = self.build(source, &flags, "engine")?;
        // These kernels sum in an order that depends on the batch.
        run(build.env("GGML_LLAMAFILE", "OFF").args(["--package", ENGINE]))?;
        let mut build = self.build(source, &[], "programs")?;
        run(build.args(PROGRAMS[1..].iter().flat_map(|name| ["--package", name])))?;
        let place = |name: &&'static str| {
            let folder = if *name == ENGINE { "engine" } else { "programs" };
            (*name, self.target.join(folder).join(NATIVE).join("release").join(name))
        };
        let programs: Vec<_> = PROGRAMS.iter().map(place).collect();
        for (name, path) in &programs {
            let linkage = elf::linkage(path).during(|| path.display().to_string())?;
            if (linkage == Linkage::Static) != (*name == ENGINE) {
                return Err(Failure::new(format!("{} is linked otherwise than it should", path.display())));
            }
        }
        Ok(programs)
    }

    /// Cargo in the fixed environment, on these sources.
    pub(super) fn cargo(&self, subcommand: &str) -> Command {
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command =
            if self.isolated { self.isolated(Path::new(&program)) } else { Command::new(program) };
        command.current_dir(&self.root).env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        // Not through rustup's stand-in, which may want to look for updates.
        command.env("RUSTC", &self.rustc);
        command.env("LC_ALL", "C").env("TZ", "UTC");
        // llama.cpp asks git for a commit: the repository that its sources happen to lie in is not its own.
        command.env("GIT_DIR", "/nonexistent");
        if let Some(vendored) = &self.vendored {
            command.arg("--config").arg(vendored.join(vendor::CONFIGURATION));
        }
        command.args([subcommand, "--locked", "--offline"]);
        command
    }

    /// A command in a network namespace of its own, which is empty.
    pub(super) fn isolated(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        // A user who is not root needs a user namespace to own one.
        let user = if is_root() { None } else { Some("--map-current-user") };
        command.args(user).args(["--net", "--", "sh", "-c", ALONE, "sh"]).arg(program);
        command
    }

    fn build(&self, source: &Source, flags: &[String], folder: &str) -> Result<Command, Failure> {
        let target = self.target.join(folder);
        let paths = self.paths(&target)?;
        // Of several that fit, rustc takes the last one, and so does GCC.
        let remap = paths.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        let rust: Vec<String> =
            remap.chain(flags.iter().cloned()).chain(["-Clink-arg=-Wl,--build-id=none".to_owned()]).collect();
        let c: Vec<String> =
            paths.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
        let c = c.join(" ");
        let mut command = self.cargo("build");
        command
            .args(["--release", "--target", NATIVE, "--target-dir"])
            .arg(&target)
            // For the target only: build scripts and macros are run here and shipped nowhere.
            .env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f"))
            .env("CFLAGS", &c)
            .env("CXXFLAGS", &c)
            .env("SOURCE_DATE_EPOCH", source.epoch_s.to_string())
            .env("CARGO_INCREMENTAL", "0")
            // Line tables hold nothing that a site reads, and half of the bytes.
            .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
        Ok(command)
    }

    /// Folders of this machine, and what stands for each in the programs; the more special ones later.
    fn paths(&self, target: &Path) -> Result<Vec<(PathBuf, &'static str)>, Failure> {
        let mut paths = vec![(self.root.clone(), "/cloister"), (target.to_owned(), "/target")];
        for registry in registries()? {
            paths.push((registry, "/crates"));
        }
        if let Some(vendored) = &self.vendored {
            paths.push((vendored.join(vendor::CRATES), "/crates"));
        }
        paths.push((sysroot()?.join("lib/rustlib/src/rust"), "/rust"));
        Ok(paths)
    }
}

/// Where the toolchain lies.
pub(super) fn sysroot() -> Result<PathBuf, Failure> {
    Ok(output_of(Command::new("rustc").args(["--print", "sysroot"]))?.trim().into())
}

/// The toolchain's own compiler.
pub(super) fn rustc() -> Result<PathBuf, Failure> {
    Ok(sysroot()?.join("bin/rustc"))
}

/// Where Cargo unpacks what it fetched: a folder for each registry.
fn registries() -> Result<Vec<PathBuf>, Failure> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let folder =
        home.ok_or_else(|| Failure::new("no home directory, so no CARGO_HOME"))?.join("registry/src");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).during(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

/// The first line of what a program says of its version.
pub(super) fn version_of(program: &str) -> Result<String, Failure> {
    let said = output_of(Command::new(program).args([OsString::from("--version")]))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
