//! What `/metrics` shows, and the one log line of a request. Neither holds a word of anybody's text.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use assist::{Status, Usage};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use protocol::RecordNumber;

use crate::errors::Fault;

/// The gateway's counters, by dialect.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    duration: Family<Dialect, Histogram>,
    first_text: Family<Dialect, Histogram>,
    prompt_tokens: Family<Dialect, Counter>,
    prompt_tokens_cached: Family<Dialect, Counter>,
    answer_tokens: Family<Dialect, Counter>,
    draft_tokens: Family<Dialect, Counter>,
    draft_tokens_accepted: Family<Dialect, Counter>,
    running: Gauge<u64, AtomicU64>,
    deployments_up: Gauge<u64, AtomicU64>,
    ledger_size: Gauge<u64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dialect {
    dialect: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    dialect: &'static str,
    outcome: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // 5 ms to 82 s: from a cached completion's first block to a long answer's last.
        let histogram = || Histogram::new(exponential_buckets(0.005, 2.0, 15));
        let metrics = Metrics {
            registry: Registry::with_prefix("cloister"),
            requests: Family::default(),
            duration: Family::new_with_constructor(histogram),
            first_text: Family::new_with_constructor(histogram),
            prompt_tokens: Family::default(),
            prompt_tokens_cached: Family::default(),
            answer_tokens: Family::default(),
            draft_tokens: Family::default(),
            draft_tokens_accepted: Family::default(),
            running: Gauge::default(),
            deployments_up: Gauge::default(),
            ledger_size: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Requests by dialect and outcome", self.requests.clone());
        let seconds = Unit::Seconds;
        let help = "From a request's head to its answer's last byte handed over";
        registry.register_with_unit("request_duration", help, seconds.clone(), self.duration.clone());
        let help = "From a request's head to a streamed answer's first block";
        registry.register_with_unit("first_text", help, seconds, self.first_text.clone());
        registry.register("prompt_tokens", "Tokens of answered prompts", self.prompt_tokens.clone());
        let help = "Tokens of answered prompts whose KV entries were reused";
        registry.register("prompt_tokens_cached", help, self.prompt_tokens_cached.clone());
        registry.register("answer_tokens", "Tokens of answers", self.answer_tokens.clone());
        registry.register("draft_tokens", "Tokens of answers that were guessed", self.draft_tokens.clone());
        let help = "Of those, tokens that the model chose";
        registry.register("draft_tokens_accepted", help, self.draft_tokens_accepted.clone());
        registry.register("requests_running", "Requests in the pipeline", self.running.clone());
        let help = "Deployments with a running worker";
        registry.register("deployments_up", help, self.deployments_up.clone());
        registry.register("ledger_leaves", "Leaves in the ledger", self.ledger_size.clone());
        self
    }

    /// A request begins.
    pub(crate) fn observe(self: &Arc<Self>, dialect: &'static str) -> Observation {
        let span = tracing::info_span!(
            "request",
            dialect,
            record = tracing::field::Empty,
            deployment = tracing::field::Empty
        );
        Observation {
            metrics: Arc::clone(self),
            dialect,
            span,
            began: Instant::now(),
            outcome: "abandoned",
            text_seen: false,
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn render(&self, status: &Status) -> Result<String, std::fmt::Error> {
        self.running.set(u64::from(status.requests_running));
        self.deployments_up.set(u64::from(status.deployments_up));
        self.ledger_size.set(status.ledger_size);
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// One request, from its head to its end. Dropped without an outcome, the client has gone.
pub(crate) struct Observation {
    metrics: Arc<Metrics>,
    dialect: &'static str,
    span: tracing::Span,
    began: Instant,
    outcome: &'static str,
    text_seen: bool,
}

impl Observation {
    /// The request's span.
    pub(crate) fn span(&self) -> tracing::Span {
        self.span.clone()
    }

    /// The request has a record.
    pub(crate) fn recorded(&self, record: RecordNumber, deployment: &str) {
        self.span.record("record", record.0);
        self.span.record("deployment", deployment);
    }

    /// A block of a streamed answer is handed over.
    pub(crate) fn first_text(&mut self) {
        if !std::mem::replace(&mut self.text_seen, true) {
            let dialect = Dialect { dialect: self.dialect };
            self.metrics.first_text.get_or_create(&dialect).observe(self.began.elapsed().as_secs_f64());
        }
    }

    /// An answer is complete.
    pub(crate) fn answered(&mut self, usage: &Usage) {
        self.outcome = "answered";
        let dialect = Dialect { dialect: self.dialect };
        let metrics = &self.metrics;
        metrics.prompt_tokens.get_or_create(&dialect).inc_by(u64::from(usage.prompt_tokens));
        metrics.prompt_tokens_cached.get_or_create(&dialect).inc_by(u64::from(usage.prompt_tokens_cached));
        metrics.answer_tokens.get_or_create(&dialect).inc_by(u64::from(usage.answer_tokens));
        let drafts = usage.drafts;
        metrics.draft_tokens.get_or_create(&dialect).inc_by(u64::from(drafts.proposed));
        metrics.draft_tokens_accepted.get_or_create(&dialect).inc_by(u64::from(drafts.accepted));
    }

    /// There is no answer, or it broke off.
    pub(crate) fn refused(&mut self, fault: &Fault) {
        self.outcome = fault.code;
        if let Some(record) = fault.record {
            self.span.record("record", record.0);
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let (dialect, outcome) = (self.dialect, self.outcome);
        self.metrics.requests.get_or_create(&Outcome { dialect, outcome }).inc();
        self.metrics.duration.get_or_create(&Dialect { dialect }).observe(took.as_secs_f64());
        tracing::info!(parent: &self.span, outcome, milliseconds = took.as_secs_f64() * 1000.0, "request ended");
    }
}
