//! Corpora of known code: built where the sources are, signed, carried in, listed, verified, merged and removed, by the real
//! programs; under a daemon that uses them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::places;
use testkit::server::Server;

const RING: &str = "\
/* A ring of samples. */
int ring_put(struct ring *ring, int sample)
{
    if (ring->used == ring->size)
        return -1;
    ring->samples[(ring->first + ring->used++) % ring->size] = sample;
    return 0;
}
";
const FILTER: &str = "\
/* The mean of the last samples. */
double filter_mean(const double *samples, int count)
{
    double sum = 0;
    for (int number = 0; number < count; number++)
        sum += samples[number];
    return count > 0 ? sum / count : 0;
}
";

/// A folder with sources: a repository of git's and an archive.
struct Sources {
    root: tempfile::TempDir,
}

impl Sources {
    fn new() -> Sources {
        let sources = Sources { root: tempfile::tempdir().unwrap() };
        let repository = sources.path("ring");
        sources.write("ring/src/ring.c", RING);
        sources.write("ring/LICENSE", "SPDX-License-Identifier: MIT\n");
        sources.write("ring/logo.bin", "\0\0\0");
        git(&repository, &["init", "-q", "-b", "main"]);
        git(&repository, &["add", "-A"]);
        git(&repository, &["commit", "-q", "-m", "as it is"]);
        // What is not committed is not read.
        sources.write("ring/src/draft.c", "int draft;\n");
        sources.write("filter-1.2/filter.c", FILTER);
        let tar = ["-czf", "filter-1.2.tar.gz", "filter-1.2"];
        let packed = Command::new("tar").args(tar).current_dir(sources.root.path()).status().unwrap();
        assert!(packed.success());
        sources
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Builds on the connected side, where there is no data directory.
    fn build(&self, name: &str, sources: &[&str], out: &str) -> Output {
        let mut command = Command::new(places::program("cloisterd").unwrap());
        command.arg("--data").arg(self.path("nowhere")).args(["corpus", "build", name]);
        command.args(sources.iter().map(|source| self.path(source)));
        command.arg("--out").arg(self.path(out)).arg("--json");
        command.stdin(Stdio::null()).output().unwrap()
    }
}

fn git(root: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid"]);
    assert!(command.args(arguments).status().unwrap().success());
}

fn document(output: &Output) -> Value {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"))
}

/// Why a command is refused.
fn refused(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{words}");
    words
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn list(server: &Server) -> Vec<Value> {
    let listed = server.cloisterd(&["corpus", "list", "--json"]).unwrap();
    serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().clone()
}

/// Actions of the leaves about corpora, with what each is about.
fn leaves(server: &Server) -> Vec<(String, String)> {
    let page = server.cloisterd(&["ledger", "query", "--kind", "administration", "--json"]).unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = page["rows"].as_array().unwrap().iter();
    let told = rows.map(|row| (word(row, "action"), word(row, "subject")));
    told.filter(|(action, _)| action.starts_with("corpus ")).collect()
}

#[test]
fn built_outside_in_any_order_is_the_same() {
    let sources = Sources::new();
    let first = document(&sources.build("known", &["ring", "filter-1.2.tar.gz"], "first"));
    let second = document(&sources.build("known", &["filter-1.2.tar.gz", "ring"], "second"));
    assert_eq!(first["root"], second["root"]);
    assert_eq!(first["documents"], 3, "{first}");
    let ring = &first["sources"][0];
    assert_eq!((&ring["package"], &ring["files"]), (&json!("git:ring"), &json!(2)), "{first}");
    assert_eq!(ring["left_out"], json!([["no text", 1]]));
    assert_eq!(ring["commit"].as_str().unwrap().len(), 40);
    assert_eq!(first["sources"][1]["version"], "1.2");
    assert!(!sources.path("nowhere").exists(), "no data directory was made");
    let left = fs::read_dir(sources.root.path()).unwrap().flatten();
    assert!(!left.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("building")));

    let words = refused(&sources.build("known", &["ring"], "first"));
    assert!(words.contains("is not empty"), "{words}");
    let words = refused(&sources.build("Known", &["ring"], "third"));
    assert!(words.contains("cannot be a corpus's name"), "{words}");
    sources.write("broken.tar.gz", "\x1f\u{8b} no archive");
    let words = refused(&sources.build("known", &["ring", "broken.tar.gz"], "third"));
    assert!(words.contains("is not built") && words.contains("broken.tar.gz"), "{words}");
    assert!(!sources.path("third").exists(), "nothing of it stays");
}

#[test]
fn carried_in_used_damaged_and_removed() {
    let sources = Sources::new();
    let mut server = Server::new(places::CODER, &[]).unwrap();
    server.start().unwrap();

    // Outside: built, packed, signed.
    let built = document(&sources.build("known", &["ring", "filter-1.2.tar.gz"], "known"));
    let (media, key, public) = (sources.text("media"), sources.text("key.pem"), sources.text("key.pub"));
    let known = sources.text("known");
    let create =
        ["bundle", "create", "--out", &media, "--name", "known", "--version", "2026.06", "--corpus", &known];
    server.cloister(&create).unwrap();
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
    openssl(&["ec", "-in", &key, "-pubout", "-out", &public]);
    let words = refused(&server.cloisterd_output(&["corpus", "import", &media]).unwrap());
    assert!(words.contains("is not signed"), "{words}");
    server.cloister(&["bundle", "sign", &media, "--key", &key]).unwrap();

    // Inside.
    let words = refused(&server.cloisterd_output(&["corpus", "import", &media]).unwrap());
    assert!(words.contains("its signature is not accepted"), "{words}");
    server.cloisterd(&["model", "trust", "add", "builder", &public, "--kind", "key"]).unwrap();
    let words = refused(&server.cloisterd_output(&["model", "import", &media]).unwrap());
    assert!(words.contains("no model") && words.contains("cloisterd corpus import"), "{words}");
    let model = places::model(places::SMALL).unwrap();
    let arguments = ["corpus", "import", model.to_str().unwrap(), "--unsigned"];
    let words = refused(&server.cloisterd_output(&arguments).unwrap());
    assert!(words.contains("no corpus") && words.contains("cloisterd model import"), "{words}");
    assert!(list(&server).is_empty());
    let arguments = ["corpus", "import", &media, "--readers", "crew", "--label", "flight", "--json"];
    let imported: Value = serde_json::from_str(&server.cloisterd(&arguments).unwrap()).unwrap();
    assert_eq!((&imported["root"], &imported["documents"]), (&built["root"], &json!(3)));
    let listed = list(&server);
    assert_eq!((&listed[0]["name"], &listed[0]["stage"]), (&json!("known"), &json!("open")), "{listed:?}");
    assert_eq!((&listed[0]["readers"], &listed[0]["labels"]), (&json!(["crew"]), &json!(["flight"])));

    // Nothing of it serves.
    let out = sources.text("promotion");
    let arguments = ["model", "request", "promotion", "known@2026.06", "--out", &out];
    let words = refused(&server.cloisterd_output(&arguments).unwrap());
    assert!(words.contains("is a corpus of known code"), "{words}");
    let words = refused(&server.cloisterd_output(&["model", "deploy", "known", "known@2026.06"]).unwrap());
    assert!(words.contains("is no model"), "{words}");

    // One built here, replaced, and both in one: the same bytes as of all sources.
    let (ring, filter) = (sources.text("ring"), sources.text("filter-1.2.tar.gz"));
    server.cloisterd(&["corpus", "build", "own", &filter, "--readers", "crew"]).unwrap();
    let own = list(&server)[1].clone();
    server.cloisterd(&["corpus", "build", "own", &ring]).unwrap();
    let replaced = list(&server)[1].clone();
    assert_ne!(own["root"], replaced["root"]);
    assert_eq!(replaced["readers"], json!(["crew"]), "those of before");
    let numbers = fs::read_dir(server.data().join("corpora/own")).unwrap().count();
    assert_eq!(numbers, 1, "the one before is gone");
    server.cloisterd(&["corpus", "build", "other", &filter, "--label", "internal"]).unwrap();
    let words = refused(&server.cloisterd_output(&["corpus", "merge", "all", "own", "other"]).unwrap());
    assert!(words.contains("different readers"), "{words}");
    server.cloisterd(&["corpus", "merge", "all", "own", "other", "--readers", "crew"]).unwrap();
    let all = list(&server)[0].clone();
    assert_eq!((&all["name"], &all["labels"]), (&json!("all"), &json!(["internal"])));
    let whole = document(&sources.build("all", &["ring", "filter-1.2.tar.gz"], "all"));
    assert_eq!(all["root"], whole["root"], "as if it had been built of all their sources");

    // A byte that is another.
    assert!(server.cloisterd(&["corpus", "verify"]).unwrap().contains("known: sha256:"));
    let data = server.data().join("corpora/known/1/text");
    let mut bytes = fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // The vault's blob is the same file on the disk; that is what makes it a damage of the disk's.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::create(&data).unwrap().write_all(&bytes).unwrap();
    for stopped in [false, true] {
        if stopped {
            server.stop().unwrap();
        }
        let output = server.cloisterd_output(&["corpus", "verify", "known"]).unwrap();
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("known: text: its digest is"), "{words}");
        server.cloisterd(&["corpus", "verify", "own"]).unwrap();
    }
    server.start().unwrap();
    let failed =
        || list(&server).iter().any(|row| row["name"] == "known" && row["stage"]["failed"].is_object());
    let begun = std::time::Instant::now();
    while !failed() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", list(&server));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.cloisterd(&["corpus", "import", &media]).unwrap();
    let mended = list(&server).into_iter().find(|row| row["name"] == "known").unwrap();
    assert_eq!((&mended["stage"], &mended["readers"]), (&json!("open"), &json!(["crew"])));
    server.cloisterd(&["corpus", "verify", "known"]).unwrap();

