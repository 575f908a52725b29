//! What the team knows: indexed by the real daemon in a real jail, in real prompts, for those who may read it only.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::places;
use testkit::server::Server;

use crate::tokens::free_port;

const SENSORS: &str = "\
package Flight.Sensors is
   type Reading is record
      Pressure_Pa : Float;
      Valid       : Boolean;
   end record;
   --  The static pressure, filtered.
   function Read_Static_Pressure (Port : Natural) return Reading;
end Flight.Sensors;
";
const BEGUN: &str = "\
with Flight.Sensors;
procedure Flight.Climb is
   Now : Flight.Sensors.Reading;
begin
   Now := Flight.Sensors.";

/// A server with a repository, readable by the group `crew`, of which Ada is, and Bob is not.
struct House {
    server: Server,
    url: String,
    ada: String,
    bob: String,
}

impl House {
    fn new(configuration: &str) -> House {
        let server = Server::new(places::CODER, &[]).unwrap();
        let port = free_port();
        let listen = format!("[server]\ntcp = \"127.0.0.1:{port}\"\n{configuration}");
        server.configure(&listen).unwrap();
        let house = House {
            url: format!("http://127.0.0.1:{port}"),
            ada: token(&server, "ada", &["--group", "crew", "--label", "flight"]),
            bob: token(&server, "bob", &["--group", "others", "--label", "flight"]),
            server,
        };
        house.write("src/flight-sensors.ads", SENSORS);
        house.write("docs/icd.md", "# Interface\n\n## Pressure port\n\nThe port delivers at 50 hertz.\n");
        house.commit();
        house
    }

