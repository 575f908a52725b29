//! A streamed answer: server-sent events or lines of JSON, flushed block by block as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use assist::Event;
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep};

use crate::dialect::{Form, Frame, Framing, Head};
use crate::errors::Fault;
use crate::metrics::Observation;
use crate::walk::Events;

/// Who waits hears something so often, where the dialect has words for it: a long prompt takes minutes on a small machine,
/// and clients and proxies take a minute's silence, or five, for an end.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The response of a stream. Dropping its body, as hyper does when the client goes, drops the events
/// and so cancels the generation.
pub(crate) fn response<S: Events, F: Form>(
    events: S,
    form: F,
    head: Head,
    observation: Observation,
) -> Response<Body> {
    let streaming = Streaming { events, form, head, observation, opened: false };
    let chunks = futures_util::stream::unfold(Some(streaming), |streaming| async move {
        let (chunk, rest) = streaming?.step().await;
        Some((Ok::<Bytes, Infallible>(chunk.into()), rest))
    });
    let chunks = Audible::new(chunks, F::WAITING, SILENCE_MAX);
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(F::FRAMING.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A stream that is never silent for longer than so: then it says `word`, unless that is empty.
struct Audible<S> {
    chunks: Pin<Box<S>>,
    word: &'static str,
    silence_max: Duration,
    silence: Pin<Box<Sleep>>,
}

impl<S> Audible<S> {
    fn new(chunks: S, word: &'static str, silence_max: Duration) -> Audible<S> {
        Audible { chunks: Box::pin(chunks), word, silence_max, silence: Box::pin(sleep(silence_max)) }
    }
}

impl<S: Stream<Item = Result<Bytes, Infallible>>> Stream for Audible<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let chunk = match self.chunks.as_mut().poll_next(context) {
            Poll::Pending if self.word.is_empty() => return Poll::Pending,
            Poll::Pending => match self.silence.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => Some(Ok(Bytes::from_static(self.word.as_bytes()))),
            },
            Poll::Ready(chunk) => chunk,
        };
        let next = Instant::now() + self.silence_max;
        self.silence.as_mut().reset(next);
        Poll::Ready(chunk)
    }
}

struct Streaming<S, F> {
    events: S,
    form: F,
    head: Head,
    observation: Observation,
    opened: bool,
}

impl<S: Events, F: Form> Streaming<S, F> {
    /// The next chunk of the body, and what is left; `None` after the last.
    async fn step(mut self) -> (String, Option<Self>) {
        loop {
            let chunk = if !self.opened {
                self.opened = true;
                let opening = self.form.opening(&self.head);
                F::FRAMING.text(&opening)
            } else {
                match self.events.next().await {
                    Some(Event::Queued(ahead)) => F::FRAMING.queued(ahead),
                    Some(Event::Block(text)) => {
                        self.observation.first_text();
                        let block = self.form.block(&self.head, &text);
                        F::FRAMING.text(&block)
                    }
                    Some(Event::End { stop, usage, findings }) => {
                        self.observation.answered(&usage);
                        let closing = self.form.closing(&self.head, stop, &usage, &findings);
                        let mut last = F::FRAMING.text(&closing);
                        if let Some(terminator) = F::TERMINATOR {
                            last.push_str(&format!("data: {terminator}\n\n"));
                        }
                        return (last, None);
                    }
                    Some(Event::Broken(refusal)) => return self.broken(&refusal.into()),
                    // The walk went away between two events: it says no more, so we do.
                    None => {
                        let message = "the answer broke off: the request's record says how far it got";
                        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
                        return self.broken(&Fault::new(status, "broken_off", message));
                    }
                }
            };
            // A dialect may have nothing to say of what came.
            if !chunk.is_empty() {
                return (chunk, Some(self));
            }
        }
    }

    fn broken(mut self, fault: &Fault) -> (String, Option<Self>) {
        self.observation.refused(fault);
        let last = self.form.failing(fault);
        (F::FRAMING.text(&[last]), None)
    }
}

impl Framing {
    fn media_type(self) -> &'static str {
        match self {
            Framing::ServerSent => "text/event-stream",
            Framing::Lines => "application/x-ndjson",
        }
    }

    /// Events as they go out. JSON text has no line breaks, so one line holds it.
    fn text(self, frames: &[Frame]) -> String {
        let mut text = String::new();
        for Frame { name, body } in frames {
            match self {
                Framing::ServerSent => {
                    if let Some(name) = name {
                        text.push_str(&format!("event: {name}\n"));
                    }
                    text.push_str(&format!("data: {body}\n\n"));
                }
                Framing::Lines => text.push_str(&format!("{body}\n")),
            }
        }
        text
    }

    /// Word of a place in the queue: a comment, which clients pass over and people who look see.
    fn queued(self, ahead: u32) -> String {
        match self {
            Framing::ServerSent => format!(": queued, {ahead} ahead\n\n"),
            Framing::Lines => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn who_waits_hears_something() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<&'static str>(1);
        let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let chunk = receiver.recv().await?;
            Some((Ok::<Bytes, Infallible>(chunk.into()), receiver))
        });
        let mut audible = Audible::new(chunks, ": waiting\n\n", Duration::from_millis(1));
        let next = async |audible: &mut Audible<_>| {
            std::future::poll_fn(|context| Pin::new(&mut *audible).poll_next(context)).await
        };
        assert_eq!(next(&mut audible).await.unwrap().unwrap(), ": waiting\n\n");
        sender.send("data: 1\n\n").await.unwrap();
        drop(sender);
        let mut said = Vec::new();
        while let Some(chunk) = next(&mut audible).await {
            said.push(chunk.unwrap());
        }
        // However often it waited.
        said.retain(|chunk| chunk != ": waiting\n\n");
        assert_eq!(said, ["data: 1\n\n"]);
    }

    #[test]
    fn framings() {
        let frames = [Frame::named("ping", json!({"a": "x\ny"})), json!(1).into()];
        assert_eq!(Framing::ServerSent.text(&frames), "event: ping\ndata: {\"a\":\"x\\ny\"}\n\ndata: 1\n\n");
        assert_eq!(Framing::Lines.text(&frames), "{\"a\":\"x\\ny\"}\n1\n");
        assert_eq!(
            (Framing::ServerSent.queued(3).as_str(), Framing::Lines.queued(3).as_str()),
            (": queued, 3 ahead\n\n", "")
        );
    }
}
