//! How much is evaluated in one step, by how fast this machine turned out to be.

use std::time::Duration;

/// What a step may take while others wait for their next token: the bound on how long a prompt, however
/// long, keeps them waiting.
const STEP_BESIDE_OTHERS: Duration = Duration::from_millis(100);
/// What a step may take when only prompts are evaluated: the bound on how long one that comes in, or a
/// cancellation, waits.
const STEP_OF_PROMPTS: Duration = Duration::from_millis(500);
/// Prompt tokens of a step at least: fewer would waste what evaluating together saves.
const CHUNK_MIN: usize = 16;
/// At most. A GPU is filled by more.
pub(crate) const CHUNK_MAX: usize = if cfg!(feature = "cuda") { 1024 } else { 256 };
/// Steps of fewer tokens say little about the speed of prompts.
const TELLING: usize = 16;

/// Time a token of a prompt takes, smoothed.
pub(crate) struct Pace {
    us_per_token: f64,
}

impl Pace {
    /// A first guess, by a step of `tokens` that took `us`.
    pub(crate) fn new(tokens: u32, us: u32) -> Pace {
        Pace { us_per_token: f64::from(us) / f64::from(tokens.max(1)) }
    }

    /// A step of `tokens` took so long.
    pub(crate) fn note(&mut self, tokens: usize, took: Duration) {
        if tokens >= TELLING {
            let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
            let now = took.as_secs_f64() * 1e6 / tokens;
            self.us_per_token += (now - self.us_per_token) / 4.0;
        }
    }

    /// Prompt tokens of a step, beside running generations or without.
    pub(crate) fn chunk(&self, beside_others: bool) -> usize {
        let step = if beside_others { STEP_BESIDE_OTHERS } else { STEP_OF_PROMPTS };
        let tokens = step.as_secs_f64() * 1e6 / self.us_per_token.max(1e-3);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
        let tokens = tokens.clamp(0.0, 1e6) as usize;
        tokens.clamp(CHUNK_MIN, CHUNK_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_the_speed() {
        let mut pace = Pace::new(8, 80_000);
        assert_eq!(pace.chunk(true), CHUNK_MIN);
        for _ in 0..40 {
            pace.note(100, Duration::from_millis(100));
            pace.note(1, Duration::from_secs(9));
        }
        assert!((98..=100).contains(&pace.chunk(true)));
        assert_eq!(pace.chunk(false), CHUNK_MAX);
        for _ in 0..40 {
            pace.note(CHUNK_MAX, Duration::from_millis(1));
        }
        assert_eq!(pace.chunk(true), CHUNK_MAX);
    }
}
