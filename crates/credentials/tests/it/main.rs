//! Certificates, revocation and tokens, each attack with its reason.

mod certificates;
mod rosters;
mod tokens;
