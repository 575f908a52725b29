//! Choosing the next token from a row of logits. The same row, settings and step give the same token
//! on every machine that computes the same row: sums run in one fixed order, ties go to the lower
//! token number, and the draw depends on the seed and the step alone.

use protocol::worker::{Sampling, Token};

/// A buffer that is reused from step to step.
#[derive(Default)]
pub(crate) struct Sampler {
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy)]
struct Candidate {
    token: Token,
    /// A logit first, a probability later.
    weight: f32,
}

impl Sampler {
    /// The token after a row, among those that are `allowed`. `step` counts the tokens chosen before in
    /// this generation. A row without a finite value has none.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        sampling: &Sampling,
        step: u32,
        allowed: impl Fn(Token) -> bool,
    ) -> Option<Token> {
        if sampling.temperature <= 0.0 {
            return greedy(logits, allowed);
        }
        self.candidates.clear();
        self.candidates.extend(
            (0..)
                .zip(logits)
                .filter(|(token, logit)| logit.is_finite() && allowed(*token))
                .map(|(token, &weight)| Candidate { token, weight }),
        );
        self.keep_top_k(sampling.top_k);
        let highest = self.candidates.first()?.weight;
        for candidate in &mut self.candidates {
            candidate.weight = (candidate.weight - highest).exp();
        }
        self.keep_top_p(sampling.top_p);
        self.keep_min_p(sampling.min_p);
        for candidate in &mut self.candidates {
            candidate.weight = candidate.weight.powf(1.0 / sampling.temperature);
        }
        self.draw(uniform(sampling.seed, step))
    }

    /// Sorts by falling logit and keeps the first `top_k`; all for 0.
    fn keep_top_k(&mut self, top_k: u32) {
        let order = |a: &Candidate, b: &Candidate| b.weight.total_cmp(&a.weight).then(a.token.cmp(&b.token));
        let keep = usize::try_from(top_k).unwrap_or(usize::MAX);
        if keep > 0 && keep < self.candidates.len() {
            self.candidates.select_nth_unstable_by(keep - 1, order);
            self.candidates.truncate(keep);
        }
        self.candidates.sort_unstable_by(order);
    }

    /// Keeps the fewest of the first whose probabilities reach `top_p`; never none.
    fn keep_top_p(&mut self, top_p: f32) {
        if top_p >= 1.0 {
            return;
        }
        let total: f64 = self.candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let mut sum = 0.0;
        let reached = self.candidates.iter().position(|candidate| {
            sum += f64::from(candidate.weight);
            sum >= f64::from(top_p) * total
        });
        self.candidates.truncate(reached.map_or(usize::MAX, |index| index + 1));
    }

    /// Drops those below `min_p` of the highest, whose weight is 1.
    fn keep_min_p(&mut self, min_p: f32) {
        self.candidates.retain(|candidate| candidate.weight >= min_p.min(1.0));
    }

    fn draw(&self, uniform: f64) -> Option<Token> {
        let total: f64 = self.candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let mut left = uniform * total;
        for candidate in &self.candidates {
            left -= f64::from(candidate.weight);
            if left < 0.0 {
                return Some(candidate.token);
            }
        }
        self.candidates.last().map(|candidate| candidate.token)
    }
}

fn greedy(logits: &[f32], allowed: impl Fn(Token) -> bool) -> Option<Token> {
    let mut best: Option<(Token, f32)> = None;
    for (token, &logit) in (0..).zip(logits) {
        if logit.is_finite() && best.is_none_or(|(_, highest)| logit > highest) && allowed(token) {
            best = Some((token, logit));
        }
    }
    best.map(|(token, _)| token)
}

/// A number in [0, 1) from the seed and the step: SplitMix64's output function over both, so that a
/// replay can draw step `n` without the steps before it.
fn uniform(seed: u64, step: u32) -> f64 {
    let mut mixed = mix(seed.wrapping_add(mix(u64::from(step))));
    mixed >>= 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let numerator = mixed as f64;
    numerator / (1u64 << 53) as f64
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(logits: &[f32], sampling: Sampling, step: u32) -> Option<Token> {
        Sampler::default().choose(logits, &sampling, step, |_| true)
    }

    #[test]
    fn greedy_takes_the_lower_number_of_equals() {
        assert_eq!(choose(&[0.0, 3.0, 3.0, f32::NAN], Sampling::GREEDY, 0), Some(1));
        assert_eq!(choose(&[f32::NAN, f32::NEG_INFINITY], Sampling::GREEDY, 0), None);
    }

    #[test]
    fn only_what_is_allowed() {
        for temperature in [0.0, 1.0] {
            let sampling = Sampling { temperature, ..Sampling::GREEDY };
            let odd = Sampler::default().choose(&[9.0, 1.0, 8.0], &sampling, 0, |token| token % 2 == 1);
            assert_eq!(odd, Some(1));
        }
    }

    #[test]
    fn filters_leave_what_they_should() {
        let all = Sampling { temperature: 1.0, ..Sampling::GREEDY };
        let row = [0.0, 1.0, 2.0, 3.0];
        let seen = |sampling: Sampling| {
            let mut seen: Vec<_> = (0..2_000).filter_map(|step| choose(&row, sampling, step)).collect();
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(seen(all), [0, 1, 2, 3]);
        assert_eq!(seen(Sampling { top_k: 2, ..all }), [2, 3]);
        // Probabilities are 0.032, 0.087, 0.237, 0.644.
        assert_eq!(seen(Sampling { top_p: 0.6, ..all }), [3]);
        assert_eq!(seen(Sampling { top_p: 0.7, ..all }), [2, 3]);
        assert_eq!(seen(Sampling { min_p: 0.3, ..all }), [2, 3]);
        assert_eq!(seen(Sampling { min_p: 7.0, ..all }), [3]);
    }

    #[test]
    fn frequencies_follow_probabilities() {
        let sampling = Sampling { temperature: 1.0, seed: 11, ..Sampling::GREEDY };
        let row = [0.0, (2.0f32).ln(), (5.0f32).ln()];
        let mut counts = [0u32; 3];
        for step in 0..8_000 {
            counts[usize::try_from(choose(&row, sampling, step).unwrap()).unwrap()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1_000u32, 2_000, 5_000]) {
            assert!(count.abs_diff(expected) < 150, "{counts:?}");
        }
    }

    #[test]
    fn a_draw_depends_on_seed_and_step_alone() {
        assert_eq!(uniform(7, 3), uniform(7, 3));
        assert_ne!(uniform(7, 3), uniform(7, 4));
        assert_ne!(uniform(7, 3), uniform(8, 3));
    }
}
