//! The site's policy on disk: a folder of Cedar files in the data directory, which the gateway reads and nobody but a command
//! of the owner's writes. Whether they are in force, the ledger says.

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use identity::{FILES_BYTES_MAX, FILES_MAX, PolicyFile, is_policy_file_name};

use crate::data::{self, Data};

/// Its name in the data directory.
pub(crate) const FOLDER: &str = "policy";
/// What files of policies end in.
const ENDING: &str = ".cedar";

/// Makes the folder where it is missing, so that a jail can be granted it.
pub(crate) fn make_folder(data: &Data) -> Result<(), Box<dyn Error>> {
    let folder = data.path(FOLDER);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?)
}

/// The files of a folder, by name; none where there is no folder. Other files are left alone.
pub(crate) fn read(folder: &Path) -> Result<Vec<PolicyFile>, String> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(cannot)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(ENDING) {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(format!("{} has more than {FILES_MAX} files", folder.display()));
        }
    }
    names.sort();
    let read = |name: String| {
        let text = crate::file::read_text(&folder.join(&name), FILES_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        Ok(PolicyFile { name, text })
    };
    names.into_iter().map(read).collect()
}

/// What somebody names: a folder of such files, or single ones.
pub(crate) fn named(paths: &[PathBuf]) -> Result<Vec<PolicyFile>, Box<dyn Error>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = read(path)?;
            if found.is_empty() {
                return Err(format!("{} has no file that ends in {ENDING}", path.display()).into());
            }
            files.extend(found);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(PolicyFile { name, text: crate::file::read_text(path, FILES_BYTES_MAX)? });
    }
    Ok(files)
}

/// Puts files in their place, each whole or not at all; those that there were before and are not among them go. In between,
/// the ledger and the folder differ, and nothing is answered.
pub(crate) fn install(data: &Data, files: &[PolicyFile]) -> Result<(), Box<dyn Error>> {
    make_folder(data)?;
    for PolicyFile { name, text } in files {
        if !is_policy_file_name(name) {
            return Err(format!("{} cannot be a file of policies", name.escape_debug()).into());
        }
        data.write(&format!("{FOLDER}/{name}"), text.as_bytes())?;
    }
    let folder = data.path(FOLDER);
    for old in read(&folder)? {
        if !files.iter().any(|file| file.name == old.name) {
            std::fs::remove_file(folder.join(&old.name))?;
        }
    }
    Ok(data::sync_directory(&folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_read_and_what_was_there_is_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let data = Data::create(&temporary.path().join("data"), "log", None).unwrap();
        assert_eq!(read(&data.path(FOLDER)), Ok(Vec::new()));
        let file = |name: &str, text: &str| PolicyFile { name: name.to_owned(), text: text.to_owned() };
        let first = [file("a.cedar", "1"), file("b.cedar", "2")];
        install(&data, &first).unwrap();
        assert_eq!(read(&data.path(FOLDER)).unwrap(), first);
        let second = [file("b.cedar", "3")];
        install(&data, &second).unwrap();
        assert_eq!(read(&data.path(FOLDER)).unwrap(), second);
        assert!(install(&data, &[file("../a.cedar", "")]).is_err());
        install(&data, &[]).unwrap();
        assert!(read(&data.path(FOLDER)).unwrap().is_empty());
    }
}
