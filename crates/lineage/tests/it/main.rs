//! Slices of real ledgers, and lines graded by them.

mod approvals;
mod grading;
mod site;
mod slices;
