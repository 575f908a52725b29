//! What tools are for: each does its ordinary work in the jail.

use jail::tool::{End, Outcome, Task, run};

use crate::{Test, ground::Ground, launcher, succeeded, task, text};

pub(crate) const TESTS: &[Test] = &[
    ("gcc compiles, links, and the program runs", || {
        let ground = Ground::new();
        ground.put("tree/answer.h", "#define ANSWER 42\n");
        ground.put(
            "tree/main.c",
            "#include <stdio.h>\n#include \"answer.h\"\nint main(void) { printf(\"%d\\n\", ANSWER); }\n",
        );
        works(&ground, "/usr/bin/gcc", &["-O2", "-Wall", "main.c", "-o", "{SCRATCH}/main"], "");
        let program = ground.fill("{SCRATCH}/main");
        let mut task = task(&ground.tree, &ground.scratch, &program, &[]);
        let error = run(&launcher(), &task).unwrap_err().to_string();
        assert!(error.contains("cannot execute it: Permission denied"), "{error}");
        task.scratch_executes = true;
        ends_well(&task, "42");
    }),
    ("gcc reads a program from standard input", || {
        let ground = Ground::new();
        let mut task =
            task(&ground.tree, &ground.scratch, "/usr/bin/gcc", &["-fsyntax-only", "-x", "c", "-"]);
        task.stdin = Some(b"int main(void) { return unknown; }\n".to_vec());
        let outcome = run(&launcher(), &task).unwrap();
        assert_eq!(outcome.end, End::Exited(jail::spawn::Exit::Code(1)));
        let said = text(&outcome);
        assert!(said.contains("<stdin>:1:25: error:") && said.contains("undeclared"), "{said}");
    }),
    ("g++ compiles", || {
        let ground = Ground::new();
        ground
            .put("tree/main.cpp", "#include <vector>\nint main() { return std::vector<int>{0}.front(); }\n");
        works(&ground, "/usr/bin/g++", &["-std=c++20", "-c", "main.cpp", "-o", "{SCRATCH}/main.o"], "");
    }),
    ("as assembles", || {
        let ground = Ground::new();
        ground.put("tree/main.s", "\t.globl main\nmain:\n\tret\n");
        works(&ground, "/usr/bin/as", &["main.s", "-o", "{SCRATCH}/main.o"], "");
    }),
    ("gnat checks and gnatmake builds Ada", || {
        let ground = Ground::new();
        ground.put(
            "tree/answers.ads",
            "package Answers is\n   Answer : constant Integer := 42;\nend Answers;\n",
        );
        ground.put(
            "tree/main.adb",
            "with Ada.Text_IO; with Answers;\nprocedure Main is\nbegin\n   Ada.Text_IO.Put_Line (Answers.Answer'Image);\nend Main;\n",
        );
        works(
            &ground,
            "/usr/bin/gcc",
            &["-c", "-gnatc", "-gnatwa", "main.adb", "-o", "{SCRATCH}/main.o"],
            "",
        );
        works(&ground, "/bin/sh", &["-c", "cd {SCRATCH} && gnatmake -q {TREE}/main.adb"], "");
        let mut task = task(&ground.tree, &ground.scratch, &ground.fill("{SCRATCH}/main"), &[]);
        task.scratch_executes = true;
        ends_well(&task, "42");
    }),
    ("gprbuild builds a project", || {
        let ground = Ground::new();
        ground.put(
            "tree/main.gpr",
            "project Main is\n   for Main use (\"main.adb\");\n   for Object_Dir use \"{SCRATCH}\";\n   for Exec_Dir use \"{SCRATCH}\";\nend Main;\n",
        );
        ground.put("tree/main.adb", "procedure Main is\nbegin\n   null;\nend Main;\n");
        works(&ground, "/usr/bin/gprbuild", &["-P", "main.gpr"], "[link]");
    }),
    ("ghdl analyses and simulates VHDL", || {
        let ground = Ground::new();
        ground.put(
            "tree/bench.vhd",
            "entity bench is end;\narchitecture a of bench is\nbegin\n  process begin report \"the answer is\" & integer'image(42); wait; end process;\nend;\n",
        );
        works(&ground, "/usr/bin/ghdl", &["-a", "--std=08", "--workdir={SCRATCH}", "bench.vhd"], "");
        works(
            &ground,
            "/usr/bin/ghdl",
            &["-r", "--std=08", "--workdir={SCRATCH}", "bench"],
            "the answer is42",
        );
    }),
    ("iverilog compiles and vvp simulates Verilog", || {
        let ground = Ground::new();
        ground.put("tree/bench.v", "module bench; initial $display(\"%0d\", 6 * 7); endmodule\n");
        works(&ground, "/usr/bin/iverilog", &["-g2012", "-o", "{SCRATCH}/bench.vvp", "bench.v"], "");
        works(&ground, "/usr/bin/vvp", &["-n", "{SCRATCH}/bench.vvp"], "42");
    }),
    ("make runs a compiler in parallel", || {
        let ground = Ground::new();
        ground.put(
            "tree/Makefile",
            "all: $(foreach n,1 2 3 4,{SCRATCH}/$(n).o)\n{SCRATCH}/%.o: one.c\n\tgcc -c $< -o $@\n",
        );
        ground.put("tree/one.c", "int one(void) { return 1; }\n");
        works(&ground, "/usr/bin/make", &["-j4"], "gcc -c one.c");
    }),
    ("git commits, branches and shows", || {
        let ground = Ground::new();
        ground.put("tree/file", "content\n");
        let script = "set -e; cd {SCRATCH}; git init -q repository; cd repository; cp {TREE}/file .; git add file; \
             git -c user.name=n -c user.email=e@example.org commit -qm first; git switch -qc other; git log --oneline; git gc -q; \
             git clone -q . ../clone; cat ../clone/file";
        works(&ground, "/bin/sh", &["-c", script], "content");
    }),
    ("python runs, with processes and a pool", || {
        let ground = Ground::new();
        let script = "import subprocess, tempfile, json, hashlib, threading\n\
             print(subprocess.run(['echo', 'from a child'], capture_output=True, text=True).stdout)\n\
             with tempfile.NamedTemporaryFile() as file: file.write(b'x')\n\
             t = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()\n";
        works(&ground, "/usr/bin/python3", &["-c", script], "from a thread");
    }),
    ("two runs at once do not meet", || {
        let ground = Ground::new();
        let sleep = task(&ground.tree, &ground.scratch, "/bin/sh", &["-c", "sleep 1; echo $$"]);
        let other = sleep.clone();
        let thread = std::thread::spawn(move || run(&launcher(), &other).unwrap());
        let here = run(&launcher(), &sleep).unwrap();
        // Each counts its processes from its own first one: the keeper is 1, the shell 2.
        assert_eq!([text(&here), text(&thread.join().unwrap())], ["2\n", "2\n"]);
    }),
    ("a tool is run by a process that has no network already", || {
        let ground = Ground::new();
        // As root, and as a user who needs a user namespace for that, and another for the run.
        let how: &[&str] =
            if rustix::process::geteuid().is_root() { &["-n"] } else { &["-U", "--map-current-user", "-n"] };
        // A copy, since a target folder often lies where only root may go.
        let program = ground.outside.join("program");
        std::fs::copy("/proc/self/exe", &program).unwrap();
        let output = std::process::Command::new("/usr/bin/unshare")
            .args(how)
            .arg(&program)
            .args([crate::ONCE, ground.tree.to_str().unwrap(), ground.scratch.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said == "from a tool\n",
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }),
    ("a program finds itself, and nothing else in /proc", || {
        let ground = Ground::new();
        let script = ground.fill(
            "readlink /proc/self/exe; cat /proc/self/environ; ls /proc; cat /proc/1/cmdline; readlink /proc/1/exe; \
             readlink /proc/{PARENT}/exe; echo 1 > /proc/sys/kernel/pid_max; echo c > /proc/self/comm; true",
        );
        let mut tool = task(&ground.tree, &ground.scratch, "/bin/sh", &["-c", &script]);
        let outcome = ends_well(&tool, "ls: cannot access '/proc'");
        assert!(outcome.stdout.bytes.is_empty(), "{}", text(&outcome));
        tool.finds_itself = true;
        let outcome = match run(&launcher(), &tool) {
            Err(error)
                if error.to_string().contains("a container that hides parts of its own forbids that") =>
            {
                println!("NOT TRIED: {error}");
                return;
            }
            outcome => outcome.unwrap(),
        };
        assert_eq!(outcome.stdout.bytes, b"/usr/bin/readlink\n", "{}", text(&outcome));
        let said = text(&outcome);
        for expected in [
            "cat: /proc/self/environ: Permission denied",
            "ls: cannot open directory '/proc': Permission denied",
            "cat: /proc/1/cmdline: No such file or directory",
            "cannot create /proc/sys/kernel/pid_max: Directory nonexistent",
            "cannot create /proc/self/comm: ",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }),
    ("the environment is what was given", || {
        let ground = Ground::new();
        let outcome = run(&launcher(), &task(&ground.tree, &ground.scratch, "/usr/bin/env", &[])).unwrap();
        let all = text(&outcome);
        let mut names: Vec<&str> = all.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["GIT_TERMINAL_PROMPT", "HOME", "LANG", "PATH", "TMPDIR"]);
    }),
    ("what cannot be granted is refused", || {
        let ground = Ground::new();
        let refused = |change: &dyn Fn(&mut Task), expected: &str| {
            let mut task = task(&ground.tree, &ground.scratch, "/bin/true", &[]);
            change(&mut task);
            let error = run(&launcher(), &task).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        };
        refused(&|task| task.program = "/bin/no-such-program".into(), "cannot execute it: No such file");
        refused(&|task| task.read_only.push("/nonexistent".into()), "cannot grant /nonexistent");
        refused(&|task| task.read_only.push("relative".into()), "cannot grant relative");
        refused(&|task| task.read_only.push("/".into()), "cannot grant");
        refused(&|task| task.read_only.push("/proc/self".into()), "nor in /proc");
        refused(&|task| task.read_only.push(ground.scratch.join("inner")), "in no other granted path");
        refused(&|task| task.scratch = "/etc/hostname".into(), "cannot grant /etc/hostname");
        refused(&|task| task.directory = ground.outside.clone(), "cannot enter the tool's directory");
        refused(&|task| task.arguments.push("zero\0byte".into()), "holds a zero byte");
        let link = ground.outside.join("link");
        std::os::unix::fs::symlink(&ground.scratch, &link).unwrap();
        refused(&|task| task.scratch = link.clone(), "without a symbolic link");
    }),
];

/// The tool ends well and says so.
fn works(ground: &Ground, program: &str, arguments: &[&str], says: &str) {
    let filled: Vec<String> = arguments.iter().map(|argument| ground.fill(argument)).collect();
    let words: Vec<&str> = filled.iter().map(String::as_str).collect();
    ends_well(&task(&ground.tree, &ground.scratch, program, &words), says);
}

fn ends_well(task: &Task, says: &str) -> Outcome {
    let outcome = run(&launcher(), task).unwrap();
    assert!(succeeded(&outcome), "{:?}: {}", outcome.end, text(&outcome));
    assert!(text(&outcome).contains(says), "{}", text(&outcome));
    outcome
}

/// In a process of its own: one tool, whose output it passes on.
pub(crate) fn once() {
    let [tree, scratch] = [2, 3].map(|number| std::env::args().nth(number).unwrap());
    let tool = task(tree.as_ref(), scratch.as_ref(), "/bin/echo", &["from a tool"]);
    print!("{}", text(&run(&launcher(), &tool).unwrap()));
}
