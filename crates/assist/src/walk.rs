//! One request from its client to its answer. [`walk`] is the order; everything else here is a step.

use std::sync::Arc;
use std::time::Duration;

use engine::{Deployment, Generation, Order, Unavailable, WorkerError};
use identity::{Asked, Asking, Credential, LabelSet, Principal, Verb};
use languages::Language;
use ledger::{Block, Commitment, Entry, Intent, Opening, Outcome, Receipt, Salt, Salts};
use protocol::control::DeploymentFacts;
use protocol::worker::{Class, Failure, Ready, Stop, Syntax};
use protocol::{Digest, RecordNumber};
use retrieval::{Found, Passage};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::prompt::{self, Prompt, PromptError, Rooms};
use crate::provenance::{Known, Provenance, Withheld};
use crate::record::{self, BlockBody, Engine, IntentBody, Output};
use crate::{
    Answer, Ask, Event, Findings, House, Parameters, PassagePlace, Refusal, RefusalKind, Request, ToolFormat,
    Usage, context,
};

/// Since this version workers hold answers to schemas.
const SCHEMAS_SINCE: u32 = 8;
/// Languages whose syntax engines know.
const SYNTAXES: [Language; 2] = [Language::Ada, Language::Vhdl];
/// A block holds at most that many tokens,
const BLOCK_TOKENS_MAX: usize = 32;
/// and waits at most that long.
const BLOCK_WAIT_MAX: Duration = Duration::from_millis(100);

/// Where an answer goes.
pub(crate) enum Delivery {
    Whole(oneshot::Sender<Result<Answer, Refusal>>),
    Stream { opened: Option<oneshot::Sender<Result<Opened, Refusal>>>, events: mpsc::Sender<Event> },
}

/// A stream's first word.
pub(crate) struct Opened {
    pub(crate) receipt: Receipt,
    pub(crate) deployment: String,
}

/// identify → authorise → admit → retrieve → prompt → intent, durable → engine → check, trace → result, durable → answer.
pub(crate) async fn walk(house: Arc<House>, request: Request, mut delivery: Delivery) {
    let outcome: Result<(), Refusal> = async {
        let principal = house.identify(&request.credential, request.dialect)?;
        let asked = request.deployment.as_deref();
        let deployment = house.deployment(request.dialect, asked, &principal)?;
        // One policy decides of the whole way, also where another is installed meanwhile.
        let asking = house.asking(&principal, request.dialect);
        let (labels, policy) = house.authorise(&asking, verb(&request), &deployment).await?;
        let _place = house.admit(request.dialect, &principal)?;
        let time_unix_s = (house.outside.now_unix_s)();
        let tokens_max = house.tokens_max(&request, &deployment);
        let source = house.source_of(request.subject.repository.as_deref(), &asking);
        let found = house.retrieve(&request, &asking, source.as_ref()).await?;
        let prompt = house.prompt(&request, &principal, &deployment, &found, time_unix_s, tokens_max).await?;
        // An answer carries the labels of all that went into it; all of it, this person may read.
        let labels = labels.join(&context::labels_of(prompt.chosen(&found))?);
        // So do the words of a compiler that reads a source's files.
        let labels = labels.join(&context::labels_of_source(source.as_ref())?);
        // And what is said of known code.
        let known = house.known(&request, &asking, prompt.chosen(&found))?;
        let labels = house.identity.lattice().join(&labels, &known.labels);
        // All of it was filtered before; the whole is decided of, too.
        house.authorise_answer(&request, &asking, &deployment, &labels).await?;
        let order = Order {
            prompt: prompt.tokens.clone(),
            sampling: request.parameters.sampling,
            tokens_max,
            stop: request.parameters.stop.clone(),
            predict_ms_max: request.parameters.predict_ms_max,
            until: request.parameters.until,
            heal: heals(&request.ask, &request.parameters),
            cache_scope: cache_scope(&principal, &labels, house.context.removals()),
            person: Digest(Sha256::digest(&principal.name).into()),
            class: class(&request.ask),
            digest_rows: false,
            json_schema: json_schema(&deployment, &request.ask, &request.parameters),
            syntax: syntax(&deployment, &request.ask, &request.parameters),
        };
        let receipt = house
            .write_intent(
                &request,
                &principal,
                &labels,
                policy,
                &deployment,
                &prompt,
                &found,
                time_unix_s,
                tokens_max,
            )
            .await?;
        let record = RecordNumber(receipt.index);
        delivery.open(receipt, &deployment);
        let mut blocks = Blocks::new(record, house.salt()?);
        let (output, broken) = house.generate(&deployment, order, &mut blocks, &known, &mut delivery).await?;
        let (text, stop, usage) = (output.text.clone(), output.stop, output.usage(&prompt));
        let client_gone = delivery.is_closed();
        // Nobody reads what was cancelled.
        let is_read = broken.is_none() && stop != Some(Stop::Cancelled);
        let checked = async {
            match is_read && request.check {
                true => house.check(&request, source.as_ref(), &text, record).await,
                false => Vec::new(),
            }
        };
        let (checks, traced) = tokio::join!(checked, known.trace(&text));
        // What was decided while the text came stands, whatever came after.
        let (provenance, withheld, broken) = match traced {
            Ok(traced) => (traced.provenance, blocks.withheld.take().or(traced.withheld), broken),
            Err(refusal) => (Provenance::default(), None, broken.or(Some(refusal.of(record)))),
        };
        let result = house.write_result(
            &blocks,
            output,
            &provenance,
            Ended { broken: broken.as_ref(), withheld: withheld.as_ref(), client_gone },
        );
        let (receipt, checked) = tokio::join!(result, house.write_checks(record, &checks));
        let receipt = receipt?;
        checked?;
        let deployment = deployment.facts.alias.clone();
        let stop = stop.unwrap_or(Stop::Cancelled);
        match broken.or_else(|| withheld.map(|withheld| withheld.refusal(record))) {
            None => {
                // What was held back is in the result.
                if let Some((_, rest)) = blocks.take(&text) {
                    delivery.block(rest.to_owned()).await;
                }
                let sources = prompt.chosen(&found).map(PassagePlace::of).collect();
                let findings = Findings { checks, provenance, sources };
                delivery.close(Answer { record, receipt, deployment, text, stop, usage, findings }).await;
            }
            Some(refusal) => return Err(refusal),
        }
        Ok(())
    }
    .await;
    if let Err(refusal) = outcome {
        delivery.refuse(refusal).await;
    }
}

