//! The whole server, on real models, through its real sockets. A case that needs a program or a model
//! that is missing fails.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and prints its seed"
)]

mod airgap;
mod backups;
mod checks;
mod clients;
mod confinement;
mod console;
mod context;
mod corpora;
mod crashes;
mod deployment;
mod durability;
mod egress;
mod erasure;
mod evidence;
mod importer;
mod inspection;
mod leftovers;
mod limits;
mod lineage;
mod lsp;
mod models;
mod pki;
mod policy;
mod provenance;
mod qualification;
mod queries;
mod replays;
mod spillage;
mod tampering;
mod terminal;
mod tls;
mod tokens;
mod upstream;
mod walk;
mod witness;
