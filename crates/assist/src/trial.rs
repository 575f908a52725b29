//! Draws for nobody: the same prompts as people's requests get, for the qualification of a model. No person's words go in
//! and no person is answered, so nothing is recorded but the report that comes of it.

use engine::{Deployment, Order};
use protocol::Digest;
use protocol::worker::Class;
use retrieval::Passage;

use crate::prompt::{self, Rooms};
use crate::{Ask, Parameters, walk};

/// What a draw came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: u32,
    /// Milliseconds for the prompt and the answer, without waiting for a turn.
    pub ms: u64,
}

/// What a passage of a trial is called by, in place of a source.
const SOURCE: &str = "suite";

/// A piece of a file for a trial's prompt: where it is, and its text.
pub fn passage(path: String, text: String) -> Passage {
    Passage::of_text(SOURCE.to_owned(), path, text)
}

/// Draws one answer, all the passages in its prompt. An error says why there is none.
pub async fn draw(
    deployment: &Deployment,
    ask: &Ask,
    passages: &[Passage],
    parameters: &Parameters,
) -> Result<Drawn, String> {
    let context_tokens = deployment.ready.context_tokens;
    let tokens_max = parameters.tokens_max.unwrap_or(context_tokens / 2);
    let whole = context_tokens.saturating_sub(tokens_max.min(context_tokens / 2)) as usize;
    let rooms = Rooms { whole, context: whole };
    // Templates see a clock that stands still, so that the same suite has the same prompts.
    let prompt =
        prompt::build(deployment, ask, passages, 0, rooms).await.map_err(|error| error.to_string())?;
    if !prompt.holds_all(passages) {
        return Err(format!("its passages do not fit {context_tokens} tokens of context"));
    }
    let order = Order {
        prompt: prompt.tokens,
        sampling: parameters.sampling,
        tokens_max,
        stop: parameters.stop.clone(),
        predict_ms_max: parameters.predict_ms_max,
        until: parameters.until,
        heal: walk::heals(ask, parameters),
        cache_scope: Digest([0; 32]),
        person: Digest([0; 32]),
        class: Class::Chat,
        digest_rows: false,
        json_schema: walk::json_schema(deployment, ask, parameters),
        syntax: walk::syntax(deployment, ask, parameters),
    };
    let generation = deployment.worker.generate(order).await.map_err(|error| error.to_string())?;
    let output = walk::drain(generation).await.map_err(|error| error.to_string())?;
    Ok(Drawn {
        tokens: u32::try_from(output.tokens.len()).unwrap_or(u32::MAX),
        ms: (output.times.prompt_us + output.times.predict_us) / 1000,
        text: output.text,
    })
}
