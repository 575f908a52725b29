//! Lines of real repositories, by the built command and slices of real ledgers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::{CheckOutcome, Choice, ENROL_KEY};
use lineage::slice::Scope;
use serde_json::Value;
use testkit::draw::Draw;
use testkit::histories::{self, Kind, Score, Texts};

use crate::site::{Answer, Person, REPOSITORY, Site};
use crate::workplace::{Run, Workplace};

/// A text of an answer, and the file that it is for.
pub(crate) const TEXT: &str = "\
   procedure Limit_Rate (Rate : in out Degrees_Per_Second) is
   begin
      if Rate > Rate_Max then
         Rate := Rate_Max;
      elsif Rate < -Rate_Max then
         Rate := -Rate_Max;
      end if;
   end Limit_Rate;
";
pub(crate) const PATH: &str = "src/flight/control.adb";

/// A workplace with a site's ledger and a repository.
pub(crate) struct Case {
    pub(crate) place: Workplace,
    pub(crate) site: Site,
}

impl Case {
    pub(crate) fn new() -> Case {
        let place = Workplace::new();
        let site = Site::new(&place.path("site"));
        place.write("log.policy", site.policy());
        let case = Case { place, site };
        case.git(&["init", "-q", "-b", "main", "repository"], ".");
        case.file(PATH, "package body Control is\n\nend Control;\n");
        case.commit("the beginning");
        case.git(&["checkout", "-q", "-b", "feature"], "repository");
        case
    }

    pub(crate) fn git(&self, arguments: &[&str], folder: &str) {
        let ran = Command::new("git")
            .args(arguments)
            .current_dir(self.place.path(folder))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "ada")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "ada@site.example")))
            .output()
            .unwrap();
        assert!(ran.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        self.place.write(&format!("repository/{path}"), text);
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"], "repository");
        self.git(&["commit", "-q", "-m", message], "repository");
    }

    /// A file with the answer in it, committed.
    pub(crate) fn pasted(&self, text: &str) {
        self.file(PATH, &format!("package body Control is\n\n{text}\nend Control;\n"));
        self.commit("limit the rate");
    }

    pub(crate) fn slice(&self) {
        let scope = Scope { repository: Some(REPOSITORY.to_owned()), ..Scope::default() };
        self.place.write("slice", self.site.slice(scope));
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Run {
        let ledger = ["--slice", "../slice", "--log-policy", "../log.policy"];
        self.bare(&[&[command][..], &ledger, arguments].concat())
    }

    pub(crate) fn bare(&self, arguments: &[&str]) -> Run {
        let mut command = self.place.command();
        command.current_dir(self.place.path("repository")).args(arguments);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        crate::workplace::finish(command, "")
    }

    pub(crate) fn approve(&self, person: &Person, range: &str) -> Run {
        let key = self.place.write("key", person.private());
        private(&key);
        self.bare(&["approve", range, "--key", "../key"])
    }

    pub(crate) fn gate(&self, arguments: &[&str]) -> Run {
        self.run("gate", &[&["--policy", "../gate.cedar"][..], arguments].concat())
    }
}

/// `ssh-keygen` takes no key that others can read.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap()
}

