//! Segments on disk and what is traced in them.
#![expect(
    clippy::print_stderr,
    reason = "a test that draws at random says from what, and how often it found"
)]

mod boilerplate;
mod code;
mod damage;
mod planted;
mod same_bytes;
