//! `cargo xtask demo`: the main job from end to end on a real model, command by command.
//!
//! Every command is echoed as a person would type it, so that all of it can be repeated by hand.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    build::Build,
    failure::{During as _, Failure},
    fetch,
    places::Places,
    process::{quoted, succeeds, words},
    setup::Setup,
    test_models,
};

/// Shows the main job on a real model: complete, ask, explain, verify; every command is echoed.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Leave the folder with the data directory and the sources in place.
    #[arg(long)]
    keep: bool,
}

const SPECIFICATION: &str = include_str!("demo/stacks.ads");
const BODY: &str = include_str!("demo/stacks.adb");
/// Where the completion goes, in [`BODY`].
const HOLE: &str = "@HOLE@";

/// A daemon that is not ready by then will not be.
const READY_AFTER_MAX: Duration = Duration::from_secs(60);
/// A daemon that was told to stop writes its last checkpoint.
const STOPPED_AFTER_MAX: Duration = Duration::from_secs(20);
/// The end of the daemon's log that is shown when it fails.
const LOG_LINES: usize = 30;

impl Demo {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let start = Instant::now();
        Setup {}.run()?;
        let model = fetch::model_path(places, test_models::DEMONSTRATION)?;
        Build {}.run(places)?;
        let prepared = start.elapsed();

        let folder = tempfile::Builder::new()
            .prefix("cloister-demo-")
            .disable_cleanup(self.keep)
            .tempdir()
            .during(|| "a folder for the demonstration".to_owned())?;
        Stage::new(places, &folder)?.play(&model)?;
        if self.keep {
            println!("\nkept: {}", folder.path().display());
        }
        println!(
            "\n{:.1} s in all: {:.1} s to install, fetch and build, {:.1} s for the above",
            start.elapsed().as_secs_f64(),
            prepared.as_secs_f64(),
            (start.elapsed() - prepared).as_secs_f64()
        );
        Ok(())
    }
}

/// What the commands share.
struct Stage {
    data: PathBuf,
    source: PathBuf,
    /// Set for each command, and shown once.
    exports: Vec<(&'static str, OsString)>,
}

impl Stage {
    fn new(places: &Places, folder: &TempDir) -> Result<Stage, Failure> {
        let (data, source) = (folder.path().join("data"), folder.path().join("source"));
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([places.release()].into_iter().chain(env::split_paths(&path)))
            .during(|| "PATH".to_owned())?;
        let mut server = OsString::from("unix:");
        server.push(data.join("run/cloister.sock"));
        let exports = vec![
            ("PATH", path),
            ("CLOISTER_DATA", data.clone().into_os_string()),
            ("CLOISTER_SERVER", server),
            // Receipts of a demonstration do not belong among a person's own.
            ("XDG_STATE_HOME", folder.path().join("state").into_os_string()),
        ];
        println!("\n$ export PATH={}:$PATH", quoted(places.release().as_os_str()));
        for (name, value) in &exports[1..] {
            println!("$ export {name}={}", quoted(value));
        }
        Ok(Stage { data, source, exports })
    }

    fn play(&self, model: &Path) -> Result<(), Failure> {
        title("A data directory, and a model in it");
        self.run("cloisterd", ["init"])?;
        let import = [OsStr::new("model"), "import".as_ref(), model.as_ref(), "--name".as_ref()];
        self.run("cloisterd", import.into_iter().chain(["coder", "--unsigned"].map(OsStr::new)))?;

        title("Two persons approve it");
        self.admit()?;

        title("The daemon");
        let mut daemon = self.serve()?;
        let result = self.use_daemon(&mut daemon);
        if result.is_err() {
            daemon.show_log();
        }
        title("The daemon stops");
        let stopped = daemon.stop();
        result.and(stopped)?;

        title("The whole ledger, without the daemon");
        let (ledger, policy) = (self.data.join("ledger"), self.data.join("log.policy"));
        let key = self.data.join("keys/body.key");
        self.run(
            "cloister",
            [
                OsStr::new("ledger"),
                "verify".as_ref(),
                ledger.as_ref(),
                "--policy".as_ref(),
                policy.as_ref(),
                "--body-key".as_ref(),
                key.as_ref(),
            ],
        )
    }

