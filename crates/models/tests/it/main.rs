//! The reader against headers made for it, damaged ones, and the real test models; the vault on a real disk;
//! media as they should be and as nobody should bring them.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod builder;
mod crash;
mod gguf;
mod hostile_gguf;
mod hostile_media;
mod inspect;
mod lab;
mod media;
mod objects;
mod vault;
