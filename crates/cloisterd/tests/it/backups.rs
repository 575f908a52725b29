//! A ledger is backed up while the daemon runs, put back on a new machine, and examined.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::places;
use testkit::server::Server;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The keys, carried by the operator, and the notary's state where the old machine's is left.
fn new_machine(of: &Server, at: &Path, with_notary: bool) {
    for (name, wanted) in [("keys", true), ("notary", with_notary)] {
        if wanted {
            fs::create_dir_all(at.join(name)).unwrap();
            for file in fs::read_dir(of.data().join(name)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), at.join(name).join(file.file_name())).unwrap();
            }
        }
    }
}

#[test]
fn backed_up_running_and_put_back() {
    let mut server = Server::started(places::SMALL).unwrap();
    let answer = server.cloister(&["ask", "Say a word.", "--max-tokens", "8", "--json"]).unwrap();
    let record = serde_json::from_str::<Value>(&answer).unwrap()["record"].to_string();
    let directory = tempfile::tempdir().unwrap();
    let [out, first, second, third] =
        ["backup", "first", "second", "third"].map(|name| directory.path().join(name));
    let backup = ["ledger", "backup", "--out", text(&out), "--json"];
    for _ in 0..2 {
        server.cloisterd(&backup).unwrap();
    }
    let refused = server.cloisterd_output(&["ledger", "doctor"]).unwrap();
    assert!(!refused.status.success(), "the daemon runs");
    let (ledger, policy) = (out.join("ledger"), out.join("log.policy"));
    let verify = ["ledger", "verify", text(&ledger), "--policy", text(&policy)];
    let verified = server.cloister(&verify).unwrap();
    assert!(verified.contains("verified: no problem was found"), "{verified}");

    // On a new machine with the keys alone; the record and its text are there, and the log goes on.
    new_machine(&server, &first, false);
    let on = |data: &Path, arguments: &[&str]| {
        let mut command = Command::new(places::program("cloisterd").unwrap());
        command.arg("--data").arg(data).args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    let restore = ["ledger", "restore", "--from", text(&out)];
    let restored = on(&first, &restore);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let shown = on(&first, &["ledger", "show", &record]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Say a word."));
    let examined = on(&first, &["ledger", "doctor", "--json"]);
    let examined: Value = serde_json::from_slice(&examined.stdout).unwrap();
    assert_eq!(examined["verdict"], "healthy", "{examined}");
    let refused = |data: &Path, arguments: &[&str], words: &str| {
        let refused = on(data, arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(words), "{said}");
    };
    refused(&first, &restore, "is there already");

    // The notary's state, or a checkpoint that was kept, knows of what came after the backup.
    server.cloister(&["ask", "Say another.", "--max-tokens", "8"]).unwrap();
    server.stop().unwrap();
    new_machine(&server, &second, true);
    refused(&second, &restore, "it is older");
    new_machine(&server, &third, false);
    let kept = directory.path().join("kept");
    fs::copy(server.data().join("ledger/checkpoint"), &kept).unwrap();
    refused(&third, &[&restore[..], &["--seen", text(&kept)]].concat(), "it was rolled back");
    refused(&directory.path().join("fourth"), &restore, "the keys are missing");
    assert!(!second.join("ledger").exists() && !third.join("ledger").exists());

    // Stopped, too; then the same backup is put back beside the notary's state.
    server.cloisterd(&backup).unwrap();
    let fifth = directory.path().join("fifth");
    new_machine(&server, &fifth, true);
    let restored = on(&fifth, &restore);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));

    // A file that is made again, and one that is not.
    fs::remove_file(fifth.join("ledger/relations")).unwrap();
    let mended = on(&fifth, &["ledger", "doctor"]);
    assert!(mended.status.success() && String::from_utf8_lossy(&mended.stdout).contains("mended"));
    fs::remove_file(fifth.join("ledger/bodies/000")).unwrap();
    let damaged = on(&fifth, &["ledger", "doctor"]);
    let said = String::from_utf8_lossy(&damaged.stdout).into_owned();
    assert!(damaged.status.code() == Some(1) && said.contains("damage: bodies/000"), "{said}");
}
