//! What the command writes for other people's tools, read by other people's tools.

use std::process::{Command, Stdio};

use ledger::Choice;
use serde_json::{Value, json};

use crate::bundle::write_keys;
use crate::lineage::{Case, PATH, POLICY, TEXT};
use crate::site::Answer;
use crate::workplace::finish;

/// Asks `formats.py`: its answer, or what is wrong.
pub(crate) fn ask(request: &Value) -> Result<Value, String> {
    let python = std::env::var("CLOISTER_TEST_FORMATS").expect(
        "CLOISTER_TEST_FORMATS names a Python that has other people's readers: run `cargo xtask test`",
    );
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/formats.py")).stdin(Stdio::piped());
    let run = finish(command, &format!("{request}\n")).check(0);
    let answer: Value = serde_json::from_str(&run.out).unwrap();
    if answer["fine"] == true { Ok(answer) } else { Err(answer["words"].as_str().unwrap().to_owned()) }
}

impl Case {
    /// A commit with the answer in it.
    fn accepted() -> Case {
        let case = Case::new();
        write_keys(&case.place, 7);
        case.site.answer(&Answer::accepted(TEXT, PATH));
        case.pasted(TEXT);
        case.slice();
        case
    }

    fn envelope(&self, name: &str, key: &str) -> Result<Value, String> {
        ask(&json!({ "of": "envelope", "file": self.place.path(name), "key": self.place.path(key) }))
    }

    fn check(&self, of: &str, text: &str, more: Value) -> Result<Value, String> {
        let mut request = json!({ "of": of, "file": self.place.write("document", text) });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&request)
    }
}

#[test]
fn statements_verify_with_another_implementation() {
    let case = Case::accepted();
    case.place.write("gate.cedar", POLICY);
    let out = ["--attestation", "../statement", "--vsa", "../vsa", "--key", "../key.pem"];
    case.gate(&out).check(1);
    case.git(&["tag", "v1"], "repository");
    let out = ["v1", "--policy", "../gate.cedar", "--key", "../key.pem", "--out", "../evidence"];
    case.run("evidence", &out).check(0);
    for (name, kind) in [
        ("statement", "urn:cloister:ai-code-provenance/v1"),
        ("vsa", "https://slsa.dev/verification_summary/v1"),
        ("evidence/attestation.dsse", "urn:cloister:ai-code-provenance/v1"),
        ("evidence/vsa.dsse", "https://slsa.dev/verification_summary/v1"),
        ("evidence/manifest.dsse", "urn:cloister:release-evidence/v1"),
    ] {
        let read = case.envelope(name, "pub.pem").unwrap();
        assert_eq!(read["statement"]["predicateType"], kind);
        let mut envelope: Value = serde_json::from_str(&case.place.read(name)).unwrap();
        let payload = envelope["payload"].as_str().unwrap();
        let changed = payload.replacen('A', "B", 1);
        assert_ne!(changed, payload);
        envelope["payload"] = changed.into();
        case.place.write("changed", envelope.to_string());
        let wrong = case.envelope("changed", "pub.pem").unwrap_err();
        assert!(wrong.contains("VerificationError"), "{wrong}");
    }
    write_keys(&case.place, 8);
    assert!(case.envelope("statement", "pub.pem").is_err());
}

