//! A worker on a GPU, bare: prompt and answer tokens a second, alone and with seven others, and whether the same
//! prompt gives the same bits in company. The jail is the worker's own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::{Event, Order, launch};
use jail::oversight::{Heard, Oversight};
use jail::probe::Verdict;
use protocol::Digest;
use protocol::worker::{Device, EngineProfile, Part, Speculation, Token, WorkerSettings};
use testkit::shapes::{self, Shape};
use testkit::{Failure, load, places};

use crate::bare::{self, Bare};
use crate::quantiles::Quantiles;
use crate::speed::rate;

const COMPANY: usize = 8;
const PROMPT_TOKENS: usize = 512;
const LONG_PROMPT_TOKENS: usize = 2048;
const ANSWER_TOKENS: u32 = 128;
const REPETITIONS: u64 = 5;

/// What is measured on which model.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A GGUF file; may be repeated.
    #[arg(long)]
    file: Vec<PathBuf>,
    /// A GGUF file of the architecture `llama` whose vocabulary models of drawn weights get.
    #[arg(long)]
    vocabulary: Option<PathBuf>,
    /// Which: 1B, 8B, 32B; may be repeated.
    #[arg(long = "shape", default_values = ["1B", "8B", "32B"])]
    shapes: Vec<String>,
    /// Where those are written, and removed again: 19 GiB for the largest.
    #[arg(long, default_value = "/dev/shm")]
    scratch: PathBuf,
    /// Compute on the processor, to compare; in the same profile.
    #[arg(long)]
    cpu: bool,
    /// What the jail may go without, as in `jail.accept`.
    #[arg(long)]
    accept: Vec<String>,
    /// Few repetitions: shows that it works, measures nothing.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn measure(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for file in &options.file {
        runtime.block_on(measure_one(file, options))?;
    }
    let Some(vocabulary) = &options.vocabulary else { return Ok(()) };
    let all = [shapes::SHAPE_1B, shapes::SHAPE_8B, shapes::SHAPE_32B];
    for shape in all.into_iter().filter(|shape| options.shapes.iter().any(|name| name == shape.name)) {
        let file = drawn(vocabulary, shape, options)?;
        let measured = runtime.block_on(measure_one(&file, options));
        std::fs::remove_file(&file)?;
        measured?;
    }
    Ok(())
}

fn drawn(vocabulary: &Path, shape: Shape, options: &Options) -> Result<PathBuf, Failure> {
    let file = options.scratch.join(format!("drawn-{}.gguf", shape.name));
    let mut out = std::io::BufWriter::with_capacity(8 << 20, std::fs::File::create(&file)?);
    shapes::write(&std::fs::read(vocabulary)?, shape, &mut out)?;
    Ok(file)
}

async fn measure_one(file: &Path, options: &Options) -> Result<(), Failure> {
    let program = launch::freeze_program(&places::program("cloister-engine")?)?;
    let model = launch::freeze_model(file, &mut |_| {})?;
    let slots = u32::try_from(COMPANY)?;
    let context_tokens = u32::try_from(LONG_PROMPT_TOKENS)? + 2 * ANSWER_TOKENS;
    let settings = WorkerSettings {
        device: if options.cpu { Device::Cpu } else { Device::Gpu },
        accept: options.accept.clone(),
        ..bare::settings(EngineProfile::Fast, slots, context_tokens, Speculation::Off)
    };
    let began = Instant::now();
    let (bare, mut oversight) = Bare::with_oversight(&program, &model, &settings).await?;
    let started = began.elapsed().as_secs_f64();
    println!("\n{}: {} MiB", file.display(), std::fs::metadata(file)?.len() >> 20);
    println!("{} (reproducible: {})", bare.ready.cpu_features, bare.ready.reproducible);
    println!("engine: SHA-256 {}", program.digest);
    println!("\n| | |\n|---|---|\n| start of the worker, from a sealed file | {started:.1} s |");
    jail_holds(&bare, &mut oversight)?;
    let source = bare.worker.tokenize(vec![Part::Text(load::ADA.to_owned())]).await?;
    let prompt = |number: usize, len: usize| -> Vec<Token> {
        source.iter().copied().cycle().skip(number * 37 + 1).take(len).collect()
    };
    for len in [PROMPT_TOKENS, LONG_PROMPT_TOKENS] {
        let (mut prefill, mut decode) = (Vec::new(), Vec::new());
        for repetition in 0..if options.quick { 1 } else { REPETITIONS } {
            let run = bare.run(prompt(0, len), ANSWER_TOKENS, repetition).await?;
            prefill.push(rate(len, run.times.prompt_us));
            decode.push(rate(run.tokens.saturating_sub(1), run.times.predict_us));
        }
        println!("| prefill of {len}, tokens/s | {:.0} |", Quantiles::of(prefill).median());
        println!("| decode after {len}, one sequence, tokens/s | {:.1} |", Quantiles::of(decode).median());
    }
    together(&bare, &prompt).await?;
    bits(&bare, &prompt).await
}

