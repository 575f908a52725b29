//! `ledger verify` of the evidence of a release.

use std::path::Path;
use std::process::ExitCode;

use oms::PublicKey;

use crate::commands::{Session, when};
use crate::evidence::{self, Trusted, Verified};
use crate::failure::{EXIT_FAILED, Failure};
use crate::file;
use crate::output::Output;
use crate::review::statement::KEY_BYTES_MAX;

pub(super) fn run(
    session: &mut Session,
    directory: &Path,
    key: Option<&Path>,
    policy: Option<&Path>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let Some(key) = key else {
        return Err(Failure::usage("this is the evidence of a release, and anybody could have made it")
            .hint("Give --key with the public key of whoever makes it, as you were handed it otherwise."));
    };
    let pem = file::read(key, KEY_BYTES_MAX)?;
    let key = PublicKey::from_pem(&pem)
        .map_err(|error| Failure::usage(format!("{} cannot be used", key.display())).caused_by(&error))?;
    let policy = policy.map(file::read_policy).transpose()?;
    let verified = evidence::verify(directory, &Trusted { key, policy })?;
    if json {
        session.output.json(&verified)?;
    } else {
        show(&mut session.output, &verified)?;
    }
    Ok(if verified.problems_total == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn show(output: &mut Output, verified: &Verified) -> Result<(), Failure> {
    let mut fact = |name: &str, value: String| output.line(format_args!("{name:<12} {value}"));
    fact("release", format!("{}, commit {}, tree {}", verified.release, verified.head, verified.tree))?;
    fact("written", when(verified.made_unix_ms))?;
    fact("signer", verified.signer.clone())?;
    let own = if verified.policy_given { "" } else { ", by the folder's own policy" };
    let by: Vec<&str> = verified.cosigned.iter().map(String::as_str).collect();
    let by = if by.is_empty() { "nobody".to_owned() } else { by.join(", ") };
    fact("log", format!("{}, {} leaves, cosigned by {by}{own}", verified.origin, verified.leaves))?;
    fact("files", format!("{} are as they were signed", verified.files))?;
    fact("leaves", format!("{} are in the log", verified.proofs))?;
    fact("answers", format!("{} are told as their leaves tell them", verified.answers))?;
    fact("approvals", format!("{} signatures hold", verified.approvals))?;
    let lines = verified.lines.iter().map(|(grade, lines)| format!("{lines} {grade}"));
    fact("lines", lines.collect::<Vec<_>>().join(", "))?;
    fact(
        "gate",
        match verified.gate_passed {
            None => "not asked".to_owned(),
            Some(true) => "passed, and decides so again".to_owned(),
            Some(false) => "REFUSED, and decides so again".to_owned(),
        },
    )?;
    for note in &verified.notes {
        output.line(format_args!("note: {note}"))?;
    }
    for problem in &verified.problems {
        output.line(format_args!("problem: {}: {}", problem.file, problem.what))?;
    }
    let more = verified.problems_total.saturating_sub(verified.problems.len() as u64);
    if more > 0 {
        output.line(format_args!("… and {more} more problems"))?;
    }
    match verified.problems_total {
        0 => output.line("verified: no problem was found")?,
        count => output.line(format_args!("NOT VERIFIED: {count} problems"))?,
    }
    Ok(())
}
