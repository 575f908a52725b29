//! Policies: a table of decisions, what is refused, and what no policy can undo.
#![expect(clippy::unwrap_used, reason = "what a case cannot set up fails it")]

mod policies;
mod simulation;
