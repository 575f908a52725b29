//! A model's whole way, on a running server: imported, approved by two persons, promoted, deployed, replaced,
//! rolled back, withdrawn; and what it answered is answered again all the while.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::persons::Approvers;
use testkit::places;
use testkit::server::{MODEL_NAMESPACE, Server};

struct Fixture {
    server: Server,
    approvers: Approvers,
    /// Answers, replays with the same bytes, refusals.
    counted: [Cell<u32>; 3],
}

impl Fixture {
    /// Running, with the small model as `coder@1` deployed under the alias `coder`.
    fn new() -> Fixture {
        let mut server = Server::empty().unwrap();
        let approvers = Approvers::enrolled(&server).unwrap();
        server.start().unwrap_err();
        server
            .cloisterd(&["model", "import", &model(places::SMALL), "--unsigned", "--name", "coder"])
            .unwrap();
        server.promote(&approvers, "coder@1").unwrap();
        server.cloisterd(&["model", "deploy", "coder", "coder@1", "--context-tokens", "2048"]).unwrap();
        server.start().unwrap();
        Fixture { server, approvers, counted: Default::default() }
    }

    /// Why a command of the administrator's is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.server.cloisterd_output(arguments).unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}: {words}");
        self.counted[2].update(|count| count + 1);
        words
    }

    /// A text to sign.
    fn request(&self, what: &[&str]) -> PathBuf {
        let path = self.server.root().join(what.join("-"));
        let mut arguments = vec!["model", "request"];
        arguments.extend(what);
        arguments.extend(["--out", path.to_str().unwrap()]);
        self.server.cloisterd(&arguments).unwrap();
        path
    }

    /// An answer's record, and the digest of the weights that it names.
    fn ask(&mut self) -> (u64, String) {
        self.server.wait_until_up().unwrap();
        let answer = self.server.cloister(&["ask", "Say one word.", "--max-tokens", "6", "--json"]).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let record = answer["record"].as_u64().unwrap();
        self.counted[0].update(|count| count + 1);
        (record, self.weights(record))
    }

    /// The same bytes again?
    fn replays(&self, record: u64, how: &str) {
        assert_eq!(self.server.replay(record).unwrap()["matches"], true, "record {record}, {how}");
        self.counted[1].update(|count| count + 1);
    }

    fn weights(&self, record: u64) -> String {
        let explained = self.server.cloister(&["explain", &record.to_string(), "--json"]).unwrap();
        let explained: Value = serde_json::from_str(&explained).unwrap();
        explained["leaf"]["event"]["model"].as_str().unwrap().to_owned()
    }
}

/// A model in a bundle, `coder` of that version, signed by that publisher, whose public key lies beside it.
fn signed_bundle(server: &Server, publisher: &str, weights: &str, version: &str) -> String {
    let path = |name: &str| server.root().join(name).to_str().unwrap().to_owned();
    let (media, key) = (path(&format!("media-{version}")), path(&format!("{publisher}.pem")));
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
    openssl(&["ec", "-in", &key, "-pubout", "-out", &path(&format!("{publisher}.pub"))]);
    let mut create = vec!["bundle", "create", "--out", &media, "--name", "coder", "--version", version];
    let weights = model(weights);
    create.extend(["--weights", &weights, "--training-data", "public code", "--licence", "Apache-2.0"]);
    server.cloister(&create).unwrap();
    server.cloister(&["bundle", "sign", &media, "--key", &key]).unwrap();
    media
}

