//! The key files: what opens them, and how one takes another's place.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use custody::{
    CREDENTIAL_BYTES_MIN, Custody, Derivation, KEY_BYTES, KEY_FILE_BYTES_MAX, KeyFile, Passphrase,
    SALT_BYTES, Sealed, SealingKey,
};
use zeroize::Zeroizing;

use crate::data::{DataError, io, sync_directory};
use crate::{settings, terminal};

pub(crate) const NOTARY: &str = "notary.key";
/// The notary's second key; a data directory from before there was one has none.
pub(crate) const NOTARY_ML_DSA: &str = "notary-mldsa.key";
pub(crate) const BODY: &str = "body.key";
pub(crate) const FINGERPRINT: &str = "fingerprint.key";
/// The body key that a change is about to bring.
pub(crate) const BODY_NEW: &str = "body.key.new";

/// All keys of a data directory.
pub(crate) const NAMES: [&str; 4] = [NOTARY, NOTARY_ML_DSA, BODY, FINGERPRINT];

/// A file that is being written.
const WRITING: &str = "tmp";
/// A key that another one has taken the place of.
const OLD_KEY: &str = "old";
/// The same key in the form that it had.
const OLD_FORM: &str = "before";

/// A passphrase or a credential.
const SECRET_BYTES_MAX: u64 = 64 << 10;
const PASSPHRASE_CHARACTERS_MIN: usize = 12;

/// How far a change of key files has come. Tests end it at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The ledger says that it will be done.
    Recorded,
    /// The new key lies beside the old one.
    Made,
    /// Nothing that the old key wrapped is in the write-ahead log.
    Settled,
    /// Nothing that the old key wrapped is in the ledger.
    Rewrapped,
    /// The old file has a second name.
    Linked,
    /// The new file has the old one's name.
    Replaced,
    /// The old file is gone.
    Destroyed,
}

/// Is told of each step; an error ends the change there.
pub(crate) type Reached<'a> = &'a mut dyn FnMut(Step) -> Result<(), Box<dyn Error>>;

type Secret = Zeroizing<Vec<u8>>;

/// What opens key files. It asks once for each secret, derives once for each salt, and forgets all of it when
/// it is dropped.
pub(crate) struct Opener {
    passphrases: Vec<Secret>,
    asked: bool,
    credential: Vec<Secret>,
    derived: Vec<(Secret, SealingKey)>,
}

impl Opener {
    pub(crate) fn new() -> Opener {
        Opener { passphrases: Vec::new(), asked: false, credential: Vec::new(), derived: Vec::new() }
    }

    /// Besides, tries this one: some files may be sealed anew already.
    pub(crate) fn also_try(&mut self, passphrase: &Secret) {
        self.passphrases.push(passphrase.clone());
    }

