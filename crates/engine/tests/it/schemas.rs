//! Answers that are held to a schema, by a model that would rather talk.

use std::time::{Duration, Instant};

use engine::{Order, Worker, WorkerError};
use protocol::worker::{Failure, Sampling, Speculation, Stop, WorkerSettings};
use serde_json::{Value, json};
use testkit::places;

use super::{Generated, generate, launched, order, settings, tokens};

const QUESTION: &str = "Tell me about the package Ada.Text_IO.\n";

fn finding() -> Value {
    json!({
        "type": "object",
        "properties": {
            "severity": {"enum": ["info", "warning", "error"]},
            "line": {"$ref": "#/$defs/line"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 3},
            "message": {"type": "string", "maxLength": 40},
        },
        "required": ["severity", "line", "tags", "message"],
        "additionalProperties": false,
        "$defs": {"line": {"type": "integer", "minimum": 1, "maximum": 999}},
    })
}

async fn worker(settings: WorkerSettings) -> (Worker, jail::spawn::Child) {
    let launched = launched(places::CODER, &settings);
    (Worker::connect(launched.socket).await.unwrap().0, launched.child)
}

async fn held(
    worker: &Worker,
    schema: &str,
    sampling: Sampling,
    tokens_max: u32,
) -> Result<Generated, WorkerError> {
    let prompt = tokens(worker, QUESTION).await;
    let schema = Some(schema.to_owned());
    generate(worker, Order { sampling, tokens_max, json_schema: schema, digest_rows: true, ..order(prompt) })
        .await
}

fn drawn(seed: u64) -> Sampling {
    Sampling { temperature: 1.2, seed, ..Sampling::GREEDY }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_schema_admits() {
    let (worker, _child) = worker(settings()).await;
    let schema = finding().to_string();
    for sampling in [Sampling::GREEDY, drawn(1), drawn(2), drawn(3)] {
        let answer = held(&worker, &schema, sampling, 400).await.unwrap();
        assert_eq!(answer.stop, Stop::EndOfText, "{answer:?}");
        let value: Value = serde_json::from_str(&answer.text).unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 4, "{value}");
        assert!(["info", "warning", "error"].contains(&value["severity"].as_str().unwrap()), "{value}");
        assert!((1..=999).contains(&value["line"].as_i64().unwrap()), "{value}");
        assert!(
            value["tags"].as_array().unwrap().iter().all(|tag| tag.as_str().unwrap().chars().count() <= 12)
        );
        assert!(value["message"].as_str().unwrap().chars().count() <= 40, "{value}");
    }
    // Any object, and the properties in the order in which the schema has them.
    let any = held(&worker, r#"{"type":"object"}"#, Sampling::GREEDY, 64).await.unwrap();
    assert!(any.text.trim_start().starts_with('{'), "{any:?}");
    let ordered = r#"{"type":"object","properties":{"z":{"const":1},"a":{"const":2}},"required":["z","a"],"additionalProperties":false}"#;
    let ordered = held(&worker, ordered, Sampling::GREEDY, 64).await.unwrap();
    assert!(ordered.text.find("\"z\"") < ordered.text.find("\"a\""), "{ordered:?}");
    // Without a schema the model talks.
    let free = generate(&worker, order(tokens(&worker, QUESTION).await)).await.unwrap();
    assert!(serde_json::from_str::<Value>(&free.text).is_err(), "{free:?}");
    // An answer that was cut off is the beginning of one.
    let cut = held(&worker, &schema, Sampling::GREEDY, 3).await.unwrap();
    let whole = held(&worker, &schema, Sampling::GREEDY, 400).await.unwrap();
    assert_eq!((cut.stop, whole.text.starts_with(&cut.text)), (Stop::TokensMax, true), "{cut:?}");
}

/// Guessing, company and the cache change nothing of what is chosen.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_leaves_answers_reproducible() {
    let (always, _always) = worker(WorkerSettings { speculation: Speculation::Always, ..settings() }).await;
    let (off, _off) = worker(WorkerSettings { speculation: Speculation::Off, slots: 1, ..settings() }).await;
    let schema = finding().to_string();
    for sampling in [Sampling::GREEDY, drawn(4)] {
        let alone = held(&off, &schema, sampling, 200).await.unwrap();
        let plain = order(tokens(&always, "with Ada.Text_IO; use Ada.Text_IO;\nprocedure ").await);
        let (in_company, other, another) = tokio::join!(
            held(&always, &schema, sampling, 200),
            generate(&always, Order { tokens_max: 60, ..plain }),
            held(&always, &schema, drawn(9), 100),
        );
        let in_company = in_company.unwrap();
        assert_eq!((in_company.tokens, in_company.rows), (alone.tokens, alone.rows));
        assert!(other.is_ok() && another.is_ok());
    }
}

