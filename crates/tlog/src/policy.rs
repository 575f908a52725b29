//! Which signatures make a checkpoint believed (C2SP tlog-policy): known logs, known witnesses, and the
//! quorum of these that must have cosigned.

use std::fmt;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{Algorithm, Note, NoteError, Signed, VerifierKey};

/// The longest policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// Logs, witnesses and groups that a policy may have, of each.
pub const LINES_MAX: usize = 128;

/// A policy. Names are octets without meaning outside it, as the specification has it. Shown as its text
/// without comments, every word one space apart: reading that gives the same policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Keys and addresses, in the policy's order.
    logs: Vec<(VerifierKey, Option<Vec<u8>>)>,
    witnesses: Vec<Witness>,
    /// Each names only what stands before it, so that evaluating in order never comes back.
    groups: Vec<Group>,
    quorum: Quorum,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Witness {
    name: Vec<u8>,
    key: VerifierKey,
    address: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: Vec<u8>,
    /// Members that must have cosigned, 1 to their number.
    threshold: usize,
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quorum {
    #[default]
    None,
    Of(Member),
}

/// A witness's valid cosignature on a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness's name in the policy; what of it is not UTF-8 is shown as U+FFFD.
    pub witness: String,
    /// The name of its key.
    pub key_name: String,
    /// When, in seconds since 1970.
    pub time_unix_s: u64,
}

/// A note as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The log's key.
    pub log: VerifierKey,
    /// Witnesses of the policy that cosigned, in the policy's order.
    pub cosigned: Vec<Cosigned>,
    /// Whether these make the quorum.
    pub quorum: bool,
}

/// Why a text is not a policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// The policy is longer than [`POLICY_BYTES_MAX`].
    #[error("a policy of {0} bytes is longer than the limit of {POLICY_BYTES_MAX}")]
    TooLong(usize),
    /// A line cannot be accepted.
    #[error("line {number} of the policy: {what}")]
    Line {
        /// Its number, from 1.
        number: usize,
        /// What is wrong.
        what: String,
    },
    /// There is no quorum line.
    #[error("the policy has no `quorum` line: end it with `quorum none` or `quorum NAME`")]
    NoQuorum,
}

/// Why a checkpoint is not of a policy's logs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JudgeError {
    /// The note or the checkpoint is malformed, or a signature of a known key is wrong.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No log of the policy signed it.
    #[error("no log of the policy signed the checkpoint of `{0}`")]
    UnknownLog(String),
}

impl From<NoteError> for JudgeError {
    fn from(error: NoteError) -> Self {
        JudgeError::Checkpoint(error.into())
    }
}

