//! What corpora are made of: files of repositories, folders and archives, each with its origin and its licence by the
//! evidence there is.
//!
//! [`read`] goes through a [`Source`] and hands over each text file as it stands, byte for byte, with the
//! [`Origin`](provenance::document::Origin) it has there. A source is other people's, and hostile until shown
//! otherwise: nothing of it is run, no link in it is followed, nothing is unpacked to a disk, and every read has a limit.
//! How a licence is found is in docs/licences.md; none is guessed.

mod files;
mod licence;
mod reading;

pub use files::{LeftOut, Reason};
pub use reading::{Error, Limits, Progress, Source, Summary, read};

/// What fuzzing and the table of licences reach: the parsers of outside bytes that [`read`] uses, each on its own.
#[doc(hidden)]
pub mod parsers {
    use provenance::document::Licence;

    /// The licence of a file of one package that has nothing else in it but what `statements` names.
    pub fn licence(path: &str, bytes: &[u8], statements: &[(&str, &[u8])]) -> Licence {
        let mut index = crate::licence::Index::default();
        for (path, bytes) in statements {
            if let Some(statement) = crate::licence::Kind::of(path).and_then(|kind| kind.read(path, bytes)) {
                index.add(path, statement);
            }
        }
        index.licence(path, bytes)
    }

    /// The normal form of an expression.
    pub fn expression(stated: &str) -> Option<String> {
        crate::licence::normal_form(stated)
    }

    /// The same of Cargo's, where `/` is OR.
    pub fn expression_of_cargo(stated: &str) -> Option<String> {
        crate::licence::normal_form_of_cargo(stated)
    }
}
