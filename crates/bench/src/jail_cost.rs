//! What the jail costs: the start of a worker until it is jailed, and its decode speed, beside the same program with every
//! layer left out. Both sides are processes of their own, in turns.

use std::process::Command;
use std::time::{Duration, Instant};

use engine::launch;
use jail::Layer;
use jail::oversight::Heard;
use protocol::worker::{EngineProfile, Speculation};
use serde::{Deserialize, Serialize};
use testkit::{Failure, places};

use crate::bare::{self, Bare};
use crate::quantiles::Quantiles;

/// The variable by which programs of this kind are told to leave layers out.
const WITHOUT: &str = "CLOISTER_TEST_WITHOUT";
const ROUNDS: usize = 9;
const STARTS: usize = 15;
const TOKENS: u32 = 128;
const CONTEXT_TOKENS: u32 = 2048;

/// One side of one round.
#[derive(Debug, Serialize, Deserialize)]
struct Side {
    /// From the start of a process until it says that it is jailed.
    starts: Vec<Duration>,
    tokens_per_s: f64,
}

/// Starts both sides in turns, and prints the table.
pub(crate) fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    if !cfg!(feature = "weaken") {
        return Err("built without the feature `weaken`: run `cargo xtask bench jail`".into());
    }
    let all = Layer::ALL.map(Layer::name).join(",");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..if quick { 1 } else { ROUNDS } {
        with.push(side(model, "")?);
        without.push(side(model, &all)?);
    }
    let median = |values: Vec<f64>| Quantiles::of(values).median();
    let speed = |sides: &[Side]| median(sides.iter().map(|side| side.tokens_per_s).collect());
    let start = |sides: &[Side]| {
        let starts = sides.iter().flat_map(|side| &side.starts);
        median(starts.map(|start| start.as_secs_f64() * 1e3).collect())
    };
    let ratios = median(with.iter().zip(&without).map(|(a, b)| a.tokens_per_s / b.tokens_per_s).collect());
    println!("\n| engine worker | jailed | every layer left out | jailed to not |\n|---|---|---|---|");
    println!(
        "| decode, tokens/s | {:.1} | {:.1} | {ratios:.3}, the median of {} pairs |",
        speed(&with),
        speed(&without),
        with.len()
    );
    let (jailed, not) = (start(&with), start(&without));
    println!(
        "| start of the process until it reads, ms | {jailed:.1} | {not:.1} | {:+.1} ms |",
        jailed - not
    );
    Ok(())
}

fn side(model: &str, without: &str) -> Result<Side, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["jail-side", "--model", model])
        .env(WITHOUT, without)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("one side of the measurement failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What a child of [`measure`] does; the figures as JSON.
pub(crate) async fn measure_side(model: &str) -> Result<(), Failure> {
    let program = launch::freeze_program(&places::weakened("cloister-engine")?)?;
    let frozen = launch::freeze_model(&places::model(model)?, &mut |_| {})?;
    let settings = bare::settings(EngineProfile::Reproducible, 1, CONTEXT_TOKENS, Speculation::Off);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut launched = launch::launch(&program, &frozen, &settings)?;
        loop {
            match launched.oversight.hear()? {
                Some(Heard::Applied) => break,
                Some(_) => return Err("the worker ended before it was jailed".into()),
                None => std::thread::sleep(Duration::from_micros(50)),
            }
        }
        starts.push(began.elapsed());
        launched.child.kill()?;
        launched.child.wait()?;
    }
    let bare = Bare::of(&program, &frozen, &settings).await?;
    let prompt = bare.fill(testkit::load::ADA.get(..600).unwrap_or_default(), "\nend Buffers;\n").await?;
    let _warm = bare.run(prompt.clone(), 16, 1).await?;
    let run = bare.run(prompt, TOKENS, 2).await?;
    let seconds = Duration::from_micros(run.times.predict_us).as_secs_f64();
    let tokens = f64::from(u32::try_from(run.tokens)?);
    println!("{}", serde_json::to_string(&Side { starts, tokens_per_s: tokens / seconds })?);
    Ok(())
}
