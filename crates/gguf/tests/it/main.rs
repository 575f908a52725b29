//! The reader and the inspection against files made for them, damaged ones, and the real test models.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod hostile_gguf;
mod inspect;
mod reader;
