//! The surface over real sockets, with a scripted walk behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dialects;
mod surfaces;
mod walk;
mod wire;

use std::time::{Duration, Instant};

use assist::{Ask, RefusalKind};
use identity::Credential;
use protocol::admin::{Command, Request, Response, VERSION};
use protocol::frame;
use serde_json::{Value, json};

use walk::{Script, ScriptedEvent};
use wire::{Reply, Server};

const CHAT: &str = r#"{"messages":[{"role":"user","content":"Why?"}]}"#;
const CHAT_STREAM: &str = r#"{"messages":[{"role":"user","content":"Why?"}],"stream":true,
    "stream_options":{"include_usage":true}}"#;
const INFILL: &str = r#"{"input_prefix":"a","input_suffix":"b","prompt":"c"}"#;
const INFILL_STREAM: &str = r#"{"input_prefix":"a","input_suffix":"b","stream":true}"#;

#[tokio::test]
async fn a_chat_is_answered_with_its_record() {
    let server = Server::start(Script::answers("Because."));
    let reply = server.post("/v1/chat/completions", CHAT).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-cloister-record"), Some("41"));
    assert_eq!(reply.header("x-cloister-deployment"), Some("coder"));
    let body = reply.json();
    assert_eq!(body["choices"][0]["message"], json!({"role": "assistant", "content": "Because."}));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
            "prompt_tokens_details": {"cached_tokens": 60}})
    );
    assert_eq!((&body["id"], &body["model"]), (&json!("chatcmpl-41"), &json!("coder")));
    let asked = server.walk.asked();
    assert_eq!(asked[0].dialect, "openai.chat");
    assert_eq!(asked[0].credential, Credential::Peer { uid: wire::my_uid() });
}

#[tokio::test]
async fn credentials_come_from_the_socket_or_the_token() {
    let server = Server::start(Script::answers("x"));
    server.post_with("/infill", &["Authorization: Bearer abc"], INFILL).await;
    server.post_with("/infill", &["X-Api-Key: def"], INFILL).await;
    let reply = server.tcp_post("/infill", &["Host: localhost"], INFILL).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    assert_eq!(reply.json()["error"]["type"], "authentication_error");
    let headers = ["Host: 127.0.0.1:80", "Authorization: Bearer abc"];
    assert_eq!(server.tcp_post("/infill", &headers, INFILL).await.status, 200);
    let credentials: Vec<Credential> =
        server.walk.asked().into_iter().map(|asked| asked.credential).collect();
    let bearer = |text: &str| Credential::Bearer(text.to_owned());
    assert_eq!(credentials, [bearer("abc"), bearer("def"), bearer("abc")]);
}

#[tokio::test]
async fn another_host_is_refused_on_tcp() {
    let server = Server::start(Script::answers("x"));
    let headers = ["Host: evil.example", "Authorization: Bearer abc"];
    let reply = server.tcp_post("/v1/chat/completions", &headers, CHAT).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (403, &json!("foreign_host")));
    assert!(server.walk.asked().is_empty());
}

