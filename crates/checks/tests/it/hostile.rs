//! Texts that want to read, write, call or stay where they must not, or that want too much.
//!
//! An attempt to read is also made outside the jail, where it has to tell the secret: one that nothing could stop would
//! say nothing.

mod attempts;

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use checks::NotRun;
use jail::spawn::Exit;
use jail::tool::{End, Limits, Outcome};
use languages::{Checker, Diagnostic, Language, Plan, Project, Rules, Severity, Unit, Written};

use crate::Test;
use crate::ground::{self, Ground, checker, write};

/// Set to anything, each attempt shows what came of it.
const SHOW: &str = "CHECKS_SHOW";

const LIMITS: Limits = Limits {
    wall_ms_max: 3_000,
    cpu_s_max: 3,
    memory_bytes_max: 2 << 30,
    file_bytes_max: 32 << 20,
    open_files_max: 256,
    processes_max: 64,
    output_bytes_max: 256 << 10,
};

/// Between the end of a run's time and the answer, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(6);

/// Resident memory of this process in KiB, whatever compilers write.
const RESIDENT_KIB_MAX: u64 = 256 << 10;

/// What an attempt would do outside the jail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    /// Tell the secret. That is tried.
    Tells,
    /// Make the file `made` outside. That is tried.
    Writes,
    /// Something that is not tried there.
    Untried,
}

struct Attempt {
    name: &'static str,
    file_name: Option<&'static str>,
    text: String,
    control: Control,
}

pub(crate) const TESTS: &[Test] = &[
    ("a foreign subprogram of VHDL is refused before anything runs", foreign_is_refused),
    ("names of files that lead elsewhere", names_lead_nowhere),
    ("folders of a project with odd names", odd_folders),
    ("what a plan writes stays in its folder", plans_stay),
    ("a link in a project leads nowhere", links_lead_nowhere),
];

