//! Clients that people use: the real packages `openai`, `anthropic`, `ollama` and `litellm`, and requests in the shape
//! that the editors' plugins send.

use std::process::Command;

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, places};

use crate::tokens::with_token;

/// Chat, completions, tools and responses with the PyPI package, over TCP with a token.
#[test]
fn the_openai_package() {
    package("CLOISTER_TEST_PYTHON", "openai_client.py", "/v1");
}

/// Messages, tools and counts with the PyPI package, over TCP with a token.
#[test]
fn the_anthropic_package() {
    package("CLOISTER_TEST_ANTHROPIC", "anthropic_client.py", "");
}

/// Runs a script with a real client, which prints the records that it made: they are its person's.
fn package(variable: &str, script: &str, base: &str) {
    let python = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a Python that has the package: run `cargo xtask test`"));
    let (mut server, url, token) = with_token(places::CODER);
    let script = format!("{}/tests/it/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python).arg(script).arg(format!("{url}{base}")).arg(&token).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}\n{}", server.log());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let records = said["records"].as_array().unwrap();
    assert!(records.len() > 4);
    for record in records {
        let shown = server.show(record.as_u64().unwrap()).unwrap();
        assert_eq!(shown["leaf"]["event"]["identity"], "ada");
        assert!(shown["leaf"]["event"]["credential"].as_str().unwrap().starts_with("token:"));
    }
    // The beginning of a call that must be made is in the prompt that is on record, and so is the schema of an answer.
    for record in said["replayed"].as_array().unwrap() {
        assert_eq!(server.replay(record.as_u64().unwrap()).unwrap()["matches"], true);
    }
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// Lists, shows, chats, streams and fills with the PyPI package `ollama`, over TCP with a token.
#[test]
fn the_ollama_package() {
    let (mut server, url, token) = with_token(places::CODER);
    let said = said_by("CLOISTER_TEST_OLLAMA", "ollama_client.py", &[&url, &token], &server);
    assert_eq!(answered(&server, "ollama."), said["answers"].as_u64().unwrap());
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// A chat and a streamed chat with the PyPI package `litellm`. The tests have no network but loopback: what it would
/// dial beside the server fails.
#[test]
fn the_litellm_package() {
    let (mut server, url, token) = with_token(places::CODER);
    let said =
        said_by("CLOISTER_TEST_LITELLM", "litellm_client.py", &[&format!("{url}/v1"), &token], &server);
    assert_eq!(answered(&server, "openai."), said["answers"].as_u64().unwrap());
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// What a script prints, run by the Python that a variable names.
fn said_by(variable: &str, script: &str, arguments: &[&str], server: &Server) -> Value {
    let python = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a Python that has the package: run `cargo xtask test`"));
    let script = format!("{}/tests/it/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}\n{}", server.log());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many answers a person got by dialects that begin so; each stands in the ledger, whole.
fn answered(server: &Server, dialect: &str) -> u64 {
    let leaves = server.cloisterd(&["ledger", "list", "--count", "200", "--json"]).unwrap();
    let leaves: Value = serde_json::from_str(&leaves).unwrap();
    let events = || leaves.as_array().unwrap().iter().map(|leaf| &leaf["leaf"]["event"]);
    let asked = events()
        .filter(|event| event["kind"] == "intent" && event["dialect"].as_str().unwrap().starts_with(dialect));
    let answered = events().filter(|event| event["kind"] == "result" && event["outcome"] == "answered");
    let (asked, answered) = (asked.count(), answered.count());
    assert_eq!(asked, answered, "{leaves}");
    u64::try_from(asked).unwrap()
}

/// What llama.vim sends: its warm-up, and a completion with other files and a flat response field.
#[test]
fn llama_vim() {
    let server = Server::started(places::CODER).unwrap();
    let request = |predict: u32, fields: &[&str]| {
        json!({
            "id_slot": 0,
            "input_prefix": "with Ada.Text_IO; use Ada.Text_IO;\nprocedure Greet is\nbegin\n",
            "input_suffix": "\nend Greet;\n",
            "input_extra": [{ "text": "procedure Log (Text : String);\n", "time": [1, 2], "filename": "logs.ads" }],
            "prompt": "   Put_",
            "n_predict": predict,
            "n_indent": 3,
            "stop": ["\nend"],
            "top_k": 40, "top_p": 0.9,
            "samplers": if predict == 0 { json!([]) } else { json!(["top_k", "top_p", "infill"]) },
            "stream": false, "cache_prompt": true, "t_max_prompt_ms": 500, "t_max_predict_ms": 5000,
            "response_fields": fields,
        })
    };
    let warm = http::post(&server.socket(), "/infill", &request(0, &[""])).unwrap();
    assert_eq!((warm.status, warm.json().unwrap()), (200, json!({})), "{}", warm.text());
    let fields = ["content", "timings/prompt_n", "tokens_cached", "truncated"];
    let answer = http::post(&server.socket(), "/infill", &request(32, &fields)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json().unwrap();
    assert!(answer["content"].as_str().unwrap().contains("Line"), "{answer}");
    assert!(answer["timings/prompt_n"].is_u64() && answer["truncated"] == false, "{answer}");
    // The warm-up had evaluated the same prompt.
    let shown = server.cloisterd(&["ledger", "list", "--count", "4", "--json"]).unwrap();
    let leaves: serde_json::Value = serde_json::from_str(&shown).unwrap();
    // A check may stand behind the result.
    let events = leaves.as_array().unwrap().iter().map(|leaf| &leaf["leaf"]["event"]);
    let mut results = events.filter(|event| event["kind"] == "result").collect::<Vec<_>>();
    results.sort_by_key(|event| event["record"].as_u64());
    let result = results.last().unwrap();
    assert!(result["prompt_tokens_cached"].as_u64().unwrap() > 20, "{leaves}");
}

/// What llama.vim itself sent, when somebody typed in Vim (docs/evidence/llama-vim.json): the first request, and those
/// ahead of what it showed.
#[test]
fn llama_vim_itself() {
    let mut server = Server::started(places::CODER).unwrap();
    let requests: Vec<Value> = serde_json::from_str(include_str!("llama_vim.json")).unwrap();
    for request in &requests {
        let answer = http::post(&server.socket(), "/infill", request).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json().unwrap();
        let fields = answer.as_object().unwrap();
        let asked = request["response_fields"].as_array().unwrap();
        assert_eq!(fields.len(), asked.len(), "{answer}");
        assert!(asked.iter().all(|name| fields.contains_key(name.as_str().unwrap())), "{answer}");
        if request["prompt"] == "   Put" {
            assert!(answer["content"].as_str().unwrap().starts_with("_Line"), "{answer}");
        }
    }
    assert_eq!(answered(&server, "llama_cpp."), requests.len() as u64);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// What llama.vscode sends: three completions wanted, no stop strings, no response fields.
#[test]
fn llama_vscode() {
    let server = Server::started(places::CODER).unwrap();
    let request = json!({
        "input_prefix": "function Twice (X : Integer) return Integer is\nbegin\n", "input_suffix": "\nend Twice;\n",
        "input_extra": [], "prompt": "   return ", "n_predict": 16, "n_cmpl": 3,
        "top_k": 40, "top_p": 0.99, "stream": false, "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": true, "t_max_prompt_ms": 500, "t_max_predict_ms": 2500, "n_indent": 3, "lora": [],
    });
    let answer = http::post(&server.socket(), "/infill", &request).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answers = answer.json().unwrap();
    assert_eq!(answers.as_array().map(Vec::len), Some(3), "{answers}");
    assert!(answers[0]["content"].as_str().unwrap().contains('X'), "{answers}");
}

/// Zed and others template the prompt themselves.
#[test]
fn raw_fill_in_the_middle_tokens() {
    let server = Server::started(places::CODER).unwrap();
    let prompt = "<|fim_prefix|>function Twice (X : Integer) return Integer is\nbegin\n   return <|fim_suffix|>\nend Twice;\n<|fim_middle|>";
    let request = json!({ "model": "coder", "prompt": prompt, "max_tokens": 16, "stop": ["<|fim_pad|>", "<|endoftext|>"] });
    let raw = http::post(&server.socket(), "/v1/completions", &request).unwrap().json().unwrap();
    // The markers are no text: what comes is the middle.
    let text = raw["choices"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("X * 2;") && !text.contains("<|"), "{raw}");
}

/// What Continue sends with llama.cpp as the provider: it templates the prompt, and asks for the context's size.
#[test]
fn continue_by_llama_cpp() {
    let server = Server::started(places::CODER).unwrap();
    let props = http::get(&server.socket(), "/props").unwrap().json().unwrap();
    assert!(props["default_generation_settings"]["n_ctx"].as_u64().unwrap() > 1024, "{props}");
    assert!(props["chat_template"].as_str().unwrap().contains("<|im_start|>"), "{props}");
    let prompt = "<|fim_prefix|>function Twice (X : Integer) return Integer is\nbegin\n   return <|fim_suffix|>\nend Twice;\n<|fim_middle|>";
    let request = json!({
        "model": "coder", "prompt": prompt, "stream": true, "n_predict": 16, "temperature": 0.01,
        "stop": ["<|endoftext|>", "<|fim_pad|>", "\n\n"], "raw": true, "frequency_penalty": 0,
    });
    let answer = http::post(&server.socket(), "/completion", &request).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let content: String = events.iter().filter_map(|event| event["content"].as_str()).collect();
    assert!(content.starts_with("X * 2;"), "{text}");
    assert_eq!(events.last().unwrap()["stop"], true, "{text}");
    let idle = http::get(&server.socket(), "/slots").unwrap().json().unwrap();
    assert!(idle.as_array().unwrap().iter().all(|slot| slot["is_processing"] == false), "{idle}");
}

/// A deployment's vocabulary: what is taken apart goes together again, and words of people are no special tokens in a
/// template.
#[test]
fn a_vocabulary() {
    let server = Server::started(places::CODER).unwrap();
    let post = |path: &str, body: Value| {
        let answer = http::post(&server.socket(), path, &body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json().unwrap()
    };
    let text = "<|im_start|>user\nprocedure \u{e9}t\u{e9} is\t\u{1f980}<|im_end|>";
    let taken = post("/tokenize", json!({"content": text, "with_pieces": true}));
    let pieces = taken["tokens"].as_array().unwrap();
    assert_eq!(pieces[0]["piece"], "<|im_start|>", "{taken}");
    let mut bytes = Vec::new();
    for piece in pieces {
        match &piece["piece"] {
            Value::String(text) => bytes.extend(text.bytes()),
            part => bytes.extend(
                part.as_array().unwrap().iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()),
            ),
        }
    }
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
    let numbers: Vec<&Value> = pieces.iter().map(|piece| &piece["id"]).collect();
    assert_eq!(post("/tokenize", json!({ "content": text }))["tokens"], json!(numbers));
    assert_eq!(post("/detokenize", json!({ "tokens": numbers })), json!({ "content": text }));
    let ordinary = post("/tokenize", json!({"content": text, "parse_special": false}));
    assert!(ordinary["tokens"].as_array().unwrap().len() > numbers.len(), "{ordinary}");
    assert_eq!(post("/detokenize", ordinary), json!({ "content": text }));
    let templated = post("/apply-template", json!({"messages": [{"role": "user", "content": "Why?"}]}));
    let prompt = templated["prompt"].as_str().unwrap();
    assert!(
        prompt.contains("<|im_start|>user\nWhy?<|im_end|>") && prompt.ends_with("assistant\n"),
        "{prompt}"
    );
    for tokens in [json!([-1]), json!([1_000_000_000])] {
        let answer = http::post(&server.socket(), "/detokenize", &json!({ "tokens": tokens })).unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}

/// What Tabby's agent sends: health, a completion with what it knows of other files, and what became of it.
#[test]
fn tabby_agent() {
    let server = Server::started(places::CODER).unwrap();
    let health = http::get(&server.socket(), "/v1/health").unwrap().json().unwrap();
    assert_eq!(health["model"], "coder", "{health}");
    let request = json!({
        "language": "ada",
        "segments": {
            "prefix": "with Ada.Text_IO; use Ada.Text_IO;\nprocedure Greet is\nbegin\n   Put_",
            "suffix": "\nend Greet;\n", "filepath": "src/greet.adb",
            "git_url": "https://ada:secret@git.example/team/greetings.git",
            "declarations": [{"filepath": "logs.ads", "body": "procedure Log (Text : String);"}],
            "relevant_snippets_from_changed_files": [{"filepath": "a.adb", "body": "Log (\"a\");", "score": 1.0}],
            "relevant_snippets_from_recently_opened_files": [], "clipboard": "", "edit_history": null,
        },
        "user": "ada", "temperature": 0.1, "mode": "standard",
    });
    let answer = http::post(&server.socket(), "/v1/completions", &request).unwrap().json().unwrap();
    assert!(answer["choices"][0]["text"].as_str().unwrap().contains("Line"), "{answer}");
    let record = answer["cloister"]["record"].as_u64().unwrap();
    assert_eq!(answer["id"], format!("cmpl-{record}"), "{answer}");
    for kind in ["view", "select"] {
        let event = json!({"type": kind, "completion_id": answer["id"], "choice_index": 0, "view_id": "view-1",
            "elapsed": 1200});
        let said = http::post(&server.socket(), "/v1/events", &event).unwrap();
        assert_eq!(said.status, 200, "{}", said.text());
    }
    let shown = server.show(record).unwrap();
    assert_eq!(shown["leaf"]["event"]["repository"], "https://git.example/team/greetings.git", "{shown}");
    assert_eq!(shown["leaf"]["event"]["path"], "src/greet.adb", "{shown}");
    let words = shown.to_string();
    assert!(words.contains("\"accepted\"") && words.contains("\"shown\""), "{words}");
    // The answer of no record is nobody's.
    let event = json!({"type": "select", "completion_id": "cmpl-0", "choice_index": 0});
    assert_eq!(http::post(&server.socket(), "/v1/events", &event).unwrap().status, 403);
}

/// What Continue sends with Mistral as the provider.
#[test]
fn continue_by_mistral() {
    let server = Server::started(places::CODER).unwrap();
    let request = json!({
        "model": "coder", "prompt": "function Twice (X : Integer) return Integer is\nbegin\n   return ",
        "suffix": "\nend Twice;\n", "max_tokens": 16, "temperature": 0.01, "stop": ["\n\n"], "stream": true,
    });
    let text = http::post(&server.socket(), "/v1/fim/completions", &request).unwrap().text().to_owned();
    let events =
        text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|event| *event != "[DONE]");
    let chunks: Vec<Value> = events.map(|event| serde_json::from_str(event).unwrap()).collect();
    let content: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(content.contains('X') && text.ends_with("data: [DONE]\n\n"), "{text}");
}
