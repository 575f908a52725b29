//! Tools, Anthropic's messages and OpenAI's responses, whole and streamed.

use assist::{Ask, RefusalKind, ToolChoice};
use serde_json::{Value, json};

use crate::walk::{Script, ScriptedEvent};
use crate::wire::Server;

const CALL: &str =
    "I look.\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"path\": \"a.ads\"}}\n</tool_call>";
const BLOCKS: [&str; 4] = [
    "I look.\n<tool",
    "_call>\n{\"name\": \"look\", ",
    "\"arguments\": {\"path\": \"a.ads\"}}",
    "\n</tool_call>",
];
const SOURCES: &str =
    r#"[{"source":"flight","commit":"c0ffee","path":"src/a.ads","first_line":3,"last_line":7}]"#;

fn sources() -> Value {
    serde_json::from_str(SOURCES).unwrap()
}

fn chat(more: &str) -> String {
    format!(
        r#"{{"messages":[{{"role":"user","content":"Why?"}}],
            "tools":[{{"type":"function","function":{{"name":"look","parameters":{{"type":"object"}}}}}}]{more}}}"#
    )
}

fn messages(more: &str) -> String {
    format!(
        r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Why?"}}],
            "tools":[{{"name":"look","input_schema":{{"type":"object"}}}}]{more}}}"#
    )
}

