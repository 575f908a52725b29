//! A mixture of experts: whose columns are multiplied together depends on where others are routed, and what comes
//! of it does not.

use std::io::Write;

use engine::{Order, Worker, launch};
use protocol::Digest;
use protocol::worker::{Speculation, Token, WorkerSettings};
use testkit::{experts, places};

use crate::{Generated, generate, order, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_mixture_of_experts_is_the_same_in_company() {
    let plain = std::fs::read(places::model(places::SMALL).unwrap()).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&experts::made_of(&plain).unwrap()).unwrap();
    let program = launch::freeze_program(&places::program("cloister-engine").unwrap()).unwrap();
    let model = launch::freeze_model(file.path(), &mut |_| {}).unwrap();
    let start = |settings: WorkerSettings| {
        let launched = launch::launch(&program, &model, &settings).unwrap();
        async move {
            // The whole of it: its line to the supervisor is needed until it is ready.
            let launched = launched;
            let (worker, ready) = Worker::connect(launched.socket).await.unwrap();
            assert!(ready.reproducible);
            (worker, launched.child)
        }
    };
    let (alone, _alone) =
        start(WorkerSettings { slots: 1, speculation: Speculation::Off, ..settings() }).await;
    let forced = WorkerSettings { threads: 3, speculation: Speculation::Always, ..settings() };
    let (company, _company) = start(forced).await;
    let ask = |number: u8| {
        let prompt = (0..40 + 17 * Token::from(number))
            .map(|at| (at * 37 + Token::from(number)) % 5000 + 100)
            .collect();
        Order { cache_scope: Digest([number; 32]), tokens_max: 12, digest_rows: true, ..order(prompt) }
    };
    let mut together = Vec::new();
    for number in 0..8 {
        let company = company.clone();
        together.push(tokio::spawn(async move { generate(&company, ask(number)).await.unwrap() }));
    }
    for (number, task) in (0..).zip(together) {
        let solitary = generate(&alone, ask(number)).await.unwrap();
        let together = Generated { accepted: 0, ..task.await.unwrap() };
        assert_eq!(together, solitary, "request {number}");
    }
}
