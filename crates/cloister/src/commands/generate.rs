use std::path::PathBuf;
use std::process::ExitCode;

use client::{Findings, Subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Session, wait};
use crate::cursor::{self, Place};
use crate::failure::Failure;
use crate::{checks, file, findings, subject};

/// A longer unit is not looked at by a compiler.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Writes a body or a whole unit that the compiler has nothing against
///
/// The server draws, has the compiler look, mends by its words, and draws again until it is content or enough was tried.
/// Each draw and each check is on record. With --at, what fills that place in a file is printed; without, a new unit.
/// Exits with 1 when the compiler still objects to the best that there is, or could not look at it.
#[derive(clap::Args)]
pub(crate) struct Generate {
    /// What is wanted, in a sentence
    #[arg(required_unless_present = "at")]
    instruction: Option<String>,
    /// The place in a file that is to be filled, as in src/stack.adb:12:7
    #[arg(long, value_name = "FILE:LINE:COL")]
    at: Option<Place>,
    /// The language, as ada, vhdl or c; told by the file's name when absent
    #[arg(long, short, value_name = "NAME")]
    language: Option<String>,
    /// The deployment to ask; `cloister models` lists them
    #[arg(long, short, value_name = "ALIAS")]
    deployment: Option<String>,
    /// Draws at most, the first included
    #[arg(long, value_name = "N")]
    candidates: Option<u32>,
    /// Draws that must behave the same with drawn inputs, before one is taken; 1 takes the first that compiles. Ada whose
    /// subprograms take scalars, strings, arrays and records, and VHDL whose ports are bits and vectors
    #[arg(long, value_name = "N")]
    agree: Option<u32>,
    /// Tokens of a draw at most
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// How much draws after the first vary
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Seed of the variation: the same seed gives the same rounds
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the result into the file, in one step; only what the compiler is content with
    #[arg(long, requires = "at")]
    apply: bool,
    /// Write the new unit to a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "at")]
    out: Option<PathBuf>,
    /// Print the server's answer as JSON: text, unit, record, checks and rounds
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    prefix: &'a str,
    suffix: &'a str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agree: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(rename = "cloister", skip_serializing_if = "Option::is_none")]
    subject: Option<Subject>,
}

#[derive(Deserialize)]
struct Round {
    record: u64,
    kind: String,
    #[serde(default)]
    mended: Vec<String>,
    errors: u32,
    #[serde(default)]
    first: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Generated {
    text: String,
    unit: String,
    /// What was put before the file.
    #[serde(default)]
    clauses: String,
    record: u64,
    #[serde(flatten)]
    findings: Findings,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<Agreement>,
    rounds: Value,
}

#[derive(Deserialize, Serialize)]
struct Agreement {
    clean: u32,
    agree: u32,
}

impl Generate {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let text = match &self.at {
            Some(place) => file::read_text(&place.file, FILE_BYTES_MAX)?,
            None => String::new(),
        };
        let offset = match &self.at {
            Some(place) => place
                .offset(&text)
                .map_err(|error| Failure::usage(format!("{}: {error}", place.file.display())))?,
            None => 0,
        };
        let settings = session.settings()?;
        let (prefix, suffix) = text.split_at(offset);
        let path = self.at.as_ref().map(|place| &place.file).or(self.out.as_ref());
        let deployment = self.deployment.clone().or_else(|| settings.deployment.clone());
        let asked = Asked {
            prefix,
            suffix,
            stream: true,
            instruction: self.instruction.as_deref(),
            language: self.language.as_deref(),
            model: deployment.as_deref(),
            candidates: self.candidates,
            agree: self.agree,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            seed: self.seed,
            subject: path.and_then(|path| subject::of_file(path)),
        };
        let generated = wait(async {
            let mut events = settings.client.stream("/v1/cloister/generate", &asked).await?;
            while let Some(data) = events.next().await? {
                if let Some(generated) = heard(session, &data)? {
                    return Ok(generated);
                }
            }
            Err(Failure::refused("the generation broke off: the records of its draws say how far it got"))
        })?;
        // What was not looked at is not clean.
        let is_clean = !generated.findings.checks.is_empty()
            && generated.findings.checks.iter().all(|check| check.outcome == "passed");
        self.show(session, &generated, is_clean)?;
        if self.apply && is_clean {
            self.insert(session, &text, offset, &generated)?;
        } else if self.apply {
            session.output.say("not written: the compiler objects, or did not look");
        }
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn show(&self, session: &mut Session, generated: &Generated, is_clean: bool) -> Result<(), Failure> {
        if self.json {
            session.output.json(generated)?;
        } else {
            let text = if self.at.is_some() { &generated.text } else { &generated.unit };
            session.output.text(text)?;
            session.output.end_text()?;
        }
        for line in findings::lines(&generated.findings) {
            session.output.say(line);
        }
        if let Some(Agreement { clean, agree }) = generated.agreement {
            session.output.say(format!("{agree} of {clean} clean draws behave so with drawn inputs"));
        }
        if let Some(out) = self.out.as_ref().filter(|_| is_clean) {
            file::write(out, generated.unit.as_bytes())?;
            session.output.say(format!("written: {}", out.display()));
        }
        session.output.say(format!("[record {}]", generated.record));
        Ok(())
    }

    fn insert(
        &self,
        session: &mut Session,
        text: &str,
        offset: usize,
        generated: &Generated,
    ) -> Result<(), Failure> {
        let Some(place) = &self.at else { return Ok(()) };
        let (before, behind) = text.split_at(offset);
        let mut filled = generated.text.replace("\r\n", "\n");
        if cursor::ends_lines_with_crlf(text) {
            filled = filled.replace('\n', "\r\n");
        }
        let whole = [generated.clauses.as_str(), before, &filled, behind].concat();
        file::replace(&place.file, text.as_bytes(), whole.as_bytes())?;
        let Place { file, line, column } = place;
        session.output.say(format!("inserted at {}:{line}:{column}", file.display()));
        Ok(())
    }
}

/// One event: a round is told, the end is given back.
fn heard(session: &mut Session, data: &str) -> Result<Option<Generated>, Failure> {
    let malformed = |error: &serde_json::Error| {
        Failure::refused("the server's answer is not understood").caused_by(error)
    };
    let mut event: Value = serde_json::from_str(data).map_err(|error| malformed(&error))?;
    if let Some(message) = event.pointer("/error/message").and_then(Value::as_str) {
        return Err(Failure::refused(message));
    }
    if let Some(done) = event.get_mut("done") {
        return serde_json::from_value(done.take()).map(Some).map_err(|error| malformed(&error));
    }
    let round = event.get_mut("round").map(Value::take).unwrap_or_default();
    let round: Round = serde_json::from_value(round).map_err(|error| malformed(&error))?;
    session.output.say(line(&round));
    Ok(None)
}

fn line(round: &Round) -> String {
    let what = match round.kind.as_str() {
        "mended" => format!("mended ({})", round.mended.join(", ")),
        "span" => "a statement drawn anew".to_owned(),
        other => other.to_owned(),
    };
    let errors = match (round.errors, &round.first) {
        (0, _) => "the compiler has no objection".to_owned(),
        (1, Some(first)) => format!("1 error: {}", checks::printable(first)),
        (errors, Some(first)) => format!("{errors} errors: {}", checks::printable(first)),
        (errors, None) => format!("{errors} errors"),
    };
    format!("record {}: {what}: {errors}", round.record)
}