    /// The keys are made here; people have theirs, in files, on tokens or on cards.
    fn admit(&self) -> Result<(), Failure> {
        let file = |name: &str| self.source.join(name).into_os_string();
        fs::create_dir_all(&self.source).during(|| self.source.display().to_string())?;
        let (request, mut promote) = (file("promotion"), vec!["model".into(), "promote".into()]);
        for person in ["ada", "grace"] {
            self.run(
                "ssh-keygen",
                [
                    "-q".into(),
                    "-t".into(),
                    "ed25519".into(),
                    "-N".into(),
                    "".into(),
                    "-f".into(),
                    file(person),
                ],
            )?;
            self.run("cloisterd", ["user", "add", person])?;
            self.run(
                "cloisterd",
                ["user".into(), "enrol-key".into(), person.into(), file(&format!("{person}.pub"))],
            )?;
        }
        self.run(
            "cloisterd",
            [
                "model".into(),
                "request".into(),
                "promotion".into(),
                "coder".into(),
                "--out".into(),
                request.clone(),
            ],
        )?;
        self.run("cat", [&request])?;
        promote.push(request.clone());
        for person in ["ada", "grace"] {
            let signed = file(&format!("promotion.{person}"));
            self.run("cp", [&request, &signed])?;
            self.run(
                "ssh-keygen",
                [
                    "-q".into(),
                    "-Y".into(),
                    "sign".into(),
                    "-n".into(),
                    "model@cloister".into(),
                    "-f".into(),
                    file(person),
                    signed,
                ],
            )?;
            promote.extend(["--approval".into(), file(&format!("promotion.{person}.sig"))]);
        }
        self.run("cloisterd", promote)?;
        self.run("cloisterd", ["model", "deploy", "coder", "coder"])
    }

    fn use_daemon(&self, daemon: &mut Daemon) -> Result<(), Failure> {
        self.wait_until_ready(daemon)?;
        self.run("cloister", ["status"])?;

        title("An Ada body with a hole");
        let (line, column) = self.write_sources()?;
        let body = self.source.join("stacks.adb");
        self.run("cat", [&body])?;
        println!("(the hole is at {line}:{column})");

        title("The model fills it in");
        let mut place = body.clone().into_os_string();
        place.push(format!(":{line}:{column}"));
        let completion = self.run_for_record(
            "cloister",
            // The body ends where the subprogram does.
            [OsStr::new("complete"), &place, "--stop".as_ref(), r"\n   end ".as_ref(), "--apply".as_ref()],
        )?;
        self.run("cat", [&body])?;

        title("The compiler looks at it");
        self.compile()?;

        title("A question about it");
        let question = "In two sentences: what does Pop do when the stack is empty, and how is that shown to the caller?";
        let answer = self.run_for_record(
            "cloister",
            [OsStr::new("ask"), "--file".as_ref(), body.as_ref(), question.as_ref()],
        )?;

        title("What is on record about both");
        self.run("cloister", ["explain", &completion])?;
        self.run("cloister", ["explain", &answer])?;

        title("The jails, tried from inside");
        self.run("cloisterd", ["jail", "probe"])
    }

    fn command<A: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.exports.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<(), Failure> {
        let mut command = self.command(program, arguments);
        println!("$ {}", words(&command));
        let status = command.status().during(|| words(&command))?;
        if status.success() { Ok(()) } else { Err(failed(&command, &status.to_string())) }
    }

    /// Runs a command that ends with `[record N …` on stderr, and returns that number.
    fn run_for_record<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, Failure> {
        let mut command = self.command(program, arguments);
        println!("$ {}", words(&command));
        let mut child = command.stderr(Stdio::piped()).spawn().during(|| words(&command))?;
        let mut record = None;
        for line in BufReader::new(child.stderr.take().expect("stderr is piped")).lines() {
            let line = line.during(|| words(&command))?;
            eprintln!("{line}");
            record = record_of(&line).or(record);
        }
        let status = child.wait().during(|| words(&command))?;
        if !status.success() {
            return Err(failed(&command, &status.to_string()));
        }
        record.ok_or_else(|| failed(&command, "it named no record"))
    }

    fn serve(&self) -> Result<Daemon, Failure> {
        let log = self.data.with_file_name("serve.log");
        let file = File::create(&log).during(|| log.display().to_string())?;
        let stdout = file.try_clone().during(|| log.display().to_string())?;
        let mut command = self.command("cloisterd", ["serve"]);
        command.stdin(Stdio::null()).stdout(stdout).stderr(file);
        println!("$ {} > {} 2>&1 &", words(&command), quoted(log.as_os_str()));
        let child = command.spawn().during(|| words(&command))?;
        Ok(Daemon { child, log })
    }