impl Policy {
    /// Reads a policy's octets.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong(bytes.len()));
        }
        let mut policy = Policy::default();
        let mut quorum = None;
        let mut grouped = Vec::new();
        for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            policy
                .line(line, &mut quorum, &mut grouped)
                .map_err(|what| PolicyError::Line { number, what })?;
        }
        policy.quorum = quorum.ok_or(PolicyError::NoQuorum)?;
        Ok(policy)
    }

    fn line(
        &mut self,
        line: &[u8],
        quorum: &mut Option<Quorum>,
        grouped: &mut Vec<Member>,
    ) -> Result<(), String> {
        let line = line.strip_suffix(b"\n").ok_or("it has no end: a line feed is missing")?;
        if line.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err("it holds a control character".to_owned());
        }
        let words: Vec<&[u8]> =
            line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key, address @ ..] => self.log(key, address),
            [b"witness", name, key, address @ ..] => self.witness(name, key, address),
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members, grouped),
            [b"quorum", name] => {
                if quorum.is_some() {
                    return Err("a second `quorum`: there is exactly one".to_owned());
                }
                *quorum = Some(if *name == b"none" { Quorum::None } else { Quorum::Of(self.member(name)?) });
                Ok(())
            }
            _ => Err("not understood: expected `log`, `witness`, `group` or `quorum`".to_owned()),
        }
    }

    fn log(&mut self, key: &[u8], address: &[&[u8]]) -> Result<(), String> {
        let key = parse_key(key)?;
        if self.logs.iter().any(|(other, _)| same_key(other, &key)) {
            return Err("the log's key stands in the policy already".to_owned());
        }
        room(self.logs.len(), "logs")?;
        self.logs.push((key, parse_address(address)?));
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], address: &[&[u8]]) -> Result<(), String> {
        let key = parse_key(key)?;
        if key.algorithm() == Algorithm::Ed25519 {
            return Err("the witness's key is of a log: its algorithm must be 4 or 6".to_owned());
        }
        if self.witnesses.iter().any(|other| same_key(&other.key, &key)) {
            return Err("the witness's key stands in the policy already".to_owned());
        }
        room(self.witnesses.len(), "witnesses")?;
        let name = self.new_name(name)?;
        self.witnesses.push(Witness { name, key, address: parse_address(address)? });
        Ok(())
    }

    fn group(
        &mut self,
        name: &[u8],
        threshold: &[u8],
        members: &[&[u8]],
        grouped: &mut Vec<Member>,
    ) -> Result<(), String> {
        room(self.groups.len(), "groups")?;
        let name = self.new_name(name)?;
        let mut found = Vec::with_capacity(members.len());
        for member in members {
            let known = self.member(member)?;
            if grouped.contains(&known) {
                let member = String::from_utf8_lossy(member);
                return Err(format!("`{member}` is a member of a group already"));
            }
            grouped.push(known);
            found.push(known);
        }
        let count = found.len();
        let threshold = match threshold {
            b"all" => count,
            b"any" => 1,
            digits => decimal(digits).ok_or("expected `all`, `any` or a number of members")?,
        };
        if threshold == 0 || threshold > count {
            return Err(format!("{threshold} of {count} members can never be met: 1 to {count} can"));
        }
        self.groups.push(Group { name, threshold, members: found });
        Ok(())
    }

    /// A name that nothing has yet.
    fn new_name(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        if name == b"none" {
            return Err("`none` names nothing: it is for `quorum none`".to_owned());
        }
        if self.member(name).is_ok() {
            return Err(format!("`{}` is a name already", String::from_utf8_lossy(name)));
        }
        Ok(name.to_vec())
    }

    fn member(&self, name: &[u8]) -> Result<Member, String> {
        let witness = self.witnesses.iter().position(|witness| witness.name == name).map(Member::Witness);
        let group = || self.groups.iter().position(|group| group.name == name).map(Member::Group);
        witness.or_else(group).ok_or_else(|| {
            format!("`{}` is no witness or group of a line before", String::from_utf8_lossy(name))
        })
    }

    /// The logs' keys.
    pub fn logs(&self) -> impl Iterator<Item = &VerifierKey> {
        self.logs.iter().map(|(key, _)| key)
    }

    /// The witnesses' keys.
    pub fn witnesses(&self) -> impl Iterator<Item = &VerifierKey> {
        self.witnesses.iter().map(|witness| &witness.key)
    }

    /// Whether any cosignature is demanded.
    pub fn demands_cosignatures(&self) -> bool {
        self.quorum != Quorum::None
    }

    /// The same policy with one witness more, and as its quorum: all witnesses. Groups there were are
    /// left out. Refused when the name or the key is there already, or the key is no witness's.
    pub fn with_witness(&self, name: &str, key: &VerifierKey) -> Result<Self, PolicyError> {
        let mut text = Vec::new();
        for line in self.lines().iter().filter(|line| !is_rule(line)) {
            text.extend(line);
        }
        text.extend(format!("witness {name} {key}\n").as_bytes());
        let names = self.witnesses.iter().map(|witness| witness.name.as_slice());
        let names: Vec<&[u8]> = names.chain([name.as_bytes()]).collect();
        if let [only] = names.as_slice() {
            text.extend([b"quorum ", *only, b"\n"].concat());
        } else {
            text.extend([b"group quorum-of-all all ", names.join(&b' ').as_slice(), b"\n"].concat());
            text.extend(b"quorum quorum-of-all\n");
        }
        Policy::parse(&text)
    }

    /// What a note is to this policy: signed by one of its logs, whose name is the checkpoint's origin, and
    /// cosigned by which witnesses. A signature that names a known key and is wrong refuses the note.
    pub fn judge(&self, note: &str) -> Result<Judged, JudgeError> {
        let parsed = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(parsed.text())?;
        let mut log = None;
        for key in self.logs() {
            if parsed.signed(key)?.is_some() && key.name() == checkpoint.origin {
                log = log.or(Some(key));
            }
        }
        let log = log.ok_or_else(|| JudgeError::UnknownLog(checkpoint.origin.clone()))?.clone();
        let (cosigned, quorum) = self.cosignatures(&parsed)?;
        Ok(Judged { checkpoint, log, cosigned, quorum })
    }

    /// The valid cosignatures of the policy's witnesses on a note, and whether they make the quorum:
    /// without asking which log signed.
    pub fn cosignatures(&self, note: &Note<'_>) -> Result<(Vec<Cosigned>, bool), NoteError> {
        let (mut cosigned, mut by) = (Vec::new(), Vec::new());
        for witness in &self.witnesses {
            let signed = note.signed(&witness.key)?;
            by.push(signed.is_some());
            if let Some(Signed { time_unix_s }) = signed {
                cosigned.push(Cosigned {
                    witness: String::from_utf8_lossy(&witness.name).into_owned(),
                    key_name: witness.key.name().to_owned(),
                    time_unix_s: time_unix_s.unwrap_or(0),
                });
            }
        }
        let mut groups: Vec<bool> = Vec::new();
        for group in &self.groups {
            let met = group.members.iter().filter(|member| holds(member, &by, &groups)).count();
            groups.push(met >= group.threshold);
        }
        let quorum = match &self.quorum {
            Quorum::None => true,
            Quorum::Of(member) => holds(member, &by, &groups),
        };
        Ok((cosigned, quorum))
    }

    /// The policy's text, a line each.
    fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut known = |mut line: Vec<u8>, key: &VerifierKey, address: &Option<Vec<u8>>| {
            line.extend(key.to_string().as_bytes());
            if let Some(address) = address {
                line.extend([b" ", address.as_slice()].concat());
            }
            line.push(b'\n');
            lines.push(line);
        };
        for (key, address) in &self.logs {
            known(b"log ".to_vec(), key, address);
        }
        for Witness { name, key, address } in &self.witnesses {
            known([b"witness ", name.as_slice(), b" "].concat(), key, address);
        }
        for Group { name, threshold, members } in &self.groups {
            let mut line = [b"group ", name.as_slice(), format!(" {threshold}").as_bytes()].concat();
            for member in members {
                line.extend([b" ", self.name_of(member)].concat());
            }
            line.push(b'\n');
            lines.push(line);
        }
        let quorum = match &self.quorum {
            Quorum::None => b"none".as_slice(),
            Quorum::Of(member) => self.name_of(member),
        };
        lines.push([b"quorum ", quorum, b"\n"].concat());
        lines
    }

    fn name_of(&self, member: &Member) -> &[u8] {
        match member {
            Member::Witness(index) => self.witnesses.get(*index).map_or(b"", |witness| &witness.name),
            Member::Group(index) => self.groups.get(*index).map_or(b"", |group| &group.name),
        }
    }

    /// The policy's text, as octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines().concat()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

