//! Encrypted files (ISO 32000-1, 7.6).

use crate::{
    DocumentError,
    pdf::objects::{Dict, File, Object},
};

/// What decrypts a file.
pub(crate) struct Cipher {}

impl Cipher {
    pub(crate) fn open(_file: &File<'_>, _dict: &Dict, _id: &[u8]) -> Result<Cipher, DocumentError> {
        Err(DocumentError::Encrypted { what: "PDF".to_owned() })
    }

    pub(crate) fn strings(&self, _object: &mut Object, _id: (u32, u16)) {}

    pub(crate) fn strings_of_dict(&self, _dict: &mut Dict, _id: (u32, u16)) {}

    pub(crate) fn stream(&self, _raw: &[u8], _id: (u32, u16)) -> Option<Vec<u8>> {
        None
    }
}