    /// The key of a file.
    pub(crate) fn open(
        &mut self,
        file: &KeyFile,
        path: &Path,
        name: &str,
        origin: &str,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, DataError> {
        let sealed = match file {
            KeyFile::Clear(key) => return Ok(Zeroizing::new(*key.key())),
            KeyFile::Sealed(sealed) => sealed,
        };
        let custody = file.custody();
        // What is known already, before anybody is asked.
        let known = match custody {
            Custody::Passphrase => self.passphrases.clone(),
            _ => Vec::new(),
        };
        if let Some(key) = self.try_all(&known, sealed, name, origin)? {
            return Ok(key);
        }
        let secrets = match custody {
            Custody::Passphrase => self.asked_passphrase()?,
            Custody::Credential => self.credential()?,
            _ => return Err(DataError::UnknownCustody),
        };
        self.try_all(&secrets, sealed, name, origin)?.ok_or_else(|| match custody {
            Custody::Passphrase => DataError::WrongPassphrase(path.to_owned()),
            _ => DataError::WrongCredential(path.to_owned()),
        })
    }

    /// What a file is sealed by that was opened here; `None` for one in the clear.
    pub(crate) fn sealed_by(
        &self,
        file: &KeyFile,
        name: &str,
        origin: &str,
    ) -> Result<Option<&SealingKey>, DataError> {
        let KeyFile::Sealed(sealed) = file else { return Ok(None) };
        let opens = |key: &&SealingKey| {
            key.derivation() == sealed.derivation() && sealed.open(key, name, origin).is_ok()
        };
        let by = self.derived.iter().map(|(_, key)| key).find(opens);
        by.map(Some).ok_or(DataError::UnknownCustody)
    }

    fn try_all(
        &mut self,
        secrets: &[Secret],
        sealed: &Sealed,
        name: &str,
        origin: &str,
    ) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, DataError> {
        for secret in secrets {
            let derivation = sealed.derivation();
            let is_it = |(of, key): &&(Secret, SealingKey)| of == secret && key.derivation() == derivation;
            if self.derived.iter().find(is_it).is_none() {
                self.derived.push((secret.clone(), SealingKey::derive(secret, derivation)?));
            }
            let opened = self.derived.iter().find(is_it).map(|(_, key)| sealed.open(key, name, origin));
            if let Some(Ok(key)) = opened {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// The passphrase of the file that the command or the environment names, or a person's; once.
    fn asked_passphrase(&mut self) -> Result<Vec<Secret>, DataError> {
        if self.asked {
            return Ok(Vec::new());
        }
        self.asked = true;
        let passphrase = match settings::passphrase_file() {
            Some(path) => passphrase_of(&path)?,
            None => terminal::ask("Passphrase of the keys")?,
        };
        self.passphrases.push(passphrase.clone());
        Ok(vec![passphrase])
    }

    fn credential(&mut self) -> Result<Vec<Secret>, DataError> {
        if self.credential.is_empty() {
            self.credential.push(credential()?);
        }
        Ok(self.credential.clone())
    }
}

/// A key from the system's randomness.
pub(crate) fn random_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, DataError> {
    Ok(Zeroizing::new(random()?))
}

fn random<const N: usize>() -> Result<[u8; N], DataError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| DataError::Randomness(error.into()))?;
    Ok(bytes)
}

/// What seals by a new passphrase.
pub(crate) fn by_passphrase(passphrase: &Secret) -> Result<SealingKey, DataError> {
    let salt: [u8; SALT_BYTES] = random()?;
    Ok(SealingKey::derive(passphrase, Derivation::Passphrase { cost: Passphrase::NEW, salt })?)
}

/// What seals by the credential of this process.
pub(crate) fn by_credential() -> Result<SealingKey, DataError> {
    Ok(SealingKey::derive(&credential()?, Derivation::Credential { salt: random()? })?)
}

/// A new passphrase: of a file, or twice from a person.
pub(crate) fn new_passphrase(file: Option<&Path>) -> Result<Secret, DataError> {
    let passphrase = match file {
        Some(path) => passphrase_of(path)?,
        None => {
            let once = terminal::ask("New passphrase of the keys")?;
            if once != terminal::ask("The same again")? {
                return Err(DataError::Differ);
            }
            once
        }
    };
    let characters = String::from_utf8_lossy(&passphrase).chars().count();
    if characters < PASSPHRASE_CHARACTERS_MIN {
        return Err(DataError::WeakPassphrase(PASSPHRASE_CHARACTERS_MIN));
    }
    Ok(passphrase)
}

/// The first line's worth of a file: without the line end that editors leave.
fn passphrase_of(path: &Path) -> Result<Secret, DataError> {
    let mut passphrase = secret(path, true)?;
    if passphrase.last() == Some(&b'\n') {
        passphrase.pop();
        if passphrase.last() == Some(&b'\r') {
            passphrase.pop();
        }
    }
    Ok(passphrase)
}

/// The service manager keeps others from it, by rights that modes do not show.
fn credential() -> Result<Secret, DataError> {
    let path = settings::credential_file().ok_or(DataError::NoCredential)?;
    let credential = match secret(&path, false) {
        Err(DataError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::NoCredential);
        }
        read => read?,
    };
    if credential.len() < CREDENTIAL_BYTES_MIN {
        return Err(custody::DeriveError::Short.into());
    }
    Ok(credential)
}

fn secret(path: &Path, own: bool) -> Result<Secret, DataError> {
    let unreadable = |e| io(path, "cannot be read", e);
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // A pipe is of whoever made it.
    if own && metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(DataError::Exposed(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        let long = std::io::Error::new(std::io::ErrorKind::FileTooLarge, "longer than 64 KiB");
        return Err(unreadable(long));
    }
    Ok(bytes)
}

/// Reads a key file; refused when others can read it.
pub(crate) fn read(path: &Path) -> Result<KeyFile, DataError> {
    let unreadable = |e| io(path, "cannot be read", e);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & 0o077 != 0 {
        return Err(DataError::Exposed(path.to_owned()));
    }
    parse(path, file)
}

/// Reads a key file, whoever else can.
pub(crate) fn read_exposed(path: &Path) -> Result<KeyFile, DataError> {
    parse(path, File::open(path).map_err(|e| io(path, "cannot be read", e))?)
}

fn parse(path: &Path, file: File) -> Result<KeyFile, DataError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    let limit = KEY_FILE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|e| io(path, "cannot be read", e))?;
    KeyFile::parse(&bytes).map_err(|error| DataError::NotAKey(path.to_owned(), error))
}

