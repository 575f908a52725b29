use std::io::{self, BufRead, IsTerminal, Read};
use std::process::ExitCode;
use std::thread;

use tokio::sync::mpsc;

use super::{Session, wait};
use crate::conversation::{Manner, answer, message};
use crate::failure::Failure;
use crate::file;
use crate::settings::Settings;

/// Bytes of one message.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Holds a conversation
///
/// On a terminal: type a message and end it with the return key; a line that ends with \ goes on.
/// /new starts over, /quit or the end of input leaves; Ctrl-C stops an answer. Otherwise one message
/// is read from standard input to its end, and answered.
#[derive(clap::Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    manner: Manner,
}

impl Chat {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let settings = session.settings()?;
        if io::stdin().is_terminal() {
            wait(self.converse(session, &settings))?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = file::read_stdin(MESSAGE_BYTES_MAX)?;
        if text.trim().is_empty() {
            return Err(Failure::usage("standard input holds no message"));
        }
        let request = self.manner.request(&settings, &[message("user", text)]);
        wait(answer(session, &settings, &request, true))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn converse(&self, session: &mut Session, settings: &Settings) -> Result<(), Failure> {
        session.output.say(format!(
            "cloister at {}. /new starts over, /quit leaves, Ctrl-C stops an answer.",
            settings.client.address()
        ));
        let mut messages = Vec::new();
        let mut lines = lines();
        while let Some(text) = next_message(session, &mut lines).await? {
            match text.trim() {
                "" => continue,
                "/quit" => return Ok(()),
                "/new" => {
                    messages.clear();
                    session.output.say("a new conversation");
                    continue;
                }
                _ => messages.push(message("user", text)),
            }
            let request = self.manner.request(settings, &messages);
            // Dropping the answer closes its connection, and the server stops generating.
            let answered = tokio::select! {
                answered = answer(session, settings, &request, true) => Some(answered),
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.map_err(|error| Failure::system("cannot wait for Ctrl-C", &error))?;
                    None
                }
            };
            match answered {
                Some(Ok(answer)) => messages.push(message("assistant", answer.text)),
                Some(Err(failure)) if failure.is_broken_pipe() => return Err(failure),
                Some(Err(failure)) => {
                    // The conversation goes on without the message that got no answer.
                    messages.pop();
                    failure.report(&mut session.output);
                }
                None => {
                    messages.pop();
                    session.output.end_text()?;
                    session.output.say("[stopped]");
                }
            }
        }
        Ok(())
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
