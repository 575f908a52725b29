//! Signatures that are good, that were tampered with, and that another implementation made.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "what a test writes need not last")]

mod certificates;
mod pki;
mod reference;
mod round;
mod sigstore;
mod tampering;