#[test]
fn a_change_in_every_form() {
    let case = Case::new();
    let record = case.site.answer(&Answer::accepted(TEXT, PATH));
    case.pasted(TEXT);
    case.slice();
    let run = case.run("review", &[]).check(0);
    assert!(run.out.contains("src/flight/control.adb\n  3-10        ai-verbatim"), "{run:#?}");
    for words in [&format!("record {record}"), "ada", "coder", "check: passed", "accepted", "not approved"] {
        assert!(run.out.contains(words), "{words} is not in {run:#?}");
    }
    let table = json(&case.run("review", &["--json"]).check(0));
    let row = table["ranges"].as_array().unwrap().iter().find(|row| row["grade"] == "ai-verbatim").unwrap();
    assert_eq!((&row["first"], &row["last"]), (&3.into(), &10.into()));
    assert_eq!(row["answer"]["record"], record);
    let diff = case.run("review", &["--diff"]).check(0);
    assert!(diff.out.contains("+          Rate := -Rate_Max;"), "{diff:#?}");
    let sarif = json(&case.run("review", &["--sarif"]).check(0));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["region"]["startLine"], 3);
    let commit = json(&case.run("review", &["--json", "--commit", "HEAD"]).check(0));
    assert_eq!(commit["ranges"], table["ranges"]);
    case.git(&["tag", "v1"], "repository");
    let tag = json(&case.run("review", &["--json", "--tag", "v1"]).check(0));
    assert_eq!(tag["lines"]["ai-verbatim"], table["lines"]["ai-verbatim"]);
    let blame = case.run("blame", &[PATH]).check(0);
    assert!(blame.out.contains(&format!("A {record} ada")), "{blame:#?}");
    // A slice that somebody changed, and one of another log.
    let mut bytes = case.place.read_bytes("slice");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    case.place.write("slice", bytes);
    case.run("review", &[]).check(1).says("is not believed");
    let other = Site::keyed(&case.place.path("other"), [8; 32]);
    case.place.write("log.policy", other.policy());
    case.slice();
    case.run("review", &[]).check(1).says("the slice's checkpoint is not accepted");
    case.run("review", &["--base", "nowhere"]).check(2).says("there is no commit `nowhere`");
}

/// A note says what the ledger says, or is reported; it changes nothing.
#[test]
fn notes_are_written_compared_and_not_believed() {
    let case = Case::new();
    case.site.answer(&Answer::accepted(TEXT, PATH));
    case.pasted(TEXT);
    case.slice();
    let commit = ["--commit", "HEAD"];
    let note = case.run("review", &[&commit[..], &["--note"]].concat()).check(0).out;
    assert!(note.starts_with(&format!("{PATH}\n  s_")) && note.contains(" 3-10\n---\n{"), "{note}");
    let add = |note: &str| {
        case.place.write("note", note);
        case.git(&["notes", "--ref=ai", "add", "-f", "-F", "../note", "HEAD"], "repository");
        let run = case.run("review", &[&commit[..], &["--json"]].concat()).check(0);
        assert_eq!(json(&run)["lines"]["ai-verbatim"], 5);
        run.err
    };
    assert_eq!(add(&note), "");
    let says = |note: &str, words: &str| {
        let said = add(note);
        assert!(said.contains("is not believed") && said.contains(words), "{said}");
    };
    says(
        &note.replace(" 3-10", " 1-2"),
        "2 lines, the first is 1, are the assistant's by the note, and not by the ledger",
    );
    says(&note.replace("s_", "h_"), "are a person's by the note, and the assistant's by the ledger");
    says(&note.replace(PATH, "src/other.adb"), "are the assistant's by the ledger, and not by the note");
    says("words", "it is no note of the Git AI standard");
}

pub(crate) const POLICY: &str = r#"
@id("all")
permit (principal, action == Action::"merge", resource);

@id("level-a-approval")
@reason("in src/flight a line of the assistant needs the approval of somebody who did not ask for it")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && resource.path like "src/flight/*" && resource.approved_by_others.isEmpty() };

@id("level-a-check")
@reason("in src/flight a line of the assistant needs a check that passed")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && resource.path like "src/flight/*" && resource.check != "passed" };
"#;

