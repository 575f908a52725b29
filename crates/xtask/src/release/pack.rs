//! Packs of a laid-out tree: the same tree gives the same bytes. Names are sorted, owners are 0, times are the
//! commit's.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, GzBuilder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

use super::Source;
use crate::{
    failure::{During as _, Failure},
    process::output_of,
};

const CONTROL: &str = include_str!("../../../../packaging/debian/control");
const AFTER_INSTALLATION: &str = include_str!("../../../../packaging/debian/postinst");

/// Debian's name of the architecture.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// Something in the tree, by its path from the root.
pub(super) struct File {
    name: String,
    content: Content,
}

enum Content {
    Folder,
    Link(PathBuf),
    Bytes { path: PathBuf, executable: bool },
}

/// What is in the tree, sorted; a folder stands before what is in it.
pub(super) fn files(root: &Path) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in fs::read_dir(&path).during(|| path.display().to_string())? {
            let entry = entry.during(|| path.display().to_string())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let metadata = entry.metadata().during(|| entry.path().display().to_string())?;
            let content = if metadata.is_dir() {
                folders.push(name.clone());
                Content::Folder
            } else if metadata.is_symlink() {
                Content::Link(fs::read_link(entry.path()).during(|| name.clone())?)
            } else {
                Content::Bytes { path: entry.path(), executable: metadata.permissions().mode() & 0o100 != 0 }
            };
            files.push(File { name, content });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// A `.tar.zst` of the files, each with `prefix` before its name.
pub(super) fn tar_zst(to: &Path, files: &[File], prefix: &str, source: &Source) -> Result<(), Failure> {
    let tar = archive(files, prefix, source.epoch_s).during(|| to.display().to_string())?;
    super::write(to, &compress_to_vec(tar.as_slice(), CompressionLevel::Fastest))
}

/// The name of the Debian package's file.
pub(super) fn deb_name(source: &Source) -> String {
    format!("cloister_{}_{ARCHITECTURE}.deb", source.version)
}

/// A Debian package of the files: an `ar` of a format's number and two compressed tars.
pub(super) fn deb(to: &Path, files: &[File], source: &Source) -> Result<(), Failure> {
    let during = || to.display().to_string();
    let libc = output_of(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let libc =
        libc.trim().strip_prefix("glibc ").ok_or_else(|| Failure::new("the system's libc is not glibc"))?;
    let mut bytes_total = 0;
    for file in files {
        if let Content::Bytes { path, .. } = &file.content {
            bytes_total += fs::metadata(path).during(|| path.display().to_string())?.len();
        }
    }
    let control = CONTROL
        .replace("@VERSION@", &source.version)
        .replace("@ARCHITECTURE@", ARCHITECTURE)
        .replace("@LIBC@", libc)
        .replace("@KIB@", &bytes_total.div_ceil(1024).to_string());
    let data = archive(files, "./", source.epoch_s).during(during)?;
    let mut tar = Builder::new(Vec::new());
    for (name, text, mode) in [("./control", &*control, 0o644), ("./postinst", AFTER_INSTALLATION, 0o755)] {
        let mut header = header(EntryType::Regular, mode, source.epoch_s);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).during(during)?;
    }
    let control = tar.into_inner().during(during)?;
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", compressed(&control).during(during)?),
        ("data.tar.gz", compressed(&data).during(during)?),
    ];
    let mut package = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let (epoch_s, length) = (source.epoch_s, bytes.len());
        package.extend(format!("{name:<16}{epoch_s:<12}0     0     100644  {length:<10}`\n").into_bytes());
        package.extend(&bytes);
        // Members begin at even places.
        if !length.is_multiple_of(2) {
            package.push(b'\n');
        }
    }
    super::write(to, &package)
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // Without a name and without a time.
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn archive(files: &[File], prefix: &str, epoch_s: u64) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for File { name, content } in files {
        let name = format!("{prefix}{name}");
        match content {
            Content::Folder => {
                let mut header = header(EntryType::Directory, 0o755, epoch_s);
                tar.append_data(&mut header, format!("{name}/"), io::empty())?;
            }
            Content::Link(target) => {
                let mut header = header(EntryType::Symlink, 0o777, epoch_s);
                tar.append_link(&mut header, name, target)?;
            }
            Content::Bytes { path, executable } => {
                let bytes = fs::read(path)?;
                let mut header = header(EntryType::Regular, if *executable { 0o755 } else { 0o644 }, epoch_s);
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, name, bytes.as_slice())?;
            }
        }
    }
    tar.into_inner()
}

fn header(kind: EntryType, mode: u32, epoch_s: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch_s);
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::process::run_quietly;

    /// Files laid out in this order, with a mode that is not theirs in the pack.
    fn laid_out(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            super::super::write(&folder.path().join(name), name.as_bytes()).unwrap();
        }
        let program = folder.path().join("usr/lib/b");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
        symlink("../lib/b", folder.path().join("usr/bin/b")).unwrap();
        folder
    }

    #[test]
    fn the_same_tree_gives_the_same_packs_and_others_can_read_them() {
        let long = format!("usr/share/{}/{}", "n".repeat(80), "m".repeat(80));
        let names = ["usr/lib/b", "usr/lib/a", long.as_str()];
        let source = Source { version: "1.2.3".into(), epoch_s: 1_700_000_000 };
        let mut made = Vec::new();
        for round in 0..2 {
            let mut names = names;
            if round == 1 {
                names.reverse();
            }
            let folder = laid_out(&names);
            let out = tempfile::tempdir().unwrap();
            let (tar, deb) = (out.path().join("x.tar.zst"), out.path().join("x.deb"));
            let files = files(folder.path()).unwrap();
            tar_zst(&tar, &files, "x/", &source).unwrap();
            super::deb(&deb, &files, &source).unwrap();
            made.push((fs::read(&tar).unwrap(), fs::read(&deb).unwrap()));
            if round == 1 {
                let said = output_of(Command::new("dpkg-deb").args(["--field"]).arg(&deb)).unwrap();
                assert!(said.contains("Package: cloister\nVersion: 1.2.3\n"), "{said}");
                let unpacked = out.path().join("unpacked");
                run_quietly(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&unpacked)).unwrap();
                let listed = output_of(Command::new("dpkg-deb").arg("--contents").arg(&deb)).unwrap();
                assert!(
                    listed.contains("-rwxr-xr-x root/root") || listed.contains("-rwxr-xr-x 0/0"),
                    "{listed}"
                );
                for name in names {
                    assert_eq!(fs::read(unpacked.join(name)).unwrap(), name.as_bytes());
                }
                assert_eq!(fs::read(unpacked.join("usr/bin/b")).unwrap(), b"usr/lib/b");
            }
        }
        assert!(made[0] == made[1], "the packs differ");
        let (tar, _) = &made[0];
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(tar.as_slice()).unwrap();
        let mut read = tar::Archive::new(&mut decoder);
        let names: Vec<String> = read
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert!(
            names.contains(&"x/usr/lib/b".to_owned()) && names.contains(&format!("x/{long}")),
            "{names:?}"
        );
    }
}
