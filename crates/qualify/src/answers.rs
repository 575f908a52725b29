//! What was answered and judged, kept as it comes: a file of JSON Lines that is only appended to.
//!
//! A run that ends at any point, killed or not, goes on from here. Each line is on disk before it counts. A last line
//! that was torn is dropped when the file is opened; a bad line before it means that the file is damaged, and is an error.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use protocol::{Digest, worker::Sampling};
use serde::{Deserialize, Serialize};

use crate::judge::Verdict;

/// The largest file in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// What an answer depends on: two with the same key are the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The task's id.
    pub task: String,
    /// Of the suite's file.
    pub suite: Digest,
    /// Of the model's weights.
    pub model: Digest,
    /// Of the engine's program, or what else names its build.
    pub engine: String,
    /// How it was asked: [`crate::suite::Question::form`].
    pub form: String,
    /// How tokens were chosen, with the seed of this sample.
    pub sampling: Sampling,
    /// Tokens of an answer at most.
    pub tokens_max: u32,
    /// [`crate::run::Way::name`].
    pub way: String,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What it depends on.
    pub key: Key,
    /// The text that was chosen.
    pub text: String,
    /// What it is.
    pub verdict: Verdict,
    /// How often the model was asked.
    pub draws: u32,
    /// Tokens of all draws.
    pub tokens: u64,
    /// Milliseconds that the model took for all draws, one after another.
    pub ms: u64,
    /// Errors that the compiler found in the unit, where the way asked it.
    pub errors: Option<u32>,
    /// Why the compiler could not be asked, where the way asked it and could not.
    pub unchecked: Option<String>,
}

/// The file, opened by this process alone.
#[derive(Debug)]
pub struct Answers {
    file: File,
    path: PathBuf,
    /// By the key's text. A later line replaces an earlier one.
    known: HashMap<String, Answer>,
}

impl Answers {
    /// Opens the file, makes it where there is none, and drops a torn end.
    pub fn open(path: &Path) -> Result<Answers, AnswersError> {
        let during = |source| AnswersError::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(during)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => AnswersError::InUse { path: path.to_owned() },
            TryLockError::Error(source) => during(source),
        })?;
        if file.metadata().map_err(during)?.len() > FILE_BYTES_MAX {
            return Err(AnswersError::TooLong { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(during)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut known = HashMap::new();
        for (line, number) in bytes[..whole].split(|byte| *byte == b'\n').zip(1..) {
            if line.is_empty() {
                continue;
            }
            let answer: Answer = serde_json::from_slice(line).map_err(|source| AnswersError::Line {
                path: path.to_owned(),
                number,
                source,
            })?;
            known.insert(answer.key.text()?, answer);
        }
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(during)?;
        }
        file.seek(SeekFrom::End(0)).map_err(during)?;
        Ok(Answers { file, path: path.to_owned(), known })
    }

    /// What was answered under that key.
    pub fn get(&self, key: &Key) -> Option<&Answer> {
        self.known.get(&key.text().ok()?)
    }

    /// Writes one down; it is on disk when this returns. After an error nothing more should be added.
    pub fn add(&mut self, answer: Answer) -> Result<(), AnswersError> {
        let during = |source| AnswersError::File { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(&answer).map_err(|source| AnswersError::Written { source })?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(during)?;
        self.file.sync_data().map_err(during)?;
        self.known.insert(answer.key.text()?, answer);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl Key {
    fn text(&self) -> Result<String, AnswersError> {
        serde_json::to_string(self).map_err(|source| AnswersError::Written { source })
    }
}

/// Why answers cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum AnswersError {
    /// The file cannot be read or written.
    #[error("cannot keep answers in {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another run has it.
    #[error("{} is in use by another run", path.display())]
    InUse {
        /// Its path.
        path: PathBuf,
    },
    /// More than [`FILE_BYTES_MAX`].
    #[error("{} has more than {FILE_BYTES_MAX} bytes; begin another", path.display())]
    TooLong {
        /// Its path.
        path: PathBuf,
    },
    /// A line that is none of ours.
    #[error("line {number} of {} is damaged, or of another version", path.display())]
    Line {
        /// The file's path.
        path: PathBuf,
        /// From 1.
        number: usize,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// It has no text of JSON.
    #[error("an answer cannot be written down")]
    Written {
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(task: &str, seed: u64, verdict: Verdict) -> Answer {
        Answer {
            key: Key {
                task: task.to_owned(),
                suite: Digest([1; 32]),
                model: Digest([2; 32]),
                engine: "engine".to_owned(),
                form: "fill".to_owned(),
                sampling: Sampling { temperature: 0.6, seed, ..Sampling::GREEDY },
                tokens_max: 8,
                way: "plain".to_owned(),
            },
            text: "a\nb\"\u{0}".to_owned(),
            verdict,
            draws: 1,
            tokens: 3,
            ms: 5,
            errors: Some(0),
            unchecked: None,
        }
    }

    #[test]
    fn a_file_cut_anywhere_opens_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let all = [
            answer("a", 1, Verdict::Passed),
            answer("b", u64::MAX, Verdict::Failed { reason: "é".to_owned() }),
            answer("c", 1, Verdict::NotJudged { reason: String::new() }),
        ];
        let mut answers = Answers::open(&path).unwrap();
        for one in &all {
            assert!(answers.get(&one.key).is_none());
            answers.add(one.clone()).unwrap();
        }
        assert!(matches!(Answers::open(&path), Err(AnswersError::InUse { .. })));
        drop(answers);
        let bytes = std::fs::read(&path).unwrap();
        for cut in (0..=bytes.len()).step_by(13).chain([bytes.len() - 1, bytes.len()]) {
            File::create(&path).unwrap().write_all(&bytes[..cut]).unwrap();
            let mut answers = Answers::open(&path).unwrap();
            let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(answers.len(), whole);
            assert!(all[..whole].iter().all(|one| answers.get(&one.key) == Some(one)));
            answers.add(all[2].clone()).unwrap();
            drop(answers);
            assert_eq!(Answers::open(&path).unwrap().get(&all[2].key), Some(&all[2]));
        }
    }

    #[test]
    fn any_part_of_the_key_makes_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut answers = Answers::open(&folder.path().join("answers.jsonl")).unwrap();
        let one = answer("a", 1, Verdict::Passed);
        answers.add(one.clone()).unwrap();
        let changes: [fn(&mut Key); 8] = [
            |key| key.task.push('x'),
            |key| key.suite = Digest([9; 32]),
            |key| key.model = Digest([9; 32]),
            |key| key.engine.push('x'),
            |key| key.form.push('x'),
            |key| key.sampling.seed += 1,
            |key| key.tokens_max += 1,
            |key| key.way.push('x'),
        ];
        for change in changes {
            let mut key = one.key.clone();
            change(&mut key);
            assert!(answers.get(&key).is_none());
        }
        let later = answer("a", 1, Verdict::TimedOut);
        answers.add(later.clone()).unwrap();
        assert_eq!((answers.len(), answers.get(&one.key)), (1, Some(&later)));
    }

    #[test]
    fn a_damaged_line_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        File::create(&path).unwrap().write_all(b"{}\n").unwrap();
        assert!(Answers::open(&path).unwrap_err().to_string().starts_with("line 1 of "));
    }
}
