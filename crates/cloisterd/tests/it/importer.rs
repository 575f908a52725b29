//! Who reads a stranger's medium: a process in a jail, while it reads and when it goes wrong.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jail::inspect::{Inspection, inspect};
use testkit::places;
use testkit::server::Server;

/// Longer than any of this takes on a machine that does something else, too.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A medium that takes a while: evidence of that many zeroes, of which none is on the disk.
fn slow_medium(server: &Server) -> PathBuf {
    const BYTES: u64 = 16 << 30;
    let folder = server.root().join("slow");
    std::fs::create_dir(&folder).unwrap();
    put(&folder.join("config.json"), b"{}");
    File::create(folder.join("model.safetensors")).unwrap().set_len(BYTES).unwrap();
    // Where a blob has that length, the file is hashed before it is copied: for so long nothing is written.
    let blobs = server.data().join("models/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    File::create(blobs.join(format!("sha256-{}", "0".repeat(64)))).unwrap().set_len(BYTES).unwrap();
    folder
}

fn put(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// An import under way, and its importer's process, jailed.
#[expect(
    clippy::zombie_processes,
    reason = "whoever is given the parent waits for it; a test that fails is over"
)]
fn importing(server: &Server, medium: &Path) -> (Child, u32, Inspection) {
    let mut command = Command::new(places::program("cloisterd").unwrap());
    command.arg("--data").arg(server.data()).args(["model", "import", "--unsigned"]).arg(medium);
    let parent = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < WAIT_MAX, "no importer was seen");
        let children = std::fs::read_to_string(&children).unwrap_or_default();
        let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
        // It is there a moment before its jail is.
        if let Some(child) = child
            && let Ok(inspection) = inspect(child)
            && inspection.threads.iter().any(|thread| thread.seccomp == 2)
        {
            return (parent, child, inspect(child).unwrap());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn it_is_jailed_while_it_reads() {
    let server = Server::empty().unwrap();
    let medium = slow_medium(&server);
    let (mut parent, importer, inspection) = importing(&server, &medium);
    let granted = [medium.clone(), server.data().join("models")];
    assert_eq!(inspection.findings(jail::Kind::Importer, &granted), Vec::<String>::new());
    assert_ne!(inspection.namespaces.network, inspection.own_namespaces.network);
    let [thread] = inspection.threads.as_slice() else { panic!("{:?}", inspection.threads) };
    assert_eq!((thread.name.as_str(), thread.seccomp, thread.no_new_privs), ("cloister-import", 2, true));
    assert_eq!((thread.effective, thread.permitted, thread.bounding), (0, 0, 0));
    // No terminal, no lock of the vault, no ledger: its socket, and what it opened in the two folders.
    let folders = [medium, server.data().join("models/blobs"), server.data().join("models/incoming")];
    for descriptor in &inspection.descriptors {
        let granted = folders.iter().any(|folder| Path::new(&descriptor.target).starts_with(folder));
        let expected = match descriptor.number {
            0..=2 => descriptor.target == "/dev/null",
            3 => descriptor.target.starts_with("socket:"),
            _ => granted,
        };
        assert!(expected, "{descriptor:?}");
    }
    // A signal reaches the command alone; the importer is gone soon after. Not INT: whoever runs tests in the
    // background may have it ignored, and hands that on.
    signal("TERM", parent.id());
    assert!(!parent.wait().unwrap().success());
    let begun = Instant::now();
    while std::fs::read_to_string(format!("/proc/{importer}/comm")).is_ok_and(|name| name.contains("import"))
    {
        assert!(begun.elapsed() < WAIT_MAX, "it outlives who asked");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_importer_that_dies_is_reported() {
    let server = Server::empty().unwrap();
    let medium = slow_medium(&server);
    let (mut parent, importer, _) = importing(&server, &medium);
    signal("KILL", importer);
    let mut words = String::new();
    parent.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(!parent.wait().unwrap().success());
    assert!(words.contains("was ended by signal 9, and gave no answer"), "{words}");
    assert!(server.cloisterd(&["model", "list"]).unwrap().is_empty());
}

/// Every cause of a refusal, as if nothing lay between the reader and whoever reads this.
#[test]
fn words_survive_the_trip() {
    let server = Server::empty().unwrap();
    let folder = server.root().join("medium");
    std::fs::create_dir(&folder).unwrap();
    let manifest = folder.join("manifest.dsse");
    let refused = |medium: &Path, wanted: &str| {
        let medium = medium.to_str().unwrap();
        let output = server.cloisterd_output(&["model", "import", medium]).unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{words}");
        assert_eq!(words.trim_end(), wanted.replace("{}", medium));
    };
    put(&manifest, b"{");
    refused(
        &folder,
        "error: {}/manifest.dsse: not a signature (OpenSSF Model Signing v1.0)\n  \
         because: the bundle is malformed\n  \
         because: EOF while parsing an object at line 1 column 1",
    );
    std::fs::set_permissions(&manifest, std::fs::Permissions::from_mode(0o000)).unwrap();
    // By no capability of root's, either.
    refused(&folder, "error: {}/manifest.dsse cannot be read\n  because: Permission denied (os error 13)");
    std::fs::remove_file(&manifest).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &manifest).unwrap();
    refused(
        &folder,
        "error: {}/manifest.dsse is a symbolic link, or lies behind one: put the file itself there \
         (cp -L copies what links lead to)",
    );
    refused(
        &server.root().join("nowhere"),
        "error: {} cannot be read\n  because: No such file or directory (os error 2)",
    );
    // The folder may be reached through a link, a file may not be one.
    let (link, model) = (server.root().join("link"), places::model(places::SMALL).unwrap());
    std::os::unix::fs::symlink(&model, &link).unwrap();
    refused(
        &link,
        "error: {} is a symbolic link, or lies behind one: put the file itself there \
         (cp -L copies what links lead to)",
    );
    let parent = server.root().join("parent");
    std::os::unix::fs::symlink(model.parent().unwrap(), &parent).unwrap();
    let through = parent.join(model.file_name().unwrap());
    server.cloisterd(&["model", "import", through.to_str().unwrap(), "--unsigned", "--name", "a"]).unwrap();
}

/// Relative to where the command was started, as paths are.
#[test]
fn a_relative_path() {
    let server = Server::empty().unwrap();
    let model = places::model(places::SMALL).unwrap();
    let mut command = Command::new(places::program("cloisterd").unwrap());
    command.current_dir(model.parent().unwrap()).arg("--data").arg(server.data());
    command.args(["model", "import", "--unsigned", "--name", "a"]).arg(model.file_name().unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Where the kernel gives no network namespace, no medium is opened.
#[test]
fn without_a_jail_nothing_is_imported() {
    let server = Server::empty().unwrap();
    let script = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
    command.arg(places::program("cloisterd").unwrap()).arg("--data").arg(server.data());
    command.args(["model", "import", "--unsigned"]).arg(places::model(places::SMALL).unwrap());
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words}");
    assert!(words.contains("cannot be jailed, so the medium was not opened"), "{words}");
    assert!(words.contains("the kernel needs CONFIG_NET_NS"), "{words}");
    let blobs = std::fs::read_dir(server.data().join("models/blobs")).unwrap();
    assert_eq!(blobs.count(), 0);
}
