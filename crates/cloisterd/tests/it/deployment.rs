//! Hosts that the daemon is put on: under a service manager, in a container, with user namespaces off.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jail::Kind;
use testkit::server::Server;
use testkit::{http, places};

/// Longer than any of this takes on a machine that does something else, too.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// systemd's own program, in its place: it listens, and starts the daemon when somebody comes.
fn activated_by(listeners: &[(&str, &str)]) -> Command {
    let mut command = Command::new("systemd-socket-activate");
    for (address, _) in listeners {
        command.args(["--listen", address]);
    }
    let names: Vec<&str> = listeners.iter().map(|(_, name)| *name).collect();
    command.arg(format!("--fdname={}", names.join(":")));
    for variable in ["CLOISTER_ENGINE", "CLOISTER_LOG"] {
        if let Ok(value) = std::env::var(variable) {
            command.arg(format!("--setenv={variable}={value}"));
        }
    }
    command
}

fn path_of(server: &Server, name: &str) -> String {
    server.data().join(name).to_str().unwrap().to_owned()
}

fn ask(server: &Server) -> String {
    server.cloister(&["ask", "Say one word.", "--max-tokens", "4"]).unwrap()
}

#[test]
fn serves_on_sockets_of_a_service_manager() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    let (unix, admin) = (path_of(&server, "run/cloister.sock"), path_of(&server, "run/admin.sock"));
    server.start_under(activated_by(&[(&unix, "cloister"), (&admin, "admin")])).unwrap();
    assert!(!ask(&server).trim().is_empty());
    // By the administrators' socket: the data directory is locked.
    assert!(server.cloisterd(&["status"]).unwrap().contains("\"deployments\": 1"));
    assert!(server.log().contains(&format!("serving on {unix}")), "{}", server.log());
    for (name, kind) in [("cloister-gateway", Kind::Gateway), ("cloister-engine", Kind::Engine)] {
        let inspection = jail::inspect::inspect(server.child_pid(name).unwrap()).unwrap();
        assert_eq!(inspection.findings(kind, &[server.data()]), Vec::<String>::new(), "{name}");
    }
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// What the service manager hands over is taken as it was named, or not at all.
#[test]
fn other_sockets_of_a_service_manager_are_refused() {
    let server = Server::new(places::SMALL, &[]).unwrap();
    let (unix, admin) = (path_of(&server, "run/a.sock"), path_of(&server, "run/b.sock"));
    let check = |listeners: &[(&str, &str)], configuration: &str, expected: &str| {
        server.configure(configuration).unwrap();
        let mut command = activated_by(listeners);
        command.arg(places::program("cloisterd").unwrap()).arg("--data").arg(server.data()).arg("serve");
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        come_to(&unix);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{expected:?} is not in {said}");
        for path in [&unix, &admin] {
            let _not_there = std::fs::remove_file(path);
        }
    };
    check(&[(&unix, "cloister")], "", "no socket called `admin`");
    check(&[(&unix, "cloister"), (&admin, "administration")], "", "a socket called `administration`");
    check(&[(&unix, "cloister"), (&admin, "cloister")], "", "two sockets called `cloister`");
    let tcp = "[server]\ntcp = '127.0.0.1:18390'";
    check(&[(&unix, "cloister"), (&admin, "admin")], tcp, "no socket `tcp`: enable cloister-tcp.socket");
}

/// Connects, as soon as somebody listens.
fn come_to(path: &str) {
    let deadline = Instant::now() + WAIT_MAX;
    #[expect(clippy::disallowed_methods, reason = "the client of this test")]
    while std::os::unix::net::UnixStream::connect(path).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {path}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The folder of what packages install.
fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name)
}

/// The units, with this daemon in the place of the installed one, and one of the drop-ins.
fn units(drop_in: Option<&str>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let daemon = places::program("cloisterd").unwrap();
    for name in [
        "cloister.service",
        "cloister.socket",
        "cloister-admin.socket",
        "cloister-tcp.socket",
        "cloister-tls.socket",
    ] {
        let text = std::fs::read_to_string(packaging("systemd").join(name)).unwrap();
        put(&directory.path().join(name), &text.replace("/usr/bin/cloisterd", daemon.to_str().unwrap()));
    }
    if let Some(name) = drop_in {
        let folder = directory.path().join("cloister.service.d");
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(packaging("systemd/drop-ins").join(name), folder.join(name)).unwrap();
    }
    directory
}