impl House {
    pub(crate) fn identify(
        &self,
        credential: &Credential,
        dialect: &'static str,
    ) -> Result<Principal, Refusal> {
        let principal = self.identity.authenticate(credential).map_err(|error| {
            self.tally.kept_out(credential, dialect, &error);
            Refusal::new(RefusalKind::Unauthenticated, error.to_string())
        })?;
        self.tally.came_in(&principal, dialect, (self.outside.now_unix_s)());
        self.has_policy()?;
        Ok(principal)
    }

    pub(crate) fn deployment(
        &self,
        dialect: &'static str,
        asked: Option<&str>,
        principal: &Principal,
    ) -> Result<Deployment, Refusal> {
        self.deployments.get(asked).map_err(|error| {
            let (kind, reason) = match error {
                Unavailable::Unknown { .. } => (RefusalKind::UnknownDeployment, "unknown deployment"),
                Unavailable::Starting(_) | Unavailable::Upstream(_) | Unavailable::Refused(..) => {
                    (RefusalKind::EngineUnavailable, "engine unavailable")
                }
            };
            self.tally.count(&principal.name, dialect, reason);
            Refusal::new(kind, error.to_string())
        })
    }

    /// Labels of the answer, and the digest of the policy that allowed it.
    pub(crate) async fn authorise(
        &self,
        asking: &Asking<'_>,
        verb: Verb,
        deployment: &Deployment,
    ) -> Result<(LabelSet, Digest), Refusal> {
        let labels = deployment.facts.labels.join(",").parse::<LabelSet>();
        let labels = labels.map_err(|error| Refusal::new(RefusalKind::Forbidden, error.to_string()))?;
        let asked = Asked::of_deployment(verb, &deployment.facts.alias, labels.clone());
        let policy = self.decided(asking, &asked).await?;
        Ok((labels, policy))
    }

    /// Whether the answer may be made, of all that goes into it.
    async fn authorise_answer(
        &self,
        request: &Request,
        asking: &Asking<'_>,
        deployment: &Deployment,
        carried: &LabelSet,
    ) -> Result<(), Refusal> {
        let labels = context::parsed(&deployment.facts.labels)?;
        let asked = Asked::of_deployment(verb(request), &deployment.facts.alias, labels);
        self.decided(asking, &asked.carrying(carried.clone())).await.map(drop)
    }

