//! What the team knows: sources (repositories and folders), each with an index of its own, and what is found in them for
//! a completion, a chat or a person.
//!
//! [`build`] makes an index of a tree, in a jailed process; an index that is complete is never written again. [`Sources`]
//! holds what is indexed. Whoever asks gets a [`Readable`]: the sources that this person may read, and nothing else. It
//! is taken before anything is looked up, so that what somebody may not read is in no count, no score and no error; one
//! index a source, and statistics over those that are asked only.
//!
//! BM25 is tantivy's. What a cursor's surroundings name is looked up by `languages`' symbols. The same request over the
//! same versions finds the same, in the same order.
//!
//! This crate does not decide who may read: it is handed a function. No network, no FFI.

mod file;
mod index;
mod injected;
mod query;
mod schema;
mod sources;
mod statistics;
mod tree;

pub mod build;

pub use index::{IndexError, Summary};
pub use query::chat::ChatQuery;
pub use query::fill::{FillQuery, Open};
pub use query::search::{Definition, ReadLines};
pub use query::{Found, Passage, Why, Work};
pub use sources::{Readable, SourceView, Sources};
pub use tree::{LeftOut, Reason, TreeError};
