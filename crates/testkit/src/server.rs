//! A real server in a directory of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::persons::Approvers;
use crate::{Failure, http, places};

/// What approvals of models are made for.
pub const MODEL_NAMESPACE: &str = "model@cloister";

/// A server loads its model and answers within this.
const START_WAIT_MAX: Duration = Duration::from_secs(60);
const STOP_WAIT_MAX: Duration = Duration::from_secs(30);

/// A port of the loopback that nobody listens on.
pub fn free_port() -> Result<u16, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A data directory, and the daemon on it while it runs.
#[derive(Debug)]
pub struct Server {
    root: tempfile::TempDir,
    daemon: Option<Child>,
    /// A directory that another file system is mounted on.
    mounted: Option<PathBuf>,
    /// Whether its programs can leave a layer of their jails out.
    weakened: bool,
}

impl Server {
    /// A new data directory with a model as deployment `coder`, admitted by two persons; not running yet.
    pub fn new(model: &str, deploy_arguments: &[&str]) -> Result<Server, Failure> {
        Server::empty()?.with(model, deploy_arguments)
    }

    /// The same, of programs that can leave a layer of their jails out: [`Server::start_without`].
    pub fn weakened(model: &str) -> Result<Server, Failure> {
        Server::initialised(tempfile::tempdir()?, true)?.with(model, &[])
    }

    fn with(self, model: &str, deploy_arguments: &[&str]) -> Result<Server, Failure> {
        let server = self;
        let approvers = Approvers::enrolled(&server)?;
        let model = places::model(model)?;
        let path = model.to_str().ok_or("the model's path is not UTF-8")?;
        server.cloisterd(&["model", "import", path, "--unsigned", "--name", "coder"])?;
        server.promote(&approvers, "coder")?;
        let mut arguments = vec!["model", "deploy", "coder", "coder"];
        arguments.extend(deploy_arguments);
        server.cloisterd(&arguments)?;
        Ok(server)
    }

    /// Has two persons approve an object of the vault.
    pub fn promote(&self, approvers: &Approvers, object: &str) -> Result<(), Failure> {
        let request = self.root().join(format!("promotion-of-{object}"));
        let path = request.to_str().ok_or("the path is not UTF-8")?;
        self.cloisterd(&["model", "request", "promotion", object, "--out", path])?;
        let signatures = approvers.sign(MODEL_NAMESPACE, &request)?;
        let mut arguments = vec!["model", "promote", path];
        signatures.iter().for_each(|signature| arguments.extend(["--approval", signature]));
        self.cloisterd(&arguments)?;
        Ok(())
    }

    /// A new data directory without a deployment.
    pub fn empty() -> Result<Server, Failure> {
        Server::initialised(tempfile::tempdir()?, false)
    }

    /// The same as [`Server::new`], in a folder below this one.
    pub fn new_in(place: &Path, model: &str, deploy_arguments: &[&str]) -> Result<Server, Failure> {
        Server::initialised(tempfile::tempdir_in(place)?, false)?.with(model, deploy_arguments)
    }

    fn initialised(root: tempfile::TempDir, weakened: bool) -> Result<Server, Failure> {
        let server = Server { root, daemon: None, mounted: None, weakened };
        server.cloisterd(&["init"])?;
        Ok(server)
    }

    fn daemon_command(&self) -> Result<Command, Failure> {
        if !self.weakened {
            return Ok(Command::new(places::program("cloisterd")?));
        }
        let mut command = Command::new(places::weakened("cloisterd")?);
        command.env("CLOISTER_ENGINE", places::weakened("cloister-engine")?);
        Ok(command)
    }

    /// The same, running.
    pub fn started(model: &str) -> Result<Server, Failure> {
        let mut server = Server::new(model, &[])?;
        server.start()?;
        Ok(server)
    }

    /// The same, over TCP too, with a person `ada`: its address, and her token.
    pub fn with_token(model: &str, deploy_arguments: &[&str]) -> Result<(Server, String, String), Failure> {
        let mut server = Server::new(model, deploy_arguments)?;
        let port = free_port()?;
        server.configure(&format!("[server]\ntcp = \"127.0.0.1:{port}\"\n"))?;
        server.cloisterd(&["user", "add", "ada"])?;
        let token = server.cloisterd(&["token", "issue", "ada", "--note", "test"])?.trim().to_owned();
        server.start()?;
        Ok((server, format!("http://127.0.0.1:{port}"), token))
    }

