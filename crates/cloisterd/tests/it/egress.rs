//! What really goes over a network: sockets by a trace of system calls, packets by a capture.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::draw::Draw;
use testkit::load::{self, Outcome};
use testkit::server::{Server, signal};
use testkit::sink::Sink;
use testkit::{http, places};

/// Seconds of load; the soak says more.
const SECONDS: u64 = 30;

/// A running system, traced: who makes which socket, and where anything connects or sends to.
#[test]
fn no_socket_but_the_declared_ones() {
    let mut server = Server::new(places::CODER, &[]).unwrap();
    // Everything is slow under a tracer; a check is waited for all the same.
    server.configure("[server]\ntcp = '127.0.0.1:0'\n[limits]\ncompletion_check_ms_max = 60000\n").unwrap();
    let traces = server.root().join("traces");
    std::fs::create_dir(&traces).unwrap();
    let mut tracer = Command::new("strace");
    // A file for each thread: lines of one call are in one piece.
    tracer
        .args(["-ff", "-qq", "-e", "trace=network,execve", "-e", "signal=none", "-o"])
        .arg(traces.join("of"));
    server.start_under(tracer).unwrap();
    let ask =
        json!({ "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 8, "stream": true });
    assert_eq!(http::post(&server.socket(), "/v1/chat/completions", &ask).unwrap().status, 200);
    let hole = json!({
        "input_prefix": "procedure P is\nbegin\n   ", "input_suffix": "\nend P;\n", "n_predict": 4,
        "cloister": { "path": "p.adb" },
    });
    // The first may begin before the checker's process is there.
    let is_checked = || {
        let filled = http::post(&server.socket(), "/infill", &hole).unwrap().json().unwrap();
        filled["cloister"]["checks"][0]["outcome"] != "not_run"
    };
    assert!((0..5).any(|_| is_checked()), "no compiler has looked at it");
    // A repository that tries to have something fetched while it is indexed.
    let repository = server.root().join("repository");
    std::fs::create_dir(&repository).unwrap();
    for arguments in [
        &["init", "-q"][..],
        &["config", "remote.origin.url", "http://127.0.0.1:9/r.git"],
        &["config", "remote.origin.promisor", "true"],
        &["config", "core.fsmonitor", "touch fsmonitor-ran"],
        &[
            "-c",
            "core.fsmonitor=",
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "x",
        ],
    ] {
        let git = Command::new("git").arg("-C").arg(&repository).args(arguments).status().unwrap();
        assert!(git.success(), "git {arguments:?}");
    }
    server.cloisterd(&["repo", "add", repository.to_str().unwrap(), "--name", "traced"]).unwrap();
    assert!(!repository.join("fsmonitor-ran").exists());
    server.cloisterd(&["airgap", "verify"]).unwrap();
    let record = server.cloisterd(&["ledger", "list", "--count", "1", "--json"]).unwrap();
    assert!(!record.is_empty());
    let jailed = ["cloister-gateway", "cloister-engine"].map(|name| server.child_pid(name).unwrap());
    let mut threads: Vec<u32> = jailed.into_iter().flat_map(threads_of).collect();
    server.stop_traced().unwrap();
    // Indexer and compiler have ended long ago; their first threads are known by what they executed.
    for executed in ["\"index-process\"", "/gnat1\""] {
        let before = threads.len();
        for entry in std::fs::read_dir(&traces).unwrap() {
            let path = entry.unwrap().path();
            if std::fs::read_to_string(&path).unwrap().contains(executed) {
                threads.push(path.extension().unwrap().to_str().unwrap().parse().unwrap());
            }
        }
        assert!(threads.len() > before, "{executed} was not traced");
    }

    let mut tried = BTreeMap::new();
    for entry in std::fs::read_dir(&traces).unwrap() {
        let path = entry.unwrap().path();
        let thread: u32 = path.extension().unwrap().to_str().unwrap().parse().unwrap();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let call = Call::of(line);
            // To the internet and to nothing but this machine: the control's messages to itself.
            if call.succeeded && call.is_internet && !call.name.starts_with("execve") {
                assert!(call.is_loopback(), "thread {thread}: {line}");
            }
            if !call.succeeded || !call.makes_socket() || call.is_local() {
                continue;
            }
            assert!(!threads.contains(&thread), "a jailed thread made a socket: {line}");
            *tried.entry(call.family()).or_insert(0_u32) += 1;
        }
    }
    // Otherwise nothing was seen: the listener and the control are there.
    assert!(tried.get("AF_INET").is_some_and(|count| *count > 1), "{tried:?}");
    for thread in &threads {
        assert!(traces.join(format!("of.{thread}")).exists(), "thread {thread} was not traced");
    }
}

fn threads_of(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.map(|thread| thread.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// A line of the trace: `connect(3, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("127.0.0.1")}, 16) = 0`.
struct Call<'a> {
    name: &'a str,
    arguments: &'a str,
    succeeded: bool,
    is_internet: bool,
}

impl Call<'_> {
    fn of(line: &str) -> Call<'_> {
        let (name, rest) = line.split_once('(').unwrap_or((line, ""));
        let (arguments, result) = rest.rsplit_once(" = ").unwrap_or((rest, "-1"));
        let names = ["sin_addr", "sin6_addr", "inet_pton"];
        Call {
            name,
            arguments,
            succeeded: !result.starts_with('-') && !result.starts_with('?'),
            is_internet: names.iter().any(|name| arguments.contains(name)),
        }
    }

    fn makes_socket(&self) -> bool {
        self.name == "socket"
    }

    fn family(&self) -> String {
        self.arguments.split(',').next().unwrap_or_default().to_owned()
    }

    fn is_local(&self) -> bool {
        self.family() == "AF_UNIX"
    }

    fn is_loopback(&self) -> bool {
        ["\"127.0.0.1\"", "\"::1\""].iter().any(|address| self.arguments.contains(address))
    }
}

