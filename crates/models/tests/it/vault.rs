use std::os::unix::fs::PermissionsExt;

use models::deployment::{Lock, SCHEMA, Upstream};
use models::vault::{Proven, VaultError};
use protocol::Digest;

use crate::lab::{Lab, digest, put};

fn lock() -> Lock {
    Lock::Upstream(Upstream {
        schema: SCHEMA,
        alias: "cluster".parse().unwrap(),
        upstream: "/run/llama.sock".to_owned(),
        model_stated: None,
        relay_build: Digest([1; 32]),
        labels: Vec::new(),
    })
}

#[test]
fn locks_are_kept_by_their_digests() {
    let lab = Lab::new();
    let lock = lock();
    assert!(matches!(lab.vault.lock(&lock.digest()), Err(VaultError::NoLock(_))));
    lab.vault.put_lock(&lock).unwrap();
    lab.vault.put_lock(&lock).unwrap();
    assert_eq!(lab.vault.lock(&lock.digest()).unwrap(), lock);
    let path = lab.path("models/locks").join(format!("{}.json", lock.digest().hex()));
    put(&path, lock.text().replace("llama", "other").as_bytes());
    assert!(matches!(lab.vault.lock(&lock.digest()), Err(VaultError::Changed { .. })));
}

#[test]
fn proofs_are_kept_beside_what_they_prove() {
    let lab = Lab::new();
    let (promotion, deployment) = (Proven::Promotion(Digest([1; 32])), Proven::Deployment(Digest([1; 32])));
    lab.vault.put_proof(promotion, "a proof\n").unwrap();
    assert_eq!(lab.vault.proof(promotion).unwrap(), "a proof\n");
    assert!(matches!(lab.vault.proof(deployment), Err(VaultError::NoProof(_))));
}

#[test]
fn programs_are_kept_by_their_digests() {
    let lab = Lab::new();
    let kept = lab.vault.keep(&mut &b"a program"[..]).unwrap();
    assert_eq!(kept, digest(b"a program"));
    let path = lab.vault.blob_path(&kept);
    assert_eq!(std::fs::read(&path).unwrap(), b"a program");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    let broken = lab.vault.keep(&mut Broken);
    assert!(matches!(broken, Err(VaultError::Io { .. })));
    assert_eq!(std::fs::read_dir(lab.path("models/blobs")).unwrap().count(), 1, "nothing half is left");
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("a broken medium"))
    }
}
