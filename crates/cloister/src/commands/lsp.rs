use std::process::ExitCode;

use super::Session;
use crate::failure::Failure;
use crate::lsp;

/// Serves an editor, over the Language Server Protocol on standard input and output
///
/// Completions as ghost text or in the list, what became of them, actions on code, a chat. An editor starts it; docs/lsp.md
/// says how. The server is the same as for the other commands, unless the editor's settings name one.
#[derive(clap::Args)]
pub(crate) struct Lsp {
    /// Standard input and output, which is all there is: some editors say it
    #[arg(long)]
    stdio: bool,
}

impl Lsp {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let Lsp { stdio: _ } = self;
        lsp::serve(session)
    }
}
