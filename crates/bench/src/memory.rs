//! Resident memory of each process: at rest, and under eight requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::server::{self, Server};
use testkit::{Failure, load};

const CLIENTS: usize = 8;
const REQUESTS: u64 = 24;
/// In their place where only the table is looked at.
const QUICK_REQUESTS: u64 = 2;
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    let server = Server::started(model)?;
    let processes = [
        ("supervisor", server.pid().ok_or("the daemon does not run")?),
        ("gateway", server.child_pid("cloister-gateway")?),
        ("engine worker", server.child_pid("cloister-engine")?),
    ];
    let look = || processes.map(|(_, pid)| server::memory_bytes(pid).unwrap_or_default());
    let at_rest = look();
    let requests = if quick { QUICK_REQUESTS } else { REQUESTS };
    let mut highest = at_rest;
    let ended = AtomicBool::new(false);
    let outcomes = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let outcomes = load::run(&server.socket(), 1, requests, CLIENTS, true);
            ended.store(true, Ordering::Relaxed);
            outcomes
        });
        while !ended.load(Ordering::Relaxed) {
            for (highest, now) in highest.iter_mut().zip(look()) {
                *highest = (highest.0.max(now.0), highest.1.max(now.1));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        load.join().map_err(|_| "the load panicked")
    })?;
    for outcome in outcomes {
        if let load::Outcome::Broken { what, .. } = outcome {
            return Err(format!("a request broke: {what}").into());
        }
    }
    println!(
        "\n| resident memory, own + shared (the model is shared) | at rest | under {CLIENTS} requests |\n|---|---|---|"
    );
    for ((name, _), (rest, high)) in processes.into_iter().zip(at_rest.into_iter().zip(highest)) {
        println!("| {name} | {} | {} |", words(rest), words(high));
    }
    Ok(())
}

fn words((own, shared): (u64, u64)) -> String {
    format!("{} + {} MiB", own >> 20, shared >> 20)
}
