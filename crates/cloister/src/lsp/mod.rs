//! The language server: `cloister lsp`.
//!
//! It speaks LSP 3.18 with an editor over standard input and output ([`wire`], [`types`]) and with the one configured
//! server through `client`. One task owns all state ([`server`]); what takes time runs beside it and sends an event when
//! it has ended. A suggestion goes through [`hole`] (the place), [`cache`], [`debounce`] and [`ahead`] (the next one, as if
//! this one were accepted), all in [`completion`]; what became of it through [`suggestions`] and [`decisions`].
//!
//! Nothing that a person wrote is logged.

mod actions;
mod ahead;
mod cache;
mod chat;
mod completion;
mod debounce;
mod decisions;
mod documents;
mod hole;
mod hover;
mod options;
mod paths;
mod prompts;
mod server;
mod status;
mod suggestions;
mod types;
mod wire;

use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::commands::Session;
use crate::failure::Failure;
use server::Handshake;
use wire::{Incoming, Outgoing};

/// Messages of the editor that are read and not yet looked at.
const READ_AHEAD: usize = 64;
/// What is left to write has this long when all is over.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);

/// Serves one editor until it says `exit` or goes away.
pub(crate) fn serve(session: &mut Session) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start", &error))?;
    runtime.block_on(async {
        let mut incoming = messages();
        let (outgoing, written) = Outgoing::to(io::stdout());
        let served = match Handshake::wait(&mut incoming, &outgoing, session).await? {
            Some((server, events)) => server.run(incoming, events).await,
            None => Ok(false),
        };
        drop(outgoing);
        // An editor that has closed its end does not read any more.
        drop(timeout(LAST_WORDS_WAIT, written).await);
        // As the protocol has it: leaving without `shutdown` is a failure.
        Ok(if served? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Messages of standard input. Reading blocks, so that a thread of its own does it, which ends with the process.
fn messages() -> mpsc::Receiver<io::Result<Incoming>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(read) = wire::read(&mut input).transpose() {
            let is_last = read.is_err();
            if sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