/// From the refusal to the approval, over a rebase, to the edited line that voids it.
#[test]
fn the_gate_and_approvals() {
    let case = Case::new();
    let (ada, grace, mallory) = (Person::new("ada", 1), Person::new("grace", 2), Person::new("mallory", 3));
    case.site.key(ENROL_KEY, &ada);
    case.site.key(ENROL_KEY, &grace);
    case.site.answer(&Answer::accepted(TEXT, PATH));
    case.place.write("gate.cedar", POLICY);
    case.pasted(TEXT);
    case.slice();
    let refused = |words: &str| {
        let run = case.gate(&[]).check(1);
        let all = format!("{}{}", run.out, run.err);
        assert!(all.contains(words), "{words:?} is not in {all}");
    };
    refused("control.adb:3-10: ai-verbatim: refused\n  level-a-approval: in src/flight");
    // Whoever asked approves nothing; nor does one whose key is nobody's, nor who approves less than the range.
    let range = |lines: &str| format!("{PATH}:{lines}");
    case.approve(&ada, &range("3-10")).check(0);
    case.commit("ada approves");
    refused("level-a-approval");
    case.approve(&mallory, &range("3-10")).check(0);
    case.commit("mallory approves");
    refused("counts for nothing: its key is enrolled to nobody");
    case.approve(&grace, &range("4-10")).check(0);
    case.commit("grace approves a part");
    refused("level-a-approval");
    case.approve(&grace, &range("3-10")).check(0);
    case.commit("grace approves");
    case.gate(&[]).check(0).says("passed: 0 of");
    // The base goes on, and the change is rebased.
    case.git(&["checkout", "-q", "main"], "repository");
    case.file("README", "more\n");
    case.commit("the base goes on");
    case.git(&["checkout", "-q", "feature"], "repository");
    case.git(&["rebase", "-q", "main"], "repository");
    case.gate(&[]).check(0);
    // An attestation that openssl verifies, and whose proofs hold.
    let key = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"];
    assert!(Command::new("openssl").args(key).current_dir(case.place.path(".")).status().unwrap().success());
    let signing = ["--attestation", "../statement", "--vsa", "../vsa", "--key", "../key.pem"];
    case.gate(&signing).check(0);
    let statement = opened(&case.place, "statement");
    let vsa = opened(&case.place, "vsa");
    assert_eq!(vsa["predicate"]["verificationResult"], "PASSED");
    let range = &statement["predicate"]["ranges"]
        .as_array()
        .unwrap()
        .iter()
        .find(|range| !range["leaf"].is_null())
        .unwrap();
    let proof: tlog::TlogProof = range["leaf"]["proof"].as_str().unwrap().parse().unwrap();
    let hash: protocol::Digest = range["leaf"]["hash"].as_str().unwrap().parse().unwrap();
    let policy = tlog::Policy::parse(case.site.policy().as_bytes()).unwrap();
    proof.verify(&hash.0, &policy).unwrap();
    assert_eq!(range["range"]["approved_by"], serde_json::json!(["ada", "grace"]));
    // One edited line, and it is nobody's approval any more.
    case.pasted(&TEXT.replace("Rate > Rate_Max", "Rate >= Rate_Max"));
    refused("level-a-approval");
    refused("has no such 8 lines: they were changed");
    case.gate(&signing).check(1);
    assert_eq!(opened(&case.place, "vsa")["predicate"]["verificationResult"], "FAILED");
    // A policy that cannot decide decides nothing.
    case.place.write("gate.cedar", "permit (principal, action, resource) when { resource.colour == 1 };");
    case.gate(&[]).check(2).says("does not fit the gate's schema");
}