fn put(path: &Path, text: &str) {
    use std::io::Write;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn analyze(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    let output = command.args(arguments).current_dir(directory).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// systemd's own words for the units; the marks are a little above what it gives today, as tenths of its tens.
#[test]
fn units_are_valid_and_closed() {
    for (drop_in, mark) in
        [(None, 20), (Some("no-user-namespaces.conf"), 24), (Some("shared-network.conf"), 13)]
    {
        let directory = units(drop_in);
        for unit in [
            "cloister.service",
            "cloister.socket",
            "cloister-admin.socket",
            "cloister-tcp.socket",
            "cloister-tls.socket",
        ] {
            let path = format!("./{unit}");
            let (_, said) = analyze(directory.path(), &["verify", "--recursive-errors=no", &path]);
            // It says nothing of a unit that it understands as a whole.
            assert!(!said.contains("cloister"), "{drop_in:?} {unit}: {said}");
        }
        let threshold = |mark: u32| {
            let mark = format!("--threshold={mark}");
            analyze(
                directory.path(),
                &["security", "--offline=true", "--no-pager", &mark, "./cloister.service"],
            )
        };
        let (closed, said) = threshold(mark);
        assert!(closed, "{drop_in:?}: {said}");
        assert!(!threshold(5).0, "the mark decides");
    }
}

/// What the unit's filter lets through is all that the daemon and its children call, from start to stop.
#[test]
fn the_units_filter_admits_what_is_called() {
    let service = std::fs::read_to_string(packaging("systemd/cloister.service")).unwrap();
    let mut admitted = BTreeSet::new();
    for line in service.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (takes_away, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        for name in names.split_whitespace() {
            for call in calls(name) {
                if takes_away {
                    admitted.remove(&call);
                } else {
                    admitted.insert(call);
                }
            }
        }
    }
    assert!(admitted.contains("openat") && !admitted.contains("add_key"), "{admitted:?}");
    // As systemd has it, whatever the lines say.
    admitted.extend(calls("@default"));

    let mut server = Server::new(places::SMALL, &[]).unwrap();
    let trace = server.root().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--quiet=all", "--signal=none", "--output"]).arg(&trace);
    server.start_under(strace).unwrap();
    ask(&server);
    server.stop_traced().unwrap();
    let text = std::fs::read_to_string(&trace).unwrap();
    let called: BTreeSet<&str> = text.lines().filter_map(call_of).collect();
    for expected in ["unshare", "execve", "landlock_restrict_self", "accept4"] {
        assert!(called.contains(expected), "the trace lacks {expected}: {called:?}");
    }
    // What the probes try, and expect to be refused.
    let tried = ["bpf", "keyctl", "open_by_handle_at", "perf_event_open", "ptrace"];
    let refused: Vec<&&str> =
        called.iter().filter(|call| !admitted.contains(**call) && !tried.contains(call)).collect();
    assert!(refused.is_empty(), "the unit's filter refuses {refused:?}");
}

/// The calls of one of systemd's groups, and those of the groups in it; or the call of that name.
fn calls(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let (found, said) = analyze(Path::new("/"), &["syscall-filter", "--no-pager", name]);
    assert!(found, "{said}");
    let lines = said.lines().map(str::trim).skip(1);
    let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.flat_map(calls).collect()
}

/// `7 openat(…) = 3`; what is resumed was begun before.
fn call_of(line: &str) -> Option<&str> {
    let rest = line.split_once(' ')?.1.trim_start();
    let (name, _) = rest.split_once('(')?;
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    Some(name).filter(|name| !name.is_empty() && is_name(name))
}

/// What is done inside a container before the daemon starts, with all rights there: over the container's process
/// numbers, and over the user's namespace.
#[derive(Clone, Copy, Default)]
struct Prepare {
    root: &'static str,
    user: &'static str,
}

/// What a container is to the daemon: a file system of its own that is read only but for the data, no network, no
/// capability, its own numbers of processes, and no /sys.
fn container(server: &Server, prepare: Prepare) -> Command {
    const ENTER: &str = r#"set -e
inside=$1 data=$2 programs=$3
shift 3
mount -t tmpfs none "$inside"
cd "$inside"
for place in usr proc dev tmp old etc ".$data" ".$programs"; do mkdir -p "$place"; done
for link in bin sbin lib lib64; do if [ -L /$link ]; then ln -s usr/$link $link; fi; done
mount --rbind /usr usr
mount -t proc proc proc
for device in null zero urandom; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mount --bind "$data" ".$data"
mount --bind "$programs" ".$programs"
pivot_root . old
umount -l /old
mount -o remount,bind,ro /
"#;
    // As a user who is not root: root without capabilities may not be mapped once more.
    const START: &str = r#"exec unshare --user --map-user=1000 --map-group=1000 --keep-caps sh -c "$USER_PART" sh "$@"
"#;
    const USER_PART: &str = r#"
exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --securebits=+noroot,+noroot_locked --no-new-privs "$@"
"#;
    let inside = server.root().join("inside");
    std::fs::create_dir_all(&inside).unwrap();
    let programs = places::program("cloisterd").unwrap();
    assert_eq!(places::program("cloister-engine").unwrap().parent(), programs.parent());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork"]);
    command.args(["sh", "-c", &format!("{ENTER}{}{START}", prepare.root), "sh"]);
    command.env("USER_PART", format!("{}{USER_PART}", prepare.user));
    command.arg(&inside).arg(server.data()).arg(programs.parent().unwrap());
    command.env_remove("CLOISTER_ENGINE");
    command
}

/// As an administrator of such a host sets it; it is the container's own setting here.
const USER_NAMESPACES_OFF: Prepare =
    Prepare { root: "", user: "echo 0 > /proc/sys/user/max_user_namespaces" };

#[test]
fn a_container_with_user_namespaces_has_the_whole_jail() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.configure("[jail]\naccept = ['shared-network-namespace', 'no-landlock']").unwrap();
    server.start_under(container(&server, Prepare::default())).unwrap();
    assert!(!ask(&server).trim().is_empty());
    let log = server.log();
    assert!(!log.contains("weaker than a whole jail"), "{log}");
    assert!(log.contains("limits by rlimit only: cgroup v2 is not mounted"), "{log}");
    server.stop_traced().unwrap();
}

#[test]
fn without_user_namespaces_the_start_names_what_is_missing() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    let refused = server.start_under(container(&server, USER_NAMESPACES_OFF)).unwrap_err().to_string();
    for said in ["cannot make a user namespace", "jail.accept = [\"shared-network-namespace\"]"] {
        assert!(refused.contains(said), "{refused}");
    }
    server.configure("[jail]\naccept = ['shared-network-namespace']").unwrap();
    server.start_under(container(&server, USER_NAMESPACES_OFF)).unwrap();
    assert!(!ask(&server).trim().is_empty());
    let log = server.log();
    for name in ["cloister-gateway", "cloister-engine"] {
        let weaker = format!("{name}: weaker than a whole jail, as accepted: shared-network-namespace");
        assert!(log.contains(&weaker), "{log}");
    }
    // Everything else holds on every thread, as seen from outside.
    for (name, kind) in [("cloister-gateway", Kind::Gateway), ("cloister-engine", Kind::Engine)] {
        let inspection = jail::inspect::inspect(server.child_pid(name).unwrap()).unwrap();
        assert_eq!(inspection.findings(kind, &[server.data()]), Vec::<String>::new(), "{name}");
    }
    server.stop_traced().unwrap();
    // And the ledger has it by name.
    let listed = server.cloisterd(&["ledger", "list", "--count", "100", "--json"]).unwrap();
    let records: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let posture = records.iter().find(|record| record["leaf"]["event"]["kind"] == "posture").unwrap();
    let shown = server.show(posture["index"].as_u64().unwrap()).unwrap();
    assert_eq!(shown["body"]["accepted"][0], "jail.accept = [\"shared-network-namespace\"]");
    assert_eq!(posture["leaf"]["event"]["failed"], 0);
}

