//! Models: reading their files strictly ([`gguf`]), showing what is in them ([`inspect`]), saying what came
//! ([`object`]) and keeping it unchanged ([`vault`]).
//!
//! A model is admitted by persons, lies under its digest, and serves only through a deployment's lock
//! that pins weights, chat template, parameters and engine build. Nothing here dials.

pub mod gguf;
pub mod inspect;
pub mod object;
pub mod vault;
