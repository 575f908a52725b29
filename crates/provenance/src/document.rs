//! What a corpus knows of a file beside its text.

use serde::{Deserialize, Serialize};

/// Bytes of a file that goes into a corpus; a longer one is left out.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// A file as one package has it. The same bytes may have many origins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The package or repository, such as `crate:smoltcp`, `deb:gzip`, `git:flight-core`, `folder:rtl`.
    pub package: String,
    /// Its version, as the package states it.
    pub version: Option<String>,
    /// The commit, in hexadecimal.
    pub commit: Option<String>,
    /// The file inside it, with `/` between names.
    pub path: String,
    /// The earliest time that the source itself states for this file there, in seconds since 1970: a commit's or an
    /// archive entry's.
    pub first_seen_unix_s: Option<i64>,
    /// Under which licence.
    pub licence: Licence,
}

/// Under which licence a file stands, by what was found, and what that was. Nothing is guessed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// What is known.
    pub standing: Standing,
    /// By what, the nearest to the file first.
    pub evidence: Vec<Evidence>,
}

/// What is known of a licence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// This expression of SPDX, in its normal form.
    Stated(String),
    /// Pieces of evidence of the same rank say different things: these expressions, sorted.
    Conflict(Vec<String>),
    /// Nothing was found, or nothing that has a name in SPDX's list.
    Unknown,
}

/// A place that says something about a licence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Evidence {
    /// The beginning of the file itself: an `SPDX-License-Identifier`, or the text of a licence's own header.
    Header {
        /// The expression.
        expression: String,
        /// Line of the file, counted from 1.
        line: u32,
    },
    /// A file with the text of a licence.
    File {
        /// Inside the package.
        path: String,
        /// The licence's identifier.
        expression: String,
        /// How like the licence's text it is, in thousandths.
        likeness: u16,
    },
    /// What the package states of itself.
    Package {
        /// The file that states it, inside the package.
        path: String,
        /// As it stands there.
        stated: String,
        /// What that is in SPDX's words, where it has any.
        expression: Option<String>,
    },
}

impl Licence {
    /// Of a file that nothing is known about.
    pub fn unknown() -> Licence {
        Licence { standing: Standing::Unknown, evidence: Vec::new() }
    }
}
