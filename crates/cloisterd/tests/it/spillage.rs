//! A source had too low a label: what it reached is found, and erased by two persons, so that no file has it any more, and no
//! block of the file system that is still in use.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::persons::Approvers;
use testkit::places;
use testkit::server::Server;

use crate::leftovers::{found_in, holding, wrapped_key};
use crate::policy::{House, eventually, text};

/// Bytes of the image: a model and an index have room.
const IMAGE_BYTES: u64 = 1 << 30;
/// Requests of the drill.
const REQUESTS: usize = 50;
/// What the source says, each with a word that nothing else has.
const FACTS: [(&str, &str); 5] = [
    ("zorvenquill", "The zorvenquill valve opens at forty-two kilopascals and no sooner."),
    ("brassomant", "A brassomant relay must never carry more than nine amperes."),
    ("kelderwyth", "Every kelderwyth beacon answers on the second harmonic of its carrier."),
    ("mirrovane", "The mirrovane gimbal locks when the wheel exceeds six thousand turns."),
    ("oxtarrel", "An oxtarrel cell is charged at minus eleven degrees and not below."),
];

/// A file system of the test's own, in a file.
struct Image {
    file: PathBuf,
    at: PathBuf,
    is_mounted: bool,
}

impl Image {
    fn new(directory: &Path) -> Image {
        let image = Image { file: directory.join("image"), at: directory.join("mounted"), is_mounted: false };
        File::create(&image.file).unwrap().set_len(IMAGE_BYTES).unwrap();
        fs::create_dir(&image.at).unwrap();
        run("mkfs.ext4", &["-q", text(&image.file)]);
        image
    }

    fn mount(&mut self) {
        run("mount", &["-o", "loop", text(&self.file), text(&self.at)]);
        self.is_mounted = true;
    }

    fn unmount(&mut self) {
        run("umount", &[text(&self.at)]);
        self.is_mounted = false;
    }

    /// Which of these its blocks hold, used or not.
    fn holds<'w>(&self, wanted: &[&'w [u8]]) -> Vec<&'w [u8]> {
        found_in(&self.file, wanted)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_mounted {
            // A test that failed has a daemon that still runs: it is killed a moment later.
            let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {words} (this test needs root)");
}

#[test]
fn fifty_requests_leave_nothing_on_a_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let mut image = Image::new(directory.path());
    image.mount();
    let mut house = House::of(Server::new_in(&image.at, places::SMALL, &[]).unwrap(), "");
    let crew: Vec<String> =
        ["ada", "grace", "joan"].map(|name| house.person(name, &[], &["--group", "crew"])).into();
    let bob = house.person("bob", &[], &[]);
    let notes = directory.path().join("notes");
    fs::create_dir(&notes).unwrap();
    for (word, fact) in FACTS {
        let mut file = File::create(notes.join(format!("{word}.md"))).unwrap();
        file.write_all(format!("# {word}\n\n{fact}\n").as_bytes()).unwrap();
    }
    house.server.cloisterd(&["repo", "add", text(&notes), "--name", "notes", "--readers", "crew"]).unwrap();
    house.server.start().unwrap();
    let search = |word: &str| json!({ "search": word });
    eventually("the index is open", || {
        !house.ask(&crew[0], "/v1/cloister/context", Some(&search(FACTS[0].0))).1["results"][0].is_null()
    });

    let reached: Vec<u64> = (0..REQUESTS)
        .map(|number| {
            let ((word, fact), person) = (FACTS[number % FACTS.len()], &crew[number % crew.len()]);
            match number / FACTS.len() % 4 {
                0 => house.record_of(person, &format!("What is said of the {word}?")),
                1 => {
                    let (_, found) = house.ask(person, "/v1/cloister/context", Some(&search(word)));
                    found["record"].as_u64().unwrap_or_else(|| panic!("{found}"))
                }
                // Somebody who may not read it was told.
                2 => house.record_of(&bob, &format!("Is this right?\n{fact}")),
                _ => house.record_of(person, &format!("Say in other words, of the {word}: {fact}")),
            }
        })
        .collect();
    let other = house.record_of(&bob, "What is a task in Ada?");
    // What is searched for is found in the index as it lies there: the search below is no blind one.
    let words: Vec<&[u8]> = FACTS.iter().map(|(word, _)| word.as_bytes()).collect();
    assert!(!holding(&house.server.data(), &words).is_empty());

    // Keys are in their page once somebody has had the leaves signed.
    let export = directory.path().join("export");
    let sign = ["ledger", "witness", "export", "--since", "0", "--out", text(&export)];
    house.server.cloisterd(&sign).unwrap();
    let out = directory.path().join("spill.txt");
    let spill = ["spill", "notes", "--reason", "the notes are secret", "--out", text(&out), "--json"];
    let found: Value = serde_json::from_str(&house.server.cloisterd(&spill).unwrap()).unwrap();
    let records: Vec<u64> =
        found["records"].as_array().unwrap().iter().map(|row| row["record"].as_u64().unwrap()).collect();
    for record in &reached {
        assert!(records.contains(record), "{record} of {found}");
    }
    assert!(!records.contains(&other), "{found}");
    let leaves = found["leaves"].as_array().unwrap().iter().map(|leaf| leaf.as_u64().unwrap());
    let keys: Vec<Vec<u8>> = leaves.map(|leaf| wrapped_key(&house.server, leaf)).collect();
    assert!(keys.len() >= REQUESTS && keys.iter().all(|key| key.iter().any(|byte| *byte != 0)), "{found}");

    let approvers = Approvers::enrolled_as(&house.server, ["mary", "nell"]).unwrap();
    let signed = approvers.sign("erasure@cloister", &out).unwrap();
    let erase = ["ledger", "erase", text(&out), "--approval", &signed[0], "--approval", &signed[1]];
    house.server.cloisterd(&erase).unwrap();
    house.server.cloisterd(&["repo", "remove", "notes"]).unwrap();
    house.server.stop().unwrap();
    house.server.start().unwrap();
    for record in &reached {
        let shown = house.server.show(*record).unwrap();
        assert_eq!(shown["erased"], true, "{shown}");
        assert!(!FACTS.iter().any(|(word, _)| shown.to_string().contains(word)), "{shown}");
    }
    assert_eq!(house.record(&bob, other).1["erased"], false);
    house.server.stop().unwrap();
    let verified = house.server.verify().unwrap();
    assert_eq!(verified["verdict"], "passed", "{verified}");

    let wanted: Vec<&[u8]> = words.iter().copied().chain(keys.iter().map(Vec::as_slice)).collect();
    assert_eq!(holding(&image.at, &wanted), Vec::<PathBuf>::new());
    // Blocks that no file has any more are the file system's, until it gives them back: what docs/erasure.md says is left.
    run("sync", &[]);
    run("fstrim", &[text(&image.at)]);
    // The daemon is gone, and so is everything that it has open.
    let root = house.server.root().to_owned();
    drop(house);
    assert!(!root.exists());
    image.unmount();
    let left = image.holds(&wanted);
    assert!(left.is_empty(), "{} of {} are in blocks in use", left.len(), wanted.len());
}

