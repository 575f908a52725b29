//! Tools in their jails: each compiles something ordinary, and each is tried with what a hostile tree could hold.
//!
//! It has its own `main` because a tool's launcher jails itself before any thread exists, and libtest runs a test on a
//! thread. Every attempt is also made outside the jail, where it has to succeed: an attempt that nothing could stop
//! would say nothing. Run as root it tries everything as root and as user 65534; as another user, as that user only.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod attempts;
mod ground;
mod limits;
mod uses;

use std::{
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use jail::{
    spawn::{Exit, Program},
    tool::{End, Launcher, Limits, Outcome, Task, debian_toolchain, environment, run},
};

/// The argument that makes this program a launcher.
const LAUNCH: &str = "--launch-a-tool";

/// The argument that makes it measure what a jail costs.
const MEASURE: &str = "--measure";

/// The argument that makes it run one tool.
const ONCE: &str = "--run-once";

/// The argument that makes it run a tool without end, and be killed.
const ASK: &str = "--ask-without-end";

/// Set to anything, each attempt shows what it said in the jail.
const SHOW: &str = "TOOLS_SHOW";

/// Set for the run as another user, who makes the attempts in the jail only.
const ALREADY_ANOTHER: &str = "TOOLS_AS_ANOTHER_USER";

/// A user without any right, by convention.
const NOBODY: u32 = 65534;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some(LAUNCH) {
        return jail::tool::launch();
    }
    if argument.as_deref() == Some(MEASURE) {
        measure();
        return ExitCode::SUCCESS;
    }
    if argument.as_deref() == Some(ONCE) {
        uses::once();
        return ExitCode::SUCCESS;
    }
    if argument.as_deref() == Some(ASK) {
        limits::ask();
        return ExitCode::FAILURE;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let who = if rustix::process::geteuid().is_root() { "root" } else { "a user" };
    if let Some(reason) = refused_to_root() {
        println!("NOT TRIED as root: {reason}");
        return if again_as_nobody(filter.as_deref()) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let (mut passed, mut failed) = (0, 0);
    let mut tell = |name: &str, test: &dyn Fn()| {
        let began = Instant::now();
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name}, as {who} ... ok ({} ms)", began.elapsed().as_millis());
            passed += 1;
        } else {
            println!("test {name}, as {who} ... FAILED");
            failed += 1;
        }
    };
    for (name, test) in uses::TESTS.iter().chain(limits::TESTS).filter(|(name, _)| chosen(name)) {
        tell(name, test);
    }
    for attempt in attempts::ATTEMPTS.iter().filter(|attempt| chosen(attempt.name)) {
        tell(attempt.name, &|| attempt.check(!is_another()));
    }
    // As libtest closes, so that whoever adds up results finds these too.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    let others = rustix::process::geteuid().is_root() && !again_as_nobody(filter.as_deref());
    if failed == 0 && !others { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On an older kernel root's processes cannot be counted, and then root runs no tools.
fn refused_to_root() -> Option<String> {
    let place = ground::Ground::new();
    let tried = run(&launcher(), &task(&place.tree, &place.scratch, "/bin/true", &[]));
    tried.err().map(|error| error.to_string()).filter(|reason| {
        rustix::process::geteuid().is_root()
            && reason.contains("kernel.pid_max of their namespace (Linux 6.14)")
    })
}

fn is_another() -> bool {
    std::env::var_os(ALREADY_ANOTHER).is_some()
}

/// The same as a user who needs a user namespace for everything.
fn again_as_nobody(filter: Option<&str>) -> bool {
    let mut again = Command::new("/proc/self/exe");
    again.args(filter).env(ALREADY_ANOTHER, "1").env("HOME", "/").current_dir("/");
    again.uid(NOBODY).gid(NOBODY).status().unwrap().success()
}

fn launcher() -> Launcher<'static> {
    Launcher { program: Program::Path(Path::new("/proc/self/exe")), arguments: &[LAUNCH] }
}

/// A task in a place of its own, with what a caller would take by default.
fn task(tree: &Path, scratch: &Path, program: &str, arguments: &[&str]) -> Task {
    Task {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        environment: environment(scratch),
        directory: tree.to_owned(),
        toolchain: debian_toolchain(),
        read_only: vec![tree.to_owned()],
        scratch: scratch.to_owned(),
        scratch_executes: false,
        finds_itself: false,
        stdin: None,
        limits: Limits { wall_ms_max: 60_000, ..Limits::default() },
    }
}

fn text(outcome: &Outcome) -> String {
    let [out, err] = [&outcome.stdout, &outcome.stderr].map(|output| String::from_utf8_lossy(&output.bytes));
    format!("{out}{err}")
}

fn succeeded(outcome: &Outcome) -> bool {
    outcome.end == End::Exited(Exit::Code(0))
}

/// What a jail adds to the start of a program: by the clock, and of the processor, all processes together.
fn measure() {
    let runs: u32 = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(300);
    let place = ground::Ground::new();
    let jailed = task(&place.tree, &place.scratch, "/bin/true", &[]);
    let ways: [(&str, &dyn Fn()); 3] = [
        ("without", &|| assert!(Command::new("/bin/true").status().unwrap().success())),
        ("this program, which ends at once", &|| {
            assert!(!Command::new("/proc/self/exe").arg(LAUNCH).status().unwrap().success());
        }),
        ("jailed", &|| assert!(succeeded(&run(&launcher(), &jailed).unwrap()))),
    ];
    for (name, way) in ways {
        let mut times = Vec::new();
        let before = processor_ms();
        for _ in 0..runs {
            let began = Instant::now();
            way();
            times.push(began.elapsed().as_micros());
        }
        let processor_us = (processor_ms() - before) * 1000 / u64::from(runs);
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        println!(
            "{name}: {runs} runs, {} us median, {} us 90th, {} us longest; {processor_us} us of processor each",
            at(50),
            at(90),
            at(100)
        );
    }
}

/// Of this process and of all that it has waited for, from /proc/self/stat, whose unit is 10 ms.
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    // utime, stime, cutime and cstime are 14 to 17; the first here is 3.
    fields.skip(11).take(4).map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}
