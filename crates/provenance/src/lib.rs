//! Corpora of known code: which of it a text matches, lexeme for lexeme, where that lies and under which licence.
//!
//! A match is a fact about two texts. It never says where a model learned anything.
//!
//! A corpus is a [`segment`], written once and mapped from then on; [`trace`] asks several. What a text is to it are
//! [`lexeme`]s, of which [`winnow`] chooses those that are looked up.

pub mod document;
pub mod exact;
pub mod library;
pub mod policy;
pub mod segment;
pub mod trace;

pub mod lexeme;
pub mod winnow;

pub use segment::{Builder, Segment};
pub use trace::{Corpora, Limits, Nearby, Surroundings, Trace};
