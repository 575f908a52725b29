//! From token bytes to text that may be shown: whole UTF-8 sequences, and nothing that could still
//! turn out to be the beginning of a stop string.

/// The text of one generation so far, less what was released.
pub(crate) struct Released {
    stop: Vec<String>,
    held: Vec<u8>,
}

impl Released {
    /// Watches for `stop`; empty strings in it are ignored.
    pub(crate) fn new(stop: Vec<String>) -> Released {
        Released { stop, held: Vec::new() }
    }

    /// Where a token's bytes are appended.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// Text that can be released now, and the stop string that ends it, by index.
    pub(crate) fn take(&mut self) -> (String, Option<u32>) {
        if let Some((position, index)) = self.first_stop() {
            let text = lossy(&self.held[..position]);
            self.held.clear();
            return (text, Some(index));
        }
        let keep = self.stop_prefix_len().max(incomplete_len(&self.held));
        let rest = self.held.split_off(self.held.len() - keep);
        let text = lossy(&std::mem::replace(&mut self.held, rest));
        (text, None)
    }

    /// Everything held back, when no more tokens come.
    pub(crate) fn finish(&mut self) -> String {
        lossy(&std::mem::take(&mut self.held))
    }

    fn first_stop(&self) -> Option<(usize, u32)> {
        let found = (0..)
            .zip(&self.stop)
            .filter_map(|(index, stop)| Some((find(&self.held, stop.as_bytes())?, index)));
        found.min()
    }

    /// Bytes at the end that begin a stop string.
    fn stop_prefix_len(&self) -> usize {
        let prefix_len = |stop: &String| {
            let longest = stop.len().saturating_sub(1).min(self.held.len());
            (1..=longest).rev().find(|&len| self.held.ends_with(&stop.as_bytes()[..len])).unwrap_or(0)
        };
        self.stop.iter().map(prefix_len).max().unwrap_or(0)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Bytes at the end that begin a UTF-8 sequence which more bytes could complete.
fn incomplete_len(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    (0..tail.len())
        .find(|&start| {
            let rest = &tail[start..];
            std::str::from_utf8(rest).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
        })
        .map_or(0, |start| tail.len() - start)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces one after another; returns what was released after each, and the stop.
    fn check(stop: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Option<u32>) {
        let mut released = Released::new(stop.iter().map(ToString::to_string).collect());
        let mut out = Vec::new();
        for piece in pieces {
            released.bytes().extend_from_slice(piece);
            let (text, stop) = released.take();
            out.push(text);
            if stop.is_some() {
                return (out, stop);
            }
        }
        out.push(released.finish());
        (out, None)
    }

    fn texts(out: &[&str], stop: Option<u32>) -> (Vec<String>, Option<u32>) {
        (out.iter().map(ToString::to_string).collect(), stop)
    }

    #[test]
    fn holds_back_parts_of_characters() {
        assert_eq!(check(&[], &[b"a\xc3", b"\xa9b"]), texts(&["a", "éb", ""], None));
        assert_eq!(check(&[], &["🦀".as_bytes().split_at(3).0, &[0x80]]), texts(&["", "🦀", ""], None));
        assert_eq!(check(&[], &[b"\xff\xfe", b"x\xc3"]), texts(&["\u{fffd}\u{fffd}", "x", "\u{fffd}"], None));
    }

    #[test]
    fn holds_back_beginnings_of_stop_strings() {
        assert_eq!(check(&["end;"], &[b"x en", b"d", b"; y"]), texts(&["x ", "", ""], Some(0)));
        assert_eq!(check(&["end;"], &[b"x en", b"try"]), texts(&["x ", "entry", ""], None));
        assert_eq!(check(&["\n\n", "b"], &[b"ab\n\n"]), texts(&["a"], Some(1)));
        assert_eq!(check(&["aab"], &[b"aaa", b"b"]), texts(&["a", ""], Some(0)));
        assert_eq!(check(&[""], &[b"a"]), texts(&["a", ""], None));
    }
}
