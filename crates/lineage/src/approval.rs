//! A reviewer's approval of exactly one range of lines: an OpenSSH signature over a text that names the path and the
//! digest of the lines.
//!
//! It names no commit, so that a rebase, a squash or a merge keeps it as long as the lines stay as they are. It names the
//! tree in which the reviewer read them, which says what else they saw and is compared with nothing. One changed byte in
//! the range, or another path, voids it.

use std::collections::BTreeMap;

use ::approval::{Approval as Signed, ApprovalError, PublicKey};
use ledger::{ENROL_KEY, Event, Leaf, REVOKE_KEY};
use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What approvals of lines are made for: `ssh-keygen -Y sign -n` this.
pub const NAMESPACE: &str = "lines@cloister";
/// The longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// The longest file of an approval, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 10;

const FIRST_LINE: &str = "cloister approval of lines 1";

/// What is approved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The file, from the repository's root.
    pub path: String,
    /// How many lines.
    pub lines: u32,
    /// Of the lines, each with its end: [`digest`].
    pub digest: Digest,
    /// The tree in which they were read, as git names it.
    pub tree: String,
}

/// An approval as a file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The text that is signed: [`Range::text`].
    pub text: String,
    /// OpenSSH's armored signature.
    pub signature: String,
}

/// Why an approval counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// The file is no approval.
    #[error("it is no approval of lines")]
    Form,
    /// Nobody's key.
    #[error("its key is enrolled to nobody, or was revoked")]
    Key,
    /// Forged, or of another text.
    #[error(transparent)]
    Signature(#[from] ApprovalError),
    /// The lines are not there.
    #[error("{path} has no such {lines} lines: they were changed, or are another version's")]
    Changed {
        /// The file.
        path: String,
        /// How many lines were approved.
        lines: u32,
    },
}

/// An approval that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Who approved.
    pub person: String,
    /// With which key: its fingerprint.
    pub key: String,
    /// The first line, from 1.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// Whose key is whose, by a ledger's leaves.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<PublicKey, String>);

impl Range {
    /// Of lines of a file; `None` where there are no such lines. Lines count from 1.
    pub fn of(path: &str, content: &[u8], first: u32, last: u32, tree: &str) -> Option<Range> {
        let lines = lines(content);
        let (from, to) = (first.checked_sub(1)? as usize, last as usize);
        let range = lines.get(from..to).filter(|range| !range.is_empty())?;
        Some(Range {
            path: path.to_owned(),
            lines: last - first + 1,
            digest: digest(range),
            tree: tree.to_owned(),
        })
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        let Range { path, lines, digest, tree } = self;
        format!("{FIRST_LINE}\npath {path}\nlines {lines}\ndigest {digest}\ntree {tree}\n")
    }

    /// The range of such a text, in its one spelling.
    pub fn parse(text: &str) -> Option<Range> {
        let mut rest = text.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?.lines();
        let mut field = |name: &str| rest.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let range = Range {
            path: field("path").filter(|path| path.len() <= PATH_BYTES_MAX)?,
            lines: field("lines")?.parse().ok()?,
            digest: field("digest")?.parse().ok()?,
            tree: field("tree")?,
        };
        (range.text() == text && range.lines > 0).then_some(range)
    }

    /// The places in a file where the lines stand, as first and last line from 1.
    pub fn places(&self, content: &[u8]) -> Vec<(u32, u32)> {
        let lines = lines(content);
        let count = self.lines as usize;
        let windows = lines.windows(count.max(1)).enumerate();
        let found = windows.filter(|(_, window)| digest(window) == self.digest);
        let number = |at: usize| u32::try_from(at).ok();
        found.filter_map(|(at, _)| Some((number(at + 1)?, number(at + count)?))).collect()
    }
}

impl Keys {
    /// As enrolments and revocations leave it: leaves in the order of the log.
    pub fn of<'l>(leaves: impl IntoIterator<Item = &'l Leaf>) -> Keys {
        let mut keys = BTreeMap::new();
        for leaf in leaves {
            let Event::Administration { action, subject, detail, .. } = &leaf.event else { continue };
            let Ok(key) = detail.parse::<PublicKey>() else { continue };
            if action == ENROL_KEY {
                keys.insert(key, subject.clone());
            } else if action == REVOKE_KEY && keys.get(&key) == Some(subject) {
                keys.remove(&key);
            }
        }
        Keys(keys)
    }

    /// Of persons who are named by hand.
    pub fn given(keys: impl IntoIterator<Item = (String, PublicKey)>) -> Keys {
        Keys(keys.into_iter().map(|(person, key)| (key, person)).collect())
    }

    /// Whose a key is.
    pub fn person(&self, key: &PublicKey) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl Approval {
    /// The range that it is of, as it says.
    pub fn range(&self) -> Option<Range> {
        Range::parse(&self.text)
    }

    /// Who signed, by the keys that are enrolled.
    pub fn signer(&self, keys: &Keys) -> Result<(String, PublicKey), Void> {
        let known = keys.0.iter().map(|(key, person)| (person.as_str(), key));
        let signed = Signed::identify(&self.signature, NAMESPACE, self.text.as_bytes(), known)?;
        let signed = signed.ok_or(Void::Key)?;
        Ok((signed.person, signed.key))
    }

    /// Where it counts: in a file's content as it is now, which `content` hands out by path.
    pub fn verify(
        &self,
        keys: &Keys,
        content: impl FnOnce(&str) -> Option<Vec<u8>>,
    ) -> Result<(String, Vec<Approved>), Void> {
        let range = self.range().ok_or(Void::Form)?;
        let (person, key) = self.signer(keys)?;
        let places = content(&range.path).map(|content| range.places(&content)).unwrap_or_default();
        if places.is_empty() {
            return Err(Void::Changed { path: range.path, lines: range.lines });
        }
        let key = key.fingerprint();
        let approved = |(first, last)| Approved { person: person.clone(), key: key.clone(), first, last };
        Ok((range.path, places.into_iter().map(approved).collect()))
    }
}

/// A file's lines, each with its end.
fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').collect()
}

/// SHA-256 of the number of lines, and of each line's length and bytes. A line feed that the last line of a file lacks
/// counts as there.
fn digest(lines: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new_with_prefix("cloister lines 1\n");
    hash.update((lines.len() as u64).to_le_bytes());
    for line in lines {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        hash.update((line.len() as u64).to_le_bytes());
        hash.update(line);
    }
    Digest(hash.finalize().into())
}
