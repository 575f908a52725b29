//! Which version of the conversation with workers a program speaks: it says so among its bytes.

/// What a [mark](protocol::worker::MARK) begins with; the version follows, and `;`.
const BEGINS: &[u8] = b"cloister worker protocol ";
/// Digits of a version at most, and `;`.
const ENDS_BYTES_MAX: usize = 10 + 1;

/// The marks of a program that is read a chunk at a time.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The end of what was read, in which a mark may begin.
    rest: Vec<u8>,
    version: Option<u32>,
    differ: bool,
}

/// Two marks say two versions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Differ;

impl Marks {
    pub(crate) fn read(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        for at in memchr::memmem::find_iter(&self.rest, BEGINS) {
            let number = &self.rest[at + BEGINS.len()..];
            let number = &number[..number.len().min(ENDS_BYTES_MAX)];
            let Some((number, _)) =
                number.iter().position(|byte| *byte == b';').map(|end| number.split_at(end))
            else {
                continue;
            };
            let Some(version) = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok())
            else {
                continue;
            };
            self.differ |= self.version.replace(version).is_some_and(|other| other != version);
        }
        let kept = (BEGINS.len() + ENDS_BYTES_MAX - 1).min(self.rest.len());
        self.rest.drain(..self.rest.len() - kept);
    }

    /// What the marks say; `None` where there are none.
    pub(crate) fn version(&self) -> Result<Option<u32>, Differ> {
        if self.differ { Err(Differ) } else { Ok(self.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(bytes: &[u8], chunk: usize) -> Result<Option<u32>, Differ> {
        let mut marks = Marks::default();
        bytes.chunks(chunk).for_each(|chunk| marks.read(chunk));
        marks.version()
    }

    #[test]
    fn marks_are_found_wherever_a_chunk_ends() {
        let mark = protocol::worker::MARK.as_bytes();
        let twice = [b"\0\x01 cloister worker protocol ", mark, b"\0\0", mark, b"cloister worker "].concat();
        let (none, other) = (
            b"cloister worker protocol 7".repeat(3),
            [&twice, "cloister worker protocol 12;".as_bytes()].concat(),
        );
        for chunk in 1..=twice.len() {
            assert_eq!(version(&twice, chunk), Ok(Some(protocol::worker::VERSION)), "chunks of {chunk}");
            assert_eq!(version(&none, chunk), Ok(None), "chunks of {chunk}");
            assert_eq!(version(&other, chunk), Err(Differ), "chunks of {chunk}");
        }
        assert_eq!(version(b"cloister worker protocol 99999999999;", 64), Ok(None));
    }
}