    /// The digest of the policy that allows something; a leaf that names it where it does not.
    async fn decided(&self, asking: &Asking<'_>, asked: &Asked) -> Result<Digest, Refusal> {
        let decision = asking.decide(asked);
        if decision.allowed {
            return Ok(decision.policy);
        }
        self.denied(asking, asked.verb, &decision).await?;
        Err(Refusal::new(RefusalKind::Forbidden, decision.reason))
    }

    pub(crate) fn admit(
        &self,
        dialect: &'static str,
        principal: &Principal,
    ) -> Result<crate::admission::Place, Refusal> {
        self.admission.enter(&principal.name).map_err(|(kind, message)| {
            self.tally.count(&principal.name, dialect, "limit of requests");
            Refusal::new(kind, message)
        })
    }

    fn tokens_max(&self, request: &Request, deployment: &Deployment) -> u32 {
        let limit = self.limits.answer_tokens_max.min(deployment.ready.context_tokens / 2);
        request.parameters.tokens_max.map_or(limit, |asked| asked.min(self.limits.answer_tokens_max))
    }

    async fn prompt(
        &self,
        request: &Request,
        principal: &Principal,
        deployment: &Deployment,
        found: &Found,
        time_unix_s: i64,
        tokens_max: u32,
    ) -> Result<Prompt, Refusal> {
        let context_tokens = deployment.ready.context_tokens;
        let limit = self.limits.prompt_tokens_max.min(context_tokens.saturating_sub(1));
        let room = limit.min(context_tokens.saturating_sub(tokens_max.min(context_tokens / 2)));
        let rooms = Rooms { whole: room as usize, context: self.limits.context_tokens_max as usize };
        let built = prompt::build(deployment, &request.ask, &found.passages, time_unix_s, rooms).await;
        let refused = match built {
            Ok(prompt) if prompt.tokens.len() <= limit as usize => return Ok(prompt),
            Ok(prompt) => Refusal::new(
                RefusalKind::PromptTooLong,
                format!("the prompt has {} tokens; at most {limit} fit: shorten it", prompt.tokens.len()),
            ),
            Err(PromptError::Worker(error)) => refusal_of(&error),
            Err(error) => Refusal::new(RefusalKind::Invalid, error.to_string()),
        };
        self.tally.count(&principal.name, request.dialect, "prompt refused");
        Err(refused)
    }

    /// The tokens of a request's prompt, without what the team knows. It shows nothing that who asks did not send, so
    /// that they came in is all that is recorded.
    pub(crate) async fn count(&self, request: &Request) -> Result<u32, Refusal> {
        let principal = self.identify(&request.credential, request.dialect)?;
        let deployment = self.deployment(request.dialect, request.deployment.as_deref(), &principal)?;
        let asking = self.asking(&principal, request.dialect);
        self.authorise(&asking, verb(request), &deployment).await?;
        let _place = self.admit(request.dialect, &principal)?;
        let time_unix_s = (self.outside.now_unix_s)();
        let tokens_max = self.tokens_max(request, &deployment);
        let nothing = Found::default();
        let prompt = self.prompt(request, &principal, &deployment, &nothing, time_unix_s, tokens_max).await?;
        Ok(prompt.count())
    }

