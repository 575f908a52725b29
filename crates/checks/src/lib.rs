//! Having the site's compilers look at a text before a person does.
//!
//! What to run, and what its words mean, is `languages`' to know. This crate runs it: [`Runner`] starts each program in a
//! jail of its own, [`serve`] does that for a gateway, in a process that may make such jails, and [`Checkers`] is the
//! gateway's handle to it. [`project`] finds what of a source a unit is checked against.

mod link;
pub mod project;
mod run;
mod serve;

pub use link::{Checkers, NotChecked};
pub use run::{NotRun, Runner, Site};
pub use serve::{Serving, serve};
