//! What a dialect is to the routes: a pure function from a body to a [`Call`], and a [`Form`] that
//! words its answers.

use assist::{Answer, Ask, Findings, Parameters, Request, Subject, ToolFormat, Usage};
use identity::Credential;
use protocol::RecordNumber;
use protocol::worker::Stop;
use serde_json::{Value, json};

use crate::errors::{Fault, Shape};

/// One request, read from its dialect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call<F> {
    /// The deployment's alias, where one is asked for.
    pub(crate) deployment: Option<String>,
    pub(crate) ask: Ask,
    pub(crate) parameters: Parameters,
    pub(crate) subject: Subject,
    /// Whether what the team knows may go into the prompt.
    pub(crate) context: bool,
    /// Answered in blocks, as they come.
    pub(crate) stream: bool,
    /// Answers asked for, at least 1.
    pub(crate) count: u32,
    /// How to word what comes back.
    pub(crate) form: F,
}

impl<F> Call<F> {
    /// As the walk takes it, and how to word what comes of it.
    pub(crate) fn request(self, credential: Credential, dialect: &'static str) -> (Request, F) {
        let Call { deployment, ask, parameters, subject, context, form, .. } = self;
        let check = true;
        (Request { credential, dialect, deployment, ask, parameters, subject, context, check }, form)
    }
}

/// How a dialect words an answer, whole or in events. A streamed answer has a form of its own, which may keep what it
/// needs from event to event.
pub(crate) trait Form: Send + 'static {
    /// Whose errors.
    const SHAPE: Shape;

    /// How the events of a stream are told apart.
    const FRAMING: Framing = Framing::ServerSent;

    /// What the dialect sends behind the last event, where it sends something.
    const TERMINATOR: Option<&'static str> = None;

    /// What is sent to who waits for the next event, that a connection is not taken for dead: nothing of the answer, and
    /// nothing that a client shows. Empty where the dialect has no such words.
    const WAITING: &str = ": waiting\n\n";

    /// A whole answer's body. `answers` has [`Call::count`] elements.
    fn whole(&self, head: &Head, answers: &[Answer]) -> Value;

    /// The events before the first block.
    fn opening(&mut self, head: &Head) -> Vec<Frame>;

    /// The events of a block of text: none, where the text is held back.
    fn block(&mut self, head: &Head, text: &str) -> Vec<Frame>;

    /// The events of the end.
    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame>;

    /// The last event of an answer that broke off.
    fn failing(&mut self, fault: &Fault) -> Frame {
        fault.body(Self::SHAPE).into()
    }
}

/// How the events of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events, with comments for who waits.
    ServerSent,
    /// A JSON value a line; there are no comments.
    Lines,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    /// Its `event:`, where the dialect names them; lines have none.
    pub(crate) name: Option<&'static str>,
    pub(crate) body: Value,
}

impl Frame {
    pub(crate) fn named(name: &'static str, body: Value) -> Frame {
        Frame { name: Some(name), body }
    }
}

impl From<Value> for Frame {
    fn from(body: Value) -> Frame {
        Frame { name: None, body }
    }
}

/// What every dialect's answer carries of ours, as its field `cloister`.
pub(crate) fn ours(record: RecordNumber, findings: Option<&Findings>) -> Value {
    let mut ours = json!({"record": record});
    if let Some(Findings { checks, provenance, sources }) = findings {
        (ours["checks"], ours["provenance"], ours["sources"]) =
            (json!(checks), json!(provenance), json!(sources));
    }
    ours
}

/// What is known of an answer before its text.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) record: RecordNumber,
    pub(crate) deployment: String,
    /// Tokens that the deployment's sequences hold; 0 when not known.
    pub(crate) context_tokens: u32,
    /// How its model calls tools, where it can.
    pub(crate) tools: Option<ToolFormat>,
    /// The publisher's statement on training data; empty when not known.
    pub(crate) training_data: String,
    /// Seconds since 1970, UTC.
    pub(crate) created_unix_s: u64,
}