    /// The same, not running, with its ledger on another file system.
    pub fn new_with_ledger(model: &str, disk: &Path) -> Result<Server, Failure> {
        let mut server = Server::new(model, &[])?;
        let (ledger, moved) = (server.data().join("ledger"), disk.join("ledger"));
        let status = Command::new("cp").arg("-aT").args([&ledger, &moved]).status()?;
        if !status.success() {
            return Err("the ledger could not be copied".into());
        }
        std::fs::remove_dir_all(&ledger)?;
        std::fs::create_dir(&ledger)?;
        let status = Command::new("mount").arg("--bind").args([&moved, &ledger]).status()?;
        if !status.success() {
            return Err("a bind mount failed: this test needs root".into());
        }
        server.mounted = Some(ledger);
        Ok(server)
    }

    /// A folder of this server's own; the data directory is in it.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The users' socket.
    pub fn socket(&self) -> PathBuf {
        self.data().join("run/cloister.sock")
    }

    /// Writes the configuration file.
    pub fn configure(&self, text: &str) -> Result<(), Failure> {
        use std::io::Write;
        File::create(self.data().join("cloister.toml"))?.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self) -> Result<(), Failure> {
        self.spawn(self.daemon_command()?)
    }

    /// Starts it with a layer of every jail left out, by the layer's name. Only for a weakened one.
    pub fn start_without(&mut self, layer: &str) -> Result<(), Failure> {
        let mut command = self.daemon_command()?;
        command.env("CLOISTER_TEST_WITHOUT", layer);
        self.spawn(command)
    }

    /// Starts it under another program, as a tracer; its arguments come first.
    pub fn start_under(&mut self, mut tracer: Command) -> Result<(), Failure> {
        tracer.arg(places::program("cloisterd")?);
        self.spawn(tracer)
    }

    fn spawn(&mut self, mut command: Command) -> Result<(), Failure> {
        let log = File::options().create(true).append(true).open(self.root.path().join("log"))?;
        command.arg("--data").arg(self.data()).arg("serve");
        self.daemon = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        self.wait_until_up()
    }

