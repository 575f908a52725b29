//! llama.cpp's `/infill`: a hole, with other files that the person has open.

use serde::{Deserialize, Serialize};

use crate::connection::Client;
use crate::dialect::{Answer, CompletionRequest, Findings, Subject, Usage};
use crate::error::ClientError;

/// A part of another file, for the prompt.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Extra {
    /// The file's name.
    pub filename: String,
    /// The part of it.
    pub text: String,
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra(…)")
    }
}

#[derive(Serialize)]
struct Infill<'a> {
    input_prefix: &'a str,
    input_suffix: &'a str,
    input_extra: &'a [Extra],
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_predict: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<&'a str>,
    temperature: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(rename = "cloister", skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
}

#[derive(Deserialize)]
struct Infilled {
    content: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    stop_type: String,
    #[serde(default)]
    tokens_predicted: u32,
    #[serde(default)]
    tokens_evaluated: u32,
    #[serde(default)]
    timings: Timings,
    #[serde(default)]
    cloister: Findings,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Timings {
    cache_n: u32,
}

impl Client {
    /// Fills a hole, as [`Client::complete`] does, and shows the model parts of other files.
    pub async fn infill(&self, request: &CompletionRequest, extra: &[Extra]) -> Result<Answer, ClientError> {
        let asked = Infill {
            input_prefix: &request.prompt,
            input_suffix: &request.suffix,
            input_extra: extra,
            model: request.model.as_deref(),
            n_predict: request.max_tokens,
            stop: &request.stop,
            until: request.until,
            temperature: request.temperature,
            seed: request.seed,
            subject: request.subject.as_ref(),
        };
        let answer = self.post::<Infilled>("/infill", &asked).await?;
        let Infilled { content, model, stop_type, tokens_predicted, tokens_evaluated, timings, cloister } =
            answer.value;
        Ok(Answer {
            mark: answer.mark,
            deployment: model,
            text: content,
            // As the other dialect says it.
            stop: if stop_type == "limit" { "length" } else { "stop" }.to_owned(),
            usage: Usage {
                prompt_tokens: tokens_evaluated,
                prompt_tokens_cached: timings.cache_n,
                answer_tokens: tokens_predicted,
            },
            findings: cloister,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_not_shown() {
        let extra = Extra { filename: "a".into(), text: "secret".into() };
        assert_eq!(format!("{extra:?}"), "Extra(…)");
    }
}
