//! Seeded draws, so that a failure can be had again.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// Draws that depend on the seed alone.
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// The seed that the environment gives as CLOISTER_TEST_SEED, or a fresh one; printed either way.
    #[expect(clippy::print_stderr, reason = "a failing test must show its seed")]
    pub fn fresh(what: &str) -> Draw {
        let given = std::env::var("CLOISTER_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            now.as_secs() << 20 ^ u64::from(now.subsec_micros())
        });
        eprintln!("{what}: CLOISTER_TEST_SEED={seed}");
        Draw(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// One of the items.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = self.below(items.len() as u64);
        &items[usize::try_from(index).unwrap_or(0)]
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
