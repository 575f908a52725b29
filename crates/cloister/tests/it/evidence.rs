//! The evidence of a release: written, verified where nothing else is, and changed in every way that a test can think of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::{Admission, Choice, ENROL_KEY, Event, Step};
use protocol::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::draw::Draw;

use crate::bundle::write_keys;
use crate::lineage::{Case, PATH, POLICY, TEXT, ada_sources, json};
use crate::site::{Answer, MODEL, Person};
use crate::workplace::{Run, finish};

/// A report of a qualification, as far as it is looked at.
fn report() -> String {
    json!({ "model_digest": MODEL }).to_string()
}

impl Case {
    /// A release with an answer of which a reviewer approved all lines, whose model is qualified for Ada.
    fn release() -> Case {
        let case = Case::new();
        write_keys(&case.place, 7);
        let grace = Person::new("grace", 2);
        case.site.key(ENROL_KEY, &Person::new("ada", 1));
        case.site.key(ENROL_KEY, &grace);
        case.place.write("report.json", report());
        let step = |step, detail: String| {
            case.site.append(Event::Model(Box::new(Admission {
                actor: "root (uid:0)".to_owned(),
                step,
                object: Some(Digest([0xcc; 32])),
                title: "coder 1".to_owned(),
                weights: Some(MODEL),
                signer: None,
                alias: None,
                lock: None,
                detail,
                approvals: Vec::new(),
            })));
        };
        step(Step::Qualified, Digest(Sha256::digest(report()).into()).to_string());
        case.site.answer(&Answer::accepted(TEXT, PATH));
        case.pasted(TEXT);
        case.approve(&grace, &format!("{PATH}:3-10")).check(0);
        case.commit("grace approves");
        case.git(&["tag", "v1.0"], "repository");
        case.place.write("gate.cedar", POLICY);
        case.slice();
        case
    }

    fn evidence(&self, more: &[&str]) -> Run {
        let all = ["v1.0", "--key", "../key.pem", "--out", "../evidence"];
        self.run("evidence", &[&all[..], more].concat())
    }

    /// Everything that can be asked for.
    fn whole(&self) {
        let more = ["--policy", "../gate.cedar", "--qualified", "ada=../report.json", "--with-slice"];
        self.evidence(&more).check(0);
    }

    fn verify(&self, folder: &str) -> Run {
        self.place.run(&["ledger", "verify", folder, "--key", "pub.pem", "--policy", "log.policy"])
    }

    /// Refused, and that file is named; of a folder, a file in it.
    fn names(&self, file: &str, words: &str) {
        let run = self.verify("evidence");
        let of_file = |line: &&str| {
            let rest = line.strip_prefix("problem: ").and_then(|line| line.strip_prefix(file));
            rest.is_some_and(|rest| rest.starts_with(": ") || rest.starts_with('/'))
        };
        let named = run.out.lines().filter(of_file).any(|line| line.contains(words));
        assert!(named, "{file}: {words}: {run:#?}");
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(run.out.contains("NOT VERIFIED"), "{run:#?}");
    }

    /// As somebody does who has the key: the list is made anew, and signed.
    fn sign_again(&self) {
        let folder = self.place.path("evidence");
        let mut files = BTreeMap::new();
        for name in names(&folder).into_iter().filter(|name| name != "manifest.dsse") {
            let bytes = fs::read(folder.join(&name)).unwrap();
            let digest = Digest(Sha256::digest(&bytes).into());
            files.insert(name, json!({ "bytes": bytes.len(), "digest": digest }));
        }
        self.sign_list(&json!(files));
    }

    fn sign_list(&self, files: &Value) {
        let document: Value = serde_json::from_str(&self.place.read("evidence/evidence.json")).unwrap();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                { "name": "commit", "digest": { "gitCommit": document["head"] } },
                { "name": "tree", "digest": { "gitTree": document["tree"] } },
            ],
            "predicateType": "urn:cloister:release-evidence/v1",
            "predicate": { "release": document["release"], "files": files },
        });
        let signer = oms::KeySigner::from_pem(&self.place.read_bytes("key.pem"), None).unwrap();
        let signed = oms::dsse::sign(statement.to_string().as_bytes(), &signer).unwrap();
        self.place.write("evidence/manifest.dsse", signed);
    }
}