#[tokio::test]
async fn a_lookup() {
    let server = Server::start(Script::answers("x"));
    let reply = server.post("/v1/cloister/context", r#"{"definition":"Trim","count":3}"#).await;
    assert_eq!((reply.status, reply.header("x-cloister-record")), (200, Some("41")));
    assert_eq!(reply.json()["results"][0], "Definition { name: \"Trim\", count: 3 }");
    let reply = server.post("/v1/cloister/context", r#"{"definition":""}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("definition")));
    let server = Server::start(Script::Refuse(RefusalKind::LedgerUnavailable));
    let reply = server.post("/v1/cloister/context", r#"{"search":"x"}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &json!("ledger_unavailable")));
}

#[tokio::test]
async fn a_streamed_chat() {
    let server = Server::start(Script::streams(&["Be", "cause."]));
    let reply = server.post("/v1/chat/completions", CHAT_STREAM).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("x-cloister-record"), Some("41"));
    let events = reply.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": ""}));
    assert_eq!(deltas[1], &json!({"content": "Be"}));
    assert_eq!(deltas[2], &json!({"content": "cause."}));
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!((&chunks[4]["choices"], &chunks[4]["usage"]["total_tokens"]), (&json!([]), &json!(105)));
    assert!(
        chunks[..4]
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk["object"] == "chat.completion.chunk")
    );
}

#[tokio::test]
async fn a_streamed_completion_and_a_streamed_infill() {
    let server = Server::start(Script::streams(&["x", "\ny"]));
    let reply = server.post("/v1/completions", r#"{"prompt":"a","suffix":"b","stream":true}"#).await;
    let events = reply.events();
    let first: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!((&first["object"], &first["choices"][0]["text"]), (&json!("text_completion"), &json!("x")));
    assert_eq!(events.len(), 4);

    let reply = server.post("/infill", INFILL_STREAM).await;
    let events: Vec<Value> =
        reply.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(events[1], json!({"index": 0, "content": "\ny", "stop": false}));
    assert_eq!((&events[2]["stop"], &events[2]["tokens_predicted"]), (&json!(true), &json!(5)));
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_in_its_dialect() {
    let broken = vec![ScriptedEvent::Block("x"), ScriptedEvent::Broken(RefusalKind::EngineFailed)];
    let server = Server::start(Script::Stream(broken));
    let events = server.post("/v1/chat/completions", CHAT_STREAM).await.events();
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "engine_failed");
    let events = server.post("/infill", INFILL_STREAM).await.events();
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], 500);

    let server = Server::start(Script::Stream(vec![ScriptedEvent::Block("x"), ScriptedEvent::Vanish]));
    let events = server.post("/v1/chat/completions", CHAT_STREAM).await.events();
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "broken_off");
}

#[tokio::test]
async fn infill_as_the_editors_send_it() {
    let server = Server::start(Script::answers("null;"));
    let vim = r#"{"id_slot":0,"input_prefix":"p","input_suffix":"s",
        "input_extra":[{"text":"t","time":[1,2],"filename":"f"}],"prompt":"m","n_predict":128,"stop":[],
        "n_indent":3,"top_k":40,"top_p":0.9,"samplers":["top_k","top_p","infill"],"stream":false,
        "cache_prompt":true,"t_max_prompt_ms":500,"t_max_predict_ms":1000,
        "response_fields":["content","timings/prompt_n","truncated","tokens_cached"],"model":""}"#;
    let reply = server.post("/infill", vim).await;
    assert_eq!(
        reply.json(),
        json!({"content": "null;", "timings/prompt_n": 40, "truncated": false, "tokens_cached": 105})
    );

    let warm_up = r#"{"input_prefix":"","input_suffix":"","input_extra":[{"text":"t","time":[1,2],"filename":"f"}],
        "prompt":"","n_predict":0,"samplers":[],"response_fields":[""]}"#;
    let reply = server.post("/infill", warm_up).await;
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    assert_eq!(server.walk.warmed(), 1);

    // Greedy, so the three are one.
    let vscode =
        r#"{"input_prefix":"a","input_suffix":"b","input_extra":[],"prompt":"","n_predict":8,"n_cmpl":3}"#;
    let asked_before = server.walk.asked().len();
    let reply = server.post("/infill", vscode).await;
    let indexes: Vec<Value> =
        reply.json().as_array().unwrap().iter().map(|one| one["index"].clone()).collect();
    assert_eq!(indexes, [json!(0), json!(1), json!(2)]);
    assert_eq!(reply.json()[0]["generation_settings"]["n_ctx"], 4096);
    assert_eq!(server.walk.asked().len(), asked_before + 1);

    // Drawn: three seeds, three records.
    let drawn = r#"{"input_prefix":"a","input_suffix":"b","n_cmpl":3,"temperature":0.8,"seed":7}"#;
    let reply = server.post("/infill", drawn).await;
    let asked = server.walk.asked();
    let seeds: Vec<u64> = asked[asked_before + 1..].iter().map(|one| one.parameters.sampling.seed).collect();
    assert_eq!(seeds, [7, 8, 9]);
    assert_eq!(reply.header("x-cloister-record").unwrap().split(", ").count(), 3);
}

