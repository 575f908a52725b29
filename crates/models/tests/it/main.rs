//! The reader against headers made for it, damaged ones, and the real test models; the vault on a real disk.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod builder;
mod gguf;
mod hostile_gguf;
mod inspect;
mod vault;