#[test]
fn what_a_mislabelled_source_reached_is_found_and_erased() {
    let mut house = House::new("");
    let ada = house.person("ada", &[], &["--group", "crew"]);
    let bob = house.person("bob", &[], &[]);
    let secret = "The pelican valve opens at forty-two kilopascals and no sooner.";
    house.write("notes/valve.md", &format!("# Pelican valve\n\n{secret}\n"));
    let notes = house.server.root().join("notes");
    house.server.cloisterd(&["repo", "add", text(&notes), "--name", "notes", "--readers", "crew"]).unwrap();
    house.server.start().unwrap();
    let search = json!({ "search": "pelican valve" });
    eventually("the index is open", || {
        !house.ask(&ada, "/v1/cloister/context", Some(&search)).1["results"][0].is_null()
    });
    let reached = house.record_of(&ada, "At what pressure does the pelican valve open?");
    let (_, looked) = house.ask(&ada, "/v1/cloister/context", Some(&search));
    let looked = looked["record"].as_u64().unwrap();
    // Bob may not read it, and somebody told him.
    let repeated = house.record_of(&bob, &format!("Is this right?\n{secret}"));
    let other = house.record_of(&bob, "What is a task in Ada?");

    let out = house.server.root().join("spill.txt");
    let spill = ["spill", "notes", "--reason", "the notes are secret", "--out", text(&out), "--json"];
    let found: Value = serde_json::from_str(&house.server.cloisterd(&spill).unwrap()).unwrap();
    let records: Vec<u64> =
        found["records"].as_array().unwrap().iter().map(|row| row["record"].as_u64().unwrap()).collect();
    for record in [reached, looked, repeated] {
        assert!(records.contains(&record), "{record} of {found}");
    }
    assert!(!records.contains(&other), "{found}");
    assert_eq!(found["index"], true);
    let approvers = Approvers::enrolled_as(&house.server, ["mary", "nell"]).unwrap();
    let signed = approvers.sign("erasure@cloister", &out).unwrap();
    let erase = ["ledger", "erase", text(&out), "--approval", &signed[0], "--approval", &signed[1]];
    house.server.cloisterd(&erase).unwrap();
    house.server.cloisterd(&["repo", "remove", "notes"]).unwrap();
    for (token, record) in [(&ada, reached), (&ada, looked), (&bob, repeated)] {
        let (status, shown) = house.record(token, record);
        assert!(status == 200 && shown["erased"] == true, "{shown}");
        assert!(!shown.to_string().contains("forty-two"), "{shown}");
    }
    assert_eq!(house.record(&bob, other).1["erased"], false);
    let again = ["spill", "notes", "--reason", "once more", "--out", text(&out), "--json"];
    let again: Value = serde_json::from_str(&house.server.cloisterd(&again).unwrap()).unwrap();
    assert_eq!(again["records"], json!([]), "{again}");
    house.server.stop().unwrap();
    assert_eq!(house.server.verify().unwrap()["verdict"], "passed");
}
