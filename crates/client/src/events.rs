//! Server-sent events, as the WHATWG HTML standard parses them (section 9.2.6), with a limit on an
//! event's size. Event names, ids and retry times are read over: the dialects here use only `data`.

use std::collections::VecDeque;

/// Why bytes are not a stream of events.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EventError {
    /// One event is more than a client will hold.
    #[error("an event is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// Not text.
    #[error("an event is not UTF-8")]
    NotUtf8,
}

/// Turns bytes, cut anywhere, into the data of events.
#[derive(Debug)]
pub(crate) struct EventParser {
    /// The line that has not ended.
    line: Vec<u8>,
    /// The data of the event that has not ended; `None` before its first `data` field.
    data: Option<String>,
    /// A carriage return ended the last line: a line feed right behind it belongs to it.
    after_carriage_return: bool,
    /// Nothing was read yet: a byte order mark is allowed.
    first_line: bool,
    /// Bytes of one line, and of one event's data.
    bytes_max: usize,
}

impl EventParser {
    pub(crate) fn new(bytes_max: usize) -> Self {
        EventParser {
            line: Vec::new(),
            data: None,
            after_carriage_return: false,
            first_line: true,
            bytes_max,
        }
    }

    /// Reads on, and adds the data of each event that ended. An event without its blank line never
    /// ends: the caller sees the stream stop instead.
    pub(crate) fn push(&mut self, bytes: &[u8], ended: &mut VecDeque<String>) -> Result<(), EventError> {
        for &byte in bytes {
            let joined = std::mem::take(&mut self.after_carriage_return) && byte == b'\n';
            match byte {
                b'\n' if joined => {}
                b'\r' | b'\n' => {
                    self.after_carriage_return = byte == b'\r';
                    self.end_line(ended)?;
                }
                _ if self.line.len() >= self.bytes_max => {
                    return Err(EventError::TooLong { bytes_max: self.bytes_max });
                }
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, ended: &mut VecDeque<String>) -> Result<(), EventError> {
        let line = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&line).map_err(|_| EventError::NotUtf8)?;
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            ended.extend(self.data.take());
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field != "data" {
            return Ok(());
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        let held = self.data.as_ref().map_or(0, |data| data.len() + 1);
        if held + value.len() > self.bytes_max {
            return Err(EventError::TooLong { bytes_max: self.bytes_max });
        }
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a text whole and cut at every place, and expects the same.
    fn check(text: &str, expected: &[&str]) {
        for cut in 0..=text.len() {
            let mut parser = EventParser::new(64);
            let mut ended = VecDeque::new();
            parser.push(&text.as_bytes()[..cut], &mut ended).unwrap();
            parser.push(&text.as_bytes()[cut..], &mut ended).unwrap();
            assert_eq!(ended, expected, "{text:?} cut at {cut}");
        }
    }

    #[test]
    fn events() {
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data:a\r\n\r\ndata:  b\r\rdata: c\n\n", &["a", " b", "c"]);
        check("data: a\ndata: b\n\n", &["a\nb"]);
        check("data\n\n", &[""]);
        check("\u{feff}data: é\n\n", &["é"]);
        check(": comment\nevent: ping\nid: 1\nretry: 2\n\n", &[]);
        check("data: unfinished\n", &[]);
        check("\n\n\n", &[]);
    }

    #[test]
    fn limits() {
        let mut ended = VecDeque::new();
        let long = EventError::TooLong { bytes_max: 8 };
        assert_eq!(EventParser::new(8).push(b"data: 0123", &mut ended), Err(long));
        let long = EventError::TooLong { bytes_max: 8 };
        assert_eq!(EventParser::new(8).push(b"data:012\ndata:345\ndata:678\n\n", &mut ended), Err(long));
        assert_eq!(EventParser::new(8).push(b"data:\xff\n", &mut ended), Err(EventError::NotUtf8));
        assert!(ended.is_empty());
    }
}
