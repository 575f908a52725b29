use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Session, wait};
use crate::failure::Failure;
use crate::{checks, provenance};

/// Shows a record: who asked what, when, of which model, and what was answered
///
/// A record's number is in the closing line of every answer, in the header x-cloister-record, and in
/// the ledger. One's own records are shown; those of others need an administrator.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// The record's number
    record: u64,
    /// Print the server's document as JSON: leaf, body and all leaves that name the record
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let settings = session.settings()?;
        let path = format!("/v1/cloister/records/{}", self.record);
        let document = wait(async { Ok(settings.client.get::<Value>(&path).await?.value) })?;
        if self.json {
            session.output.json(&document)?;
        } else {
            session.output.text(&page(self.record, &document))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What an intent leaf says, in the order and the words a person reads. What a later server adds is
/// shown behind, under its own name.
const INTENT_FACTS: [(&str, &str); 21] = [
    ("identity", "who"),
    ("credential", "credential"),
    ("labels", "labels"),
    ("action", "action"),
    ("dialect", "came as"),
    ("deployment", "deployment"),
    ("profile", "profile"),
    ("reproducible", "reproducible"),
    ("sampling", "sampling"),
    ("tokens_max", "tokens at most"),
    ("stop_strings", "stop strings"),
    ("predict_ms_max", "deadline in ms"),
    ("prompt_tokens", "prompt tokens"),
    ("cpu_level", "built for"),
    ("cpu_features", "CPU features"),
    ("llama_version", "llama.cpp"),
    ("model", "model"),
    ("upstream", "upstream"),
    ("template", "template"),
    ("engine_build", "engine build"),
    ("policy", "policy"),
];

/// What a result leaf says.
const RESULT_FACTS: [(&str, &str); 7] = [
    ("outcome", "outcome"),
    ("detail", "detail"),
    ("stop", "ended by"),
    ("answer_tokens", "answer tokens"),
    ("prompt_tokens_cached", "of the prompt cached"),
    ("times", "times"),
    ("output", "commitment"),
];

/// What a decision says.
const DECISION_FACTS: [(&str, &str); 8] = [
    ("choice", "the person"),
    ("identity", "who"),
    ("credential", "credential"),
    ("client", "with"),
    ("path", "file"),
    ("accepted_bytes", "bytes taken over"),
    ("digest_before", "file before"),
    ("digest_after", "file after"),
];

/// What a check says.
const CHECK_FACTS: [(&str, &str); 8] = [
    ("checker", "checker"),
    ("version", "version"),
    ("command", "command"),
    ("outcome", "outcome"),
    ("errors", "errors"),
    ("warnings", "warnings"),
    ("notes", "notes"),
    ("diagnostics", "commitment"),
];

/// The record as a page. Reads what the document has and passes over what it has not: it comes from
/// another machine, maybe of another version.
fn page(record: u64, document: &Value) -> String {
    let mut page = Page::default();
    let event = event(document);
    let kind = event.get("kind").and_then(Value::as_str).unwrap_or("unknown");
    page.heading(&format!("record {record}: {kind}"));
    page.fact("when", &when(document));
    page.facts(event, if kind == "intent" { &INTENT_FACTS } else { &[] });
    if kind != "intent" {
        return page.text;
    }
    match document.get("body") {
        Some(Value::Object(body)) => prompt(&mut page, body),
        _ => {
            page.heading("prompt");
            page.block("(its body was erased, or the server cannot open it)");
        }
    }
    let related: Vec<&Value> =
        document.get("related").and_then(Value::as_array).into_iter().flatten().collect();
    answer(&mut page, &related);
    others(&mut page, &related);
    page.text
}

fn prompt(page: &mut Page, body: &Map<String, Value>) {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
    let parsed = |name: &str| serde_json::from_str::<Value>(text(name)).unwrap_or(Value::Null);
    let inner = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();

    for file in parsed("context_text").as_array().into_iter().flatten() {
        if file["source"].is_string() {
            page.heading(&format!("context: {}", super::search::heading(file)));
            page.fact("why", &super::search::why(file));
            page.fact("score", &format!("{:.3}", file["score"].as_f64().unwrap_or(0.0)));
            if let Some(what) = file["suspicious"].as_str() {
                page.fact("beware", &format!("this text {what}"));
            }
        } else {
            page.heading(&format!("context: {} (sent by the client)", inner(file, "file_name")));
        }
        page.block(&inner(file, "text"));
    }
    let retrieval = body.get("retrieval").unwrap_or(&Value::Null);
    for version in retrieval["versions"].as_array().into_iter().flatten() {
        let revision = Some(inner(version, "revision")).filter(|text| !text.is_empty());
        let revision = revision.map(|text| format!(" at {text}")).unwrap_or_default();
        page.fact(
            "asked",
            &format!("{}{revision}, index {}", inner(version, "source"), inner(version, "version")),
        );
    }
    for left_out in retrieval["no_room_for"].as_array().into_iter().flatten() {
        let why = super::search::why(left_out);
        page.fact("no room for", &format!("{} ({why})", super::search::heading(left_out)));
    }
    let asked = parsed("prompt_text");
    if let Some(chat) = asked.get("chat") {
        for message in chat.get("messages").and_then(Value::as_array).into_iter().flatten() {
            page.heading(&format!("prompt: {}", inner(message, "role")));
            page.block(&inner(message, "content"));
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                page.fact("calls", &format!("{} {}", inner(call, "name"), inner(call, "arguments")));
            }
        }
        let offered = chat.get("tools").and_then(Value::as_array).into_iter().flatten();
        let offered: Vec<String> = offered.map(|tool| inner(tool, "name")).collect();
        if !offered.is_empty() {
            page.fact("tools offered", &offered.join(", "));
        }
    } else if let Some(fill) = asked.get("fill") {
        page.heading("prompt: before the cursor");
        page.block(&inner(fill, "prefix"));
        page.heading("prompt: behind the cursor");
        page.block(&inner(fill, "suffix"));
    } else if let Some(complete) = asked.get("complete") {
        page.heading("prompt");
        page.block(&inner(complete, "prompt"));
    } else {
        page.heading("prompt");
        page.block(text("prompt_text"));
    }
}

