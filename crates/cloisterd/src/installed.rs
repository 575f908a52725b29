//! Whether the programs that are about to serve are those that a release installed.

use std::error::Error;
use std::path::Path;

use installation::{Installation, State};
use oms::Trust;

use crate::file;
use crate::output::Hinted;
use crate::settings::Settings;

/// What serves. The worker and the relay are what deployments' locks pin, too: this one says it before.
const PROGRAMS: [&str; 3] = ["cloisterd", "cloister-engine", "cloister-relay"];
/// Bytes of a public key.
const KEY_BYTES_MAX: usize = 1 << 16;

const HINT: &str =
    "`cloister self verify` names every difference; install the release again (docs/release.md)";

/// Compares the programs beside this one, and itself, with the list that the release brought. Where this was not
/// installed from a release there is nothing to compare with, which the configuration can forbid (`release.key`).
pub(crate) fn check(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    check_program(&program, settings.release.key.as_deref())
}

fn check_program(program: &Path, key: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let installation = Installation::of_program(program)
        .map_err(|error| Hinted::new("the installation cannot be verified", HINT).because(error))?;
    let Some(installation) = installation else {
        return match key {
            None => Ok(()),
            Some(_) => Err(Hinted::new(
                format!(
                    "{} was not installed from a release, and release.key demands one",
                    program.display()
                ),
                "install a signed release, or take release.key out of cloister.toml",
            )
            .into()),
        };
    };
    if let Some(path) = key {
        let mut trust = Trust::new();
        trust.add_key("release.key", &file::read(path, KEY_BYTES_MAX)?)?;
        installation.signature().verify(&trust, ledger::system_clock()() / 1000).map_err(|error| {
            Hinted::new("the installed release is not signed by the key of release.key", HINT).because(error)
        })?;
    }
    let checked = installation
        .check_programs(&PROGRAMS)
        .map_err(|error| Hinted::new("the installation cannot be verified", HINT).because(error))?;
    let wrong = checked.iter().filter(|file| file.state != State::Right);
    let wrong: Vec<String> = wrong.map(|file| format!("{} is {}", file.name, file.state.word())).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Hinted::new(format!("not as {} was released: {}", installation.name(), wrong.join(", ")), HINT)
        .into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_changed_does_not_serve() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let place = |name: &str| root.join("usr/lib/cloister").join(name);
        let write = |name: &str, bytes: &[u8]| File::create(place(name)).unwrap().write_all(bytes).unwrap();
        fs::create_dir_all(place("")).unwrap();
        PROGRAMS.iter().for_each(|name| write(name, name.as_bytes()));
        let program = place("cloisterd");
        check_program(&program, None).unwrap();
        let key = root.join("key.pem");
        let words = check_program(&program, Some(&key)).unwrap_err().to_string();
        assert!(words.contains("not installed from a release"), "{words}");

        let manifest = installation::manifest_of(root, "cloister 1.0").unwrap();
        write("manifest.dsse", &oms::unsigned(&manifest));
        check_program(&program, None).unwrap();
        // P-256's own generator, which is a point like another.
        let point = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP\n\
                     40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==";
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{point}\n-----END PUBLIC KEY-----\n");
        File::create(&key).unwrap().write_all(pem.as_bytes()).unwrap();
        let words = check_program(&program, Some(&key)).unwrap_err().to_string();
        assert!(words.contains("not signed by the key"), "{words}");

        write("cloister-engine", b"another");
        fs::remove_file(place("cloister-relay")).unwrap();
        let words = check_program(&program, None).unwrap_err().to_string();
        assert!(
            words.contains("cloister-engine is changed") && words.contains("cloister-relay is missing"),
            "{words}"
        );
    }
}