#[tokio::test]
async fn refusals_keep_their_record_and_their_shape() {
    let server = Server::start(Script::Refuse(RefusalKind::Busy));
    let reply = server.post("/v1/chat/completions", CHAT).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.header("x-cloister-record"), Some("41"));
    assert_eq!(
        reply.json(),
        json!({"error": {"message": "refused", "type": "server_error", "param": null, "code": "overloaded"}})
    );
    let reply = server.post("/infill", INFILL_STREAM).await;
    assert_eq!(
        reply.json(),
        json!({"error": {"code": 503, "message": "refused", "type": "unavailable_error"}})
    );
}

#[tokio::test]
async fn bodies_that_are_wrong() {
    let server = Server::start(Script::answers("x"));
    let error = |reply: Reply| (reply.status, reply.json()["error"]["message"].as_str().unwrap().to_owned());
    let (status, message) = error(server.post("/v1/chat/completions", "{\"messages\":\n nope}").await);
    assert_eq!((status, message.as_str()), (400, "the body is not JSON: line 2 column 3"));
    let reply = server.post("/v1/chat/completions", r#"{"messages":[],"temperature":"hot"}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("messages")));
    let (status, message) = error(server.post("/v1/chat", CHAT).await);
    assert_eq!(status, 404);
    assert!(message.contains("/v1/chat"));
    let (status, _) = error(server.get("/infill", &[]).await);
    assert_eq!(status, 405);
    let stream_warm = r#"{"input_prefix":"a","input_suffix":"b","stream":true,"n_predict":0}"#;
    let (status, message) = error(server.post("/infill", stream_warm).await);
    assert!(status == 400 && message.contains("`stream`"));
    assert!(server.walk.asked().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_gets_its_answer() {
    let server = Server::start(Script::answers("x"));
    let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(3 * wire::BODY_BYTES_MAX));
    let reply = server.post("/v1/completions", &long).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (413, &json!("body_too_large")));
    let reply = server.tcp_post("/v1/completions", &["Host: localhost"], &long).await;
    assert_eq!(reply.status, 401);
    let fits = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(wire::BODY_BYTES_MAX - 20));
    assert_eq!(server.post("/v1/completions", &fits).await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_takes_its_request_with_it() {
    for (route, body, blocks) in [
        ("/v1/chat/completions", CHAT, 0),
        ("/infill", INFILL, 0),
        ("/v1/chat/completions", CHAT_STREAM, 0),
        ("/v1/chat/completions", CHAT_STREAM, 2),
        ("/infill", INFILL_STREAM, 2),
    ] {
        let mut events = vec![ScriptedEvent::Block("x"); blocks];
        events.push(ScriptedEvent::Hang);
        let server = Server::start(Script::Stream(events));
        let mut connection = server.connect().await;
        connection.send("POST", route, &[], body).await;
        if blocks > 0 {
            connection.read_until("\"x\"").await;
        } else {
            server.walk.wait_for_work().await;
        }
        assert!(!server.walk.is_dropped());
        let left = Instant::now();
        drop(connection);
        while !server.walk.is_dropped() {
            // 100 ms is what a person may expect; more here, since the machine may be busy.
            assert!(left.elapsed() < Duration::from_secs(1), "{route} {body} still runs");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start(Script::answers("x"));
    let mut connection = server.connect().await;
    for _ in 0..3 {
        connection.send("POST", "/infill", &[], INFILL).await;
        assert_eq!(connection.reply().await.status, 200);
    }
}

#[tokio::test]
async fn models_health_and_records() {
    let server = Server::start(Script::answers("x"));
    let models = server.get("/v1/models", &[]).await.json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("coder")));
    for field in ["max_model_len", "context_length", "n_ctx"] {
        assert_eq!(models["data"][0][field], 4096, "{field}");
    }
    assert_eq!(models["data"][0]["n_ctx_train"], 32768);
    assert_eq!(models["data"][0]["meta"]["n_ctx"], 4096);
    assert_eq!(server.tcp_get("/v1/models", &[]).await.status, 401);
    let setting = server.get("/v1beta/server_setting", &[]).await.json();
    assert_eq!(setting["disable_client_side_telemetry"], true);
    assert_eq!(server.tcp_get("/v1beta/server_setting", &[]).await.status, 401);

    assert_eq!(server.tcp_get("/health", &[]).await.json(), json!({"status": "ok"}));
    server.walk.break_ledger("disk full");
    let reply = server.get("/health", &[]).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["error"]["message"], "the ledger cannot be written: disk full");

    assert_eq!(server.get("/v1/cloister/records/41", &[]).await.json(), json!({"record": 41}));
    assert_eq!(server.get("/v1/cloister/records/x", &[]).await.status, 400);
    assert_eq!(server.tcp_get("/v1/cloister/records/41", &[]).await.status, 401);
    let found = server.get("/v1/cloister/ledger/query?person=ada", &[]).await.json();
    assert_eq!((&found["person"], &found["path"]), (&json!("ada"), &json!(null)));
    assert_eq!(server.get("/v1/cloister/ledger/query?people=ada", &[]).await.status, 400);
    assert_eq!(server.tcp_get("/v1/cloister/ledger/query", &[]).await.status, 401);
}

/// As an editor's plugin reports what became of a suggestion.
#[tokio::test]
async fn decisions() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let body = json!({"record": 41, "choice": "accepted", "path": "src/queues.adb", "client": "vim",
        "digest_before": digest});
    let server = Server::start(Script::answers("x"));
    let reply = server.post("/v1/cloister/decisions", &body.to_string()).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"record": 41, "leaf": 50})));
    assert_eq!(reply.header("x-cloister-record"), Some("41"));
    assert!(reply.header("x-cloister-receipt").is_some_and(|receipt| receipt.starts_with("50:sha256:")));
    let decided = server.walk.decided();
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0].digest_before.map(|digest| digest.to_string()), Some(digest));

    let reply = server.post("/v1/cloister/decisions", r#"{"record":41,"choice":"liked"}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("choice")));
    assert_eq!(server.tcp_post("/v1/cloister/decisions", &[], &body.to_string()).await.status, 401);
    assert_eq!(server.walk.decided().len(), 1);
    let refusing = Server::start(Script::Refuse(RefusalKind::Forbidden));
    assert_eq!(refusing.post("/v1/cloister/decisions", &body.to_string()).await.status, 403);
}