/// All attempts on one checker, and after each that a harmless text is still found right.
pub(crate) fn check(language: Language, checker: &'static Checker) {
    let ground = Ground::new();
    if !ground::is_there(&ground.runner(), checker) {
        return;
    }
    assert_harmless(&ground, language, checker);
    let mut failures = Vec::new();
    for attempt in attempts::of(language, checker).into_iter().chain(attempts::of_any(language)) {
        let text = ground.fill(&attempt.text);
        let project = Project { directories: vec![ground.project.clone()], ..Project::default() };
        let rules = Rules::default();
        let file_name = attempt.file_name;
        let unit = Unit { language, file_name, text: &text, project: &project, rules: &rules };
        if let Err(error) = hold(&ground, checker, &unit, &attempt) {
            failures.push(format!("{}: {error}", attempt.name));
        }
        assert_harmless(&ground, language, checker);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Makes an attempt; what it achieved is an error.
fn hold(ground: &Ground, checker: &Checker, unit: &Unit<'_>, attempt: &Attempt) -> Result<(), String> {
    let Some(plan) = checker.plan(unit) else {
        return if attempt.control == Control::Untried { Ok(()) } else { Err("no plan".to_owned()) };
    };
    if attempt.control != Control::Untried {
        let said = bare(ground, &plan);
        let works = match attempt.control {
            Control::Writes => fs::remove_file(ground.outside.join("made")).is_ok(),
            _ => ground.is_told(&said),
        };
        if !works {
            return Err(format!("it fails outside the jail too: {}", String::from_utf8_lossy(&said)));
        }
    }
    let before = ground.around();
    let began = Instant::now();
    let ran = ground.runner().run(&plan, std::slice::from_ref(&ground.project), LIMITS);
    let took = began.elapsed();
    let outcome = match ran {
        Ok(outcome) => Some(outcome),
        Err(NotRun::TimedOut { .. }) => None,
        Err(error) => return Err(format!("not run: {error}")),
    };
    let found = outcome.as_ref().map(|outcome| read(checker, unit, outcome)).unwrap_or_default();
    if std::env::var_os(SHOW).is_some() {
        let end = outcome.as_ref().map(|outcome| outcome.end);
        let kib = outcome.as_ref().map_or(0, |one| (one.stdout.bytes.len() + one.stderr.bytes.len()) >> 10);
        let first = found.first().map(|first| first.message.chars().take(150).collect::<String>());
        println!(
            "  {}: {} ms, {end:?}, {kib} KiB, {} remarks, {first:?}",
            attempt.name,
            took.as_millis(),
            found.len()
        );
    }
    if took > Duration::from_millis(LIMITS.wall_ms_max) + SLACK {
        return Err(format!("it took {} ms", took.as_millis()));
    }
    if let Some(outcome) = &outcome {
        for output in [&outcome.stdout, &outcome.stderr] {
            if ground.is_told(&output.bytes) {
                return Err(format!("the secret is told: {}", String::from_utf8_lossy(&output.bytes)));
            }
            if output.bytes.len() > LIMITS.output_bytes_max {
                return Err(format!("{} bytes of output", output.bytes.len()));
            }
        }
    }
    if let Some(one) = found.iter().find(|one| ground.is_told(one.message.as_bytes())) {
        return Err(format!("the secret is told: {one:?}"));
    }
    if let Some(one) =
        found.iter().find(|one| one.message.len() > 512 || one.message.contains(char::is_control))
    {
        return Err(format!("not fit to be shown: {one:?}"));
    }
    if found.len() > 100 {
        return Err(format!("{} remarks", found.len()));
    }
    if ground.around() != before {
        return Err("it changed what lies around".to_owned());
    }
    let (left, processes) = (ground.left_in_scratch(), ground.processes());
    if !left.is_empty() || !processes.is_empty() {
        return Err(format!("left: {left:?}, {processes:?}"));
    }
    Ok(())
}

fn read(checker: &Checker, unit: &Unit<'_>, outcome: &Outcome) -> Vec<Diagnostic> {
    let succeeded = outcome.end == End::Exited(Exit::Code(0));
    checker.read(unit, &Written { stdout: &outcome.stdout.bytes, stderr: &outcome.stderr.bytes, succeeded })
}

/// The plan without a jail: what it writes.
fn bare(ground: &Ground, plan: &Plan) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in &plan.files {
        write(&folder.path().join(name), text);
    }
    let program = ground.runner().site.program(plan.program).unwrap();
    let output = Command::new(program).args(&plan.arguments).current_dir(folder.path()).output().unwrap();
    [output.stdout, output.stderr].concat()
}

/// The compiler still works.
fn assert_harmless(ground: &Ground, language: Language, checker: &Checker) {
    let (project, rules) = (Project::default(), Rules::default());
    let text = attempts::harmless(language);
    let unit = Unit { language, file_name: None, text, project: &project, rules: &rules };
    let plan = checker.plan(&unit).unwrap();
    let outcome = ground.runner().run(&plan, &[], Limits::default()).unwrap();
    let found = read(checker, &unit, &outcome);
    assert!(found.iter().all(|one| one.severity != Severity::Error), "{}: {found:?}", checker.name);
}

fn foreign_is_refused() {
    let ground = Ground::new();
    let (project, rules) = (Project::default(), Rules::default());
    for text in attempts::FOREIGN {
        for name in ["ghdl", "ghdl-synth", "ghdl-drive"] {
            let checker = checker(Language::Vhdl, name);
            let language = Language::Vhdl;
            let unit = Unit { language, file_name: None, text, project: &project, rules: &rules };
            assert!(checker.refuse(&unit).is_some(), "{text}");
            assert!(checker.plan(&unit).is_none(), "{text}");
        }
    }
    assert!(ground.left_in_scratch().is_empty());
}

fn names_lead_nowhere() {
    let long = "é".repeat(300);
    let ground = Ground::new();
    let names = [
        "-x",
        "a\nb",
        "../x",
        "/etc/passwd",
        "@x",
        "x\0y",
        "",
        "..",
        "x/../../y.adb",
        "$(id)",
        "-x.adb",
        &long,
    ];
    let (project, rules) = (Project::default(), Rules::default());
    let before = ground.around();
    for (language, checker) in Language::all_checkers().filter(|(_, checker)| checker.name != "gnatprove") {
        ground::is_there(&ground.runner(), checker);
        for name in names {
            let text = attempts::harmless(language);
            let unit = Unit { language, file_name: Some(name), text, project: &project, rules: &rules };
            let Some(plan) = checker.plan(&unit) else { continue };
            for (file, _) in &plan.files {
                assert!(
                    !file.is_empty()
                        && !file.contains(['/', '\0', '\n'])
                        && !file.starts_with(['-', '@', '.']),
                    "{file}"
                );
            }
        }
    }
    assert_eq!(ground.around(), before);
}

/// A person who may commit to a project chooses the names of its folders.
fn odd_folders() {
    let ground = Ground::new();
    let names = ["a b", "$(touch made)", "`touch made`", "; touch made;", "-x", "'", "\"", "a,b", "@x", "é"];
    let folders: Vec<_> = names.iter().map(|name| ground.project.join(name)).collect();
    for folder in &folders {
        for name in ["x.ads", "x.h", "x.v", "x.f90", "x.cpy", "x.pas", "x.s"] {
            write(&folder.join(name), "\n");
        }
    }
    let before = ground.around();
    let project = Project { directory: folders.first().cloned(), directories: folders, ..Project::default() };
    let rules = Rules::default();
    for (language, checker) in Language::all_checkers().filter(|(_, checker)| checker.name != "gnatprove") {
        ground::is_there(&ground.runner(), checker);
        let text = attempts::harmless(language);
        let unit = Unit { language, file_name: None, text, project: &project, rules: &rules };
        let plan = checker.plan(&unit).unwrap();
        let runner = ground.runner();
        let folder = runner.folder().unwrap();
        let readable = std::slice::from_ref(&ground.project);
        let outcome = runner.run_in(folder.path(), &plan, readable, Limits::default()).unwrap();
        let found = read(checker, &unit, &outcome);
        assert!(found.iter().all(|one| one.severity != Severity::Error), "{}: {found:?}", checker.name);
        assert!(!folder.path().join("made").exists(), "{} ran a folder's name", checker.name);
    }
    assert_eq!(ground.around(), before);
}

fn plans_stay() {
    let ground = Ground::new();
    let before = ground.around();
    for name in ["../outside/made", "/tmp/made", "..", ".", "", "a/b", "a\0b"] {
        let plan = Plan {
            files: vec![(name.to_owned(), String::new())],
            program: "true",
            arguments: Vec::new(),
            executes: false,
        };
        assert!(matches!(ground.runner().run(&plan, &[], LIMITS), Err(NotRun::Scratch { .. })), "{name:?}");
    }
    assert_eq!(ground.around(), before);
    assert!(ground.left_in_scratch().is_empty());
}

fn links_lead_nowhere() {
    let ground = Ground::new();
    let project = Project { directories: vec![ground.project.clone()], ..Project::default() };
    let rules = Rules::default();
    let texts = [
        (Language::C, "gcc", "int x =\n#include \"a-link.h\"\n;\n"),
        (Language::C, "clang", "int x =\n#include \"a-link.h\"\n;\n"),
        (Language::Assembly, "as", "\t.include \"a-link.h\"\n"),
        (Language::Verilog, "verilator", "module m;\n  wire a =\n`include \"a-link.h\"\n;\nendmodule\n"),
    ];
    for (language, name, text) in texts {
        let attempt =
            Attempt { name: "link", file_name: None, text: text.to_owned(), control: Control::Tells };
        let unit = Unit { language, file_name: None, text, project: &project, rules: &rules };
        let checker = checker(language, name);
        ground::is_there(&ground.runner(), checker);
        assert_eq!(hold(&ground, checker, &unit, &attempt), Ok(()), "{name}");
    }
}

/// The most that this process ever held.
pub(crate) fn memory_is_bounded() {
    let mut status = String::new();
    fs::File::open("/proc/self/status").unwrap().read_to_string(&mut status).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < RESIDENT_KIB_MAX, "{kib} KiB");
}
