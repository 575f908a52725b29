//! Models: reading their files strictly ([`gguf`]), opening the media that they come on ([`media`]), importing
//! those ([`import`]), saying what came ([`object`]) and keeping it unchanged ([`objects`], [`vault`]).
//!
//! A model is admitted by persons, lies under its digest, and serves only through a deployment's lock
//! that pins weights, chat template, parameters and engine build. Nothing here dials.

pub mod gguf;
mod hashing;
pub mod import;
pub mod media;
pub mod object;
pub mod objects;
pub mod vault;