/// A limit that nothing can hold is not passed over.
#[test]
fn a_limit_without_a_cgroup_is_refused() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.configure("[engine]\nmemory_mib_max = 4096").unwrap();
    let refused = server.start_under(container(&server, Prepare::default())).unwrap_err().to_string();
    assert!(refused.contains("engine.memory_mib_max is set, and no cgroup can hold it"), "{refused}");
    assert!(refused.contains("cgroup v2 is not mounted"), "{refused}");
}

/// The supervisor holds the keys: nobody of its user reads its memory, and neither it nor another leaves a dump.
#[test]
fn no_process_leaves_a_core_dump() {
    let server = Server::started(places::SMALL).unwrap();
    assert_eq!(http::get(&server.socket(), "/health").unwrap().status, 200);
    let gateway = server.child_pid("cloister-gateway").unwrap();
    let engine = server.child_pid("cloister-engine").unwrap();
    for pid in [server.pid().unwrap(), gateway, engine] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let bytes: Vec<u64> = core.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(bytes.len() == 2 && bytes.iter().all(|bytes| *bytes <= 1), "{pid}: {core}");
    }
}

/// The engine is started from a sealed copy in memory, which a host may forbid: it says which setting does.
#[test]
fn programs_in_memory_that_are_forbidden_are_named() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    // The container's own setting, as that of its process numbers.
    let forbid = Prepare { root: "echo 2 > /proc/sys/vm/memfd_noexec\n", user: "" };
    let refused = server.start_under(container(&server, forbid)).unwrap_err().to_string();
    assert!(refused.contains("sysctl vm.memfd_noexec must be below 2"), "{refused}");
}

/// In the gateway's user namespace every stranger has that number.
#[test]
fn data_of_the_user_that_strangers_read_as_is_not_served() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    std::os::unix::fs::chown(server.data(), Some(65534), Some(65534)).unwrap();
    let refused = server.start().unwrap_err().to_string();
    assert!(refused.contains("belongs to user 65534"), "{refused}");
}
