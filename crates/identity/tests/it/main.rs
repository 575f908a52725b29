//! Policies: a table of decisions, what is refused, and what no policy can undo.

mod pace;
mod policies;
mod simulation;
