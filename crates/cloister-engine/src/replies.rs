//! What the scheduler says to the gateway, one method a message.

use std::sync::mpsc::Sender;

use protocol::Digest;
use protocol::ids::GenerationId;
use protocol::worker::{Drafts, Failure, FromWorker, Stop, Times, Token};

/// The way out. A gateway that is gone is noticed at the inbox, so sending ignores it.
#[derive(Clone)]
pub(crate) struct Replies(pub(crate) Sender<FromWorker>);

impl Replies {
    pub(crate) fn started(&self, id: GenerationId, prompt_tokens_cached: u32) {
        self.send(FromWorker::Started { id, prompt_tokens_cached });
    }

    pub(crate) fn text(&self, id: GenerationId, tokens: Vec<Token>, text: String) {
        self.send(FromWorker::Text { id, tokens, text });
    }

    pub(crate) fn queued(&self, id: GenerationId, ahead: u32) {
        self.send(FromWorker::Queued { id, ahead });
    }

    pub(crate) fn done(
        &self,
        id: GenerationId,
        stop: Stop,
        times: Times,
        rows: Option<Digest>,
        drafts: Drafts,
    ) {
        self.send(FromWorker::Done { id, stop, times, rows, drafts });
    }

    pub(crate) fn failed(&self, id: GenerationId, error: Failure) {
        self.send(FromWorker::Failed { id, error });
    }

    pub(crate) fn send(&self, message: FromWorker) {
        let _gone = self.0.send(message);
    }
}
