//! Documents that people hand in: the first byte says which format, the rest is the file. Of DOCX the rest is
//! the main part, since no mutation gets through a ZIP archive's checksums.

use documents::{FILE_BYTES_MAX, Format, PASSAGE_BYTES_MAX};

pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    let (format, file) = match kind {
        b'm' => (Format::Markdown, file.to_vec()),
        b'r' => (Format::ReStructuredText, file.to_vec()),
        b'a' => (Format::AsciiDoc, file.to_vec()),
        b'c' => (Format::Csv, file.to_vec()),
        b'q' => (Format::ReqIf, file.to_vec()),
        b'd' => (Format::Docx, stored("word/document.xml", file)),
        b'x' => (Format::Xlsx, stored("xl/workbook.xml", file)),
        b'h' => (Format::Html, file.to_vec()),
        _ => (Format::Pdf, file.to_vec()),
    };
    assert!(file.len() <= FILE_BYTES_MAX);
    match documents::read(format, &file) {
        Ok(document) => {
            for passage in &document.passages {
                assert!(!passage.text.is_empty() && passage.text.len() <= PASSAGE_BYTES_MAX);
                assert!(passage.headings.len() <= 6);
                assert!(passage.headings.iter().all(|heading| heading.chars().count() <= 200));
                assert!(format != Format::Pdf || passage.page.is_some());
            }
        }
        Err(error) => assert!(!error.to_string().contains("gave up"), "a reader panicked"),
    }
}

/// A ZIP archive of one part, not compressed.
fn stored(name: &str, part: &[u8]) -> Vec<u8> {
    let mut table = [0xffu32; 256];
    for (at, slot) in (0u32..).zip(&mut table) {
        *slot =
            (0..8).fold(at, |value, _| if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 });
    }
    let checksum =
        !part.iter().fold(!0u32, |sum, byte| table[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ sum >> 8);
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    let name_length = u16::try_from(name.len()).unwrap_or(0).to_le_bytes();
    let mut shared = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    shared.extend(checksum.to_le_bytes());
    shared.extend(length);
    shared.extend(length);
    shared.extend(name_length);
    shared.extend([0, 0]);
    let mut file = b"PK\x03\x04".to_vec();
    file.extend(&shared);
    file.extend(name.bytes());
    file.extend(part);
    let directory = u32::try_from(file.len()).unwrap_or(u32::MAX);
    file.extend(b"PK\x01\x02\x14\x00");
    file.extend(&shared);
    file.extend([0; 14]);
    // The offset of the part is among those zeros: 2 of comment, 2 of disk, 2 and 4 of attributes, 4 of offset.
    file.extend(name.bytes());
    let directory_length = u32::try_from(file.len()).unwrap_or(u32::MAX) - directory;
    file.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
    file.extend(directory_length.to_le_bytes());
    file.extend(directory.to_le_bytes());
    file.extend([0, 0]);
    file
}
