//! Certificates, revocation and tokens, each attack with its reason.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod rosters;
mod tokens;
