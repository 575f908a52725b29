//! One streamed answer, shown as it comes. Shared by `ask` and `chat`.

use std::path::Path;

use client::{ChatEvent, ChatRequest, Findings, Mark, Message, Usage};

use crate::commands::Session;
use crate::failure::Failure;
use crate::findings;
use crate::settings::Settings;
use crate::subject;

/// An answer that has come whole.
pub(crate) struct WholeAnswer {
    pub(crate) mark: Mark,
    pub(crate) deployment: String,
    pub(crate) text: String,
    pub(crate) stop: String,
    pub(crate) usage: Option<Usage>,
    pub(crate) findings: Findings,
}

/// How a question is answered: the flags `ask` and `chat` share.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Manner {
    /// The deployment to ask; `cloister models` lists them
    #[arg(long, short, value_name = "ALIAS")]
    deployment: Option<String>,
    /// Tokens of the answer at most
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// 0 takes the most probable token always; higher values vary more
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Seed of the variation: the same seed gives the same answer
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A message that goes before all others and says how to answer
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
}

impl Manner {
    /// The request for the next message after these.
    pub(crate) fn request(&self, settings: &Settings, messages: &[Message]) -> ChatRequest {
        let system = self.system.iter().map(|text| message("system", text.clone()));
        ChatRequest {
            model: self.deployment.clone().or_else(|| settings.deployment.clone()),
            messages: system.chain(messages.iter().cloned()).collect(),
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            seed: self.seed,
            subject: subject::of_directory(Path::new(".")),
        }
    }
}

pub(crate) fn message(role: &str, content: String) -> Message {
    Message { role: role.to_owned(), content }
}

/// Asks, and shows the answer while it comes if `show`. Its receipt is kept before its first text
/// is shown.
pub(crate) async fn answer(
    session: &mut Session,
    settings: &Settings,
    request: &ChatRequest,
    show: bool,
) -> Result<WholeAnswer, Failure> {
    let mut stream = settings.client.chat(request).await?;
    session.keep_receipt(settings, stream.mark());
    let mut text = String::new();
    let (deployment, stop, usage, findings) = loop {
        match stream.next().await {
            Ok(ChatEvent::Text(more)) => {
                text.push_str(&more);
                if show {
                    session.output.text(&more)?;
                }
            }
            Ok(ChatEvent::End { deployment, stop, usage, findings }) => {
                break (deployment, stop, usage, findings);
            }
            Err(error) => {
                if show {
                    session.output.end_text()?;
                }
                return Err(error.into());
            }
        }
    };
    let answer = WholeAnswer { mark: stream.mark().clone(), deployment, text, stop, usage, findings };
    if show {
        session.output.end_text()?;
        for line in findings::lines(&answer.findings) {
            session.output.say(line);
        }
        session.output.say(closing_line(&answer.mark, &answer.deployment, &answer.stop, answer.usage));
    }
    Ok(answer)
}

/// Where an answer came from and what it cost, in one line.
pub(crate) fn closing_line(mark: &Mark, deployment: &str, stop: &str, usage: Option<Usage>) -> String {
    let mut line = match mark.record {
        Some(record) => format!("[record {record}"),
        None => "[no record".to_owned(),
    };
    if !deployment.is_empty() {
        line.push_str(&format!(" · {deployment}"));
    }
    if let Some(usage) = usage {
        line.push_str(&format!(
            " · prompt {} tokens ({} cached) · answer {}",
            usage.prompt_tokens, usage.prompt_tokens_cached, usage.answer_tokens
        ));
    }
    if stop == "length" {
        line.push_str(" · cut off at the limit of tokens");
    }
    line.push(']');
    line
}
