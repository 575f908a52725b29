//! The gateway and the process that has compilers run, over a stream of [frames](crate::frame).
//!
//! The checker speaks first, with [`FromChecker::Ready`]. Then orders go one way and outcomes the other, in any order.
//! It decides nothing and understands nothing of what a compiler writes: bytes go back as they came.

use serde::{Deserialize, Serialize};

/// The version of this conversation.
pub const VERSION: u32 = 2;

/// Bytes of a text that is checked.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// From the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What the outcome names it by.
    pub id: u64,
    /// The language's name.
    pub language: String,
    /// The checker's name.
    pub checker: String,
    /// The file's name without folders, where there is one.
    pub file_name: Option<String>,
    /// Its path in the source, where that is known: the nearest files are looked at first.
    pub path: Option<String>,
    /// The text; at most [`TEXT_BYTES_MAX`].
    pub text: String,
    /// The source whose files the text belongs to: one that whoever is answered may read.
    pub source: Option<String>,
}

/// From the checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromChecker {
    /// The first message.
    Ready {
        /// [`VERSION`].
        version: u32,
        /// What is here, and what is not.
        toolchains: Vec<Toolchain>,
    },
    /// An order was carried out.
    Ran {
        /// [`Order::id`].
        id: u64,
        /// What came of it.
        ran: Ran,
    },
    /// An order was not carried out, or not to its end.
    NotRun {
        /// [`Order::id`].
        id: u64,
        /// Why, on one line.
        reason: String,
    },
    /// What it needs is being made: the same order may be carried out in a while.
    NotYet {
        /// [`Order::id`].
        id: u64,
        /// What, on one line.
        reason: String,
    },
    /// The checker is none for such a text, as it stands in its source: there is nothing to run.
    NothingToSay {
        /// [`Order::id`].
        id: u64,
    },
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Whether it ended by itself with status 0.
    pub succeeded: bool,
    /// Standard output; at most the limit of a run.
    pub stdout: Vec<u8>,
    /// Standard error, likewise.
    pub stderr: Vec<u8>,
    /// Milliseconds from the order to the outcome.
    pub ms: u64,
    /// The program and its arguments, without paths of the machine.
    pub command: Vec<String>,
    /// What the text was checked against: the source, or nothing of it and why.
    pub against: Against,
}

/// Other files that a unit was checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The standard library alone: no source was named.
    Nothing,
    /// The source's own files.
    Source {
        /// Its name.
        name: String,
    },
    /// The standard library alone, although a source was named.
    Unusable {
        /// Its name.
        name: String,
        /// Why, on one line.
        reason: String,
    },
}

/// A checker and whether its programs are on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// The language's name.
    pub language: String,
    /// The checker's name.
    pub checker: String,
    /// What a clean answer claims.
    pub claims: String,
    /// The version that it states; `None` when it is not here.
    pub version: Option<String>,
    /// Programs that are not here.
    pub missing: Vec<String>,
    /// Which package of Debian's has them.
    pub package: String,
}