/// What somebody puts together of what was good once is refused, and said to be what it is.
#[test]
fn what_the_gate_refuses_by_name() {
    let case = Case::new();
    let (grace, eve) = (Person::new("grace", 2), Person::new("eve", 3));
    case.site.key(ENROL_KEY, &grace);
    case.site.answer(&Answer::accepted(TEXT, PATH));
    case.place.write("gate.cedar", POLICY);
    case.pasted(TEXT);
    case.slice();
    let range = format!("{PATH}:3-10");
    let refused = |words: &str| {
        let run = case.gate(&[]).check(1);
        let all = format!("{}{}", run.out, run.err);
        assert!(all.contains(words), "{words:?} is not in {all}");
    };
    let approval = |run: Run| -> (PathBuf, Value) {
        let file = case.place.path("repository").join(run.check(0).out.trim());
        let read = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        (file, read)
    };
    // Forged: a good signature under another text, and another's signature under the good one's key.
    let text = case.bare(&["approve", &range, "--text"]).check(0).out;
    let earlier = case.bare(&["approve", &format!("{PATH}:1-2"), "--text"]).check(0).out;
    let (file, good) = approval(case.approve(&grace, &range));
    let forged = |text: &str, signature: &str, words: &str| {
        case.place.write("forged", serde_json::json!({ "text": text, "signature": signature }).to_string());
        fs::copy(case.place.path("forged"), &file).unwrap();
        case.commit("forged");
        refused("level-a-approval");
        refused(words);
    };
    let signature = good["signature"].as_str().unwrap();
    let (_, other) = approval(case.bare(&["approve", &format!("{PATH}:1-2"), "--key", "../key"]));
    forged(&text, other["signature"].as_str().unwrap(), "counts for nothing");
    forged(&earlier, signature, "counts for nothing");
    forged(&text, &eve.sign(lineage::approval::NAMESPACE, &text), "its key is enrolled to nobody");
    forged(&text, &grace.sign("file", &text), "counts for nothing");
    forged("all is well", &grace.sign(lineage::approval::NAMESPACE, "all is well"), "it is no approval");
    // Of an earlier version of the range: good, until a byte changes.
    case.place.write("good", good.to_string());
    fs::copy(case.place.path("good"), &file).unwrap();
    case.commit("grace approves");
    case.gate(&[]).check(0);
    case.pasted(&TEXT.replace("-Rate_Max", "- Rate_Max"));
    refused("has no such 8 lines: they were changed, or are another version's");
    case.pasted(TEXT);
    case.gate(&[]).check(0);
    // An edited slice, and one with a proof that was good for another: each byte of it counts (`slices.rs` of `lineage`).
    let before = case.place.read_bytes("slice");
    case.site.answer(&Answer::accepted("More := Text (3) + 4;", "src/more.adb"));
    case.slice();
    let after = case.place.read_bytes("slice");
    let parts = |bytes: &[u8]| {
        let head = lineage::slice::FIRST_LINE.len();
        let length = u32::from_le_bytes(bytes[head..head + 4].try_into().unwrap()) as usize;
        let chunk = head + 4 + length;
        let packed = u32::from_le_bytes(bytes[chunk + 8..chunk + 12].try_into().unwrap()) as usize;
        (chunk, chunk + 12 + packed)
    };
    let with_slice = |bytes: Vec<u8>, words: &str| {
        case.place.write("slice", bytes);
        refused("is not believed");
        refused(words);
    };
    let (old, new) = (parts(&before), parts(&after));
    with_slice([&after[..new.1], &before[old.1..]].concat(), "a leaf or the proof is another's");
    with_slice(
        [&after[..new.0], &before[old.0..old.1], &after[new.1..]].concat(),
        "the slice is not the one that was recorded",
    );
    let mut edited = after.clone();
    edited[new.0 + 40] ^= 1;
    with_slice(edited, "slice");
    case.place.write("slice", after);
    case.gate(&[]).check(0);
}

