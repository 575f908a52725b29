//! What a count of tasks is worth.

use serde::{Deserialize, Serialize};

/// The quantile of the normal distribution that leaves 2.5 % on each side.
const Z: f64 = 1.959_963_984_540_054;

/// A share, with the interval that holds the true one in 95 of 100 such samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proportion {
    /// 0 to 1; 0 where there is no trial.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// A share of `trials` with Wilson's interval (Wilson 1927). `successes` may be a sum of shares, one a trial: a task that
/// was answered several times counts as one trial, so that its answers, which are alike, do not narrow the interval.
/// Without trials nothing is known: 0 to 1.
#[must_use]
pub fn proportion(successes: f64, trials: usize) -> Proportion {
    if trials == 0 {
        return Proportion { value: 0.0, low: 0.0, high: 1.0 };
    }
    let n = trials as f64;
    let value = (successes / n).clamp(0.0, 1.0);
    let centre = value + Z * Z / (2.0 * n);
    let spread = Z * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // Rounding must not take an end past the value that it encloses.
    let low = ((centre - spread) / scale).clamp(0.0, value);
    let high = ((centre + spread) / scale).clamp(value, 1.0);
    Proportion { value, low, high }
}

/// The chance that at least one of `k` answers passes, estimated without bias from `samples` answers of which `passed` do
/// (Chen et al. 2021): `1 - C(samples - passed, k) / C(samples, k)`. `None` where `k` is 0 or more than `samples`, or more
/// passed than there are.
#[must_use]
pub fn pass_at_k(samples: u32, passed: u32, k: u32) -> Option<f64> {
    if k == 0 || k > samples || passed > samples {
        return None;
    }
    if samples - passed < k {
        return Some(1.0);
    }
    let all_fail: f64 = (samples - passed + 1..=samples).map(|i| 1.0 - f64::from(k) / f64::from(i)).product();
    Some(1.0 - all_fail)
}

/// Two ways on the same tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// Tasks that both did.
    pub both: u64,
    /// Tasks that only the first did.
    pub only_first: u64,
    /// Tasks that only the second did.
    pub only_second: u64,
    /// Tasks that neither did.
    pub neither: u64,
    /// McNemar's exact test, two-sided: how likely tasks differ as unevenly, or more so, where neither way is better.
    pub p: f64,
}

/// Compares what the first and the second way did, a pair for each task.
#[must_use]
pub fn paired(outcomes: impl IntoIterator<Item = (bool, bool)>) -> Paired {
    let mut paired = Paired::default();
    for outcome in outcomes {
        match outcome {
            (true, true) => paired.both += 1,
            (true, false) => paired.only_first += 1,
            (false, true) => paired.only_second += 1,
            (false, false) => paired.neither += 1,
        }
    }
    paired.p = mcnemar(paired.only_first, paired.only_second);
    paired
}

/// Twice the smaller tail of a binomial distribution with 1/2, at most 1.
fn mcnemar(first: u64, second: u64) -> f64 {
    let (n, fewer) = (first + second, first.min(second));
    // Logarithms: 2^-n is no number from n = 1075 on.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = term.exp();
    for i in 1..=fewer {
        term += ((n - i + 1) as f64).ln() - (i as f64).ln();
        tail += term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// The value that `percent` of all are no greater than: the nearest rank, so always one of them. `None` of nothing.
#[must_use]
pub fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent.min(100)).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 5e-5, "{got}, not {expected}");
    }

    #[test]
    fn pass_at_k_by_counting_draws() {
        // Of 5 answers 2 pass. Two of five: 10 pairs, of which 3 have no passing one.
        close(pass_at_k(5, 2, 1).unwrap(), 0.4);
        close(pass_at_k(5, 2, 2).unwrap(), 0.7);
        close(pass_at_k(5, 2, 3).unwrap(), 0.9);
        close(pass_at_k(5, 2, 4).unwrap(), 1.0);
        close(pass_at_k(5, 0, 5).unwrap(), 0.0);
        close(pass_at_k(1, 1, 1).unwrap(), 1.0);
        // C(190, 10) / C(200, 10) = 0.5911.
        close(
            pass_at_k(200, 10, 10).unwrap(),
            1.0 - (0..10).map(|i| f64::from(190 - i) / f64::from(200 - i)).product::<f64>(),
        );
        for none in [pass_at_k(5, 2, 0), pass_at_k(5, 2, 6), pass_at_k(5, 6, 1)] {
            assert_eq!(none, None);
        }
    }

    #[test]
    fn wilson_by_a_known_table() {
        // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
        for (successes, trials, low, high) in [
            (81.0, 263, 0.2553, 0.3662),
            (15.0, 148, 0.0624, 0.1605),
            (0.0, 20, 0.0, 0.1611),
            (1.0, 29, 0.0061, 0.1718),
        ] {
            let got = proportion(successes, trials);
            close(got.low, low);
            close(got.high, high);
        }
        assert_eq!(proportion(0.0, 0), Proportion { value: 0.0, low: 0.0, high: 1.0 });
        close(proportion(20.0, 20).low, 1.0 - 0.1611);
    }

    #[test]
    fn mcnemar_by_hand() {
        // Six tasks differ, all one way: 2 / 2^6.
        close(mcnemar(0, 6), 0.03125);
        // 1 of 8: 2 * (1 + 8) / 256.
        close(mcnemar(7, 1), 0.0703125);
        // 2 of 10: 2 * (1 + 10 + 45) / 1024.
        close(mcnemar(2, 8), 0.109375);
        close(mcnemar(5, 5), 1.0);
        close(mcnemar(0, 0), 1.0);
        assert!(mcnemar(1000, 1000) == 1.0 && mcnemar(0, 5000) < 1e-300);
        let got = paired([(true, true), (true, false), (false, true), (false, true), (false, false)]);
        assert_eq!(got, Paired { both: 1, only_first: 1, only_second: 2, neither: 1, p: 1.0 });
    }

    #[test]
    fn percentiles_are_of_the_values() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile(&[4, 1, 3, 2], 50), Some(2));
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 95), Some(95));
        assert_eq!((percentile(&hundred, 0), percentile(&hundred, 100)), (Some(1), Some(100)));
    }

    proptest! {
        #[test]
        fn intervals_hold_their_value(trials in 1usize..10_000, share in 0.0f64..=1.0) {
            let got = proportion(share * trials as f64, trials);
            prop_assert!(0.0 <= got.low && got.low <= got.value && got.value <= got.high && got.high <= 1.0);
        }

        #[test]
        fn more_draws_pass_no_less(samples in 1u32..60, passed in 0u32..60, k in 1u32..59) {
            if let (Some(fewer), Some(more)) = (pass_at_k(samples, passed, k), pass_at_k(samples, passed, k + 1)) {
                prop_assert!((0.0..=1.0).contains(&fewer) && fewer <= more + 1e-12);
            }
        }
    }
}
