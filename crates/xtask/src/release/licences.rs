//! The texts of every licence that the release is under, from the sources of what is in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{graph::Graphs, native::Component};
use crate::failure::{During as _, Failure};

/// How the names of files that hold licences begin, in capitals.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE", "NOTICE"];
/// A longer file is none.
const BYTES_MAX: u64 = 1 << 20;

/// All of it, and how many things came without a text.
pub(super) struct Licences {
    pub(super) text: String,
    pub(super) things: usize,
    pub(super) missing: usize,
}

/// Collects them. What has no text in its sources is named with what it states.
pub(super) fn collect(graphs: &Graphs, components: &[Component]) -> Result<Licences, Failure> {
    // Many crates have the same text: each once, with all that it is of.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut overview = String::new();
    let mut things = 0;
    let mut add = |name: String, stated: &str, files: Vec<PathBuf>| -> Result<(), Failure> {
        things += 1;
        overview.push_str(&format!("{name}: {stated}\n"));
        if files.is_empty() {
            missing.push(format!("{name}: {stated}\n"));
        }
        for file in files {
            let bytes = fs::read(&file).during(|| file.display().to_string())?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            let text: Vec<&str> = text.lines().map(str::trim_end).collect();
            texts.entry(text.join("\n").trim().to_owned()).or_default().push(name.clone());
        }
        Ok(())
    };
    for id in graphs.all() {
        let known = &graphs.crates[id];
        // Our own is the release's.
        if known.checksum.is_none() {
            continue;
        }
        let mut files = files(&known.folder)?;
        let stated = known.licence_file.clone().filter(|file| file.is_file() && !files.contains(file));
        files.extend(stated);
        add(format!("{} {}", id.0, id.1), known.licence.as_deref().unwrap_or("no licence stated"), files)?;
    }
    for component in components {
        let files = component.texts.iter().filter(|file| file.is_file()).cloned().collect();
        add(format!("{} {}", component.name, component.version), &component.licence, files)?;
    }

    let count = missing.len();
    let mut text = format!(
        "What Cloister is made of beside its own sources, and under which licences: {things} things.\n\n"
    );
    text.push_str(&overview);
    text.push_str(&format!(
        "\nWithout a text in their sources, so only by the licence's SPDX name: {count}\n\n"
    ));
    missing.iter().for_each(|line| text.push_str(line));
    for (licence, mut of) in texts {
        of.dedup();
        text.push_str(&format!("\n{}\n{}\n\n{licence}\n", "=".repeat(78), of.join(", ")));
    }
    Ok(Licences { text, things, missing: count })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).during(|| folder.display().to_string())? {
        let entry = entry.during(|| folder.display().to_string())?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let metadata = entry.metadata().during(|| entry.path().display().to_string())?;
        // A folder `licenses` holds the texts themselves.
        if metadata.is_dir() && ["LICENSES", "LICENCES"].contains(&name.as_str()) {
            let inside = fs::read_dir(entry.path()).during(|| entry.path().display().to_string())?;
            files.extend(inside.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
        } else if metadata.is_file()
            && metadata.len() <= BYTES_MAX
            && NAMES.iter().any(|begin| name.starts_with(begin))
            && !name.ends_with(".RS")
        {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::release::graph::Crate;

    #[test]
    fn texts_stand_once_and_missing_ones_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut graphs = Graphs { crates: BTreeMap::new(), programs: BTreeMap::new() };
        let program = graphs.programs.entry("cloister").or_default();
        for (name, text) in
            [("a", Some("Do as you like.\r\n")), ("b", Some("Do as you like.\n")), ("c", None)]
        {
            let place = folder.path().join(name);
            fs::create_dir_all(&place).unwrap();
            if let Some(text) = text {
                crate::release::write(&place.join("LICENSE-MIT"), text.as_bytes()).unwrap();
            }
            let id = (name.to_owned(), "1.0.0".to_owned());
            program.insert(id.clone(), BTreeSet::new());
            let known = Crate {
                licence: Some("MIT".into()),
                folder: place,
                licence_file: None,
                checksum: Some("00".into()),
            };
            graphs.crates.insert(id, known);
        }
        let licences = collect(&graphs, &[]).unwrap();
        assert_eq!((licences.things, licences.missing), (3, 1));
        assert_eq!(licences.text.matches("Do as you like.").count(), 1);
        assert!(licences.text.contains("\na 1.0.0, b 1.0.0\n"), "{}", licences.text);
        assert!(licences.text.contains("SPDX name: 1\n\nc 1.0.0: MIT\n"), "{}", licences.text);
    }
}
