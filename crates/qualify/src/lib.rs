//! Judges a model on suites of tasks, so that a site knows what it does on its languages before it is promoted.
//!
//! A [`suite`] is a file of tasks. Each gives a [`suite::Question`] to a model, and takes the answer back as a
//! [`suite::SourceUnit`]: what a compiler sees of it, without the suite's tests. [`run`] drives a model through them in one
//! of several ways, [`check`] asks the site's own compilers about a unit, [`judge`] compiles and runs an answer with the
//! tests, [`probe`] looks at words where nothing is to be compiled, [`answers`] keeps what was answered, so that a run of hours goes on where it was ended, [`statistics`] says
//! what the numbers are worth, and [`report`] writes them down. [`make`] makes a suite of a site's own code.
//!
//! Answers are programs of a stranger's. They are compiled and run in jails of their own (`jail::tool`), with limits,
//! without a network, and see no file but theirs and the toolchain's.
//!
//! No HTTP, no engine: the model is a function that the caller hands in, and so are clocks and words of the machine.

pub mod answers;
pub mod check;
pub mod judge;
pub mod make;
pub mod probe;
pub mod repair;
pub mod report;
pub mod run;
pub mod statistics;
pub mod suite;
mod tool;
