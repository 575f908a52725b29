//! Stop strings are watched for here, not upstream: which one it was, and that nothing behind it is shown, is then
//! the same for every engine.

/// The text of one generation so far, less what was released.
pub(crate) struct Held {
    stops: Vec<String>,
    text: String,
}

impl Held {
    /// Watches for `stops`; empty ones are ignored.
    pub(crate) fn new(stops: Vec<String>) -> Held {
        Held { stops, text: String::new() }
    }

    /// Takes more text. Answers what can be released, and the stop string that ends it, by index.
    pub(crate) fn push(&mut self, more: &str) -> (String, Option<u32>) {
        self.text.push_str(more);
        if let Some((at, index)) = self.first_stop() {
            self.text.truncate(at);
            return (std::mem::take(&mut self.text), Some(index));
        }
        let rest = self.text.split_off(self.text.len() - self.beginning_len());
        (std::mem::replace(&mut self.text, rest), None)
    }

    /// What is still held, when no more comes.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// The earliest; of those at the same place the first.
    fn first_stop(&self) -> Option<(usize, u32)> {
        let found = (0..).zip(&self.stops).filter(|(_, stop)| !stop.is_empty());
        found.filter_map(|(index, stop)| Some((self.text.find(stop)?, index))).min()
    }

    /// Bytes at the end that begin a stop string.
    fn beginning_len(&self) -> usize {
        let begun = |stop: &String| {
            let prefixes = stop.char_indices().map(|(end, _)| end).rev();
            prefixes.filter(|&end| self.text.ends_with(&stop[..end])).max().unwrap_or(0)
        };
        self.stops.iter().map(begun).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stops: &[&str], pieces: &[&str], expected: &[&str], expected_stop: Option<u32>) {
        let mut held = Held::new(stops.iter().map(ToString::to_string).collect());
        let mut out = Vec::new();
        for piece in pieces {
            let (text, stop) = held.push(piece);
            out.push(text);
            if stop.is_some() {
                assert_eq!((out, stop), (expected.iter().map(ToString::to_string).collect(), expected_stop));
                return;
            }
        }
        out.push(held.finish());
        assert_eq!((out, None), (expected.iter().map(ToString::to_string).collect(), expected_stop));
    }

    #[test]
    fn stop_strings() {
        check(&[], &["a", "b"], &["a", "b", ""], None);
        check(&["end;"], &["x en", "d", "; y"], &["x ", "", ""], Some(0));
        check(&["end;"], &["x en", "try"], &["x ", "entry", ""], None);
        check(&["end;"], &["x en"], &["x ", "en"], None);
        check(&["\n\n", "b"], &["ab\n\n"], &["a"], Some(1));
        check(&["aab"], &["aaa", "b"], &["a", ""], Some(0));
        check(&["", "é!"], &["xé", "?", "é", "!"], &["x", "é?", "", ""], Some(1));
        check(&["ab", "a"], &["a"], &[""], Some(1));
    }
}
