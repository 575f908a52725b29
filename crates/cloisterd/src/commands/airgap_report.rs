//! The page that a security officer hands in, from one look at the jails.

use std::fmt::Write;

use protocol::posture::{Posture, Process, Row, Verdict};

use super::airgap::word;

/// As Markdown.
pub(super) fn page(record: u64, posture: &Posture) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = head(&mut page, record, posture)
        .and_then(|()| processes(&mut page, posture))
        .and_then(|()| sockets(&mut page, posture))
        .and_then(|()| files(&mut page, posture))
        .and_then(|()| flows(&mut page, posture))
        .and_then(|()| checks(&mut page, posture))
        .and_then(|()| page.write_str(LIMITS));
    page
}

/// What the page does not show.
const LIMITS: &str = "
## What this does not show

- What the kernel itself, its modules, the firmware or the hypervisor send: capture at the enclave's edge shows that.
- What root on this host does beside Cloister.
- What other programs of this host send: rows of the host above are advice.
- The importer, which runs while a model is imported only: `cloisterd jail probe` tries its jail.
- The supervisor has no jail. It parses nothing of a stranger's, and gave up every network socket before it started anything.
";

fn head(page: &mut String, record: u64, posture: &Posture) -> std::fmt::Result {
    let count = |verdict| posture.rows.iter().filter(|row| row.verdict == verdict).count();
    let time =
        i64::try_from(posture.time_unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = time.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string());
    let failed = count(Verdict::Fail);
    let verdict = if failed == 0 { "Nothing got out." } else { "**THE JAILS DO NOT HOLD.**" };
    writeln!(page, "# Egress: what was tried, and what was seen\n")?;
    writeln!(
        page,
        "{verdict} {} of {} looked at at {time} came out as they must, {failed} did not, {} cannot be shown on this machine.\n",
        count(Verdict::Pass),
        count(Verdict::Pass) + failed + count(Verdict::Untried),
        count(Verdict::Untried)
    )?;
    writeln!(page, "- Software: {}\n- Kernel: {}", cell(&posture.software), cell(&posture.kernel))?;
    writeln!(
        page,
        "- Ledger: record {record}. Its body is this table; `cloister ledger verify` proves that neither was changed since."
    )?;
    match posture.accepted.as_slice() {
        [] => writeln!(page, "- Weaker claims that the configuration accepts: none"),
        accepted => {
            writeln!(page, "- Weaker claims that the configuration accepts: {}", cell(&accepted.join(", ")))
        }
    }
}

fn processes(page: &mut String, posture: &Posture) -> std::fmt::Result {
    writeln!(page, "\n## Every process\n")?;
    table(
        page,
        &[
            "process",
            "number",
            "threads",
            "jail",
            "network namespace",
            "system calls",
            "Landlock",
            "program (SHA-256)",
        ],
    )?;
    for process in &posture.processes {
        let Process { name, pid, threads, program, .. } = process;
        let program = program.map_or_else(|| "unreadable".to_owned(), |digest| digest.to_string());
        let (jail, network, calls, landlock) = match &process.jail {
            Some(jail) => {
                let weaker = if jail.weaker.is_empty() {
                    String::new()
                } else {
                    format!(", without {}", jail.weaker.join(", "))
                };
                (
                    format!("{}, entered {}{weaker}", jail.kind, jail.route),
                    jail.network_namespace.to_string(),
                    jail.system_calls_allowed.to_string(),
                    format!("ABI {}", jail.landlock_abi),
                )
            }
            None => (
                "none".to_owned(),
                "the host's".to_owned(),
                "all but network sockets".to_owned(),
                "none".to_owned(),
            ),
        };
        cells(
            page,
            &[name, &pid.to_string(), &threads.to_string(), &jail, &network, &calls, &landlock, &program],
        )?;
    }
    Ok(())
}

fn sockets(page: &mut String, posture: &Posture) -> std::fmt::Result {
    writeln!(page, "\n## Every socket\n")?;
    writeln!(
        page,
        "A `unix` socket without an address is one end of a pair between processes of this list; `unknown` is a pair within its own process.\n"
    )?;
    table(page, &["process", "socket", "address", "peer"])?;
    for process in &posture.processes {
        for socket in &process.sockets {
            cells(page, &[&process.name, &socket.kind, &socket.local, &socket.peer])?;
        }
    }
    Ok(())
}

fn files(page: &mut String, posture: &Posture) -> std::fmt::Result {
    writeln!(page, "\n## Every file\n")?;
    table(page, &["process", "may write", "may read", "holds open"])?;
    for process in &posture.processes {
        let (writes, reads) = match &process.jail {
            Some(jail) => (or_nothing(&jail.read_write), or_nothing(&jail.read_only)),
            None => ("as its user".to_owned(), "as its user".to_owned()),
        };
        cells(page, &[&process.name, &writes, &reads, &or_nothing(&process.files)])?;
    }
    Ok(())
}

fn flows(page: &mut String, posture: &Posture) -> std::fmt::Result {
    writeln!(page, "\n## Every flow\n")?;
    table(page, &["from", "to", "by", "carries"])?;
    posture.flows.iter().try_for_each(|flow| cells(page, &[&flow.from, &flow.to, &flow.by, &flow.carries]))
}

fn checks(page: &mut String, posture: &Posture) -> std::fmt::Result {
    writeln!(page, "\n## Everything that was tried, and read\n")?;
    table(page, &["", "where", "layer", "what", "how", "has to be", "is"])?;
    // What is wrong comes first.
    let (failed, others): (Vec<&Row>, Vec<&Row>) =
        posture.rows.iter().partition(|row| row.verdict == Verdict::Fail);
    for row in failed.into_iter().chain(others) {
        let Row { place, layer, name, how, expected, found, verdict } = row;
        cells(page, &[word(*verdict), place, layer, name, how, expected, found])?;
    }
    Ok(())
}

fn table(page: &mut String, names: &[&str]) -> std::fmt::Result {
    cells(page, names)?;
    writeln!(page, "|{}", " --- |".repeat(names.len()))
}

fn cells(page: &mut String, texts: &[&str]) -> std::fmt::Result {
    let texts: Vec<String> = texts.iter().map(|text| cell(text)).collect();
    writeln!(page, "| {} |", texts.join(" | "))
}

/// A text that stays in its cell, whatever a path or a process is called.
fn cell(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .replace('|', "\\|")
        .replace('<', "&lt;")
}

fn or_nothing(paths: &[String]) -> String {
    if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") }
}
