//! The real compilers, in the real jail: on texts that want out of it, and served over a socket.
//!
//! It has its own `main` because a tool's launcher jails itself before any thread exists, and libtest runs a test on a
//! thread. A compiler that is missing fails its tests, with the name of its package.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod ground;
mod hostile;
mod serving;

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::time::Instant;

use jail::tool::Limits;
use languages::{Language, Plan};

use ground::Ground;

/// A name, and what panics when it does not hold.
type Test = (&'static str, fn());

/// The argument that makes this program a launcher.
const LAUNCH: &str = "--launch-a-tool";

/// A user without any right, by convention.
const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(LAUNCH) {
        return jail::tool::launch();
    }
    if let Some(reason) = refused_to_root() {
        println!("NOT TRIED as root: {reason}");
        let mut again = Command::new("/proc/self/exe");
        again.args(std::env::args().skip(1)).env("HOME", "/").current_dir("/").uid(NOBODY).gid(NOBODY);
        return if again.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let (mut passed, mut failed) = (0, 0);
    let mut tell = |name: &str, test: &dyn Fn()| {
        let began = Instant::now();
        if !chosen(name) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok ({} ms)", began.elapsed().as_millis());
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    };
    for (name, test) in serving::TESTS.iter().chain(hostile::TESTS) {
        tell(name, test);
    }
    for (language, checker) in Language::all_checkers() {
        let name = format!("hostile texts: {} of {}", checker.name, language.name());
        tell(&name, &|| hostile::check(language, checker));
    }
    tell("what a compiler writes does not fill this process", &hostile::memory_is_bounded);
    // As libtest closes, so that whoever adds up results finds these too.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On an older kernel root's processes cannot be counted, and then root runs no tools.
fn refused_to_root() -> Option<String> {
    let ground = Ground::new();
    let plan = Plan { files: Vec::new(), program: "true", arguments: Vec::new(), executes: false };
    let tried = ground.runner().run(&plan, &[], Limits::default());
    tried.err().map(|error| error.to_string()).filter(|reason| reason.contains("(Linux 6.14)"))
}
