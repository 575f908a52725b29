//! One process, from inside and from outside: rows for the table.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use jail::inspect::{Check, Descriptor, InspectError, Inspection, ThreadState};
use jail::probe::{Got, ProbeResult};
use jail::{Applied, Weaker};
use protocol::Digest;
use protocol::posture::{Jail, Process, Row, Socket, Verdict};
use sha2::{Digest as _, Sha256};

use super::sockets::Sockets;

/// A row of one place.
pub(super) fn row(place: &str, layer: &str, name: &str, how: &str, expected: &str, found: &str) -> Row {
    Row {
        place: place.to_owned(),
        layer: layer.to_owned(),
        name: name.to_owned(),
        how: how.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        verdict: if expected == found { Verdict::Pass } else { Verdict::Fail },
    }
}

/// Rows of what was tried from inside, one a probe: of several threads the worst.
pub(super) fn tried(place: &str, results: &[ProbeResult]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for result in results {
        let row = of_probe(place, result);
        match rows.iter_mut().find(|other| other.name == row.name && other.how == row.how) {
            Some(other) if other.verdict == Verdict::Fail => {}
            Some(other) => *other = row,
            None => rows.push(row),
        }
    }
    rows
}

fn of_probe(place: &str, result: &ProbeResult) -> Row {
    let expected = match (result.expected.as_slice(), &result.got) {
        ([], Got::FoundNothing | Got::Found(_)) => "nothing".to_owned(),
        ([], _) => "success".to_owned(),
        (errnos, _) => errnos.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
    };
    let (verdict, why) = match &result.verdict {
        jail::probe::Verdict::Pass => (Verdict::Pass, String::new()),
        jail::probe::Verdict::Fail => (Verdict::Fail, String::new()),
        jail::probe::Verdict::NotTried(reason) => (Verdict::Untried, format!(": {reason}")),
    };
    Row {
        place: place.to_owned(),
        layer: result.layer.to_string(),
        name: result.name.clone(),
        how: result.attempted.clone(),
        expected,
        found: format!("{}{why}", result.got),
        verdict,
    }
}

/// Rows of what a process said it applied. That is said before it reads anything of a stranger's.
pub(super) fn applied(place: &str, applied: Option<&Applied>, inspection: Option<&Inspection>) -> Vec<Row> {
    let told = |found| row(place, "seccomp", "its jail", "told once it is applied", "applied", found);
    let Some(applied) = applied else { return vec![told("not told of")] };
    let mut rows = vec![told("applied")];
    let landlock = if applied.landlock_refuses { "refused by Landlock alone" } else { "not refused" };
    rows.push(row(
        place,
        "landlock",
        "a file and a TCP port, before seccomp",
        &format!("open /, bind 127.0.0.1; Landlock ABI {}", applied.landlock_abi),
        "refused by Landlock alone",
        landlock,
    ));
    if let Some(inspection) = inspection {
        rows.push(row(
            place,
            "network-namespace",
            "the network that it told of",
            "/proc/PID/ns/net",
            &applied.network_namespace.to_string(),
            &inspection.namespaces.network.to_string(),
        ));
    }
    rows
}

/// Rows of what was read from outside.
pub(super) fn inspected(place: &str, checks: Vec<Check>) -> Vec<Row> {
    let row = |check: Check| Row {
        place: place.to_owned(),
        layer: check.layer.to_string(),
        name: check.name.to_owned(),
        how: check.read.to_owned(),
        expected: check.expected,
        found: check.found,
        verdict: if check.holds { Verdict::Pass } else { Verdict::Fail },
    };
    checks.into_iter().map(row).collect()
}

/// The row of a process that could not be read: not a pass.
pub(super) fn unread(place: &str, error: &InspectError) -> Row {
    let found = crate::output::on_one_line(error);
    row(place, "seccomp", "the process, from outside", "/proc/PID", "readable", &found)
}

/// Rows that fail for want of a piece that the configuration accepts to be without are told as such.
pub(super) fn accept(rows: &mut [Row], weaker: &[Weaker]) {
    let explains = |weaker: &Weaker, row: &Row| match weaker {
        Weaker::SharedNetworkNamespace => {
            ["a network of its own", "message queues of its own", "a host name of its own"]
                .contains(&row.name.as_str())
        }
        // What is left of it is tried as such.
        Weaker::LandlockWithoutTcp => false,
        Weaker::NoLandlock => row.layer == "landlock",
    };
    for row in rows.iter_mut().filter(|row| row.verdict == Verdict::Fail) {
        if let Some(weaker) = weaker.iter().find(|weaker| explains(weaker, row)) {
            row.verdict = Verdict::Accepted;
            row.found = format!("{}: accepted by jail.accept = [\"{weaker}\"]", row.found);
        }
    }
}