    // Gone.
    for name in ["known", "own", "other", "all"] {
        server.cloisterd(&["corpus", "remove", name]).unwrap();
        assert!(!server.data().join("corpora").join(name).exists());
    }
    assert!(list(&server).is_empty());
    let words = refused(&server.cloisterd_output(&["corpus", "remove", "known"]).unwrap());
    assert!(words.contains("there is no corpus known"), "{words}");
    let told: Vec<(String, String)> = leaves(&server);
    let pair = |action: &str, subject: &str| (format!("corpus {action}"), subject.to_owned());
    for expected in
        [pair("import", "known"), pair("build", "own"), pair("merge", "all"), pair("remove", "other")]
    {
        assert!(told.contains(&expected), "{expected:?}: {told:?}");
    }
    server.verify().unwrap();
}

/// The programs here can leave a layer of a jail out.
#[test]
fn what_was_made_in_a_jail_that_does_not_hold_is_not_believed() {
    let sources = Sources::new();
    let build = |without: Option<&str>| {
        let mut command = Command::new(places::weakened("cloisterd").unwrap());
        if let Some(layer) = without {
            command.env("CLOISTER_TEST_WITHOUT", layer);
        }
        command.arg("--data").arg(sources.path("nowhere")).args(["corpus", "build", "known"]);
        command.arg(sources.path("ring")).arg("--out").arg(sources.path("known"));
        command.stdin(Stdio::null()).output().unwrap()
    };
    for layer in ["landlock", "seccomp"] {
        let words = refused(&build(Some(layer)));
        assert!(words.contains("does not hold"), "{layer}: {words}");
        assert!(!sources.path("known").exists(), "{layer}");
    }
    assert!(build(None).status.success());
}

#[test]
fn keys_and_ledgers_are_no_known_code() {
    let server = Server::empty().unwrap();
    for source in [server.data(), server.root().to_owned(), server.data().join("keys")] {
        let arguments = ["corpus", "build", "known", source.to_str().unwrap()];
        let words = refused(&server.cloisterd_output(&arguments).unwrap());
        assert!(words.contains("lie in each other"), "{words}");
    }
}
