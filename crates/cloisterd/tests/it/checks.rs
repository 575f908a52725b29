//! Compilers look at answers: the real daemon, the real model, the real compiler in its real jail.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::places;
use testkit::server::{Server, signal};

const SPEC: &str = "\
package Stacks is
   Capacity : constant := 16;
   type Stack is private;
   procedure Push (Onto : in out Stack; Item : Integer);
private
   type Items is array (1 .. Capacity) of Integer;
   type Stack is record
      Top  : Natural := 0;
      Data : Items := (others => 0);
   end record;
end Stacks;
";
const BEFORE: &str = "\
package body Stacks is

   procedure Push (Onto : in out Stack; Item : Integer) is
   begin
      Onto.Top := Onto.Top + 1;
      Onto.";
const BEHIND: &str = "
   end Push;

end Stacks;
";

/// Something that can be called, and something that can not.
const DOUBLES: &str = "\
package Doubles is
   function Twice (X : Integer) return Integer
     with Pre => X in 0 .. 1000, Post => Twice'Result = 2 * X;
end Doubles;
";
const KINDS: &str = "\
generic
   type Kind is private;
package Kinds is
   function Same (X : Kind) return Kind;
end Kinds;
";

/// A server that waits for compilers as long as they take, and a source.
struct House {
    server: Server,
    folder: PathBuf,
}

impl House {
    fn new(limits: &str) -> House {
        House::with(limits, &[])
    }

    fn with(limits: &str, more: &[&str]) -> House {
        let server = Server::new(places::CODER, &[]).unwrap();
        server.configure(&format!("[limits]\n{limits}\n")).unwrap();
        let folder = server.root().join("stacks");
        fs::create_dir_all(folder.join("src")).unwrap();
        let mut house = House { server, folder };
        house.write("src/stacks.ads", SPEC);
        house.write("src/stacks.adb", &format!("{BEFORE}{BEHIND}"));
        house.write("src/doubles.ads", DOUBLES);
        house.write("src/kinds.ads", KINDS);
        house.write("src/widths.vhd", "package widths is\n  constant width : positive := 4;\nend package;\n");
        fs::create_dir(house.folder.join("docs")).unwrap();
        house.write("docs/rules.md", "# Rules\n\nNames of types end in quarrel.\n");
        let folder = house.folder.to_str().unwrap();
        let mut arguments = vec!["repo", "add", folder, "--name", "stacks", "--readers", "everyone"];
        arguments.extend(more);
        house.server.cloisterd(&arguments).unwrap();
        house.server.start().unwrap();
        // It says what there is once it has asked each compiler.
        house.eventually_checked();
        house
    }

