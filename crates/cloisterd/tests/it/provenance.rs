//! Which known code an answer matches: the real daemon and the real model, which is made to recite a file of GNAT's
//! run-time, against a corpus of the run-time that is on this machine.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::places;
use testkit::server::Server;

/// The beginning of a file of the run-time that any model of code knows.
const BEFORE: &str = "\
package Ada.Characters.Latin_1 is
   pragma Pure;

   ------------------------
   -- Control Characters --
   ------------------------

   NUL                  : constant Character := Character'Val (0);
   SOH                  : constant Character := Character'Val (1);
";

/// A licence's header that any model of code knows, and how much of it the prompt has.
const HEADER: &str = "\
--  This program is free software: you can redistribute it and/or modify
--  it under the terms of the GNU General Public License as published by
--  the Free Software Foundation, either version 3 of the License, or
--  (at your option) any later version.
--
--  This program is distributed in the hope that it will be useful,
--  but WITHOUT ANY WARRANTY; without even the implied warranty of
--  MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
--  GNU General Public License for more details.
--
--  You should have received a copy of the GNU General Public License
--  along with this program.  If not, see <https://www.gnu.org/licenses/>.

procedure Guidance is
begin
   null;
end Guidance;
";
const HEADER_BEGUN: usize = 2;

struct House {
    server: Server,
}