    #[expect(clippy::too_many_arguments, reason = "an intent names everything that determines the answer")]
    async fn write_intent(
        &self,
        request: &Request,
        principal: &Principal,
        labels: &LabelSet,
        policy: Digest,
        deployment: &Deployment,
        prompt: &Prompt,
        found: &Found,
        time_unix_s: i64,
        tokens_max: u32,
    ) -> Result<Receipt, Refusal> {
        let chosen: Vec<&Passage> = prompt.chosen(found).collect();
        let (prompt_text, context_text) = record::texts(&request.ask, &chosen).map_err(unwritable)?;
        let [prompt_salt, context_salt] = [self.salt()?, self.salt()?];
        let (parameters, facts, ready) = (&request.parameters, &deployment.facts, &deployment.ready);
        let engine = Engine::of(deployment);
        let intent = Intent {
            identity: principal.name.clone(),
            credential: principal.credential.clone(),
            labels: labels.names(),
            policy,
            action: action(&request.ask).to_owned(),
            dialect: request.dialect.to_owned(),
            deployment: facts.alias.clone(),
            repository: request.subject.repository.clone(),
            path: request.subject.path.clone(),
            model: engine.model,
            upstream: engine.upstream,
            template: engine.template,
            engine_build: facts.engine_build,
            lock: Some(facts.lock),
            cpu_level: ready.cpu_level.clone(),
            cpu_features: ready.cpu_features.clone(),
            llama_version: engine.llama_version,
            profile: engine.profile.to_owned(),
            reproducible: engine.reproducible,
            sampling: parameters.sampling,
            tokens_max,
            stop_strings: u32::try_from(parameters.stop.len()).unwrap_or(u32::MAX),
            predict_ms_max: parameters.predict_ms_max,
            prompt_tokens: prompt.count(),
            prompt: Commitment::new(&prompt_salt, prompt_text.as_bytes()),
            context: Commitment::new(&context_salt, context_text.as_bytes()),
        };
        let salts = Salts { prompt: Some(prompt_salt), context: Some(context_salt), ..Salts::default() };
        let body = IntentBody {
            opening: Opening {
                salts,
                prompt_text: Some(prompt_text),
                context_text: Some(context_text),
                ..Opening::default()
            },
            prompt_tokens: prompt.tokens.clone(),
            bytes_left_out: prompt.bytes_left_out,
            retrieval: record::retrieval(found, prompt),
            template_time_unix_s: time_unix_s,
            sampling: parameters.sampling,
            tokens_max,
            stop: parameters.stop.clone(),
            predict_ms_max: parameters.predict_ms_max,
            until: parameters.until,
            heal: heals(&request.ask, parameters),
            json_schema: json_schema(deployment, &request.ask, parameters),
            syntax: syntax(deployment, &request.ask, parameters).map(|syntax| syntax.language),
        };
        let body = serde_json::to_vec(&body).map_err(unwritable)?;
        self.append(ledger::Event::Intent(Box::new(intent)), Some(body)).await
    }

    /// Runs the engine, writing and delivering blocks on the way. A break of the engine's comes back
    /// beside what was made before it; only a ledger that cannot be written is an error here.
    async fn generate(
        &self,
        deployment: &Deployment,
        order: Order,
        blocks: &mut Blocks,
        known: &Known,
        delivery: &mut Delivery,
    ) -> Result<(Output, Option<Refusal>), Refusal> {
        let mut output = Output::default();
        let record = blocks.record;
        let mut generation = match deployment.worker.generate(order).await {
            Ok(generation) => generation,
            Err(error) => return Ok((output, Some(refusal_of(&error).of(record)))),
        };
        let mut cancelled = false;
        loop {
            let event = tokio::select! {
                event = generation.next() => event,
                () = tokio::time::sleep_until(blocks.deadline()), if delivery.is_streamed() && blocks.waits() => {
                    if let Err(refusal) = self.deliver_block(blocks, known, &output.text, delivery).await {
                        return broken_by(output, refusal.of(record));
                    }
                    if blocks.withheld.is_some() && !std::mem::replace(&mut cancelled, true) {
                        generation.cancel().await;
                    }
                    continue;
                }
                () = delivery.closed(), if !cancelled => {
                    cancelled = true;
                    generation.cancel().await;
                    continue;
                }
            };
            match event {
                Some(Ok(engine::Event::Queued { ahead })) => delivery.queued(ahead),
                Some(Ok(engine::Event::Started { prompt_tokens_cached })) => {
                    output.prompt_tokens_cached = prompt_tokens_cached;
                }
                Some(Ok(engine::Event::Text { tokens, text })) => {
                    output.text.push_str(&text);
                    blocks.add(&text, tokens.len());
                    output.tokens.extend(tokens);
                    if delivery.is_streamed() && blocks.is_full() {
                        if let Err(refusal) = self.deliver_block(blocks, known, &output.text, delivery).await
                        {
                            return broken_by(output, refusal.of(record));
                        }
                        if blocks.withheld.is_some() && !std::mem::replace(&mut cancelled, true) {
                            generation.cancel().await;
                        }
                    }
                }
                Some(Ok(engine::Event::Done { stop, times, drafts, .. })) => {
                    output.stop = Some(stop);
                    output.times = times;
                    output.drafts = drafts;
                    break;
                }
                Some(Err(error)) => return Ok((output, Some(refusal_of(&error).of(record)))),
                None => return Ok((output, Some(Refusal::broken().of(record)))),
            }
        }
        if delivery.is_streamed()
            && let Err(refusal) = self.deliver_block(blocks, known, &output.text, delivery).await
        {
            return broken_by(output, refusal.of(record));
        }
        Ok((output, None))
    }