/// Rows on the sockets that a process holds. Those of the internet belong to a declared listener.
pub(super) fn sockets(place: &str, sockets: &[Socket], declared: &[SocketAddr]) -> Row {
    let foreign: Vec<String> = sockets
        .iter()
        .filter(|socket| !socket.kind.starts_with("unix") && socket.kind != "unknown")
        .filter(|socket| !declared.iter().any(|declared| is_of(&socket.local, *declared)))
        .map(|socket| format!("{} {} {}", socket.kind, socket.local, socket.peer))
        .collect();
    let found = if foreign.is_empty() { "none" } else { &foreign.join(", ") };
    let how = "/proc/PID/fd, /proc/net/{tcp,udp}";
    let name = match declared {
        [] => "network sockets".to_owned(),
        declared => {
            let declared: Vec<String> = declared.iter().map(ToString::to_string).collect();
            format!("network sockets but those of {}", declared.join(" and "))
        }
    };
    row(place, "descriptors", &name, how, "none", found)
}

/// Whether a socket's own end is a listener's: its address, or, where that is any of this machine's, its port. IPv6
/// shows an IPv4 address in its own notation.
fn is_of(local: &str, declared: SocketAddr) -> bool {
    let Ok(local) = local.parse::<SocketAddr>() else { return false };
    let same = local.ip().to_canonical() == declared.ip().to_canonical();
    local.port() == declared.port() && (same || declared.ip().is_unspecified())
}

/// The row on the program that a process runs.
pub(super) fn program(place: &str, expected: Digest, found: Option<Digest>) -> Row {
    let found = found.map_or_else(|| "unreadable".to_owned(), |digest| digest.to_string());
    row(
        place,
        "program",
        "the program that it runs",
        "SHA-256 of /proc/PID/exe",
        &expected.to_string(),
        &found,
    )
}

/// SHA-256 of the program that a process runs.
pub(super) fn program_digest(pid: u32) -> Option<Digest> {
    digest(Path::new(&format!("/proc/{pid}/exe")))
}

/// SHA-256 of a file.
pub(super) fn digest(path: &Path) -> Option<Digest> {
    Some(Digest(Sha256::digest(std::fs::read(path).ok()?).into()))
}

/// A process, for the list of them.
pub(super) fn process(
    name: &str,
    pid: u32,
    program: Option<Digest>,
    applied: Option<&Applied>,
    threads: &[ThreadState],
    descriptors: &[Descriptor],
    table: &Sockets,
) -> Process {
    let mut sockets = Vec::new();
    let mut files = BTreeSet::new();
    for descriptor in descriptors {
        match table.of(&descriptor.target) {
            Some(socket) => sockets.push(socket),
            None => {
                files.insert(descriptor.target.clone());
            }
        }
    }
    sockets.sort();
    Process {
        name: name.to_owned(),
        pid,
        program,
        jail: applied.map(|applied| Jail {
            kind: format!("{:?}", applied.kind).to_lowercase(),
            route: match applied.route {
                jail::Route::Direct => "direct".to_owned(),
                jail::Route::UserNamespace => "user namespace".to_owned(),
                jail::Route::Inherited => "inherited".to_owned(),
            },
            network_namespace: applied.network_namespace,
            landlock_abi: applied.landlock_abi,
            system_calls_allowed: applied.system_calls_allowed,
            read_write: shown(&applied.read_write),
            read_only: shown(&applied.read_only),
            weaker: applied.weaker.iter().map(ToString::to_string).collect(),
        }),
        threads: u32::try_from(threads.len()).unwrap_or(u32::MAX),
        sockets,
        files: files.into_iter().collect(),
    }
}

fn shown(paths: &[std::path::PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_a_listener_are_declared() {
        for (local, declared, expected) in [
            ("127.0.0.1:8390", "127.0.0.1:8390", true),
            ("127.0.0.1:8391", "127.0.0.1:8390", false),
            ("10.0.0.5:8443", "0.0.0.0:8443", true),
            ("10.0.0.5:40000", "0.0.0.0:8443", false),
            ("[::ffff:10.0.0.5]:8443", "[::]:8443", true),
            ("[::ffff:10.0.0.5]:8443", "10.0.0.5:8443", true),
            ("10.0.0.6:8443", "10.0.0.5:8443", false),
            ("", "0.0.0.0:8443", false),
        ] {
            assert_eq!(is_of(local, declared.parse().unwrap()), expected, "{local} of {declared}");
        }
    }
}