    /// Waits until the server answers and all deployments have a worker.
    pub fn wait_until_up(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_WAIT_MAX;
        loop {
            if http::get(&self.socket(), "/health").is_ok_and(|response| response.status == 200) {
                return Ok(());
            }
            let ended = self.daemon.as_mut().and_then(|daemon| daemon.try_wait().ok()).flatten();
            if let Some(status) = ended {
                return Err(format!("the daemon ended with {status}:\n{}", self.log()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("the daemon is not up after {START_WAIT_MAX:?}:\n{}", self.log()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the processes said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// The daemon's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// The gateway's or worker's process, by its name.
    pub fn child_pid(&self, name: &str) -> Result<u32, Failure> {
        let parent = self.pid().ok_or("the daemon does not run")?;
        children(parent)?
            .into_iter()
            .find(|&pid| command_name(pid).is_some_and(|known| known == name))
            .ok_or_else(|| format!("the daemon has no child {name}").into())
    }

    /// How many processes of that name the daemon has.
    pub fn children_named(&self, name: &str) -> Result<usize, Failure> {
        let children = children(self.pid().ok_or("the daemon does not run")?)?;
        Ok(children.iter().filter(|&&pid| command_name(pid).is_some_and(|known| known == name)).count())
    }

    /// Stops the daemon as an administrator would.
    pub fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        signal("TERM", daemon.id())?;
        let deadline = Instant::now() + STOP_WAIT_MAX;
        while Instant::now() < deadline {
            if let Some(status) = daemon.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("the daemon stopped with {status}:\n{}", self.log()).into())
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon.kill()?;
        daemon.wait()?;
        Err(format!("the daemon did not stop:\n{}", self.log()).into())
    }

    /// Stops a daemon that runs under a tracer: the signal is for the traced one.
    pub fn stop_traced(&mut self) -> Result<(), Failure> {
        let tracer = self.pid().ok_or("the daemon does not run")?;
        let traced = children(tracer)?
            .into_iter()
            .find(|&pid| command_name(pid).is_some_and(|name| name.ends_with("cloisterd")));
        signal("TERM", traced.ok_or("the tracer has no daemon")?)?;
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        daemon.wait()?;
        Ok(())
    }

    /// Kills the daemon as a power failure would, and waits until its children are gone too.
    pub fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let orphans = children(daemon.id())?;
        daemon.kill()?;
        daemon.wait()?;
        let deadline = Instant::now() + STOP_WAIT_MAX;
        while orphans.iter().any(|&pid| is_running(pid)) {
            if Instant::now() > deadline {
                return Err("a child outlived the daemon".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Runs an administration command; its standard output. A failing one is an error with its words.
    pub fn cloisterd(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.cloisterd_output(arguments)?;
        succeeded("cloisterd", arguments, &output)
    }

    /// Runs an administration command, whatever comes of it. One that does not end fails: a daemon that serves where
    /// it should refuse would keep the tests waiting for ever.
    pub fn cloisterd_output(&self, arguments: &[&str]) -> Result<Output, Failure> {
        const SECONDS: &str = "600";
        const TIMED_OUT: i32 = 124;
        let command = self.daemon_command()?;
        let mut bounded = Command::new("timeout");
        bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        bounded.arg(SECONDS).arg(command.get_program()).arg("--data").arg(self.data()).args(arguments);
        let output = bounded.stdin(Stdio::null()).output()?;
        if output.status.code() == Some(TIMED_OUT) {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cloisterd {} ran for {SECONDS} s:\n{words}", arguments.join(" ")).into());
        }
        Ok(output)
    }

    /// Runs a people's command against this server, whatever comes of it.
    pub fn cloister_output(&self, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = Command::new(places::program("cloister")?);
        command.env("CLOISTER_SERVER", format!("unix:{}", self.socket().display()));
        command.env("XDG_STATE_HOME", self.root.path().join("state")).stdin(Stdio::null());
        Ok(command.args(arguments).output()?)
    }

    /// Runs a people's command against this server; its standard output.
    pub fn cloister(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.cloister_output(arguments)?;
        succeeded("cloister", arguments, &output)
    }

    /// Runs a people's command over TCP, as whoever has the token, whatever comes of it.
    pub fn cloister_as(&self, url: &str, token: &str, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = Command::new(places::program("cloister")?);
        command.env("CLOISTER_SERVER", url).env("CLOISTER_TOKEN", token);
        command.env("XDG_STATE_HOME", self.root.path().join("state")).stdin(Stdio::null());
        Ok(command.args(arguments).output()?)
    }

    /// The receipts that this server's `cloister` kept.
    pub fn receipts(&self) -> PathBuf {
        self.root.path().join("state/cloister/receipts.jsonl")
    }

    /// `cloister ledger verify` with the bodies opened; its report. The daemon may run or not.
    pub fn verify(&self) -> Result<Value, Failure> {
        let data = self.data();
        let text = |path: PathBuf| path.to_str().map(str::to_owned).ok_or("a path is not UTF-8");
        let (ledger, policy, key) =
            (text(data.join("ledger"))?, text(data.join("log.policy"))?, text(data.join("keys/body.key"))?);
        let report =
            self.cloister(&["ledger", "verify", &ledger, "--policy", &policy, "--body-key", &key, "--json"])?;
        Ok(serde_json::from_str(&report)?)
    }

    /// Stops the daemon; its whole ledger verifies.
    pub fn end(mut self) -> Result<(), Failure> {
        self.stop()?;
        let report = self.verify()?;
        if report["verdict"] == "passed" { Ok(()) } else { Err(report.to_string().into()) }
    }

    /// A record with its body and what names it.
    pub fn show(&self, record: u64) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.cloisterd(&["ledger", "show", &record.to_string()])?)?)
    }

    /// Runs all answered records again; an error, with what differs, when anything does.
    pub fn replay_all(&self) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.cloisterd(&["replay", "--since", "1970-01-01", "--json"])?)?)
    }

    /// Runs that many records again, drawn by lot; an error when any differs.
    pub fn replay_sample(&self, count: u64) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.cloisterd(&["replay", "--sample", &count.to_string(), "--json"])?)?)
    }

    /// Runs a record again; an error when anything differs.
    pub fn replay(&self, record: u64) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.cloisterd(&["replay", &record.to_string(), "--json"])?)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _best_effort = self.kill();
        if let Some(mounted) = &self.mounted {
            let _best_effort = Command::new("umount").arg("-l").arg(mounted).status();
        }
    }
}

fn succeeded(program: &str, arguments: &[&str], output: &Output) -> Result<String, Failure> {
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout.clone())?);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let data = String::from_utf8_lossy(&output.stdout);
    Err(format!("{program} {} failed with {}:\n{data}{words}", arguments.join(" "), output.status).into())
}

/// Sends a signal, by name, as `kill` does.
pub fn signal(name: &str, pid: u32) -> Result<(), Failure> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    if status.success() { Ok(()) } else { Err(format!("no process {pid}").into()) }
}

fn children(pid: u32) -> Result<Vec<u32>, Failure> {
    let mut all = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("children"))?;
        all.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    let grandchildren: Vec<u32> = all.iter().filter_map(|&child| children(child).ok()).flatten().collect();
    all.extend(grandchildren);
    Ok(all)
}

fn command_name(pid: u32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(line.split(|&byte| byte == 0).next()?).into_owned())
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Bytes of memory that are a process's own, and those it shares, from its status.
pub fn memory_bytes(pid: u32) -> Result<(u64, u64), Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) << 10
    };
    Ok((field("RssAnon:"), field("RssFile:") + field("RssShmem:")))
}
