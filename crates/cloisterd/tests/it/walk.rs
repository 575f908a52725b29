//! The main job: a hole filled, a question answered, both on record, the record verified.

use serde_json::json;
use testkit::server::Server;
use testkit::{http, load, places};

#[test]
fn a_completion_from_end_to_end() {
    let mut server = Server::started(places::CODER).unwrap();
    let request = json!({
        "prompt": "procedure Swap (A, B : in out Integer) is\n   Temp : Integer;\nbegin\n",
        "suffix": "\nend Swap;\n",
        "max_tokens": 48,
    });
    let response = http::post(&server.socket(), "/v1/completions", &request).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    let text = response.json().unwrap()["choices"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("Temp := A;"), "{text}");

    let record = response.record().unwrap();
    let shown = server.show(record).unwrap();
    let intent = &shown["leaf"]["event"];
    for field in ["model", "template", "engine_build", "policy"] {
        assert!(intent[field].as_str().unwrap().starts_with("sha256:"), "{field}: {intent}");
    }
    assert_eq!(intent["identity"], "owner");
    assert_eq!(intent["reproducible"], true);
    assert_eq!(intent["profile"], "reproducible");
    assert_eq!(intent["cpu_level"], "x86-64-v3");
    assert_eq!(
        shown["body"]["prompt_tokens"].as_array().unwrap().len(),
        usize::try_from(intent["prompt_tokens"].as_u64().unwrap()).unwrap()
    );
    assert_eq!(load::result_text(&shown).unwrap(), text);

    // A person's command, and its receipt.
    let answer = server
        .cloister(&["ask", "What is a task in Ada? One sentence.", "--max-tokens", "24", "--json"])
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let explained = server.cloister(&["explain", &answer["record"].to_string()]).unwrap();
    assert!(explained.contains("openai.chat") && explained.contains("What is a task in Ada?"), "{explained}");

    server.stop().unwrap();
    let report = server.verify().unwrap();
    assert_eq!(report["verdict"], "passed", "{report}");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
}

#[test]
fn streamed_blocks_are_on_record() {
    let server = Server::started(places::SMALL).unwrap();
    let request = json!({
        "messages": [{ "role": "user", "content": "Count from one to twenty." }],
        "max_tokens": 80, "stream": true, "stream_options": { "include_usage": true },
    });
    let response = http::post(&server.socket(), "/v1/chat/completions", &request).unwrap();
    let (events, done) = http::events(&response.body);
    assert!(done && response.complete);
    let text: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(events.last().unwrap()["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    let shown = server.show(response.record().unwrap()).unwrap();
    let related = shown["related"].as_array().unwrap();
    let blocks: Vec<_> = related.iter().filter(|leaf| leaf["leaf"]["event"]["kind"] == "block").collect();
    assert!(blocks.len() >= 2, "{}", blocks.len());
    let of_blocks: String = blocks.iter().filter_map(|block| block["body"]["block_text"].as_str()).collect();
    assert_eq!(of_blocks, text);
    assert_eq!(load::result_text(&shown).unwrap(), text);
}

/// What was shown of an answer that the server's end cut off is in its record, and a person sees it there.
#[test]
fn an_unfinished_record_is_explained() {
    let mut server = Server::started(places::SMALL).unwrap();
    let request = json!({
        "messages": [{ "role": "user", "content": "Count from one to a thousand, in words." }],
        "max_tokens": 1500, "stream": true,
    });
    let mut sent =
        http::send(&server.socket(), "POST", "/v1/chat/completions", &request.to_string()).unwrap();
    for _ in 0..4 {
        sent.wait_for(b"\ndata: ").unwrap();
    }
    server.kill().unwrap();
    server.start().unwrap();
    let list = server.cloisterd(&["ledger", "list", "--count", "200", "--json"]).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let of_kind = |kind| list.as_array().unwrap().iter().find(|row| row["leaf"]["event"]["kind"] == kind);
    assert!(of_kind("result").is_none() && of_kind("block").is_some(), "{list}");
    let record = of_kind("intent").unwrap()["index"].to_string();
    let explained = server.cloister(&["explain", &record]).unwrap();
    let (_, answer) = explained.split_once("answer: no result").unwrap();
    assert!(answer.contains("\n  | "), "{explained}");
}

/// A client that hangs up stops its generation, and the ledger says so.
#[test]
fn a_client_that_hangs_up() {
    let server = Server::started(places::SMALL).unwrap();
    let request = json!({
        "messages": [{ "role": "user", "content": "Write a very long story about a lighthouse." }],
        "max_tokens": 1500, "stream": true,
    });
    let sent = http::send(&server.socket(), "POST", "/v1/chat/completions", &request.to_string()).unwrap();
    sent.hang_up_after(600).unwrap();
    let whole = json!({ "messages": request["messages"], "max_tokens": 1500 });
    let sent = http::send(&server.socket(), "POST", "/v1/chat/completions", &whole.to_string()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(sent);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let list = server.cloisterd(&["ledger", "list", "--count", "200", "--json"]).unwrap();
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let results: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["leaf"]["event"])
            .filter(|e| e["kind"] == "result")
            .collect();
        if results.len() == 2 {
            for result in results {
                assert_eq!(result["outcome"], "cancelled", "{result}");
                assert!(result["answer_tokens"].as_u64().unwrap() < 400, "{result}");
            }
            return;
        }
        assert!(std::time::Instant::now() < deadline, "no result leaves: {list}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The worker dies: what ran fails with an error and a result leaf, and the next request is answered.
#[test]
fn a_worker_that_dies() {
    let mut server = Server::started(places::SMALL).unwrap();
    let request =
        json!({ "messages": [{ "role": "user", "content": "Write a long story." }], "max_tokens": 900 });
    let sent = http::send(&server.socket(), "POST", "/v1/chat/completions", &request.to_string()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    testkit::server::signal("KILL", server.child_pid("cloister-engine").unwrap()).unwrap();
    let response = sent.receive().unwrap();
    assert_eq!(response.status, 500, "{}", response.text());
    assert!(response.text().contains("being restarted"), "{}", response.text());
    let shown = server.show(response.record().unwrap()).unwrap();
    let result = &shown["related"][0]["leaf"]["event"];
    assert_eq!((&result["kind"], &result["outcome"]), (&json!("result"), &json!("failed")));
    server.wait_until_up().unwrap();
    let short = json!({ "messages": request["messages"], "max_tokens": 4 });
    assert_eq!(http::post(&server.socket(), "/v1/chat/completions", &short).unwrap().status, 200);
}

#[test]
fn a_model_without_holes_says_so() {
    let server = Server::started(places::SMALL).unwrap();
    let response =
        http::post(&server.socket(), "/v1/completions", &json!({ "prompt": "a", "suffix": "b" })).unwrap();
    assert_eq!(response.status, 400);
    assert!(response.text().contains("no fill-in-the-middle tokens"), "{}", response.text());
}
