//! From a fresh process to a serving worker.

use std::error::Error;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use jail::probe::Places;
use llama::{Batch, Context, ContextSettings, Model, ModelSettings};
use protocol::worker::{
    Device, EngineProfile, FillTokens, MARK, ModelFacts, Ready, StepCost, ToWorker, VERSION, WorkerSettings,
};

use crate::connection::{self, read_frame};
use crate::device;
use crate::drafts::Pays;
use crate::pace::Pace;
use crate::replies::Replies;
use crate::scheduler::{Limits, Scheduler, batch_tokens};
use crate::vocabulary::Vocabulary;

/// Says among the program's bytes which version it speaks: daemons read it there.
#[used]
static MARKED: &str = MARK;

const SOCKET: RawFd = 3;
const MODEL: RawFd = 4;
const OVERSIGHT: RawFd = 5;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut socket = UnixStream::from(jail::spawn::inherited(SOCKET)?);
    let mut model_file = File::from(jail::spawn::inherited(MODEL)?);
    let oversight = jail::spawn::inherited(OVERSIGHT)?;
    let settings: WorkerSettings = read_frame(&mut socket)?.ok_or("the supervisor sent no settings")?;
    if settings.version != VERSION {
        return Err(
            format!("the supervisor speaks version {}, this worker {VERSION}", settings.version).into()
        );
    }
    device::check(&settings)?;
    let reproducible = settings.profile == EngineProfile::Reproducible;
    let gpu = settings.device == Device::Gpu;
    let kind = if gpu { jail::Kind::GpuEngine } else { jail::Kind::Engine };
    let driver = if gpu { device::driver_version()? } else { String::new() };
    let applied = jail::apply(&jail::Jail {
        name: "cloister-engine".to_owned(),
        kind,
        parent_pid: settings.supervisor_pid,
        read_write: Vec::new(),
        read_only: Vec::new(),
        keep_fds: vec![SOCKET, MODEL, OVERSIGHT],
        memory_bytes_max: None,
        // The driver's library opens its devices again and again.
        open_files_max: if gpu { 1024 } else { 64 },
        accept: jail::weaker::parse_all(&settings.accept)?,
    })?;
    if let Some(warning) = applied.warning() {
        log("warning", &warning);
    }
    if std::env::args().nth(1).as_deref() == Some("--probe") {
        return probe(kind, &mut socket);
    }
    jail::oversight::answer(oversight, &applied, Places::default())?;
    if !jail::sealed::is_sealed(&model_file) {
        return Err("the model's file is not sealed: it could change after it was checked".into());
    }
    let facts = read_header(&mut model_file)?;
    llama::initialise(log);
    if reproducible {
        llama::install_kernels();
    }
    let gpus = if gpu { Some(device::gpus(&driver, model_file.metadata()?.len())?) } else { None };
    let model = Arc::new(Model::load(model_file, ModelSettings { repack: !reproducible, gpu })?);
    let mut context = Context::new(
        Arc::clone(&model),
        ContextSettings {
            sequence_tokens: settings.context_tokens,
            sequences: settings.slots,
            batch_tokens: batch_tokens(settings.slots),
            threads: settings.threads,
        },
    )?;
    let costs = step_costs(&mut context)?;
    let reproducible = reproducible && !llama::unproven();
    let sequence_tokens = context.sequence_tokens();
    match read_frame(&mut socket)? {
        Some(ToWorker::Hello { version: VERSION }) => {}
        Some(ToWorker::Hello { version }) => {
            return Err(
                format!("the supervisor greets in version {version}, this worker speaks {VERSION}").into()
            );
        }
        Some(_) => return Err("the first message is no greeting".into()),
        None => return Ok(()),
    }
    let vocabulary = Arc::new(Vocabulary::of(&model));
    let connection = connection::start(socket, Arc::clone(&model), Arc::clone(&vocabulary))?;
    let replies = Replies(connection.outbox);
    let mut ready = ready(
        &settings,
        &model,
        facts,
        sequence_tokens,
        reproducible,
        costs.clone(),
        jail::weaker::names(&applied.weaker),
    );
    if let Some(gpus) = gpus {
        ready.cpu_features.push_str(&format!(" {gpus}"));
    }
    replies.send(protocol::worker::FromWorker::Ready(Box::new(ready)));
    let limits = Limits {
        sequences: settings.slots,
        sequence_tokens,
        queue_max: settings.queue_max,
        kept_bytes_max: settings.kept_bytes_max,
        reproducible,
    };
    let pays = Pays::new(settings.speculation, &costs);
    let pace = Pace::new(&costs);
    Scheduler::new(model, vocabulary, context, limits, replies, pace, pays).run(&connection.inbox);
    Ok(())
}

