//! Which lines of a change came from the assistant, told by their content and the ledger alone: no hook, no note and no
//! commit message is believed.
//!
//! [`slice`] is what a build machine is handed of a ledger: keyed fingerprints of answers, the leaves that commit to
//! them, and one proof that all of them are in a signed log; no text of a prompt or of an answer. [`grade`] compares the
//! lines of a change with it. [`approval`] is a reviewer's signature over exactly one range of lines.
//!
//! What it does not do: it cannot see a text that was retyped in other words, and it never says that a person wrote a
//! line: what is not found is unknown.
//!
//! No I/O but on readers and writers that are handed in, no clock, no randomness.

pub mod approval;
pub mod grade;
pub mod slice;
