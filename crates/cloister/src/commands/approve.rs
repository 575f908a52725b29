use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use ::approval::SIGNATURE_BYTES_MAX;
use lineage::approval::{Approval, NAMESPACE, Range};
use sha2::{Digest as _, Sha256};

use super::Session;
use super::blame::in_repository;
use crate::failure::Failure;
use crate::file;
use crate::review::{FOLDER, History};

/// Approves lines of a commit: signs exactly them, and keeps the signature in the repository
///
/// The signature is over the path and the lines' bytes, so that it stays good when the commit is rebased, squashed or
/// merged, and is void when a byte of the lines changes. It is made by `ssh-keygen`, with a key in a file, in an agent, on
/// a FIDO token or on a card; or with --text and --signature, wherever the key is. The key must be enrolled with the
/// site (`cloisterd user enrol-key`). The file goes into .cloister/approvals: commit it.
#[derive(clap::Args)]
pub(crate) struct Approve {
    /// The lines, as src/sort.adb:10-20
    range: String,
    /// The revision that they are read from
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    at: String,
    /// The key's file, private or (with an agent or a token) public
    #[arg(long, value_name = "FILE", required_unless_present_any = ["text", "signature"])]
    key: Option<PathBuf>,
    /// Print the text that is to be signed, and sign nothing
    #[arg(long, conflicts_with_all = ["key", "signature"])]
    text: bool,
    /// A signature of that text: ssh-keygen -Y sign -n lines@cloister -f KEY FILE
    #[arg(long, value_name = "FILE.sig", conflicts_with = "key")]
    signature: Option<PathBuf>,
    /// The folder for the approval [default: .cloister/approvals of the repository]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Approve {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let (path, first, last) = parse(&self.range)?;
        let history = History::open(Path::new("."))?;
        let path = in_repository(&history, Path::new(path))?;
        let (_, tree) = history.at(&self.at)?;
        let content = history
            .file(tree, &path)
            .ok_or_else(|| Failure::usage(format!("there is no file {path} at `{}`", self.at)))?;
        let range = Range::of(&path, &content, first, last, &tree.to_string());
        let range = range.ok_or_else(|| Failure::usage(format!("{path} has no lines {first} to {last}")))?;
        let text = range.text();
        if self.text {
            session.output.text(&text)?;
            return Ok(ExitCode::SUCCESS);
        }
        let signature = match (&self.signature, &self.key) {
            (Some(signature), _) => file::read_text(signature, SIGNATURE_BYTES_MAX as u64)?,
            (None, Some(key)) => sign(key, &text)?,
            (None, None) => return Err(Failure::usage("give --key, --text or --signature")),
        };
        let approval = Approval { text, signature: signature.trim().to_owned() };
        let encoded = serde_json::to_string_pretty(&approval)
            .map_err(|error| Failure::refused("the approval cannot be written").caused_by(&error))?;
        let folder = match (self.out, history.root()) {
            (Some(out), _) => out,
            (None, Some(root)) => root.join(FOLDER),
            (None, None) => return Err(Failure::usage("the repository has no work tree: give --out")),
        };
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file("cannot make", &folder, &error))?;
        let name = protocol::digest::hex(&Sha256::digest(encoded.as_bytes())[..8]);
        let out = folder.join(format!("{name}.json"));
        file::write(&out, format!("{encoded}\n").as_bytes())?;
        session.output.say(format!("{path}, lines {first} to {last}: approved; commit this file:"));
        session.output.line(out.display())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `PATH:FIRST-LAST`, or one line.
fn parse(range: &str) -> Result<(&str, u32, u32), Failure> {
    let read = || {
        let (path, lines) = range.rsplit_once(':')?;
        let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (first >= 1 && first <= last && !path.is_empty()).then_some((path, first, last))
    };
    read().ok_or_else(|| {
        Failure::usage(format!("`{range}` is no range of lines: write it as src/sort.adb:10-20"))
    })
}

/// Has OpenSSH sign: it knows files, agents, tokens and cards.
fn sign(key: &Path, text: &str) -> Result<String, Failure> {
    let program = "ssh-keygen";
    let folder =
        tempfile::tempdir().map_err(|error| Failure::system("cannot make a temporary folder", &error))?;
    let named = folder.path().join("approval");
    file::write(&named, text.as_bytes())?;
    let ran = Command::new(program)
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .arg(&named)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| {
            Failure::system(format!("cannot run {program}"), &error)
                .hint("Install OpenSSH, or use --text and --signature.")
        })?;
    if !ran.success() {
        return Err(Failure::refused(format!("{program} did not sign: {ran}")));
    }
    file::read_text(&named.with_extension("sig"), SIGNATURE_BYTES_MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("a.adb:1-2", Some(("a.adb", 1, 2))),
            ("a:b.c:7", Some(("a:b.c", 7, 7))),
            ("a.adb", None),
            ("a.adb:0-2", None),
            ("a.adb:3-2", None),
            (":1-2", None),
            ("a:1-", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
