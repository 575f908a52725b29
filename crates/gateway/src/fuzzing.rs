//! The parsers, for the fuzz targets.

/// Reads a body as each dialect does; what it is does not matter.
pub fn parse_in_every_dialect(body: &[u8]) {
    let _refused = crate::openai::parse_chat(body);
    let _refused = crate::openai::parse_completion(body);
    let _refused = crate::responses::parse(body);
    let _refused = crate::anthropic::parse(body);
    let _refused = crate::llama_cpp::parse_infill(body);
    let _refused = crate::decisions::parse(body);
    let _refused = crate::context::parse(body);
}