fn answer(page: &mut Page, related: &[&Value]) {
    let text = |leaf: &Value, of: &str| leaf.pointer(of).and_then(Value::as_str).map(str::to_owned);
    let of_kind = |kind: &'static str| related.iter().filter(move |leaf| is_kind(leaf, kind));
    if let Some(result) = of_kind("result").next() {
        page.heading("answer");
        let absent = match result.pointer("/body/withheld") {
            Some(_) => "(withheld by the site's policy: an administrator sees it)",
            None => "(its body was erased)",
        };
        page.block(&text(result, "/body/output_text").unwrap_or_else(|| absent.to_owned()));
        page.heading(&format!("result: leaf {}", index(result)));
        page.fact("when", &when(result));
        let blocks = of_kind("block").count();
        if blocks > 0 {
            page.fact("blocks streamed", &blocks.to_string());
        }
        page.facts(event(result), &RESULT_FACTS);
        if let Some(found) = result.pointer("/body/provenance").filter(|found| found.is_object()) {
            page.heading("known code");
            page.block(&matched(found));
        }
    } else {
        page.heading("answer: no result; it runs, or the server ended while it ran");
        // A block has its own text; only a result has the whole.
        page.block(&of_kind("block").filter_map(|leaf| text(leaf, "/body/block_text")).collect::<String>());
    }
}

