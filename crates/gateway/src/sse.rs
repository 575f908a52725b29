//! A streamed answer as server-sent events: one event a block, flushed as it comes.

use std::convert::Infallible;

use assist::Event;
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use crate::dialect::{Form, Head};
use crate::errors::Fault;
use crate::metrics::Observation;
use crate::walk::Events;

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
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
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
        if !self.opened {
            self.opened = true;
            if let Some(opening) = self.form.opening(&self.head) {
                return (event(&opening), Some(self));
            }
        }
        match self.events.next().await {
            // A comment: clients pass over it, and people who look see it.
            Some(Event::Queued(ahead)) => (format!(": queued, {ahead} ahead\n\n"), Some(self)),
            Some(Event::Block(text)) => {
                self.observation.first_text();
                let block = self.form.block(&self.head, &text);
                (event(&block), Some(self))
            }
            Some(Event::End { stop, usage, findings }) => {
                self.observation.answered(&usage);
                let mut last: String =
                    self.form.closing(&self.head, stop, &usage, &findings).iter().map(event).collect();
                if let Some(terminator) = F::TERMINATOR {
                    last.push_str(&format!("data: {terminator}\n\n"));
                }
                (last, None)
            }
            Some(Event::Broken(refusal)) => self.broken(&refusal.into()),
            // The walk went away between two events: it says no more, so we do.
            None => {
                let message = "the answer broke off: the request's record says how far it got";
                self.broken(&Fault::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "broken_off", message))
            }
        }
    }

    fn broken(mut self, fault: &Fault) -> (String, Option<Self>) {
        self.observation.refused(fault);
        (event(&fault.body(F::SHAPE)), None)
    }
}

/// One event. JSON text has no line breaks, so one `data:` line holds it.
fn event(body: &Value) -> String {
    format!("data: {body}\n\n")
}
