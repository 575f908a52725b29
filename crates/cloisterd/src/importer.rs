//! The command's side of an importer: it starts the process, shows how far it is, and believes nothing of what
//! comes back but what it parses strictly. Whatever comes of it, the process ends first.

use std::error::Error;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gguf::inspect::shortened;
use jail::spawn::{Child, Exit};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::import_process::{self, ARGUMENT, Answer, CAUSES_MAX, Failure, NAME, Request, Task};
use crate::output::{self, Hinted};

/// Characters of an error's text at most: names on a medium are 512 bytes long, and some texts hold several.
const WORDS_CHARACTERS_MAX: usize = 16 << 10;
/// Until a process that has closed its socket must have ended.
const END_WAIT_MAX: Duration = Duration::from_secs(2);

/// A running importer.
pub(crate) struct Importer {
    socket: UnixStream,
    child: Child,
    /// Whether it has told what its jail goes without.
    weakened: bool,
}

/// An error that another process told of.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Told {
    words: String,
    #[source]
    cause: Option<Box<Told>>,
}

impl Importer {
    /// Starts one, and tells it what to do. `accept` names what its jail may go without.
    pub(crate) fn start(task: Task, accept: Vec<String>, more: &[&str]) -> Result<Importer, Box<dyn Error>> {
        let (socket, theirs) = UnixStream::pair()?;
        let program = std::env::current_exe()?;
        let mut arguments = vec![ARGUMENT];
        arguments.extend(more);
        let child = jail::spawn::spawn(&jail::spawn::Command {
            program: jail::spawn::Program::Path(&program),
            name: NAME,
            arguments: &arguments,
            environment: &[],
            descriptors: &[theirs.as_fd()],
        })?;
        drop(theirs);
        let importer = Importer { socket, child, weakened: false };
        let request = Request { parent_pid: std::process::id(), accept, task };
        import_process::tell(&importer.socket, &request)?;
        Ok(importer)
    }

    /// What it says next. That it failed, or could not be jailed, is an error here.
    pub(crate) fn next(&mut self) -> Result<Answer, Box<dyn Error>> {
        let answer = import_process::receive(&self.socket)
            .map_err(|error| format!("what reads the medium gave no answer that makes sense: {error}"))?;
        match answer {
            // Once at most: then it has nothing to say but what comes of the medium.
            Some(Answer::Weakened { warning }) if !self.weakened => {
                self.weakened = true;
                output::say(&shortened(&warning, WORDS_CHARACTERS_MAX));
                self.next()
            }
            None => Err(self.ended().into()),
            Some(Answer::Failed(failure)) => Err(told(failure, None).into()),
            Some(Answer::Unjailed(failure)) => {
                let words = "the process that reads media cannot be jailed, so the medium was not opened";
                Err(told(failure, Some(words)).into())
            }
            Some(answer) => Ok(answer),
        }
    }

    /// How it ended, which it should not have.
    fn ended(&self) -> Hinted {
        let mut watched = [PollFd::new(&self.child, PollFlags::IN)];
        let seconds = i64::try_from(END_WAIT_MAX.as_secs()).unwrap_or(0);
        let _timeout = rustix::event::poll(&mut watched, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 }));
        let how = match self.child.try_wait() {
            Ok(Some(Exit::Code(code))) => format!("ended with status {code}"),
            Ok(Some(Exit::Signal(signal))) => format!("was ended by signal {signal}"),
            Ok(None) => "went silent".to_owned(),
            Err(error) => format!("is lost: {error}"),
        };
        let hint = "try once more; if it happens again, the medium is damaged or made to do this";
        Hinted::new(format!("the process that reads the medium {how}, and gave no answer"), hint)
    }
}

/// Nothing of it writes to the vault once the command goes on, or gives up.
impl Drop for Importer {
    fn drop(&mut self) {
        // Refused where it was waited for already.
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }
}

/// An error as it was told, within limits and fit for terminals. It comes behind `words`, where there are any.
fn told(failure: Failure, words: Option<&str>) -> Hinted {
    let fit = |text: String| shortened(&text, WORDS_CHARACTERS_MAX);
    let mut chain: Vec<String> = words.map(str::to_owned).into_iter().collect();
    chain.extend(failure.chain.into_iter().take(CAUSES_MAX).map(fit));
    let cause = chain
        .drain(1.min(chain.len())..)
        .rev()
        .fold(None, |cause, words| Some(Told { words, cause: cause.map(Box::new) }));
    let first = chain.pop().unwrap_or_else(|| "it failed, and did not say why".to_owned());
    let hinted = Hinted::new(first, fit(failure.hint));
    match cause {
        Some(cause) => hinted.because(cause),
        None => hinted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_survives_the_trip() {
        let chain = ["a", "b\u{1b}[2J", "c"].map(str::to_owned).into();
        let error = told(Failure { chain, hint: "do".to_owned() }, None);
        assert_eq!((error.to_string().as_str(), error.hint()), ("a", "do"));
        let cause = error.source().unwrap();
        assert_eq!(cause.to_string(), "b\u{fffd}[2J");
        assert_eq!(cause.source().unwrap().to_string(), "c");
        assert!(cause.source().unwrap().source().is_none());
        let error = told(Failure { chain: Vec::new(), hint: String::new() }, Some("no jail"));
        assert_eq!(error.to_string(), "no jail");
        assert!(error.source().is_none());
        let long = vec!["x".repeat(1 << 20); 100];
        let error = told(Failure { chain: long, hint: String::new() }, None);
        let mut cause: Option<&dyn Error> = Some(&error);
        let mut causes = 0;
        while let Some(error) = cause {
            assert!(error.to_string().chars().count() <= WORDS_CHARACTERS_MAX + 1);
            causes += 1;
            cause = error.source();
        }
        assert_eq!(causes, CAUSES_MAX);
    }
}