#[test]
fn sarif_is_valid() {
    let schema = std::env::var("CLOISTER_TEST_SARIF")
        .expect("CLOISTER_TEST_SARIF names the schema of SARIF: run `cargo xtask test`");
    let case = Case::accepted();
    // A file that cannot be graded, an approval that counts for nothing, a name that no address has.
    case.file("long.adb", &"-- a line of a long file\n".repeat(800_000));
    case.file(".cloister/approvals/x.json", "{}");
    case.file("src/\u{fc}ber 100 %.adb", &format!("package body A is\n{TEXT}end A;\n"));
    case.commit("more");
    let run = case.run("review", &["--sarif"]).check(1);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let notes = document["runs"][0]["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(document["runs"][0]["results"].as_array().unwrap().len(), 2);
    case.check("schema", &run.out, json!({ "schema": schema })).unwrap();
    let wrong = run.out.replace("\"startLine\":3", "\"startLine\":0");
    assert_ne!(wrong, run.out);
    assert!(case.check("schema", &wrong, json!({ "schema": schema })).is_err());
}

#[test]
fn notes_are_read_by_another_reader() {
    let case = Case::accepted();
    case.file("src/two words.adb", &format!("package body A is\n{TEXT}end A;\n"));
    case.file(PATH, &format!("package body Control is\n\n{TEXT}\nend Control; -- of the rate\n"));
    case.git(&["add", "-A"], "repository");
    case.git(&["commit", "-q", "--amend", "-m", "limit the rate"], "repository");
    let note = case.run("review", &["--commit", "HEAD", "--note"]).check(0).out;
    case.place.write("note", &note);
    case.git(&["notes", "--ref=ai", "add", "-f", "-F", "../note", "HEAD"], "repository");
    let read = ask(&json!({ "of": "note", "repository": case.place.path("repository") })).unwrap();
    let lines = |path: &str| {
        let keys = read["files"][path].as_object().unwrap_or_else(|| panic!("{path}: {read}"));
        assert_eq!(keys.len(), 1);
        keys.values().next().unwrap().clone()
    };
    assert_eq!(lines(PATH), json!([3, 4, 5, 6, 7, 8, 9, 10]));
    assert_eq!(lines("src/two words.adb"), json!([2, 3, 4, 5, 6, 7, 8, 9]));
}

#[test]
fn a_trace_record() {
    let case = Case::accepted();
    let other = TEXT.replace("Limit_Rate", "Hold_Rate").replace("Rate_Max", "Rate_Held");
    let shown = Answer { choice: Some(Choice::Shown), ..Answer::accepted(&other, "src/other.adb") };
    case.site.answer(&shown);
    case.slice();
    case.file("src/other.adb", &format!("package body Other is\n{other}end Other;\n"));
    case.git(&["add", "-A"], "repository");
    case.git(&["commit", "-q", "--amend", "-m", "limit the rate"], "repository");
    let run = case.run("review", &["--commit", "HEAD", "--agent-trace"]).check(0);
    let record = case.check("agent_trace", &run.out, json!({})).unwrap()["record"].clone();
    assert_eq!(record["files"].as_array().unwrap().len(), 2, "{record}");
    let conversation = &record["files"][0]["conversations"][0];
    assert_eq!(record["files"][0]["path"], PATH);
    assert_eq!(conversation["contributor"], json!({ "type": "ai", "model_id": "cloister/coder" }));
    assert_eq!(conversation["ranges"][0]["start_line"], 3);
    let range = &record["files"][1]["conversations"][0]["ranges"][0];
    assert_eq!(range["contributor"], json!({ "type": "unknown" }), "nobody took it over");
    let again = case.run("review", &["--commit", "HEAD", "--agent-trace"]).check(0);
    assert_eq!(again.out, run.out, "it can be made again");
    let wrong = run.out.replace("\"ai\"", "\"robot\"");
    assert!(case.check("agent_trace", &wrong, json!({})).is_err());
    case.run("review", &["--agent-trace"]).check(2).says("--commit");
}

#[test]
fn trailers_that_git_reads() {
    let case = Case::accepted();
    let trailers = case.run("review", &["--commit", "HEAD", "--trailers"]).check(0).out;
    assert_eq!(trailers, "Assisted-by: cloister:coder@aaaaaaaaaaaa [gnat]\n");
    let named = case.run("review", &["--commit", "HEAD", "--trailers=Generated-with"]).check(0).out;
    assert!(named.starts_with("Generated-with: cloister:"), "{named}");
    case.git(&["commit", "-q", "--amend", "-m", "limit the rate", "-m", trailers.trim()], "repository");
    let mut command = Command::new("git");
    command.current_dir(case.place.path("repository"));
    command.args(["log", "-1", "--format=%(trailers:key=Assisted-by,valueonly)"]);
    let read = finish(command, "").check(0);
    assert_eq!(read.out.trim(), "cloister:coder@aaaaaaaaaaaa [gnat]");
    for name in ["Signed-off-by", "signed-OFF-by", "Reviewed-by"] {
        let given = format!("--trailers={name}");
        case.run("review", &["--commit", "HEAD", &given]).check(2).says("is for persons to say");
    }
    // Of a commit without lines of the assistant, nothing.
    case.file("README", "more of what people write by themselves\n");
    case.commit("more");
    assert_eq!(case.run("review", &["--commit", "HEAD", "--trailers"]).check(0).out, "");
}

#[test]
fn a_bill_of_materials_is_annotated() {
    let case = Case::accepted();
    case.git(&["tag", "v1"], "repository");
    let bill = |version: &str| {
        let bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": version,
            "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
            "version": 1,
            "metadata": { "component": {
                "type": "application", "bom-ref": "flight", "name": "flight", "version": "1.0",
            } },
            "components": [{ "type": "library", "bom-ref": "rtl", "name": "libgnat", "version": "12" }],
        });
        case.place.write("bill.json", bill.to_string());
    };
    case.place.write("statement.dsse", "{}");
    let arguments = ["--tag", "v1", "--cyclonedx", "../bill.json", "--attestation", "../statement.dsse"];
    for version in ["1.5", "1.6"] {
        bill(version);
        let run = case.run("review", &arguments).check(0);
        case.check("cyclonedx", &run.out, json!({})).unwrap();
        let annotated: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(annotated["version"], 2);
        assert_eq!(annotated["components"][0]["name"], "libgnat");
        assert_eq!(annotated["annotations"][0]["subjects"], json!(["flight"]));
        let component = &annotated["metadata"]["component"];
        let properties = component["properties"].as_array().unwrap();
        let range = properties.iter().find(|property| property["name"] == "cloister:range").unwrap();
        let value = range["value"].as_str().unwrap();
        assert!(value.starts_with(&format!("{PATH}:3-10 ai-verbatim record ")), "{value}");
        assert_eq!(component["externalReferences"][0]["url"], "statement.dsse");
        let wrong = run.out.replace("\"attestation\"", "\"hearsay\"");
        assert!(case.check("cyclonedx", &wrong, json!({})).is_err());
    }
    bill("1.4");
    case.run("review", &arguments).check(2).says("CycloneDX 1.5 or later");
    case.place.write("bill.json", "{}");
    case.run("review", &arguments).check(2).says("CycloneDX 1.5 or later");
}