    fn repository(&self) -> PathBuf {
        self.server.root().join("flight")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.repository().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn commit(&self) {
        let root = self.repository();
        if !root.join(".git").exists() {
            git(&root, &["init", "-q", "-b", "main"]);
        }
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "-q", "-m", "as it is"]);
    }

    fn add(&self) -> Value {
        let root = self.repository();
        let arguments =
            ["repo", "add", root.to_str().unwrap(), "--readers", "crew", "--label", "flight", "--json"];
        serde_json::from_str(&self.server.cloisterd(&arguments).unwrap()).unwrap()
    }

    fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let output = Command::new("curl")
            .args([
                "-s",
                "-w",
                "\n%{http_code}",
                "-H",
                "content-type: application/json",
                "-d",
                &body.to_string(),
            ])
            .args(["-H", &format!("authorization: Bearer {token}"), &format!("{}{path}", self.url)])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (
            status.parse().unwrap(),
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}")),
        )
    }

    fn look_up(&self, token: &str, question: &Value) -> Value {
        let (status, answer) = self.post(token, "/v1/cloister/context", question);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Asks as an editor does, and gives the record's number.
    fn fill(&self, token: &str) -> u64 {
        let request = json!({
            "input_prefix": BEGUN, "input_suffix": ";\nend Flight.Climb;\n", "n_predict": 12, "until": "line",
            "cloister": { "repository": "flight", "path": "src/flight-climb.adb" },
        });
        let output = Command::new("curl")
            .args(["-s", "-D", "-", "-o", "/dev/null", "-d", &request.to_string()])
            .args(["-H", &format!("authorization: Bearer {token}"), &format!("{}/infill", self.url)])
            .output()
            .unwrap();
        let headers = String::from_utf8(output.stdout).unwrap();
        let record = headers.lines().find_map(|line| line.strip_prefix("x-cloister-record: "));
        record.unwrap_or_else(|| panic!("{headers}")).trim().parse().unwrap()
    }

    /// A record, to whom it is of.
    fn shown(&self, token: &str, record: u64) -> Value {
        let output = Command::new("curl")
            .args(["-s", "-H", &format!("authorization: Bearer {token}")])
            .arg(format!("{}/v1/cloister/records/{record}", self.url))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn context_of(&self, token: &str, record: u64) -> (Value, Vec<Value>) {
        let shown = self.shown(token, record);
        let context = shown["body"]["context_text"].as_str().unwrap();
        let passages = serde_json::from_str(context).unwrap_or_default();
        (shown, passages)
    }
}

fn token(server: &Server, name: &str, more: &[&str]) -> String {
    let mut arguments = vec!["user", "add", name];
    arguments.extend(more);
    server.cloisterd(&arguments).unwrap();
    server.cloisterd(&["token", "issue", name, "--note", "test"]).unwrap().trim().to_owned()
}

fn git(root: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(arguments);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_repository_goes_into_prompts_of_its_readers() {
    let mut house = House::new("");
    // Without a daemon first: the same index serves once it runs.
    let added = house.add();
    assert_eq!(
        (added["summary"]["files"].as_u64(), added["stage"].as_str()),
        (Some(2), Some("ready")),
        "{added}"
    );
    house.server.start().unwrap();
    let ready =
        || !house.look_up(&house.ada, &json!({ "search": "static pressure" }))["results"][0].is_null();
    eventually("the index is open", ready);

    let record = house.fill(&house.ada);
    let (shown, passages) = house.context_of(&house.ada, record);
    assert_eq!(passages.len(), 1, "{passages:?}");
    let (first, intent) = (&passages[0], &shown["leaf"]["event"]);
    assert_eq!(
        (first["source"].as_str(), first["path"].as_str()),
        (Some("flight"), Some("src/flight-sensors.ads"))
    );
    assert!(
        first["text"].as_str().unwrap().contains("function Read_Static_Pressure (Port : Natural)"),
        "{first}"
    );
    assert_eq!(first["revision"].as_str().unwrap().len(), 40);
    assert_eq!(intent["labels"], json!(["flight"]), "an answer carries the labels of what went into it");
    let versions = &shown["body"]["retrieval"]["versions"];
    assert_eq!(versions[0]["source"], "flight");
    // Said to people.
    let page = house.server.cloister_as(&house.url, &house.ada, &["explain", &record.to_string()]).unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("context: flight/src/flight-sensors.ads:"), "{page}");
    // It is the same prompt again, and the same answer.
    let (again, _) = house.context_of(&house.ada, house.fill(&house.ada));
    assert_eq!(shown["body"]["prompt_tokens"], again["body"]["prompt_tokens"]);
    assert_eq!(house.server.replay(record).unwrap()["matches"], true);

    // Bob learns nothing: not what, not that.
    let (shown, passages) = house.context_of(&house.bob, house.fill(&house.bob));
    assert!(passages.is_empty() && shown["body"]["retrieval"].is_null(), "{shown}");
    assert_eq!(shown["leaf"]["event"]["labels"], json!([]));
    for question in [
        json!({ "search": "static pressure" }),
        json!({ "search": "static pressure", "source": "flight" }),
        json!({ "definition": "Read_Static_Pressure" }),
        json!({ "references": "Read_Static_Pressure" }),
        json!({ "read": "src/flight-sensors.ads", "source": "flight" }),
        json!({ "sources": true }),
    ] {
        let (mut his, hers) = (house.look_up(&house.bob, &question), house.look_up(&house.ada, &question));
        assert_eq!(his["results"], json!([]), "{question}");
        let mut of_none = question.clone();
        if of_none["source"].is_string() {
            of_none["source"] = json!("nowhere");
        }
        let mut none = house.look_up(&house.bob, &of_none);
        (his["record"], none["record"]) = (Value::Null, Value::Null);
        assert_eq!(his, none, "a source that is not his answers as one that is not there");
        if question["references"].is_null() {
            assert!(!hers["results"][0].is_null(), "{question}: {hers}");
        }
    }
    // Every lookup is in the ledger, with its question in the body only.
    let answer = house.look_up(&house.ada, &json!({ "definition": "Read_Static_Pressure" }));
    let leaf = house.shown(&house.ada, answer["record"].as_u64().unwrap());
    assert_eq!(leaf["leaf"]["event"]["kind"], "lookup");
    assert_eq!(leaf["leaf"]["event"]["identity"], "ada");
    assert_eq!(leaf["body"]["question"]["definition"], "Read_Static_Pressure");
    assert_eq!(leaf["body"]["shown"][0]["path"], "src/flight-sensors.ads");
    // Somebody who wants nothing of it.
    let without = json!({ "input_prefix": BEGUN, "input_suffix": ";\n", "n_predict": 4, "cloister": { "context": false } });
    assert_eq!(house.post(&house.ada, "/infill", &without).0, 200);
    house.server.stop().unwrap();
    assert_eq!(house.server.verify().unwrap()["problems"], json!([]));
}

/// With the client of the PyPI package `mcp`: a reader finds what the source says, and each call is on record.
#[test]
fn the_model_context_protocol() {
    let python = std::env::var("CLOISTER_TEST_MCP")
        .expect("CLOISTER_TEST_MCP names a Python that has mcp: run `cargo xtask test`");
    let mut house = House::new("");
    house.add();
    house.server.start().unwrap();
    let ready =
        || !house.look_up(&house.ada, &json!({ "search": "static pressure" }))["results"][0].is_null();
    eventually("the index is open", ready);
    let searches = || {
        let list = house.server.cloisterd(&["ledger", "list", "--count", "200", "--json"]).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        let events = list.as_array().unwrap().iter().map(|row| &row["leaf"]["event"]);
        events.filter(|event| event["kind"] == "lookup" && event["action"] == "search").count()
    };
    let before = searches();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mcp_client.py"))
        .arg(places::program("cloister").unwrap())
        .arg("static pressure")
        .env("HOME", house.server.root())
        .env("CLOISTER_SERVER", &house.url)
        .env("CLOISTER_TOKEN", &house.ada)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}\n{}", house.server.log());
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["server"], "cloister");
    assert_eq!(seen["tools"], json!(["definition", "read", "references", "search", "sources"]));
    assert!(seen["found"].as_str().unwrap().contains("Read_Static_Pressure"), "{seen}");
    assert!(seen["nothing"].as_str().unwrap().contains("nothing"), "{seen}");
    assert!(searches() > before, "the search is in the ledger");
}

