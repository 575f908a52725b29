//! What people notice of an attack from the enclave's network: the time of their completions, each over a new encrypted
//! connection, while others guess tokens, dawdle, open connections by the thousand, and send what is no TLS and no HTTP; and
//! whether anything of that was let in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use testkit::{Failure, load};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::encrypted::Encrypted;
use crate::quantiles::Quantiles;

/// Completions of each row.
const COMPLETIONS: usize = 200;
/// Attackers at once, but for those who only hold connections.
const ATTACKERS: u64 = 8;
/// Between two attempts of one attacker: attackers share this machine's processors with who is attacked.
const PAUSE: Duration = Duration::from_millis(20);
/// Connections that are opened and held.
const CONNECTIONS: usize = 10_000;
/// Addresses from which the most connections come: the server takes 128 of each, encrypted, and 512 of all.
const ADDRESSES: u8 = 3;
/// Files that this process may have open.
const FILES: u64 = 16_384;

/// What an attacker does, again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attack {
    None,
    Tokens,
    Slow,
    Connections,
    Heads,
    Bodies,
    NoHttp,
    NoTls,
}

impl Attack {
    const ALL: [(Attack, &'static str); 8] = [
        (Attack::None, "none"),
        (Attack::Tokens, "guessed tokens"),
        (Attack::Slow, "heads of a byte a second"),
        (Attack::Connections, "connections that are held, encrypted listener"),
        (Attack::Heads, "heads of 1 MiB"),
        (Attack::Bodies, "bodies of 1 GiB announced"),
        (Attack::NoHttp, "bytes that are no HTTP"),
        (Attack::NoTls, "bytes that are no TLS"),
    ];
}

/// What came of it.
#[derive(Default)]
struct Tally {
    attempts: AtomicU64,
    let_in: AtomicU64,
}

/// Prints a table.
pub(crate) fn measure(runtime: &Runtime, model: &str, quick: bool) -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum.map_or(FILES, |maximum| maximum.min(FILES));
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum })?;
    if current < FILES {
        eprintln!("bench: only {current} files may be open here, and so many connections");
    }
    let site = Encrypted::start(model)?;
    let completions = if quick { 3 } else { COMPLETIONS };
    completion(&site)?;
    println!(
        "\n| attack | attempts | let in | a completion over a new encrypted connection, p50 | p95 | p50, to none |\n|---|---|---|---|---|---|"
    );
    let mut calm = f64::NAN;
    for (attack, name) in Attack::ALL {
        let tally = Arc::new(Tally::default());
        let mut attackers = JoinSet::new();
        let _entered = runtime.enter();
        if attack != Attack::None {
            begin(attack, &site, &tally, &mut attackers);
            std::thread::sleep(Duration::from_secs(if quick { 1 } else { 3 }));
        }
        let times = (0..completions).map(|_| completion(&site)).collect::<Result<Vec<_>, _>>()?;
        runtime.block_on(attackers.shutdown());
        let times = Quantiles::of_times(times);
        if attack == Attack::None {
            calm = times.median();
        }
        println!(
            "| {name} | {} | {} | {:.1} ms | {:.1} ms | {:.2} |",
            tally.attempts.load(Ordering::Relaxed),
            tally.let_in.load(Ordering::Relaxed),
            times.median(),
            times.at(95),
            times.median() / calm,
        );
    }
    Ok(())
}

/// A person's completion whose prompt is cached, by curl from 127.0.0.1, connection and handshake and all.
fn completion(site: &Encrypted) -> Result<Duration, Failure> {
    let lines: Vec<&str> = load::ADA.lines().collect();
    let (before, behind) = lines.split_at(12);
    let body = json!({ "input_prefix": before.join("\n"), "input_suffix": behind[..4].join("\n"), "prompt": "", "n_predict": 2 });
    let output = Command::new("curl")
        .args(["-s", "--fail", "--max-time", "60", "--cacert", &site.certificate, "-o", "/dev/null"])
        .args(["-w", "%{time_total}", "-H", &format!("authorization: Bearer {}", site.token)])
        .args(["-H", "content-type: application/json", "-d", &body.to_string()])
        .arg(format!("https://{}/infill", site.tls))
        .output()?;
    if !output.status.success() {
        return Err(format!("a person's completion failed: curl ended with {}", output.status).into());
    }
    Ok(Duration::from_secs_f64(String::from_utf8(output.stdout)?.parse()?))
}

fn begin(attack: Attack, site: &Encrypted, tally: &Arc<Tally>, attackers: &mut JoinSet<()>) {
    let (tcp, tls) = (site.tcp, site.tls);
    if attack == Attack::Connections {
        for address in 0..ADDRESSES {
            let (tally, each) = (Arc::clone(tally), CONNECTIONS / usize::from(ADDRESSES));
            attackers.spawn(async move {
                let mut held = Vec::new();
                for _ in 0..each {
                    tally.attempts.fetch_add(1, Ordering::Relaxed);
                    held.extend(connect(tls, address).await);
                }
                std::future::pending::<()>().await;
            });
        }
        return;
    }
    let many = if attack == Attack::Slow { 64 } else { ATTACKERS };
    for attacker in 0..many {
        let tally = Arc::clone(tally);
        attackers.spawn(async move {
            for attempt in 0.. {
                tally.attempts.fetch_add(1, Ordering::Relaxed);
                let to = if attack == Attack::NoTls { tls } else { tcp };
                // A connection that is refused or cut off is what is hoped for.
                if let Ok(answer) = try_once(attack, to, attacker, attempt).await
                    && answer.starts_with(b"HTTP/1.1 2")
                {
                    tally.let_in.fetch_add(1, Ordering::Relaxed);
                }
                sleep(PAUSE).await;
            }
        });
    }
}

/// From an address of the loopback that is not the person's.
async fn connect(to: SocketAddr, address: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + address)), 0))?;
    socket.connect(to).await
}

/// One attempt: the beginning of what came back.
async fn try_once(attack: Attack, to: SocketAddr, attacker: u64, attempt: u64) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(to, 0).await?;
    match attack {
        Attack::None | Attack::Connections => {}
        Attack::Tokens => {
            let token = format!("clst_{attempt:012x}_{:064x}", attacker << 32 | attempt);
            let head = format!(
                "GET /v1/models HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
        }
        Attack::Slow => {
            for byte in format!("GET /v1/models HTTP/1.1\r\nhost: {to}\r\nx: {}", "y".repeat(600)).bytes() {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Attack::Heads => {
            let head = format!("GET /v1/models HTTP/1.1\r\nhost: {to}\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
            stream.write_all(head.as_bytes()).await?;
        }
        Attack::Bodies => {
            let head = format!(
                "POST /infill HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                1u64 << 30
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&[b'x'; 64 << 10]).await?;
        }
        Attack::NoHttp | Attack::NoTls => {
            // A TLS record's beginning, then noise: it is no HTTP, and no handshake either.
            let mut bytes = vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
            let mut state = attacker << 32 | attempt | 1;
            bytes.extend(
                std::iter::repeat_with(|| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state.to_be_bytes()[0]
                })
                .take(2048),
            );
            stream.write_all(&bytes).await?;
        }
    }
    let mut answer = vec![0; 4096];
    let read =
        timeout(Duration::from_secs(5), stream.read(&mut answer)).await.map_err(std::io::Error::other)??;
    answer.truncate(read);
    Ok(answer)
}