/// Decisions, checks, replays and whatever else names the record.
fn others(page: &mut Page, related: &[&Value]) {
    for leaf in related.iter().filter(|leaf| !is_kind(leaf, "block") && !is_kind(leaf, "result")) {
        let kind = event(leaf).get("kind").and_then(Value::as_str).unwrap_or("unknown");
        page.heading(&format!("{kind}: leaf {}", index(leaf)));
        page.fact("when", &when(leaf));
        let named: &[(&str, &str)] = match kind {
            "decision" => &DECISION_FACTS,
            "check" => &CHECK_FACTS,
            _ => &[],
        };
        page.facts(event(leaf), named);
        if let Some(diagnostics) = leaf.pointer("/body/diagnostics_text").and_then(Value::as_str) {
            page.block(&said(diagnostics));
        }
    }
}

/// A check's diagnostics in words; as they are where they are not as this version writes them.
fn said(diagnostics: &str) -> String {
    let check: Result<client::Check, _> = serde_json::from_str(diagnostics);
    check.map_or_else(|_| diagnostics.to_owned(), |check| checks::lines(&[check]).join("\n"))
}

/// What an answer matches, in words; as it is where it is not as this version writes it.
fn matched(found: &Value) -> String {
    let provenance: Result<client::Provenance, _> = serde_json::from_value(found.clone());
    let lines = provenance.map(|provenance| provenance::lines(&provenance));
    match lines {
        Ok(lines) if lines.is_empty() => "(there was no corpus to compare with)".to_owned(),
        Ok(lines) => lines.join("\n"),
        Err(_) => found.to_string(),
    }
}

fn event(leaf: &Value) -> &Value {
    leaf.pointer("/leaf/event").unwrap_or(&Value::Null)
}

fn is_kind(leaf: &Value, kind: &str) -> bool {
    event(leaf).get("kind").and_then(Value::as_str) == Some(kind)
}

fn index(leaf: &Value) -> String {
    leaf.get("index").map_or_else(|| "?".to_owned(), Value::to_string)
}

fn when(leaf: &Value) -> String {
    let time_unix_ms = leaf.pointer("/leaf/time_unix_ms").and_then(Value::as_i64);
    let time = time_unix_ms.and_then(|time| Timestamp::from_millisecond(time).ok());
    time.map_or_else(|| "unknown".to_owned(), |time| time.to_string())
}

/// Headings, facts and blocks of text.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(heading);
        self.text.push('\n');
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("  {name:<21} {value}\n"));
    }

    /// The named facts in order, then all others.
    fn facts(&mut self, event: &Value, named: &[(&str, &str)]) {
        for (name, words) in named {
            if let Some(text) = event.get(name).and_then(|value| fact_text(name, value)) {
                self.fact(words, &text);
            }
        }
        for (name, value) in event.as_object().into_iter().flatten() {
            // The page is about one record, and its headings name the kinds.
            let seen = name == "kind" || name == "record" || named.iter().any(|(seen, _)| seen == name);
            if let Some(text) = fact_text(name, value).filter(|_| !seen) {
                self.fact(&name.replace('_', " "), &text);
            }
        }
    }

    /// Text behind a bar, so that it cannot pass for a heading or a fact.
    fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str("  | ");
            self.text.push_str(line);
            self.text.push('\n');
        }
    }
}

