//! Every target holds over its seeds, and over what becomes of them: without coverage, in the build of all tests.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that counts says what it counted"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fuzz::{Mutations, TARGETS, Target};
use testkit::draw::Draw;

/// Of each target. Time limits how much is tried, and nothing else: input 17 is the same on every machine.
const TIME: Duration = Duration::from_secs(3);

#[test]
fn every_target_holds() {
    let mut draw = Draw::fresh("fuzz");
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        for seed in &seeds {
            hold(name, target, seed);
        }
        let (start, mut tried) = (Instant::now(), 0u64);
        for input in Mutations::new(&seeds, Draw::new(draw.number())) {
            hold(name, target, &input);
            tried += 1;
            if start.elapsed() >= TIME {
                break;
            }
        }
        eprintln!("fuzz: {name}: {} seeds, {tried} mutations", seeds.len());
    }
}

#[test]
fn the_same_draws_give_the_same_inputs_and_others_give_others() {
    let seeds = [b"one seed of many words".to_vec(), b"another".to_vec()];
    let inputs = |seed| Mutations::new(&seeds, Draw::new(seed)).take(200).collect::<Vec<_>>();
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    let changed = inputs(1).into_iter().filter(|input| !seeds.contains(input)).count();
    assert!(changed > 150, "{changed} of 200 differ from both seeds");
}

/// `cargo xtask fuzz` knows the targets by their files.
#[test]
fn files_and_folders_of_seeds_are_targets() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/targets");
    assert_eq!(fs::read_dir(sources).unwrap().count(), TARGETS.len());
    for entry in fs::read_dir(seeds_folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(fuzz::target(&name).is_some(), "{name} is no target");
    }
}

/// Tries one input. One that is not held is kept, for `cargo xtask fuzz` and whoever mends it.
fn hold(name: &str, target: Target, input: &[u8]) {
    let Err(panicked) = panic::catch_unwind(|| target(input)) else { return };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.input"));
    File::create(&kept).and_then(|mut file| file.write_all(input)).unwrap();
    eprintln!("{name} does not hold; the input is {}", kept.display());
    panic::resume_unwind(panicked);
}

fn seeds_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// In the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let Ok(folder) = fs::read_dir(seeds_folder().join(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}
