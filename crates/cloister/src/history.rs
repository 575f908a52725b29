//! Conversations that a person keeps: a file each, in the person's own state directory, which nobody else can read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use client::Message;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::failure::Failure;
use crate::file;

/// Bytes of a conversation that is kept.
const CONVERSATION_BYTES_MAX: usize = 4 << 20;
/// Conversations that are kept; the oldest go first.
const CONVERSATIONS_MAX: usize = 200;
/// Characters of the first message that a list shows.
const TITLE_CHARACTERS_MAX: usize = 60;

/// Where they are.
pub(crate) struct History {
    directory: PathBuf,
}

/// One conversation.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conversation {
    /// Names it, and its file: when it began, in UTC, so that names in order are conversations in order.
    pub(crate) id: String,
    /// When its last answer came, by this machine's clock, in milliseconds of Unix time.
    time_unix_ms: u64,
    /// Who answered.
    server: String,
    pub(crate) messages: Vec<Message>,
    /// The records of its answers.
    records: Vec<u64>,
}

impl Conversation {
    pub(crate) fn new(server: &impl ToString) -> Conversation {
        let now = jiff::Timestamp::now();
        let id = format!("{}-{:05}", now.strftime("%Y%m%d-%H%M%S"), now.subsec_nanosecond() / 10_000);
        Conversation {
            id,
            time_unix_ms: 0,
            server: server.to_string(),
            messages: Vec::new(),
            records: Vec::new(),
        }
    }

    /// An answer came: it is on record.
    pub(crate) fn answered(&mut self, text: String, record: Option<u64>) {
        self.messages.push(Message { role: "assistant".to_owned(), content: text });
        self.records.extend(record);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.time_unix_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    }

    /// A line of a list: name, answers, and how it begins.
    pub(crate) fn line(&self) -> String {
        let first = self.messages.first().map(|message| message.content.as_str()).unwrap_or_default();
        let mut title: String = first.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Some((end, _)) = title.char_indices().nth(TITLE_CHARACTERS_MAX) {
            title.truncate(end);
            title.push('…');
        }
        let last = self.records.last().map(|record| format!(" · record {record}")).unwrap_or_default();
        format!("{}  {} answers{last}  {title}", self.id, self.records.len())
    }
}

impl History {
    /// `None` where there is no home for it.
    pub(crate) fn of(environment: &Environment) -> Option<History> {
        Some(History { directory: environment.state_home.as_ref()?.join("cloister/conversations") })
    }

    /// Keeps a conversation as it is now, in place of what was kept of it.
    pub(crate) fn keep(&self, conversation: &Conversation) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(conversation)
            .map_err(|error| Failure::system("cannot keep the conversation", &error.into()))?;
        if bytes.len() > CONVERSATION_BYTES_MAX {
            return Err(Failure::refused("the conversation has grown too long to be kept"));
        }
        make_private(&self.directory)
            .map_err(|error| Failure::file("cannot make", &self.directory, &error))?;
        file::keep(&self.path(&conversation.id), &bytes, true)?;
        let names = self.names()?;
        let over = names.len().saturating_sub(CONVERSATIONS_MAX);
        names[..over].iter().try_for_each(|name| self.forget(name))
    }

    /// The names of those that are kept, the oldest first.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::file("cannot read", &self.directory, &error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
            .filter(|name| is_name(name))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// One of them.
    pub(crate) fn read(&self, name: &str) -> Result<Conversation, Failure> {
        if !is_name(name) || !self.path(name).exists() {
            return Err(Failure::usage(format!("no conversation {name:?} is kept"))
                .hint("`cloister chat --list` lists them."));
        }
        let path = self.path(name);
        let bytes = file::read(&path, CONVERSATION_BYTES_MAX as u64)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::refused(format!("{} is no conversation", path.display())).caused_by(&error)
        })
    }

    /// Removes one. What the server has on record stays there.
    pub(crate) fn forget(&self, name: &str) -> Result<(), Failure> {
        if !is_name(name) {
            return Err(Failure::usage(format!("no conversation {name:?} is kept")));
        }
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| Failure::file("cannot remove", &path, &error))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }
}

/// Names are our own; nothing else is a part of a path.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_names_are_no_paths() {
        let directory = tempfile::tempdir().unwrap();
        let history = History { directory: directory.path().join("state") };
        assert!(history.names().unwrap().is_empty());
        let mut conversation = Conversation::new(&"unix:/s");
        assert!(is_name(&conversation.id), "{}", conversation.id);
        for number in 0..CONVERSATIONS_MAX + 2 {
            conversation.id = format!("{number:05}");
            history.keep(&conversation).unwrap();
        }
        let names = history.names().unwrap();
        assert_eq!((names.len(), names[0].as_str()), (CONVERSATIONS_MAX, "00002"));
        for bad in ["../x", "", "a", "1/2"] {
            assert!(history.read(bad).is_err() && history.forget(bad).is_err(), "{bad}");
        }
        conversation.answered("x".repeat(CONVERSATION_BYTES_MAX), Some(1));
        assert!(history.keep(&conversation).is_err());
    }
}
