//! A walk that does what its script says and remembers what it was asked.

use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use assist::{Answer, Decided, DeploymentView, Event, Receipt, Refusal, RefusalKind, Request, Status, Usage};
use gateway::{Events, Walk};
use identity::Credential;
use protocol::admin::{Command, Response};
use protocol::posture::{Row, Verdict};
use protocol::worker::{Drafts, Stop, Times};
use protocol::{Digest, RecordNumber};
use tokio::sync::Notify;

/// What every request gets.
#[derive(Clone)]
pub(crate) enum Script {
    Answer(&'static str),
    Refuse(RefusalKind),
    /// A request that is not streamed gets no answer, ever.
    Stream(Vec<ScriptedEvent>),
}

#[derive(Clone)]
pub(crate) enum ScriptedEvent {
    Block(&'static str),
    Wait(Duration),
    End,
    Broken(RefusalKind),
    /// Nothing more comes, and no end.
    Hang,
    /// The stream ends without an end.
    Vanish,
}

impl Script {
    pub(crate) fn answers(text: &'static str) -> Self {
        Script::Answer(text)
    }

    pub(crate) fn streams(blocks: &[&'static str]) -> Self {
        let blocks = blocks.iter().map(|text| ScriptedEvent::Block(text));
        Script::Stream(blocks.chain([ScriptedEvent::End]).collect())
    }
}

pub(crate) struct ScriptedWalk {
    script: Script,
    asked: Mutex<Vec<Request>>,
    decided: Mutex<Vec<Decided>>,
    warmed: AtomicU32,
    ledger_error: Mutex<Option<String>>,
    work_began: Notify,
    dropped: Arc<AtomicBool>,
}

impl ScriptedWalk {
    pub(crate) fn new(script: Script) -> Self {
        ScriptedWalk {
            script,
            asked: Mutex::default(),
            decided: Mutex::default(),
            warmed: AtomicU32::default(),
            ledger_error: Mutex::default(),
            work_began: Notify::new(),
            dropped: Arc::default(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn decided(&self) -> Vec<Decided> {
        self.decided.lock().unwrap().clone()
    }

    pub(crate) fn warmed(&self) -> u32 {
        self.warmed.load(Ordering::SeqCst)
    }

    pub(crate) fn break_ledger(&self, reason: &str) {
        *self.ledger_error.lock().unwrap() = Some(reason.to_owned());
    }

    /// Whether work that began was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_for_work(&self) {
        self.work_began.notified().await;
    }

    /// The request's number, from which its record follows.
    fn begin(&self, request: Request) -> (RecordNumber, Work) {
        let mut asked = self.asked.lock().unwrap();
        asked.push(request);
        self.work_began.notify_one();
        (RecordNumber(40 + asked.len() as u64), Work(Arc::clone(&self.dropped)))
    }
}

/// Tells when it is dropped.
struct Work(Arc<AtomicBool>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn usage() -> Usage {
    let times = Times { queued_us: 1, prompt_us: 20_000, predict_us: 50_000 };
    Usage { prompt_tokens: 100, prompt_tokens_cached: 60, answer_tokens: 5, times, drafts: Drafts::default() }
}

fn refusal(kind: RefusalKind) -> Refusal {
    Refusal { kind, message: "refused".to_owned(), record: Some(RecordNumber(41)), retry_after_s: None }
}

impl Walk for ScriptedWalk {
    type Stream = ScriptedStream;

    async fn identify(&self, credential: &Credential, _dialect: &'static str) -> Result<(), Refusal> {
        if matches!(credential, Credential::None) {
            return Err(Refusal {
                kind: RefusalKind::Unauthenticated,
                message: "a token is needed".to_owned(),
                record: None,
                retry_after_s: None,
            });
        }
        Ok(())
    }

    async fn answer(&self, request: Request) -> Result<Answer, Refusal> {
        let (record, _work) = self.begin(request);
        match &self.script {
            Script::Answer(text) => Ok(Answer {
                record,
                receipt: receipt(record),
                deployment: "coder".to_owned(),
                text: (*text).to_owned(),
                stop: Stop::EndOfText,
                usage: usage(),
                findings: findings(),
            }),
            Script::Refuse(kind) => Err(refusal(*kind)),
            Script::Stream(_) => pending().await,
        }
    }

    async fn stream(&self, request: Request) -> Result<ScriptedStream, Refusal> {
        let (record, work) = self.begin(request);
        match &self.script {
            Script::Stream(events) => {
                Ok(ScriptedStream { record, events: events.clone().into_iter(), _work: work })
            }
            Script::Refuse(kind) => Err(refusal(*kind)),
            Script::Answer(_) => unreachable!("the script has no stream"),
        }
    }

    async fn warm(&self, request: Request) -> Result<Answer, Refusal> {
        assert_eq!(request.parameters.tokens_max, Some(0));
        self.warmed.fetch_add(1, Ordering::SeqCst);
        self.answer(request).await
    }

    async fn count(&self, request: Request) -> Result<u32, Refusal> {
        self.begin(request);
        match &self.script {
            Script::Refuse(kind) => Err(refusal(*kind)),
            _ => Ok(100),
        }
    }

    async fn explain(&self, _credential: &Credential, record: RecordNumber) -> Result<String, Refusal> {
        Ok(format!(r#"{{"record":{record}}}"#))
    }

    async fn decide(&self, _credential: &Credential, decided: Decided) -> Result<Receipt, Refusal> {
        let record = decided.record;
        self.decided.lock().unwrap().push(decided);
        match &self.script {
            Script::Refuse(kind) => Err(refusal(*kind)),
            _ => Ok(receipt(RecordNumber(record.0 + 9))),
        }
    }

    async fn query(&self, _credential: &Credential, query: gateway::Query) -> Result<String, Refusal> {
        Ok(serde_json::to_string(&query.filter).unwrap())
    }

    async fn look_up(
        &self,
        _credential: &Credential,
        lookup: assist::Lookup,
    ) -> Result<(RecordNumber, String), Refusal> {
        match &self.script {
            Script::Refuse(kind) => Err(refusal(*kind)),
            _ => {
                Ok((RecordNumber(41), serde_json::json!({ "results": [format!("{lookup:?}")] }).to_string()))
            }
        }
    }

    async fn trace(
        &self,
        _: &Credential,
        _: assist::Trace,
    ) -> Result<(RecordNumber, assist::Provenance), Refusal> {
        Ok((RecordNumber(3), assist::Provenance::default()))
    }

    async fn check_file(
        &self,
        _: &Credential,
        _: assist::FileCheck,
    ) -> Result<(RecordNumber, assist::CheckedFile), Refusal> {
        Ok((RecordNumber(4), assist::CheckedFile { checks: Vec::new(), mended: None }))
    }

    /// Each byte is a token.
    async fn spell(&self, asked: assist::Spell) -> Result<assist::Spelled, Refusal> {
        use assist::{Spelled, Spelling};
        if let Script::Refuse(kind) = &self.script {
            return Err(refusal(*kind));
        }
        Ok(match asked.spelling {
            Spelling::Tokens { text, pieces, begin, .. } => Spelled::Tokens {
                tokens: begin.then_some(0).into_iter().chain(text.bytes().map(i32::from)).collect(),
                pieces: text.bytes().filter(|_| pieces).map(|byte| vec![byte]).collect(),
            },
            Spelling::Text { tokens } => Spelled::Text(
                tokens.iter().filter_map(|&token| u8::try_from(token).ok()).map(char::from).collect(),
            ),
            Spelling::Prompt { messages } => {
                Spelled::Text(messages.iter().map(|message| format!("<{}>", message.content)).collect())
            }
        })
    }

    fn generate(&self, _: assist::Generate) -> tokio::sync::mpsc::Receiver<Result<assist::Step, Refusal>> {
        tokio::sync::mpsc::channel(1).1
    }

    async fn chain(&self, _: &Credential) -> Result<serde_json::Value, Refusal> {
        Ok(serde_json::json!({ "deployments": [], "corpora": [] }))
    }

    async fn prove(&self, _: &Credential, leaf: RecordNumber) -> Result<assist::LeafProof, Refusal> {
        match &self.script {
            Script::Refuse(kind) => Err(refusal(*kind)),
            _ => Ok(assist::LeafProof {
                index: leaf.0,
                leaf_hash: Digest([7; 32]),
                text: "c2sp.org/tlog-proof@v1".to_owned(),
                verifier: "example.org/log+00000000+AQ==".to_owned(),
            }),
        }
    }

    async fn standing(&self, _: &Credential) -> Result<assist::Standing, Refusal> {
        let row = |name: &str, verdict| Row {
            place: "gateway".to_owned(),
            layer: "network".to_owned(),
            name: name.to_owned(),
            how: "socket(2)".to_owned(),
            expected: "EPERM".to_owned(),
            found: "a socket".to_owned(),
            verdict,
        };
        let posture = match &self.script {
            Script::Refuse(kind) => return Err(refusal(*kind)),
            Script::Stream(_) => None,
            Script::Answer(_) => Some(assist::PostureView {
                record: 12,
                time_unix_ms: 1_700_000_000_123,
                occasion: "start".to_owned(),
                passed: 1,
                failed: 1,
                untried: 0,
                rows: vec![row("read", Verdict::Pass), row("connect", Verdict::Fail)],
            }),
        };
        Ok(assist::Standing { person: "ada".to_owned(), administers: false, posture })
    }

    fn deployments(&self) -> Vec<DeploymentView> {
        vec![DeploymentView {
            alias: "coder".to_owned(),
            model: Some(Digest([7; 32])),
            name: "Coder".to_owned(),
            context_tokens: 4096,
            trained_context_tokens: 32768,
            slots: 2,
            running: 1,
            architecture: "qwen2".to_owned(),
            chat_template: Some("{{ messages }}".to_owned()),
            begin_of_text: String::new(),
            end_of_text: "<|im_end|>".to_owned(),
            fill: true,
            tools: assist::ToolFormat::of_template(Some("tools <tool_call>"), false),
            up: true,
            training_data: "undisclosed".to_owned(),
        }]
    }

    fn status(&self) -> Status {
        Status {
            ledger_size: 1000,
            ledger_error: self.ledger_error.lock().unwrap().clone(),
            ledger_checkpoint: Some("example.org/log\n1000\n…\n".to_owned()),
            requests_running: 1,
            deployments_up: 1,
            deployments: 1,
        }
    }

    async fn administer(&self, uid: u32, command: Command) -> Response {
        Response::Ok(format!("{uid} {command:?}"))
    }
}

pub(crate) struct ScriptedStream {
    record: RecordNumber,
    events: std::vec::IntoIter<ScriptedEvent>,
    _work: Work,
}

impl Events for ScriptedStream {
    fn record(&self) -> RecordNumber {
        self.record
    }

    fn receipt(&self) -> Receipt {
        receipt(self.record)
    }

    fn deployment(&self) -> &str {
        "coder"
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            return match self.events.next()? {
                ScriptedEvent::Block(text) => Some(Event::Block(text.to_owned())),
                ScriptedEvent::End => {
                    Some(Event::End { stop: Stop::EndOfText, usage: usage(), findings: findings() })
                }
                ScriptedEvent::Broken(kind) => Some(Event::Broken(refusal(kind))),
                ScriptedEvent::Hang => pending().await,
                ScriptedEvent::Vanish => None,
                ScriptedEvent::Wait(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
            };
        }
    }
}

/// One passage went into every prompt.
fn findings() -> assist::Findings {
    let place = assist::PassagePlace {
        source: "flight".to_owned(),
        commit: "c0ffee".to_owned(),
        path: "src/a.ads".to_owned(),
        first_line: 3,
        last_line: 7,
        page: None,
    };
    assist::Findings { sources: vec![place], ..assist::Findings::default() }
}

fn receipt(record: RecordNumber) -> Receipt {
    Receipt { index: record.0, leaf_hash: [0xab; 32] }
}
