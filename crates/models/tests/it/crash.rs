//! `kill -9` during imports: under a final name there is never anything but the right blob, and an import
//! that is run again comes to the same object.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use models::import::ImportPolicy;
use models::media::{self, Options};
use models::object::Object;
use models::vault::Vault;
use oms::Trust;
use rustix::process::{Pid, Signal};
use testkit::draw::Draw;

use crate::lab::{Hand, digest, weights};

/// Deaths in all.
const DEATHS: u32 = 50;
/// Deaths of one import, at most.
const DEATHS_OF_ONE: u64 = 4;
/// What the child is told: the folder, and at which call of the progress it ends itself (0: never).
const TOLD: &str = "CLOISTER_TEST_IMPORT_CRASH";

fn import(folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> Object {
    let vault = Vault::open(&folder.join("models")).unwrap();
    let medium = media::open(&folder.join("media"), &Options::default()).unwrap();
    let trust = Trust::new();
    let object = vault
        .stage(&medium, &ImportPolicy { trust: &trust, unsigned: true, now_unix_s: 0 }, progress)
        .unwrap();
    vault.put_object(&object).unwrap();
    object
}

/// The process that is killed; as a test of its own it does nothing.
#[test]
fn child() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let (folder, calls) = told.rsplit_once(' ').unwrap();
    let (dies_at, mut call): (u64, u64) = (calls.parse().unwrap(), 0);
    import(Path::new(folder), &mut |_, _| {
        call += 1;
        if call == dies_at {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, Signal::KILL).unwrap();
        }
    });
}

fn start(folder: &Path, dies_at: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--test-threads", "1"])
        .env(TOLD, format!("{} {dies_at}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every blob is what its name says, and no description lies there by halves.
fn check(folder: &Path, context: &str) {
    let vault = Vault::open(&folder.join("models")).unwrap();
    for entry in fs::read_dir(folder.join("models/blobs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = digest(&fs::read(&path).unwrap());
        assert_eq!(name, format!("sha256-{}", found.hex()), "{context}");
    }
    vault.objects().unwrap_or_else(|error| panic!("{context}: {error}"));
}

#[test]
fn fifty_deaths() {
    let mut draw = Draw::fresh("import crashes");
    let place = tempfile::tempdir().unwrap();
    let mut model = weights(1);
    model.extend((0..6_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()));
    let hand = Hand::valid()
        .with("model.gguf", &model)
        .with("evidence/large.json", &vec![b'x'; 3 << 20])
        .with("evidence/small.json", b"{}");
    let mut deaths = 0;
    let mut round = 0;
    let mut whole: Option<(Object, Duration, u64)> = None;
    while deaths < DEATHS {
        round += 1;
        let folder = place.path().join(round.to_string());
        hand.write(&folder.join("media"));
        let Some((object, lasts, calls)) = &whole else {
            // The first goes through, for what is to be compared and how long it takes.
            let mut calls = 0;
            let started = Instant::now();
            let object = import(&folder, &mut |_, _| calls += 1);
            assert!(calls > 30, "{calls} calls are too few to die at");
            whole = Some((object, started.elapsed(), calls));
            continue;
        };
        for _ in 0..=draw.below(DEATHS_OF_ONE) {
            let by_itself = draw.below(2) == 0;
            let mut child = start(&folder, if by_itself { 1 + draw.below(*calls) } else { 0 });
            if !by_itself {
                let longest = u64::try_from(lasts.as_micros()).unwrap() * 3 / 2;
                std::thread::sleep(Duration::from_micros(draw.below(longest)));
                let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
                // It may be done already.
                let _gone = rustix::process::kill_process(pid, Signal::KILL);
            }
            let died = !child.wait().unwrap().success();
            deaths += u32::from(died);
            check(&folder, &format!("round {round}, {deaths} deaths"));
        }
        assert_eq!(import(&folder, &mut |_, _| {}), *object, "round {round}");
        let vault = Vault::open(&folder.join("models")).unwrap();
        vault.verify_object(object, 2, &mut |_, _| {}).unwrap();
        assert_eq!(vault.objects().unwrap(), std::slice::from_ref(object));
        assert_eq!(vault.clean_incoming().unwrap(), 0, "nothing is left of it");
        fs::remove_dir_all(&folder).unwrap();
    }
}
