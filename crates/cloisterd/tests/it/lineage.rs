//! A line's whole way: completed by a real model, accepted, pasted, committed, rebased; told of by `cloister review`, refused
//! by the gate, approved, let in; edited, and refused again.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use testkit::persons;
use testkit::server::Server;
use testkit::{http, places};

const REPOSITORY: &str = "https://git.example/flight.git";
const PATH: &str = "src/stacks.adb";
const BEFORE: &str =
    "package body Stacks is\n\n   procedure Push (S : in out Stack; Value : Integer) is\n   begin\n";
const BEHIND: &str = "\n   end Push;\n\nend Stacks;\n";
const POLICY: &str = r#"
permit (principal, action == Action::"merge", resource);
@id("approval") @reason("somebody who did not ask for the lines must approve them")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && resource.approved_by_others.isEmpty() };
"#;

struct Repository<'s> {
    server: &'s Server,
    folder: &'s Path,
}

impl Repository<'_> {
    fn git(&self, arguments: &[&str]) {
        let ran = Command::new("git")
            .args(arguments)
            .current_dir(self.folder.join("repository"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "owner")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "owner@site.example")))
            .output()
            .unwrap();
        assert!(ran.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn write(&self, path: &str, text: &str) {
        use std::io::Write as _;
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn commit(&self, path: &str, text: &str) {
        self.write(&format!("repository/{path}"), text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a change"]);
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let policy = self.server.data().join("log.policy");
        let ledger = ["--slice", "../slice", "--log-policy", policy.to_str().unwrap()];
        self.bare(&[&[command][..], &ledger, arguments].concat())
    }

    fn bare(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(places::program("cloister").unwrap());
        command.args(arguments).current_dir(self.folder.join("repository")).output().unwrap()
    }

    fn gate(&self, code: i32, words: &str) {
        let ran = self.run("gate", &["--policy", "../gate.cedar"]);
        let said =
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{words} is not in {said}");
    }
}

#[test]
fn from_a_completion_to_the_gate() {
    let mut server = Server::started(places::CODER).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("grace");
    persons::generate(&key, "ed25519").unwrap();
    let public = directory.path().join("grace.pub");
    server.cloisterd(&["user", "add", "grace"]).unwrap();
    server.cloisterd(&["user", "enrol-key", "grace", public.to_str().unwrap()]).unwrap();

    // Completed in an editor, and taken over.
    let asked = json!({
        "input_prefix": BEFORE, "input_suffix": BEHIND, "prompt": "", "n_predict": 64, "stream": false,
        "cloister": { "repository": REPOSITORY, "path": PATH },
    });
    let answer = http::post(&server.socket(), "/infill", &asked).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = answer.record().unwrap();
    let text = answer.json().unwrap()["content"].as_str().unwrap().to_owned();
    assert!(text.split_whitespace().count() >= 4, "the model said little: {text}");
    let decided = json!({ "record": record, "choice": "accepted", "path": PATH, "client": "vim" });
    assert_eq!(http::post(&server.socket(), "/v1/cloister/decisions", &decided).unwrap().status, 200);

    let repository = Repository { server: &server, folder: directory.path() };
    std::fs::create_dir(directory.path().join("repository")).unwrap();
    repository.git(&["init", "-q", "-b", "main"]);
    repository.commit("README", "Stacks.\n");
    repository.git(&["checkout", "-q", "-b", "feature"]);
    let pasted = format!("{BEFORE}{text}{BEHIND}");
    repository.commit(PATH, &pasted);
    repository.git(&["checkout", "-q", "main"]);
    repository.commit("README", "Stacks, and more.\n");
    repository.git(&["checkout", "-q", "feature"]);
    repository.git(&["rebase", "-q", "main"]);

    // The slice, which holds nothing of the text, and whose making is on record.
    let slice = directory.path().join("slice");
    let arguments = ["ledger", "slice", "--out", slice.to_str().unwrap(), "--repository", REPOSITORY];
    server.cloisterd(&arguments).unwrap();
    let bytes = std::fs::read(&slice).unwrap();
    let line = text.lines().map(str::trim).max_by_key(|line| line.len()).unwrap();
    assert!(!bytes.windows(line.len()).any(|part| part == line.as_bytes()), "the slice holds `{line}`");
    let sealed = server.cloisterd(&["ledger", "query", "--json", "--action", "ledger slice"]).unwrap();
    let sealed: Value = serde_json::from_str(&sealed).unwrap();
    assert_eq!(sealed["rows"][0]["subject"], REPOSITORY, "{sealed}");
    assert!(!server.cloisterd_output(&arguments).unwrap().status.success(), "a slice is not written over");

    let reviewed = repository.run("review", &["--json", "--all"]);
    assert!(reviewed.status.success(), "{}", String::from_utf8_lossy(&reviewed.stderr));
    let table: Value = serde_json::from_slice(&reviewed.stdout).unwrap();
    let ranges = table["ranges"].as_array().unwrap();
    let ours: Vec<&Value> = ranges.iter().filter(|range| range["answer"]["record"] == record).collect();
    assert!(!ours.is_empty(), "{text}\n{table}");
    let ai = ours
        .iter()
        .find(|range| range["grade"] == "ai-verbatim")
        .unwrap_or_else(|| panic!("{text}\n{table}"));
    assert_eq!(
        (&ai["answer"]["prompted_by"], &ai["answer"]["decision"]),
        (&json!("owner"), &json!("accepted"))
    );
    assert_eq!(ai["path"], PATH);

    repository.write("gate.cedar", POLICY);
    repository.gate(1, "approval: somebody who did not ask");
    let lines = pasted.lines().count();
    let range = format!("{PATH}:1-{lines}");
    let approved = repository.bare(&["approve", &range, "--key", key.to_str().unwrap()]);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "approved"]);
    repository.gate(0, "passed");
    // One edited line, and nobody approved these any more.
    repository.commit(PATH, &pasted.replace("end Push;", "end Push; -- done"));
    repository.gate(1, "they were changed");

    // Without a daemon too, and the ledger is whole.
    server.stop().unwrap();
    std::fs::remove_file(&slice).unwrap();
    server.cloisterd(&arguments).unwrap();
    let repository = Repository { server: &server, folder: directory.path() };
    repository.gate(1, "they were changed");
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}
