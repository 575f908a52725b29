use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use tokio::sync::mpsc;

use super::{Session, wait};
use crate::conversation::{Manner, answer, message};
use crate::failure::Failure;
use crate::fences::fenced;
use crate::file;
use crate::history::{Conversation, History};
use crate::settings::Settings;

/// Bytes of one message.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Holds a conversation
///
/// On a terminal: type a message and end it with the return key; a line that ends with \ goes on. /file PATH puts a file
/// into the next message, /new starts over, /quit or the end of input leaves; Ctrl-C stops an answer. Otherwise one message
/// is read from standard input to its end, and answered.
///
/// A conversation on a terminal is kept in $XDG_STATE_HOME/cloister/conversations, readable by you only, unless
/// --no-history or `history = false` in config.toml says otherwise. The server has its own record of each answer either way.
#[derive(clap::Args)]
pub(crate) struct Chat {
    /// A file that goes into the first message; may be repeated
    #[arg(long = "file", short, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Go on with the last conversation, or with the one that is named
    #[arg(long = "continue", short, value_name = "NAME", num_args = 0..=1)]
    go_on: Option<Option<String>>,
    /// Keep nothing of this conversation on this machine
    #[arg(long, conflicts_with = "go_on")]
    no_history: bool,
    /// List the conversations that are kept, the newest last
    #[arg(long, conflicts_with_all = ["files", "go_on", "no_history", "forget"])]
    list: bool,
    /// Remove a conversation that is kept, or `all`; the server's records stay
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "go_on", "no_history"])]
    forget: Option<String>,
    #[command(flatten)]
    manner: Manner,
}

impl Chat {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let history = History::of(&session.environment);
        if self.list || self.forget.is_some() {
            let Some(history) = history else { return Ok(ExitCode::SUCCESS) };
            self.manage(session, &history)?;
            return Ok(ExitCode::SUCCESS);
        }
        let files = self.files.iter().map(|path| read(path)).collect::<Result<String, _>>()?;
        let settings = session.settings()?;
        let mut conversation = match &self.go_on {
            None => Conversation::new(settings.client.address()),
            Some(name) => begun(history.as_ref(), name.as_deref())?,
        };
        let is_terminal = io::stdin().is_terminal();
        let wanted = settings.history && !self.no_history && (is_terminal || self.go_on.is_some());
        let history = history.filter(|_| wanted);
        if is_terminal {
            wait(self.converse(session, &settings, history.as_ref(), conversation, files))?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = file::read_stdin(MESSAGE_BYTES_MAX)?;
        if text.trim().is_empty() {
            return Err(Failure::usage("standard input holds no message"));
        }
        conversation.messages.push(message("user", files + &text));
        let request = self.manner.request(&settings, &conversation.messages);
        let answer = wait(answer(session, &settings, &request, true))?;
        conversation.answered(answer.text, answer.mark.record.map(|record| record.0));
        keep(session, history.as_ref(), &conversation);
        Ok(ExitCode::SUCCESS)
    }

    fn manage(&self, session: &mut Session, history: &History) -> Result<(), Failure> {
        let names = history.names()?;
        match self.forget.as_deref() {
            Some("all") => names.iter().try_for_each(|name| history.forget(name)),
            Some(name) => history.forget(name),
            None => {
                for name in &names {
                    // One that cannot be read hides no other.
                    match history.read(name) {
                        Ok(conversation) => session.output.line(conversation.line())?,
                        Err(failure) => session.output.say(failure.message()),
                    }
                }
                Ok(())
            }
        }
    }

