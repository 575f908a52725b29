//! Models: reading their files strictly ([`gguf`]) and keeping them unchanged ([`vault`]).
//!
//! A model is admitted by a person, lies under its digest, and serves only through a deployment's lock
//! that pins weights, chat template, parameters and engine build. Nothing here dials.

pub mod gguf;
pub mod vault;
