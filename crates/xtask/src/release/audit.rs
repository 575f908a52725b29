//! The list of crates inside each program, where scanners look for it: cargo-auditable's section `.dep-v0`.
//!
//! Put there after the link, from the same graph as the bill of materials. The tool cargo-auditable would put itself
//! between Cargo and the compiler, so that what ships was compiled otherwise than what was tested, and it would have
//! to be carried to every site that builds.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path, process::Command};

use auditable_serde::{DependencyKind, Package, Source, VersionInfo};
use flate2::{Compression, write::ZlibEncoder};

use super::graph::{Graphs, Id};
use crate::{
    failure::{During as _, Failure},
    process::run_quietly,
};

/// Limits for who reads it again.
const READ_BYTES_MAX: usize = 1 << 30;

/// Embeds the list in a program, and reads it again as scanners do.
pub(super) fn embed(program: &Path, name: &str, graphs: &Graphs) -> Result<(), Failure> {
    let list = list(name, graphs)?;
    let text = serde_json::to_string(&list).during(|| format!("the list of crates of {name}"))?;
    let section = program.with_extension("dep-v0");
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    super::write(&section, &compressed.during(|| section.display().to_string())?)?;
    let mut objcopy = Command::new("objcopy");
    objcopy.arg("--add-section").arg(format!(".dep-v0={}", section.display()));
    run_quietly(objcopy.args(["--set-section-flags", ".dep-v0=noload,readonly"]).arg(program))?;
    fs::remove_file(&section).during(|| section.display().to_string())?;
    let limits =
        auditable_info::Limits { input_file_size: READ_BYTES_MAX, decompressed_json_size: READ_BYTES_MAX };
    let found =
        auditable_info::audit_info_from_file(program, limits).during(|| program.display().to_string())?;
    if found.packages.len() != list.packages.len() {
        return Err(Failure::new(format!(
            "{}: the list of crates is not what was put there",
            program.display()
        )));
    }
    Ok(())
}

fn list(name: &str, graphs: &Graphs) -> Result<VersionInfo, Failure> {
    let graph = &graphs.programs[name];
    let places: BTreeMap<&Id, usize> = graph.keys().enumerate().map(|(place, id)| (id, place)).collect();
    let mut packages = Vec::new();
    for (id, below) in graph {
        let version = semver::Version::parse(&id.1).during(|| format!("the version of {}", id.0))?;
        packages.push(Package {
            name: id.0.clone(),
            version,
            source: if graphs.crates[id].checksum.is_some() { Source::CratesIo } else { Source::Local },
            kind: DependencyKind::Runtime,
            dependencies: below.iter().filter_map(|id| places.get(id).copied()).collect(),
            root: id.0 == name,
        });
    }
    Ok(VersionInfo { packages, format: 0 })
}