fn is_rule(line: &[u8]) -> bool {
    line.starts_with(b"group ") || line.starts_with(b"quorum ")
}

fn holds(member: &Member, witnesses: &[bool], groups: &[bool]) -> bool {
    match member {
        Member::Witness(index) => witnesses.get(*index),
        Member::Group(index) => groups.get(*index),
    }
    .is_some_and(|holds| *holds)
}

fn parse_key(word: &[u8]) -> Result<VerifierKey, String> {
    let text = std::str::from_utf8(word).map_err(|_| "the key is not UTF-8")?;
    text.parse().map_err(|error| format!("the key cannot be used: {error}"))
}

/// Duplicates are keys that wrap the same public key, whatever their names.
fn same_key(one: &VerifierKey, other: &VerifierKey) -> bool {
    one.key_bytes() == other.key_bytes()
}

fn parse_address(words: &[&[u8]]) -> Result<Option<Vec<u8>>, String> {
    match words {
        [] => Ok(None),
        [address] => Ok(Some(address.to_vec())),
        _ => Err("more words than a key and an address".to_owned()),
    }
}

fn room(count: usize, what: &str) -> Result<(), String> {
    if count < LINES_MAX { Ok(()) } else { Err(format!("more than {LINES_MAX} {what}")) }
}

/// A number in its one spelling.
fn decimal(digits: &[u8]) -> Option<usize> {
    let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{CosigningKey, SigningKey};

    fn log(seed: u8) -> SigningKey {
        SigningKey::new("o", [seed; 32]).unwrap()
    }

    fn witness(number: u8) -> CosigningKey {
        CosigningKey::ed25519(&format!("w{number}.example"), [number; 32]).unwrap()
    }

    /// Lines for a log and six witnesses, w1 to w6.
    fn head() -> String {
        let mut text = format!("# ours\n\n\tlog {} https://log.example\n", log(99).verifier());
        for number in 1..=6 {
            text += &format!("witness w{number} {}\n", witness(number).verifier());
        }
        text
    }

    fn note(by: &[u8]) -> String {
        let checkpoint = Checkpoint { origin: "o".into(), size: 5, root: [1; 32] };
        let lines = by.iter().map(|number| witness(*number).cosign(&checkpoint, 100).unwrap());
        checkpoint.sign(&log(99)).unwrap() + &lines.collect::<String>()
    }

    #[test]
    fn quorums() {
        let nested = "group x 2 w1 w2 w3\ngroup y any w4 w5 w6\ngroup both all x y\nquorum both\n";
        for (rules, by, holds) in [
            ("quorum none\n", &[][..], true),
            ("quorum w2\n", &[2], true),
            ("quorum w2\n", &[1, 3, 4, 5, 6], false),
            ("group g all w1 w2\nquorum g\n", &[1], false),
            ("group g all w1 w2\nquorum g\n", &[1, 2], true),
            (nested, &[1, 3, 6], true),
            (nested, &[1, 2, 3], false),
            (nested, &[1, 4, 5, 6], false),
            ("group g any w1 w2\nquorum w3\n", &[1, 2], false),
        ] {
            let policy = Policy::parse((head() + rules).as_bytes()).unwrap();
            assert_eq!(policy.demands_cosignatures(), rules != "quorum none\n");
            let judged = policy.judge(&note(by)).unwrap();
            assert_eq!(judged.quorum, holds, "{rules} by {by:?}");
            let names: Vec<String> = by.iter().map(|number| format!("w{number}")).collect();
            assert_eq!(judged.cosigned.iter().map(|c| c.witness.clone()).collect::<Vec<_>>(), names);
            assert_eq!(Policy::parse(&policy.to_bytes()), Ok(policy));
        }
    }

    #[test]
    fn notes_of_others_are_refused() {
        let policy = Policy::parse((head() + "quorum none\n").as_bytes()).unwrap();
        let checkpoint = Checkpoint { origin: "o".into(), size: 5, root: [1; 32] };
        let foreign = checkpoint.sign(&log(98)).unwrap();
        assert_eq!(policy.judge(&foreign), Err(JudgeError::UnknownLog("o".into())));
        let renamed = log(99).sign(&Checkpoint { origin: "p".into(), ..checkpoint.clone() }.text()).unwrap();
        assert_eq!(policy.judge(&renamed), Err(JudgeError::UnknownLog("p".into())));
        // A cosignature of another checkpoint, though no quorum needs it.
        let other = Checkpoint { size: 6, ..checkpoint };
        let wrong = note(&[]) + &witness(1).cosign(&other, 100).unwrap();
        assert!(matches!(
            policy.judge(&wrong),
            Err(JudgeError::Checkpoint(CheckpointError::Note(NoteError::WrongSignature(_))))
        ));
        // One of nobody's the policy knows is passed over.
        let stranger = note(&[1]) + &witness(9).cosign(&other, 100).unwrap();
        assert_eq!(policy.judge(&stranger).unwrap().cosigned.len(), 1);
    }

    #[test]
    fn refused_with_the_line() {
        let key = |number| witness(number).verifier().to_string();
        let renamed = CosigningKey::ed25519("other", [1; 32]).unwrap().verifier().to_string();
        for (rules, number, words) in [
            ("quorum w1", 10, "no end"),
            ("quorum w1\nquorum w1\n", 11, "a second"),
            ("quorum w7\n", 10, "`w7` is no witness"),
            ("group g all g\nquorum g\n", 10, "`g` is no witness"),
            ("quorum g\ngroup g all w1\n", 10, "`g` is no witness"),
            ("group none all w1\nquorum none\n", 10, "`none` names nothing"),
            ("group g all none\nquorum g\n", 10, "`none` is no witness"),
            ("group w1 all w2\nquorum w1\n", 10, "is a name already"),
            ("group g 0 w1\nquorum g\n", 10, "can never be met"),
            ("group g 3 w1 w2\nquorum g\n", 10, "can never be met"),
            ("group g 01 w1\nquorum g\n", 10, "expected `all`"),
            ("group g +1 w1\nquorum g\n", 10, "expected `all`"),
            ("group g all\nquorum g\n", 10, "can never be met"),
            ("group g all w1 w1\nquorum g\n", 10, "a member of a group already"),
            ("group g all w1\ngroup h all w1\nquorum g\n", 11, "a member of a group already"),
            (&format!("witness again {}\nquorum none\n", key(1)), 10, "stands in the policy already"),
            (&format!("witness again {renamed}\nquorum none\n"), 10, "stands in the policy already"),
            (&format!("witness w1 {}\nquorum none\n", key(7)), 10, "is a name already"),
            (&format!("witness l {}\nquorum none\n", log(9).verifier()), 10, "is of a log"),
            (&format!("log {}\nquorum none\n", log(99).verifier()), 10, "stands in the policy already"),
            (&format!("log {} a b\nquorum none\n", log(9).verifier()), 10, "more words"),
            ("log o+1+a\nquorum none\n", 10, "the key cannot be used"),
            ("quorum none # no\n", 10, "not understood"),
            ("quorum\u{b}none\n", 10, "control character"),
            ("# \r\nquorum none\n", 10, "control character"),
            ("# \u{7f}\nquorum none\n", 10, "control character"),
        ] {
            match Policy::parse((head() + rules).as_bytes()) {
                Err(PolicyError::Line { number: found, what }) => {
                    assert!(found == number && what.contains(words), "{rules}: {found}: {what}");
                }
                other => panic!("{rules}: {other:?}"),
            }
        }
        assert_eq!(Policy::parse(head().as_bytes()), Err(PolicyError::NoQuorum));
        assert!(matches!(Policy::parse(&vec![b'\n'; POLICY_BYTES_MAX + 1]), Err(PolicyError::TooLong(_))));
    }

    #[test]
    fn names_are_octets_and_limits_are_wide_enough() {
        let mut text = Vec::new();
        for number in 0..40u8 {
            text.extend(format!("log {}\n", log(number).verifier()).as_bytes());
            let key = witness(number + 100).verifier().to_string();
            text.extend(
                [b"witness \xff\xfe", [number + 0x80].as_slice(), b" ", key.as_bytes(), b"\n"].concat(),
            );
            text.extend(
                [b"group g\xe2", [number + 0x80].as_slice(), b" any \xff\xfe", &[number + 0x80], b"\n"]
                    .concat(),
            );
        }
        text.extend(b"quorum g\xe2\x80\n");
        let policy = Policy::parse(&text).unwrap();
        assert_eq!(Policy::parse(&policy.to_bytes()), Ok(policy));
        let address = format!("log {} https://\u{fc}.example", log(1).verifier());
        let odd = [address.as_bytes(), b"\xff\nquorum none\n"].concat();
        assert_eq!(Policy::parse(&odd).unwrap().to_bytes(), odd);
        let keys = (0..=LINES_MAX).map(|number| {
            let seed = [u8::try_from(number).unwrap(); 32];
            format!("log {}\n", SigningKey::new("o", seed).unwrap().verifier())
        });
        let many = keys.collect::<String>() + "quorum none\n";
        assert!(Policy::parse(many.as_bytes()).unwrap_err().to_string().contains("more than 128 logs"));
    }

    #[test]
    fn a_witness_more() {
        let own = CosigningKey::ml_dsa_44("o", [1; 32]).unwrap();
        let text =
            format!("log {}\nwitness log-mldsa {}\nquorum log-mldsa\n", log(99).verifier(), own.verifier());
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let policy = policy.with_witness("w1", witness(1).verifier()).unwrap();
        assert!(!policy.judge(&note(&[1])).unwrap().quorum);
        let checkpoint = Checkpoint { origin: "o".into(), size: 5, root: [1; 32] };
        let both = note(&[1]) + &own.cosign(&checkpoint, 3).unwrap();
        assert!(policy.judge(&both).unwrap().quorum);
        let policy = policy.with_witness("w2", witness(2).verifier()).unwrap();
        assert!(!policy.judge(&both).unwrap().quorum);
        for (name, key) in
            [("w1", witness(3)), ("w3", witness(2)), ("two words", witness(3)), ("none", witness(3))]
        {
            assert!(policy.with_witness(name, key.verifier()).is_err(), "{name}");
        }
    }
}
