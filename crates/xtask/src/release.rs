//! `cargo xtask release`: the programs as a site installs them, built offline and so that anybody who builds the same
//! sources with the same toolchain gets the same bytes; with what is in them listed, in packs, signed.
//!
//! `vendor` brings the sources, `compile` builds, `graph` says which crates a program is made of, `stage` lays the tree
//! out, `pack` packs it. Nothing here reaches a network: the build runs where there is none.

mod audit;
mod compile;
mod graph;
mod licences;
mod native;
mod pack;
mod sbom;
pub(crate) mod soak;
mod stage;
mod vendor;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    places::{Places, SOURCE_DATE_EPOCH},
    process::{output_of, run},
};

pub(crate) use vendor::Vendor;

/// What is released, engine first: it is built on its own.
const PROGRAMS: [&str; 5] = ["cloister-engine", "cloister", "cloisterd", "cloister-pkcs11", "cloister-relay"];
/// The one that is linked statically.
const ENGINE: &str = PROGRAMS[0];

/// Builds the release: reproducible, offline, with bills of materials, as .tar.zst and .deb.
///
/// Everything goes to a folder of its own, the build too; what other tasks built is not touched. The same sources and
/// the same toolchain give the same bytes, wherever the folders are.
#[derive(clap::Args)]
pub(crate) struct Release {
    /// Where the release goes [default: `release` in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder that `cargo xtask vendor` made [default: what Cargo has fetched]
    #[arg(long, value_name = "DIR")]
    vendored: Option<PathBuf>,
    /// The private key that signs the list of files: PEM, P-256, P-384 or P-521. Without one the release says
    /// that it is unsigned
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Build without a network namespace of its own, where the system allows none
    #[arg(long)]
    not_isolated: bool,
    /// Release a tree that differs from its commit
    #[arg(long)]
    uncommitted: bool,
}

/// What a release is of.
#[derive(Clone)]
struct Source {
    /// The workspace's version.
    version: String,
    /// What every file is dated: when the commit was made, in seconds since 1970.
    epoch_s: u64,
}

/// A release that was packed.
struct Packed {
    tar: PathBuf,
    deb: PathBuf,
    /// SHA-256 of what is signed.
    statement: String,
}

impl Release {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let out = match &self.out {
            Some(out) => absolute(out)?,
            None => places.target.join("release-bundle"),
        };
        let vendored = self.vendored.as_deref().map(absolute).transpose()?;
        let source = Source::of(places, vendored.as_deref(), self.uncommitted)?;
        let build = compile::Build {
            root: places.root.clone(),
            target: out.join("build"),
            vendored,
            isolated: !self.not_isolated,
            rustc: compile::rustc()?,
        };
        let stage = made(&build, &source, &out)?;
        let packed = packed(&stage, &source, &out, self.key.as_deref())?;
        for path in [&packed.tar, &packed.deb] {
            println!("{}  {}", sha256_of(path)?, path.display());
        }
        println!("statement {}", packed.statement);
        if self.key.is_none() {
            println!("unsigned: name a key with --key");
        }
        Ok(())
    }
}

impl Source {
    /// The commit's date, unless `SOURCE_DATE_EPOCH` says another, or the vendored folder where there is no git.
    fn of(places: &Places, vendored: Option<&Path>, uncommitted: bool) -> Result<Source, Failure> {
        let version = graph::version(places)?;
        if let Some(text) = env::var_os(SOURCE_DATE_EPOCH) {
            let text = text.to_string_lossy().into_owned();
            let epoch_s = text.parse().during(|| format!("{SOURCE_DATE_EPOCH}={text} is no number"))?;
            return Ok(Source { version, epoch_s });
        }
        if !places.root.join(".git").exists() {
            let noted = vendored.and_then(|folder| fs::read_to_string(folder.join(vendor::EPOCH)).ok());
            let noted = noted.as_deref().and_then(|text| text.trim().parse().ok());
            let epoch_s = noted.ok_or_else(|| {
                Failure::new("the sources are no git repository, so nothing says when they were committed")
                    .hint(format!(
                        "Name a folder of `cargo xtask vendor` with --vendored, or set {SOURCE_DATE_EPOCH}."
                    ))
            })?;
            return Ok(Source { version, epoch_s });
        }
        let changed = git(places, &["status", "--porcelain"])?;
        if !changed.is_empty() && !uncommitted {
            return Err(Failure::new(format!("the tree differs from its commit:\n{changed}"))
                .hint("Commit it, or say --uncommitted: nobody else can build such a release again."));
        }
        let epoch = git(places, &["log", "-1", "--format=%ct"])?;
        Ok(Source { version, epoch_s: epoch.trim().parse().during(|| "the commit's date".to_owned())? })
    }
}

