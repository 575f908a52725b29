//! A model carried in: packing, import and verification beside `sha256sum` on the same file; then from the
//! start of the daemon to the first token, and what memory it all takes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::persons::Approvers;
use testkit::server::Server;
use testkit::{Failure, http, places};

const REPETITIONS: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long something took, and the most memory that it had.
struct Took {
    time: Duration,
    memory_bytes: u64,
}

pub(crate) fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    let file = places::model(model)?;
    let bytes = std::fs::metadata(&file)?.len();
    let mut server = Server::empty()?;
    let approvers = Approvers::enrolled(&server)?;
    let media = server.root().join("media");
    let (media, file) = (text(&media)?.to_owned(), text(&file)?.to_owned());
    let repetitions = if quick { 1 } else { REPETITIONS };

    let sha256sum = best(repetitions, || run(Command::new("sha256sum").arg(&file)))?;
    let openssl = best(repetitions, || run(Command::new("openssl").args(["dgst", "-sha256", &file])))?;
    let cloister = || Ok::<_, Failure>(Command::new(places::program("cloister")?));
    let create = run(cloister()?.args(["bundle", "create", "--out", &media, "--name", "coder"]).args([
        "--version",
        "1",
        "--weights",
        &file,
    ]))?;
    let cloisterd = || {
        let mut command = Command::new(places::program("cloisterd")?);
        command.arg("--data").arg(server.data());
        Ok::<_, Failure>(command)
    };
    let import = run(cloisterd()?.args(["model", "import", &media, "--unsigned"]))?;
    server.promote(&approvers, "coder")?;
    let deploy = run(cloisterd()?.args(["model", "deploy", "coder", "coder"]))?;
    let verify = best(repetitions, || run(cloisterd()?.args(["model", "verify", "coder"])))?;

    println!("\n| {} MB, in the page cache | s | MB/s | of `sha256sum` | memory |", bytes / 1_000_000);
    println!("|---|---|---|---|---|");
    for (name, took) in [
        ("`sha256sum`", &sha256sum),
        ("`openssl dgst -sha256`", &openssl),
        ("`cloister bundle create` (copied, hashed, synced)", &create),
        ("`cloisterd model import` (copied, hashed, checked, synced)", &import),
        ("`cloisterd model verify` (every file, proofs, engine)", &verify),
        ("`cloisterd model deploy` (hashed into memory, a worker loads it)", &deploy),
    ] {
        let seconds = took.time.as_secs_f64();
        println!(
            "| {name} | {seconds:.2} | {:.0} | {:.2} | {} MiB |",
            bytes as f64 / 1e6 / seconds,
            sha256sum.time.as_secs_f64() / seconds,
            took.memory_bytes >> 20
        );
    }

    println!("\n| from the start of `cloisterd serve` | first token |\n|---|---|");
    let blob = largest(&server.data().join("models/blobs"))?;
    for cold in [true, false] {
        if cold {
            // Lets go of the file's pages, and of nobody else's.
            run(Command::new("dd").arg(format!("if={blob}")).args(["iflag=nocache", "count=0"]))?;
        }
        let begun = Instant::now();
        server.start()?;
        let request = json!({ "messages": [{ "role": "user", "content": "x" }], "max_tokens": 1 });
        let response = http::post(&server.socket(), "/v1/chat/completions", &request)?;
        if response.status != 200 {
            return Err(format!("no answer: {}", response.text()).into());
        }
        let name = if cold { "model not in the page cache" } else { "model in the page cache" };
        println!("| {name} | {:.2} s |", begun.elapsed().as_secs_f64());
        if !cold {
            println!("\n| most memory ever, at the first token | MiB |\n|---|---|");
            for (name, pid) in [
                ("supervisor", server.pid().ok_or("the daemon does not run")?),
                ("gateway", server.child_pid("cloister-gateway")?),
                ("engine worker, the model's sealed copy among it", server.child_pid("cloister-engine")?),
            ] {
                println!("| {name} | {} |", peak_bytes(pid).unwrap_or(0) >> 20);
            }
        }
        server.stop()?;
    }
    Ok(())
}

fn best(repetitions: u32, measure: impl Fn() -> Result<Took, Failure>) -> Result<Took, Failure> {
    let mut best = measure()?;
    for _ in 1..repetitions {
        let next = measure()?;
        if next.time < best.time {
            best = next;
        }
    }
    Ok(best)
}

fn run(command: &mut Command) -> Result<Took, Failure> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut memory_bytes = 0;
    let status = loop {
        memory_bytes = peak_bytes(child.id()).unwrap_or(0).max(memory_bytes);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let time = begun.elapsed();
    if status.success() {
        return Ok(Took { time, memory_bytes });
    }
    let mut words = String::new();
    if let Some(stderr) = &mut child.stderr {
        std::io::Read::read_to_string(stderr, &mut words)?;
    }
    Err(format!("{command:?} failed: {words}").into())
}

/// The most memory that a process ever had, as the kernel counts it.
fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? << 10)
}

fn largest(directory: &Path) -> Result<String, Failure> {
    let mut largest = (0, None);
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        largest = largest.max((entry.metadata()?.len(), Some(entry.path())));
    }
    Ok(text(&largest.1.ok_or("there is no blob")?)?.to_owned())
}

fn text(path: &Path) -> Result<&str, Failure> {
    Ok(path.to_str().ok_or("the path is not UTF-8")?)
}