fn response(more: &str) -> String {
    format!(r#"{{"input":"Why?","tools":[{{"type":"function","name":"look"}}]{more}}}"#)
}

#[tokio::test]
async fn a_chat_calls_a_tool() {
    let server = Server::start(Script::answers(CALL));
    let body = server.post("/v1/chat/completions", &chat("")).await.json();
    let call = json!({"id": "call_41_0", "type": "function",
        "function": {"name": "look", "arguments": "{\"path\":\"a.ads\"}"}});
    let message = json!({"role": "assistant", "content": "I look.\n", "tool_calls": [call]});
    assert_eq!(body["choices"][0]["message"], message);
    assert_eq!(
        (&body["choices"][0]["finish_reason"], &body["cloister"]["sources"]),
        (&json!("tool_calls"), &sources())
    );
    // Nobody offered it, so nobody called it.
    let plain = server.post("/v1/chat/completions", &chat(r#","tool_choice":"none""#)).await.json();
    assert_eq!(plain["choices"][0]["message"], json!({"role": "assistant", "content": CALL}));
    let asked = server.walk.asked();
    let Ask::Chat { tools, .. } = &asked[0].ask else { panic!("no chat") };
    assert_eq!((tools.offered[0].name.as_str(), &tools.choice), ("look", &ToolChoice::Auto));
}

#[tokio::test]
async fn several_answers() {
    let server = Server::start(Script::answers("x"));
    let reply = server.post("/v1/chat/completions", &chat(r#","n":3,"temperature":0.5"#)).await;
    assert_eq!(reply.header("x-cloister-record"), Some("41, 42, 43"));
    let body = reply.json();
    let records: Vec<&Value> = (0..3).map(|index| &body["choices"][index]["cloister"]["record"]).collect();
    assert_eq!(records, [&json!(41), &json!(42), &json!(43)]);
    assert_eq!(
        (&body["usage"]["completion_tokens"], &body["usage"]["prompt_tokens"]),
        (&json!(15), &json!(100))
    );
    let body = server.post("/v1/completions", r#"{"prompt":"a","n":2}"#).await.json();
    assert_eq!((&body["choices"][1]["text"], &body["usage"]["completion_tokens"]), (&json!("x"), &json!(5)));
}

#[tokio::test]
async fn a_streamed_chat_calls_a_tool() {
    let server = Server::start(Script::streams(&BLOCKS));
    let events = server.post("/v1/chat/completions", &chat(r#","stream":true"#)).await.events();
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    let call = json!({"index": 0, "id": "call_41_0", "type": "function",
        "function": {"name": "look", "arguments": "{\"path\":\"a.ads\"}"}});
    assert_eq!(deltas[1..], [&json!({"content": "I look.\n"}), &json!({"tool_calls": [call]}), &json!({})]);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_message() {
    let server = Server::start(Script::answers(CALL));
    let reply =
        server.post_with("/v1/messages?beta=true", &["anthropic-version: 2023-06-01"], &messages("")).await;
    assert_eq!((reply.status, reply.header("x-cloister-record")), (200, Some("41")));
    let mut body = reply.json();
    assert_eq!(body["cloister"]["sources"], sources());
    body.as_object_mut().unwrap().remove("cloister");
    assert_eq!(
        body,
        json!({"id": "msg_41", "type": "message", "role": "assistant", "model": "coder",
            "content": [{"type": "text", "text": "I look.\n"},
                {"type": "tool_use", "id": "toolu_41_0", "name": "look", "input": {"path": "a.ads"}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 60, "output_tokens": 5}})
    );
    let asked = server.walk.asked();
    assert_eq!(asked[0].dialect, "anthropic.messages");
}

#[tokio::test]
async fn a_streamed_message() {
    let server = Server::start(Script::streams(&BLOCKS));
    let reply = server.post("/v1/messages", &messages(r#","stream":true"#)).await;
    let events = reply.named_events();
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
    let told: Vec<String> = events
        .iter()
        .map(|(name, data)| {
            let (block, mut delta) = (&data["content_block"], data["delta"].clone());
            delta.sort_all_objects();
            format!("{name} {} {}{delta}", data["index"], block["type"])
        })
        .collect();
    assert_eq!(
        told,
        [
            "message_start null nullnull",
            "content_block_start 0 \"text\"null",
            "content_block_delta 0 null{\"text\":\"I look.\\n\",\"type\":\"text_delta\"}",
            "content_block_stop 0 nullnull",
            "content_block_start 1 \"tool_use\"null",
            "content_block_delta 1 null{\"partial_json\":\"{\\\"path\\\":\\\"a.ads\\\"}\",\"type\":\"input_json_delta\"}",
            "content_block_stop 1 nullnull",
            "message_delta null null{\"stop_reason\":\"tool_use\",\"stop_sequence\":null}",
            "message_stop null nullnull",
        ]
    );
    let delta = &events[7].1;
    assert_eq!((&delta["usage"]["output_tokens"], &delta["cloister"]["record"]), (&json!(5), &json!(41)));
}

#[tokio::test]
async fn messages_that_fail() {
    let server = Server::start(Script::Refuse(RefusalKind::Busy));
    let reply = server.post("/v1/messages", &messages("")).await;
    let error =
        |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    assert_eq!((reply.status, reply.json()), (503, error("overloaded_error", "refused")));
    let reply = server.post("/v1/messages", r#"{"messages":[]}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let reply = server.tcp_post("/v1/messages/count_tokens", &["Host: localhost"], &messages("")).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (401, &json!("authentication_error")));
    assert_eq!(server.get("/v1/messages", &[]).await.json()["type"], "error");

    let broken = vec![ScriptedEvent::Block("x"), ScriptedEvent::Broken(RefusalKind::EngineFailed)];
    let server = Server::start(Script::Stream(broken));
    let events = server.post("/v1/messages", &messages(r#","stream":true"#)).await.named_events();
    assert_eq!(events.last().unwrap(), &("error".to_owned(), error("api_error", "refused")));
    let events = server.post("/v1/responses", &response(r#","stream":true"#)).await.named_events();
    let (name, data) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &data["response"]["error"]["code"]),
        ("response.failed", &json!("engine_failed"))
    );
    assert_eq!((&data["response"]["id"], &data["response"]["status"]), (&json!("resp_42"), &json!("failed")));
}

#[tokio::test]
async fn tokens_are_counted() {
    let server = Server::start(Script::answers("x"));
    let reply = server.post("/v1/messages/count_tokens", &messages("")).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"input_tokens": 100})));
    assert_eq!(server.walk.asked()[0].dialect, "anthropic.count_tokens");
}

#[tokio::test]
async fn a_response() {
    let server = Server::start(Script::answers(CALL));
    let body = server.post("/v1/responses", &response("")).await.json();
    let text = json!({"type": "output_text", "text": "I look.\n", "annotations": [], "logprobs": []});
    assert_eq!(
        body["output"],
        json!([
            {"id": "msg_41_0", "type": "message", "role": "assistant", "status": "completed", "content": [text]},
            {"id": "fc_41_1", "type": "function_call", "status": "completed", "call_id": "call_41_1",
                "name": "look", "arguments": "{\"path\":\"a.ads\"}"},
        ])
    );
    assert_eq!(
        (&body["id"], &body["status"], &body["store"]),
        (&json!("resp_41"), &json!("completed"), &json!(false))
    );
    assert_eq!((&body["usage"]["total_tokens"], &body["cloister"]["sources"]), (&json!(105), &sources()));
}

#[tokio::test]
async fn a_streamed_response() {
    let server = Server::start(Script::streams(&BLOCKS));
    let events = server.post("/v1/responses", &response(r#","stream":true"#)).await.named_events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.strip_prefix("response.").unwrap()).collect();
    assert_eq!(
        names,
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["sequence_number"], &data["type"]), (&json!(number), &json!(name)));
    }
    let last = &events.last().unwrap().1["response"];
    assert_eq!(
        (&last["output"][0]["content"][0]["text"], &last["output"][1]["name"]),
        (&json!("I look.\n"), &json!("look"))
    );
    assert_eq!((&last["status"], &last["cloister"]["record"]), (&json!("completed"), &json!(41)));
}
