//! The parsers, for the fuzz targets.

/// Reads a body as each dialect does; what it is does not matter.
pub fn parse_in_every_dialect(body: &[u8]) {
    let _refused = crate::openai::parse_chat(body);
    let _refused = crate::openai::parse_completion(body);
    let _refused = crate::responses::parse(body);
    let _refused = crate::anthropic::parse(body);
    let _refused = crate::llama_cpp::parse_infill(body);
    let _refused = crate::llama_cpp::parse_completion(body);
    let _refused = crate::llama_cpp::vocabulary::parse_tokenize(body);
    let _refused = crate::llama_cpp::vocabulary::parse_detokenize(body);
    let _refused = crate::llama_cpp::vocabulary::parse_template(body);
    let _other = crate::tabby::is_meant(body);
    let _refused = crate::tabby::parse_completion(body);
    let _refused = crate::tabby::parse_event(body, None, None);
    let _refused = crate::mistral::parse_fim(body);
    let _refused = crate::ollama::parse_generate(body);
    let _refused = crate::ollama::parse_chat(body);
    let _refused = crate::ollama::stated::parse_show(body);
    let _refused = crate::decisions::parse(body);
    let _refused = crate::context::parse(body);
    let _refused = crate::file_check::parse(body);
}
