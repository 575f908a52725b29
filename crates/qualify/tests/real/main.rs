//! Judging with the real compilers: for each kind of suite an answer that is right, and some that are not.
//!
//! It has its own `main` because a tool's launcher jails itself before any thread exists. Where a toolchain is missing, its
//! tests say so and fail: a suite that nothing was judged of is not green.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod judging;
mod making;
mod running;
mod tasks;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use jail::{spawn::Program, tool::Launcher};
use qualify::judge::Place;

/// The argument that makes this program a launcher.
const LAUNCH: &str = "--launch-a-tool";

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some(LAUNCH) {
        return jail::tool::launch();
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in judging::TESTS.iter().chain(running::TESTS).chain(making::TESTS) {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let began = Instant::now();
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok ({} ms)", began.elapsed().as_millis());
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    }
    // As libtest closes, so that whoever adds up results finds these too.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A folder for scratch, and the place that has it. After a test nothing may be left in it.
struct Ground {
    folder: tempfile::TempDir,
    place: Place,
}

impl Ground {
    fn new() -> Ground {
        let folder = tempfile::Builder::new().prefix("cloister-qualify-").tempdir().unwrap();
        let launcher = Launcher { program: Program::Path(Path::new("/proc/self/exe")), arguments: &[LAUNCH] };
        let mut place = Place::new(launcher, folder.path());
        // An endless answer costs a test this long.
        place.limits.wall_ms_max = 5000;
        Ground { folder, place }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let left = std::fs::read_dir(self.folder.path()).unwrap().count();
        if !std::thread::panicking() {
            assert_eq!(left, 0, "scratch folders are left");
        }
    }
}
