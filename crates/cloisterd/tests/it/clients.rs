//! Clients that people use: the real `openai` and `anthropic` packages, and requests in the shape that the editors'
//! plugins send.

use std::process::Command;

use serde_json::json;
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
    // The beginning of a call that must be made is in the prompt that is on record.
    assert_eq!(server.replay(said["called"].as_u64().unwrap()).unwrap()["matches"], true);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
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