    /// Durable first, then shown. `text` is everything so far; of it, what may yet be withheld is held back.
    async fn deliver_block(
        &self,
        blocks: &mut Blocks,
        known: &Known,
        text: &str,
        delivery: &mut Delivery,
    ) -> Result<(), Refusal> {
        let mut decided = text.len();
        if known.withholds() {
            if blocks.withheld.is_some() {
                return Ok(());
            }
            (decided, blocks.withheld) = known.decided(text).await?;
        }
        let text = text.get(..decided).unwrap_or_default();
        let Some((number, shown)) = blocks.take(text) else {
            blocks.wait_for_more();
            return Ok(());
        };
        let block = Block {
            record: blocks.record.0,
            number,
            output: Commitment::new(&blocks.salt, text.as_bytes()),
            output_bytes: text.len() as u64,
        };
        let salts = Salts { output: Some(blocks.salt), ..Salts::default() };
        let body = serde_json::to_vec(&BlockBody { salts, block_text: shown }).map_err(unwritable)?;
        self.append(ledger::Event::Block(block), Some(body))
            .await
            .map_err(|refusal| refusal.of(blocks.record))?;
        delivery.block(shown.to_owned()).await;
        Ok(())
    }

    async fn write_result(
        &self,
        blocks: &Blocks,
        output: Output,
        provenance: &Provenance,
        ended: Ended<'_>,
    ) -> Result<Receipt, Refusal> {
        let record = blocks.record;
        let Ended { broken, withheld, client_gone } = ended;
        let (outcome, detail) = match broken {
            Some(refusal) => (Outcome::Failed, refusal.message.clone()),
            None if withheld.is_some() => (Outcome::Withheld, String::new()),
            None if output.stop == Some(Stop::Cancelled) => {
                (Outcome::Cancelled, "the client went away".to_owned())
            }
            None if client_gone => (Outcome::Answered, "the client went away before the end".to_owned()),
            None => (Outcome::Answered, String::new()),
        };
        let found = record::Found { provenance, withheld };
        let (leaf, body) =
            record::result(record, outcome, detail, output, blocks.salt, &found, &self.fingerprint_key)
                .map_err(unwritable)?;
        let body = serde_json::to_vec(&body).map_err(unwritable)?;
        let written = self.append(ledger::Event::Result(Box::new(leaf)), Some(body)).await;
        written.map_err(|refusal| refusal.of(record))
    }

    pub(crate) async fn append(
        &self,
        event: ledger::Event,
        body: Option<Vec<u8>>,
    ) -> Result<Receipt, Refusal> {
        self.ledger.append(Entry { event, body }).await.map_err(unwritable)
    }

    pub(crate) fn salt(&self) -> Result<Salt, Refusal> {
        let mut salt = [0; 16];
        (self.outside.randomness)(&mut salt).map_err(unwritable)?;
        Ok(Salt::from(salt))
    }
}

/// No ledger, no answer.
pub(crate) fn unwritable(error: impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "the ledger cannot be written");
    Refusal::new(
        RefusalKind::LedgerUnavailable,
        format!("nothing is answered while the ledger cannot be written: {error}"),
    )
}

pub(crate) fn refusal_of(error: &WorkerError) -> Refusal {
    let kind = match error {
        WorkerError::Gone | WorkerError::Failed(Failure::Engine(_)) => RefusalKind::EngineFailed,
        WorkerError::Failed(Failure::QueueFull { .. }) => RefusalKind::Busy,
        WorkerError::Failed(Failure::PromptTooLong { .. }) => RefusalKind::PromptTooLong,
        WorkerError::Failed(Failure::Invalid(_)) => RefusalKind::Invalid,
    };
    let retry_after_s = match error {
        WorkerError::Failed(Failure::QueueFull { retry_after_s, .. }) => Some(*retry_after_s),
        _ => None,
    };
    Refusal { retry_after_s, ..Refusal::new(kind, error.to_string()) }
}

/// A person typed a hole's beginning up to the cursor, which may be inside a word. A value that a schema admits begins by itself.
pub(crate) fn heals(ask: &Ask, parameters: &Parameters) -> bool {
    matches!(ask, Ask::Fill { .. }) && parameters.json_schema.is_none()
}