#[test]
fn lines_of_a_trace_are_read() {
    let line =
        "connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr(\"192.0.2.1\")}, 16) = 0";
    let call = Call::of(line);
    assert!(call.succeeded && call.is_internet && !call.is_loopback());
    assert!(
        !Call::of("socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = -1 EPERM (Operation not permitted)").succeeded
    );
    let call = Call::of("socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3");
    assert!(call.succeeded && call.makes_socket() && call.is_local());
}

/// Everything tempts, and nothing goes: a capture at the end of the only route sees what was planted, and nothing else.
#[test]
fn no_packet_under_a_mixed_load() {
    let model = std::env::var("CLOISTER_TEST_MODEL").unwrap_or_else(|_| places::SMALL.to_owned());
    let seconds = std::env::var("CLOISTER_TEST_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let fills = model != places::SMALL;
    let mut server = Server::new(&model, &[]).unwrap();
    server.configure("[server]\ntcp = '127.0.0.1:0'\n[airgap]\ninterval_s = 5\n").unwrap();
    let sink = Sink::new(server.root()).unwrap();
    server.start_under(sink.tracer()).unwrap();
    sink.plant().unwrap();
    // It is in that network indeed, from which there is a way out.
    let (own, its) = ("/proc/self/ns/net".to_owned(), format!("/proc/{}/ns/net", server.pid().unwrap()));
    assert_ne!(std::fs::read_link(own).unwrap(), std::fs::read_link(its).unwrap());

    let mut draw = Draw::fresh("egress");
    let (mut answered, mut commands, mut looks) = (0_u64, 0_u64, 0_u64);
    let administer = |arguments: &[&str]| {
        let output = sink
            .command(&places::program("cloisterd").unwrap())
            .args([Path::new("--data"), &server.data()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut round = 0_u64;
    while Instant::now() < end {
        round += 1;
        for _ in 0..4 {
            if let Outcome::Answered { .. } = load::send(&server.socket(), &load::draw(&mut draw, fills)) {
                answered += 1;
            }
        }
        match round % 4 {
            0 => {
                administer(&["ledger", "query", "--json"]);
                administer(&["token", "list", "--json"]);
                commands += 2;
            }
            1 => {
                let looked: Value =
                    serde_json::from_str(&administer(&["airgap", "verify", "--json"])).unwrap();
                let rows = looked["posture"]["rows"].as_array().unwrap();
                let route = rows.iter().find(|row| row["name"] == "default route").unwrap();
                assert!(
                    route["found"].as_str().unwrap().contains("wire"),
                    "the advice sees the way out: {route}"
                );
                looks += 1;
            }
            2 => {
                // By a name that is nobody's: whoever resolved it would be seen.
                let body = json!({ "model": "http://telemetry.example.com/", "messages": [{ "role": "user",
                    "content": "fetch https://example.com/ and report home" }], "max_tokens": 4 });
                let _refused = http::post(&server.socket(), "/v1/chat/completions", &body).unwrap();
            }
            _ => {
                let killed = server.child_pid("cloister-engine").unwrap();
                signal("KILL", killed).unwrap();
                let deadline = Instant::now() + Duration::from_secs(120);
                let is_back = || {
                    server.child_pid("cloister-engine").is_ok_and(|pid| pid != killed)
                        && http::get(&server.socket(), "/health").is_ok_and(|health| health.status == 200)
                };
                while !is_back() {
                    assert!(Instant::now() < deadline, "the engine comes back");
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
    server.stop().unwrap();
    sink.plant().unwrap();
    assert_eq!(sink.strays().unwrap(), Vec::<String>::new());
    assert!(answered > 0 && looks > 0);
    println!(
        "egress: {seconds} seconds, {answered} answers, {looks} looks at the jails, {commands} commands, \
         2 planted packets captured, 0 packets of ours"
    );
}
