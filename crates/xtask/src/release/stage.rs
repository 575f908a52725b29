//! The tree that a release installs, laid out in a folder.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use super::{ENGINE, Source, audit, compile, graph::Graphs, licences, native, sbom};
use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    process::{output_of, run_quietly},
};

/// Where the programs lie: one that starts another finds it beside itself.
const PRIVATE: &str = "usr/lib/cloister";
const DOCUMENTS: &str = "usr/share/doc/cloister";
/// What people call by name, from PATH.
const CALLED: [&str; 2] = ["cloister", "cloisterd"];
/// Shells, and where each looks for the completions of a program.
const SHELLS: [(&str, &str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions", "", ""),
    ("zsh", "usr/share/zsh/vendor-completions", "_", ""),
    ("fish", "usr/share/fish/vendor_completions.d", "", ".fish"),
];

/// Lays out everything but the list of files.
pub(super) fn lay_out(
    stage: &Path,
    build: &compile::Build,
    source: &Source,
    programs: &[(&'static str, PathBuf)],
    graphs: &Graphs,
) -> Result<(), Failure> {
    super::emptied(stage)?;
    for (name, built) in programs {
        let place = stage.join(PRIVATE).join(name);
        copy(built, &place)?;
        audit::embed(&place, name, graphs)?;
        set_mode(&place, 0o755)?;
    }
    let links = stage.join("usr/bin");
    fs::create_dir_all(&links).during(|| links.display().to_string())?;
    for name in CALLED {
        let link = links.join(name);
        symlink(format!("../lib/cloister/{name}"), &link).during(|| link.display().to_string())?;
        generated(stage, name)?;
    }
    documents(stage, &build.root)?;
    units(stage, &build.root)?;
    materials(stage, source, graphs)
}

/// Manual pages and completions: the programs make their own.
fn generated(stage: &Path, name: &str) -> Result<(), Failure> {
    let program = stage.join(PRIVATE).join(name);
    let pages = stage.join("usr/share/man/man1");
    run_quietly(Command::new(&program).arg("man").arg(&pages))?;
    for (shell, folder, before, after) in SHELLS {
        let script = output_of(Command::new(&program).args(["completions", shell]))?;
        super::write(&stage.join(folder).join(format!("{before}{name}{after}")), script.as_bytes())?;
    }
    Ok(())
}

fn documents(stage: &Path, root: &Path) -> Result<(), Failure> {
    for name in ["README.md", "ARCHITECTURE.md"] {
        copy(&root.join(name), &stage.join(DOCUMENTS).join(name))?;
    }
    for path in listed(&root.join("docs"))? {
        if path.extension().is_some_and(|extension| extension == "md") {
            copy(&path, &stage.join(DOCUMENTS).join("docs").join(path.file_name().unwrap_or_default()))?;
        }
    }
    // Templates for a site's own pipelines.
    for path in listed(&root.join("pipelines"))? {
        copy(&path, &stage.join(DOCUMENTS).join("pipelines").join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// What systemd reads: a folder of the tree, what of it, and where that is installed.
const SYSTEMD: [(&str, &[&str], &str); 3] = [
    ("packaging/systemd", &["service", "socket"], "usr/lib/systemd/system"),
    ("packaging/systemd/sysusers.d", &["conf"], "usr/lib/sysusers.d"),
    // For hosts that need one: an administrator copies it.
    ("packaging/systemd/drop-ins", &["conf"], "usr/share/doc/cloister/systemd/drop-ins"),
];

fn units(stage: &Path, root: &Path) -> Result<(), Failure> {
    for (folder, extensions, place) in SYSTEMD {
        for path in listed(&root.join(folder))? {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !extensions.contains(&extension) {
                return Err(Failure::new(format!("{}: nothing says where it belongs", path.display()))
                    .hint("Add it to crates/xtask/src/release/stage.rs."));
            }
            copy(&path, &stage.join(place).join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Bills of materials and licences.
fn materials(stage: &Path, source: &Source, graphs: &Graphs) -> Result<(), Failure> {
    let compilers = sbom::Compilers::of(source)?;
    let brought = native::brought(graphs)?;
    let (rust, toolchain) = (native::rust()?, native::toolchain()?);
    for program in graphs.programs.keys() {
        let mut linked = vec![rust.clone()];
        if *program == ENGINE {
            linked.extend(toolchain.iter().cloned());
        }
        let sha256 = sha256_of(&stage.join(PRIVATE).join(program))?;
        let bill = sbom::bill(program, &sha256, graphs, &brought, &linked, &compilers);
        let mut text = serde_json::to_string_pretty(&bill).during(|| format!("the bill of {program}"))?;
        text.push('\n');
        super::write(&stage.join(DOCUMENTS).join(format!("sbom/{program}.cdx.json")), text.as_bytes())?;
    }
    let mut components = brought;
    components.push(rust);
    components.extend(toolchain);
    let licences = licences::collect(graphs, &components)?;
    println!("release: licences of {} things, {} without a text", licences.things, licences.missing);
    super::write(&stage.join(DOCUMENTS).join("THIRD-PARTY-LICENSES"), licences.text.as_bytes())?;
    let copyright = format!(
        "Cloister {} is under the Apache License, Version 2.0 (/usr/share/common-licenses/Apache-2.0).\n\
         What it is made of beside its own sources is in THIRD-PARTY-LICENSES, and in the bills under sbom/.\n",
        source.version
    );
    super::write(&stage.join(DOCUMENTS).join("copyright"), copyright.as_bytes())
}

/// Entries of a folder, sorted.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).during(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    Ok(paths)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let folder = to.parent().unwrap_or(to);
    let copied = fs::create_dir_all(folder).and_then(|()| fs::copy(from, to));
    copied.during(|| format!("{} could not be copied to {}", from.display(), to.display()))?;
    set_mode(to, 0o644)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Failure> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).during(|| path.display().to_string())
}
