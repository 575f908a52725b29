//! How much is evaluated in one step, by how fast this machine turned out to be.

use std::time::Duration;

use protocol::worker::StepCost;

/// What a step may take while others wait for their next token: the bound on how long a prompt, however
/// long, keeps them waiting.
const STEP_BESIDE_OTHERS: Duration = Duration::from_millis(100);
/// What a step may take when only prompts are evaluated: the bound on how long one that comes in, or a
/// cancellation, waits.
const STEP_OF_PROMPTS: Duration = Duration::from_millis(500);
/// What a step costs whatever its size, at most, as a part of a step of prompts: where the weights alone take longer
/// to read than this part of the bound, steps are longer, because the prompt would wait for the same bytes too often.
const FIXED_PART: f64 = 0.1;
/// And such a step is not longer than this.
const LONGEST_STEP: Duration = Duration::from_millis(1_500);
/// Prompt tokens of a step at least: fewer would waste what evaluating together saves.
const CHUNK_MIN: usize = 16;
/// At most. A GPU is filled by more.
pub(crate) const CHUNK_MAX: usize = if cfg!(feature = "cuda") { 1024 } else { 256 };
/// Columns that kernels form together.
const TILE: usize = 8;
/// Steps of fewer tokens say little about the speed of prompts.
const TELLING: usize = 16;

/// What steps cost: something each, and something for each token.
pub(crate) struct Pace {
    us_per_step: f64,
    /// Smoothed.
    us_per_token: f64,
}

impl Pace {
    /// A first guess, by steps of the smallest size first: one token costs nearly what reading the weights costs.
    pub(crate) fn new(costs: &[StepCost]) -> Pace {
        let us = |cost: Option<&StepCost>| cost.map_or(0.0, |cost| f64::from(cost.us));
        let tokens = costs.last().map_or(1.0, |cost| f64::from(cost.tokens.max(1)));
        Pace { us_per_step: us(costs.first()), us_per_token: us(costs.last()) / tokens }
    }

    /// A step of `tokens` took so long.
    pub(crate) fn note(&mut self, tokens: usize, took: Duration) {
        if tokens >= TELLING {
            let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
            let now = (took.as_secs_f64() * 1e6 - self.us_per_step).max(0.0) / tokens;
            self.us_per_token += (now - self.us_per_token) / 4.0;
        }
    }

    /// Prompt tokens of a step, beside running generations or without.
    pub(crate) fn chunk(&self, beside_others: bool) -> usize {
        let step = if beside_others {
            STEP_BESIDE_OTHERS
        } else {
            let worth_its_cost = Duration::from_secs_f64(self.us_per_step / 1e6 / FIXED_PART);
            worth_its_cost.clamp(STEP_OF_PROMPTS, LONGEST_STEP)
        };
        let tokens = (step.as_secs_f64() * 1e6 - self.us_per_step) / self.us_per_token.max(1e-3);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
        let tokens = tokens.clamp(0.0, 1e6) as usize;
        // Whole tiles of columns: one column more costs nearly as much as eight.
        tokens.clamp(CHUNK_MIN, CHUNK_MAX) / TILE * TILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(one: u32, eight: u32) -> [StepCost; 2] {
        [StepCost { tokens: 1, us: one }, StepCost { tokens: 8, us: eight }]
    }

    #[test]
    fn chunks_follow_the_speed() {
        let mut pace = Pace::new(&costs(20_000, 80_000));
        assert_eq!(pace.chunk(true), CHUNK_MIN);
        for _ in 0..40 {
            pace.note(100, Duration::from_millis(120));
            pace.note(1, Duration::from_secs(9));
        }
        assert!([72, 80].contains(&pace.chunk(true)));
        assert_eq!(pace.chunk(false), CHUNK_MAX);
        for _ in 0..40 {
            pace.note(CHUNK_MAX, Duration::from_millis(1));
        }
        assert_eq!(pace.chunk(true), CHUNK_MAX);
    }

    /// A model of 1 GB and a memory of 10 GB/s: 100 ms go for the weights, whatever a step holds.
    #[test]
    fn steps_are_worth_what_they_cost_each() {
        let mut pace = Pace::new(&costs(100_000, 190_000));
        for _ in 0..40 {
            pace.note(50, Duration::from_millis(100 + 50 * 14));
        }
        assert_eq!(pace.chunk(true), CHUNK_MIN);
        assert!([56, 64].contains(&pace.chunk(false)));
        // However large the model is.
        let pace = Pace::new(&costs(900_000, 1_000_000));
        assert_eq!(pace.chunk(false), CHUNK_MIN);
    }

    #[test]
    fn without_a_measure_a_chunk_is_a_chunk() {
        assert_eq!(Pace::new(&[]).chunk(true), CHUNK_MAX);
    }
}
