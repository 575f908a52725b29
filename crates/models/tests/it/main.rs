//! The vault on a real disk; media as they should be and as nobody should bring them.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod crash;
mod hostile_media;
mod lab;
mod media;
mod objects;
mod vault;
