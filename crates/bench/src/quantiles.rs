//! Figures of many measurements.

use std::time::Duration;

/// Measurements, sorted.
pub(crate) struct Quantiles(Vec<f64>);

impl Quantiles {
    pub(crate) fn of(mut values: Vec<f64>) -> Quantiles {
        values.sort_unstable_by(f64::total_cmp);
        Quantiles(values)
    }

    /// In milliseconds.
    pub(crate) fn of_times(times: impl IntoIterator<Item = Duration>) -> Quantiles {
        Quantiles::of(times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// The value at or above which `1 - per_cent / 100` of them lie; NaN without any.
    pub(crate) fn at(&self, per_cent: usize) -> f64 {
        self.at_per_mille(per_cent * 10)
    }

    /// The same in thousandths.
    pub(crate) fn at_per_mille(&self, per_mille: usize) -> f64 {
        let index = (self.0.len() * per_mille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let values = Quantiles::of((0..100).rev().map(f64::from).collect());
        assert_eq!((values.median(), values.at(99), values.at(0)), (50.0, 99.0, 0.0));
        assert!(Quantiles::of(vec![]).median().is_nan());
    }
}