/// What its jail is, from inside and from outside, once the GPU is at work.
fn jail_holds(bare: &Bare, oversight: &mut Oversight) -> Result<(), Failure> {
    while oversight.applied().is_none() {
        wait_for(oversight)?;
    }
    let applied = oversight.applied().cloned().ok_or("no jail")?;
    println!(
        "| its jail | Landlock ABI {}, {} system calls, without: {:?} |",
        applied.landlock_abi, applied.system_calls_allowed, applied.weaker
    );
    println!("| files, to be written and asked | {:?} |", applied.read_write);
    println!("| files, to be read | {:?} |", applied.read_only);
    oversight.ask()?;
    let rows = loop {
        if let Some(Heard::Probed(rows)) = wait_for(oversight)? {
            break rows;
        }
    };
    let failed: Vec<String> =
        rows.iter().filter(|row| row.verdict == Verdict::Fail).map(ToString::to_string).collect();
    println!("| probes from inside | {} of {} fail {failed:?} |", failed.len(), rows.len());
    let inspection = jail::inspect::inspect(bare.pid())?;
    let findings = inspection.findings(oversight.kind(), &applied.read_write);
    println!(
        "| from outside: {} threads, {} descriptors | findings: {findings:?} |",
        inspection.threads.len(),
        inspection.descriptors.len()
    );
    Ok(())
}

fn wait_for(oversight: &mut Oversight) -> Result<Option<Heard>, Failure> {
    match oversight.hear()? {
        Some(Heard::Ended) => Err("the worker has ended".into()),
        None => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(None)
        }
        heard => Ok(heard),
    }
}

/// Eight at once: from the last one's first token to the first one's end, all are decoded together.
async fn together(bare: &Bare, prompt: &impl Fn(usize, usize) -> Vec<Token>) -> Result<(), Failure> {
    let mut company = Vec::new();
    for number in 0..COMPANY {
        // Without its rows: to hash the logits takes longer than to choose from them.
        let order = bare::order(prompt(number, PROMPT_TOKENS), 2 * ANSWER_TOKENS, 100 + number as u64);
        company.push(times(bare.worker.generate(order).await?));
    }
    let mut running = Vec::new();
    for one in company {
        running.push(tokio::spawn(one));
    }
    let mut all = Vec::new();
    for one in running {
        all.push(one.await??);
    }
    let from = all.iter().filter_map(|times| times.first()).max().ok_or("nothing was generated")?;
    let to = all.iter().filter_map(|times| times.last()).min().ok_or("nothing was generated")?;
    let tokens = all.iter().flatten().filter(|&&time| (*from..*to).contains(&time)).count();
    let seconds = to.saturating_duration_since(*from).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let tokens = tokens as f64;
    println!(
        "| decode of {COMPANY} sequences after {PROMPT_TOKENS}, tokens/s of all | {:.1} |",
        tokens / seconds
    );
    Ok(())
}

/// When each token came.
async fn times(mut generation: engine::Generation) -> Result<Vec<Instant>, Failure> {
    let mut times = Vec::new();
    while let Some(event) = generation.next().await {
        if let Event::Text { tokens, .. } = event? {
            let now = Instant::now();
            times.extend(tokens.iter().map(|_| now));
        }
    }
    Ok(times)
}

/// Of each prompt: its logits alone, again, with its prefix reused, and with the seven others beside it.
async fn bits(bare: &Bare, prompt: &impl Fn(usize, usize) -> Vec<Token>) -> Result<(), Failure> {
    const TOKENS: u32 = 64;
    let order = |number: usize, scope: u64| Order {
        digest_rows: true,
        ..bare::order(prompt(number, PROMPT_TOKENS - number), TOKENS, scope)
    };
    let (mut alone, mut again, mut reused) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..COMPANY {
        let scope = 1000 + 2 * number as u64;
        alone.push(rows(bare.worker.generate(order(number, scope)).await?).await?);
        again.push(rows(bare.worker.generate(order(number, scope + 1)).await?).await?);
        reused.push(rows(bare.worker.generate(order(number, scope + 1)).await?).await?);
    }
    let mut running = Vec::new();
    for number in 0..COMPANY {
        let generation = bare.worker.generate(order(number, 2000 + number as u64)).await?;
        running.push(tokio::spawn(rows(generation)));
    }
    let mut company = Vec::new();
    for one in running {
        company.push(one.await??);
    }
    for (what, others) in
        [("again, alone", again), ("its prefix reused", reused), ("with seven others", company)]
    {
        let same = |same: fn(&Rows, &Rows) -> bool| {
            alone.iter().zip(&others).filter(|(one, other)| same(one, other)).count()
        };
        println!(
            "| {what}: the same logits, bit for bit / the same {TOKENS} tokens | {} / {} of {COMPANY} |",
            same(|one, other| one.digest == other.digest),
            same(|one, other| one.tokens == other.tokens),
        );
    }
    Ok(())
}

/// What came of a generation.
struct Rows {
    tokens: Vec<Token>,
    /// Of all rows of logits.
    digest: Option<Digest>,
}

async fn rows(mut generation: engine::Generation) -> Result<Rows, Failure> {
    let mut all = Rows { tokens: Vec::new(), digest: None };
    while let Some(event) = generation.next().await {
        match event? {
            Event::Text { tokens, .. } => all.tokens.extend(tokens),
            Event::Done { rows, .. } => all.digest = rows,
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
    all.digest.is_some().then_some(all).ok_or_else(|| "the worker tells no rows".into())
}
