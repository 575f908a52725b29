//! The ledger's appends on this machine's disk, beside a bare write and `fdatasync` of the same size and beside
//! SQLite, one durable insert a record.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::disk::RealDisk;
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary};
use rusqlite::Connection;
use testkit::Failure;

use crate::quantiles::Quantiles;

const WRITERS: [usize; 3] = [1, 8, 64];
const MEASURED: Duration = Duration::from_secs(4);
/// About what a completion's intent takes.
const BODY_BYTES: usize = 2_000;

pub(crate) fn measure(quick: bool) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let measured = if quick { Duration::from_millis(100) } else { MEASURED };
    println!(
        "\n| appends with a body of {BODY_BYTES} bytes, durable | a second | p50 | p99 |\n|---|---|---|---|"
    );
    let (rate, times) = bare_syncs(directory.path(), measured)?;
    row("write and `fdatasync` alone, one after the other", rate, &times);
    let ledger = open(directory.path())?;
    let sqlite = Sqlite::open(directory.path())?;
    let mut ratios = Vec::new();
    for writers in WRITERS {
        let (rate, times) = appends(writers, measured, || {
            ledger.append_blocking(entry())?;
            Ok(())
        })?;
        row(&format!("ledger, {writers} at a time"), rate, &times);
        let (peer, times) = appends(writers, measured, || sqlite.insert())?;
        row(&format!("SQLite (WAL, synchronous=FULL), {writers} at a time"), peer, &times);
        ratios.push(format!("{:.1} with {writers}", rate / peer));
    }
    ledger.close()?;
    println!("\nLedger to SQLite: {}.", ratios.join(", "));
    Ok(())
}

/// One connection that its writers take in turn: a connection each would fight for SQLite's one write lock.
struct Sqlite(Mutex<Connection>);

impl Sqlite {
    fn open(directory: &Path) -> Result<Sqlite, Failure> {
        let connection = Connection::open(directory.join("peer.db"))?;
        connection.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full;
             create table records (id integer primary key, leaf text not null, body blob not null);",
        )?;
        Ok(Sqlite(Mutex::new(connection)))
    }

    /// A transaction of its own, durable when it returns.
    fn insert(&self) -> Result<(), Failure> {
        let entry = entry();
        let leaf = serde_json::to_string(&entry.event)?;
        let connection = self.0.lock().map_err(|_| "a writer panicked")?;
        let mut insert = connection.prepare_cached("insert into records (leaf, body) values (?1, ?2)")?;
        insert.execute((leaf, entry.body))?;
        Ok(())
    }
}

fn row(what: &str, rate: f64, times: &Quantiles) {
    println!("| {what} | {rate:.0} | {:.2} ms | {:.2} ms |", times.median(), times.at(99));
}

/// Into a file that is as long as it gets, like a segment of the write-ahead log.
fn bare_syncs(directory: &Path, measured: Duration) -> Result<(f64, Quantiles), Failure> {
    const FILE_BYTES: usize = 16 << 20;
    let mut file = File::create(directory.join("bare"))?;
    file.write_all(&vec![0; FILE_BYTES])?;
    file.sync_all()?;
    let block = vec![1; BODY_BYTES + 500];
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < measured {
        let place = times.len() * block.len() % (FILE_BYTES - block.len());
        let begin = Instant::now();
        file.write_all_at(&block, u64::try_from(place)?)?;
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    Ok((rate(times.len(), start), Quantiles::of_times(times)))
}

fn open(directory: &Path) -> Result<Ledger, Failure> {
    let notary = LocalNotary::open(&directory.join("notary"), "bench.example/log", [7; 32])?;
    let disk = Arc::new(RealDisk::create(&directory.join("ledger"))?);
    let verifier = notary.verifier();
    let config = LedgerConfig::new(verifier, LedgerKeys::new([8; 32]), disk, Box::new(notary));
    Ok(Ledger::open(config)?.0)
}

fn appends(
    writers: usize,
    measured: Duration,
    append: impl Fn() -> Result<(), Failure> + Sync,
) -> Result<(f64, Quantiles), Failure> {
    let start = Instant::now();
    let times: Result<Vec<Vec<Duration>>, Failure> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|_| {
                scope.spawn(|| {
                    let mut times = Vec::new();
                    while start.elapsed() < measured {
                        let begin = Instant::now();
                        append()?;
                        times.push(begin.elapsed());
                    }
                    Ok(times)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a writer panicked")?).collect()
    });
    let times = times?.concat();
    Ok((rate(times.len(), start), Quantiles::of_times(times)))
}

fn entry() -> Entry {
    let event = Event::Administration {
        actor: "bench".to_owned(),
        action: "bench".to_owned(),
        subject: String::new(),
        detail: "x".repeat(400),
    };
    Entry { event, body: Some(vec![b'x'; BODY_BYTES]) }
}

fn rate(count: usize, start: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = count as f64;
    count / start.elapsed().as_secs_f64()
}
