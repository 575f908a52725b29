//! What the surfaces need of the walk. [`assist`] is the walk; tests put a scripted one here.

use std::future::Future;

use assist::{
    Answer, AnswerStream, Assist, CheckedFile, Decided, DeploymentView, Event, FileCheck, Generate,
    LeafProof, Lookup, Provenance, Receipt, Refusal, Request, Spell, Spelled, Standing, Status, Step, Trace,
};
use identity::Credential;
use protocol::{RecordNumber, admin};
use tokio::sync::mpsc;

pub use crate::query::Query;

/// The walk of a request, as the surfaces call it. Dropping a future or a stream cancels what it
/// started.
pub trait Walk: Send + Sync + 'static {
    /// A streamed answer.
    type Stream: Events;

    /// Whether the credential is a known person's. Asked before a request's body is read, so that a
    /// stranger's bytes are neither kept nor parsed. `dialect` is for the record of a refusal.
    fn identify(
        &self,
        credential: &Credential,
        dialect: &'static str,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A whole answer.
    fn answer(&self, request: Request) -> impl Future<Output = Result<Answer, Refusal>> + Send;

    /// A streamed answer.
    fn stream(&self, request: Request) -> impl Future<Output = Result<Self::Stream, Refusal>> + Send;

    /// Evaluates the prompt and answers no text.
    fn warm(&self, request: Request) -> impl Future<Output = Result<Answer, Refusal>> + Send;

    /// The tokens of the prompt, without what the team knows. Nothing is answered.
    fn count(&self, request: Request) -> impl Future<Output = Result<u32, Refusal>> + Send;

    /// A record, its body and the leaves that name it, as a JSON document, for a person who may see it.
    fn explain(
        &self,
        credential: &Credential,
        record: RecordNumber,
    ) -> impl Future<Output = Result<String, Refusal>> + Send;

    /// Records what a person did with an answer of theirs; durable when it returns.
    fn decide(
        &self,
        credential: &Credential,
        decided: Decided,
    ) -> impl Future<Output = Result<Receipt, Refusal>> + Send;
    /// Records that a filter takes, newest first, as a JSON document: a person's own, or all for
    /// administrators.
    fn query(
        &self,
        credential: &Credential,
        query: Query,
    ) -> impl Future<Output = Result<String, Refusal>> + Send;

    /// Looks into the sources of local context. Answers the lookup's leaf, and what was found as a JSON document.
    fn look_up(
        &self,
        credential: &Credential,
        lookup: Lookup,
    ) -> impl Future<Output = Result<(RecordNumber, String), Refusal>> + Send;

    /// What a text has in common with known code. Answers the lookup's leaf as well.
    fn trace(
        &self,
        credential: &Credential,
        trace: Trace,
    ) -> impl Future<Output = Result<(RecordNumber, Provenance), Refusal>> + Send;

    /// What compilers say of a file. Answers the lookup's leaf as well.
    fn check_file(
        &self,
        credential: &Credential,
        asked: FileCheck,
    ) -> impl Future<Output = Result<(RecordNumber, CheckedFile), Refusal>> + Send;

    /// Asks a deployment's vocabulary or template.
    fn spell(&self, asked: Spell) -> impl Future<Output = Result<Spelled, Refusal>> + Send;

    /// Fills a hole until a compiler has nothing against it; the steps come as they are made.
    fn generate(&self, generate: Generate) -> mpsc::Receiver<Result<Step, Refusal>>;

    /// Who asks, and the newest look at the jails.
    fn standing(&self, credential: &Credential) -> impl Future<Output = Result<Standing, Refusal>> + Send;

    /// Each deployment back to who signed its model, and the corpora that this person may see, as a JSON document.
    fn chain(
        &self,
        credential: &Credential,
    ) -> impl Future<Output = Result<serde_json::Value, Refusal>> + Send;

    /// Proves that a leaf is in the log, to a person who may see it.
    fn prove(
        &self,
        credential: &Credential,
        leaf: RecordNumber,
    ) -> impl Future<Output = Result<LeafProof, Refusal>> + Send;

    /// What serves, in the order of the configuration.
    fn deployments(&self) -> Vec<DeploymentView>;

    /// How it stands.
    fn status(&self) -> Status;

    /// Does what a local user asks over the admin socket.
    fn administer(&self, uid: u32, command: admin::Command) -> impl Future<Output = admin::Response> + Send;
}