/// Nobody else suffers from a schema that cannot be held to, or costs much.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_schemas_are_refused_or_bounded() {
    let (worker, _child) = worker(settings()).await;
    let nested = "{\"type\":\"array\",\"items\":".repeat(120) + "{}" + &"}".repeat(120);
    let many: serde_json::Map<String, Value> = (0..3000)
        .map(|number| (format!("p{number}"), json!({"anyOf": [{"type": "string"}, {"type": "null"}]})))
        .collect();
    let patterns: Vec<Value> =
        (3..23).map(|end| json!({"type": "string", "pattern": format!("^[ab]*a[ab]{{{end}}}$")})).collect();
    for (schema, refused) in [
        ("{".to_owned(), true),
        (r#"{"type":"thing"}"#.to_owned(), true),
        (r#"{"not":{"type":"string"}}"#.to_owned(), true),
        (r#"{"if":{"type":"string"},"then":{"maxLength":2}}"#.to_owned(), true),
        (r#"{"oneOf":[{"type":"integer"},{"type":"number"}]}"#.to_owned(), true),
        (r##"{"$ref":"https://example.org/schema"}"##.to_owned(), true),
        (r##"{"$ref":"#/$defs/none"}"##.to_owned(), true),
        (r#"{"type":"string","pattern":"("}"#.to_owned(), true),
        (r#"{"type":"string","pattern":"(((a{1,1000}){1,1000}){1,1000}){1,1000}"}"#.to_owned(), false),
        (r#"{"type":"string","pattern":"^(([a-z])+.)+[A-Z]([a-z])+$"}"#.to_owned(), false),
        (json!({"allOf": patterns}).to_string(), true),
        (r##"{"$ref":"#"}"##.to_owned(), true),
        (r##"{"anyOf":[{"$ref":"#"},{"type":"null"}]}"##.to_owned(), false),
        (nested, false),
        (json!({"type": "object", "properties": many}).to_string(), false),
    ] {
        let begun = Instant::now();
        let answer = held(&worker, &schema, Sampling::GREEDY, 8).await;
        let shown: String = schema.chars().take(80).collect();
        println!(
            "{:6.1} ms: {shown}: {:?}",
            begun.elapsed().as_secs_f64() * 1e3,
            answer.as_ref().map(|a| &a.text)
        );
        assert!(begun.elapsed() < Duration::from_secs(30), "{shown}");
        match answer {
            Ok(_) => assert!(!refused, "{shown}"),
            Err(WorkerError::Failed(Failure::Invalid(_))) => {}
            Err(error) => panic!("{shown}: {error}"),
        }
        // It serves on.
        let next = generate(&worker, Order { tokens_max: 2, ..order(tokens(&worker, "a b c").await) }).await;
        assert_eq!(next.unwrap().stop, Stop::TokensMax, "{shown}");
    }
    let heal = Order { heal: true, json_schema: Some("{}".to_owned()), ..order(tokens(&worker, "a").await) };
    assert!(matches!(generate(&worker, heal).await, Err(WorkerError::Failed(Failure::Invalid(_)))));
}
