//! Runs the built command against a small server of the test's own, on a real Unix socket.
#![cfg(unix)]

mod ask;
mod chat;
mod complete;
mod generated;
mod ledger;
mod records;
mod server;
mod settings;
mod workplace;