#[tokio::test]
async fn metrics_count_by_dialect_and_outcome() {
    let server = Server::start(Script::answers("x"));
    server.post("/infill", INFILL).await;
    server.post("/infill", INFILL).await;
    server.post("/infill", "{}").await;
    let text = server.get("/metrics", &[]).await.text();
    for line in [
        r#"cloister_requests_total{dialect="llama_cpp.infill",outcome="answered"} 2"#,
        r#"cloister_requests_total{dialect="llama_cpp.infill",outcome="invalid_field"} 1"#,
        r#"cloister_answer_tokens_total{dialect="llama_cpp.infill"} 10"#,
        r#"cloister_prompt_tokens_cached_total{dialect="llama_cpp.infill"} 120"#,
        r#"cloister_request_duration_seconds_count{dialect="llama_cpp.infill"} 3"#,
        "cloister_ledger_leaves 1000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_eq!(server.tcp_get("/metrics", &[]).await.status, 401);
}

#[tokio::test]
async fn raw_fill_tokens_and_suffixes() {
    let server = Server::start(Script::answers("x"));
    server.post("/v1/completions", r#"{"prompt":"<|fim_prefix|>a"}"#).await;
    server.post("/v1/completions", r#"{"prompt":"a","suffix":"b"}"#).await;
    let asked = server.walk.asked();
    assert!(asked[0].ask == Ask::Complete { prompt: "<|fim_prefix|>a".into() });
    assert!(asked[1].ask == Ask::Fill { prefix: "a".into(), suffix: "b".into(), extra: vec![] });
}

#[tokio::test]
async fn the_admin_socket_answers_the_peer_that_the_kernel_names() {
    let server = Server::start(Script::answers("x"));
    let ask = |version, command| frame::encode(&Request { version, command }).unwrap();
    let uid = wire::my_uid();
    assert_eq!(server.admin(&ask(VERSION, Command::UserList)).await, Response::Ok(format!("{uid} UserList")));
    let error = |response| match response {
        Response::Failed { error, .. } => error,
        Response::Ok(_) => panic!("accepted"),
    };
    assert!(
        error(server.admin(&ask(VERSION + 1, Command::UserList)).await)
            .contains(&format!("version {VERSION}"))
    );
    assert!(error(server.admin(&u32::MAX.to_le_bytes()).await).contains("longer than"));
    assert!(error(server.admin(&(1u32 << 20).to_le_bytes()).await).contains("longer than"));
    let mut stray = ask(VERSION, Command::UserList);
    stray[0] += 1;
    stray.push(0);
    assert!(error(server.admin(&stray).await).contains("stray"));
}

#[tokio::test]
async fn the_shutdown_lets_a_request_end_and_accepts_no_other() {
    let server = Server::start(Script::Stream(vec![
        ScriptedEvent::Block("x"),
        ScriptedEvent::Wait(Duration::from_millis(200)),
        ScriptedEvent::End,
    ]));
    let mut connection = server.connect().await;
    connection.send("POST", "/infill", &[], INFILL_STREAM).await;
    connection.read_until("\"x\"").await;
    let ended = server.shut_down();
    assert!(connection.reply_rest().await.contains("\"stop\":true"));
    ended.await.unwrap().unwrap();
    assert!(server.try_connect().await.is_err());
}

#[tokio::test]
async fn how_a_server_stands() {
    let server = Server::start(Script::answers("x"));
    let status = server.get("/v1/cloister/status", &[]).await;
    assert_eq!(status.status, 200);
    let status = status.json();
    assert_eq!((&status["ledger"]["size"], &status["ledger"]["error"]), (&json!(1000), &Value::Null));
    assert!(status["ledger"]["checkpoint"].as_str().unwrap().starts_with("example.org/log"));
    assert_eq!(status["deployments"][0]["cloister"]["training_data"], "undisclosed");
    let line = "network: gateway: connect: a socket instead of EPERM (socket(2))";
    let posture = &status["posture"];
    assert_eq!((&posture["record"], &posture["time_unix_s"]), (&json!(12), &json!(1_700_000_000)));
    assert_eq!((&posture["outcome"], &posture["failed"]), (&json!("failed"), &json!([line])));
    let rows = server.get("/v1/cloister/posture", &[]).await.json();
    assert_eq!(rows["posture"]["rows"][1]["verdict"], "fail");
    for path in ["/v1/cloister/status", "/v1/cloister/posture"] {
        assert_eq!(server.tcp_get(path, &["Host: localhost"]).await.status, 401, "{path}");
    }
    let server = Server::start(Script::streams(&[]));
    assert_eq!(server.get("/v1/cloister/status", &[]).await.json()["posture"], Value::Null);
    let server = Server::start(Script::Refuse(RefusalKind::LedgerUnavailable));
    assert_eq!(server.get("/v1/cloister/status", &[]).await.status, 503);
}

#[tokio::test]
async fn the_console_needs_no_credential_and_its_data_does() {
    let server = Server::start(Script::answers("x"));
    let page = server.tcp_get("/console/ledger", &["Host: localhost"]).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().contains("trusted-types 'none'"));
    let tag = page.header("etag").unwrap().to_owned();
    let again = server.tcp_get("/console", &["Host: localhost", &format!("If-None-Match: {tag}")]).await;
    assert_eq!(again.status, 304);
    // By a name of somebody else's, not even the page.
    assert_eq!(server.tcp_get("/console", &["Host: evil.example"]).await.status, 403);
    assert_eq!(server.tcp_get("/console/../v1/models", &["Host: localhost"]).await.status, 404);
    for path in ["/v1/cloister/chain", "/v1/cloister/ledger/proof/7", "/v1/cloister/records/7"] {
        assert_eq!(server.tcp_get(path, &["Host: localhost"]).await.status, 401, "{path}");
    }
    let proof = server.get("/v1/cloister/ledger/proof/7", &[]).await.json();
    assert_eq!((&proof["index"], &proof["proof"]), (&json!(7), &json!("c2sp.org/tlog-proof@v1")));
    assert!(proof["verifier"].as_str().unwrap().starts_with("example.org/log+"));
    assert_eq!(server.get("/v1/cloister/ledger/proof/x", &[]).await.status, 400);
    assert_eq!(server.get("/v1/cloister/chain", &[]).await.json()["corpora"], json!([]));
    let server = Server::start(Script::Refuse(RefusalKind::Forbidden));
    assert_eq!(server.get("/v1/cloister/ledger/proof/7", &[]).await.status, 403);
}
