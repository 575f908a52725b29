//! The loop: messages of the editor and events of what runs beside it, one at a time.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use client::{Answer, Client, ClientError, Mark, Subject};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::actions::{Done, Progress, Sent};
use super::cache::Cache;
use super::completion::{Asking, Counts};
use super::debounce::Debounce;
use super::documents::Documents;
use super::options::{ClientFacts, CompletionOptions, options};
use super::status::{Report, Status};
use super::suggestions::Suggestions;
use super::types::{self, params};
use super::wire::{
    INVALID_REQUEST, Incoming, METHOD_NOT_FOUND, Message, NOT_INITIALIZED, Outgoing, PARSE_ERROR,
    REQUEST_CANCELLED, REQUEST_FAILED, RequestId, ResponseError,
};
use crate::commands::Session;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{receipts, subject};

/// Events that wait to be looked at; who has one more waits.
const EVENTS_MAX: usize = 256;
/// Requests of the editor that are being worked at, beside suggestions.
const TASKS_MAX: usize = 32;
/// Decisions that are being posted.
pub(super) const POSTS_MAX: usize = 64;
/// For decisions that were made and not yet posted, when all is over.
const POSTS_WAIT: Duration = Duration::from_secs(2);

/// What happened beside the loop.
pub(super) enum Event {
    /// A request for a suggestion has ended.
    Suggested { uri: String, number: u64, latency: Duration, outcome: Result<Answer, ClientError> },
    /// A request for a suggestion that nobody waited for, for a while; `left` says how often it was left.
    LeftAlone { uri: String, number: u64, left: u64 },
    /// Work at a request of the editor's has ended.
    Answered {
        id: RequestId,
        result: Result<Value, ResponseError>,
        mark: Option<Mark>,
        error: Option<ClientError>,
    },
    /// An action has ended.
    Acted { id: RequestId, done: Box<Result<Done, ClientError>> },
    /// It was waited for more parts of a suggestion.
    Settle { record: u64 },
    /// What the server says of itself.
    Reported(Result<Report, ClientError>),
}

/// All that is known; nothing else changes it.
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) deployment: Option<String>,
    pub(super) options: CompletionOptions,
    pub(super) facts: ClientFacts,
    pub(super) receipts: Option<PathBuf>,
    pub(super) outgoing: Outgoing,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) documents: Documents,
    pub(super) asking: HashMap<String, Asking>,
    pub(super) cache: Cache,
    pub(super) debounce: Debounce,
    pub(super) suggestions: Suggestions,
    pub(super) status: Status,
    pub(super) counts: Counts,
    /// What documents are about, for the server's record; asked of the file system once.
    subjects: HashMap<String, Option<Subject>>,
    /// Work at requests of the editor's.
    pub(super) tasks: HashMap<RequestId, AbortHandle>,
    /// Requests of ours that the editor has not answered.
    pub(super) sent: HashMap<RequestId, Sent>,
    /// By token.
    pub(super) progress: HashMap<String, Progress>,
    pub(super) posts: JoinSet<Result<(), ClientError>>,
    pub(super) number: u64,
    pub(super) start: Instant,
    is_shut_down: bool,
}

/// Until there is a server.
pub(super) struct Handshake;

