//! How long others wait for a token while one client sends long prompts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::{Event, Order, Worker};
use protocol::Digest;
use protocol::worker::{Class, EngineProfile, Part, Sampling, Token, Until};
use testkit::{Failure, load};

use crate::bare::Bare;
use crate::quantiles::Quantiles;

const CLIENTS: u8 = 8;
const LONG_TOKENS: usize = 8000;
const SHORT_TOKENS: usize = 200;
/// Of each client.
const ANSWERS: usize = 6;
const ANSWER_TOKENS: u32 = 64;
const CONTEXT_TOKENS: u32 = 8192 + 256;

pub(crate) async fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    let bare = Bare::start(model, EngineProfile::Reproducible, CLIENTS.into(), CONTEXT_TOKENS).await?;
    let source = bare.worker.tokenize(vec![Part::Text(load::ADA.to_owned())]).await?;
    let tokens = |count: usize, skip: usize| {
        source.iter().copied().cycle().skip(skip).take(count).collect::<Vec<Token>>()
    };
    let (answers, answer_tokens, long_tokens) =
        if quick { (1, 4, 400) } else { (ANSWERS, ANSWER_TOKENS, LONG_TOKENS) };
    println!(
        "\n| time a token, {} clients that write answers of {answer_tokens} tokens | p50 | p95 | most |\n|---|---|---|---|",
        CLIENTS - 1
    );
    for long in [false, true] {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = long.then(|| {
            let (worker, prompt, stop) = (bare.worker.clone(), tokens(long_tokens, 0), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    // Another beginning each time: nothing of it is cached.
                    let mut prompt = prompt.clone();
                    prompt[0] = number;
                    number += 1;
                    gaps(&worker, order(prompt, 0, Class::Chat, 1), &stop).await?;
                }
                Ok::<_, Failure>(number)
            })
        });
        let mut writers = Vec::new();
        for client in 1..CLIENTS {
            let (worker, prompt) = (bare.worker.clone(), tokens(SHORT_TOKENS, usize::from(client) * 100));
            writers.push(tokio::spawn(async move {
                let (mut all, never) = (Vec::new(), AtomicBool::new(false));
                for _ in 0..answers {
                    all.extend(
                        gaps(&worker, order(prompt.clone(), client, Class::Chat, answer_tokens), &never)
                            .await?,
                    );
                }
                Ok::<_, Failure>(all)
            }));
        }
        let mut all = Vec::new();
        for writer in writers {
            all.extend(writer.await??);
        }
        stop.store(true, Ordering::Relaxed);
        let prompts = match sender {
            Some(sender) => sender.await??,
            None => 0,
        };
        let quantiles = Quantiles::of_times(all);
        let what = if long {
            format!("beside {long_tokens}-token prompts, {prompts} of them begun")
        } else {
            "alone".to_owned()
        };
        println!(
            "| {what} | {:.0} ms | {:.0} ms | {:.0} ms |",
            quantiles.median(),
            quantiles.at(95),
            quantiles.at(100)
        );
    }
    Ok(())
}

fn order(prompt: Vec<Token>, person: u8, class: Class, tokens_max: u32) -> Order {
    Order {
        prompt,
        sampling: Sampling::GREEDY,
        tokens_max,
        stop: Vec::new(),
        predict_ms_max: None,
        until: Until::End,
        heal: false,
        cache_scope: Digest([person; 32]),
        person: Digest([person; 32]),
        class,
        digest_rows: false,
        json_schema: None,
        syntax: None,
    }
}

/// Times between one token and the next.
async fn gaps(worker: &Worker, order: Order, stop: &AtomicBool) -> Result<Vec<Duration>, Failure> {
    let mut generation = worker.generate(order).await?;
    let (mut gaps, mut last) = (Vec::new(), None);
    loop {
        let event = tokio::time::timeout(Duration::from_millis(100), generation.next()).await;
        match event {
            // Long prompts are given up once nobody measures beside them.
            Err(_) if stop.load(Ordering::Relaxed) => return Ok(gaps),
            Err(_) => {}
            Ok(Some(event)) => {
                if let Event::Text { tokens, .. } = event?
                    && !tokens.is_empty()
                {
                    let now = Instant::now();
                    gaps.extend(last.replace(now).map(|last| now - last));
                }
            }
            Ok(None) => return Ok(gaps),
        }
    }
}
