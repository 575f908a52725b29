//! llama.cpp's, Ollama's, Tabby's and Mistral's dialects, as their clients speak them.

use assist::{Ask, Choice, RefusalKind};
use identity::Credential;
use protocol::RecordNumber;
use protocol::worker::Until;
use serde_json::{Value, json};

use crate::walk::{Script, ScriptedEvent};
use crate::wire::{Reply, Server};

/// As Tabby's agent asks for a completion.
const SEGMENTS: &str = r#"{"language":"ada","segments":{"prefix":"begin\n   ","suffix":"\nend P;\n",
    "filepath":"src/p.adb","git_url":"git@git.example:team/queues.git",
    "declarations":[{"filepath":"q.ads","body":"package Q is"}],
    "relevant_snippets_from_changed_files":[{"filepath":"a.adb","body":"A","score":2.0}],
    "relevant_snippets_from_recently_opened_files":[],"clipboard":"x"},"user":"ada","temperature":0.1}"#;

/// As Continue fills a hole by Mistral's words.
const FIM: &str = r#"{"model":"coder","prompt":"a","suffix":"b","max_tokens":64,"temperature":0.01,"top_p":1,
    "frequency_penalty":0,"presence_penalty":0,"stop":["\n\n"]}"#;

fn lines(reply: &Reply) -> Vec<Value> {
    reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn continue_completes_by_llama_cpp() {
    let body = r#"{"model":"coder","prompt":"<|fim_prefix|>a","stream":true,"n_predict":64,"stop":["\n\n"],"raw":true}"#;
    let server = Server::start(Script::streams(&["x", "y"]));
    for path in ["/completion", "/completions"] {
        let reply = server.post(path, body).await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let events: Vec<Value> =
            reply.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        assert_eq!(events[0], json!({"index": 0, "content": "x", "stop": false}));
        assert_eq!((&events[2]["stop"], &events[2]["content"]), (&json!(true), &json!("")));
        assert_eq!(events.len(), 3);
    }
    let asked = &server.walk.asked()[0];
    assert_eq!(asked.dialect, "llama_cpp.completion");
    assert!(asked.ask == Ask::Complete { prompt: "<|fim_prefix|>a".to_owned() });

    let server = Server::start(Script::answers("xy"));
    let reply = server.post("/completion", r#"{"prompt":"a"}"#).await;
    assert_eq!((reply.status, &reply.json()["content"]), (200, &json!("xy")));
    assert_eq!(reply.header("x-cloister-record"), Some("41"));
    let reply = server.post("/completion", r#"{"prompt":7}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(400)));
}

#[tokio::test]
async fn a_vocabulary() {
    let server = Server::start(Script::answers("x"));
    let post = async |path: &str, body: &str| server.post(path, body).await.json();
    assert_eq!(post("/tokenize", r#"{"content":"ab"}"#).await, json!({"tokens": [97, 98]}));
    let begun = post("/tokenize", r#"{"content":"a","add_special":true}"#).await;
    assert_eq!(begun, json!({"tokens": [0, 97]}));
    let pieces = post("/tokenize", r#"{"content":"aé","with_pieces":true}"#).await;
    assert_eq!(pieces["tokens"][0], json!({"id": 97, "piece": "a"}));
    assert_eq!(pieces["tokens"][1], json!({"id": 195, "piece": [195]}));
    assert_eq!(post("/detokenize", r#"{"tokens":[97,98]}"#).await, json!({"content": "ab"}));
    let template = r#"{"messages":[{"role":"user","content":"a"}]}"#;
    assert_eq!(post("/apply-template", template).await, json!({"prompt": "<a>"}));
    // Nothing was asked of a model.
    assert!(server.walk.asked().is_empty());
    for (path, body) in [("/tokenize", "{}"), ("/detokenize", "{}"), ("/apply-template", "{}")] {
        let reply = server.post(path, body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(400)), "{path}");
        assert_eq!(server.tcp_post(path, &["Host: localhost"], body).await.status, 401, "{path}");
    }
    let server = Server::start(Script::Refuse(RefusalKind::Forbidden));
    let reply = server.post("/tokenize", r#"{"content":"a"}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (403, &json!("permission_error")));
}

#[tokio::test]
async fn what_llama_cpp_states() {
    let server = Server::start(Script::answers("x"));
    let props = server.get("/props", &[]).await.json();
    assert_eq!(props["default_generation_settings"]["n_ctx"], 4096);
    assert_eq!((&props["total_slots"], &props["chat_template"]), (&json!(2), &json!("{{ messages }}")));
    let model_path = props["model_path"].as_str().unwrap();
    assert!(model_path.starts_with("coder@sha256:0707") && !model_path.contains('/'), "{model_path}");
    let slots = server.get("/slots?model=coder", &[]).await.json();
    let slot = |id, is_processing| json!({"id": id, "n_ctx": 4096, "is_processing": is_processing});
    assert_eq!(slots, json!([slot(0, true), slot(1, false)]));
    let reply = server.get("/props?model=other", &[]).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (404, &json!("not_found_error")));
    for path in ["/props", "/slots"] {
        assert_eq!(server.tcp_get(path, &[]).await.status, 401);
    }
}

#[tokio::test]
async fn tabby_completes_and_tells_what_became_of_it() {
    let server = Server::start(Script::answers("null;"));
    let reply = server.post("/v1/completions", SEGMENTS).await;
    let body = reply.json();
    assert_eq!((reply.status, &body["id"], &body["mode"]), (200, &json!("cmpl-41"), &json!("standard")));
    assert_eq!(body["choices"], json!([{"index": 0, "text": "null;"}]));
    let asked = &server.walk.asked()[0];
    assert_eq!(asked.dialect, "tabby.completions");
    let Ask::Fill { prefix, suffix, extra } = &asked.ask else { panic!("no hole") };
    assert_eq!((prefix.as_str(), suffix.as_str()), ("begin\n   ", "\nend P;\n"));
    let names: Vec<&str> = extra.iter().map(|extra| extra.file_name.as_str()).collect();
    assert_eq!(names, ["a.adb", "q.ads"]);
    assert_eq!(asked.subject.repository.as_deref(), Some("git@git.example:team/queues.git"));
    assert_eq!(asked.subject.path.as_deref(), Some("src/p.adb"));
    assert_eq!(asked.parameters.until, Until::Block { indent: 3 });

    // The same path is OpenAI's with a prompt.
    let reply = server.post("/v1/completions", r#"{"prompt":"a"}"#).await;
    assert_eq!(reply.json()["object"], "text_completion");
    assert_eq!(server.walk.asked()[1].dialect, "openai.completions");
    let reply = server.post("/v1/completions", r#"{"segments":{}}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("segments.prefix")));
    assert_eq!(server.tcp_post("/v1/completions", &["Host: localhost"], SEGMENTS).await.status, 401);

    for (event, path) in [
        ("view", "/v1/events"),
        ("select", "/v1/events"),
        ("select", "/v1/events?select_kind=line"),
        ("dismiss", "/v1/events"),
        ("chat_apply", "/v1/events"),
    ] {
        let body = json!({"type": event, "completion_id": "cmpl-41", "choice_index": 0, "view_id": "view-1",
            "elapsed": 900});
        let headers = ["User-Agent: TabbyML Vim"];
        let reply = server.post_with(path, &headers, &body.to_string()).await;
        assert_eq!(reply.status, 200, "{event}");
        assert_eq!(reply.header("x-cloister-record").is_some(), event != "chat_apply");
    }
    let decided = server.walk.decided();
    let choices: Vec<Choice> = decided.iter().map(|decided| decided.choice).collect();
    assert_eq!(choices, [Choice::Shown, Choice::Accepted, Choice::PartlyAccepted, Choice::Rejected]);
    assert!(decided.iter().all(|decided| decided.record == RecordNumber(41)));
    assert_eq!(decided[0].client.as_deref(), Some("TabbyML Vim"));
    let reply = server.post("/v1/events", r#"{"type":"view","completion_id":"else"}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("completion_id")));

    // Another's record.
    let server = Server::start(Script::Refuse(RefusalKind::Forbidden));
    let reply = server.post("/v1/events", r#"{"type":"view","completion_id":"cmpl-7"}"#).await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn tabby_asks_how_it_stands() {
    let server = Server::start(Script::answers("Because."));
    for path in ["/v1/health", "/v1beta/health"] {
        for health in [server.get(path, &[]).await, server.post(path, "").await] {
            let health = health.json();
            assert_eq!((&health["model"], &health["chat_model"]), (&json!("coder"), &json!("coder")));
            assert!(health["version"]["git_describe"].as_str().unwrap().starts_with('v'));
        }
        assert_eq!(server.tcp_get(path, &[]).await.status, 401);
    }
    let chat = r#"{"messages":[{"role":"user","content":"Why?"}]}"#;
    let reply = server.post("/v1beta/chat/completions", chat).await.json();
    assert_eq!(reply["choices"][0]["message"]["content"], "Because.");
    server.walk.break_ledger("disk full");
    assert_eq!(server.get("/v1/health", &[]).await.status, 503);
}

#[tokio::test]
async fn mistral_fills() {
    let server = Server::start(Script::answers("null;"));
    let reply = server.post_with("/v1/fim/completions", &["X-Api-Key: abc"], FIM).await;
    let body = reply.json();
    assert_eq!((reply.status, &body["object"]), (200, &json!("chat.completion")));
    let message = json!({"role": "assistant", "content": "null;", "tool_calls": null, "prefix": false});
    assert_eq!(body["choices"][0]["message"], message);
    assert_eq!(
        (&body["choices"][0]["finish_reason"], &body["usage"]["total_tokens"]),
        (&json!("stop"), &json!(105))
    );
    assert_eq!(server.walk.asked()[0].credential, Credential::Bearer("abc".to_owned()));
    let reply = server.post("/v1/fim/completions", r#"{"prompt":1}"#).await;
    let error = reply.json();
    assert_eq!((reply.status, &error["object"], &error["param"]), (400, &json!("error"), &json!("prompt")));

    let server = Server::start(Script::streams(&["x", "y"]));
    let streamed = FIM.replace("\"model\"", "\"stream\":true,\"model\"");
    let events = server.post("/v1/fim/completions", &streamed).await.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "xy");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn nothing_is_embedded() {
    let server = Server::start(Script::answers("x"));
    for path in ["/v1/embeddings", "/v1/rerank", "/api/embed"] {
        let reply = server.post(path, r#"{"model":"coder","input":"a"}"#).await;
        let error = &reply.json()["error"];
        let message = error.as_str().or(error["message"].as_str()).unwrap();
        assert!(reply.status == 400 && message.contains("no deployment makes embeddings"), "{path}");
        assert_eq!(server.tcp_post(path, &["Host: localhost"], "{}").await.status, 401);
    }
}

#[tokio::test]
async fn ollama_states() {
    let server = Server::start(Script::answers("x"));
    let probe = server.tcp_get("/", &[]).await;
    assert_eq!((probe.status, probe.text().as_str()), (200, "Ollama is running"));
    assert!(server.get("/api/version", &[]).await.json()["version"].is_string());
    let tags = server.get("/api/tags", &[]).await.json();
    let model = &tags["models"][0];
    assert_eq!((&model["name"], &model["details"]["family"]), (&json!("coder:latest"), &json!("qwen2")));
    assert_eq!(model["digest"].as_str().map(str::len), Some(64));
    let running = server.get("/api/ps", &[]).await.json();
    assert_eq!(running["models"][0]["context_length"], 4096);
    let show = server.post("/api/show", r#"{"model":"coder:latest"}"#).await.json();
    assert_eq!(show["model_info"]["qwen2.context_length"], 4096);
    assert_eq!(show["capabilities"], json!(["completion", "tools", "insert"]));
    assert!(show["template"].as_str().unwrap().contains(".Suffix"));
    let reply = server.post("/api/show", r#"{"model":"other"}"#).await;
    assert!(reply.status == 404 && reply.json()["error"].as_str().unwrap().contains("coder"));
    for path in ["/api/version", "/api/tags", "/api/ps"] {
        assert_eq!(server.tcp_get(path, &[]).await.status, 401);
    }
    let reply = server.post("/api/pull", "{}").await;
    assert!(reply.status == 404 && reply.json()["error"].is_string());
}

#[tokio::test]
async fn ollama_answers() {
    let server = Server::start(Script::answers("Because."));
    let reply =
        server.post("/api/chat", r#"{"messages":[{"role":"user","content":"Why?"}],"stream":false}"#).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json();
    assert_eq!(body["message"], json!({"role": "assistant", "content": "Because."}));
    assert_eq!((&body["done"], &body["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!((&body["prompt_eval_count"], &body["eval_count"]), (&json!(100), &json!(5)));
    assert_eq!(
        (&body["prompt_eval_duration"], &body["cloister"]["record"]),
        (&json!(20_000_000), &json!(41))
    );
    assert_eq!(server.walk.asked()[0].dialect, "ollama.chat");
    // Who asks for nothing asks that the model be there.
    let reply = server.post("/api/generate", r#"{"model":"coder","keep_alive":1800}"#).await;
    assert_eq!(reply.json()["done_reason"], "load");
    let reply = server.post("/api/generate", r#"{"model":"other"}"#).await;
    assert_eq!(reply.status, 404);
    assert_eq!(server.walk.asked().len(), 1);
    let reply = server.post("/api/chat", r#"{"messages":[{"role":"user"}],"tools":[{}]}"#).await;
    let error = reply.json()["error"].take();
    assert!(reply.status == 400 && error.as_str().unwrap().contains("tools[0].function"), "{error}");

    // Streams are the default.
    let server = Server::start(Script::streams(&["x", "\ny"]));
    let reply = server.post("/api/generate", r#"{"prompt":"a","suffix":"b"}"#).await;
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("x-cloister-record"), Some("41"));
    let events = lines(&reply);
    assert_eq!((&events[1]["response"], &events[1]["done"]), (&json!("\ny"), &json!(false)));
    assert_eq!((&events[2]["response"], &events[2]["done"]), (&json!(""), &json!(true)));
    assert_eq!(events.len(), 3);

    let broken = vec![ScriptedEvent::Block("x"), ScriptedEvent::Broken(RefusalKind::EngineFailed)];
    let server = Server::start(Script::Stream(broken));
    let events = lines(&server.post("/api/generate", r#"{"prompt":"a"}"#).await);
    assert_eq!(events.last().unwrap(), &json!({"error": "refused"}));
    let server = Server::start(Script::Refuse(RefusalKind::UnknownDeployment));
    let reply = server.post("/api/generate", r#"{"prompt":"a"}"#).await;
    assert_eq!((reply.status, reply.json()), (404, json!({"error": "refused"})));
}
