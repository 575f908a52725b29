//! KV entries of sequences that gave their place to others: kept in memory, so that whoever comes back need
//! not wait for an evaluation of what was evaluated before.

use std::collections::VecDeque;

use protocol::Digest;
use protocol::worker::Token;

/// Copying entries pays from that many tokens on.
pub(crate) const TOKENS_MIN: usize = 64;

pub(crate) struct Entries {
    pub(crate) scope: Digest,
    pub(crate) tokens: Vec<Token>,
    pub(crate) bytes: Vec<u8>,
}

/// The least recently used first. There are as many as fit: some dozens, so a scan finds the longest prefix
/// faster than a copy of its entries takes.
pub(crate) struct Kept {
    entries: VecDeque<Entries>,
    bytes: u64,
    bytes_max: u64,
}

impl Kept {
    pub(crate) fn new(bytes_max: u64) -> Kept {
        Kept { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Whether entries of that size may be kept at all.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        bytes as u64 <= self.bytes_max
    }

    /// Keeps entries, and drops what they go beyond, or the least recently used for want of room.
    pub(crate) fn put(&mut self, entries: Entries) {
        if !self.has_room_for(entries.bytes.len()) {
            return;
        }
        self.retain(|kept| kept.scope != entries.scope || !entries.tokens.starts_with(&kept.tokens));
        self.bytes += entries.bytes.len() as u64;
        self.entries.push_back(entries);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes.len() as u64;
        }
    }

    /// Tokens of the prompt that the best of a scope's entries hold.
    pub(crate) fn longest(&self, scope: Digest, prompt: &[Token]) -> usize {
        self.best(scope, prompt).map_or(0, |(_, tokens)| tokens)
    }

    /// The best of a scope's entries; they are the most recently used then.
    pub(crate) fn get(&mut self, scope: Digest, prompt: &[Token]) -> Option<&Entries> {
        let (place, _) = self.best(scope, prompt)?;
        let entries = self.entries.remove(place)?;
        self.entries.push_back(entries);
        self.entries.back()
    }

    fn best(&self, scope: Digest, prompt: &[Token]) -> Option<(usize, usize)> {
        let of_scope = self.entries.iter().enumerate().filter(|(_, entries)| entries.scope == scope);
        of_scope
            .map(|(place, entries)| (place, shared_len(&entries.tokens, prompt)))
            .max_by_key(|&(_, tokens)| tokens)
    }

    fn retain(&mut self, keep: impl Fn(&Entries) -> bool) {
        self.entries.retain(keep);
        self.bytes = self.entries.iter().map(|entries| entries.bytes.len() as u64).sum();
    }
}

/// How many tokens two texts have in common, from the first on.
pub(crate) fn shared_len(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(scope: u8, tokens: &[Token], bytes: usize) -> Entries {
        Entries { scope: Digest([scope; 32]), tokens: tokens.to_vec(), bytes: vec![0; bytes] }
    }

    #[test]
    fn scopes_are_apart_and_the_oldest_goes() {
        let scope = |byte| Digest([byte; 32]);
        let mut kept = Kept::new(100);
        kept.put(entries(1, &[1, 2, 3], 40));
        kept.put(entries(2, &[1, 2, 3, 4], 40));
        assert_eq!(kept.longest(scope(1), &[1, 2, 3, 4]), 3);
        assert_eq!(kept.longest(scope(3), &[1, 2, 3, 4]), 0);
        // What goes further takes the place of what it began with.
        kept.put(entries(1, &[1, 2, 3, 9], 50));
        assert_eq!((kept.entries.len(), kept.bytes), (2, 90));
        assert!(kept.get(scope(2), &[1]).is_some());
        kept.put(entries(3, &[7], 20));
        assert_eq!((kept.longest(scope(1), &[1, 2]), kept.longest(scope(2), &[1, 2])), (0, 2));
        kept.put(entries(4, &[7], 101));
        assert_eq!((kept.longest(scope(4), &[7]), kept.longest(scope(3), &[7])), (0, 1));
    }
}
