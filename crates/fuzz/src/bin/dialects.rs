//! Bodies of requests in every dialect of the gateway.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| gateway::fuzzing::parse_in_every_dialect(body));
