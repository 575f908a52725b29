use std::path::PathBuf;
use std::process::ExitCode;

use client::{Client, Findings, Usage};
use serde::Serialize;
use serde_json::Value;

use super::{Session, search, wait};
use crate::conversation::{Manner, answer, message};
use crate::failure::Failure;
use crate::fences::fenced;
use crate::{file, subject};

/// More than this in one question fits no model.
const QUESTION_BYTES_MAX: u64 = 1 << 20;

/// Asks one question
///
/// The answer streams to standard output. Files given with --file are put before the question.
#[derive(clap::Args)]
pub(crate) struct Ask {
    /// The question; `-` reads it from standard input
    #[arg(value_name = "QUESTION")]
    question: String,
    /// A file that the question is about; may be repeated
    #[arg(long = "file", short, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show which passages of the team's sources went into the prompt
    #[arg(long)]
    sources: bool,
    /// Let nothing of the team's sources go into the prompt
    #[arg(long, conflicts_with = "sources")]
    no_context: bool,
    #[command(flatten)]
    manner: Manner,
    /// Print {record, deployment, text, stop, usage, checks, provenance, sources} as JSON when the answer is whole
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    record: Option<u64>,
    deployment: String,
    text: String,
    stop: String,
    usage: Option<Usage>,
    #[serde(flatten)]
    findings: Findings,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<Value>>,
}

impl Ask {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let mut question =
            if self.question == "-" { file::read_stdin(QUESTION_BYTES_MAX)? } else { self.question.clone() };
        if question.trim().is_empty() {
            return Err(Failure::usage("the question is empty"));
        }
        if !self.files.is_empty() {
            let mut files = String::new();
            for path in &self.files {
                files.push_str(&fenced(path, &file::read_text(path, QUESTION_BYTES_MAX)?));
            }
            question = format!("{files}{question}");
        }
        let settings = session.settings()?;
        let mut request = self.manner.request(&settings, &[message("user", question)]);
        if let Some(path) = self.files.first() {
            request.subject = subject::of_file(path);
        }
        if self.no_context {
            request.subject.get_or_insert_default().context = Some(false);
        }
        let answer = wait(answer(session, &settings, &request, !self.json))?;
        let sources = match (self.sources, answer.mark.record) {
            (true, Some(record)) => Some(wait(sources(&settings.client, record.0))?),
            _ => None,
        };
        if self.json {
            session.output.json(&Report {
                record: answer.mark.record.map(|record| record.0),
                deployment: answer.deployment,
                text: answer.text,
                stop: answer.stop,
                usage: answer.usage,
                findings: answer.findings,
                sources,
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(sources) = sources else { return Ok(ExitCode::SUCCESS) };
        session.output.text("\n")?;
        if sources.is_empty() {
            session.output.line(format_args!("sources: none"))?;
        }
        for source in &sources {
            session.output.line(format_args!(
                "source: {} ({})",
                search::heading(source),
                search::why(source)
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The passages that a record's prompt has, without their text, the most useful first.
async fn sources(client: &Client, record: u64) -> Result<Vec<Value>, Failure> {
    let document = client.get::<Value>(&format!("/v1/cloister/records/{record}")).await?.value;
    let context = document["body"]["context_text"].as_str().unwrap_or_default();
    let context: Value = serde_json::from_str(context).unwrap_or(Value::Null);
    let mut sources = context.as_array().cloned().unwrap_or_default();
    sources.retain(|source| source["source"].is_string());
    for source in sources.iter_mut().filter_map(Value::as_object_mut) {
        source.remove("text");
    }
    Ok(sources)
}