/// A fact's value in words; `None` for one that says nothing.
fn fact_text(name: &str, value: &Value) -> Option<String> {
    let number = |field: &str| value.get(field).cloned().unwrap_or_default();
    Some(match (name, value) {
        (_, Value::Null) => return None,
        (_, Value::String(text)) if text.is_empty() => return None,
        ("choice", Value::String(text)) => text.replace(['_', '\n'], " "),
        (_, Value::String(text)) => text.replace('\n', " "),
        (_, Value::Bool(truth)) => if *truth { "yes" } else { "no" }.to_owned(),
        ("labels", Value::Array(labels)) if labels.is_empty() => "none".to_owned(),
        (_, Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        ("sampling", _) if number("temperature").as_f64() == Some(0.0) => "greedy".to_owned(),
        ("sampling", _) => ["temperature", "top_k", "top_p", "min_p", "seed"]
            .map(|field| format!("{} {}", field.replace('_', "-"), number(field)))
            .join(", "),
        ("upstream", Value::Object(_)) => {
            let stated =
                |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("?").replace('\n', " ");
            format!("states {}, by {}, at {}", stated("model"), stated("server"), stated("socket"))
        }
        ("times", _) => [("queued_us", "waited"), ("prompt_us", "prompt"), ("predict_us", "answer")]
            .map(|(field, words)| format!("{words} {} ms", number(field).as_u64().unwrap_or(0) / 1000))
            .join(", "),
        _ => value.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf(index: u64, event: Value, body: Value) -> Value {
        json!({"index": index, "leaf": {"schema": 1, "time_unix_ms": 1_700_000_000_000_u64, "event": event}, "body": body})
    }

    fn request(related: &[Value]) -> Value {
        let event = json!({
            "kind": "intent", "identity": "alice", "credential": "uid:1000", "labels": [],
            "dialect": "openai.chat", "deployment": "code", "model": "sha256:ab", "reproducible": true,
            "sampling": {"temperature": 0.0, "seed": 0}, "predict_ms_max": null, "added_later": 7,
        });
        let asked = json!({"chat": {"messages": [{"role": "user", "content": "Why?\nresult: leaf 9"}]}});
        let body = json!({"salts": {}, "prompt_text": asked.to_string(), "context_text": ""});
        let mut document = leaf(5, event, body);
        document["related"] = json!(related);
        document
    }

    #[test]
    fn a_whole_record() {
        let times = json!({"queued_us": 0, "prompt_us": 12_345, "predict_us": 99_000});
        let result = json!({"kind": "result", "record": 5, "outcome": "answered", "detail": "",
            "stop": "end_of_text", "answer_tokens": 3, "times": times});
        let related = [
            leaf(6, json!({"kind": "block", "record": 5}), json!({"salts": {}, "block_text": "Bec"})),
            leaf(7, result, json!({"output_text": "Because."})),
            leaf(9, json!({"kind": "replay", "record": 5, "outcome": "same"}), Value::Null),
            leaf(
                10,
                json!({"kind": "decision", "record": 5, "identity": "alice", "choice": "partly_accepted",
                    "accepted_bytes": 4, "path": "a.adb"}),
                Value::Null,
            ),
        ];
        insta::assert_snapshot!(page(5, &request(&related)), @r"
        record 5: intent
          when                  2023-11-14T22:13:20Z
          who                   alice
          credential            uid:1000
          labels                none
          came as               openai.chat
          deployment            code
          reproducible          yes
          sampling              greedy
          model                 sha256:ab
          added later           7

        prompt: user
          | Why?
          | result: leaf 9

        answer
          | Because.

        result: leaf 7
          when                  2023-11-14T22:13:20Z
          blocks streamed       1
          outcome               answered
          ended by              end_of_text
          answer tokens         3
          times                 waited 0 ms, prompt 12 ms, answer 99 ms

        replay: leaf 9
          when                  2023-11-14T22:13:20Z
          outcome               same

        decision: leaf 10
          when                  2023-11-14T22:13:20Z
          the person            partly accepted
          who                   alice
          file                  a.adb
          bytes taken over      4
        ");
    }

    #[test]
    fn an_unfinished_record_shows_its_blocks() {
        let block = |index, text: &str| {
            leaf(index, json!({"kind": "block"}), json!({"salts": {}, "block_text": text}))
        };
        let text = page(5, &request(&[block(6, "one "), block(7, "two")]));
        assert!(
            text.ends_with("answer: no result; it runs, or the server ended while it ran\n  | one two\n"),
            "{text}"
        );
    }

    #[test]
    fn a_document_of_another_shape_is_no_panic() {
        for document in
            [json!(null), json!([]), json!({"leaf": 1, "related": {}}), json!({"related": [1, null]})]
        {
            assert!(page(1, &document).starts_with("record 1: unknown\n"));
        }
    }
}
