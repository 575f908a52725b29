//! Bytes to characters.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// A text file's characters: by its byte order mark (UTF-8, UTF-16), else UTF-8 if it is that, else
/// Windows-1252, in which every byte means something.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    decode_as(bytes, None)
}

/// The same, where the file itself names an encoding. Its byte order mark and valid UTF-8 come first.
pub(crate) fn decode_as<'a>(bytes: &'a [u8], label: Option<&[u8]>) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let named = label.and_then(Encoding::for_label).filter(|encoding| *encoding != UTF_8);
    if named.is_none() && mostly_utf8(bytes) {
        return String::from_utf8_lossy(bytes);
    }
    named.unwrap_or(WINDOWS_1252).decode_without_bom_handling(bytes).0
}

/// UTF-8 with a few broken places: cut short, or damaged.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut sequences, mut broken) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        sequences += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    sequences > broken * 20
}
