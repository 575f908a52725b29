//! Bodies of requests in every dialect of the gateway.

pub(crate) fn run(body: &[u8]) {
    gateway::fuzzing::parse_in_every_dialect(body);
}