#[test]
fn a_commit_is_followed_and_a_removal_is_complete() {
    let mut house = House::new("");
    house.server.start().unwrap();
    house.add();
    let defined = |house: &House, name: &str| {
        house.look_up(&house.ada, &json!({ "definition": name }))["results"].as_array().unwrap().len()
    };
    assert_eq!(defined(&house, "Read_Static_Pressure"), 1);
    house.write("src/flight-sensors.ads", &SENSORS.replace("Read_Static_Pressure", "Read_Total_Pressure"));
    house.commit();
    let begun = Instant::now();
    eventually("a commit is followed", || defined(&house, "Read_Total_Pressure") == 1);
    eprintln!("a commit was found after {:?}", begun.elapsed());
    assert_eq!(defined(&house, "Read_Static_Pressure"), 0);

    // A question in a conversation gets the passage, framed as data, with its heading.
    let question = json!({
        "messages": [{ "role": "user", "content": "At which rate in hertz does the pressure port deliver?" }],
        "max_tokens": 8,
    });
    let (status, answer) = house.post(&house.ada, "/v1/chat/completions", &question);
    assert_eq!(status, 200, "{answer}");
    let listed = house.server.cloisterd(&["ledger", "list", "--count", "10", "--json"]).unwrap();
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let chat = listed.iter().find(|row| row["leaf"]["event"]["action"] == "chat").unwrap();
    let (_, passages) = house.context_of(&house.ada, chat["index"].as_u64().unwrap());
    assert_eq!(passages[0]["path"], "docs/icd.md", "{passages:?}");
    assert_eq!(passages[0]["headings"].as_array().unwrap().last().unwrap(), "Pressure port");

    let state: Value =
        serde_json::from_str(&house.server.cloisterd(&["repo", "status", "flight", "--json"]).unwrap())
            .unwrap();
    assert_eq!((state["stage"].as_str(), state["summary"]["branch"].as_str()), (Some("ready"), Some("main")));
    // The jails hold, those of indexers too; their looks are on record.
    assert!(house.server.cloisterd_output(&["airgap", "verify"]).unwrap().status.success());
    let folder = house.server.data().join("context/flight");
    assert!(folder.is_dir());
    let removed: Value =
        serde_json::from_str(&house.server.cloisterd(&["repo", "remove", "flight", "--json"]).unwrap())
            .unwrap();
    assert_eq!(removed["index"], "gone");
    assert!(!folder.exists());
    assert_eq!(defined(&house, "Read_Total_Pressure"), 0);
    let (_, passages) = house.context_of(&house.ada, house.fill(&house.ada));
    assert!(passages.is_empty(), "{passages:?}");
    let mentions = |directory: &Path| {
        let output =
            Command::new("grep").args(["-rlF", "Read_Total_Pressure"]).arg(directory).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(mentions(&house.server.data().join("context")), "");
    assert!(house.server.cloisterd(&["repo", "remove", "flight"]).is_err());
}

#[test]
fn indexers_that_die_and_indexes_that_rot_are_mended() {
    let mut house = House::new("");
    for number in 0..400 {
        let unit = format!(
            "package Part_{number} is\n   Value_{number} : constant Integer := {number};\nend Part_{number};\n"
        );
        house.write(&format!("parts/part_{number}.ads"), &unit);
    }
    house.commit();
    house.server.start().unwrap();
    let root = house.repository();
    let arguments =
        ["repo", "add", root.to_str().unwrap(), "--readers", "crew", "--label", "flight", "--no-wait"];
    house.server.cloisterd(&arguments).unwrap();
    // Killed as soon as it is seen, whatever it does just then.
    eventually("an indexer runs", || match house.server.child_pid("cloister-index") {
        Ok(pid) => testkit::server::signal("KILL", pid).is_ok(),
        Err(_) => false,
    });
    house.server.cloisterd(&["repo", "sync", "flight"]).unwrap();
    let defined = |house: &House| {
        let asked = json!({ "definition": "Value_7" });
        house.look_up(&house.ada, &asked)["results"].as_array().unwrap().len()
    };
    eventually("it is indexed", || defined(&house) == 1);

    // Rot, while nothing runs: the next start refuses the index and makes another.
    house.server.stop().unwrap();
    let folder = house.server.data().join("context/flight");
    let version = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().parse::<u64>().is_ok());
    let store = fs::read_dir(version.unwrap().path()).unwrap().flatten();
    let store =
        store.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "store"));
    let store = store.unwrap();
    let mut bytes = fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::File::create(&store).unwrap().write_all(&bytes).unwrap();
    house.server.start().unwrap();
    eventually("it is indexed anew", || defined(&house) == 1);
    assert!(house.server.log().contains("cannot be used, and is made anew"), "{}", house.server.log());

    // A source that goes away is said so, and what was indexed goes on to serve.
    fs::rename(house.repository(), house.server.root().join("elsewhere")).unwrap();
    let failed = house.server.cloisterd(&["repo", "sync", "flight"]).unwrap_err().to_string();
    assert!(failed.contains("flight is not indexed"), "{failed}");
    assert_eq!(defined(&house), 1);
}