/// How a deployment's model calls tools; `None` where its template knows none. An upstream's relay speaks as a worker does,
/// and holds to no schema.
pub(crate) fn tool_format(facts: &DeploymentFacts, ready: &Ready) -> Option<ToolFormat> {
    let holds_schemas = facts.model().is_some() && ready.version >= SCHEMAS_SINCE;
    ToolFormat::of_template(ready.model.chat_template.as_deref(), holds_schemas)
}

/// The schema that the answer is held to: what the client sent, or that of the calls one of which must be made. The gateway
/// lets no request have both.
pub(crate) fn json_schema(deployment: &Deployment, ask: &Ask, parameters: &Parameters) -> Option<String> {
    let of_calls = || match ask {
        Ask::Chat { tools, .. } => tool_format(&deployment.facts, &deployment.ready)?.schema(tools),
        Ask::Complete { .. } | Ask::Fill { .. } => None,
    };
    parameters.json_schema.clone().or_else(of_calls)
}

/// What the answer is held to, where its engine knows the language.
pub(crate) fn syntax(deployment: &Deployment, ask: &Ask, parameters: &Parameters) -> Option<Syntax> {
    let language = parameters.syntax.filter(|language| SYNTAXES.contains(language))?;
    let before = match ask {
        Ask::Fill { prefix, .. } => prefix,
        Ask::Complete { prompt } => prompt,
        Ask::Chat { .. } => return None,
    };
    // An upstream's relay speaks as a worker does, and holds to nothing.
    let is_known = deployment.worker.knows_syntax() && deployment.facts.model().is_some();
    is_known.then(|| Syntax { language: language.name().to_owned(), before: before.clone() })
}

fn class(ask: &Ask) -> Class {
    match ask {
        Ask::Chat { .. } => Class::Chat,
        Ask::Complete { .. } | Ask::Fill { .. } => Class::Completion,
    }
}

/// KV entries are shared by the requests of one person at one label set, and no others: a shared
/// cache would tell by its speed what somebody else asked. Entries from before a source was removed serve nobody.
fn cache_scope(principal: &Principal, labels: &LabelSet, removals: u64) -> Digest {
    Digest(Sha256::digest(format!("{}\n{labels}\n{removals}", principal.name)).into())
}

/// As policies name it.
fn verb(request: &Request) -> Verb {
    match request.ask {
        _ if request.dialect == crate::generate::DIALECT => Verb::Generate,
        Ask::Chat { .. } => Verb::Chat,
        Ask::Complete { .. } | Ask::Fill { .. } => Verb::Complete,
    }
}

fn action(ask: &Ask) -> &'static str {
    match ask {
        Ask::Chat { .. } => "chat",
        Ask::Complete { .. } => "complete",
        Ask::Fill { .. } => "fill",
    }
}

/// Where the ledger cannot be written, nothing can be ended properly; any other break is on record beside what was made.
fn broken_by(output: Output, refusal: Refusal) -> Result<(Output, Option<Refusal>), Refusal> {
    if refusal.kind == RefusalKind::LedgerUnavailable { Err(refusal) } else { Ok((output, Some(refusal))) }
}

/// How a request ended.
struct Ended<'a> {
    /// The engine broke.
    broken: Option<&'a Refusal>,
    /// The answer is not shown.
    withheld: Option<&'a Withheld>,
    client_gone: bool,
}

/// How much of an answer's text is durable and shown.
struct Blocks {
    record: RecordNumber,
    /// The result's salt: a block commits to a beginning of the same text.
    salt: Salt,
    number: u32,
    /// Bytes of the text that are shown.
    shown_bytes: usize,
    /// Tokens since then.
    tokens: usize,
    /// When the oldest text that is not shown came.
    since: Option<Instant>,
    /// Text was held back: it is looked at again no sooner than a block is full.
    is_held: bool,
    /// Why nothing more is shown.
    withheld: Option<Withheld>,
}

impl Blocks {
    fn new(record: RecordNumber, salt: Salt) -> Blocks {
        Blocks {
            record,
            salt,
            number: 0,
            shown_bytes: 0,
            tokens: 0,
            since: None,
            is_held: false,
            withheld: None,
        }
    }

