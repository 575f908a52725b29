//! Suggestions that are kept: what a person types that agrees with one is answered from here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::hole::Hole;

/// Suggestions that are kept; the one that was used longest ago goes first.
pub(super) const KEPT_MAX: usize = 256;

/// One suggestion. An empty text is kept too: there is nothing to say there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The record of the answer; 0 of a server that keeps none.
    pub(super) record: u64,
    pub(super) text: String,
}

/// One that goes on where a person is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kept: Kept,
    /// Bytes of it that are typed already.
    pub(super) taken: usize,
}

#[derive(Debug)]
struct Entry {
    /// Document, what is before and what is behind: compared, since hashes may collide.
    anchor: (String, String, String),
    kept: Kept,
    is_long: bool,
    used: u64,
}

/// What is kept, over all documents.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<u64, Entry>,
    hasher: RandomState,
    clock: u64,
}

impl Cache {
    pub(super) fn keep(&mut self, hole: &Hole, kept: Kept) {
        self.clock += 1;
        let (before, behind) = hole.anchor(0);
        let key = self.hasher.hash_one((hole.uri.as_str(), before, behind));
        let anchor = (hole.uri.clone(), before.to_owned(), behind.to_owned());
        self.entries.insert(key, Entry { anchor, kept, is_long: hole.is_long, used: self.clock });
        if self.entries.len() > KEPT_MAX
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
        {
            self.entries.remove(&oldest);
        }
    }

    /// The newest that begins here or a little before, and agrees with what was typed since. Whoever asks for as much as
    /// there is gets none that was cut to a line.
    pub(super) fn find(&mut self, hole: &Hole) -> Option<Found> {
        let (key, taken) = self.place(hole)?;
        self.clock += 1;
        let entry = self.entries.get_mut(&key)?;
        entry.used = self.clock;
        Some(Found { kept: entry.kept.clone(), taken })
    }

    /// Whether there is one.
    pub(super) fn has(&self, hole: &Hole) -> bool {
        self.place(hole).is_some()
    }

    fn place(&self, hole: &Hole) -> Option<(u64, usize)> {
        let mut found = hole.typed_since().filter_map(|taken| {
            let (before, behind) = hole.anchor(taken);
            let key = self.hasher.hash_one((hole.uri.as_str(), before, behind));
            let Entry { anchor, kept, is_long, .. } = self.entries.get(&key)?;
            let is_there =
                (anchor.0.as_str(), anchor.1.as_str(), anchor.2.as_str()) == (&hole.uri, before, behind);
            let typed = &hole.before[hole.before.len() - taken..];
            // One that was typed to its end says nothing about what comes then.
            let goes_on = kept.text.starts_with(typed) && (taken == 0 || kept.text.len() > taken);
            (is_there && goes_on && (*is_long || !hole.is_long)).then_some((key, taken))
        });
        found.next()
    }

    /// Forgets a document's, when it is closed.
    pub(super) fn forget(&mut self, uri: &str) {
        self.entries.retain(|_, entry| entry.anchor.0 != uri);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hole(before: &str, behind: &str) -> Hole {
        Hole { uri: "u".into(), before: before.into(), behind: behind.into(), is_long: false }
    }

    fn kept(text: &str) -> Kept {
        Kept { record: 1, text: text.into() }
    }

    fn rest(cache: &mut Cache, before: &str) -> Option<String> {
        cache.find(&hole(before, "\nend\n")).map(|found| found.kept.text[found.taken..].to_owned())
    }

    #[test]
    fn what_was_predicted_costs_nothing() {
        let mut cache = Cache::default();
        cache.keep(&hole("begin\n   ", "\nend\n"), kept("Größe := 1;\n   Y;"));
        let rest = |cache: &mut Cache, before: &str| rest(cache, before);
        assert_eq!(rest(&mut cache, "begin\n   ").as_deref(), Some("Größe := 1;\n   Y;"));
        assert_eq!(rest(&mut cache, "begin\n   Grö").as_deref(), Some("ße := 1;\n   Y;"));
        assert_eq!(rest(&mut cache, "begin\n   Größe := 1;\n   ").as_deref(), Some("Y;"));
        // Letters deleted again.
        assert_eq!(rest(&mut cache, "begin\n   G").as_deref(), Some("röße := 1;\n   Y;"));
        // Typed otherwise, typed to the end, begun before, elsewhere.
        assert_eq!(rest(&mut cache, "begin\n   X"), None);
        assert_eq!(rest(&mut cache, "begin\n   Größe := 1;\n   Y;"), None);
        assert_eq!(rest(&mut cache, "begin\n  "), None);
        assert_eq!(cache.find(&hole("begin\n   ", ";\nend\n")), None);
        assert_eq!(cache.find(&Hole { uri: "v".into(), ..hole("begin\n   ", "\nend\n") }), None);
        // More is wanted than a line.
        assert_eq!(cache.find(&Hole { is_long: true, ..hole("begin\n   ", "\nend\n") }), None);
        cache.forget("u");
        assert_eq!(rest(&mut cache, "begin\n   "), None);
    }

    #[test]
    fn lines_above_may_scroll_away() {
        let mut cache = Cache::default();
        cache.keep(&hole("1\n2\n3\n4\n5\nx := ", "\nend\n"), kept("y;"));
        assert_eq!(rest(&mut cache, "2\n3\n4\n5\nx := ").as_deref(), Some("y;"));
        assert_eq!(rest(&mut cache, "2\n3\n4\n5\nx := y").as_deref(), Some(";"));
    }

    #[test]
    fn nothing_to_say_is_kept_for_its_place_only() {
        let mut cache = Cache::default();
        cache.keep(&hole("x;", "\nend\n"), kept(""));
        assert_eq!(rest(&mut cache, "x;").as_deref(), Some(""));
        assert_eq!(rest(&mut cache, "x; "), None);
    }

    #[test]
    fn the_one_used_longest_ago_goes() {
        let mut cache = Cache::default();
        for number in 0..KEPT_MAX {
            cache.keep(&hole(&format!("{number}: "), "\nend\n"), kept("y"));
        }
        assert!(rest(&mut cache, "0: ").is_some());
        cache.keep(&hole("new: ", "\nend\n"), kept("y"));
        assert!(rest(&mut cache, "0: ").is_some());
        assert_eq!(rest(&mut cache, "1: "), None);
        assert_eq!(cache.entries.len(), KEPT_MAX);
    }

    proptest! {
        /// Whatever was typed of a suggestion, the rest of it is found; and what is found goes on as it was kept.
        #[test]
        fn typed_and_rest_are_the_whole(before in "[a-c\n é]{0,40}", text in "[a-c\n é]{1,40}", cut in 0..40_usize) {
            let mut cache = Cache::default();
            cache.keep(&hole(&before, "z"), kept(&text));
            let cut = text.floor_char_boundary(cut.min(text.len()));
            let now = [&before, &text[..cut]].concat();
            if let Some(found) = cache.find(&hole(&now, "z")) {
                prop_assert!(now.ends_with(&found.kept.text[..found.taken]));
            } else {
                prop_assert_eq!(cut, text.len());
            }
        }
    }
}
