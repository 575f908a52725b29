//! Tools that want too much: time, memory, processes, files, or to live on.

use std::{fs, time::Duration};

use jail::{
    Kind,
    inspect::inspect,
    spawn::Exit,
    tool::{End, Limits, Outcome, Task, run},
};

use crate::{Test, ground::Ground, launcher, succeeded, task, text};

pub(crate) const TESTS: &[Test] = &[
    ("an endless recipe is ended by the clock", || {
        let ground = Ground::new();
        ground.put("tree/Makefile", "all:\n\t@echo begun {TREE}; while :; do :; done\n");
        let outcome = limited(&ground, "/usr/bin/make", &[], |limits| limits.wall_ms_max = 2_000);
        assert_eq!(outcome.end, End::TimedOut);
        assert!(text(&outcome).contains("begun"), "what it wrote before is kept");
        nothing_is_left(&ground);
    }),
    ("an endless loop is ended by its own time", || {
        let ground = Ground::new();
        let outcome =
            limited(&ground, "/bin/sh", &["-c", "while :; do :; done"], |limits| limits.cpu_s_max = 1);
        assert!(
            matches!(outcome.end, End::Exited(Exit::Signal(libc::SIGXCPU | libc::SIGKILL))),
            "{:?}",
            outcome.end
        );
    }),
    ("a bomb of processes meets its limit", || {
        let ground = Ground::new();
        ground.put(
            "tree/Makefile",
            "SHELL=/bin/bash\nall:\n\t@b() { b {TREE} | b {TREE} & }; b; wait; sleep 60\n",
        );
        let outcome = limited(&ground, "/usr/bin/make", &[], |limits| {
            limits.wall_ms_max = 3_000;
            limits.processes_max = 32;
        });
        assert!(
            text(&outcome).contains("fork: retry: Resource temporarily unavailable"),
            "{}",
            text(&outcome)
        );
        nothing_is_left(&ground);
        // Outside the run there is no lack.
        assert!(succeeded(&limited(&ground, "/bin/true", &[], |_| ())));
    }),
    ("a program counts what it may start", || {
        let ground = Ground::new();
        let script = "import os, errno\nn = 0\ntry:\n  while n < 5000:\n    if os.fork() == 0:\n      import time; time.sleep(600)\n    n += 1\nexcept OSError as e: print(n, errno.errorcode[e.errno])\n";
        let outcome =
            limited(&ground, "/usr/bin/python3", &["-c", script], |limits| limits.processes_max = 32);
        let text = text(&outcome);
        let started: u32 = text.split(' ').next().unwrap().parse().unwrap();
        assert!(text.contains("EAGAIN") && (8..=332).contains(&started), "{text}");
        nothing_is_left(&ground);
    }),
    ("a daemon ends with the run", || {
        let ground = Ground::new();
        let script = "setsid sh -c 'trap \"\" HUP TERM INT; (sh -c \"sleep 600; : {TREE}\" &) ; sleep 600; : {TREE}' >/dev/null 2>&1 & \
             nohup sh -c 'sleep 600; : {TREE}' >/dev/null 2>&1 & sleep 1; echo left";
        let filled = ground.fill(script);
        let outcome = limited(&ground, "/bin/sh", &["-c", &filled], |_| ());
        assert!(succeeded(&outcome) && text(&outcome).contains("left"), "{outcome:?}");
        nothing_is_left(&ground);
        // Outside a jail a daemon does live on, and this test sees it.
        let mut control = std::process::Command::new("/bin/sh");
        control.args(["-c", &ground.fill("setsid sh -c 'sleep 60; : {TREE}' >/dev/null 2>&1 & sleep 1")]);
        assert!(control.status().unwrap().success());
        let left = processes_of(&ground);
        assert!(!left.is_empty());
        for pid in left {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }),
    ("endless output is cut", || {
        let ground = Ground::new();
        let script = "yes out & yes err >&2 & wait";
        let outcome =
            limited(&ground, "/bin/sh", &["-c", script], |limits| limits.output_bytes_max = 100_000);
        assert!(outcome.stdout.cut && outcome.stderr.cut);
        assert_eq!([outcome.stdout.bytes.len(), outcome.stderr.bytes.len()], [100_000, 100_000]);
        assert!(
            outcome.stdout.bytes.starts_with(b"out\nout\n") && outcome.stderr.bytes.starts_with(b"err\n")
        );
        let short = limited(&ground, "/bin/echo", &["12345"], |limits| limits.output_bytes_max = 6);
        assert!(!short.stdout.cut && short.stdout.bytes == b"12345\n");
    }),
    ("an endless file is cut", || {
        let ground = Ground::new();
        let big = ground.scratch.join("big");
        let of = format!("of={}", big.display());
        let outcome = limited(&ground, "/bin/dd", &["if=/dev/zero", &of, "bs=64k"], |limits| {
            limits.file_bytes_max = 1 << 20
        });
        assert_eq!(outcome.end, End::Exited(Exit::Signal(libc::SIGXFSZ)), "{}", text(&outcome));
        assert_eq!(fs::metadata(big).unwrap().len(), 1 << 20);
    }),
    ("memory is limited", || {
        let ground = Ground::new();
        let script = "try: x = bytearray(1 << 30)\nexcept MemoryError: print('no memory')\n";
        let less = |limits: &mut Limits| limits.memory_bytes_max = 512 << 20;
        let outcome = limited(&ground, "/usr/bin/python3", &["-c", script], less);
        assert!(text(&outcome).contains("no memory"), "{outcome:?}");
        assert!(!text(&limited(&ground, "/usr/bin/python3", &["-c", script], |_| ())).contains("no memory"));
    }),
    ("open files are limited, and limits stay", || {
        let ground = Ground::new();
        let script = "ulimit -n; ulimit -c; ulimit -n 4096 2>&1; ulimit -t unlimited 2>&1; ulimit -f unlimited 2>&1; ulimit -v unlimited 2>&1; true";
        let outcome = limited(&ground, "/bin/bash", &["-c", script], |limits| limits.open_files_max = 77);
        let text = text(&outcome);
        assert!(text.starts_with("77\n0\n"), "{text}");
        assert_eq!(text.matches("Operation not permitted").count(), 4, "{text}");
    }),
    ("a run, looked at from outside, on every thread of every process", || {
        let ground = Ground::new();
        let script = "import threading, time  # {TREE}\nfor _ in range(3): threading.Thread(target=time.sleep, args=(600,)).start()\n";
        let script = ground.fill(script);
        let tool = task(&ground.tree, &ground.scratch, "/usr/bin/python3", &["-c", &script]);
        let runner = std::thread::spawn(move || run(&launcher(), &tool).unwrap());
        let inspection = loop {
            let found = processes_of(&ground).first().and_then(|pid| inspect(pid.unsigned_abs()).ok());
            match found {
                // Three, and the first: all that it starts are there.
                Some(inspection) if inspection.threads.len() == 4 => break inspection,
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
            assert!(!runner.is_finished(), "it ended");
        };
        let inner = parent_of(inspection.pid);
        let outer = parent_of(inner);
        assert_eq!(parent_of(outer), std::process::id());
        let keeper = |pid| (Kind::ToolKeeper, inspect(pid).unwrap());
        for (kind, inspection) in [(Kind::Tool, inspection), keeper(inner), keeper(outer)] {
            assert_eq!(inspection.findings(kind, &[]), Vec::<String>::new(), "{kind:?}");
        }
        let pid = rustix::process::Pid::from_raw(processes_of(&ground)[0]).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(runner.join().unwrap().end, End::Exited(Exit::Signal(libc::SIGKILL)));
    }),
    ("the whole run ends with whoever asked for it", || {
        let ground = Ground::new();
        let mut asking = std::process::Command::new("/proc/self/exe")
            .args([crate::ASK, ground.tree.to_str().unwrap(), ground.scratch.to_str().unwrap()])
            .spawn()
            .unwrap();
        let until = |reached: &dyn Fn(usize) -> bool| {
            for _ in 0..600 {
                if reached(processes_of(&ground).len()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            panic!("{:?}", processes_of(&ground));
        };
        // Who asks has the tree in its command line too, and so has each of the shells.
        until(&|count| count >= 3);
        asking.kill().unwrap();
        asking.wait().unwrap();
        until(&|count| count == 0);
    }),
];

fn limited(ground: &Ground, program: &str, arguments: &[&str], change: fn(&mut Limits)) -> Outcome {
    let mut task: Task = task(&ground.tree, &ground.scratch, program, arguments);
    change(&mut task.limits);
    run(&launcher(), &task).unwrap()
}

/// What runs on this machine with the ground's tree in its command line.
fn processes_of(ground: &Ground) -> Vec<i32> {
    let marker = ground.tree.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(marker) {
            found.push(pid);
        }
    }
    found
}

fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn nothing_is_left(ground: &Ground) {
    // At once: the run's end is the end of all of it.
    assert_eq!(processes_of(ground), Vec::<i32>::new());
}

/// In the process that is killed: a tool that would run for long, with a child that would too.
pub(crate) fn ask() {
    let [tree, scratch] = [2, 3].map(|number| std::env::args().nth(number).unwrap());
    let script = format!("(sleep 600; : {tree}) & sleep 600; : {tree}");
    let _ = run(&launcher(), &task(tree.as_ref(), scratch.as_ref(), "/bin/sh", &["-c", &script]));
}