impl House {
    /// A server with a corpus of the run-time, and that policy.
    fn new(policy: &str) -> House {
        let server = Server::new(places::CODER, &[]).unwrap();
        server.configure(policy).unwrap();
        let sources = server.root().join("runtime");
        fs::create_dir(&sources).unwrap();
        for entry in fs::read_dir(run_time()).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            // One part of it is enough.
            if name.starts_with("a-") {
                fs::copy(entry.path(), sources.join(name)).unwrap();
            }
        }
        let guidance = server.root().join("guidance");
        fs::create_dir(&guidance).unwrap();
        write(&guidance.join("guidance.adb"), HEADER);
        let [sources, guidance] = [&sources, &guidance].map(|path| path.to_str().unwrap());
        let built = server.cloisterd(&["corpus", "build", "gnat", sources, guidance, "--json"]);
        let built: Value = serde_json::from_str(&built.unwrap()).unwrap();
        assert!(built["root"].as_str().unwrap().starts_with("sha256:"), "{built}");
        let mut house = House { server };
        house.server.start().unwrap();
        house.until_open();
        house
    }

    fn until_open(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let listed = self.server.cloisterd(&["corpus", "list", "--json"]).unwrap();
            let listed: Value = serde_json::from_str(&listed).unwrap();
            if listed[0]["stage"] == "open" {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{listed}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// The status and the body of an answer.
    fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let output = Command::new("curl")
            .args(["-s", "-w", "\n%{http_code}", "--unix-socket"])
            .arg(self.server.socket())
            .args(["-d", &body.to_string(), &format!("http://localhost{path}")])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.trim_end().rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// The model goes on with the beginning of a file.
    fn recite(&self, beginning: &str, stream: bool) -> (u16, String) {
        let body = json!({
            "prompt": beginning, "max_tokens": 160, "temperature": 0, "stream": stream,
            "cloister": { "context": false },
        });
        self.post("/v1/completions", &body)
    }
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn header_begun() -> String {
    HEADER.lines().take(HEADER_BEGUN).map(|line| format!("{line}\n")).collect()
}

fn run_time() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/gcc").unwrap().flatten();
    let versions = versions.flat_map(|target| fs::read_dir(target.path()).unwrap().flatten());
    let mut folders = versions.map(|version| version.path().join("adainclude")).filter(|path| path.is_dir());
    folders.next().expect("GNAT's run-time: install the package gnat")
}

/// The first exact match that says something.
fn matched(provenance: &Value) -> &Value {
    let matches = provenance["matches"].as_array().unwrap();
    let told = matches.iter().find(|one| one["kind"] == "exact" && one["is_common"] == false);
    told.unwrap_or_else(|| panic!("{provenance}"))
}

#[test]
fn what_a_model_recites_is_traced_to_its_file() {
    let house = House::new("");
    let (status, body) = house.recite(&header_begun(), false);
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let found = matched(&answer["cloister"]["provenance"]);
    assert!(found["lexemes"].as_u64().unwrap() >= 65, "{body}");
    let licences = found["licences"].as_array().unwrap();
    assert!(licences.contains(&json!("GPL-3.0-or-later")), "{found}");
    assert_eq!(found["origins"][0]["origin"]["package"], "folder:guidance", "{found}");

    let (status, body) = house.recite(BEFORE, false);
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let text = answer["choices"][0]["text"].as_str().unwrap();
    let provenance = &answer["cloister"]["provenance"];
    let found = matched(provenance);
    // A small model errs in some lines; with what stands before, it is long enough to be sure.
    let lexemes = ["lexemes", "lexemes_around"].map(|name| found[name].as_u64().unwrap());
    assert!(lexemes.iter().sum::<u64>() >= 31, "{text}\n{found}");
    let origin = &found["origins"][0];
    assert_eq!(origin["origin"]["path"], "a-chlat1.ads", "{found}");
    assert_eq!((&found["action"], &provenance["corpora"][0]["name"]), (&json!("annotate"), &json!("gnat")));
    // The lines there end with the text's last words.
    let file = fs::read_to_string(run_time().join("a-chlat1.ads")).unwrap();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let matching = &text[number(&found["start"])..number(&found["end"])];
    let said = words(matching.lines().last().unwrap());
    assert!(words(file.lines().nth(number(&origin["lines"][1]) - 1).unwrap()).contains(&said), "{found}");
    // The record says the same, to people too.
    let record = answer["cloister"]["record"].as_u64().unwrap().to_string();
    let document: Value =
        serde_json::from_str(&house.server.cloister(&["explain", &record, "--json"]).unwrap()).unwrap();
    let related = document["related"].as_array().unwrap();
    let result = related.iter().find(|leaf| leaf["leaf"]["event"]["kind"] == "result").unwrap();
    assert_eq!(&result["body"]["provenance"], provenance);
    let page = house.server.cloister(&["explain", &record]).unwrap();
    assert!(page.contains("known code") && page.contains("a-chlat1.ads"), "{page}");
    // What stands in the file itself is said to be from there.
    let repeated = json!({
        "input_prefix": format!("{BEFORE}--  And again:\n{BEFORE}"), "input_suffix": "", "n_predict": 8,
        "cloister": { "context": false },
    });
    assert_eq!(house.post("/infill", &repeated).0, 200);
    // A file by hand, for a pipeline.
    let path = house.server.root().join("latin.ads");
    fs::copy(run_time().join("a-chlat1.ads"), &path).unwrap();
    let traced = house.server.cloister(&["trace", path.to_str().unwrap(), "--json"]).unwrap();
    let traced: Value = serde_json::from_str(&traced).unwrap();
    assert_eq!(matched(&traced["files"][0])["origins"][0]["origin"]["path"], "a-chlat1.ads");
    let fresh = house.server.root().join("fresh.ads");
    write(&fresh, "package Zebra_Quagga is\n   Okapi : Integer := 7;\nend Zebra_Quagga;\n");
    let traced = house.server.cloister(&["trace", fresh.to_str().unwrap()]).unwrap();
    assert!(traced.contains("no match in gnat at "), "{traced}");
    let any = ["trace", path.to_str().unwrap(), "--fail-on", "any", "--format", "sarif"];
    let failed = house.server.cloister(&any).unwrap_err().to_string();
    assert!(failed.contains("a-chlat1.ads"), "{failed}");
    house.server.verify().unwrap();
}

#[test]
fn what_the_policy_keeps_out_is_withheld() {
    let policy = "[[provenance.rules]]\nlicences = ['GPL-*']\naction = 'block'\n";
    let house = House::new(policy);
    let (status, body) = house.recite(&header_begun(), false);
    assert_eq!(status, 451, "{body}");
    let message =
        serde_json::from_str::<Value>(&body).unwrap()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("guidance.adb") && message.contains("rule 1"), "{message}");
    // Streamed, nothing of the match is shown: it was held back until it was certain.
    let (_, body) = house.recite(&header_begun(), true);
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events.filter_map(|event| serde_json::from_str(event).ok()).collect();
    let shown: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    let last = events.last().unwrap();
    assert!(last["error"]["message"].as_str().unwrap().contains("guidance.adb"), "{body}");
    assert!(!shown.contains("later version"), "{shown}");
    // The whole of it is on record, with why.
    let records = house.server.cloisterd(&["ledger", "query", "--kind", "intent", "--json"]).unwrap();
    assert!(records.contains("withheld"), "{records}");
    // For auditors: whoever asked does not get it by its number either, nor by that of its result.
    let records: Value = serde_json::from_str(&records).unwrap();
    let row = records["rows"].as_array().unwrap().iter().find(|row| row["outcome"] == "withheld").unwrap();
    for leaf in [&row["leaf"], &row["result"]] {
        let shown = house.server.show(leaf.as_u64().unwrap()).unwrap();
        let whole = shown.to_string();
        assert!(whole.contains(r#""withheld":true"#) && !whole.contains("later version"), "{whole}");
    }
    // What matches nothing is answered, streamed or not.
    let fresh = json!({
        "input_prefix": "package Zebra_Quagga is\n   Okapi : Integer := ", "input_suffix": ";\nend Zebra_Quagga;\n",
        "n_predict": 6, "stream": true, "cloister": { "context": false },
    });
    let (_, body) = house.post("/infill", &fresh);
    assert!(!body.contains("error") && body.contains("\"provenance\""), "{body}");
}
