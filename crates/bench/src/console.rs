//! What a page of the console asks for, against a real daemon with a large ledger, over TCP as a browser does it:
//! one call after the other, where a browser makes some at once. A person's own records, and an auditor's view of
//! everybody's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ledger::disk::RealDisk;
use ledger::{Ledger, LedgerConfig, LedgerKeys, LocalNotary};
use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{Failure, draw::Draw, http, places};

use crate::large_ledger;
use crate::quantiles::Quantiles;

const REPETITIONS: usize = 40;
/// What a page may take, in milliseconds.
const PAGE_MS_MAX: f64 = 300.0;
/// Whose records a fiftieth of the ledger's are: see [`large_ledger`].
const PERSON: &str = "person7";
const AUDITOR: &str = "auditor";

pub(crate) fn measure(records: u64) -> Result<(), Failure> {
    let mut server = Server::new(places::SMALL, &[])?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    server.configure(&format!("[server]\ntcp = \"{address}\"\n"))?;
    server.cloisterd(&["user", "add", PERSON, "--label", "flight"])?;
    server.cloisterd(&["user", "add", AUDITOR, "--label", "flight"])?;
    server.cloisterd(&["user", "set-roles", AUDITOR, "auditor"])?;
    let token = |name: &str| -> Result<String, Failure> {
        Ok(server.cloisterd(&["token", "issue", name, "--note", "bench"])?.trim().to_owned())
    };
    let tokens = [token(PERSON)?, token(AUDITOR)?];
    large_ledger::fill_ledger(open(&server.data())?, records)?;
    let start = Instant::now();
    server.start()?;
    eprintln!("bench: the daemon is up after {:.1} s", start.elapsed().as_secs_f64());

    println!(
        "\n| page, with {records} requests in the ledger | {PERSON}, p50 | p95 | {AUDITOR}, p50 | p95 |"
    );
    println!("|---|---|---|---|---|");
    let mut slowest = (0.0, "");
    for page in [Page::Chat, Page::Ledger, Page::Filtered, Page::Older, Page::Record, Page::Models] {
        let mut cells = Vec::new();
        for token in &tokens {
            let times = repeated(page, &|path, body| http::post_as(address, token, path, body))?;
            for quantile in [times.median(), times.at(95)] {
                cells.push(format!("{quantile:.1} ms"));
            }
            if times.at(95) > slowest.0 {
                slowest = (times.at(95), page.name());
            }
        }
        println!("| {} | {} |", page.name(), cells.join(" | "));
    }
    println!(
        "\nThe slowest, {}, at the 95th percentile: {:.0} ms; aimed at: {PAGE_MS_MAX} ms.",
        slowest.1, slowest.0
    );
    server.stop()
}

type Ask<'a> = dyn Fn(&str, Option<&Value>) -> Result<http::Response, Failure> + 'a;

#[derive(Clone, Copy)]
enum Page {
    Chat,
    Ledger,
    Filtered,
    Older,
    Record,
    Models,
}

impl Page {
    fn name(self) -> &'static str {
        match self {
            Page::Chat => "chat, until one can type",
            Page::Ledger => "ledger, its newest page",
            Page::Filtered => "ledger, a filter drawn",
            Page::Older => "ledger, a page far back",
            Page::Record => "record, with both proofs",
            Page::Models => "models, all of it",
        }
    }
}

fn repeated(page: Page, ask: &Ask<'_>) -> Result<Quantiles, Failure> {
    let mut draw = Draw::new(3);
    let get = |path: &str| -> Result<Value, Failure> { asked(ask, path, None) };
    // Where a person's records are, so that what is drawn is theirs.
    let newest = get("/v1/cloister/ledger/query?kind=intent&count=1000")?;
    let leaves: Vec<u64> =
        newest["rows"].as_array().into_iter().flatten().filter_map(|row| row["leaf"].as_u64()).collect();
    let last = leaves.first().copied().ok_or("the ledger has no record of theirs")?;
    let mut times = Vec::new();
    for _ in 0..REPETITIONS {
        let start = Instant::now();
        get("/v1/cloister/status")?;
        match page {
            Page::Chat => drop(get("/v1/models")?),
            Page::Ledger => drop(get("/v1/cloister/ledger/query?count=50")?),
            Page::Filtered => {
                drop(get(&format!("/v1/cloister/ledger/query?count=50&{}", filter(&mut draw)))?)
            }
            Page::Older => {
                drop(get(&format!("/v1/cloister/ledger/query?count=50&before={}", 1 + draw.below(last)))?);
            }
            Page::Record => {
                let record = *draw.one_of(&leaves);
                let shown = get(&format!("/v1/cloister/records/{record}"))?;
                let result = shown["related"][0]["index"].as_u64().unwrap_or(record);
                for leaf in [record, result] {
                    get(&format!("/v1/cloister/ledger/proof/{leaf}"))?;
                }
            }
            Page::Models => {
                get("/v1/cloister/chain")?;
                get("/v1/cloister/posture")?;
                asked(ask, "/v1/cloister/context", Some(&json!({ "sources": true })))?;
                get("/v1/cloister/chain")?;
                let metrics = ask("/metrics", None)?;
                if metrics.status != 200 {
                    return Err("no metrics".into());
                }
            }
        }
        times.push(start.elapsed());
    }
    Ok(Quantiles::of_times(times))
}

fn asked(ask: &Ask<'_>, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let response = ask(path, body)?;
    match response.status {
        200 => response.json(),
        status => Err(format!("{path}: {status}: {}", response.text()).into()),
    }
}

/// One to three of what people ask for.
fn filter(draw: &mut Draw) -> String {
    let mut given = std::collections::BTreeMap::new();
    for _ in 0..1 + draw.below(3) {
        match draw.below(6) {
            0 => given.insert("repository", format!("https://git.example/repository{}", draw.below(22))),
            1 => given.insert("path", format!("src/unit{}/", draw.below(45))),
            2 => given.insert("deployment", "large".to_owned()),
            3 => given.insert("outcome", "cancelled".to_owned()),
            4 => given.insert("action", "chat".to_owned()),
            _ => given.insert("label", draw.one_of(&["flight", "other"]).to_string()),
        };
    }
    given.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The ledger of a server that does not run, by its own keys.
fn open(data: &Path) -> Result<Ledger, Failure> {
    let key = |name: &str| -> Result<[u8; 32], Failure> {
        let bytes = std::fs::read(data.join("keys").join(name))?;
        bytes.try_into().map_err(|_| format!("{name} is not 32 bytes").into())
    };
    let policy = std::fs::read_to_string(data.join("log.policy"))?;
    let verifier = policy.lines().find_map(|line| line.strip_prefix("log ")).ok_or("no log in the policy")?;
    let verifier = verifier.split_whitespace().next().unwrap_or_default().to_owned();
    let origin = verifier.split('+').next().unwrap_or_default().to_owned();
    let notary = LocalNotary::open(&data.join("notary"), &origin, key("notary.key")?)?;
    let disk = Arc::new(RealDisk::create(&data.join("ledger"))?);
    let keys = LedgerKeys::new(key("body.key")?);
    Ok(Ledger::open(LedgerConfig::new(verifier, keys, disk, Box::new(notary)))?.0)
}
