//! The process that has compilers run, with a gateway's handle on the other end of its socket.

use std::fs;
use std::future::Future;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use checks::{Checkers, NotChecked, Runner, Serving, Site, serve};
use languages::Rules;
use protocol::check::{Against, FromChecker, Order, Ran, TEXT_BYTES_MAX, VERSION};
use protocol::frame;
use tokio::runtime::Runtime;

use crate::Test;
use crate::ground::{Ground, write};

/// What comes in the background comes within so long, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

pub(crate) const TESTS: &[Test] = &[
    ("outcomes go to whoever ordered them", outcomes_go_home),
    ("what cannot be ordered is refused", refusals),
    ("a program that is missing is told with its package", missing),
    ("more than can wait is refused at once", too_many),
    ("a unit is checked against its project", project),
    ("contracts of the project's own file are tried", contracts),
    ("of a source nothing is granted but its files", only_its_files),
    ("a source that cannot be used is told", unusable),
    ("a library of VHDL follows its project", library),
    ("a checker that goes is gone", gone),
];

/// `serve` in a thread, and a handle to it. The sources are the folders of a project's folder.
struct Served {
    checkers: Checkers,
    runtime: Runtime,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Served {
    fn new(ground: &Ground) -> Served {
        Served::with(ground, ground.runner())
    }

    fn with(ground: &Ground, runner: Runner) -> Served {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sources = ground.project.clone();
        let source = move |name: &str| -> Result<PathBuf, String> {
            let path = sources.join(name);
            if path.exists() { Ok(path) } else { Err("it was removed".to_owned()) }
        };
        let rules = |_: &str| Rules::default();
        let serving = Serving { runner, source: Box::new(source), rules: Box::new(rules), threads: 2 };
        let serving = std::thread::spawn(move || serve(theirs, serving));
        let runtime = runtime();
        let checkers = Checkers::default();
        runtime.block_on(checkers.connect(ours)).unwrap();
        Served { checkers, runtime, serving }
    }

    fn check(&self, order: Order) -> Result<Ran, NotChecked> {
        self.runtime.block_on(in_time(self.checkers.check(order)))
    }

    /// Both ends end.
    fn end(self) {
        drop((self.runtime, self.checkers));
        self.serving.join().unwrap().unwrap();
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("no answer")
}

fn order(language: &str, checker: &str, text: &str) -> Order {
    Order {
        id: 0,
        language: language.to_owned(),
        checker: checker.to_owned(),
        file_name: None,
        path: None,
        text: text.to_owned(),
        source: None,
    }
}

fn within(source: &str, path: &str, order: Order) -> Order {
    Order { source: Some(source.to_owned()), path: Some(path.to_owned()), ..order }
}

fn said(ran: &Ran) -> String {
    String::from_utf8_lossy(&[ran.stdout.as_slice(), &ran.stderr].concat()).into_owned()
}

fn reason(outcome: Result<Ran, NotChecked>) -> String {
    match outcome {
        Err(NotChecked::NotRun(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// Until it is so; what it was last when it never is.
#[track_caller]
fn until<T: std::fmt::Debug>(mut look: impl FnMut() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let began = Instant::now();
    loop {
        let seen = look();
        if is_so(&seen) {
            return seen;
        }
        assert!(began.elapsed() < SOON, "{seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn outcomes_go_home() {
    let ground = Ground::new();
    let served = Served::new(&ground);
    let toolchains = served.checkers.toolchains();
    let gnat = toolchains.iter().find(|one| one.checker == "gnat").unwrap();
    assert!(gnat.version.as_ref().is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())));
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let checkers = served.checkers.clone();
            let text = if number % 3 == 0 { "\tnop\n".to_owned() } else { format!("\tno_such_{number}\n") };
            served.runtime.spawn(async move { checkers.check(order("assembly", "as", &text)).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let ran = served.runtime.block_on(in_time(task)).unwrap().unwrap();
        assert_eq!(ran.succeeded, number % 3 == 0, "{}", said(&ran));
        assert!(
            ran.succeeded
                || said(&ran).contains(&format!("no_such_{number}`"))
                || said(&ran).contains(&format!("no_such_{number}'")),
            "{}",
            said(&ran)
        );
        assert_eq!((ran.against, ran.command.first().map(String::as_str)), (Against::Nothing, Some("as")));
    }
    served.end();
    // A listing that was being renewed ends after its stream.
    until(|| ground.left_in_scratch(), Vec::is_empty);
}

fn refusals() {
    let ground = Ground::new();
    let served = Served::new(&ground);
    let refused = |order: Order| reason(served.check(order));
    assert_eq!(refused(order("klingon", "as", "")), "no such language");
    assert_eq!(refused(order("assembly", "gnat", "")), "no such checker");
    assert_eq!(refused(order("assembly", "", "")), "no such checker");
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    assert!(refused(order("assembly", "as", &long)).contains("longer than 1048576 bytes"));
    // Longer than a message may be: it does not wait for an answer that never comes.
    let longer = "x".repeat(frame::PAYLOAD_BYTES_MAX + 1);
    assert!(refused(order("assembly", "as", &longer)).contains("longer than the limit"));
    let foreign = "package p is\n  attribute foreign : string;\nend;\n";
    assert_eq!(served.check(order("vhdl", "ghdl", foreign)), Err(NotChecked::NothingToSay));
    let longest = "#".repeat(TEXT_BYTES_MAX);
    assert!(served.check(order("assembly", "as", &longest)).unwrap().succeeded);
    served.end();
}

fn missing() {
    let ground = Ground::new();
    let site = Site { search: Vec::new(), ..ground.runner().site };
    let served = Served::with(&ground, Runner { site, ..ground.runner() });
    let toolchains = served.checkers.toolchains();
    assert!(!toolchains.is_empty());
    for one in toolchains {
        assert!(one.version.is_none() && !one.missing.is_empty(), "{one:?}");
        let reason = reason(served.check(order(&one.language, &one.checker, "x\n")));
        assert!(reason.contains(&one.missing.join(", ")) && reason.contains(&one.package), "{reason}");
    }
    served.end();
}

fn too_many() {
    let ground = Ground::new();
    let served = Served::new(&ground);
    let tasks: Vec<_> = (0..300)
        .map(|_| {
            let checkers = served.checkers.clone();
            served.runtime.spawn(async move { checkers.check(order("assembly", "as", "\tnop\n")).await })
        })
        .collect();
    let (mut ran, mut refused) = (0, 0);
    for task in tasks {
        match served.runtime.block_on(in_time(task)).unwrap() {
            Ok(_) => ran += 1,
            Err(NotChecked::NotRun(reason)) if reason == "64 checks wait already" => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(ran >= 64 && refused > 0, "{ran} {refused}");
    served.end();
}

/// Neither what git keeps, nor what it ignores, nor a repository within, which has readers of its own.
fn only_its_files() {
    const SECRET: &str = "url_with_a_token";
    let ground = Ground::new();
    for name in ["one/.git/config", "one/ignored/i.s", "one/sub/s.s", "one/.hidden/h.s", "one/notes.txt"] {
        write(&ground.project.join(name), &format!("\t{SECRET}\n"));
    }
    write(&ground.project.join("one/sub/.git/HEAD"), "ref: refs/heads/main\n");
    write(&ground.project.join("one/.gitignore"), "ignored/\n");
    write(&ground.project.join("one/src/shared.s"), "\tshared_words\n");
    let served = Served::new(&ground);
    let include = |name: &str| order("assembly", "as", &format!("\t.include \"{name}\"\n"));
    // The way there is open.
    let ran = served.check(within("one", "src/a.s", include("shared.s"))).unwrap();
    assert!(said(&ran).contains("shared_words"), "{}", said(&ran));
    for name in [".git/config", "ignored/i.s", "sub/s.s", ".hidden/h.s", "notes.txt"] {
        let whole = ground.project.join("one").join(name);
        for name in [format!("../{name}"), name.to_owned(), whole.to_str().unwrap().to_owned()] {
            let ran = served.check(within("one", "src/a.s", include(&name))).unwrap();
            assert!(!ran.succeeded && !said(&ran).contains(SECRET), "{name}: {}", said(&ran));
        }
    }
}

fn project() {
    let ground = Ground::new();
    let files = [
        ("one/lib/q.ads", "package Q is\n   X : constant := 1;\nend Q;\n"),
        ("one/app/main.adb", ""),
        ("one/include/q.h", "#define Q 1\n"),
        ("two/lib/r.ads", "package R is\n   X : constant := 1;\nend R;\n"),
        ("two/include/r.h", "#define R 1\n"),
    ];
    for (name, text) in files {
        write(&ground.project.join(name), text);
    }
    let served = Served::new(&ground);
    let main = |unit: &str| {
        order(
            "ada",
            "gnat",
            &format!(
                "with {unit};\nprocedure Main is\n   Y : Integer := {unit}.X;\nbegin\n   Y := Y + 1;\nend Main;\n"
            ),
        )
    };
    for path in ["app/main.adb", "main.adb", "../two/lib/main.adb", "/etc/main.adb", ""] {
        let ran = served.check(within("one", path, main("Q"))).unwrap();
        assert!(ran.succeeded, "{path}: {}", said(&ran));
        assert_eq!(ran.against, Against::Source { name: "one".to_owned() });
        let words = ran.command.join(" ");
        assert!(!words.contains('/') && words.starts_with("gcc -c -gnatc"), "{words}");
        // Another source is not there.
        let ran = served.check(within("one", path, main("R"))).unwrap();
        assert!(!ran.succeeded && said(&ran).contains("\"r.ads\" not found"), "{}", said(&ran));
    }
    let alone = served.check(main("Q")).unwrap();
    assert!(!alone.succeeded && said(&alone).contains("\"q.ads\" not found"), "{}", said(&alone));
    let header = |name: &str| order("c", "gcc", &format!("#include \"{name}\"\nint x;\n"));
    assert!(served.check(within("one", "app/x.c", header("q.h"))).unwrap().succeeded);
    let other = ground.project.join("two/include/r.h");
    for name in ["r.h", "../../two/include/r.h", other.to_str().unwrap()] {
        let ran = served.check(within("one", "app/x.c", header(name))).unwrap();
        assert!(!ran.succeeded && said(&ran).contains("No such file"), "{}", said(&ran));
    }
    assert!(served.check(within("two", "x.c", header("r.h"))).unwrap().succeeded);
    served.end();
    // A listing that was being renewed ends after its stream.
    until(|| ground.left_in_scratch(), Vec::is_empty);
}

fn unusable() {
    let ground = Ground::new();
    write(&ground.project.join("bare/HEAD"), "ref: refs/heads/main\n");
    fs::create_dir_all(ground.project.join("bare/objects")).unwrap();
    write(&ground.project.join("file"), "");
    write(&ground.project.join("gone/q.ads"), "package Q is\nend Q;\n");
    let served = Served::new(&ground);
    let check = |source: &str| {
        let text = "with Q;\npackage P is\nend P;\n";
        served.check(within(source, "p.ads", order("ada", "gnat", text))).unwrap()
    };
    assert!(check("gone").succeeded);
    fs::remove_dir_all(ground.project.join("gone")).unwrap();
    for (name, expected) in
        [("gone", "removed"), ("never", "removed"), ("file", "not there"), ("bare", "a bare repository")]
    {
        let ran = check(name);
        assert!(!ran.succeeded, "{name}");
        match ran.against {
            Against::Unusable { name: told, reason } => {
                assert!(told == name && reason.contains(expected), "{reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    served.end();
}

fn library() {
    let ground = Ground::new();
    let root = ground.project.join("cpu");
    let package = |name: &str| format!("package types is\n  constant {name} : natural := 8;\nend;\n");
    // By name the last is needed first.
    let files = [
        (
            "rtl/a_top.vhd",
            "entity a_top is end;\narchitecture r of a_top is\nbegin\n  u : entity work.counter;\nend;\n",
        ),
        (
            "rtl/counter.vhd",
            "use work.types.all;\nentity counter is end;\narchitecture r of counter is\nbegin\nend;\n",
        ),
        // Whoever may commit to a project names its files.
        ("$(touch made)/-x ';.vhd", "package odd is\nend;\n"),
        ("rtl/types.vhd", &package("width")),
    ];
    for (name, text) in files {
        write(&root.join(name), text);
    }
    let served = Served::new(&ground);
    let unit = |constant: &str| {
        let text = format!(
            "use work.odd.all;\nuse work.types.all;\nentity e is\n  port (a : in bit_vector({constant} - 1 downto 0));\nend;\narchitecture r of e is\nbegin\n  u : entity work.a_top;\nend;\n"
        );
        within("cpu", "rtl/e.vhd", order("vhdl", "ghdl", &text))
    };
    let being_made = NotChecked::NotYet("the library of cpu is being made: 4 files".to_owned());
    assert_eq!(served.check(unit("width")), Err(being_made));
    let is_made = |outcome: &Result<Ran, NotChecked>| outcome.is_ok();
    let made = until(|| served.check(unit("width")), is_made).unwrap();
    assert!(made.succeeded, "{}", said(&made));
    assert_eq!(made.against, Against::Source { name: "cpu".to_owned() });
    let synthesis = served.check(Order { checker: "ghdl-synth".to_owned(), ..unit("width") }).unwrap();
    assert!(synthesis.succeeded, "{}", said(&synthesis));
    let other = served.check(unit("depth")).unwrap();
    assert!(!other.succeeded && said(&other).contains("no declaration for \"depth\""), "{}", said(&other));
    // Changed again and again while it is used: each outcome is of one state or of another.
    for (now, before) in [("depth", "width"), ("width", "depth")] {
        write(&root.join("rtl/types.vhd"), &package(now));
        let seen = until(
            || {
                let ran = served.check(unit(now)).unwrap();
                let expected = format!("no declaration for \"{now}\"");
                assert!(ran.succeeded || said(&ran).contains(&expected), "{}", said(&ran));
                ran.succeeded
            },
            |succeeded| *succeeded,
        );
        assert!(seen);
        let ran = served.check(unit(before)).unwrap();
        assert!(!ran.succeeded, "{}", said(&ran));
    }
    // One that is illegal is left out, and those that need it with it.
    write(&root.join("rtl/types.vhd"), "package types is\n  constant width : natural := ;\nend;\n");
    until(|| served.check(unit("width")).unwrap(), |ran| !ran.succeeded);
    // Only the newest copies and their library stay, and they go with their source.
    until(|| ground.left_in_scratch(), |left| left.len() == 2);
    fs::remove_dir_all(&root).unwrap();
    let ran = served.check(unit("width")).unwrap();
    assert!(matches!(ran.against, Against::Unusable { .. }), "{ran:?}");
    until(|| ground.left_in_scratch(), Vec::is_empty);
    served.end();
}

/// The specification lies in the source, the body is looked at: it runs in the folder of its own.
fn contracts() {
    let ground = Ground::new();
    let root = ground.project.join("counts");
    let specification = |claim: &str| {
        format!(
            "package Counts is\n   function Next (X : Natural) return Natural\n     with Pre => X < 1000, Post => {claim};\nend Counts;\n"
        )
    };
    write(
        &root.join("src/counts.ads"),
        &specification("Next'Result = Help.Twice (X) - X + 1").replacen("", "with Help;\n", 1),
    );
    write(
        &root.join("lib/help.ads"),
        "package Help is\n   function Twice (X : Natural) return Natural;\nend Help;\n",
    );
    write(
        &root.join("lib/help.adb"),
        "package body Help is\n   function Twice (X : Natural) return Natural is (2 * X);\nend Help;\n",
    );
    let served = Served::new(&ground);
    let body = |value: &str| {
        let text = format!(
            "package body Counts is\n   function Next (X : Natural) return Natural is\n     ({value});\nend Counts;\n"
        );
        let order = within("counts", "src/counts.adb", order("ada", "gnat-run", &text));
        Order { file_name: Some("counts.adb".to_owned()), ..order }
    };
    let right = served.check(body("X + 1")).unwrap();
    assert!(right.succeeded && right.stdout.starts_with(b"inputs Next X => "), "{}", said(&right));
    assert!(!said(&right).contains("raised"), "{}", said(&right));
    let wrong = said(&served.check(body("if X = 7 then 7 else X + 1")).unwrap());
    assert!(wrong.contains("failed postcondition from counts.ads:4"), "{wrong}");
    // One that waits is ended by its own script, before the tool's time is over.
    let waits = body("X")
        .text
        .replace(" is\n     (X);", " is\n   begin\n      delay 1.0E6;\n      return X;\n   end Next;");
    let waits = served.check(Order { text: waits, ..body("X") }).unwrap();
    assert!(waits.succeeded && said(&waits).matches("inputs Next").count() == 1, "{}", said(&waits));
    // Another package, and one without a specification: nothing is known to be called.
    let other = body("X").text.replace("Counts", "Others");
    let other = Order { text: other, file_name: Some("others.adb".to_owned()), ..body("X") };
    assert_eq!(served.check(other), Err(NotChecked::NothingToSay));
    served.end();
}

fn gone() {
    let runtime = runtime();
    let checkers = Checkers::default();
    let order = || order("assembly", "as", "\tnop\n");
    assert_eq!(runtime.block_on(checkers.check(order())), Err(NotChecked::Gone));
    // One that speaks another version, and one that says nothing.
    for version in [Some(VERSION + 1), None] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        if let Some(version) = version {
            theirs
                .write_all(&frame::encode(&FromChecker::Ready { version, toolchains: Vec::new() }).unwrap())
                .unwrap();
        } else {
            theirs.shutdown(std::net::Shutdown::Both).unwrap();
        }
        assert_eq!(runtime.block_on(in_time(checkers.connect(ours))), Err(NotChecked::Gone));
    }
    // One that goes while orders wait: those that it has not read, too.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let ready = FromChecker::Ready { version: VERSION, toolchains: Vec::new() };
    theirs.write_all(&frame::encode(&ready).unwrap()).unwrap();
    runtime.block_on(in_time(checkers.connect(ours))).unwrap();
    let pending: Vec<_> = (0..200)
        .map(|_| {
            let (checkers, mut order) = (checkers.clone(), order());
            order.text = "x".repeat(10_000);
            runtime.spawn(async move { checkers.check(order).await })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    assert!(pending.iter().all(|task| !task.is_finished()));
    drop(theirs);
    for task in pending {
        assert_eq!(runtime.block_on(in_time(task)).unwrap(), Err(NotChecked::Gone));
    }
    assert_eq!(runtime.block_on(checkers.check(order())), Err(NotChecked::Gone));
    assert!(checkers.toolchains().is_empty());
    // The next one serves, and what an earlier process left is removed.
    let ground = Ground::new();
    write(&ground.scratch.join("run-1-1/left"), "");
    let served = Served::new(&ground);
    assert!(!Path::new(&ground.scratch.join("run-1-1")).exists());
    assert!(served.check(order()).unwrap().succeeded);
    served.end();
}
