//! Runs the built command against a small server of the test's own, on a real Unix socket.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what a case cannot set up fails it")]

mod acp;
mod agent;
mod ask;
mod bundle;
mod chat;
mod check;
mod commit_message;
mod complete;
mod edit;
mod evidence;
mod formats;
mod generated;
mod installed;
mod ledger;
mod lineage;
mod lsp;
mod records;
mod server;
mod settings;
#[path = "../../../lineage/tests/it/site.rs"]
mod site;
mod templates;
mod terminal;
mod witness;
mod workplace;
