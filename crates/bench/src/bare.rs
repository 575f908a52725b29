//! The engine without gateway and ledger: a jailed worker, started as the supervisor does, and spoken to
//! over its socket.

use std::time::{Duration, Instant};

use engine::launch;
use engine::{Event, Order, Worker};
use jail::oversight::Oversight;
use protocol::Digest;
use protocol::worker::{
    Class, Device, Drafts, EngineProfile, Part, Ready, Sampling, Speculation, Times, Token, Until, VERSION,
    WorkerSettings,
};
use testkit::{Failure, places};

/// A worker that is ready. It ends with this value.
pub(crate) struct Bare {
    pub(crate) worker: Worker,
    pub(crate) ready: Ready,
    child: jail::spawn::Child,
}

/// What one generation came to.
pub(crate) struct Run {
    pub(crate) tokens: usize,
    pub(crate) times: Times,
    pub(crate) drafts: Drafts,
    /// Until the first text was there.
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
}

/// As the daemon sets them by default.
pub(crate) fn threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

/// As the daemon sets them, but that nothing is kept of conversations.
pub(crate) fn settings(
    profile: EngineProfile,
    slots: u32,
    context_tokens: u32,
    speculation: Speculation,
) -> WorkerSettings {
    WorkerSettings {
        version: VERSION,
        supervisor_pid: std::process::id(),
        profile,
        device: Device::Cpu,
        context_tokens,
        slots,
        queue_max: 64,
        threads: threads(),
        kept_bytes_max: 0,
        speculation,
        accept: Vec::new(),
    }
}

impl Bare {
    pub(crate) async fn start(
        model: &str,
        profile: EngineProfile,
        slots: u32,
        context_tokens: u32,
    ) -> Result<Bare, Failure> {
        Bare::start_with(model, profile, slots, context_tokens, Speculation::Measured).await
    }

    pub(crate) async fn start_with(
        model: &str,
        profile: EngineProfile,
        slots: u32,
        context_tokens: u32,
        speculation: Speculation,
    ) -> Result<Bare, Failure> {
        let program = launch::freeze_program(&places::program("cloister-engine")?)?;
        let model = launch::freeze_model(&places::model(model)?, &mut |_| {})?;
        Bare::of(&program, &model, &settings(profile, slots, context_tokens, speculation)).await
    }

    /// Of a program and a model that are frozen already.
    pub(crate) async fn of(
        program: &launch::Frozen,
        model: &launch::Frozen,
        settings: &WorkerSettings,
    ) -> Result<Bare, Failure> {
        Ok(Bare::with_oversight(program, model, settings).await?.0)
    }

    /// The same, with the line to its jail.
    pub(crate) async fn with_oversight(
        program: &launch::Frozen,
        model: &launch::Frozen,
        settings: &WorkerSettings,
    ) -> Result<(Bare, Oversight), Failure> {
        let launched = launch::launch(program, model, settings)?;
        let (worker, ready) = Worker::connect(launched.socket).await?;
        Ok((Bare { worker, ready, child: launched.child }, launched.oversight))
    }

    /// The worker's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The prompt of a hole, from the model's own tokens, as the gateway makes it.
    pub(crate) async fn fill(&self, prefix: &str, suffix: &str) -> Result<Vec<Token>, Failure> {
        let fill = self.ready.fill.ok_or("the model has no fill-in-the-middle tokens")?;
        let parts = vec![
            Part::Token(fill.prefix),
            Part::Text(prefix.to_owned()),
            Part::Token(fill.suffix),
            Part::Text(suffix.to_owned()),
            Part::Token(fill.middle),
        ];
        Ok(self.worker.tokenize(parts).await?)
    }

    /// Greedy. Prompts of the same `scope` share their prefixes' KV entries.
    pub(crate) async fn run(&self, prompt: Vec<Token>, tokens_max: u32, scope: u64) -> Result<Run, Failure> {
        let start = Instant::now();
        let mut generation = self.worker.generate(order(prompt, tokens_max, scope)).await?;
        let (mut tokens, mut first) = (0, None);
        while let Some(event) = generation.next().await {
            match event? {
                Event::Queued { .. } | Event::Started { .. } => {}
                Event::Text { tokens: more, .. } => {
                    first.get_or_insert_with(|| start.elapsed());
                    tokens += more.len();
                }
                Event::Done { times, drafts, .. } => {
                    let whole = start.elapsed();
                    return Ok(Run { tokens, times, drafts, first: first.unwrap_or(whole), whole });
                }
            }
        }
        Err("the generation had no end".into())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}

/// Greedy. Prompts of the same `scope` share their prefixes' KV entries.
pub(crate) fn order(prompt: Vec<Token>, tokens_max: u32, scope: u64) -> Order {
    let mut cache_scope = [0; 32];
    cache_scope[..8].copy_from_slice(&scope.to_le_bytes());
    Order {
        prompt,
        sampling: Sampling::GREEDY,
        tokens_max,
        stop: Vec::new(),
        predict_ms_max: None,
        until: Until::End,
        heal: false,
        cache_scope: Digest(cache_scope),
        person: Digest(cache_scope),
        class: Class::Completion,
        digest_rows: false,
        json_schema: None,
        syntax: None,
    }
}
