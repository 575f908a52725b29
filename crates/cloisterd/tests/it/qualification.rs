//! A model is measured before it is admitted, where the site wants it so.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use testkit::persons::Approvers;
use testkit::places;
use testkit::server::Server;

fn write(path: &Path, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// What is not measured is not promoted; a report of other weights, or one that is not whole, measures nothing.
#[test]
fn only_what_was_measured_is_promoted() {
    let server = Server::empty().unwrap();
    let approvers = Approvers::enrolled(&server).unwrap();
    server.configure("[models]\nqualified_only = true\n").unwrap();
    let weights = places::model(places::CODER).unwrap();
    let import = ["model", "import", weights.to_str().unwrap(), "--unsigned", "--name", "coder"];
    server.cloisterd(&import).unwrap();
    let refused = |arguments: &[&str]| {
        let output = server.cloisterd_output(arguments).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let request = ["model", "request", "promotion", "coder@1", "--out", "/dev/null"];
    let words = refused(&request);
    assert!(words.contains("coder@1 is not qualified") && words.contains("cloisterd qualify"), "{words}");

    let path = |name: &str| server.root().join(name).to_str().unwrap().to_owned();
    let task = |id: &str, value: &str| {
        json!({
            "id": id, "language": "c", "file_name": "twice.c",
            "prefix": format!("int twice(int x) {{ return {value}; }}\n/* "), "suffix": " */\n",
        })
    };
    let tasks = format!("{}\n{}\n", task("legal", "2 * x"), task("illegal", "2 * y"));
    write(Path::new(&path("bodies.jsonl")), &tasks);
    let out = path("reports");
    let suite = path("bodies.jsonl");
    let measure = [
        "qualify",
        "--object",
        "coder@1",
        "--suite",
        &suite,
        "--ways",
        "plain",
        "--max-tokens",
        "4",
        "--out",
        &out,
    ];
    server.cloisterd(&measure).unwrap();
    let report = fs::read_to_string(Path::new(&out).join("bodies.json")).unwrap();
    let read: Value = serde_json::from_str(&report).unwrap();
    let way = &read["ways"][0];
    assert_eq!(
        (&way["judged"], &way["complete"], &way["pass_at_1"]["value"]),
        (&json!(2), &json!(true), &json!(0.5)),
        "{report}"
    );

    // The built-in probes are asked of a model that is not admitted, too.
    let probe =
        ["qualify", "--object", "coder@1", "--probes", "--tasks", "2", "--max-tokens", "4", "--out", &out];
    server.cloisterd(&probe).unwrap();
    let probes = fs::read_to_string(Path::new(&out).join("probes.json")).unwrap();
    let probes: Value = serde_json::from_str(&probes).unwrap();
    assert_eq!((&probes["kind"], &probes["ways"][0]["judged"]), (&json!("probe"), &json!(2)), "{probes}");

    let digest = read["model_digest"].as_str().unwrap();
    let other = report.replace(digest, &format!("sha256:{}", "0".repeat(64)));
    for (text, says) in [
        (other.as_str(), "about other weights"),
        (&report.replace("\"complete\": true", "\"complete\": false"), "2 of 2 tasks are judged"),
        (&tasks, "not a report"),
    ] {
        write(Path::new(&path("wrong.json")), text);
        let words = refused(&["model", "qualify", "coder@1", &path("wrong.json")]);
        assert!(words.contains(says), "{words}");
        assert!(refused(&request).contains("is not qualified"));
    }
    write(Path::new(&path("right.json")), &report);
    server.cloisterd(&["model", "qualify", "coder@1", &path("right.json")]).unwrap();
    server.promote(&approvers, "coder@1").unwrap();
    server.cloisterd(&["model", "deploy", "coder", "coder@1", "--context-tokens", "512"]).unwrap();
    let report = server.verify().unwrap();
    assert_eq!(report["verdict"], "passed", "{report}");
}