fn openssl(arguments: &[&str]) {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn model(name: &str) -> String {
    places::model(name).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn replaced_rolled_back_and_withdrawn_under_a_running_server() {
    let mut fixture = Fixture::new();
    let (old_record, old) = fixture.ask();

    // A second version replaces the first, without a restart. It comes in a bundle that somebody signed.
    let bundle = signed_bundle(&fixture.server, "publisher", places::CODER, "2");
    let words = fixture.refused(&["model", "import", &bundle]);
    assert!(words.contains("its signature is not accepted"), "nobody is believed yet: {words}");
    let publisher = fixture.server.root().join("publisher.pub").to_str().unwrap().to_owned();
    fixture.server.cloisterd(&["model", "trust", "add", "publisher", &publisher, "--kind", "key"]).unwrap();
    fixture.server.cloisterd(&["model", "import", &bundle]).unwrap();
    let seen = fixture.server.cloisterd(&["model", "inspect", "coder@2"]).unwrap();
    for words in ["signed by", "publisher)", "public code", "Chat template, changes", "verified"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    let words = fixture.refused(&["model", "deploy", "coder", "coder@2"]);
    assert!(words.contains("coder@2 is not promoted"), "{words}");
    let words = fixture.refused(&["model", "deploy", "coder", "coder"]);
    assert!(words.contains("can be"), "two versions are called coder: {words}");
    fixture.server.promote(&fixture.approvers, "coder@2").unwrap();
    fixture.server.cloisterd(&["model", "deploy", "coder", "coder@2"]).unwrap();
    let (new_record, new) = fixture.ask();
    assert_ne!(old, new);
    assert_eq!(fixture.weights(old_record), old, "what was answered before was answered by the old one");
    fixture.replays(old_record, "on the old one, beside the new");
    fixture.replays(new_record, "where it serves");

    // Back again: by two persons, once.
    let words = fixture.refused(&["model", "deploy", "coder", "coder@1"]);
    assert!(words.contains("it is not approved as it must be"), "{words}");
    let back = fixture.request(&["roll-back", "coder", "coder@1"]);
    let path = back.to_str().unwrap();
    let signatures = fixture.approvers.sign(MODEL_NAMESPACE, &back).unwrap();
    let [first, second] = [signatures[0].as_str(), signatures[1].as_str()];
    let twice = ["model", "roll-back", path, "--approval", first, "--approval", first];
    assert!(fixture.refused(&twice).contains("2 different persons"), "one person is not two");
    let for_another_purpose = fixture.approvers.sign("erasure@cloister", &back).unwrap();
    let wrong = ["model", "roll-back", path, "--approval", &for_another_purpose[0], "--approval", second];
    assert!(fixture.refused(&wrong).contains("erasure@cloister"));
    // Both purposes leave their signature under one name.
    let signatures = fixture.approvers.sign(MODEL_NAMESPACE, &back).unwrap();
    let both = ["model", "roll-back", path, "--approval", &signatures[0], "--approval", &signatures[1]];
    fixture.server.cloisterd(&both).unwrap();
    let (back_record, back) = fixture.ask();
    assert_eq!(back, old);
    assert!(!fixture.refused(&both).is_empty(), "an approval is for one roll-back");
    for record in [old_record, new_record, back_record] {
        fixture.replays(record, "after the roll-back");
    }

    // The workers that ran records again are let go of.
    let deadline = Instant::now() + Duration::from_secs(90);
    while fixture.server.children_named("cloister-engine").unwrap() > 1 {
        assert!(Instant::now() < deadline, "a worker for replays stays");
        std::thread::sleep(Duration::from_millis(200));
    }

    // For good: under no name does it serve again.
    let mut request = vec!["model", "request", "withdrawal", "coder@2", "--reason", "a back door", "--out"];
    let withdrawal = fixture.server.root().join("withdrawal");
    request.push(withdrawal.to_str().unwrap());
    fixture.server.cloisterd(&request).unwrap();
    let signatures = fixture.approvers.sign(MODEL_NAMESPACE, &withdrawal).unwrap();
    let path = withdrawal.to_str().unwrap();
    let one = ["model", "withdraw", path, "--approval", &signatures[0]];
    assert!(fixture.refused(&one).contains("2 different persons"));
    let two = ["model", "withdraw", path, "--approval", &signatures[0], "--approval", &signatures[1]];
    fixture.server.cloisterd(&two).unwrap();
    assert!(fixture.refused(&["model", "deploy", "coder", "coder@2"]).contains("were withdrawn for good"));
    let again = ["model", "import", &model(places::CODER), "--unsigned", "--name", "fresh"];
    fixture.server.cloisterd(&again).unwrap();
    let request = ["model", "request", "promotion", "fresh", "--out", "/dev/null"];
    assert!(fixture.refused(&request).contains("were withdrawn for good"));

    // A restart changes nothing of it, and the ledger verifies.
    fixture.server.stop().unwrap();
    fixture.replays(new_record, "without the daemon, by withdrawn weights");
    fixture.server.start().unwrap();
    assert_eq!(fixture.ask().1, old);
    fixture.server.cloisterd(&["model", "retire", "coder"]).unwrap();
    let gone = fixture.server.cloister_output(&["ask", "x"]).unwrap();
    assert!(!gone.status.success());
    fixture.server.stop().unwrap();
    let report = fixture.server.verify().unwrap();
    assert_eq!(report["verdict"], "passed", "{report}");
    assert!(!report.to_string().contains("not_deployed"), "{report}");
    let [answers, replays, refusals] = fixture.counted.map(|count| count.get());
    println!(
        "models: {answers} answers by the model that their record names, {replays} replays to the same bytes, {refusals} refusals"
    );
}

/// Whatever is put back by hand in the data directory, the ledger remembers.
#[test]
fn an_old_lock_put_back_by_hand_is_refused() {
    let mut fixture = Fixture::new();
    let old = std::fs::read(fixture.server.data().join("deployments.lock")).unwrap();
    fixture.server.cloisterd(&["model", "deploy", "coder", "coder@1", "--slots", "2"]).unwrap();
    let _answered = fixture.ask();
    fixture.server.stop().unwrap();
    put(&fixture, "deployments.lock", &old);
    std::fs::remove_file(fixture.server.data().join("deployments.toml")).unwrap();
    let words = fixture.server.start().unwrap_err().to_string();
    assert!(words.contains("coder may not serve: leaf"), "{words}");
    fixture.server.cloisterd(&["model", "restore-lock"]).unwrap();
    fixture.server.start().unwrap();
    // A lock for another CPU than this one does not serve either, though the ledger knows it.
    let models = fixture.server.cloisterd(&["model", "verify"]).unwrap();
    assert!(models.contains("as locked, promoted and deployed by the ledger"), "{models}");
}

/// What deployments.toml wants is deployed by one command; what it does not want is retired.
#[test]
fn wanted_deployments() {
    let mut fixture = Fixture::new();
    put(
        &fixture,
        "deployments.toml",
        b"# what the team needs\n[fast]\nmodel = 'coder@1'\nslots = 2\nlabels = ['internal']\n",
    );
    let words = fixture.refused(&["model", "verify"]);
    assert!(words.contains("fast: is wanted, and not deployed"), "{words}");
    assert!(words.contains("coder: is deployed, and not wanted"), "{words}");
    fixture.server.cloisterd(&["model", "deploy"]).unwrap();
    fixture.server.wait_until_up().unwrap();
    // The owner administers, and is cleared for nothing.
    let output = fixture.server.cloister_output(&["ask", "x", "--max-tokens", "2"]).unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("not cleared for [internal]"), "{words}");
    fixture.server.cloisterd(&["model", "deploy", "plain", "coder@1"]).unwrap();
    let text = std::fs::read_to_string(fixture.server.data().join("deployments.toml")).unwrap();
    assert!(text.starts_with("# what the team needs\n[fast]\n"), "{text}");
    assert!(text.contains("[plain]\nmodel = \"coder@1\""), "{text}");
    let diff = fixture.server.cloisterd(&["model", "diff", "fast", "plain"]).unwrap();
    assert!(diff.contains("slots: 2 -> 8") && diff.contains("labels"), "{diff}");
    fixture.server.stop().unwrap();
    fixture.server.start().unwrap();
}

fn put(fixture: &Fixture, name: &str, bytes: &[u8]) {
    use std::io::Write;
    std::fs::File::create(fixture.server.data().join(name)).unwrap().write_all(bytes).unwrap();
}
