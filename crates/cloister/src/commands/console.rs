use std::process::ExitCode;

use ::client::Address;

use super::Session;
use crate::failure::Failure;

/// Prints the address of the server's console, for a browser
///
/// A browser reaches TCP only: name the server as http://127.0.0.1:PORT. The page asks for your token once. Nothing here
/// puts it into the address: what is in an address stays in terminals, histories and lists of processes.
#[derive(clap::Args)]
pub(crate) struct Console {}

impl Console {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let settings = session.settings()?;
        match settings.client.address() {
            address @ Address::Tcp(_) | address @ Address::Tls { server_name: None, .. } => {
                session.output.line(format_args!("{address}/console"))?;
                Ok(ExitCode::SUCCESS)
            }
            // A browser finds out itself where the name is.
            Address::Tls { address, server_name: Some(name) } => {
                session.output.line(format_args!("https://{name}:{}/console", address.port()))?;
                Ok(ExitCode::SUCCESS)
            }
            Address::Unix(_) => Err(Failure::configuration("a browser cannot reach a Unix socket".to_owned()).hint(
                "Set `tcp` under `[server]` in the server's cloister.toml, and give --server http://127.0.0.1:PORT.",
            )),
        }
    }
}
