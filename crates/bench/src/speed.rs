//! Prompt tokens and answer tokens a second, bare, in both profiles.

use protocol::worker::{EngineProfile, Token};
use testkit::{Failure, load};

use crate::bare::Bare;
use crate::quantiles::Quantiles;

const PROMPT_TOKENS: [usize; 2] = [512, 2048];
/// Answer tokens, which follow the prompt.
const ANSWER_TOKENS: u32 = 48;
const REPETITIONS: u64 = 5;
/// In their place where only the tables are looked at.
const QUICK_TOKENS: (usize, u32) = (64, 4);

pub(crate) async fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    let context_tokens = 2048 + 2 * ANSWER_TOKENS;
    let reproducible = Bare::start(model, EngineProfile::Reproducible, 1, context_tokens).await?;
    let fast = Bare::start(model, EngineProfile::Fast, 1, context_tokens).await?;
    println!("\n| tokens a second | reproducible | fast (llama.cpp's defaults) | ratio |\n|---|---|---|---|");
    let (sizes, answer_tokens) =
        if quick { (&[QUICK_TOKENS.0][..], QUICK_TOKENS.1) } else { (&PROMPT_TOKENS[..], ANSWER_TOKENS) };
    for &size in sizes {
        let prompt = prompt(&reproducible, size).await?;
        let mut rates = [(); 4].map(|()| Vec::new());
        for repetition in 0..if quick { 1 } else { REPETITIONS } {
            // In turns, so that a slow moment of the machine meets both.
            for (bare, column) in [(&reproducible, 0), (&fast, 1)] {
                let run = bare.run(prompt.clone(), answer_tokens, repetition).await?;
                rates[column].push(rate(size, run.times.prompt_us));
                // The first token comes from the prompt's last row.
                rates[2 + column].push(rate(run.tokens.saturating_sub(1), run.times.predict_us));
            }
        }
        let [prefill, prefill_fast, decode, decode_fast] = rates.map(|rates| Quantiles::of(rates).median());
        row(&format!("prefill of {size}"), prefill, prefill_fast);
        row(&format!("decode after {size}"), decode, decode_fast);
    }
    Ok(())
}

/// The first `size` tokens of Ada sources, over and over.
async fn prompt(bare: &Bare, size: usize) -> Result<Vec<Token>, Failure> {
    let source = bare.worker.tokenize(vec![protocol::worker::Part::Text(load::ADA.to_owned())]).await?;
    Ok(source.into_iter().cycle().take(size).collect())
}

pub(crate) fn rate(tokens: usize, us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (tokens, us) = (tokens as f64, us as f64);
    tokens * 1e6 / us
}

pub(crate) fn row(what: &str, reproducible: f64, peer: f64) {
    println!("| {what} | {reproducible:.1} | {peer:.1} | {:.2} |", reproducible / peer);
}
