use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::models::media::SIGNATURE_NAME;

use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Lays a bundle's files out as the publisher's tree, with the signature as model.sig
///
/// So the reference implementation can check it: `model_signing verify key DIR --signature DIR/model.sig
/// --public_key PUB.pem`. Every file's digest is compared with the manifest; the signature is not verified.
#[derive(clap::Args)]
pub(crate) struct Unpack {
    /// The bundle
    #[arg(value_name = "MEDIA")]
    media: PathBuf,
    /// The folder to lay it out in, which must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Unpack {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let medium = super::open(&self.media)?;
        let absent: Vec<&str> = medium
            .entries
            .iter()
            .filter(|entry| !medium.has(entry))
            .map(|entry| entry.name.as_str())
            .collect();
        if let Some(first) = absent.first() {
            let what = format!("{} files, such as {first}, are not on this medium", absent.len());
            return Err(
                Failure::refused(what).hint("Unpack a bundle that was packed without --base and --known.")
            );
        }
        let cannot = |intent: &str, path: &Path, error: &std::io::Error| Failure::file(intent, path, error);
        fs::create_dir_all(&self.out).map_err(|error| cannot("cannot make", &self.out, &error))?;
        let mut there = fs::read_dir(&self.out).map_err(|error| cannot("cannot read", &self.out, &error))?;
        if there.next().is_some() {
            return Err(Failure::usage(format!("{} is not empty", self.out.display())));
        }
        let bar = super::bar(&session.output);
        bar.set_length(medium.bytes().0);
        for entry in &medium.entries {
            // Names of a medium were checked: relative, and none a folder of another.
            let path = self.out.join(&entry.name);
            let folder = path.parent().unwrap_or(&self.out);
            DirBuilder::new()
                .recursive(true)
                .create(folder)
                .map_err(|error| cannot("cannot make", folder, &error))?;
            let mut target =
                File::create_new(&path).map_err(|error| cannot("cannot write", &path, &error))?;
            let found = medium.read(entry, &mut |chunk| {
                bar.inc(chunk.len() as u64);
                target.write_all(chunk)
            });
            let found = found.map_err(|error| {
                Failure::refused(format!("{} cannot be unpacked", entry.name)).caused_by(&error)
            })?;
            if found != entry.expected {
                drop(fs::remove_file(&path));
                return Err(Failure::refused(format!("{} is not what the manifest says", entry.name))
                    .hint("Copy the medium again."));
            }
        }
        bar.finish_and_clear();
        if let Some(signed) = &medium.signature {
            file::write(&self.out.join(SIGNATURE_NAME), &signed.bytes)?;
        }
        session.output.say(format!("{} files in {}", medium.entries.len() + 1, self.out.display()));
        Ok(ExitCode::SUCCESS)
    }
}
