//! What `cloister` reads from a server: event streams and their documents.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| client::fuzzing::read_as_an_answer(bytes));
