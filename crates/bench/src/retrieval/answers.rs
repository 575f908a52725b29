//! Answers that were had already: a run that was cut off goes on, and a repeated one asks nothing.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use testkit::Failure;

/// What an answer depends on. The programs that gave it are not in it: `--afresh` asks again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    /// The SHA-256 of the weights.
    pub(crate) model: String,
    pub(crate) variant: String,
    pub(crate) place: String,
    /// The SHA-256 of the request.
    pub(crate) context: String,
}

/// An answer, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) text: String,
    pub(crate) ms: f64,
    pub(crate) prompt_tokens: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    answered: Answered,
}

/// A file of JSON lines, and what stands in it.
pub(crate) struct Answers {
    file: File,
    known: HashMap<Key, Answered>,
}

impl Answers {
    /// What stands there already is not taken into account `afresh`; it stays, and what comes later counts.
    pub(crate) fn open(path: &Path, afresh: bool) -> Result<Answers, Failure> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = if path.is_file() { fs::read_to_string(path)? } else { String::new() };
        let mut file = File::options().create(true).append(true).open(path)?;
        // A line that was cut off is no answer, and must not spoil the next.
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        let lines =
            text.lines().filter(|_| !afresh).filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let known = lines.map(|line| (line.key, line.answered)).collect();
        Ok(Answers { file, known })
    }

    pub(crate) fn known(&self, key: &Key) -> Option<&Answered> {
        self.known.get(key)
    }

    pub(crate) fn add(&mut self, key: Key, answered: Answered) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&Line { key: key.clone(), answered: answered.clone() })?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.known.insert(key, answered);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_after_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/answers.jsonl");
        let key = |place: &str| Key {
            model: "m".into(),
            variant: "v".into(),
            place: place.into(),
            context: "c".into(),
        };
        let answered = Answered { text: "x\ny".into(), ms: 1.5, prompt_tokens: 7 };
        Answers::open(&path, false).unwrap().add(key("1"), answered.clone()).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"{\"model\":\"m\",\"var").unwrap();
        let mut answers = Answers::open(&path, false).unwrap();
        assert_eq!(answers.known(&key("1")), Some(&answered));
        answers.add(key("2"), answered.clone()).unwrap();
        let answers = Answers::open(&path, false).unwrap();
        assert_eq!(answers.known(&key("2")), Some(&answered));
        assert_eq!(answers.known(&key("3")), None);
        assert_eq!(Answers::open(&path, true).unwrap().known(&key("1")), None);
    }
}
