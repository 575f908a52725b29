//! What the surface takes and gives, as an OpenAPI 3.1 description: one row for each route. docs/openapi.json is this
//! document; a test compares the two, and the rows with the router.
//!
//! A field is described as its parser takes it: `null` is the same as absent everywhere, and fields that are not
//! known are passed over.

mod answers;
mod requests;
mod schema;

use serde_json::{Map, Value, json};

use crate::errors::Shape;

/// A route.
struct Route {
    method: &'static str,
    path: &'static str,
    /// Whose dialect.
    tag: &'static str,
    summary: &'static str,
    access: Access,
    /// Of the path and of the query.
    parameters: &'static [Parameter],
    request: Option<fn() -> Value>,
    answer: fn() -> Value,
    /// The media type of a streamed answer, where the route has one.
    stream: Option<&'static str>,
    shape: Shape,
}

/// Who may ask, and what can go wrong.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// Anybody.
    Open,
    /// Who is known.
    Known,
    /// Who is known; a model answers.
    Asks,
}

/// A parameter that is not in the body.
struct Parameter {
    place: &'static str,
    name: &'static str,
    schema: fn() -> Value,
}

const SSE: Option<&str> = Some("text/event-stream");
const LINES: Option<&str> = Some("application/x-ndjson");

/// The whole description.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method] = route.operation();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cloister",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An assistant for code without a network. docs/http-api.md says what the fields mean.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token. On the Unix socket none is needed."},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": answers::components(),
        },
    })
}

impl Route {
    const fn new(
        method: &'static str,
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Route {
        Route {
            method,
            path,
            tag,
            summary,
            access: Access::Known,
            parameters: &[],
            request: None,
            answer: answers::any_object,
            stream: None,
            shape: Shape::OpenAi,
        }
    }

    fn operation(&self) -> Value {
        let mut content = json!({ self.answer_type(): {"schema": (self.answer)()} });
        if let Some(stream) = self.stream {
            // Of one event or line.
            content[stream] = json!({"schema": {}});
        }
        let mut answer = json!({"description": "The answer.", "content": content});
        if self.access == Access::Asks {
            let number = |what: &str| json!({"description": what, "schema": {"type": "string"}});
            answer["headers"] = json!({
                "x-cloister-record": number("The record's number; several, joined by commas."),
                "x-cloister-receipt": number("Proof that a leaf was durable before the answer."),
            });
        }
        let mut responses = json!({ "200": answer });
        for status in self.statuses() {
            responses[status] = json!({
                "description": "What is wrong and what to do.",
                "content": {"application/json": {"schema": answers::reference(answers::error_of(self.shape))}},
            });
        }
        let mut operation = json!({"tags": [self.tag], "summary": self.summary, "responses": responses});
        operation["security"] = match self.access {
            Access::Open => json!([]),
            Access::Known | Access::Asks => json!([{"bearer": []}, {"key": []}]),
        };
        if let Some(request) = self.request {
            operation["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": request()}}});
        }
        let parameters: Vec<Value> = self.parameters.iter().map(Parameter::described).collect();
        if !parameters.is_empty() {
            operation["parameters"] = json!(parameters);
        }
        operation
    }

    fn answer_type(&self) -> &'static str {
        match self.path {
            "/metrics" => "application/openmetrics-text",
            "/" => "text/plain",
            _ => "application/json",
        }
    }

    /// The statuses of refusals. docs/http-api.md has a table of them.
    fn statuses(&self) -> &'static [&'static str] {
        match self.access {
            Access::Open => &["403", "503"],
            Access::Known => &["400", "401", "403", "404", "408", "413", "429", "500", "503"],
            Access::Asks => &["400", "401", "403", "404", "408", "413", "429", "451", "500", "503"],
        }
    }
}

impl Parameter {
    fn described(&self) -> Value {
        let required = self.place == "path";
        json!({"in": self.place, "name": self.name, "required": required, "schema": (self.schema)()})
    }
}

const fn query(name: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter { place: "query", name, schema }
}

