//! What `cloister` reads from a server: event streams and their documents.

pub(crate) fn run(bytes: &[u8]) {
    client::fuzzing::read_as_an_answer(bytes);
}