    fn wait_until_ready(&self, daemon: &mut Daemon) -> Result<(), Failure> {
        let start = Instant::now();
        while !succeeds(&mut self.command("cloister", ["status"])) {
            if let Some(status) = daemon.child.try_wait().during(|| "cloisterd serve".to_owned())? {
                return Err(Failure::new(format!("the daemon ended before it was ready: {status}")));
            }
            if start.elapsed() > READY_AFTER_MAX {
                return Err(Failure::new(format!("the daemon is not ready after {READY_AFTER_MAX:?}")));
            }
            thread::sleep(Duration::from_millis(100));
        }
        println!("ready after {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Writes the sources and returns the hole's line and column.
    fn write_sources(&self) -> Result<(usize, usize), Failure> {
        let write = |name: &str, text: &str| {
            let path = self.source.join(name);
            File::create(&path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .during(|| path.display().to_string())
        };
        std::fs::create_dir_all(&self.source).during(|| self.source.display().to_string())?;
        let (text, line, column) = without_hole(BODY);
        write("stacks.ads", SPECIFICATION)?;
        write("stacks.adb", &text)?;
        Ok((line, column))
    }

    /// Says whether the compiler accepts the body: either is an answer, and neither is hidden.
    fn compile(&self) -> Result<(), Failure> {
        let mut command = self.command("gcc", ["-c", "-gnatc", "-gnatwa", "stacks.adb"]);
        command.current_dir(&self.source);
        println!("$ (cd {} && {})", quoted(self.source.as_os_str()), words(&command));
        let status = command.status().during(|| words(&command))?;
        println!(
            "{}",
            if status.success() {
                "gcc -gnatc: ACCEPTED"
            } else {
                "gcc -gnatc: NOT ACCEPTED; what the model wrote is no legal Ada here"
            }
        );
        Ok(())
    }
}

/// The running daemon. It does not outlive the demonstration.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn stop(&mut self) -> Result<(), Failure> {
        let mut kill = Command::new("kill");
        kill.arg(self.child.id().to_string());
        println!("$ {}", words(&kill));
        kill.status().during(|| words(&kill))?;
        let start = Instant::now();
        while start.elapsed() < STOPPED_AFTER_MAX {
            if self.child.try_wait().during(|| "cloisterd serve".to_owned())?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.show_log();
        Err(Failure::new(format!("the daemon did not stop within {STOPPED_AFTER_MAX:?}")))
    }

    fn show_log(&self) {
        let mut text = String::new();
        if File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text)).is_ok() {
            let lines: Vec<&str> = text.lines().collect();
            println!("--- the end of {}", self.log.display());
            lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).for_each(|line| println!("{line}"));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Without effect on one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn failed(command: &Command, how: &str) -> Failure {
    Failure::new(format!("`{}` failed: {how}", words(command)))
}

/// The number in a closing line, `[record 12 · coder · …]`.
fn record_of(line: &str) -> Option<String> {
    let rest = line.strip_prefix("[record ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// The text without its hole, and the hole's line and column, from 1.
fn without_hole(text: &str) -> (String, usize, usize) {
    let before = text.split(HOLE).next().unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (text.replacen(HOLE, "", 1), before.lines().count(), before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_hole_is_found() {
        assert_eq!(without_hole("a\n  @HOLE@\nb"), ("a\n  \nb".to_owned(), 2, 3));
        let (text, line, column) = without_hole(BODY);
        assert_eq!(text.lines().nth(line - 1), Some(" ".repeat(column - 1).as_str()));
    }

    /// Programs that answer as the real ones do, to see that the commands fit together.
    #[test]
    fn the_play_goes_through_and_the_daemon_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let places = Places { root: root.into(), target: root.into(), cache: root.into() };
        let ready = root.join("ready");
        let program = |name: &str, script: &str| {
            let path = places.release().join(name);
            std::fs::create_dir_all(places.release()).unwrap();
            File::create(&path).unwrap().write_all(format!("#!/bin/sh\n{script}").as_bytes()).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        };
        program(
            "cloisterd",
            &format!(
                "echo \"cloisterd $*\" >> {0}/seen\ncase $1 in\ninit) mkdir \"$CLOISTER_DATA\";;\n\
                 model) test $2 = request && for out; do :; done && echo text > \"$out\"; true;;\n\
                 serve) trap 'rm {0}/ready; exit 0' TERM; touch {0}/ready; while :; do sleep 0.01; done;;\nesac\n",
                root.display()
            ),
        );
        program(
            "cloister",
            &format!(
                "test \"$1\" = ledger || test -e {0}/ready || exit 1\n\
                 test \"$1\" = status || echo \"cloister $1 $2\" >> {0}/seen\n\
                 case $1 in\ncomplete) echo '[record 3 · coder]' >&2;;\nask) echo '[record 5]' >&2;;\nesac\n",
                root.display()
            ),
        );
        let stage_folder = tempfile::tempdir().unwrap();
        Stage::new(&places, &stage_folder).unwrap().play(Path::new("/m.gguf")).unwrap();

        assert!(!ready.exists(), "the daemon was told to stop and could");
        let seen = std::fs::read_to_string(root.join("seen")).unwrap();
        let stage = stage_folder.path().display();
        let expected = format!(
            "cloisterd init\ncloisterd model import /m.gguf --name coder --unsigned\n\
             cloisterd user add ada\ncloisterd user enrol-key ada {stage}/source/ada.pub\n\
             cloisterd user add grace\ncloisterd user enrol-key grace {stage}/source/grace.pub\n\
             cloisterd model request promotion coder --out {stage}/source/promotion\n\
             cloisterd model promote {stage}/source/promotion --approval {stage}/source/promotion.ada.sig \
             --approval {stage}/source/promotion.grace.sig\n\
             cloisterd model deploy coder coder\ncloisterd serve\n\
             cloister complete {stage}/source/stacks.adb:18:7\ncloister ask --file\n\
             cloister explain 3\ncloister explain 5\ncloisterd jail probe\n\
             cloister ledger verify\n"
        );
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_closing_line_names_its_record() {
        assert_eq!(record_of("[record 12 · coder · prompt 3 tokens]"), Some("12".to_owned()));
        assert_eq!(record_of("[no record]"), None);
    }
}