    fn add(&mut self, text: &str, tokens: usize) {
        self.tokens += tokens;
        if !text.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The first block goes out at once: the wait for it is what a person feels.
    fn is_full(&self) -> bool {
        self.waits() && (self.number == 0 && !self.is_held || self.tokens >= BLOCK_TOKENS_MAX)
    }

    fn waits(&self) -> bool {
        self.since.is_some()
    }

    /// Nothing of what came can be shown before more comes.
    fn wait_for_more(&mut self) {
        (self.tokens, self.since, self.is_held) = (0, None, true);
    }

    fn deadline(&self) -> Instant {
        self.since.unwrap_or_else(Instant::now) + BLOCK_WAIT_MAX
    }

    /// The number and text of the next block; `None` when everything is shown.
    fn take<'a>(&mut self, text: &'a str) -> Option<(u32, &'a str)> {
        let block = text.get(self.shown_bytes..).filter(|block| !block.is_empty())?;
        let number = self.number;
        self.number += 1;
        self.shown_bytes = text.len();
        self.tokens = 0;
        self.since = None;
        Some((number, block))
    }
}

impl Refusal {
    pub(crate) fn of(self, record: RecordNumber) -> Refusal {
        Refusal { record: Some(record), ..self }
    }
}

impl Delivery {
    fn open(&mut self, receipt: Receipt, deployment: &Deployment) {
        if let Delivery::Stream { opened, .. } = self
            && let Some(opened) = opened.take()
        {
            let _gone = opened.send(Ok(Opened { receipt, deployment: deployment.facts.alias.clone() }));
        }
    }

    fn is_streamed(&self) -> bool {
        matches!(self, Delivery::Stream { .. })
    }

    fn is_closed(&self) -> bool {
        match self {
            Delivery::Whole(sender) => sender.is_closed(),
            Delivery::Stream { events, .. } => events.is_closed(),
        }
    }

    /// Ends when the client is gone.
    async fn closed(&mut self) {
        match self {
            Delivery::Whole(sender) => sender.closed().await,
            Delivery::Stream { events, .. } => events.closed().await,
        }
    }

    /// Word of a place in the queue; a reader that is busy does without.
    fn queued(&mut self, ahead: u32) {
        if let Delivery::Stream { events, .. } = self {
            let _busy_or_gone = events.try_send(Event::Queued(ahead));
        }
    }

    /// A reader that is gone is noticed by [`Delivery::closed`].
    async fn block(&mut self, text: String) {
        if let Delivery::Stream { events, .. } = self {
            let _gone = events.send(Event::Block(text)).await;
        }
    }

    async fn close(&mut self, answer: Answer) {
        match std::mem::replace(self, Delivery::closed_one()) {
            Delivery::Whole(sender) => {
                let _gone = sender.send(Ok(answer));
            }
            Delivery::Stream { events, .. } => {
                let _gone = events
                    .send(Event::End { stop: answer.stop, usage: answer.usage, findings: answer.findings })
                    .await;
            }
        }
    }

    async fn refuse(self, refusal: Refusal) {
        match self {
            Delivery::Whole(sender) => {
                let _gone = sender.send(Err(refusal));
            }
            Delivery::Stream { opened: Some(opened), .. } => {
                let _gone = opened.send(Err(refusal));
            }
            Delivery::Stream { opened: None, events } => {
                let _gone = events.send(Event::Broken(refusal)).await;
            }
        }
    }

    fn closed_one() -> Delivery {
        Delivery::Whole(oneshot::channel().0)
    }
}

impl Output {
    fn usage(&self, prompt: &Prompt) -> Usage {
        Usage {
            prompt_tokens: prompt.count(),
            prompt_tokens_cached: self.prompt_tokens_cached,
            answer_tokens: u32::try_from(self.tokens.len()).unwrap_or(u32::MAX),
            times: self.times,
            drafts: self.drafts,
        }
    }
}

/// Drives a generation to its end without a client; for replays.
pub(crate) async fn drain(mut generation: Generation) -> Result<Output, WorkerError> {
    let mut output = Output::default();
    while let Some(event) = generation.next().await {
        match event? {
            engine::Event::Queued { .. } => {}
            engine::Event::Started { prompt_tokens_cached } => {
                output.prompt_tokens_cached = prompt_tokens_cached
            }
            engine::Event::Text { tokens, text } => {
                output.tokens.extend(tokens);
                output.text.push_str(&text);
            }
            engine::Event::Done { stop, times, .. } => {
                output.stop = Some(stop);
                output.times = times;
            }
        }
    }
    Ok(output)
}