impl Handshake {
    /// Answers until `initialize` came and was understood; `None` when the editor left before.
    pub(super) async fn wait(
        incoming: &mut mpsc::Receiver<io::Result<Incoming>>,
        outgoing: &Outgoing,
        session: &mut Session,
    ) -> Result<Option<(Server, mpsc::Receiver<Event>)>, Failure> {
        while let Some(read) = incoming.recv().await {
            match read.map_err(unreadable)? {
                Incoming::Message(Message::Request { id, method, params }) if method == "initialize" => {
                    match start(params, outgoing, session) {
                        Ok((server, events)) => {
                            outgoing.answer(&id, Ok(server.facts.capabilities()));
                            return Ok(Some((server, events)));
                        }
                        Err(error) => outgoing.answer(&id, Err(error)),
                    }
                }
                Incoming::Message(Message::Request { id, .. }) => {
                    let error = ResponseError::new(NOT_INITIALIZED, "`initialize` comes first");
                    outgoing.answer(&id, Err(error));
                }
                Incoming::Message(Message::Notification { method, .. }) if method == "exit" => {
                    return Ok(None);
                }
                Incoming::Message(_) => {}
                Incoming::Malformed(what) => outgoing.refuse(PARSE_ERROR, what),
                Incoming::TooLong => outgoing.refuse(INVALID_REQUEST, "the message is too long"),
            }
        }
        Ok(None)
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::system("standard input cannot be read", &error)
}

/// The server, as the editor's settings, the command line and the configuration have it.
fn start(
    mut initialize: Value,
    outgoing: &Outgoing,
    session: &mut Session,
) -> Result<(Server, mpsc::Receiver<Event>), ResponseError> {
    let options = options(&mut initialize)?;
    let flag = session.global.server.clone().or(options.server);
    let token = options.token.or_else(|| session.environment.token.clone());
    let environment = Environment { token, ..session.environment.clone() };
    let settings = Settings::resolve(flag.as_deref(), &environment, &mut session.output)
        .map_err(|failure| ResponseError::new(REQUEST_FAILED, failure.message()))?;
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let server = Server {
        client: settings.client,
        deployment: options.deployment.or(settings.deployment),
        options: options.completion,
        facts: ClientFacts::of(&initialize),
        receipts: receipts::path(&session.environment),
        outgoing: outgoing.clone(),
        events,
        documents: Documents::default(),
        asking: HashMap::new(),
        cache: Cache::default(),
        debounce: Debounce::default(),
        suggestions: Suggestions::default(),
        status: Status::default(),
        counts: Counts::default(),
        subjects: HashMap::new(),
        tasks: HashMap::new(),
        sent: HashMap::new(),
        progress: HashMap::new(),
        posts: JoinSet::new(),
        number: 0,
        start: Instant::now(),
        is_shut_down: false,
    };
    Ok((server, received))
}

impl Server {
    /// Serves until `exit`, or the end of input; whether it was shut down before.
    pub(super) async fn run(
        mut self,
        mut incoming: mpsc::Receiver<io::Result<Incoming>>,
        mut events: mpsc::Receiver<Event>,
    ) -> Result<bool, Failure> {
        let outgoing = self.outgoing.clone();
        loop {
            tokio::select! {
                read = incoming.recv() => match read.transpose().map_err(unreadable)? {
                    None => break,
                    Some(Incoming::Message(Message::Notification { method, .. })) if method == "exit" => break,
                    Some(incoming) => self.heard(incoming),
                },
                Some(event) = events.recv() => self.happened(event),
                Some(posted) = self.posts.join_next() => self.posted(posted),
                () = outgoing.stuck() => break,
            }
        }
        self.settle_all();
        let posts = &mut self.posts;
        let all = async { while posts.join_next().await.is_some() {} };
        // What could not be posted in time is lost: the editor waits for us to end.
        drop(tokio::time::timeout(POSTS_WAIT, all).await);
        Ok(self.is_shut_down)
    }

    fn heard(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(Message::Request { id, method, params }) => self.request(id, &method, params),
            Incoming::Message(Message::Notification { method, params }) => {
                if let Err(error) = self.notification(&method, params) {
                    // The field alone: what follows may quote a person's text.
                    let field = error.message.split(": ").next().unwrap_or_default();
                    self.outgoing.log(2, &format!("{method}: {field} is wrong"));
                }
            }
            Incoming::Message(Message::Response { id, result }) => self.response(&id, result),
            Incoming::Malformed(what) => self.outgoing.refuse(PARSE_ERROR, what),
            Incoming::TooLong => {
                // It may have been a change: what the editor has is not known any more.
                self.stop_asking();
                self.documents.clear();
                self.outgoing
                    .log(1, "a message was too long; documents are not known until they are opened again");
            }
        }
    }

    fn request(&mut self, id: RequestId, method: &str, value: Value) {
        if self.is_shut_down {
            return self.outgoing.answer(&id, Err(ResponseError::new(INVALID_REQUEST, "it was shut down")));
        }
        let answered = match method {
            "shutdown" => {
                self.is_shut_down = true;
                self.tasks.drain().for_each(|(_, task)| task.abort());
                self.stop_asking();
                self.settle_all();
                let line = self.counts.line();
                self.outgoing.log(3, &line);
                Ok(Some(Value::Null))
            }
            "textDocument/inlineCompletion" => {
                params(value).map(|params| self.inline_completion(&id, &params))
            }
            "textDocument/completion" => params(value).map(|params| self.completion(&id, &params)),
            "textDocument/hover" => params(value).map(|params| self.hover(&id, &params)),
            "textDocument/codeAction" => params(value).map(|params| Some(self.code_actions(&params))),
            "workspace/executeCommand" => params(value).and_then(|params| self.execute(&id, params)),
            "cloister/chat" => params(value).and_then(|params| self.chat(&id, params)),
            "cloister/status" => self.ask_status(&id),
            "cloister/explain" => params(value).and_then(|params| self.explain(&id, &params)),
            "initialize" => Err(ResponseError::new(INVALID_REQUEST, "`initialize` comes once")),
            _ => Err(ResponseError::new(METHOD_NOT_FOUND, format!("there is no method {method}"))),
        };
        match answered {
            Ok(Some(result)) => self.outgoing.answer(&id, Ok(result)),
            Ok(None) => {}
            Err(error) => self.outgoing.answer(&id, Err(error)),
        }
    }