/// The events of a streamed answer, in order.
pub trait Events: Send + 'static {
    /// The request's record.
    fn record(&self) -> RecordNumber;

    /// Proof that the intent leaf was in the ledger.
    fn receipt(&self) -> Receipt;

    /// The deployment's alias.
    fn deployment(&self) -> &str;

    /// The next event; `None` after the end.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

impl Events for AnswerStream {
    fn record(&self) -> RecordNumber {
        self.record
    }

    fn receipt(&self) -> Receipt {
        self.receipt
    }

    fn deployment(&self) -> &str {
        &self.deployment
    }

    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send {
        AnswerStream::next(self)
    }
}

impl Walk for Assist {
    type Stream = AnswerStream;

    async fn identify(&self, credential: &Credential, dialect: &'static str) -> Result<(), Refusal> {
        Assist::identify(self, credential, dialect)
    }

    async fn answer(&self, request: Request) -> Result<Answer, Refusal> {
        Assist::answer(self, request).await
    }

    async fn stream(&self, request: Request) -> Result<AnswerStream, Refusal> {
        Assist::stream(self, request).await
    }

    async fn warm(&self, request: Request) -> Result<Answer, Refusal> {
        Assist::warm(self, request).await
    }

    async fn count(&self, request: Request) -> Result<u32, Refusal> {
        Assist::count(self, request).await
    }

    async fn explain(&self, credential: &Credential, record: RecordNumber) -> Result<String, Refusal> {
        Assist::explain(self, credential, record).await
    }

    async fn decide(&self, credential: &Credential, decided: Decided) -> Result<Receipt, Refusal> {
        Assist::decide(self, credential, decided).await
    }

    async fn query(&self, credential: &Credential, query: Query) -> Result<String, Refusal> {
        Assist::query(self, credential, query.filter, query.before, query.count).await
    }

    async fn look_up(
        &self,
        credential: &Credential,
        lookup: Lookup,
    ) -> Result<(RecordNumber, String), Refusal> {
        Assist::look_up(self, credential, lookup).await
    }

    async fn trace(
        &self,
        credential: &Credential,
        trace: Trace,
    ) -> Result<(RecordNumber, Provenance), Refusal> {
        Assist::trace(self, credential, trace).await
    }

    async fn check_file(
        &self,
        credential: &Credential,
        asked: FileCheck,
    ) -> Result<(RecordNumber, CheckedFile), Refusal> {
        Assist::check_file(self, credential, asked).await
    }

    async fn spell(&self, asked: Spell) -> Result<Spelled, Refusal> {
        Assist::spell(self, asked).await
    }

    fn generate(&self, generate: Generate) -> mpsc::Receiver<Result<Step, Refusal>> {
        Assist::generate(self, generate)
    }

    async fn standing(&self, credential: &Credential) -> Result<Standing, Refusal> {
        Assist::standing(self, credential).await
    }

    async fn chain(&self, credential: &Credential) -> Result<serde_json::Value, Refusal> {
        Assist::chain(self, credential).await
    }

    async fn prove(&self, credential: &Credential, leaf: RecordNumber) -> Result<LeafProof, Refusal> {
        Assist::prove(self, credential, leaf).await
    }

    fn deployments(&self) -> Vec<DeploymentView> {
        Assist::deployments(self)
    }

    fn status(&self) -> Status {
        Assist::status(self)
    }

    async fn administer(&self, uid: u32, command: admin::Command) -> admin::Response {
        Assist::administer(self, uid, command).await
    }
}
