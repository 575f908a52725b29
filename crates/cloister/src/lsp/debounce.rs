//! How long to wait for the next keystroke before a request is sent: as long as this person needs between two, less
//! what an answer takes anyway. Pure: the clock comes in.

use std::collections::VecDeque;

/// The longest wait, unless the editor says another.
pub(super) const WAIT_MS_MAX: u64 = 400;
/// What is remembered of typing and of answers.
const REMEMBERED: usize = 16;
/// A longer pause is thinking.
const PAUSE_MS_MIN: u64 = 1500;
/// Before anything is known of a person.
const INTERVAL_MS_FIRST: u64 = 120;

/// The rhythm of one person's typing, and how long answers take.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    last_ms: Option<u64>,
    intervals_ms: VecDeque<u64>,
    latencies_ms: VecDeque<u64>,
}

impl Debounce {
    /// Something was typed; times only grow.
    pub(super) fn typed(&mut self, now_ms: u64) {
        let interval = self.last_ms.map(|last| now_ms.saturating_sub(last));
        self.last_ms = Some(now_ms);
        if let Some(interval) = interval.filter(|interval| *interval < PAUSE_MS_MIN) {
            remember(&mut self.intervals_ms, interval);
        }
    }

    /// An answer came.
    pub(super) fn answered(&mut self, latency_ms: u64) {
        remember(&mut self.latencies_ms, latency_ms);
    }

    /// How long to wait now: a quarter more than the interval that four fifths are not longer than, so that a burst of
    /// keystrokes ends in one request; where answers take longer than that, the waiting is theirs.
    pub(super) fn wait_ms(&self, max_ms: u64) -> u64 {
        let interval = at(&self.intervals_ms, 4, 5).unwrap_or(INTERVAL_MS_FIRST);
        let latency = at(&self.latencies_ms, 1, 2).unwrap_or(0);
        (interval + interval / 4).saturating_sub(latency).min(max_ms)
    }
}

fn remember(all: &mut VecDeque<u64>, one: u64) {
    if all.len() == REMEMBERED {
        all.pop_front();
    }
    all.push_back(one);
}

/// The value at a part of the sorted values.
fn at(all: &VecDeque<u64>, part: usize, of: usize) -> Option<u64> {
    let mut sorted: Vec<u64> = all.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get((sorted.len() * part / of).min(sorted.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeded, so that a trace is the same each time.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    /// Types `keys` keys, `mean` ms apart, a pause of seconds after every word; the requests that a wait lets through.
    fn requests(seed: u64, keys: usize, mean_ms: u64, latency_ms: u64) -> (usize, u64) {
        let mut random = Random(seed);
        let mut debounce = Debounce::default();
        let (mut now, mut requests) = (0, 0);
        for key in 0..keys {
            debounce.typed(now);
            let wait = debounce.wait_ms(WAIT_MS_MAX);
            let pause = key % 8 == 7;
            let next = if pause { 2000 + random.below(2000) } else { mean_ms / 2 + random.below(mean_ms) };
            if next > wait {
                requests += 1;
                debounce.answered(latency_ms);
            }
            now += next;
        }
        (requests, debounce.wait_ms(WAIT_MS_MAX))
    }

    #[test]
    fn bursts_end_in_few_requests() {
        for seed in 1..=20 {
            let (requests, wait) = requests(seed, 400, 160, 20);
            assert!((120..320).contains(&wait), "seed {seed}: waits {wait} ms");
            assert!((50..200).contains(&requests), "seed {seed}: {requests} of 400 keystrokes asked");
        }
    }

    #[test]
    fn slow_answers_need_no_wait_and_slow_typing_has_a_limit() {
        for seed in 1..=20 {
            assert_eq!(requests(seed, 400, 160, 900).1, 0, "seed {seed}");
            assert_eq!(requests(seed, 400, 900, 10).1, WAIT_MS_MAX, "seed {seed}");
            assert!(requests(seed, 400, 40, 10).1 < 80, "seed {seed}");
        }
    }

    #[test]
    fn the_first_keystroke_waits_a_little() {
        assert_eq!(Debounce::default().wait_ms(WAIT_MS_MAX), 150);
        assert_eq!(Debounce::default().wait_ms(0), 0);
        let mut debounce = Debounce::default();
        debounce.typed(10);
        debounce.typed(5);
        assert_eq!(debounce.wait_ms(WAIT_MS_MAX), 0);
    }
}