    fn notification(&mut self, method: &str, value: Value) -> Result<(), ResponseError> {
        match method {
            "initialized" => self.look_at_server(),
            "textDocument/didOpen" => {
                let types::DidOpen { text_document } = params(value)?;
                let uri = text_document.uri.clone();
                self.drop_asking(&uri);
                self.subjects.remove(&uri);
                if !self.documents.open(text_document) {
                    self.outgoing
                        .log(2, "a document is too long, or there are too many: nothing is suggested in it");
                }
            }
            "textDocument/didChange" => {
                let types::DidChange { text_document, content_changes } = params(value)?;
                self.changed(&text_document.uri, text_document.version, &content_changes);
            }
            "textDocument/didSave" => {
                let types::OfDocument { text_document } = params(value)?;
                self.subjects.remove(&text_document.uri);
            }
            "textDocument/didClose" => {
                let types::OfDocument { text_document } = params(value)?;
                self.drop_asking(&text_document.uri);
                self.documents.close(&text_document.uri);
                self.cache.forget(&text_document.uri);
                self.subjects.remove(&text_document.uri);
            }
            "$/cancelRequest" => {
                let types::Cancel { id } = params(value)?;
                self.cancel(&id);
            }
            "window/workDoneProgress/cancel" => {
                let types::CancelProgress { token } = params(value)?;
                self.cancel_progress(&token);
            }
            // Others tell of what is not used here, or are optional by the protocol.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn cancel(&mut self, id: &RequestId) {
        if let Some(task) = self.tasks.remove(id) {
            // Dropping it closes its connection, and the server stops.
            task.abort();
            self.end_progress(id);
        } else if !self.cancel_asking(id) {
            return;
        }
        self.outgoing.answer(id, Err(ResponseError::new(REQUEST_CANCELLED, "cancelled")));
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::LeftAlone { uri, number, left } => self.left_alone(&uri, number, left),
            Event::Suggested { uri, number, latency, outcome } => {
                self.suggested(&uri, number, latency, outcome)
            }
            Event::Answered { id, result, mark, error } => {
                if let Some(mark) = mark {
                    self.keep_receipt(&mark);
                }
                if let Some(error) = error {
                    self.failed(&error, true);
                }
                // One that was cancelled is answered already.
                if self.tasks.remove(&id).is_some() {
                    self.outgoing.answer(&id, result);
                }
            }
            Event::Acted { id, done } => {
                if self.tasks.remove(&id).is_some() {
                    self.acted(&id, *done);
                }
            }
            Event::Settle { record } => self.settle(record),
            Event::Reported(report) => self.reported(report),
        }
    }

    /// Runs work for a request of the editor's beside the loop, where it can be cancelled.
    pub(super) fn spawn(
        &mut self,
        id: &RequestId,
        work: impl Future<Output = Event> + Send + 'static,
    ) -> Result<Option<Value>, ResponseError> {
        if self.tasks.len() >= TASKS_MAX {
            return Err(ResponseError::new(REQUEST_FAILED, "too many requests are being worked at"));
        }
        let events = self.events.clone();
        // Nobody hears of an event when the loop has ended.
        let task = tokio::spawn(async move { drop(events.send(work.await).await) });
        self.tasks.insert(id.clone(), task.abort_handle());
        Ok(None)
    }

    /// A request of ours; what its answer is for.
    pub(super) fn send(&mut self, method: &str, params: &Value, sent: Sent) {
        self.number += 1;
        let id = RequestId::Number(i64::try_from(self.number).unwrap_or(i64::MAX));
        self.outgoing.request(&id, method, params);
        if self.sent.len() < TASKS_MAX {
            self.sent.insert(id, sent);
        }
    }

    /// What a document is about.
    pub(super) fn subject(&mut self, uri: &str) -> Option<Subject> {
        if let Some(known) = self.subjects.get(uri) {
            return known.clone();
        }
        let path = self.documents.get(uri).and_then(|document| document.path.clone());
        let found = path.and_then(|path| subject::of_file(&path));
        self.subjects.insert(uri.to_owned(), found.clone());
        found
    }

    /// Keeps an answer's receipt. The answer stands without it.
    pub(super) fn keep_receipt(&mut self, mark: &Mark) {
        let Some(path) = &self.receipts else { return };
        if receipts::append(path, self.client.address(), mark).is_err() {
            self.outgoing.log(2, "the receipt of an answer cannot be kept");
            // Said once: it fails each time.
            self.receipts = None;
        }
    }

    /// Since the start, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A failure of the server's, for the editor: its words and what can be done.
pub(super) fn response_error(error: &ClientError) -> ResponseError {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    ResponseError::new(REQUEST_FAILED, format!("{error}{hint}"))
}

/// The number of a record, where the server gave one.
pub(super) fn record_of(mark: &Mark) -> Value {
    mark.record.map_or(Value::Null, |record| json!(record.0))
}
