//! `cargo xtask client`: one of other people's programs against a server, in a network that holds a loopback and nothing
//! else. `soak clients` runs them all.

use std::{env, process::Command};

use testkit::clients::{self, Installed, NAMES};

use crate::{
    failure::{During as _, Failure},
    node,
    places::{Places, TEST_MODELS, TEST_PROGRAMS},
    process::{output_of, without_network},
    python,
};

/// Runs one program of other people's against a server; it is installed first.
#[derive(clap::Args)]
pub(crate) struct Client {
    /// Which, by its package.
    #[arg(value_parser = NAMES)]
    name: String,
    /// In this network, as it is.
    #[arg(long, hide = true)]
    here: bool,
}

impl Client {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        if !self.here {
            println!("{}", apart(places, &self.name)?.trim_end());
            return Ok(());
        }
        let installed = Installed { node: node::clients(places)?, aider: python::aider(places)? };
        let seen = clients::run(&installed, &self.name).during(|| self.name.clone())?;
        println!("{COUNTED}{} requests, {} answers", seen.requests, seen.answers);
        Ok(())
    }
}

/// What stands before the counts.
pub(crate) const COUNTED: &str = "client: ";

/// The same in a network of its own; what it printed.
pub(crate) fn apart(places: &Places, name: &str) -> Result<String, Failure> {
    // Installed where there is a network.
    node::clients(places)?;
    python::aider(places)?;
    let program = env::current_exe().during(|| "this program".to_owned())?;
    let mut client = Command::new(program);
    client.args(["client", "--here", name]);
    client.env(TEST_PROGRAMS, places.release()).env(TEST_MODELS, places.models());
    output_of(&mut without_network(&client))
}
