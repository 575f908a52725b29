//! Who may do what, with a real daemon: roles, a policy that two persons install, one that cannot be used.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::persons::Approvers;
use testkit::places;
use testkit::server::Server;

use crate::tokens::free_port;

/// A server with persons, each with a token.
pub(crate) struct House {
    pub(crate) server: Server,
    url: String,
}

impl House {
    pub(crate) fn new(configuration: &str) -> House {
        House::of(Server::new(places::SMALL, &[]).unwrap(), configuration)
    }

    pub(crate) fn of(server: Server, configuration: &str) -> House {
        let port = free_port();
        server.configure(&format!("[server]\ntcp = \"127.0.0.1:{port}\"\n{configuration}")).unwrap();
        House { url: format!("http://127.0.0.1:{port}"), server }
    }

    pub(crate) fn person(&self, name: &str, roles: &[&str], more: &[&str]) -> String {
        let add = ["user", "add", name].iter().chain(more).copied().collect::<Vec<_>>();
        self.server.cloisterd(&add).unwrap();
        if !roles.is_empty() {
            let give = ["user", "set-roles", name].iter().chain(roles).copied().collect::<Vec<_>>();
            self.server.cloisterd(&give).unwrap();
        }
        self.server.cloisterd(&["token", "issue", name, "--note", "test"]).unwrap().trim().to_owned()
    }

