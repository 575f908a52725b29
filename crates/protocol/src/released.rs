//! From token bytes to text that may be shown: whole UTF-8 sequences, and nothing that could still
//! turn out to be the beginning of a stop string, or of a line behind the end. Every worker goes by this.

use crate::worker::{Stop, Until};

/// The text of one generation so far, less what was released.
#[derive(Debug)]
pub struct Released {
    stop: Vec<String>,
    until: Until,
    held: Vec<u8>,
    /// Whether more than blanks was released.
    inked: bool,
}

impl Released {
    /// Watches for `stop` (empty strings in it are ignored) and for the end of a line or block.
    pub fn new(stop: Vec<String>, until: Until) -> Released {
        Released { stop, until, held: Vec::new(), inked: false }
    }

    /// Where a token's bytes are appended.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// Text that can be released now, and what ends it.
    pub fn take(&mut self) -> (String, Option<Stop>) {
        let stop = self.first_stop().map(|(position, index)| (position, Stop::StopString(index)));
        let until = self.end_of_until().map(|position| (position, Stop::Until));
        if let Some((position, stop)) = stop.into_iter().chain(until).min_by_key(|&(position, _)| position) {
            let text = lossy(&self.held[..position]);
            self.held.clear();
            return (text, Some(stop));
        }
        let keep = self.stop_prefix_len().max(incomplete_len(&self.held)).max(self.blank_lines_len());
        let rest = self.held.split_off(self.held.len() - keep);
        self.inked |= has_ink(&self.held);
        let text = lossy(&std::mem::replace(&mut self.held, rest));
        (text, None)
    }

    /// Everything held back, when no more tokens come.
    pub fn finish(&mut self) -> String {
        lossy(&std::mem::take(&mut self.held))
    }

    fn first_stop(&self) -> Option<(usize, u32)> {
        let found = (0..)
            .zip(&self.stop)
            .filter_map(|(index, stop)| Some((find(&self.held, stop.as_bytes())?, index)));
        found.min()
    }

    /// Where the line or block ends, once that is certain.
    fn end_of_until(&self) -> Option<usize> {
        let mut inked = self.inked;
        let mut place = 0;
        while let Some(line_len) = self.held[place..].iter().position(|&byte| byte == b'\n') {
            let end = place + line_len;
            inked |= has_ink(&self.held[place..end]);
            place = end + 1;
            match self.until {
                Until::Line if inked => return Some(end),
                Until::Block { indent } if inked => {
                    let next = &self.held[place..];
                    let blanks = next.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
                    let ink = next.get(blanks).is_some_and(|byte| !byte.is_ascii_whitespace());
                    if ink && u32::try_from(blanks).unwrap_or(u32::MAX) < indent {
                        return Some(self.held[..end].trim_ascii_end().len());
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Bytes at the end that belong to the block only if the line after them does.
    fn blank_lines_len(&self) -> usize {
        let Until::Block { .. } = self.until else { return 0 };
        let blanks = &self.held[self.held.trim_ascii_end().len()..];
        blanks.iter().position(|&byte| byte == b'\n').map_or(0, |newline| blanks.len() - newline)
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

fn has_ink(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| !byte.is_ascii_whitespace())
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
    fn check_until(stop: &[&str], until: Until, pieces: &[&[u8]]) -> (Vec<String>, Option<Stop>) {
        let mut released = Released::new(stop.iter().map(ToString::to_string).collect(), until);
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

    fn check(stop: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Option<Stop>) {
        check_until(stop, Until::End, pieces)
    }

    fn texts(out: &[&str], stop: Option<u32>) -> (Vec<String>, Option<Stop>) {
        (out.iter().map(ToString::to_string).collect(), stop.map(Stop::StopString))
    }

    #[test]
    fn ends_with_a_line() {
        let line = |pieces: &[&[u8]]| {
            let (out, stop) = check_until(&["zz"], Until::Line, pieces);
            (out.concat(), stop)
        };
        assert_eq!(line(&[b"x :=", b" 1;\n", b"y"]), ("x := 1;".to_owned(), Some(Stop::Until)));
        assert_eq!(line(&[b"\n  ", b"x;", b"\n"]), ("\n  x;".to_owned(), Some(Stop::Until)));
        assert_eq!(line(&[b"zz\n"]), (String::new(), Some(Stop::StopString(0))));
        assert_eq!(line(&[b"x"]), ("x".to_owned(), None));
    }

    #[test]
    fn ends_with_a_block() {
        let block = |pieces: &[&[u8]]| {
            let (out, stop) = check_until(&[], Until::Block { indent: 3 }, pieces);
            (out.concat(), stop)
        };
        let ended = |text: &str| (text.to_owned(), Some(Stop::Until));
        assert_eq!(block(&[b"a;\n", b"   b;\n", b"\n", b"end"]), ended("a;\n   b;"));
        assert_eq!(block(&[b"a;\n  ", b" b;", b"\n ", b" c"]), ended("a;\n   b;"));
        assert_eq!(block(&[b"\n", b"x;\ny"]), ended("\nx;"));
        assert_eq!(block(&[b"a;\n   b;\n\n"]), ("a;\n   b;\n\n".to_owned(), None));
        // Blank lines are held until the line after them is known.
        let (out, _) = check_until(&[], Until::Block { indent: 3 }, &[b"a;\n\n", b"   ", b"b;"]);
        assert_eq!(out, ["a;", "", "\n\n   b;", ""]);
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
