use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use jail::inspect::{Inspection, inspect};
use protocol::admin::Command;
use protocol::posture::{Posture, Row, Verdict};
use serde_json::json;

use super::{Outcome, administer, airgap_report};
use crate::output;

/// The proof that nothing leaves.
#[derive(Debug, Subcommand)]
pub(crate) enum Airgap {
    Verify(Verify),
    /// Makes the page that a security officer hands in: every process, socket, file and flow, and what was tried.
    ///
    /// Looks at the jails first, as `verify` does, and names the ledger's record of that.
    Report {
        /// Where to write it, as Markdown [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prints nftables rules that drop and count whatever the daemon's user would send. Applies nothing.
    Nftables,
}

/// Tries to get out of every live jail, looks at each process from outside, and writes that into the ledger.
///
/// Exits with 1 if a jail does not hold. The control, outside of any jail, is tried by this command too: it shows that
/// the probes can tell an open way from a closed one. Rows of the host are advice.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Afterwards keep the kernel's counters on screen, and look again whenever a process changes.
    #[arg(long)]
    watch: bool,
    /// With --watch: that many lines of counters a process, then end.
    #[arg(long, value_name = "COUNT", requires = "watch")]
    times: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Between two lines of counters.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A look at the jails that is in the ledger.
struct Looked {
    record: u64,
    posture: Posture,
}

impl Airgap {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            Airgap::Verify(command) => command.run(data),
            Airgap::Report { out } => {
                let Looked { record, posture } = look(data)?;
                let page = airgap_report::page(record, &posture);
                match out {
                    Some(path) => crate::file::write(&path, page.as_bytes())?,
                    None => output::line(page.trim_end())?,
                }
                Ok(verdict(&posture))
            }
            Airgap::Nftables => {
                use std::os::unix::fs::MetadataExt;
                let user = std::fs::metadata(data)?.uid();
                output::line(crate::airgap::nftables(user).trim_end())?;
                output::say(
                    "apply with `nft -f -`, as root; read the counters with `nft list table inet cloister`",
                );
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Verify {
    fn run(self, data: &Path) -> Outcome {
        let mut left = self.times;
        loop {
            let looked = look(data)?;
            let control = crate::airgap::control();
            show(&looked, &control, self.json)?;
            let failed = control.iter().any(|row| row.verdict == Verdict::Fail);
            let code = if failed { ExitCode::FAILURE } else { verdict(&looked.posture) };
            if !self.watch || code != ExitCode::SUCCESS || !watch(&looked.posture, self.json, &mut left)? {
                return Ok(code);
            }
        }
    }
}

fn look(data: &Path) -> Result<Looked, Box<dyn std::error::Error>> {
    let mut answer = administer::ask(data, Command::AirgapVerify)?;
    let record = answer["record"].as_u64().ok_or("the daemon named no record")?;
    Ok(Looked { record, posture: serde_json::from_value(answer["posture"].take())? })
}

fn verdict(posture: &Posture) -> ExitCode {
    if posture.failures().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(looked: &Looked, control: &[Row], json: bool) -> std::io::Result<()> {
    let Looked { record, posture } = looked;
    if json {
        return output::line(
            &json!({ "record": record, "posture": posture, "control": control }).to_string(),
        );
    }
    let rows = || posture.rows.iter().filter(|row| row.place != crate::airgap::CONTROL).chain(control);
    for row in rows() {
        let Row { place, layer, name, how, expected, found, .. } = row;
        let verdict = word(row.verdict);
        output::line(&format!(
            "{verdict:<8} {place:<16} {layer:<18} {name:<38} {expected:<24} {found:<24} {how}"
        ))?;
    }
    let count = |verdict| rows().filter(|row| row.verdict == verdict).count();
    let failed = rows().filter(|row| row.verdict == Verdict::Fail);
    failed.for_each(|row| output::say(&format!("FAIL: {row}")));
    for accepted in &posture.accepted {
        output::say(&format!("a weaker claim is accepted: {accepted}"));
    }
    output::say(&format!(
        "{} as they must be, {} not, {} untried; record {record}",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::Untried)
    ));
    Ok(())
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Untried => "untried",
        Verdict::Accepted => "ACCEPTED",
        Verdict::Advice => "advice",
    }
}

/// The kernel's counters of each process, until one of them has ended: true when they are to be looked at again.
fn watch(posture: &Posture, json: bool, left: &mut Option<u32>) -> Result<bool, Box<dyn std::error::Error>> {
    let jailed: Vec<_> = posture.processes.iter().filter(|process| process.jail.is_some()).collect();
    let redraws = !json && std::io::stdout().is_terminal();
    let mut first = true;
    while *left != Some(0) {
        let mut lines = Vec::new();
        for process in &jailed {
            let Ok(seen) = inspect(process.pid) else { return Ok(true) };
            lines.push(if json {
                counters_json(&process.name, &seen)
            } else {
                counters(&process.name, &seen)
            });
        }
        let up = if redraws && !first { format!("\x1b[{}A", lines.len()) } else { String::new() };
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{up}{}", lines.join("\n")).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(false),
            written => written?,
        }
        drop(out);
        first = false;
        if let Some(left) = left {
            *left -= 1;
        }
        if *left != Some(0) {
            std::thread::sleep(WATCH_EVERY);
        }
    }
    Ok(false)
}

fn totals(seen: &Inspection) -> (u64, u64, usize) {
    let received = seen.interfaces.iter().map(|interface| interface.received_bytes).sum();
    let sent = seen.interfaces.iter().map(|interface| interface.sent_bytes).sum();
    (received, sent, seen.threads.iter().filter(|thread| thread.seccomp == 2).count())
}

fn counters(name: &str, seen: &Inspection) -> String {
    let (received, sent, filtered) = totals(seen);
    format!(
        "{name:<24} process {:>8}  {sent} bytes out, {received} in  {} network sockets  {} routes  \
         {filtered} of {} threads filtered  {} descriptors   ",
        seen.pid,
        seen.network_sockets.len(),
        seen.routes,
        seen.threads.len(),
        seen.descriptors.len()
    )
}

fn counters_json(name: &str, seen: &Inspection) -> String {
    let (received, sent, filtered) = totals(seen);
    json!({
        "process": name,
        "pid": seen.pid,
        "sent_bytes": sent,
        "received_bytes": received,
        "network_sockets": seen.network_sockets.len(),
        "routes": seen.routes,
        "threads": seen.threads.len(),
        "threads_filtered": filtered,
        "descriptors": seen.descriptors.len(),
    })
    .to_string()
}