    pub(crate) fn ask(&self, token: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args(["-s", "-w", "\n%{http_code}", "-H", &format!("authorization: Bearer {token}")]);
        if let Some(body) = body {
            command.args(["-H", "content-type: application/json", "-d", &body.to_string()]);
        }
        let output = command.arg(format!("{}{path}", self.url)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
    }

    fn chat(&self, token: &str, words: &str) -> (u16, Value) {
        let request = json!({ "messages": [{ "role": "user", "content": words }], "max_tokens": 3 });
        self.ask(token, "/v1/chat/completions", Some(&request))
    }

    /// The record of an answer of that person.
    pub(crate) fn record_of(&self, token: &str, words: &str) -> u64 {
        let (status, answer) = self.chat(token, words);
        assert_eq!(status, 200, "{answer}");
        answer["cloister"]["record"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    pub(crate) fn record(&self, token: &str, record: u64) -> (u16, Value) {
        self.ask(token, &format!("/v1/cloister/records/{record}"), None)
    }

    fn leaves(&self, kind: &str) -> Vec<Value> {
        let list = self.server.cloisterd(&["ledger", "list", "--count", "200", "--json"]).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        let events = list.as_array().unwrap().iter().map(|row| row["leaf"]["event"].clone());
        events.filter(|event| event["kind"] == kind).collect()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.server.cloisterd_output(arguments).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.server.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_auditor_reads_and_an_administrator_does_not() {
    let mut house =
        House::new("[labels]\nclassification = [\"confidential\", \"secret\"]\nneed_to_know = []\n");
    let ada = house.person("ada", &[], &[]);
    let audit = house.person("audit", &["auditor"], &[]);
    let admin = house.person("admin", &["administrator"], &[]);
    assert!(house.fails(&["user", "add", "eve", "--label", "secrte"]).contains("no label of this site"));
    assert!(house.fails(&["user", "set-roles", "ada", "owner"]).contains("no role"));
    house.server.start().unwrap();
    let record = house.record_of(&ada, "the word is xyzzy");

    let (status, own) = house.record(&ada, record);
    assert!(status == 200 && own.to_string().contains("xyzzy"), "{own}");
    let (status, read) = house.record(&audit, record);
    assert!(status == 200 && read.to_string().contains("xyzzy"), "{read}");
    // One answer for what is not theirs and for what is not there.
    let (status, refused) = house.record(&admin, record);
    let (no_status, none) = house.record(&admin, 999_999);
    assert_eq!((status, no_status), (403, 403));
    assert_eq!(
        refused.to_string().replace(&record.to_string(), "N"),
        none.to_string().replace("999999", "N")
    );
    assert!(!refused.to_string().contains("xyzzy"));
    // The owner sees that there is one, and how it ended.
    let shown = house.server.show(record).unwrap();
    assert!(!shown.to_string().contains("xyzzy") && shown["leaf"]["event"]["identity"] == "ada", "{shown}");
    assert!(shown["body"]["not_shown"].is_string(), "{shown}");
    // Words are found by the auditor only.
    let search = "/v1/cloister/ledger/query?kind=intent&text=xyzzy";
    let found = |token: &str| house.ask(token, search, None).1["rows"].as_array().map(Vec::len);
    assert_eq!((found(&audit), found(&admin), found(&ada)), (Some(1), Some(0), Some(1)));
    // Metadata of everybody, to both; not to Ada.
    let all = "/v1/cloister/ledger/query?kind=intent&person=ada";
    assert_eq!(house.ask(&audit, all, None).0, 200);
    assert_eq!(house.ask(&admin, all, None).0, 200);
    let other = "/v1/cloister/ledger/query?kind=intent&person=audit";
    assert_eq!(house.ask(&ada, other, None).0, 403);
    // Nobody decides of another's answer.
    let decided = json!({ "record": record, "choice": "accepted" });
    assert_ne!(house.ask(&audit, "/v1/cloister/decisions", Some(&decided)).0, 200);

    // On record: who read what of another's, and what was refused by which rule.
    eventually("the denial is on record", || {
        house.leaves("refusal").iter().any(|event| {
            event["rule"] == "cloister.administrators-read-no-prompts"
                && event["identity"] == "admin"
                && event["action"] == "read-record"
                && event["policy"].as_str().is_some_and(|policy| policy.starts_with("sha256:"))
        })
    });
    let administered = house.leaves("administration");
    let read = administered.iter().find(|event| event["action"] == "read-record").unwrap();
    assert!(read["actor"].as_str().unwrap().starts_with("audit (token:"), "{read}");
    assert_eq!(
        (&read["subject"], &read["detail"]),
        (&json!(record.to_string()), &json!("by default.auditors"))
    );

    // What is decided, and why, is asked without doing it.
    let explain = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["policy", "explain"].iter().chain(arguments).copied().collect();
        house.server.cloisterd(&arguments).unwrap()
    };
    assert_eq!(
        explain(&["audit", "read-record", "--record", "7", "--owner", "ada"]),
        "allowed by default.auditors\n"
    );
    assert!(explain(&["audit", "administer"]).contains("cloister.auditors-change-nothing"));
    let clearances = ["--deployment", "coder", "--label", "secret", "--clearance", "confidential"];
    let chats = |label: &str| {
        let mut arguments = vec!["somebody", "chat"];
        arguments.extend(clearances.iter().map(|word| if *word == "secret" { label } else { *word }));
        explain(&arguments)
    };
    assert!(chats("secret").contains("denied by cloister.labels"));
    assert!(chats("confidential").contains("allowed by default.use"));
    house.server.stop().unwrap();
    assert_eq!(house.server.verify().unwrap()["problems"], json!([]));
}

#[test]
fn two_persons_install_a_policy_and_a_wrong_one_stops_answers() {
    let mut house = House::new("");
    let ada = house.person("ada", &[], &[]);
    house.server.start().unwrap();
    let before = house.record_of(&ada, "hello");
    let default =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../identity/policy/default.cedar"))
            .unwrap();
    house.write("site/default.cedar", &default);
    let site = house.write(
        "site/site.cedar",
        "@id(\"site.no-chat\")\nforbid (principal == User::\"ada\", action == Action::\"chat\", resource);\n",
    );
    let folder = site.parent().unwrap().to_path_buf();

    // A wrong one is told with its line, and cannot be requested.
    let wrong = house.write(
        "wrong/wrong.cedar",
        "@id(\"w\")\npermit (principal, action, resource)\nwhen { principal.age > 1 };\n",
    );
    assert!(house.fails(&["policy", "check", text(&wrong)]).contains("wrong.cedar:3:"));
    let out = house.server.root().join("policy.txt");
    assert!(house.fails(&["policy", "request", text(&wrong), "--out", text(&out)]).contains("age"));

    // What it changes, before it is in force.
    house.server.cloisterd(&["policy", "check", text(&folder)]).unwrap();
    let diff = house.server.cloisterd(&["policy", "diff", text(&folder), "--json"]).unwrap();
    let diff: Value = serde_json::from_str(&diff).unwrap();
    assert_eq!(diff["changed"].as_array().map(Vec::len), Some(1), "{diff}");
    assert_eq!(diff["changed"][0]["after"]["rules"], json!(["site.no-chat"]), "{diff}");
    let cases = house.write(
        "cases.toml",
        "[[case]]\nperson = { name = \"ada\" }\naction = \"chat\"\nresource = { deployment = \"coder\" }\nexpect = \"deny\"\nrule = \"site.no-chat\"\n",
    );
    house.server.cloisterd(&["policy", "test", text(&cases), "--policy", text(&folder)]).unwrap();
    assert!(house.fails(&["policy", "test", text(&cases)]).contains("expected deny"));

    // One person is not enough, nor the same one twice, nor signatures for something else.
    let approvers = Approvers::enrolled_as(&house.server, ["mary", "nell"]).unwrap();
    house.server.cloisterd(&["policy", "request", text(&folder), "--out", text(&out)]).unwrap();
    let signed = approvers.sign("policy@cloister", &out).unwrap();
    let set = |approvals: &[&str]| {
        let mut arguments = vec!["policy", "set", text(&folder)];
        approvals.iter().for_each(|approval| arguments.extend(["--approval", approval]));
        house.server.cloisterd_output(&arguments).unwrap()
    };
    for approvals in [&[][..], &[signed[0].as_str()], &[&signed[0], &signed[0]]] {
        let refused = set(approvals);
        assert!(!refused.status.success());
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains("2 different persons"), "{words}");
    }
    let foreign = approvers.sign("model@cloister", &out).unwrap();
    assert!(!set(&[&foreign[0], &foreign[1]]).status.success());
    assert_eq!(house.chat(&ada, "hello").0, 200, "nothing is changed yet");
    let signed = approvers.sign("policy@cloister", &out).unwrap();
    let installed = set(&[&signed[0], &signed[1]]);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let (status, refused) = house.chat(&ada, "hello");
    assert!(status == 403 && refused.to_string().contains("site.no-chat"), "{refused}");
    let change = house.leaves("policy").remove(0);
    assert_eq!(change["approvals"].as_array().map(Vec::len), Some(2), "{change}");
    // The same signatures do not install it again, nor the one before.
    assert!(!set(&[&signed[0], &signed[1]]).status.success());

    // It outlives the daemon, and records name it.
    house.server.stop().unwrap();
    house.server.start().unwrap();
    assert_eq!(house.chat(&ada, "hello").0, 403);
    let digest = change["policy"].as_str().unwrap();
    let denial = house.leaves("refusal").into_iter().find(|event| event["rule"] == "site.no-chat").unwrap();
    assert_eq!(denial["policy"], digest);
    assert_ne!(house.record(&ada, before).1["leaf"]["event"]["policy"], digest);

    // Somebody edits a file: nothing is answered, and it is said why; then what was approved is put back.
    let in_force = house.server.data().join("policy/site.cedar");
    let kept = fs::read_to_string(&in_force).unwrap();
    for edited in
        [kept.replace("forbid", "permit"), "permit (principal, action resource);".to_owned(), String::new()]
    {
        fs::File::create(&in_force).unwrap().write_all(edited.as_bytes()).unwrap();
        eventually("nothing is answered", || house.chat(&ada, "hello").0 == 503);
        let (_, refused) = house.chat(&ada, "hello");
        assert!(refused.to_string().contains("the policy cannot be used"), "{refused}");
        assert_eq!(house.record(&ada, before).0, 503, "nothing else either");
        assert!(house.fails(&["policy", "show"]).contains("nothing is answered"));
        assert!(house.fails(&["user", "add", "mallory"]).contains("policy cannot be used"));
    }
    let back = house.server.cloisterd(&["policy", "set", text(&folder)]).unwrap();
    assert!(back.contains(digest), "{back}");
    assert_eq!(house.chat(&ada, "hello").0, 403);
    // And the default one again, by two persons.
    assert!(!house.server.cloisterd_output(&["policy", "set", "--default"]).unwrap().status.success());
    house.server.cloisterd(&["policy", "request", "--default", "--out", text(&out)]).unwrap();
    let signed = approvers.sign("policy@cloister", &out).unwrap();
    let set = ["policy", "set", "--default", "--approval", &signed[0], "--approval", &signed[1]];
    house.server.cloisterd(&set).unwrap();
    assert_eq!(house.chat(&ada, "hello").0, 200);
    house.server.stop().unwrap();
    let report = house.server.verify().unwrap();
    assert_eq!((&report["verdict"], &report["problems"]), (&json!("passed"), &json!([])), "{report}");

    // A file that nobody approved is no policy: the daemon starts, and answers nothing.
    house.write("data/policy/more.cedar", "@id(\"m\") permit (principal, action, resource);\n");
    house.server.start().unwrap();
    let (status, refused) = house.chat(&ada, "hello");
    assert!(status == 503 && refused.to_string().contains("no two persons approved"), "{refused}");
}
