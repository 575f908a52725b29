//! The write-ahead log's segments and the tiles they become, on a disk that is as slow as real ones.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use ledger::disk::{Access, Disk, DiskFile, Lock};
use ledger::fault::FaultDisk;
use ledger::verify::Verdict;

use crate::machine::{Machine, administration, check};

/// A disk that takes its time to sync, as real ones do, and what of tiles was emptied on it that had held something.
struct SlowDisk(FaultDisk, Mutex<BTreeSet<String>>);

/// A file of it, and how long it takes to sync.
struct SlowFile(Box<dyn DiskFile>, std::time::Duration);

impl Disk for SlowDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        if access == Access::Create
            && path.starts_with("tile/")
            && let Ok(file) = self.0.open(path, Access::Read)
            && file.length()? > 0
        {
            self.1.lock().unwrap().insert(path.to_owned());
        }
        // The write-ahead log's alone, so that the integrator comes round often.
        let sync_ms = if path.starts_with("wal/") { 2 } else { 0 };
        Ok(Box::new(SlowFile(self.0.open(path, access)?, std::time::Duration::from_millis(sync_ms))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.list(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }

    fn lock(&self) -> io::Result<Lock> {
        self.0.lock()
    }
}

impl DiskFile for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        std::thread::sleep(self.1);
        self.0.sync()
    }
}

/// The integrator prepares the next segment of the write-ahead log while the writer puts one to use.
#[test]
fn segments_are_prepared_beside_a_busy_writer() {
    let machine = Machine::new();
    let ledger = machine.open_on(Arc::new(SlowDisk(machine.log.clone(), Mutex::default()))).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0..150 {
                    ledger.append_blocking(administration(writer * 150 + number)).unwrap();
                }
            });
        }
    });
    ledger.close().unwrap();
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.problems);
}

/// What a checkpoint covers is never written again, even where a round leaves a partial tile as it was: a crash in between
/// would lose it, and who proves a leaf meanwhile would find it empty.
#[test]
fn a_tile_that_did_not_change_is_left_alone() {
    let machine = Machine::new();
    let disk = Arc::new(SlowDisk(machine.log.clone(), Mutex::default()));
    let ledger = machine.open_on(disk.clone()).unwrap();
    for number in 0..300 {
        ledger.append_blocking(administration(number)).unwrap();
        // More rounds than a tile of the lowest level has hashes.
        ledger.sign().unwrap();
    }
    ledger.close().unwrap();
    assert_eq!(*disk.1.lock().unwrap(), BTreeSet::new());
    assert_eq!(check(&machine.log, Vec::new()).verdict, Verdict::Passed);
}

/// A leaf that is longer than the segment it would begin: the segment is made anew, and what is in it stays.
#[test]
fn a_leaf_that_is_longer_than_an_empty_segment() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    ledger.settle().unwrap();
    // Digits that do not compress to nothing, longer than the machine's segments.
    let text: String = (0..40_000u64).map(|n| (n * n * 2_654_435_761 % 1_000_003).to_string()).collect();
    let long = ledger::Entry { body: Some(text.into_bytes()), ..administration(1) };
    let first = ledger.append_blocking(long).unwrap();
    // Integrated, and the finished segments removed. A log without any segment would not open.
    ledger.sign().unwrap();
    let (log, notary) = (machine.log.kill(), machine.notary.kill());
    let machine = Machine { log, notary, ..machine };
    let ledger = machine.open().unwrap();
    assert_eq!(ledger.record(first.index).unwrap().hash, first.leaf_hash);
    ledger.append_blocking(administration(2)).unwrap();
    ledger.close().unwrap();
    assert_eq!(check(&machine.log, Vec::new()).verdict, Verdict::Passed);
}
