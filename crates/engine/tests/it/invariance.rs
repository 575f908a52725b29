//! Company, chunks, cached and kept prefixes, guessed tokens, cancellations, slots, threads, sampling: every
//! token, and every bit of every row of logits, is that of a solitary run.

use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use engine::{Order, Worker, launch};
use protocol::Digest;
use protocol::worker::{Class, Part, Ready, Sampling, Speculation, Until, WorkerSettings};
use testkit::{draw::Draw, places};
use tokio::sync::Semaphore;

use crate::{Generated, frozen, generate, order, settings};

/// How many requests; a soak sets more.
const REQUESTS: &str = "CLOISTER_TEST_REQUESTS";
/// Of which model; a soak may take another.
const MODEL: &str = "CLOISTER_TEST_MODEL";
const REQUESTS_DEFAULT: u64 = 100;
/// Requests that a worker gets before another is started with other settings.
const ROUND: u64 = 50;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bits_alone_and_in_company() {
    let mut draw = Draw::fresh("the_same_bits_alone_and_in_company");
    let requests = std::env::var(REQUESTS).map_or(REQUESTS_DEFAULT, |count| count.parse().unwrap());
    let (program, model) = frozen(&std::env::var(MODEL).unwrap_or_else(|_| places::CODER.to_owned()));
    let start = |settings: WorkerSettings| {
        let launched = launch::launch(&program, &model, &settings).unwrap();
        async move {
            // The whole of it: its line to the supervisor is needed until it is ready.
            let launched = launched;
            let (worker, ready) = Worker::connect(launched.socket).await.unwrap();
            assert!(ready.reproducible);
            (worker, ready, launched.child)
        }
    };
    let (alone, ready, _child) =
        start(WorkerSettings { speculation: Speculation::Off, kept_bytes_max: 0, ..settings() }).await;
    let mut orders = Vec::new();
    for number in 0..requests / 4 {
        orders.push(drawn(&mut draw, &alone, &ready, number).await);
    }
    let mut expected: BTreeMap<usize, Generated> = BTreeMap::new();
    let (mut compared, mut forced, mut cached, mut dropped, mut guessed) = (0, 0, 0, 0, 0);
    for _ in 0..requests.div_ceil(ROUND) {
        let threads = 1 + u32::try_from(draw.below(3)).unwrap();
        let slots = 1 + u32::try_from(draw.below(6)).unwrap();
        // Mostly forced, for only the forced are counted as compared with guessing.
        let speculation = match draw.below(8) {
            0 => Speculation::Measured,
            1 => Speculation::Off,
            _ => Speculation::Always,
        };
        // None, a conversation or two, all.
        let kept_bytes_max = *draw.one_of(&[0, 8 << 20, 256 << 20]);
        let drawn =
            WorkerSettings { threads, slots, speculation, kept_bytes_max, queue_max: 64, ..settings() };
        let (worker, _, _child) = start(drawn).await;
        let clients = Arc::new(Semaphore::new(CLIENTS));
        let mut company = Vec::new();
        for _ in 0..ROUND {
            let number = usize::try_from(draw.below(orders.len() as u64)).unwrap();
            // Scopes repeat, so that prefixes are reused, also across company.
            let cache_scope = Digest([u8::try_from(draw.below(3)).unwrap(); 32]);
            let class = if draw.once_in(2) { Class::Chat } else { Class::Completion };
            let order = Order { cache_scope, person: cache_scope, class, ..orders[number].clone() };
            let (worker, clients) = (worker.clone(), Arc::clone(&clients));
            let goes_away = draw.once_in(6);
            company.push(tokio::spawn(async move {
                let _client = clients.acquire_owned().await.unwrap();
                if goes_away {
                    let mut generation = worker.generate(order).await.unwrap();
                    let _first = generation.next().await;
                    return (number, None);
                }
                (number, Some(generate(&worker, order).await.unwrap()))
            }));
        }
        for task in company {
            let (number, generated) = task.await.unwrap();
            let Some(generated) = generated else {
                dropped += 1;
                continue;
            };
            if let Entry::Vacant(entry) = expected.entry(number) {
                let fresh = Digest(std::array::from_fn(|_| u8::try_from(draw.below(256)).unwrap()));
                let order = Order { cache_scope: fresh, ..orders[number].clone() };
                let solitary = generate(&alone, order).await.unwrap();
                assert_eq!(solitary.cached, 0);
                entry.insert(solitary);
            }
            cached += generated.cached;
            guessed += generated.accepted;
            let generated = Generated { cached: 0, accepted: 0, ..generated };
            assert_eq!(
                generated, expected[&number],
                "request {number}, {threads} threads, {slots} slots, {speculation:?}"
            );
            compared += 1;
            forced += u32::from(speculation == Speculation::Always);
        }
    }
    println!(
        "invariance: {compared} the same, {forced} of them with guessing forced, {dropped} that went away, \
         {} alone, {cached} prompt tokens cached, {guessed} tokens guessed",
        expected.len()
    );
}

/// A hole or a conversation, short, greedy or sampled.
async fn drawn(draw: &mut Draw, worker: &Worker, ready: &Ready, number: u64) -> Order {
    let fill = ready.fill.unwrap();
    let request = testkit::load::draw(draw, true);
    let text = |name: &str| Part::Text(request.body[name].as_str().unwrap().to_owned());
    let parts = match request.body["messages"][0]["content"].as_str() {
        Some(question) => {
            vec![Part::Template(format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"))]
        }
        None => vec![
            Part::Token(fill.prefix),
            text("prompt"),
            Part::Token(fill.suffix),
            text("suffix"),
            Part::Token(fill.middle),
        ],
    };
    let prompt = worker.tokenize(parts).await.unwrap();
    let temperature = if draw.once_in(2) { 0.8 } else { 0.0 };
    let sampling = Sampling { temperature, top_k: 40, top_p: 0.95, min_p: 0.0, seed: number };
    let tokens_max = 1 + u32::try_from(draw.below(24)).unwrap();
    let until = *draw.one_of(&[Until::End, Until::End, Until::Line, Until::Block { indent: 3 }]);
    Order { sampling, tokens_max, until, heal: draw.once_in(2), digest_rows: true, ..order(prompt) }
}
