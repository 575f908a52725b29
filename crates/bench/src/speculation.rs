//! What guessing tokens gains or loses: decode of the same answers with it off, as measured, and always.

use protocol::worker::{EngineProfile, Part, Speculation};
use testkit::{Failure, load};

use crate::bare::Bare;
use crate::quantiles::Quantiles;
use crate::speed::rate;

/// Lines of the file before the hole, and behind it: much of what is written stands there already.
const BEFORE: usize = 60;
const BEHIND: usize = 20;
const HOLES: usize = 12;
const ANSWER_TOKENS: u32 = 48;
/// Holes and answer tokens where only the table is looked at.
const QUICK: (usize, u32) = (1, 8);
const CONTEXT_TOKENS: u32 = 4096;

pub(crate) async fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    let modes = [Speculation::Off, Speculation::Measured, Speculation::Always];
    let mut workers = Vec::new();
    for mode in modes {
        workers.push(Bare::start_with(model, EngineProfile::Reproducible, 1, CONTEXT_TOKENS, mode).await?);
    }
    println!("\n| a step of so many tokens, at start | milliseconds | of one |\n|---|---|---|");
    let costs = &workers[0].ready.step_costs;
    for cost in costs {
        let (ms, one) = (f64::from(cost.us) / 1e3, f64::from(costs[0].us) / 1e3);
        println!("| {} | {ms:.1} | {:.2} |", cost.tokens, ms / one);
    }
    let fill = workers[0].ready.fill.ok_or("the model has no fill-in-the-middle tokens")?;
    let lines: Vec<&str> = load::ADA.lines().collect();
    let mut rates = [(); 3].map(|()| Vec::new());
    let mut drafts = [(0, 0); 3];
    let (holes, answer_tokens) = if quick { QUICK } else { (HOLES, ANSWER_TOKENS) };
    for hole in 0..holes {
        let at = BEFORE + hole * (lines.len() - BEFORE - BEHIND) / HOLES;
        let text = |lines: &[&str]| Part::Text(lines.join("\n") + "\n");
        let parts = vec![
            Part::Token(fill.prefix),
            text(&lines[at - BEFORE..at]),
            Part::Token(fill.suffix),
            text(&lines[at + 4..at + BEHIND]),
            Part::Token(fill.middle),
        ];
        let prompt = workers[0].worker.tokenize(parts).await?;
        for (mode, worker) in workers.iter().enumerate() {
            let run = worker.run(prompt.clone(), answer_tokens, hole as u64).await?;
            if run.tokens > 1 {
                rates[mode].push(rate(run.tokens - 1, run.times.predict_us));
            }
            drafts[mode].0 += run.drafts.proposed;
            drafts[mode].1 += run.drafts.accepted;
        }
    }
    println!(
        "\n| {holes} holes in Ada | tokens a second, median | of none | guessed | right |\n|---|---|---|---|---|"
    );
    let medians = rates.map(|rates| Quantiles::of(rates).median());
    for (mode, name) in ["none", "as measured", "always"].into_iter().enumerate() {
        let (proposed, accepted) = drafts[mode];
        println!(
            "| {name} | {:.1} | {:.2} | {proposed} | {accepted} |",
            medians[mode],
            medians[mode] / medians[0]
        );
    }
    Ok(())
}
