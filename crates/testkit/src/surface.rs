//! Requests drawn from the description of the HTTP surface, by another's program, against a server of one's own: whatever
//! comes, no error of the server's, no silence, and no answer without a record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::server::Server;
use crate::{Failure, places};

/// What was seen.
#[derive(Debug)]
pub struct Drawn {
    /// Requests that were sent.
    pub requests: u64,
    /// Of them, those that were answered with 200.
    pub accepted: u64,
    /// Answers of the model, each found in the ledger by the record that it names.
    pub answers: u64,
}

/// Answers end where the context does: a request may ask for a million tokens.
const CONTEXT_TOKENS: &str = "256";
/// No answer within this is a hang. A generation may ask for 16 draws with 8 statements of each drawn anew, which is minutes.
const ANSWER_WAIT_S: &str = "900";

/// Draws some `examples` requests of each operation with `schemathesis`, from a description in OpenAPI, and looks at every
/// response. An error names the first that is wrong.
pub fn draw(schemathesis: &Path, description: &Path, seed: u64, examples: u64) -> Result<Drawn, Failure> {
    let (server, url, token) = Server::with_token(places::SMALL, &["--context-tokens", CONTEXT_TOKENS])?;
    let archive = server.root().join("responses.har");
    let log = File::create(server.root().join("schemathesis"))?;
    let mut program = Command::new(schemathesis);
    program.arg("run").arg(description).args([
        "--url",
        &url,
        "--header",
        &format!("authorization: Bearer {token}"),
    ]);
    program.args(["--phases", "coverage,fuzzing", "--checks", "not_a_server_error", "--continue-on-failure"]);
    program.args(["--max-examples", &examples.to_string(), "--seed", &(seed % (1 << 31)).to_string()]);
    // One worker: more of them disturb each other's parsers, which depend on how deep a thread's stack is.
    program.args(["--no-shrink", "--suppress-health-check", "all", "--warnings", "off", "--workers", "1"]);
    program.args(["--request-timeout", ANSWER_WAIT_S, "--output-sanitize", "false", "--report", "har"]);
    program.arg("--report-har-path").arg(&archive).current_dir(server.root());
    let status = program.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).status()?;
    let mut said = String::new();
    File::open(server.root().join("schemathesis"))?.read_to_string(&mut said)?;
    if !status.success() {
        return Err(format!("{said}\n{status}\nthe server said:\n{}", server.log()).into());
    }
    let archive: Value = serde_json::from_reader(File::open(&archive)?)?;
    let entries = archive["log"]["entries"].as_array().ok_or("no archive of HTTP")?;
    let (mut drawn, mut named) = (Drawn { requests: 0, accepted: 0, answers: 0 }, BTreeMap::new());
    for entry in entries {
        let status = entry["response"]["status"].as_u64().unwrap_or(0);
        if status == 0 || status >= 500 {
            return Err(format!("seed {seed}: {entry}").into());
        }
        drawn.requests += 1;
        drawn.accepted += u64::from(status == 200);
        let text = entry["response"]["content"]["text"].as_str().unwrap_or_default();
        named.extend(records(text).map(|record| (record, entry)));
    }
    let answered = answered(&server)?;
    if let Some((missing, entry)) = named.iter().find(|(record, _)| !answered.contains(record)) {
        return Err(format!("seed {seed}: record {missing} is named and has no result: {entry}").into());
    }
    drawn.answers = named.len() as u64;
    server.end().map_err(|error| format!("seed {seed}: {error}"))?;
    Ok(drawn)
}

/// The records that a response names: `"cloister":{"record":N`, in a document or in the events of a stream.
fn records(text: &str) -> impl Iterator<Item = u64> {
    const NAMED: &str = "\"cloister\":{\"record\":";
    text.split(NAMED).skip(1).filter_map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].parse().ok()
    })
}

/// Records with a result: the ledger is listed from its end, so many leaves at a time.
fn answered(server: &Server) -> Result<BTreeSet<u64>, Failure> {
    const LEAVES: &str = "1000";
    let (mut answered, mut before) = (BTreeSet::new(), u64::MAX);
    while before > 0 {
        let before_text = before.to_string();
        let list = ["ledger", "list", "--count", LEAVES, "--before", &before_text, "--json"];
        let leaves: Vec<Value> = serde_json::from_str(&server.cloisterd(&list)?)?;
        let Some(last) = leaves.last() else { break };
        before = last["index"].as_u64().ok_or("a leaf without a number")?;
        let events = leaves.iter().map(|leaf| &leaf["leaf"]["event"]);
        answered.extend(
            events.filter(|event| event["kind"] == "result").filter_map(|event| event["record"].as_u64()),
        );
    }
    Ok(answered)
}
