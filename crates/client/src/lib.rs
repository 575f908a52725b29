//! Dials the one configured server and speaks HTTP/1.1 with it: JSON, and server-sent events for
//! streamed answers.
//!
//! This is the only crate that may connect: for `cloister` to its server, and for the relay to its one upstream
//! engine. It resolves no names (an [`Address`]
//! is a Unix socket or an IP literal; TLS over it is a program's to bring, [`Secure`]), follows no redirect, knows no proxy, keeps no connection
//! and no cookie, and reads no environment. Everything it reads has a limit ([`Limits`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), client::ClientError> {
//! let address = "unix:/run/cloister/cloister.sock".parse().expect("an address");
//! let client = client::Client::new(address, None);
//! let answer = client.complete(&client::CompletionRequest::fill("x := ", ";")).await?;
//! assert!(answer.mark.record.is_some());
//! # Ok(()) }
//! ```

mod address;
mod connection;
mod dialect;
mod error;
mod events;
pub mod fuzzing;
mod infill;
mod provenance;

pub use address::{Address, AddressError, Token, TokenError};
pub use connection::{Client, Document, EventStream, Limits, Secure, Secured, Stream};
pub use dialect::{
    Answer, ChatEvent, ChatRequest, ChatStream, Check, CompletionRequest, Findings, Mark, Message, Receipt,
    Remark, Subject, Usage,
};
pub use error::{ClientError, ErrorKind};
pub use infill::Extra;
pub use provenance::{Asked, Found, Match, Origin, Provenance};