fn git(places: &Places, arguments: &[&str]) -> Result<String, Failure> {
    output_of(Command::new("git").current_dir(&places.root).args(arguments))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).during(|| path.display().to_string())
}

/// Whether all that the programs are made of can be listed, as a release lists it: looked at by every test, so that no
/// release is the first to find out.
pub(crate) fn listable(places: &Places) -> Result<(), Failure> {
    let build = compile::Build {
        root: places.root.clone(),
        target: places.target.clone(),
        vendored: None,
        isolated: false,
        rustc: compile::rustc()?,
    };
    native::brought(&graph::Graphs::of(&build)?)?;
    Ok(())
}

/// Builds everything and lays it out; not listed and not packed yet.
fn made(build: &compile::Build, source: &Source, out: &Path) -> Result<PathBuf, Failure> {
    build.check()?;
    fs::create_dir_all(out).during(|| out.display().to_string())?;
    // What cannot be listed is found before half an hour of compiling.
    let graphs = graph::Graphs::of(build)?;
    native::brought(&graphs)?;
    let programs = build.programs(source)?;
    let stage = out.join("stage");
    stage::lay_out(&stage, build, source, &programs, &graphs)?;
    Ok(stage)
}

/// Has the staged `cloister` list the tree, and sign the list where there is a key; then packs it.
fn packed(stage: &Path, source: &Source, out: &Path, key: Option<&Path>) -> Result<Packed, Failure> {
    let program = stage.join("usr/lib/cloister/cloister");
    let mut sign = Command::new(&program);
    sign.args(["--quiet", "self", "sign"]).arg(stage);
    if let Some(key) = key {
        sign.arg("--key").arg(key);
    }
    let statement = output_of(&mut sign)?;
    let statement = statement.trim().trim_start_matches("statement ").to_owned();
    let name = format!("cloister-{}-{}", source.version, env::consts::ARCH);
    let (tar, deb) = (out.join(format!("{name}.tar.zst")), out.join(pack::deb_name(source)));
    let files = pack::files(stage)?;
    pack::tar_zst(&tar, &files, &format!("{name}/"), source)?;
    pack::deb(&deb, &files, source)?;
    let mut sums = String::new();
    for path in [&tar, &deb] {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        sums.push_str(&format!("{}  {file}\n", sha256_of(path)?));
    }
    write(&out.join("SHA256SUMS"), sums.as_bytes())?;
    Ok(Packed { tar, deb, statement })
}

/// Writes a file, its folder too.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::File::create(path))
        .and_then(|mut file| std::io::Write::write_all(&mut file, bytes));
    written.during(|| path.display().to_string())
}

/// A folder that is empty then.
fn emptied(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        fs::remove_dir_all(path).during(|| path.display().to_string())?;
    }
    fs::create_dir_all(path).during(|| path.display().to_string())
}

/// Copies the tracked files of a commit to a folder, as a site gets them.
fn exported(places: &Places, commit: &str, to: &Path) -> Result<(), Failure> {
    emptied(to)?;
    let archive = to.with_extension("tar");
    run(Command::new("git")
        .current_dir(&places.root)
        .args(["archive", "--output"])
        .arg(&archive)
        .arg(commit))?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(to))?;
    fs::remove_file(&archive).during(|| archive.display().to_string())
}