/// The statement of an envelope, after openssl verified it.
fn opened(place: &Workplace, name: &str) -> Value {
    use base64::Engine as _;
    let envelope: Value = serde_json::from_str(&place.read(name)).unwrap();
    let decode =
        |text: &Value| base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap();
    let payload = decode(&envelope["payload"]);
    let kind = envelope["payloadType"].as_str().unwrap();
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    place.write("signed", [head.as_bytes(), &payload].concat());
    place.write("signature", decode(&envelope["signatures"][0]["sig"]));
    let openssl = |arguments: &[&str]| {
        let ran = Command::new("openssl").args(arguments).current_dir(place.path(".")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    openssl(&["ec", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
    openssl(&["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"]);
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn checks_and_licences_reach_the_gate() {
    let case = Case::new();
    case.place.write(
        "gate.cedar",
        r#"permit (principal, action, resource);
           @id("check") forbid (principal, action, resource) when { resource.check == "failed" };
           @id("licence") forbid (principal, action, resource) when { resource.findings > 0 && resource.licences.contains("GPL-3.0-only") };
           @id("decided") forbid (principal, action, resource) when { resource.decision == "undecided" };"#,
    );
    let matches = serde_json::json!([
        { "kind": "exact", "action": "warn", "lines": [1, 8], "lexemes": 50, "licences": ["GPL-3.0-only"], "is_common": false }
    ]);
    let (failed, choice) = (Some(CheckOutcome::Failed), Some(Choice::Shown));
    case.site.answer(&Answer { check: failed, choice, matches, ..Answer::accepted(TEXT, PATH) });
    case.pasted(TEXT);
    case.slice();
    let verdict = json(&case.gate(&["--json"]).check(1));
    let range =
        verdict["ranges"].as_array().unwrap().iter().find(|range| range["grade"] == "matches-ai").unwrap();
    let rules: Vec<&str> = range["decision"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["check", "decided", "licence"]);
}

/// Real texts: of the Ada run-time library, where a compiler is here.
pub(crate) fn ada_sources() -> PathBuf {
    let folders = fs::read_dir("/usr/lib/gcc/x86_64-linux-gnu").into_iter().flatten();
    let mut folders = folders.filter_map(|entry| Some(entry.ok()?.path().join("adainclude")));
    folders.find(|folder| folder.is_dir()).expect("the Ada compiler that `cargo xtask setup` installs")
}

fn texts() -> Texts {
    Texts::read(&[ada_sources().as_path()], ".adb").unwrap()
}

/// Every kind of history, three times, drawn by a seed that is the same in each run: `cargo xtask bench lineage` has more.
#[test]
fn histories_keep_their_lines() {
    let (texts, mut draw) = (texts(), Draw::new(12));
    let (mut all, mut edited) = (Score::default(), Score::default());
    for kind in Kind::ALL.into_iter().flat_map(|kind| [kind; 3]) {
        let place = Workplace::new();
        let history = histories::make(kind, &place.path("repository"), &texts, &mut draw).unwrap();
        let site = Site::new(&place.path("site"));
        for answer in &history.answers {
            let choice = if answer.accepted { Choice::Accepted } else { Choice::Shown };
            site.answer(&Answer { choice: Some(choice), ..Answer::accepted(&answer.text, &answer.path) });
        }
        place.write("log.policy", site.policy());
        place.write("slice", site.slice(Scope::default()));
        let mut command = place.command();
        command.args(["review", "--json", "--all", "--slice", "slice", "--log-policy", "log.policy"]);
        command.args(["--repository", "repository", "--base", &history.base]);
        let run = crate::workplace::finish(command, "").check(0);
        let mut score = Score::default();
        let wrong = score.add(&history, &json(&run)).unwrap();
        assert_eq!(score.verbatim.0, score.verbatim.1, "{}: {score:?}\n{}", kind.name(), wrong.join("\n"));
        wrong.iter().for_each(|wrong| eprintln!("{}: {wrong}", kind.name()));
        all.merge(&score);
        if matches!(kind, Kind::Edit(10 | 20 | 40)) {
            edited.merge(&score);
        }
    }
    eprintln!("all: {all:?}\nedited up to 40 %: {edited:?}");
    assert_eq!(all.false_verbatim, 0, "{all:?}");
    assert!(all.common * 50 < all.verbatim.0, "{all:?}");
    assert!(all.verbatim.0 > 400 && edited.changed.0 > 20, "{all:?} {edited:?}");
    assert!(edited.recall_of_changed() >= 900 && edited.precision() >= 950, "{edited:?}");
}
