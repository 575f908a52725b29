//! Corpora of known code: which of it a text matches, lexeme for lexeme, where that lies and under which licence.
//!
//! A match is a fact about two texts. It never says where a model learned anything.
//!
//! A corpus is a [`segment`], written once and mapped from then on.

pub mod document;
