use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use models::vault::{ImportError, ImportOptions, Lock, Vault, VaultError};
use protocol::Digest;

use crate::builder::Builder;

struct Fixture {
    directory: tempfile::TempDir,
    vault: Vault,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::open(&directory.path().join("models")).unwrap();
    Fixture { directory, vault }
}

impl Fixture {
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        use std::io::Write;
        let path = self.directory.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }
}

fn options() -> ImportOptions {
    ImportOptions::new(Digest([1; 32]))
}

#[test]
fn imported_locked_verified() {
    let fixture = fixture();
    let path = fixture.file("m.gguf", &Builder::valid().bytes());
    let mut last = (0, 0);
    let deployment =
        fixture.vault.import(&path, "tiny", &options(), &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(last.0, last.1);
    assert_eq!(deployment.context_tokens, 512, "no more than the model was trained for");
    assert_eq!(fixture.vault.list().unwrap(), [Lock::Model(deployment.clone())]);
    assert_eq!(fixture.vault.verify("tiny", &mut |_, _| {}).unwrap(), deployment);
    let blob = fixture.vault.blob_path(&deployment.model);
    assert_eq!(std::fs::metadata(&blob).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(matches!(
        fixture.vault.import(&path, "tiny", &options(), &mut |_, _| {}),
        Err(ImportError::Taken(_))
    ));
    fixture.vault.import(&path, "again", &options(), &mut |_, _| {}).unwrap();
    let relocked = models::vault::Deployment { engine_build: Digest([2; 32]), ..deployment.clone() };
    assert_eq!(fixture.vault.relock("tiny", Digest([2; 32])).unwrap(), Lock::Model(relocked));
    fixture.vault.remove("tiny").unwrap();
    assert!(matches!(fixture.vault.get("tiny"), Err(VaultError::Missing(_))));
    assert!(blob.exists());
}

#[test]
fn an_upstream_is_locked_without_a_model() {
    let fixture = fixture();
    let vault = &fixture.vault;
    let new = |alias: &str, socket: &str| {
        vault.upstream(alias, std::path::Path::new(socket), Some("Coder 32B".to_owned()), Digest([1; 32]))
    };
    for socket in ["relative.sock", "/with\u{1b}[31m", ""] {
        assert!(matches!(new("cluster", socket), Err(ImportError::Options(_))), "{socket:?}");
    }
    let upstream = new("cluster", "/run/llama/s.sock").unwrap();
    assert!(vault.list().unwrap().is_empty(), "not before it is added");
    vault.add(&upstream).unwrap();
    assert_eq!(vault.list().unwrap(), [Lock::Upstream(upstream.clone())]);
    assert!(matches!(new("cluster", "/run/other.sock"), Err(ImportError::Taken(_))));
    assert!(matches!(vault.verify("cluster", &mut |_, _| {}), Err(VaultError::NoModel(_))));
    let relocked = models::vault::Upstream { relay_build: Digest([2; 32]), ..upstream };
    assert_eq!(vault.relock("cluster", Digest([2; 32])).unwrap(), Lock::Upstream(relocked));
    vault.remove("cluster").unwrap();
    assert!(vault.list().unwrap().is_empty());
}

#[test]
fn one_flipped_byte_is_found() {
    let fixture = fixture();
    let bytes = Builder::valid().bytes();
    let path = fixture.file("m.gguf", &bytes);
    let deployment = fixture.vault.import(&path, "tiny", &options(), &mut |_, _| {}).unwrap();
    let blob = fixture.vault.blob_path(&deployment.model);
    std::fs::remove_file(&blob).unwrap();
    let mut flipped = bytes;
    *flipped.last_mut().unwrap() ^= 1;
    let changed = fixture.file("changed", &flipped);
    std::fs::rename(changed, &blob).unwrap();
    assert!(matches!(fixture.vault.verify("tiny", &mut |_, _| {}), Err(VaultError::Changed { .. })));
}

#[test]
fn names_cannot_drive_a_terminal() {
    let fixture = fixture();
    let hostile = Builder::valid().with("general.name", crate::builder::string("\u{1b}]0;x\u{7}name\n"));
    let path = fixture.file("m.gguf", &hostile.bytes());
    let name = fixture.vault.import(&path, "tiny", &options(), &mut |_, _| {}).unwrap().model_name;
    assert_eq!(name, "\u{fffd}]0;x\u{fffd}name\u{fffd}");
    let error = fixture.vault.get("\u{1b}[31m").unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn a_source_that_changes_while_it_is_copied() {
    let fixture = fixture();
    let valid = Builder::valid().bytes();
    // Longer than one chunk, so that the change comes between two.
    let path = fixture.file("m.gguf", &[valid.clone(), vec![0; 3 << 20]].concat());
    let mut chunks = 0;
    let result = fixture.vault.import(&path, "tiny", &options(), &mut |_, _| {
        chunks += 1;
        if chunks == 1 {
            std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        }
    });
    // What was copied is what is locked, whatever the original was or became.
    let deployment = result.unwrap();
    let blob = fixture.vault.blob_path(&deployment.model);
    assert_eq!(std::fs::metadata(blob).unwrap().len(), deployment.model_bytes);
    fixture.vault.verify("tiny", &mut |_, _| {}).unwrap();
}

#[test]
fn refused() {
    let fixture = fixture();
    let path = fixture.file("m.gguf", &Builder::valid().bytes());
    let link = fixture.directory.path().join("link.gguf");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let import =
        |path: &std::path::Path, alias: &str| fixture.vault.import(path, alias, &options(), &mut |_, _| {});
    assert!(matches!(import(&link, "tiny"), Err(ImportError::NotAFile(_))));
    assert!(matches!(import(fixture.directory.path(), "tiny"), Err(ImportError::NotAFile(_))));
    for alias in ["", "../x", "A", "a/b", ".a", "-a", &"x".repeat(65)] {
        assert!(matches!(import(&path, alias), Err(ImportError::Alias(_))), "{alias}");
    }
    let damaged = fixture.file("damaged.gguf", b"GGUF but not really");
    assert!(matches!(import(&damaged, "tiny"), Err(ImportError::Header(..))));
    assert_eq!(std::fs::read_dir(fixture.directory.path().join("models/blobs")).unwrap().count(), 0);
    let wrong = ImportOptions { slots: 0, ..options() };
    assert!(matches!(
        fixture.vault.import(&path, "tiny", &wrong, &mut |_, _| {}),
        Err(ImportError::Options(_))
    ));
    // A lock under another name, or with a key nobody knows.
    import(&path, "tiny").unwrap();
    let locks = fixture.directory.path().join("models/deployments");
    std::fs::copy(locks.join("tiny.json"), locks.join("other.json")).unwrap();
    assert!(matches!(fixture.vault.get("other"), Err(VaultError::Mismatch { .. })));
    let text = std::fs::read_to_string(locks.join("tiny.json")).unwrap().replace("\"slots\"", "\"slot\"");
    fixture.file("models/deployments/tiny.json", text.as_bytes());
    assert!(matches!(fixture.vault.get("tiny"), Err(VaultError::Lock(..))));
}
