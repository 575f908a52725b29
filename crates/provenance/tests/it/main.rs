//! Segments on disk and what is traced in them.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; what it writes may be lost; it says from what it drew, and how often it found"
)]

mod any_text;
mod boilerplate;
mod code;
mod damage;
mod planted;
mod same_bytes;
