//! Length-prefixed frames: a little-endian `u32` of the payload's bytes, then the payload in postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest payload of a frame, in bytes. A longer one ends the conversation.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 4;

/// Why bytes are not a frame, or a value does not fit one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The payload is longer than [`PAYLOAD_BYTES_MAX`].
    #[error("a message of {0} bytes is longer than the limit of {PAYLOAD_BYTES_MAX}")]
    TooLong(usize),
    /// The payload is not a message of the expected type.
    #[error("a message could not be decoded")]
    Malformed(#[source] postcard::Error),
    /// The payload is a message and then more.
    #[error("a message is followed by {0} stray bytes")]
    Trailing(usize),
}

/// The payload's length, from a frame's header.
pub fn payload_len(header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let len = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if len > PAYLOAD_BYTES_MAX { Err(FrameError::TooLong(len)) } else { Ok(len) }
}

/// One whole frame, header and payload.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let frame = postcard::to_extend(message, vec![0; HEADER_BYTES]).map_err(FrameError::Malformed)?;
    finish(frame)
}

fn finish(mut frame: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    let len = frame.len() - HEADER_BYTES;
    if len > PAYLOAD_BYTES_MAX {
        return Err(FrameError::TooLong(len));
    }
    let len = u32::try_from(len).map_err(|_| FrameError::TooLong(len))?;
    frame[..HEADER_BYTES].copy_from_slice(&len.to_le_bytes());
    Ok(frame)
}

/// A message from a whole payload; stray bytes behind it are an error.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    let (message, rest) = postcard::take_from_bytes(payload).map_err(FrameError::Malformed)?;
    if rest.is_empty() { Ok(message) } else { Err(FrameError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let frame = encode(&("a", 7u32)).unwrap();
        let len = payload_len(frame[..HEADER_BYTES].try_into().unwrap()).unwrap();
        assert_eq!(len, frame.len() - HEADER_BYTES);
        assert_eq!(decode::<(String, u32)>(&frame[HEADER_BYTES..]).unwrap(), ("a".to_owned(), 7));
    }

    #[test]
    fn refused() {
        assert!(matches!(payload_len([255; 4]), Err(FrameError::TooLong(_))));
        assert!(matches!(encode(&vec![0u8; PAYLOAD_BYTES_MAX + 1]), Err(FrameError::TooLong(_))));
        assert!(matches!(decode::<u8>(&[1, 2]), Err(FrameError::Trailing(1))));
        assert!(matches!(decode::<u32>(&[]), Err(FrameError::Malformed(_))));
    }
}