    fn write(&self, path: &str, text: &str) {
        fs::File::create(self.folder.join(path)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let output = Command::new("curl")
            .args(["-s", "--unix-socket"])
            .arg(self.server.socket())
            .args(["-d", &body.to_string(), &format!("http://localhost{path}")])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A completion as an editor asks for it: its text, its record and what was said of it.
    fn fill(&self) -> (String, u64, Value) {
        let answer = self.post(
            "/infill",
            &json!({
                "input_prefix": BEFORE, "input_suffix": BEHIND, "n_predict": 24, "until": "line",
                "cloister": { "repository": "stacks", "path": "src/stacks.adb" },
            }),
        );
        let text = answer["content"].as_str().unwrap().to_owned();
        (text, answer["cloister"]["record"].as_u64().unwrap(), answer["cloister"]["checks"].clone())
    }

    fn explain(&self, record: u64) -> Value {
        let document = self.server.cloister(&["explain", &record.to_string(), "--json"]).unwrap();
        serde_json::from_str(&document).unwrap()
    }

    /// Until a checker answers; those before say that it is being started.
    fn eventually_checked(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, _, checks) = self.fill();
            let reason = checks[0]["reason"].as_str().unwrap_or_default();
            if !reason.contains("being started") {
                return;
            }
            assert!(Instant::now() < deadline, "{checks}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether GNAT, run by hand over the file as it would be, has no objection.
fn gnat_is_content(spec: &str, body: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::File::create(folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    };
    file("stacks.ads", spec);
    file("stacks.adb", body);
    let gcc = Command::new("gcc")
        .args(["-c", "-gnatc", "-gnat2022", "stacks.adb"])
        .current_dir(folder.path())
        .output()
        .expect("gcc with Ada: install the package gnat");
    gcc.status.success()
}

fn kinds(document: &Value) -> Vec<&str> {
    let related = document["related"].as_array().unwrap();
    related.iter().filter_map(|leaf| leaf.pointer("/leaf/event/kind")?.as_str()).collect()
}

/// What the answer says is what the compiler says by hand, and it is in the ledger, which verifies.
#[test]
fn a_completion_is_looked_at_in_its_file_and_its_project() {
    let house = House::new("completion_check_ms_max = 60000");
    let (text, record, checks) = house.fill();
    let check = &checks[0];
    assert_eq!((&check["checker"], &check["language"]), (&json!("gnat"), &json!("ada")), "{checks}");
    assert_eq!(check["against"]["source"]["name"], "stacks", "{checks}");
    assert!(!check["version"].as_str().unwrap().is_empty());
    // `Onto.` alone was wrong before; so what counts is what the whole comes to.
    let content = gnat_is_content(SPEC, &format!("{BEFORE}{text}{BEHIND}"));
    let passed = check["outcome"] == "passed" && check["errors"] == 0;
    assert_eq!(passed, content, "{text:?}: {checks}");
    let document = house.explain(record);
    assert!(kinds(&document).contains(&"check"), "{document}");
    let page = house.server.cloister(&["explain", &record.to_string()]).unwrap();
    assert!(page.contains("[gnat "), "{page}");
    house.server.verify().unwrap();
}

/// Nobody waits where waiting is switched off, and the leaf comes all the same.
#[test]
fn what_comes_late_is_recorded() {
    let house = House::new("completion_check_ms_max = 0");
    let (_, record, checks) = house.fill();
    assert_eq!(checks[0]["outcome"], "not_run", "{checks}");
    assert!(checks[0]["reason"].as_str().unwrap().contains("0 ms"), "{checks}");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let document = house.explain(record);
        let ran = document["related"].as_array().unwrap().iter().any(|leaf| {
            let event = &leaf["leaf"]["event"];
            event["kind"] == "check" && event["outcome"] != "not_run"
        });
        if ran {
            break;
        }
        assert!(Instant::now() < deadline, "{document}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The process that has compilers run is killed: the answer says so, and later ones are looked at again.
#[test]
fn a_checker_that_died_is_started_again() {
    let house = House::new("completion_check_ms_max = 60000");
    let before = house.server.child_pid("cloister-check").unwrap();
    signal("KILL", before).unwrap();
    house.eventually_checked();
    let (_, _, checks) = house.fill();
    assert_ne!(checks[0]["outcome"], "not_run", "{checks}");
    assert_ne!(house.server.child_pid("cloister-check").unwrap(), before);
}

/// Each round is a record with its checks, and what is called clean is clean by hand.
#[test]
fn generation_goes_on_until_the_compiler_is_content_or_says_what_is_left() {
    let house = House::new("completion_check_ms_max = 0");
    let answer = house.post(
        "/v1/cloister/generate",
        &json!({
            "prefix": BEFORE.trim_end_matches("Onto."), "suffix": BEHIND, "candidates": 2, "max_tokens": 48, "spans": 0,
            "instruction": "store the item", "cloister": { "repository": "stacks", "path": "src/stacks.adb" },
        }),
    );
    let unit = answer["unit"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let check = &answer["checks"][0];
    assert_eq!(check["errors"] == 0, gnat_is_content(SPEC, unit), "{answer}");
    let rounds = answer["rounds"].as_array().unwrap();
    assert!(!rounds.is_empty());
    for round in rounds {
        let record = round["record"].as_u64().unwrap();
        let document = house.explain(record);
        assert!(kinds(&document).contains(&"check"), "{document}");
        // What a draw was held to is a part of its record.
        assert_eq!(house.server.replay(record).unwrap()["matches"], true);
    }
    house.server.verify().unwrap();
}

/// What draws have to agree on is simulated, and how many agree is told.
#[test]
fn draws_of_hardware_can_be_asked_to_agree() {
    let house = House::new("completion_check_ms_max = 0");
    let gate = "library ieee;\nuse ieee.std_logic_1164.all;\n\nentity gate is\n  port (a, b : in std_logic; y : out std_logic);\n\
                end entity;\n\narchitecture rtl of gate is\nbegin\n  -- y is high when both a and b are\n  y <= a";
    let asked = |agree: u32| {
        json!({
            "prefix": gate, "suffix": "\nend architecture;\n", "language": "vhdl", "candidates": 3, "agree": agree,
            "max_tokens": 8, "spans": 0,
        })
    };
    let answer = house.post("/v1/cloister/generate", &asked(2));
    let agreement = &answer["agreement"];
    let clean = answer["checks"][0]["errors"] == 0;
    assert!(clean && agreement["agree"].as_u64() >= Some(1), "{answer}");
    assert!(agreement["clean"].as_u64() >= agreement["agree"].as_u64(), "{answer}");
    let document = house.explain(answer["record"].as_u64().unwrap());
    assert!(document["related"].to_string().contains("ghdl-drive"), "{document}");
    let answer = house.post("/v1/cloister/generate", &asked(1));
    assert!(answer["agreement"].is_null() && answer["unit"].is_string(), "{answer}");
    house.server.verify().unwrap();
}

/// What a unit of Ada claims is tried: a contract that does not hold is an error, whatever the compiler says.
#[test]
fn a_contract_that_does_not_hold_is_an_error() {
    let house = House::new("completion_check_ms_max = 0");
    let asked = |claim: &str| {
        let unit = format!(
            "package Doubles is\n   function Twice (X : Integer) return Integer\n     with Pre => X in 0 .. 1000, Post => {claim};\nend Doubles;\n\n\
             package body Doubles is\n   function Twice (X : Integer) return Integer is\n   begin\n      return X + X;\n   end Twice;\n   --  Twice is "
        );
        json!({
            "prefix": unit, "suffix": "\nend Doubles;\n", "language": "ada", "candidates": 1, "max_tokens": 4, "spans": 0,
        })
    };
    let answer = house.post("/v1/cloister/generate", &asked("Twice'Result = 2 * X"));
    assert_eq!(answer["checks"][0]["errors"], 0, "{answer}");
    assert!(
        answer["checks"][0]["claims"].as_str().unwrap().contains("no contract or assertion failed"),
        "{answer}"
    );
    let answer = house.post("/v1/cloister/generate", &asked("Twice'Result < 40"));
    assert_eq!(answer["checks"][0]["errors"], 1, "{answer}");
    let remarks = answer["checks"][0]["remarks"].to_string();
    assert!(remarks.contains("failed postcondition, with Twice X => "), "{answer}");
    let document = house.explain(answer["record"].as_u64().unwrap());
    assert!(document["related"].to_string().contains("gnat-run"), "{document}");
    house.server.verify().unwrap();
}

/// A body is called as its specification in the source declares it; where there is nothing to call, no leaf says that it was not.
#[test]
fn a_body_is_called_as_its_source_declares_it() {
    let house = House::new("completion_check_ms_max = 0");
    let asked = |name: &str, value: &str| {
        let function = if name == "Kinds" {
            "Same (X : Kind) return Kind"
        } else {
            "Twice (X : Integer) return Integer"
        };
        let body = format!("package body {name} is\n   function {function} is ({value});\n   --  It is ");
        json!({
            "prefix": body, "suffix": format!("\nend {name};\n"), "candidates": 3, "agree": 2, "max_tokens": 4, "spans": 0,
            "cloister": { "repository": "stacks", "path": format!("src/{}.adb", name.to_lowercase()) },
        })
    };
    let related = |answer: &Value| house.explain(answer["record"].as_u64().unwrap())["related"].to_string();
    let right = house.post("/v1/cloister/generate", &asked("Doubles", "X + X"));
    assert_eq!(right["checks"][0]["errors"], 0, "{right}");
    assert!(right["agreement"]["agree"].as_u64() >= Some(1), "{right}");
    assert!(related(&right).contains("gnat-run"), "{right}");
    let wrong = house.post("/v1/cloister/generate", &asked("Doubles", "if X = 3 then 3 else X + X"));
    let remarks = wrong["checks"][0]["remarks"].to_string();
    assert!(remarks.contains("failed postcondition from doubles.ads:3, with Twice X => "), "{wrong}");
    let uncalled = house.post("/v1/cloister/generate", &asked("Kinds", "X"));
    assert_eq!(
        (&uncalled["checks"][0]["errors"], &uncalled["agreement"]),
        (&json!(0), &Value::Null),
        "{uncalled}"
    );
    assert!(!related(&uncalled).contains("gnat-run"), "{uncalled}");
    house.server.verify().unwrap();
}

/// Files are looked at as answers are, and what the compiler's words allow is mended; no model is asked.
#[test]
fn files_are_looked_at_as_answers_are() {
    let house = House::new("completion_check_ms_max = 0");
    let right = format!("{BEFORE}Data (Onto.Top) := Item;{BEHIND}");
    let wrong = right.replace("Item;\n", "Item\n");
    let asked = |text: &str, path: &str| {
        let about = json!({ "repository": "stacks", "path": path });
        house.post("/v1/cloister/check", &json!({ "text": text, "mend": true, "cloister": about }))
    };
    let answer = asked(&wrong, "src/stacks.adb");
    let check = &answer["checks"][0];
    assert_eq!((&check["checker"], &check["errors"]), (&json!("gnat"), &json!(1)), "{answer}");
    assert_eq!(check["against"]["source"]["name"], "stacks", "{answer}");
    assert_eq!(answer["mended"]["text"], right, "{answer}");
    assert_eq!(answer["mended"]["checks"][0]["errors"], 0, "{answer}");
    let document = house.explain(answer["record"].as_u64().unwrap());
    assert!(
        document.to_string().contains("missing") && document.to_string().contains("Onto.Top"),
        "{document}"
    );
    let answer = asked(&right, "src/stacks.adb");
    let errors: Vec<&Value> =
        answer["checks"].as_array().unwrap().iter().map(|check| &check["errors"]).collect();
    assert!(!errors.is_empty() && errors.iter().all(|count| **count == 0), "{answer}");
    assert!(answer["mended"].is_null(), "{answer}");
    assert_eq!(asked("# Notes\n", "notes.txt")["checks"], json!([]));
    // The first look at the source's VHDL waits until its library is made.
    let entity =
        "use work.widths.all;\nentity e is\n  port (a : in bit_vector(width - 1 downto 0));\nend entity;\n";
    let answer = asked(entity, "src/e.vhd");
    assert_eq!(
        (&answer["checks"][0]["checker"], &answer["checks"][0]["outcome"]),
        (&json!("ghdl"), &json!("passed")),
        "{answer}"
    );

    // By the command, beyond any source.
    let path = house.server.root().join("twice.adb");
    let path = path.to_str().unwrap();
    let text = "function Twice (X : Integer) return Integer is\nbegin\n   return X + X\nend Twice;\n";
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    let run = |arguments: &[&str]| {
        let output = house.server.cloister_output(&[&["check", path], arguments].concat()).unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&[]);
    assert!(code == Some(1) && said.contains("3:16: error: missing \";\""), "{said}");
    let other = house.server.root().join("notes.txt");
    fs::File::create(&other).unwrap();
    assert_eq!(
        house.server.cloister_output(&["check", other.to_str().unwrap()]).unwrap().status.code(),
        Some(1)
    );
    let (code, said) = run(&["--mend", "--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&said).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((code, &result["level"]), (Some(1), &json!("error")), "{said}");
    let inserted = &result["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"];
    assert!(inserted.as_str().unwrap().contains("X + X;"), "{said}");
    assert_eq!(run(&["--mend", "--write", "--fail-on", "never"]).0, Some(0));
    assert_eq!(fs::read_to_string(path).unwrap(), text.replace("X + X\n", "X + X;\n"));
    let (code, said) = run(&[]);
    assert!(code == Some(0) && said.contains("[gnat-run "), "{said}");
    house.server.verify().unwrap();
}

/// A repository's own rules are the compiler's, too.
#[test]
fn rules_of_a_source_are_checked() {
    let rules =
        ["--switch", "-gnatyM20", "--pragma", "pragma Profile (Jorvik);", "--rules-file", "docs/rules.md"];
    let house = House::with("completion_check_ms_max = 60000", &rules);
    let answer = house.post(
        "/v1/cloister/generate",
        &json!({
            "prefix": BEFORE.trim_end_matches("Onto."), "suffix": BEHIND, "candidates": 1, "max_tokens": 8, "spans": 0,
            "cloister": { "repository": "stacks", "path": "src/stacks.adb" },
        }),
    );
    let remarks = answer["checks"][0]["remarks"].to_string();
    assert!(remarks.contains("line is too long"), "{answer}");
    let listed = fs::read_to_string(house.server.data().join("sources.toml")).unwrap();
    assert!(listed.contains("Jorvik") && listed.contains("docs/rules.md"), "{listed}");
    // Its words go into chats about the repository, and into no others.
    let chat = |repository: &str| {
        let message = json!([{ "role": "user", "content": "Write a type." }]);
        let about = json!({ "repository": repository });
        let answer = house.post(
            "/v1/chat/completions",
            &json!({ "messages": message, "max_tokens": 4, "cloister": about }),
        );
        let document = house.explain(answer["cloister"]["record"].as_u64().unwrap()).to_string();
        (document.contains(r#"why\":[\"rules\"]"#), document.contains("quarrel"), answer)
    };
    let (is_told, has_words, answer) = chat("stacks");
    assert!(is_told && has_words, "{answer}");
    assert!(answer["cloister"]["sources"].to_string().contains("docs/rules.md"), "{answer}");
    assert!(!chat("other").0);
    // What would reach beyond the text is refused when it is said.
    for wrong in ["-gnatec=/etc/passwd", "-fplugin=evil.so", "@file"] {
        let folder = house.folder.to_str().unwrap();
        let switch = format!("--switch={wrong}");
        let refused =
            house.server.cloisterd(&["repo", "add", folder, "--name", "other", &switch]).unwrap_err();
        assert!(refused.to_string().contains("rules.switches"), "{refused}");
    }
    for wrong in ["../rules.md", "/etc/passwd", ""] {
        let folder = house.folder.to_str().unwrap();
        let arguments = ["repo", "add", folder, "--name", "other", "--rules-file", wrong];
        let refused = house.server.cloisterd(&arguments).unwrap_err();
        assert!(refused.to_string().contains("rules.file"), "{refused}");
    }
}

/// What is here and what is not, each by name.
#[test]
fn toolchains_are_listed() {
    let house = House::new("");
    let listed = house.server.cloisterd(&["toolchain", "list", "--json"]).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let rows = listed.as_array().unwrap();
    let of = |checker: &str| rows.iter().find(|row| row["checker"] == checker).unwrap();
    assert!(of("gnat")["version"].is_string(), "{listed}");
    for row in rows.iter().filter(|row| row["version"].is_null()) {
        assert!(!row["missing"].as_array().unwrap().is_empty() && row["package"].is_string(), "{row}");
    }
}
