//! A network that tempts: a default route, name servers, proxies and time servers, all of which lead to one place, where
//! every packet is captured.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// The place that everything leads to. Of the range for documentation (RFC 5737).
const SINK: &str = "192.0.2.1";
const SERVER: &str = "192.0.2.2/24";
/// Neighbours are known, so that nobody needs to ask for them.
const SINK_MAC: &str = "02:00:00:00:00:01";
/// Where planted packets go.
const PLANTED_PORT: u16 = 9;

/// How long the capture may take to see a planted packet.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Two network namespaces with a wire between them, and a capture at its far end. Needs root.
#[derive(Debug)]
pub struct Sink {
    inside: Child,
    outside: Child,
    capture: Child,
    log: PathBuf,
}

impl Sink {
    /// `directory` is for its files.
    pub fn new(directory: &Path) -> Result<Sink, Failure> {
        let inside = namespace()?;
        let outside = namespace()?;
        let (in_pid, out_pid) = (inside.id().to_string(), outside.id().to_string());
        for script in [
            // IPv6 would speak by itself as soon as the wire is there.
            "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || true; \
             echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null || true; ip link set lo up",
        ] {
            for pid in [&in_pid, &out_pid] {
                succeed(Command::new("nsenter").args(["--target", pid, "--net", "sh", "-ec", script]))?;
            }
        }
        let wire = format!(
            "ip link add wire netns {in_pid} type veth peer name sink netns {out_pid}; \
             nsenter --target {out_pid} --net ip link set sink address {SINK_MAC}; \
             nsenter --target {out_pid} --net ip addr add {SINK}/24 dev sink; \
             nsenter --target {out_pid} --net ip link set sink up arp off; \
             nsenter --target {in_pid} --net ip addr add {SERVER} dev wire; \
             nsenter --target {in_pid} --net ip link set wire up; \
             nsenter --target {in_pid} --net ip neigh add {SINK} lladdr {SINK_MAC} dev wire nud permanent; \
             nsenter --target {in_pid} --net ip route add default via {SINK}"
        );
        succeed(Command::new("sh").args(["-ec", &wire]))?;
        tempt(directory, &in_pid)?;
        let log = directory.join("captured");
        let mut capture = Command::new("nsenter")
            .args(["--target", &out_pid, "--net", "tcpdump", "-n", "-l", "-t", "-Q", "in", "-i", "sink"])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&log)?)
            .stderr(Stdio::piped())
            .spawn()?;
        // It says so once it listens.
        let words = capture.stderr.take().ok_or("tcpdump has no stderr")?;
        let mut lines = BufReader::new(words).lines();
        if !lines.any(|line| line.is_ok_and(|line| line.starts_with("listening on"))) {
            return Err("tcpdump does not listen: is it installed, and are you root?".into());
        }
        Ok(Sink { inside, outside, capture, log })
    }

    /// A program inside, with everything that tempts it. Its process becomes the program.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.id().to_string(), "--net", "--mount", "--"]).arg(program);
        self.tempt(command)
    }

    /// The same, for a program that comes as the command's first argument.
    pub fn tracer(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.id().to_string(), "--net", "--mount", "--"]);
        self.tempt(command)
    }

    fn tempt(&self, mut command: Command) -> Command {
        for name in ["http_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, format!("http://{SINK}:3128"));
        }
        command
    }

    /// Sends a packet that has to be captured, and waits until it is: everything before it is then captured, too.
    pub fn plant(&self) -> Result<(), Failure> {
        let before = self.packets()?.iter().filter(|packet| is_planted(packet)).count();
        let script = format!("echo planted > /dev/udp/{SINK}/{PLANTED_PORT}");
        succeed(self.command(Path::new("bash")).args(["-c", &script]))?;
        let deadline = Instant::now() + WAIT_MAX;
        while self.packets()?.iter().filter(|packet| is_planted(packet)).count() == before {
            if Instant::now() > deadline {
                return Err("a planted packet was not captured: the capture proves nothing".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Packets that nobody planted.
    pub fn strays(&self) -> Result<Vec<String>, Failure> {
        Ok(self.packets()?.into_iter().filter(|packet| !is_planted(packet)).collect())
    }

    fn packets(&self) -> Result<Vec<String>, Failure> {
        Ok(std::fs::read_to_string(&self.log)?.lines().map(str::to_owned).collect())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        for child in [&mut self.capture, &mut self.inside, &mut self.outside] {
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}

fn is_planted(packet: &str) -> bool {
    packet.contains(&format!("> {SINK}.{PLANTED_PORT}:"))
}

/// A process that keeps a network and a mount namespace.
fn namespace() -> Result<Child, Failure> {
    let mut keeper = Command::new("unshare");
    keeper.args(["--net", "--mount", "sh", "-c", "echo ready; exec sleep infinity"]);
    let mut keeper = keeper.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    if line == "ready\n" { Ok(keeper) } else { Err("no namespaces: this needs root".into()) }
}

/// Name servers, time servers and proxies of the machine, as whoever is inside sees them.
fn tempt(directory: &Path, pid: &str) -> Result<(), Failure> {
    let files = [
        ("resolv.conf", "/etc/resolv.conf", format!("nameserver {SINK}\noptions timeout:1 attempts:1\n")),
        ("nsswitch.conf", "/etc/nsswitch.conf", "hosts: dns\npasswd: files\ngroup: files\n".to_owned()),
        ("environment", "/etc/environment", format!("https_proxy=http://{SINK}:3128\n")),
        ("timesyncd.conf", "/etc/systemd/timesyncd.conf", format!("[Time]\nNTP={SINK}\n")),
    ];
    for (name, place, text) in files {
        let file = directory.join(name);
        std::fs::File::create(&file)?.write_all(text.as_bytes())?;
        if Path::new(place).exists() {
            let file = file.to_str().ok_or("a path is not UTF-8")?;
            let mount = ["--target", pid, "--mount", "mount", "--bind", file, place];
            succeed(Command::new("nsenter").args(mount))?;
        }
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}
