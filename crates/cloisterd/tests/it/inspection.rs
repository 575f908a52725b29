//! `cloisterd model inspect`: anywhere, of any file, fit for terminals and scripts.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::places;

fn inspect(arguments: &[&str]) -> Output {
    let mut command = Command::new(places::program("cloisterd").unwrap());
    // There is no data directory, and none is made.
    command.env("CLOISTER_DATA", "/nowhere/at/all").args(["model", "inspect"]).args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_real_model() {
    let (coder, small) = (places::model(places::CODER).unwrap(), places::model(places::SMALL).unwrap());
    let (coder, small) = (coder.to_str().unwrap(), small.to_str().unwrap());
    let output = inspect(&[coder, "--fail-on", "warning"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    for words in
        ["Qwen2.5 Coder 0.5B", "Q5_0", "<|fim_prefix|>", "undisclosed", "tojson ×2", "qwen2.rope.freq_base"]
    {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert!(!inspect(&[coder, "--fail-on", "note"]).status.success());
    let output = inspect(&[small, "--against", coder, "--json"]);
    assert!(output.stdout.is_ascii());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["sizes"]["layers"], 30);
    assert_eq!(document["template_difference"][0]["change"], "removed");
}

#[test]
fn hostile_files() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/gguf");
    let seed = seeds.join("template.gguf");
    let seed = seed.to_str().unwrap();
    let output = inspect(&[seed]);
    assert!(output.status.success());
    let page = text(&output.stdout);
    assert!(page.contains("template-content-condition"), "{page}");
    assert!(!page.chars().any(|c| c != '\n' && gguf::inspect::is_invisible(c)), "{page:?}");
    assert!(!inspect(&[seed, "--fail-on", "warning"]).status.success());
    // What is no model file is refused, with the reason, for scripts as well.
    let output = inspect(&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--json"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("does not begin with GGUF"), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["anomalies"][0]["code"], "refused");
    assert!(text(&inspect(&["/dev/null"]).stderr).contains("not a regular file"));
}
