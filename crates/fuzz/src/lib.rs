//! Fuzz targets. `cargo xtask fuzz` builds them with coverage and runs them on libFuzzer (`src/bin/coverage.rs`); the tests
//! give each its seeds and what [`Mutations`] make of them, in the build that everything is tested in.
//!
//! A target fails by a panic, by an endless loop, or by using more memory than libFuzzer's limit; those
//! that know more assert more.

mod mutations;
mod targets;

pub use mutations::Mutations;
pub use targets::{TARGETS, Target, target};
