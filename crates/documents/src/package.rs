//! ZIP archives of parts, as DOCX, XLSX and ReqIF documents are, with limits on what they unpack to.

use std::io::{Cursor, Read as _};

use zip::{ZipArchive, result::ZipError};

use crate::{DECOMPRESSED_BYTES_MAX, DocumentError, Format, damaged, text};

const PARTS_MAX: usize = 20_000;
/// XML that repeats itself comes to some hundreds; deflate cannot pass 1032.
const RATIO_MAX: u64 = 400;
/// Below so many bytes, no ratio matters.
const RATIO_FROM_BYTES: u64 = 8 << 20;

pub(crate) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    format: Format,
    bytes_left: u64,
}

impl<'a> Package<'a> {
    pub(crate) fn open(format: Format, bytes: &'a [u8]) -> Result<Package<'a>, DocumentError> {
        if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
            let what = "an encrypted or old binary Office file".to_owned();
            return Err(DocumentError::Encrypted { what });
        }
        let archive = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| damaged(format, format!("it is no ZIP archive: {error}")))?;
        if archive.len() > PARTS_MAX {
            return Err(DocumentError::Limit { what: "parts in its archive", max: PARTS_MAX as u64 });
        }
        Ok(Package { archive, format, bytes_left: DECOMPRESSED_BYTES_MAX })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.archive.file_names().flatten().map(std::borrow::Cow::into_owned).collect()
    }

    /// A part as text; None where there is no such part.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, DocumentError> {
        let name = name.trim_start_matches('/');
        let wrong = |what: String| damaged(self.format, format!("part {name:?}: {what}"));
        let mut part = match self.archive.by_name(name) {
            Ok(part) => part,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let compressed = part.compressed_size();
        let ratio_max = RATIO_FROM_BYTES.max(compressed.saturating_mul(RATIO_MAX));
        let bytes_max = ratio_max.min(self.bytes_left);
        let mut bytes = Vec::new();
        let read = part.by_ref().take(bytes_max + 1).read_to_end(&mut bytes);
        drop(part);
        if bytes.len() as u64 > bytes_max {
            return Err(match bytes_max == self.bytes_left {
                true => {
                    DocumentError::Limit { what: "bytes in its parts, unpacked", max: DECOMPRESSED_BYTES_MAX }
                }
                false => {
                    DocumentError::Limit { what: "bytes for each compressed one in a part", max: RATIO_MAX }
                }
            });
        }
        read.map_err(|error| wrong(error.to_string()))?;
        self.bytes_left -= bytes.len() as u64;
        Ok(Some(match text::decode(&bytes) {
            std::borrow::Cow::Borrowed(_) => String::from_utf8(bytes).unwrap_or_default(),
            std::borrow::Cow::Owned(text) => text,
        }))
    }
}
