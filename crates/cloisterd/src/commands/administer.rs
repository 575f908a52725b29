use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use protocol::admin::{Command, Response};
use serde_json::Value;

use super::Outcome;
use super::witness::Witness;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::{admin_socket, compose, listeners};

/// Persons.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Adds a person.
    Add {
        /// A name, unique on this server.
        name: String,
        /// A label this person is cleared for; may be repeated.
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// A group this person is in; may be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Puts a person into groups, and out of all others.
    Groups {
        /// The person.
        name: String,
        /// The groups; none takes the person out of all.
        groups: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Disables a person, at once: their tokens, certificates and every other proof let nobody in any more.
    Disable {
        /// The person.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Gives a person roles, and takes all others: developer, reviewer, administrator, auditor, security-officer, service.
    SetRoles {
        /// The person.
        name: String,
        /// The roles; none takes all.
        roles: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says what a person is cleared for, instead of what they were.
    Labels {
        /// The person.
        name: String,
        /// The labels; none clears for nothing that has one.
        labels: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    Import(super::user_import::Import),
    /// Lists persons.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Enrols a public key, whose signatures approve in that person's name.
    ///
    /// Ed25519 and ECDSA keys of OpenSSH, in a file, on a FIDO token or on a card. A key is enrolled once, to
    /// one person.
    EnrolKey {
        /// Whose.
        user: String,
        /// The public key's file, as ~/.ssh/id_ed25519.pub.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key: it approves nothing any more.
    RevokeKey {
        /// Whose.
        user: String,
        /// The public key's file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists keys that approve.
    Keys {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Days that a token is good, where nothing else is said.
const TOKEN_DAYS: u32 = 90;

/// Bearer tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issues a token and prints it, this once.
    Issue {
        /// Whose.
        user: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        note: String,
        /// Limits it to these actions, or groups of them, as `use,read`; `cloisterd policy show --schema` lists them.
        #[arg(long, value_delimiter = ',', value_name = "ACTION")]
        scope: Vec<String>,
        /// How many days it is good.
        #[arg(long, default_value_t = TOKEN_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// It is good until it is revoked.
        #[arg(long, conflicts_with = "days")]
        never_expires: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a token at once.
    Revoke {
        /// The token's id: the 12 digits after `clst_`.
        id: String,
    },
    /// Lists tokens, without their secrets.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The ledger, with its bodies opened.
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Lists leaves, newest first.
    List {
        /// At most that many.
        #[arg(long, default_value_t = 20)]
        count: u32,
        /// Only those before this one.
        #[arg(long)]
        before: Option<u64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Has another house cosign the ledger, by files that are carried; docs/witness.md.
    #[command(subcommand)]
    Witness(Witness),
    /// Shows a leaf, its body, and the leaves that name it, as JSON.
    Show {
        /// The leaf's number.
        record: u64,
    },
    Evidence(super::evidence::Evidence),
    EraseRequest(super::erase::EraseRequest),
    Erase(super::erase::Erase),
    Doctor(super::doctor::Doctor),
    Backup(super::backup::Backup),
    Restore(super::backup::Restore),
    Query(Box<super::query::Query>),
    Export(Box<super::export::Export>),
    Slice(super::slice::Slice),
}

/// Says how the server stands.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl User {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            User::Add { name, labels, groups, json } => {
                print(data, Command::UserAdd { name, labels, groups }, json)
            }
            User::Groups { name, groups, json } => print(data, Command::UserGroups { name, groups }, json),
            User::Disable { name, json } => print(data, Command::UserDisable { name }, json),
            User::Labels { name, labels, json } => print(data, Command::UserLabels { name, labels }, json),
            User::Import(command) => command.run(data),
            User::SetRoles { name, roles, json } => print(data, Command::UserRoles { name, roles }, json),
            User::List { json } => print(data, Command::UserList, json),
            User::EnrolKey { user, file, json } => {
                print(data, Command::UserEnrolKey { user, key: read_key(&file)? }, json)
            }
            User::RevokeKey { user, file, json } => {
                print(data, Command::UserRevokeKey { user, key: read_key(&file)? }, json)
            }
            User::Keys { json } => print(data, Command::UserKeys, json),
        }
    }
}

impl Token {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            Token::Issue { user, note, scope, days, never_expires, json } => {
                let days = (!never_expires).then_some(days);
                let command = Command::TokenIssue { user, note, scope, days };
                if json {
                    return print(data, command, true);
                }
                let issued = ask(data, command)?;
                let good = days.map_or("until it is revoked".to_owned(), |days| format!("for {days} days"));
                output::say(&format!("keep it: it is not shown again; it is good {good}"));
                output::line(issued["token"].as_str().unwrap_or_default())?;
                Ok(ExitCode::SUCCESS)
            }
            Token::Revoke { id } => print(data, Command::TokenRevoke { id }, false),
            Token::List { json } => print(data, Command::TokenList, json),
        }
    }
}

impl Ledger {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            Ledger::List { count, before, json } => print(data, Command::LedgerList { count, before }, json),
            Ledger::Witness(command) => command.run(data),
            Ledger::Show { record } => {
                let shown = ask(data, Command::LedgerShow { record })?;
                output::line(&serde_json::to_string_pretty(&shown)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Ledger::Evidence(command) => command.run(data),
            Ledger::EraseRequest(command) => command.run(data),
            Ledger::Erase(command) => command.run(data),
            Ledger::Doctor(command) => command.run(data),
            Ledger::Backup(command) => command.run(data),
            Ledger::Restore(command) => command.run(data),
            Ledger::Query(command) => command.run(data),
            Ledger::Export(command) => command.run(data),
            Ledger::Slice(command) => command.run(data),
        }
    }
}

impl Status {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        print(data, Command::Status, self.json)
    }
}

fn read_key(file: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let key = crate::file::read_text(file, approval::KEY_BYTES_MAX)?;
    if key.contains("PRIVATE KEY") {
        let error = format!("{} is a private key", file.display());
        return Err(Hinted::new(error, "give its public half, which ends in .pub").into());
    }
    Ok(key)
}

fn print(data: &Path, command: Command, json: bool) -> Outcome {
    output::document(&ask(data, command)?, json)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the running daemon; when none runs, does it here under the data directory's lock.
pub(super) fn ask(data: &Path, command: Command) -> Result<Value, Box<dyn std::error::Error>> {
    let data = Data::open(data)?;
    let response = match data.try_lock()? {
        Some(lock) => {
            let response = compose::administer(&data, command);
            drop(lock);
            response?
        }
        None => admin_socket::ask(&data.path(listeners::ADMIN_SOCKET), command).map_err(|error| {
            Hinted::new(
                format!("the daemon holds the data directory, but its admin socket does not answer: {error}"),
                "is it starting or stopping? wait a moment; or run this as the user it runs as",
            )
        })?,
    };
    document(response)
}

/// What an answer holds, or why there is none.
pub(super) fn document(response: Response) -> Result<Value, Box<dyn std::error::Error>> {
    match response {
        Response::Ok(document) => Ok(serde_json::from_str(&document)?),
        Response::Failed { error, hint } => Err(Hinted::new(error, hint).into()),
    }
}