    async fn converse(
        &self,
        session: &mut Session,
        settings: &Settings,
        history: Option<&History>,
        mut conversation: Conversation,
        mut files: String,
    ) -> Result<(), Failure> {
        session.output.say(format!(
            "cloister at {}. /file PATH puts a file in, /new starts over, /quit leaves, Ctrl-C stops an answer.",
            settings.client.address()
        ));
        if !conversation.messages.is_empty() {
            session.output.say(format!("going on with {}", conversation.line()));
        }
        let mut lines = lines();
        while let Some(text) = next_message(session, &mut lines).await? {
            match text.trim() {
                "" => continue,
                "/quit" => return Ok(()),
                "/new" => {
                    conversation = Conversation::new(settings.client.address());
                    files.clear();
                    session.output.say("a new conversation");
                    continue;
                }
                command if command.starts_with("/file ") => {
                    let path = PathBuf::from(command["/file ".len()..].trim());
                    match read(&path) {
                        Ok(file) => {
                            files.push_str(&file);
                            session.output.say(format!("{} goes into the next message", path.display()));
                        }
                        Err(failure) => drop(failure.report(&mut session.output)),
                    }
                    continue;
                }
                _ => conversation.messages.push(message("user", format!("{files}{text}"))),
            }
            let request = self.manner.request(settings, &conversation.messages);
            // Dropping the answer closes its connection, and the server stops generating.
            let answered = tokio::select! {
                answered = answer(session, settings, &request, true) => Some(answered),
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.map_err(|error| Failure::system("cannot wait for Ctrl-C", &error))?;
                    None
                }
            };
            match answered {
                Some(Ok(answer)) => {
                    files.clear();
                    conversation.answered(answer.text, answer.mark.record.map(|record| record.0));
                    keep(session, history, &conversation);
                }
                Some(Err(failure)) if failure.is_broken_pipe() => return Err(failure),
                Some(Err(failure)) => {
                    // The conversation goes on without the message that got no answer.
                    conversation.messages.pop();
                    failure.report(&mut session.output);
                }
                None => {
                    conversation.messages.pop();
                    session.output.end_text()?;
                    session.output.say("[stopped]");
                }
            }
        }
        Ok(())
    }
}

/// A file as it goes into a message.
fn read(path: &Path) -> Result<String, Failure> {
    Ok(fenced(path, &file::read_text(path, MESSAGE_BYTES_MAX)?))
}

/// The conversation of that name, or the last.
fn begun(history: Option<&History>, name: Option<&str>) -> Result<Conversation, Failure> {
    let none = || Failure::usage("no conversation is kept");
    let history = history.ok_or_else(none)?;
    match name {
        Some(name) => history.read(name),
        None => history.read(history.names()?.last().ok_or_else(none)?),
    }
}

/// The conversation goes on without being kept, so a failure is a warning.
fn keep(session: &mut Session, history: Option<&History>, conversation: &Conversation) {
    if let Some(Err(failure)) = history.map(|history| history.keep(conversation)) {
        session.output.say(format!("warning: {}", failure.message()));
    }
}

/// The next message; `None` at the end of input, or when Ctrl-C is pressed at the prompt.
async fn next_message(
    session: &mut Session,
    lines: &mut mpsc::Receiver<io::Result<String>>,
) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    session.output.prompt("> ");
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else {
            session.output.say("");
            return Ok(None);
        };
        let line = line.map_err(|error| Failure::system("cannot read standard input", &error))?;
        match line.strip_suffix('\\') {
            Some(begun) => {
                text.push_str(begun);
                text.push('\n');
                session.output.prompt("… ");
            }
            None => return Ok(Some(text + &line)),
        }
    }
}

/// Lines of standard input. Reading blocks, so that a thread of its own does it, which ends with the
/// process.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        loop {
            let mut line = String::new();
            match io::stdin().lock().take(MESSAGE_BYTES_MAX).read_line(&mut line) {
                Ok(0) => return,
                Ok(_) => {
                    let line = line.trim_end_matches(['\n', '\r']).to_owned();
                    if sender.blocking_send(Ok(line)).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // Whether it arrives does not matter: there is nothing more to read.
                    drop(sender.blocking_send(Err(error)));
                    return;
                }
            }
        }
    });
    receiver
}