/// Every route, in the order of docs/http-api.md.
#[rustfmt::skip]
fn routes() -> Vec<Route> {
    use Access::{Asks, Open};
    use Shape::{Anthropic, LlamaCpp, Mistral, Ollama};
    let model: &[Parameter] = const { &[query("model", schema::plain_text)] };
    let get = |path, tag, summary| Route::new("get", path, tag, summary);
    let post = |path, tag, summary| Route::new("post", path, tag, summary);
    vec![
        Route { access: Asks, request: Some(requests::chat), answer: answers::chat, stream: SSE,
            ..post("/v1/chat/completions", "OpenAI", "Answers a conversation") },
        Route { access: Asks, request: Some(requests::completion_of_either), answer: answers::completion_of_either, stream: SSE,
            ..post("/v1/completions", "OpenAI", "Continues a prompt or fills a hole; with `segments`, Tabby's") },
        Route { access: Asks, request: Some(requests::responses), answer: answers::responses, stream: SSE,
            ..post("/v1/responses", "OpenAI", "Answers a conversation, in the newer shape") },
        Route { access: Asks, request: Some(requests::messages_of_anthropic), answer: answers::messages, stream: SSE, shape: Anthropic,
            ..post("/v1/messages", "Anthropic", "Answers a conversation") },
        Route { request: Some(requests::messages_of_anthropic), answer: answers::counted, shape: Anthropic,
            ..post("/v1/messages/count_tokens", "Anthropic", "The tokens of a conversation") },
        Route { answer: answers::models, ..get("/v1/models", "OpenAI", "The deployments") },
        Route { request: Some(requests::anything), ..post("/v1/embeddings", "OpenAI", "Refused: no deployment embeds") },
        Route { access: Asks, request: Some(requests::infill), answer: answers::native_or_several, stream: SSE, shape: LlamaCpp,
            ..post("/infill", "llama.cpp", "Fills a hole") },
        Route { access: Asks, request: Some(requests::native), answer: answers::native_or_several, stream: SSE, shape: LlamaCpp,
            ..post("/completion", "llama.cpp", "Continues a prompt") },
        Route { access: Asks, request: Some(requests::native), answer: answers::native_or_several, stream: SSE, shape: LlamaCpp,
            ..post("/completions", "llama.cpp", "The same") },
        Route { request: Some(requests::tokenize), answer: answers::tokens, shape: LlamaCpp,
            ..post("/tokenize", "llama.cpp", "The tokens of a text") },
        Route { request: Some(requests::detokenize), answer: answers::content, shape: LlamaCpp,
            ..post("/detokenize", "llama.cpp", "The text of tokens") },
        Route { request: Some(requests::conversation), answer: answers::prompt, shape: LlamaCpp,
            ..post("/apply-template", "llama.cpp", "The prompt of a conversation") },
        Route { parameters: model, answer: answers::props, shape: LlamaCpp, ..get("/props", "llama.cpp", "What a deployment is") },
        Route { parameters: model, answer: answers::slots, shape: LlamaCpp, ..get("/slots", "llama.cpp", "How busy it is") },
        Route { request: Some(requests::anything), ..post("/embedding", "llama.cpp", "Refused: no deployment embeds") },
        Route { request: Some(requests::anything), ..post("/embeddings", "llama.cpp", "Refused: no deployment embeds") },
        Route { request: Some(requests::anything), ..post("/v1/rerank", "llama.cpp", "Refused: no deployment ranks") },
        Route { request: Some(requests::anything), ..post("/v1/reranking", "llama.cpp", "Refused: no deployment ranks") },
        Route { request: Some(requests::anything), ..post("/rerank", "llama.cpp", "Refused: no deployment ranks") },
        Route { request: Some(requests::anything), ..post("/reranking", "llama.cpp", "Refused: no deployment ranks") },
        Route { access: Open, answer: schema::plain_text, ..get("/", "Ollama", "What clients probe for") },
        Route { answer: answers::version, shape: Ollama, ..get("/api/version", "Ollama", "The interface's version") },
        Route { answer: answers::ollama_models, shape: Ollama, ..get("/api/tags", "Ollama", "The deployments") },
        Route { answer: answers::ollama_models, shape: Ollama, ..get("/api/ps", "Ollama", "The deployments that run") },
        Route { request: Some(requests::show), answer: answers::show, shape: Ollama, ..post("/api/show", "Ollama", "A deployment") },
        Route { access: Asks, request: Some(requests::ollama_generate), answer: answers::ollama_generate, stream: LINES, shape: Ollama,
            ..post("/api/generate", "Ollama", "Answers a prompt or fills a hole") },
        Route { access: Asks, request: Some(requests::ollama_chat), answer: answers::ollama_chat, stream: LINES, shape: Ollama,
            ..post("/api/chat", "Ollama", "Answers a conversation") },
        Route { request: Some(requests::anything), shape: Ollama, ..post("/api/embed", "Ollama", "Refused: no deployment embeds") },
        Route { request: Some(requests::anything), shape: Ollama, ..post("/api/embeddings", "Ollama", "Refused: no deployment embeds") },
        Route { answer: answers::tabby_health, ..get("/v1/health", "Tabby", "What serves") },
        Route { answer: answers::tabby_health, ..post("/v1/health", "Tabby", "The same") },
        Route { answer: answers::tabby_health, ..get("/v1beta/health", "Tabby", "The same") },
        Route { answer: answers::tabby_health, ..post("/v1beta/health", "Tabby", "The same") },
        Route { answer: answers::server_setting, ..get("/v1beta/server_setting", "Tabby", "That clients send no telemetry") },
        Route { access: Asks, request: Some(requests::chat), answer: answers::chat, stream: SSE,
            ..post("/v1beta/chat/completions", "Tabby", "Answers a conversation, as OpenAI's") },
        Route { parameters: const { &[query("select_kind", schema::plain_text)] }, request: Some(requests::event),
            ..post("/v1/events", "Tabby", "What became of a completion") },
        Route { access: Asks, request: Some(requests::fim), answer: answers::fim, stream: SSE, shape: Mistral,
            ..post("/v1/fim/completions", "Mistral", "Fills a hole") },
        Route { parameters: const { &[Parameter { place: "path", name: "record", schema: schema::record }] },
            ..get("/v1/cloister/records/{record}", "Cloister", "A record of one's own") },
        Route { request: Some(requests::decision), answer: answers::decided,
            ..post("/v1/cloister/decisions", "Cloister", "What a person did with an answer") },
        Route { parameters: requests::QUERY, ..get("/v1/cloister/ledger/query", "Cloister", "Records found by what they are") },
        get("/v1/cloister/status", "Cloister", "How the server stands"),
        get("/v1/cloister/posture", "Cloister", "What the newest look at the jails came to"),
        get("/v1/cloister/chain", "Cloister", "What serves, and by whose word"),
        Route { parameters: const { &[Parameter { place: "path", name: "index", schema: schema::record }] },
            ..get("/v1/cloister/ledger/proof/{index}", "Cloister", "That a leaf is in the log") },
        Route { request: Some(requests::lookup), ..post("/v1/cloister/context", "Cloister", "Looks into sources") },
        Route { request: Some(requests::trace), ..post("/v1/cloister/trace", "Cloister", "What a text has in common with known code") },
        Route { request: Some(requests::check), ..post("/v1/cloister/check", "Cloister", "What the site's compilers say of a file") },
        Route { access: Asks, request: Some(requests::generate), stream: SSE,
            ..post("/v1/cloister/generate", "Cloister", "Fills a hole until a compiler has nothing against it") },
        Route { access: Open, answer: answers::health, shape: LlamaCpp, ..get("/health", "Cloister", "Whether anything is answered") },
        Route { answer: schema::plain_text, ..get("/metrics", "Cloister", "Counts and times, for Prometheus") },
        get("/openapi.json", "Cloister", "This description"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    /// Set to anything, it has the document written anew instead of compared.
    const REWRITE: &str = "OPENAPI_REWRITE";

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

    const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

    #[test]
    fn the_document_is_this_one() {
        let mut document = document();
        document.sort_all_objects();
        if std::env::var_os(REWRITE).is_some() {
            let text = serde_json::to_string_pretty(&document).unwrap();
            File::create(DOCUMENT).unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
            return;
        }
        let kept: Value = serde_json::from_str(&fs::read_to_string(DOCUMENT).unwrap()).unwrap();
        assert!(kept == document, "docs/openapi.json is another: run this test with {REWRITE}=1");
    }

    /// Rows and router name the same routes, by method and path; but for the console, whose pages are for browsers.
    #[test]
    fn every_route_is_described() {
        let described: BTreeSet<(String, String)> =
            routes().iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(described.len(), routes().len(), "a route is described twice");
        let mut files = ["routes", "standing"].map(|file| format!("{SOURCES}/{file}.rs")).to_vec();
        for file in fs::read_dir(format!("{SOURCES}/routes")).unwrap() {
            files.push(file.unwrap().path().to_str().unwrap().to_owned());
        }
        let mut routed = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            for call in text.split(".route(").skip(1) {
                let path = call.split('"').nth(1).unwrap();
                let handlers = call.split(".route(").next().unwrap().lines().take(2).collect::<String>();
                for method in ["get", "post", "put", "patch", "delete"] {
                    if handlers.split([' ', '.', ',']).any(|word| word.starts_with(&format!("{method}("))) {
                        routed.insert((method.to_owned(), path.to_owned()));
                    }
                }
            }
        }
        assert_eq!(described, routed);
    }

    /// Whatever is referred to is there.
    #[test]
    fn references_lead_somewhere() {
        let document = document();
        let text = document.to_string();
        let references: Vec<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!references.is_empty());
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
