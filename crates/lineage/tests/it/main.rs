//! Slices of real ledgers, and lines graded by them.
#![expect(clippy::unwrap_used, reason = "what a case cannot set up fails it")]

mod approvals;
mod grading;
mod site;
mod slices;