/// Evaluates one token and several together, and says how long that took at best. Afterwards it is also known
/// which kernels the model needs.
fn step_costs(context: &mut Context) -> Result<Vec<StepCost>, Box<dyn Error>> {
    const TOKENS: [u32; 4] = [1, 2, 4, 8];
    const REPETITIONS: u32 = 3;
    let mut batch = Batch::new(8);
    let mut costs = TOKENS.map(|tokens| StepCost { tokens, us: u32::MAX });
    // The first round brings the model into memory.
    for _ in 0..=REPETITIONS {
        for cost in &mut costs {
            batch.clear();
            for position in 0..cost.tokens {
                batch.add(0, position, 0, true);
            }
            let began = Instant::now();
            context.decode(&batch)?;
            cost.us = cost.us.min(u32::try_from(began.elapsed().as_micros())?);
            if !context.truncate(0, 0) {
                return Err("the KV cache could not be emptied".into());
            }
        }
    }
    Ok(costs.to_vec())
}

/// Tries to get out, from this thread and from new ones, and answers with what happened.
fn probe(kind: jail::Kind, socket: &mut UnixStream) -> Result<(), Box<dyn Error>> {
    let results = jail::probe::run_on_threads(kind, &Places::default(), 2);
    socket.write_all(&serde_json::to_vec(&results)?)?;
    Ok(())
}

/// Our own strict reader goes first; C++ never sees a header that it refuses.
fn read_header(model: &mut File) -> Result<ModelFacts, Box<dyn Error>> {
    let header = gguf::read(model)?;
    model.rewind()?;
    Ok(ModelFacts {
        architecture: header.architecture().to_owned(),
        name: header.name().unwrap_or_default().to_owned(),
        chat_template: header.chat_template().map(str::to_owned),
    })
}

fn ready(
    settings: &WorkerSettings,
    model: &Model,
    facts: ModelFacts,
    context_tokens: u32,
    reproducible: bool,
    step_costs: Vec<StepCost>,
    weaker: Vec<String>,
) -> Ready {
    Ready {
        version: VERSION,
        profile: settings.profile,
        reproducible,
        cpu_features: llama::system_info(),
        cpu_level: cpu_level().to_owned(),
        llama_version: llama::version(),
        context_tokens,
        trained_context_tokens: model.trained_context_tokens(),
        slots: settings.slots,
        step_costs,
        vocabulary: u32::try_from(model.vocabulary()).unwrap_or(u32::MAX),
        fill: model.fill_tokens().map(|fill| FillTokens {
            prefix: fill.prefix,
            suffix: fill.suffix,
            middle: fill.middle,
            repository: fill.repository,
            file: fill.file,
        }),
        begin_of_text: model.begin_of_text(),
        end_of_text_spelling: model.end_of_text_spelling(),
        begin_of_text_spelling: model.begin_of_text_spelling(),
        model: facts,
        weaker,
    }
}

/// The level this program was compiled for.
fn cpu_level() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "armv8-a"
    } else if cfg!(target_feature = "avx512f") {
        "x86-64-v4"
    } else if cfg!(target_feature = "avx2") {
        "x86-64-v3"
    } else {
        "x86-64"
    }
}

/// To the supervisor's standard error, which is the only way out for words.
pub(crate) fn log(level: &str, line: &str) {
    let _closed = writeln!(std::io::stderr(), "engine {}: {level}: {line}", std::process::id());
}
