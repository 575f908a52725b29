//! Guessing tokens: what followed the last time that the last few tokens stood in a row. A guess is evaluated
//! together with the token before it, and counts only where the model would have chosen it anyway.

use protocol::worker::{Speculation, StepCost, Token};

/// Tokens that have to stand in a row.
const MATCHED: usize = 3;
/// Tokens guessed at once, at most.
pub(crate) const DRAFT_MAX: usize = 7;
/// What acceptance counts for before anything was seen, and how many guesses that outweighs.
const ACCEPTANCE_PRIOR: f64 = 0.4;
const PRIOR_WEIGHT: f64 = 4.0;

/// When it pays to guess.
#[derive(Clone, Debug)]
pub(crate) struct Pays {
    speculation: Speculation,
    /// What a step of `1 + n` tokens costs, in steps of one.
    costs: [f64; DRAFT_MAX + 1],
}

/// How often a generation's guesses were right; those count, too, that were not evaluated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acceptance {
    right: f64,
    made: f64,
}

impl Acceptance {
    pub(crate) fn note(&mut self, right: bool) {
        self.made += 1.0;
        self.right += if right { 1.0 } else { 0.0 };
    }

    fn rate(self) -> f64 {
        (self.right + ACCEPTANCE_PRIOR * PRIOR_WEIGHT) / (self.made + PRIOR_WEIGHT)
    }
}

impl Pays {
    /// By costs of steps of 1, 2, 4 and 8 tokens, with straight lines between them.
    pub(crate) fn new(speculation: Speculation, costs: &[StepCost]) -> Pays {
        let one = costs.first().map_or(1.0, |cost| f64::from(cost.us.max(1)));
        let cost = |tokens: usize| {
            let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
            let after = costs.iter().position(|cost| f64::from(cost.tokens) >= tokens);
            match after {
                Some(0) => 1.0,
                Some(after) => {
                    let (low, high) = (costs[after - 1], costs[after]);
                    let share = (tokens - f64::from(low.tokens)) / f64::from(high.tokens - low.tokens);
                    (f64::from(low.us) + share * (f64::from(high.us) - f64::from(low.us))) / one
                }
                None => f64::INFINITY,
            }
        };
        Pays { speculation, costs: std::array::from_fn(|drafts| cost(1 + drafts)) }
    }

    /// Whether guesses are made beside other generations, too.
    pub(crate) fn always(&self) -> bool {
        self.speculation == Speculation::Always
    }

    /// How many tokens to guess: the number with most tokens a time. With acceptance `a`, a step with `n`
    /// guesses gives `1 + a + a^2 + … + a^n` tokens.
    pub(crate) fn tokens(&self, acceptance: Acceptance) -> usize {
        match self.speculation {
            Speculation::Off => 0,
            Speculation::Always => DRAFT_MAX,
            Speculation::Measured => {
                let rate = acceptance.rate();
                let (mut best, mut best_speed) = (0, 1.0);
                let (mut gain, mut power) = (1.0, 1.0);
                for drafts in 1..=DRAFT_MAX {
                    power *= rate;
                    gain += power;
                    // More than noise, so that it is never a loss.
                    if gain / self.costs[drafts] > best_speed * 1.05 {
                        (best, best_speed) = (drafts, gain / self.costs[drafts]);
                    }
                }
                best
            }
        }
    }
}

/// What followed the last few tokens of `held` and `next` when they stood there last; at most `drafts_max`.
pub(crate) fn look_up(held: &[Token], next: Token, drafts_max: usize) -> &[Token] {
    let Some(start) = held.len().checked_sub(MATCHED - 1) else { return &[] };
    let before = &held[start..];
    let found =
        (MATCHED - 1..held.len()).rev().find(|&at| held[at] == next && held[at + 1 - MATCHED..at] == *before);
    found.map_or(&[], |at| &held[at + 1..(at + 1 + drafts_max).min(held.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_last_time() {
        let held = [1, 2, 3, 4, 9, 2, 3, 5, 6, 7, 2, 3];
        assert_eq!(look_up(&held, 5, 2), [6, 7]);
        assert_eq!(look_up(&held, 4, 9), [9, 2, 3, 5, 6, 7, 2, 3]);
        assert_eq!(look_up(&held, 8, 2), [] as [Token; 0]);
        assert_eq!(look_up(&[1], 1, 2), [] as [Token; 0]);
    }

    #[test]
    fn guesses_only_where_it_pays() {
        let costs = |us: [u32; 4]| {
            [1, 2, 4, 8].into_iter().zip(us).map(|(tokens, us)| StepCost { tokens, us }).collect::<Vec<_>>()
        };
        let pays = |us, speculation| Pays::new(speculation, &costs(us));
        let mut good = Acceptance::default();
        let mut bad = Acceptance::default();
        for _ in 0..20 {
            good.note(true);
            bad.note(false);
        }
        // Nearly free, as on a device with much to spare.
        let free = pays([100, 105, 110, 120], Speculation::Measured);
        assert_eq!((free.tokens(good), free.tokens(bad)), (DRAFT_MAX, 0));
        // As dear as one by one.
        let dear = pays([100, 200, 400, 800], Speculation::Measured);
        assert_eq!((dear.tokens(good), dear.tokens(bad)), (0, 0));
        assert_eq!(pays([100, 105, 110, 120], Speculation::Off).tokens(good), 0);
        assert_eq!(pays([100, 200, 400, 800], Speculation::Always).tokens(bad), DRAFT_MAX);
    }
}