/// All files of a folder, by their names from there.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(beneath) = folders.pop() {
        for entry in fs::read_dir(folder.join(&beneath)).unwrap() {
            let entry = entry.unwrap();
            let name = beneath.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else {
                names.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn a_folder_says_all_and_is_verified() {
    let case = Case::release();
    case.whole();
    let folder = case.place.path("evidence");
    let document: Value = serde_json::from_str(&case.place.read("evidence/evidence.json")).unwrap();
    let range = document["ranges"].as_array().unwrap().iter().find(|range| range["grade"] == "ai-verbatim");
    let range = range.unwrap();
    assert_eq!((&range["first"], &range["last"]), (&json!(3), &json!(10)));
    assert_eq!(range["approved_by"], json!(["grace"]));
    assert_eq!(range["decision"]["allowed"], true);
    assert_eq!(document["gate"]["passed"], true);
    // Intent, result, check and decision of the answer; two keys and a model; the slice's own.
    assert_eq!(names(&folder.join("leaves")).len(), 8);
    for name in ["report.html", "report.md"] {
        let report = case.place.read(&format!("evidence/{name}"));
        for words in ["grace", "asked by ada", "control.adb", "coder", "passed", "qualification/"] {
            assert!(report.contains(words), "{words} is not in {report}");
        }
        assert!(!report.contains("Rate_Max"), "no line of code");
        assert!(!report.contains("<script") && !report.contains("://"), "{report}");
    }
    let run = case.verify("evidence").check(0);
    for words in
        ["verified: no problem was found", "gate         passed, and decides so again", "8 are in the log"]
    {
        assert!(run.out.contains(words), "{words} is not in {run:#?}");
    }
    assert!(!run.out.contains("note:"), "{run:#?}");
    // A tool that knows the proofs only.
    let leaf = names(&folder.join("leaves"))[0].clone();
    let leaf = format!("evidence/leaves/{leaf}");
    case.place.run(&["ledger", "check-proof", &leaf, "--policy", "log.policy"]).check(0);
    // JSON; without the log's policy; without the key; another's key; another log's policy.
    let verify = ["ledger", "verify", "evidence"];
    let with = |more: &[&str]| case.place.run(&[&verify[..], more].concat());
    let found = json(&with(&["--key", "pub.pem", "--json"]).check(0));
    assert_eq!((&found["verdict"], &found["policy_given"]), (&json!("passed"), &json!(false)));
    assert_eq!((&found["slice"], &found["gate_passed"]), (&json!(true), &json!(true)));
    assert!(found["notes"][0].as_str().unwrap().contains("give --policy"), "{found}");
    with(&[]).check(2).says("anybody could have made it");
    let run = with(&["--key", "pub.pem", "--verifier", "x"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    write_keys(&case.place, 8);
    case.names("manifest.dsse", "no signature of the envelope is of the key");
    write_keys(&case.place, 7);
    let other = crate::site::Site::keyed(&case.place.path("other"), [8; 32]);
    case.place.write("other.policy", other.policy());
    let run = with(&["--key", "pub.pem", "--policy", "other.policy"]).check(1);
    assert!(run.out.contains("it proves nothing"), "{run:#?}");
    // It is not written over, and --key is for nothing else.
    case.evidence(&[]).check(1).says("cannot make ../evidence");
    case.place.run(&["ledger", "verify", "site/ledger", "--key", "pub.pem"]).check(2).says("is none");
}

#[test]
fn without_a_policy_and_without_a_slice() {
    let case = Case::release();
    case.evidence(&[]).check(0).says("5 of 12 lines are the assistant's, or look so; the gate: not asked");
    let run = case.verify("evidence").check(0);
    assert!(run.out.contains("note: no slice is here"), "{run:#?}");
    for missing in ["slice", "vsa.dsse", "gate.cedar"] {
        assert!(!case.place.path("evidence").join(missing).exists());
    }
    case.evidence(&["--qualified", "ada=../log.policy"]).check(1).says("no leaf of the slice qualifies");
}

/// A gate that refuses is evidence, too.
#[test]
fn a_refusal_is_written_down() {
    let case = Case::release();
    case.pasted(&TEXT.replace("Rate > Rate_Max", "Rate >= Rate_Max"));
    case.git(&["tag", "-f", "v1.0"], "repository");
    case.evidence(&["--policy", "../gate.cedar"]).check(0).says("the gate: refused");
    let run = case.verify("evidence").check(0);
    assert!(run.out.contains("gate         REFUSED, and decides so again"), "{run:#?}");
    let report = case.place.read("evidence/report.html");
    assert!(report.contains("class=\"refused\">REFUSED by level-a-approval: in src/flight"), "{report}");
    assert!(report.contains("has no such 8 lines: they were changed"), "{report}");
}

/// One bit, anywhere: the folder is refused, and the file is named. A file that is missing, and one that was added, too.
#[test]
fn every_byte_of_every_file_counts() {
    let case = Case::release();
    case.whole();
    let mut draw = Draw::fresh("flips");
    let folder = case.place.path("evidence");
    for name in names(&folder) {
        let place = format!("evidence/{name}");
        let bytes = case.place.read_bytes(&place);
        let length = bytes.len() as u64;
        let mut positions = vec![0, length - 1];
        positions.extend((0..6).map(|_| draw.below(length)));
        for at in positions {
            let mut changed = bytes.clone();
            changed[usize::try_from(at).unwrap()] ^= 1 << draw.below(8);
            case.place.write(&place, changed);
            case.names(&name, "");
        }
        for length in [0, draw.below(length)] {
            case.place.write(&place, &bytes[..usize::try_from(length).unwrap()]);
            case.names(&name, "");
        }
        case.place.write(&place, [&bytes[..], b"\n"].concat());
        case.names(&name, "");
        fs::remove_file(folder.join(&name)).unwrap();
        case.names(&name, "it is missing");
        // A link to the very same bytes is no file of the folder.
        case.place.write("same", &bytes);
        symlink(case.place.path("same"), folder.join(&name)).unwrap();
        case.names(&name, "it is a link");
        fs::remove_file(folder.join(&name)).unwrap();
        case.place.write(&place, &bytes);
    }
    case.verify("evidence").check(0);
    for (name, words) in [
        ("leaves/999.tlog-proof", "it was added"),
        ("notes.txt", "it does not belong here"),
        (".hidden", "it does not belong here"),
        ("leaves/1.tlog-proof.bak", "it does not belong here"),
    ] {
        let path = case.place.write(&format!("evidence/{name}"), "more");
        case.names(name, words);
        fs::remove_file(path).unwrap();
    }
    fs::create_dir(folder.join("more")).unwrap();
    case.names("more", "it is a folder that does not belong here");
    fs::remove_dir(folder.join("more")).unwrap();
    // The whole folder of leaves elsewhere.
    fs::rename(folder.join("leaves"), case.place.path("leaves")).unwrap();
    symlink(case.place.path("leaves"), folder.join("leaves")).unwrap();
    case.names("leaves", "it is a link");
    fs::remove_file(folder.join("leaves")).unwrap();
    fs::rename(case.place.path("leaves"), folder.join("leaves")).unwrap();
    case.verify("evidence").check(0);
}

/// Nothing outside of the folder is read, whatever the signed list says.
#[test]
fn a_list_leads_nowhere_else() {
    let case = Case::release();
    case.whole();
    let secret = case.place.write("secret", "secret");
    let bytes = fs::read(&secret).unwrap();
    let entry = json!({ "bytes": bytes.len(), "digest": Digest(Sha256::digest(&bytes).into()) });
    for name in ["../secret", secret.to_str().unwrap(), "leaves/../../secret", "secret", "leaves/"] {
        case.sign_list(&json!({ name: entry }));
        case.names("manifest.dsse", "which no such folder has");
    }
}

/// Whoever has the key cannot tell otherwise than the leaves do.
#[test]
fn a_signer_who_tells_otherwise() {
    let case = Case::release();
    case.whole();
    let document = case.place.read("evidence/evidence.json");
    let says = |from: &str, to: &str, file: &str, words: &str| {
        let changed = document.replace(from, to);
        assert_ne!(changed, document, "{from}");
        case.place.write("evidence/evidence.json", changed);
        case.sign_again();
        case.names(file, words);
        case.place.write("evidence/evidence.json", &document);
    };
    let here = "evidence.json";
    says(
        "\"prompted_by\": \"ada\"",
        "\"prompted_by\": \"eve\"",
        here,
        "otherwise than its leaves: prompted_by",
    );
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    says(&format!("\"model\": \"{MODEL}\""), &format!("\"model\": \"{other}\""), here, "its leaves: model");
    says("\"decision\": \"accepted\"", "\"decision\": \"rejected\"", here, "its leaves: decision");
    says("\"check\": \"passed\"", "\"check\": \"failed\"", here, "its leaves: check");
    says("\"compared\": true", "\"compared\": false", here, "otherwise than the slice");
    says("\"allowed\": true", "\"allowed\": false", here, "is not decided as the policy decides");
    says("\"passed\": true", "\"passed\": false", here, "tells otherwise of the gate");
    says("\"person\": \"grace\"", "\"person\": \"ada\"", "approvals", "signed by grace, and not by ada");
    says("\"grade\": \"ai-verbatim\"", "\"grade\": \"unknown\"", here, "is unknown, and of record");
    says(
        "\"grade\": \"ai-verbatim\"",
        "\"grade\": \"ai-modified\"",
        "report.html",
        "does not say what the document",
    );
    says("\"last\": 10,", "\"last\": 9,", here, "its ranges have");
    says("\"release\": \"v1.0\"", "\"release\": \"v1.0\", \"more\": 1", here, "unknown field");
    says("\"origin\": \"site.example/log\"", "\"origin\": \"other\"", "leaves", "another checkpoint");
    // A proof of another leaf, a report and a statement of something else.
    let leaves = names(&case.place.path("evidence/leaves"));
    let (one, another) = (format!("leaves/{}", leaves[0]), format!("leaves/{}", leaves[1]));
    let swapped = case.place.read_bytes(&format!("evidence/{another}"));
    let replaced = |name: &str, bytes: &[u8], words: &str| {
        let before = case.place.read_bytes(&format!("evidence/{name}"));
        case.place.write(&format!("evidence/{name}"), bytes);
        case.sign_again();
        case.names(name, words);
        case.place.write(&format!("evidence/{name}"), before);
    };
    replaced(&one, &swapped, "it is a proof of leaf");
    replaced("report.md", b"All is well.\n", "does not say what the document says");
    replaced(
        "vsa.dsse",
        &case.place.read_bytes("evidence/attestation.dsse"),
        "does not state what the document",
    );
    replaced("slice", b"cloister slice 1\n", "it is not believed");
    replaced("gate.cedar", b"permit (principal, action, resource) when {", "cannot be read");
    // Left out: by the list alone, and by the document, too.
    let left_out = |name: &str, words: &str| {
        let path = case.place.path(&format!("evidence/{name}"));
        fs::rename(&path, case.place.path("left-out")).unwrap();
        case.sign_again();
        case.names(name, words);
        fs::rename(case.place.path("left-out"), path).unwrap();
    };
    let all = names(&case.place.path("evidence"));
    let not_needed = ["manifest.dsse", "evidence.json", "slice"];
    for name in all.iter().filter(|name| !not_needed.contains(&name.as_str())) {
        left_out(name, "it is needed, and the signed list does not have it");
    }
    let read: Value = serde_json::from_str(&document).unwrap();
    for (index, hash) in read["leaves"].as_object().unwrap() {
        let entry = format!("\"{index}\": {hash}");
        let without = document.replace(&format!("{entry},"), "").replace(&format!(",\n    {entry}"), "");
        case.place.write("evidence/evidence.json", without);
        case.sign_again();
        case.names(here, &format!("it rests on leaf {index}, which is not here"));
    }
    case.place.write("evidence/evidence.json", &document);
    case.sign_again();
    case.verify("evidence").check(0);
}

/// A root with the command and what it is linked with, and nothing else.
fn fresh_root(case: &Case) -> PathBuf {
    let root = case.place.path("root");
    fs::create_dir(&root).unwrap();
    let program = env!("CARGO_BIN_EXE_cloister");
    fs::copy(program, root.join("cloister")).unwrap();
    let linked = Command::new("ldd").arg(program).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
    root
}

/// A release of the Ada run-time library's sources, where answers were taken over, edited, or only look like lines of it.
#[test]
fn a_release_of_a_real_ada_repository() {
    let case = Case::new();
    write_keys(&case.place, 7);
    let mut sources: Vec<PathBuf> = fs::read_dir(ada_sources())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "adb" || ending == "ads"))
        .collect();
    sources.sort();
    let (mut files, mut answers) = (0, 0);
    for path in sources.iter().step_by(4) {
        let Ok(text) = fs::read_to_string(path) else { continue };
        let name = format!("src/{}", path.file_name().unwrap().to_str().unwrap());
        case.file(&name, &text);
        files += 1;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        // Behind the licence, where there is much.
        if files % 5 != 0 || lines.len() < 120 {
            continue;
        }
        let answer = lines[60..84].concat();
        let choice = if files % 3 == 0 { Choice::Shown } else { Choice::Accepted };
        case.site.answer(&Answer { choice: Some(choice), ..Answer::accepted(&answer, &name) });
        answers += 1;
    }
    case.commit("the run-time library");
    case.git(&["tag", "v1.0"], "repository");
    assert!(files > 300 && answers > 20, "{files} {answers}");
    case.place.write(
        "gate.cedar",
        "permit (principal, action, resource) unless { resource.grade == \"matches-ai\" };",
    );
    case.slice();
    case.evidence(&["--policy", "../gate.cedar", "--with-slice"]).check(0);

    let root = fresh_root(&case);
    for name in ["pub.pem", "log.policy"] {
        fs::copy(case.place.path(name), root.join(name)).unwrap();
    }
    fs::rename(case.place.path("evidence"), root.join("evidence")).unwrap();
    let verify = |more: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--ipc", "--uts", "--pid", "--fork", "chroot"]);
        command.arg(&root).args(["/cloister", "ledger", "verify", "/evidence", "--key", "/pub.pem"]);
        command.args(["--policy", "/log.policy"]).args(more);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        finish(command, "")
    };
    let found = json(&verify(&["--json"]).check(0));
    assert_eq!((&found["verdict"], &found["slice"]), (&json!("passed"), &json!(true)));
    let lines = &found["lines"];
    let count = |grade: &str| lines[grade].as_u64().unwrap_or(0);
    assert!(count("ai-verbatim") > 200 && count("matches-ai") > 50, "{lines}");
    assert!(found["answers"].as_u64().unwrap() >= 20, "{found}");
    assert_eq!(found["gate_passed"], false);
    // One altered byte anywhere is named.
    let mut draw = Draw::fresh("flips in a release");
    let all = names(&root.join("evidence"));
    for _ in 0..25 {
        let name = draw.one_of(&all).clone();
        let path = root.join("evidence").join(&name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let at = usize::try_from(draw.below(bytes.len() as u64)).unwrap();
        changed[at] ^= 1 << draw.below(8);
        case.place.write(&format!("root/evidence/{name}"), changed);
        let run = verify(&[]).check(1);
        assert!(run.out.contains(&format!("problem: {name}: ")), "byte {at} of {name}: {run:#?}");
        case.place.write(&format!("root/evidence/{name}"), bytes);
    }
    verify(&[]).check(0);
}
