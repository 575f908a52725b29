//! The parsers, for the fuzz targets.

use std::collections::VecDeque;

use crate::events::EventParser;

/// Reads bytes as an event stream, whole and cut in two, which must come to the same.
pub fn read_as_an_answer(bytes: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let (mut parser, mut ended) = (EventParser::new(64), VecDeque::new());
        let outcome = pieces.iter().try_for_each(|piece| parser.push(piece, &mut ended));
        (outcome, ended)
    };
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_eq!(read(&[bytes]), read(&[first, second]));
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        let _none = crate::connection::error_message(&value);
    }
}