/// A key file's bytes.
pub(crate) fn encoded(
    key: &[u8; KEY_BYTES],
    name: &str,
    origin: &str,
    by: Option<&SealingKey>,
) -> Result<Secret, DataError> {
    Ok(Zeroizing::new(match by {
        Some(by) => Sealed::new(key, by, name, origin, random()?).to_bytes(),
        None => key.to_vec(),
    }))
}

/// Writes a file that does not exist, for its owner alone, and makes its bytes durable.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| io(path, "cannot be written", e))
}

/// Writes a key file whole or not at all, where none is.
pub(crate) fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), DataError> {
    let (path, writing) = (directory.join(name), directory.join(format!("{name}.{WRITING}")));
    destroy(&writing)?;
    write_new(&writing, bytes)?;
    std::fs::rename(&writing, &path).map_err(|e| io(&path, "cannot be written", e))?;
    sync_directory(directory)
}

/// Puts a key file's new form in its place and destroys the old one. At any moment a whole file has its name.
pub(crate) fn exchange(
    directory: &Path,
    name: &str,
    bytes: &[u8],
    reached: Reached<'_>,
) -> Result<(), Box<dyn Error>> {
    let writing = format!("{name}.{WRITING}");
    clear_away(directory, name)?;
    write_new(&directory.join(&writing), bytes)?;
    replace(directory, name, &writing, OLD_FORM, reached)
}

/// Puts the key that lies there under the name `new` in a key's place, and destroys that key.
pub(crate) fn replace_key(
    directory: &Path,
    name: &str,
    new: &str,
    reached: Reached<'_>,
) -> Result<(), Box<dyn Error>> {
    replace(directory, name, new, OLD_KEY, reached)
}

fn replace(
    directory: &Path,
    name: &str,
    new: &str,
    end: &str,
    reached: Reached<'_>,
) -> Result<(), Box<dyn Error>> {
    let (path, old) = (directory.join(name), directory.join(format!("{name}.{end}")));
    std::fs::hard_link(&path, &old).map_err(|e| io(&old, "cannot be made", e))?;
    sync_directory(directory)?;
    reached(Step::Linked)?;
    std::fs::rename(directory.join(new), &path).map_err(|e| io(&path, "cannot be replaced", e))?;
    sync_directory(directory)?;
    reached(Step::Replaced)?;
    destroy(&old)?;
    sync_directory(directory)?;
    reached(Step::Destroyed)
}

/// Does away with what an interrupted change of a key file left. Whether an old key was among it that another
/// one has taken the place of.
pub(crate) fn clear_away(directory: &Path, name: &str) -> Result<bool, DataError> {
    destroy(&directory.join(format!("{name}.{WRITING}")))?;
    clear_old(directory, name, OLD_FORM)?;
    clear_old(directory, name, OLD_KEY)
}

fn clear_old(directory: &Path, name: &str, end: &str) -> Result<bool, DataError> {
    let (path, old) = (directory.join(name), directory.join(format!("{name}.{end}")));
    let file = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let Ok(old_file) = file(&old) else { return Ok(false) };
    // Before the exchange, both names are of the file that is in use: that one must stay.
    let is_in_use = file(&path).map_err(|e| io(&path, "cannot be read", e))? == old_file;
    if is_in_use {
        std::fs::remove_file(&old).map_err(|e| io(&old, "cannot be removed", e))?;
    } else {
        destroy(&old)?;
    }
    sync_directory(directory)?;
    Ok(!is_in_use)
}

/// Names of files that an interrupted change left.
pub(crate) fn unfinished(directory: &Path) -> Vec<String> {
    let left = |name: &str| [WRITING, OLD_FORM, OLD_KEY].map(|end| format!("{name}.{end}"));
    let names = NAMES.into_iter().chain([BODY_NEW]);
    let names = names.flat_map(left).chain([BODY_NEW.to_owned()]);
    names.filter(|name| directory.join(name).exists()).collect()
}

/// Overwrites a file with zeros before its name goes; nothing where there is none. Some disks and file systems
/// keep what was overwritten: docs/keys.md.
fn destroy(path: &Path) -> Result<(), DataError> {
    let file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(|e| io(path, "cannot be opened", e))?,
    };
    let zeroed = file.metadata().and_then(|metadata| {
        let zeros = vec![0; usize::try_from(metadata.len().min(SECRET_BYTES_MAX)).unwrap_or_default()];
        (&file).write_all(&zeros)?;
        file.sync_all()?;
        std::fs::remove_file(path)
    });
    zeroed.map_err(|e| io(path, "cannot be destroyed", e))
}
