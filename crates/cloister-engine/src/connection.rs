//! The socket to the gateway: frames in on one thread, frames out on another, so that the scheduler
//! waits for neither. The outbound queue is limited by the credit that the gateway gives. Texts are turned
//! into tokens on the way in, and schemas are read: nobody waits with that for an evaluation, and no evaluation for it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use llama::Model;
use protocol::frame;
use protocol::worker::{Failure, FromWorker, Generate, Part, Syntax, ToWorker, Token};
use serde::de::DeserializeOwned;

use crate::grammar::{Grammar, Grammars};
use crate::vocabulary::Vocabulary;

/// Bytes that the tokens of one request may spell: with their lengths, they fit a frame.
const SPELLED_BYTES_MAX: usize = 4 << 20;

/// Both directions, once the threads run. The inbox ends when the gateway is gone.
pub(crate) struct Connection {
    pub(crate) inbox: Receiver<Inbound>,
    pub(crate) outbox: Sender<FromWorker>,
}

/// A message, and what a generation's schema comes to.
pub(crate) struct Inbound {
    pub(crate) message: ToWorker,
    pub(crate) grammar: Option<Grammar>,
}

/// One frame; `None` at the end of the stream between frames.
pub(crate) fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut header = [0; frame::HEADER_BYTES];
    match stream.read(&mut header)? {
        0 => return Ok(None),
        read => stream.read_exact(&mut header[read..])?,
    }
    let mut payload = vec![0; frame::payload_len(header).map_err(io::Error::other)?];
    stream.read_exact(&mut payload)?;
    frame::decode(&payload).map(Some).map_err(io::Error::other)
}

/// Starts the two threads. The jail is applied already, and binds them too.
pub(crate) fn start(
    stream: UnixStream,
    model: Arc<Model>,
    vocabulary: Arc<Vocabulary>,
) -> io::Result<Connection> {
    let (inbox_sender, inbox) = channel();
    let (outbox, outbox_receiver) = channel::<FromWorker>();
    let mut reading = stream.try_clone()?;
    let tokenized = outbox.clone();
    thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let mut grammars = Grammars::default();
        // A malformed frame ends the conversation like the end of the stream: the scheduler stops.
        while let Ok(Some(message)) = read_frame(&mut reading) {
            let sent = match message {
                ToWorker::Tokenize { id, texts } => {
                    let tokens: Result<_, String> = texts.iter().map(|text| tokenize(&model, text)).collect();
                    tokenized
                        .send(match tokens {
                            Ok(tokens) => FromWorker::Tokenized { id, tokens },
                            Err(error) => FromWorker::Failed { id, error: Failure::Invalid(error) },
                        })
                        .is_ok()
                }
                ToWorker::Spell { id, texts } => tokenized
                    .send(match spell_all(&model, &texts) {
                        Ok(texts) => FromWorker::Spelled { id, texts },
                        Err(error) => FromWorker::Failed { id, error: Failure::Invalid(error) },
                    })
                    .is_ok(),
                ToWorker::Generate(mut request) => {
                    match grammar(&mut grammars, &model, &vocabulary, &mut request) {
                        Ok(grammar) => {
                            let message = ToWorker::Generate(request);
                            inbox_sender.send(Inbound { message, grammar }).is_ok()
                        }
                        Err(error) => {
                            let failed =
                                FromWorker::Failed { id: request.id, error: Failure::Invalid(error) };
                            tokenized.send(failed).is_ok()
                        }
                    }
                }
                message => inbox_sender.send(Inbound { message, grammar: None }).is_ok(),
            };
            if !sent {
                return;
            }
        }
    })?;
    let mut writing = stream;
    thread::Builder::new().name("writer".to_owned()).spawn(move || {
        for message in outbox_receiver {
            let Ok(bytes) = frame::encode(&message) else { return };
            if writing.write_all(&bytes).is_err() {
                return;
            }
        }
    })?;
    Ok(Connection { inbox, outbox })
}

/// What the text is held to, where it is; what it was read from is not needed any more.
fn grammar(
    grammars: &mut Grammars,
    model: &Model,
    vocabulary: &Vocabulary,
    request: &mut Generate,
) -> Result<Option<Grammar>, String> {
    match (request.json_schema.take(), request.syntax.take()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err("a text is held to a schema or to a syntax, not to both".to_owned()),
        (Some(_), None) if request.heal => {
            Err("a text that goes on from an unfinished word is held to no schema".to_owned())
        }
        (Some(schema), None) => grammars.of_schema(model, vocabulary, &schema).map(Some),
        (None, Some(Syntax { language, mut before })) => {
            if request.heal {
                // What is chosen again stands at the end of both.
                cut_end(&mut before, &vocabulary.take_unfinished(&mut request.prompt.clone()));
            }
            grammars.of_syntax(model, vocabulary, &language, &before)
        }
    }
}

/// Takes `end` off a text, if it ends so and is a text without it.
fn cut_end(text: &mut String, end: &[u8]) {
    let at = text.len() - if text.as_bytes().ends_with(end) { end.len() } else { 0 };
    if text.is_char_boundary(at) {
        text.truncate(at);
    }
}

/// Each text's bytes. A token may be long, so few can spell more than a frame holds.
fn spell_all(model: &Model, texts: &[Vec<Token>]) -> Result<Vec<Vec<u8>>, String> {
    let mut room = SPELLED_BYTES_MAX;
    let mut spelled = Vec::with_capacity(texts.len());
    for tokens in texts {
        let mut bytes = Vec::new();
        for &token in tokens {
            if !model.contains(token) {
                return Err(format!("token {token} is not in the vocabulary"));
            }
            model.append_spelling(token, &mut bytes);
            if bytes.len() > room {
                return Err(format!("the tokens spell more than {SPELLED_BYTES_MAX} bytes"));
            }
        }
        room -= bytes.len();
        spelled.push(bytes);
    }
    Ok(spelled)
}

fn tokenize(model: &Model, parts: &[Part]) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => tokens.extend(model.tokenize(text, false).map_err(|e| e.to_string())?),
            Part::Template(text) => tokens.extend(model.tokenize(text, true).map_err(|e| e.to_string())?),
            Part::Token(token) if model.contains(*token) => tokens.push(*token),
            Part::Token(token) => return Err(format!("token {token} is not in the vocabulary")),
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_end_that_begins_inside_a_character_stays() {
        let after = |text: &str, end: &[u8]| {
            let mut text = text.to_owned();
            super::cut_end(&mut text, end);
            text
        };
        assert_eq!(after("Items'Ran", b"Ran"), "Items'");
        assert_eq!(after("Items", b"Range"), "Items");
        assert_eq!(after("\u{e9}t", b"\xa9t"), "\u{e9}t");
    }
}
