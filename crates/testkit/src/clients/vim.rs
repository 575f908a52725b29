//! llama.vim in a real Vim at a terminal, with keys typed by hand: a suggestion is shown, and taken over.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Seen, seen, written};
use crate::server::Server;
use crate::{Failure, places};

const DRIVE: &str = include_str!("drive.vim");

/// Keeps what the plug-in sends: it speaks through `curl`.
const CURL: &str =
    "#!/bin/sh\ntee \"$(mktemp \"$REQUESTS/XXXXXX.json\")\" | PATH=\"$REAL_PATH\" exec curl \"$@\"\n";

const TYPED_IN: &str = "with Ada.Text_IO; use Ada.Text_IO;\nprocedure Greet is\nbegin\n   Put\nend Greet;\n";

/// An editor starts, and a suggestion comes, within this.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Between two keys of a person.
const KEY: Duration = Duration::from_millis(150);

/// What was seen.
#[derive(Debug)]
pub struct Edited {
    /// In the ledger.
    pub seen: Seen,
    /// The suggestion as the editor shows it.
    pub shown: String,
    /// The line once it was taken over.
    pub line: String,
}

/// Runs the plug-in, which lies in the folder `plugin`. What it sends stays in the folder `requests`, a file each.
pub fn run(plugin: &Path, requests: &Path) -> Result<Edited, Failure> {
    let (server, url, token) = Server::with_token(places::CODER, &[])?;
    let home = server.root().join("home");
    fs::create_dir_all(home.join("bin"))?;
    fs::create_dir_all(requests)?;
    let (drive, file, curl) = (home.join("drive.vim"), home.join("greet.adb"), home.join("bin/curl"));
    written(&drive, DRIVE)?;
    written(&file, TYPED_IN)?;
    written(&curl, CURL)?;
    fs::set_permissions(&curl, Permissions::from_mode(0o755))?;
    let (started, shown) = (home.join("started"), home.join("shown"));
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    // `script` has the terminal.
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command"]);
    terminal.arg(format!("vim -u {} {}", drive.display(), file.display())).arg("/dev/null");
    terminal.env_clear().env("HOME", &home).env("TERM", "xterm").env("LANG", "C.UTF-8");
    terminal.env("PATH", format!("{}:{path}", home.join("bin").display())).env("REAL_PATH", &path);
    terminal.env("LLAMA_VIM", plugin).env("REQUESTS", requests);
    terminal.env("CLOISTER_URL", &url).env("CLOISTER_TOKEN", &token);
    terminal.env("STARTED", &started).env("SHOWN", &shown);
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut keys = child.stdin.take().ok_or("no standard input")?;
    let mut press = |text: &str| -> Result<(), Failure> {
        for key in text.chars() {
            write!(keys, "{key}")?;
            keys.flush()?;
            std::thread::sleep(KEY);
        }
        Ok(())
    };
    let done = (|| {
        appeared(&started)?;
        press("4GA_")?;
        appeared(&shown)?;
        press("\t")?;
        std::thread::sleep(KEY * 4);
        press("\u{1b}:w\r:qa!\r")
    })();
    if done.is_err() {
        child.kill()?;
    }
    child.wait()?;
    done.map_err(|error| format!("{error}\nthe server said:\n{}", server.log()))?;
    let line = fs::read_to_string(&file)?.lines().nth(3).unwrap_or_default().to_owned();
    if line.trim_end() == "   Put_" {
        return Err("the suggestion was not taken over".into());
    }
    let (seen, shown) = (seen(&server)?, fs::read_to_string(&shown)?.trim_end().to_owned());
    server.end()?;
    Ok(Edited { seen, shown, line })
}

fn appeared(path: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    while !path.exists() {
        if start.elapsed() > WAIT_MAX {
            return Err(format!("{} did not appear within {WAIT_MAX:?}", path.display()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
