//! Test support: a storage in memory that forgets what was not synced, and fails on demand.
//!
//! It is stricter than real file systems: names are durable only after [`Disk::sync_dir`], a failed
//! [`DiskFile::sync`] loses the writes it was asked for although reads still show them (as Linux does),
//! and what a crash leaves of unsynced writes is chosen sector by sector.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Access, Disk, DiskFile, Lock, parent};

/// Bytes that reach the medium together.
const SECTOR_BYTES: usize = 512;

/// A storage in memory. Clones are the same storage.
#[derive(Clone)]
pub struct FaultDisk {
    inner: Arc<Mutex<Inner>>,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error; nothing was done.
    ErrorBefore,
    /// An error; it was done all the same.
    ErrorAfter,
    /// `ENOSPC`; nothing was done.
    NoSpace,
    /// `ENOSPC` halfway: a write did its first half; anything else was not done.
    Short,
    /// The machine stops before it.
    CrashBefore,
    /// The machine stops after it, before anyone hears of it.
    CrashAfter,
}

/// What a restarted machine finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// What was synced, and nothing else.
    Synced,
    /// Besides, a random part of what was not: sectors of unsynced writes in any order, and the first
    /// few of a directory's unsynced changes.
    SyncedAndSome {
        /// Chooses them.
        seed: u64,
    },
}

struct Inner {
    nodes: Vec<Node>,
    operations: u64,
    /// The operation, as `operations` counts them, that fails.
    plan: Option<(u64, Fault)>,
    crashed: bool,
    free_bytes: u64,
    /// A writer has the storage.
    locked: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Node {
    File { current: Vec<u8>, durable: Vec<u8>, unsynced: Vec<Change> },
    Directory { current: Names, durable: Names, unsynced: Vec<Vec<NameChange>> },
}

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Change {
    Empty,
    Write { offset: usize, bytes: Vec<u8> },
}

/// A name that is given to a node, or taken away.
type NameChange = (String, Option<usize>);

impl Default for FaultDisk {
    fn default() -> Self {
        FaultDisk::new()
    }
}

impl FaultDisk {
    /// An empty storage with a tebibyte free.
    pub fn new() -> Self {
        FaultDisk::of(vec![Node::directory(Names::new())])
    }

    /// Operations so far that changed or synced something, or tried to.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets an operation fail: 0 is the next one that changes or syncs something.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        let mut inner = self.lock();
        inner.plan = Some((inner.operations + operation, fault));
    }

    /// Whether the planned crash has happened.
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Sets what [`Disk::free_bytes`] says.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.lock().free_bytes = bytes;
    }

    /// Stops the machine: every later operation on this storage fails. Returns what the restarted
    /// machine finds.
    pub fn crash(&self, survivors: Survivors) -> FaultDisk {
        let mut inner = self.lock();
        inner.crashed = true;
        let mut chance = match survivors {
            Survivors::Synced => None,
            Survivors::SyncedAndSome { seed } => Some(Chance(seed)),
        };
        FaultDisk::of(inner.nodes.iter().map(|node| node.after_crash(chance.as_mut())).collect())
    }

    /// Ends the process, not the machine: every later operation on this storage fails. Returns the
    /// storage as the next process finds it: what was written is there, synced or not.
    pub fn kill(&self) -> FaultDisk {
        let mut inner = self.lock();
        inner.crashed = true;
        FaultDisk::of(inner.nodes.clone())
    }

    /// A copy of the storage as it is now; this one goes on.
    pub fn snapshot(&self) -> FaultDisk {
        FaultDisk::of(self.lock().nodes.clone())
    }

    /// A file's bytes, as a running machine reads them.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let inner = self.lock();
        match &inner.nodes[inner.find(path).ok()?] {
            Node::File { current, .. } => Some(current.clone()),
            Node::Directory { .. } => None,
        }
    }

    /// Changes a file behind the ledger's back, durably: `None` removes it.
    pub fn tamper(&self, path: &str, bytes: Option<Vec<u8>>) {
        let mut inner = self.lock();
        let Some(bytes) = bytes else {
            let _ = inner.name(parent(path), vec![(file_name(path), None)]);
            let _ = inner.sync_dir(parent(path));
            return;
        };
        match inner.find(path) {
            Ok(node) => inner.nodes[node] = Node::file(bytes),
            Err(_) => {
                inner.nodes.push(Node::file(bytes));
                let node = inner.nodes.len() - 1;
                let _ = inner.name(parent(path), vec![(file_name(path), Some(node))]);
                let _ = inner.sync_dir(parent(path));
            }
        }
    }

    /// All files' paths, sorted.
    pub fn paths(&self) -> Vec<String> {
        let inner = self.lock();
        let mut paths = Vec::new();
        let mut waiting = vec![(String::new(), 0)];
        while let Some((path, node)) = waiting.pop() {
            match &inner.nodes[node] {
                Node::File { .. } => paths.push(path),
                Node::Directory { current, .. } => {
                    let below =
                        |name: &String| if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                    waiting.extend(current.iter().map(|(name, node)| (below(name), *node)));
                }
            }
        }
        paths.sort();
        paths
    }

    fn of(nodes: Vec<Node>) -> Self {
        let locked = Arc::default();
        let inner = Inner { nodes, operations: 0, plan: None, crashed: false, free_bytes: 1 << 40, locked };
        FaultDisk { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation that changes or syncs something, unless it is the one to fail. `lost` is what
    /// happens when it fails without being done.
    fn operate<T>(
        &self,
        run: impl FnOnce(&mut Inner) -> io::Result<T>,
        lost: impl FnOnce(&mut Inner, Fault),
    ) -> io::Result<T> {
        let mut inner = self.lock();
        inner.alive()?;
        let number = inner.operations;
        inner.operations += 1;
        let fault = inner.plan.filter(|(operation, _)| *operation == number).map(|(_, fault)| fault);
        match fault {
            None => run(&mut inner),
            Some(fault @ Fault::ErrorBefore) => {
                lost(&mut inner, fault);
                Err(io::Error::other("a planned error"))
            }
            Some(fault @ (Fault::NoSpace | Fault::Short)) => {
                lost(&mut inner, fault);
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::ErrorAfter) => {
                run(&mut inner)?;
                Err(io::Error::other("a planned error"))
            }
            Some(Fault::CrashBefore) => {
                inner.crashed = true;
                inner.alive()?;
                run(&mut inner)
            }
            Some(Fault::CrashAfter) => {
                let done = run(&mut inner);
                inner.crashed = true;
                inner.alive()?;
                done
            }
        }
    }

    fn read<T>(&self, run: impl FnOnce(&Inner) -> io::Result<T>) -> io::Result<T> {
        let inner = self.lock();
        inner.alive()?;
        run(&inner)
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let node = if access == Access::Create {
            self.operate(|inner| inner.create(path), |_, _| ())?
        } else {
            self.read(|inner| inner.find(path))?
        };
        match self.lock().nodes[node] {
            Node::File { .. } => Ok(Box::new(FaultFile { disk: self.clone(), node })),
            Node::Directory { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(
            |inner| {
                if parent(from) != parent(to) {
                    return Err(io::Error::other("renamed into another directory"));
                }
                let node = inner.find(from)?;
                inner.name(parent(to), vec![(file_name(from), None), (file_name(to), Some(node))])
            },
            |_, _| (),
        )
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.operate(
            |inner| {
                let node = inner.find(path)?;
                if matches!(&inner.nodes[node], Node::Directory { current, .. } if !current.is_empty()) {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                inner.name(parent(path), vec![(file_name(path), None)])
            },
            |_, _| (),
        )
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.operate(
            |inner| {
                if inner.find(path).is_ok() {
                    return Ok(());
                }
                inner.nodes.push(Node::directory(Names::new()));
                let node = inner.nodes.len() - 1;
                inner.name(parent(path), vec![(file_name(path), Some(node))])
            },
            |_, _| (),
        )
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.read(|inner| Ok(inner.names(path)?.keys().cloned().collect()))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.operate(|inner| inner.sync_dir(path), |_, _| ())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.read(|inner| Ok(inner.free_bytes))
    }

    fn lock(&self) -> io::Result<Lock> {
        let locked = self.read(|inner| Ok(Arc::clone(&inner.locked)))?;
        if locked.swap(true, Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Locked(locked)))
    }
}

struct Locked(Arc<AtomicBool>);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct FaultFile {
    disk: FaultDisk,
    node: usize,
}

impl FaultFile {
    fn read<T>(&self, run: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
        self.disk.read(|inner| match &inner.nodes[self.node] {
            Node::File { current, .. } => run(current),
            Node::Directory { .. } => Err(io::ErrorKind::IsADirectory.into()),
        })
    }
}

impl DiskFile for FaultFile {
    fn length(&self) -> io::Result<u64> {
        self.read(|bytes| Ok(bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read(|bytes| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let part = bytes.get(start..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let change = Change::Write {
            offset: usize::try_from(offset).map_err(io::Error::other)?,
            bytes: bytes.to_vec(),
        };
        let first_half = |inner: &mut Inner, fault| {
            if let (Fault::Short, Ok(offset)) = (fault, usize::try_from(offset)) {
                let bytes = bytes[..bytes.len() / 2].to_vec();
                let _ = inner.change(self.node, Change::Write { offset, bytes });
            }
        };
        self.disk.operate(|inner| inner.change(self.node, change), first_half)
    }

    fn sync(&self) -> io::Result<()> {
        let lose = |inner: &mut Inner, fault| {
            if fault != Fault::ErrorBefore {
                return;
            }
            if let Node::File { unsynced, .. } = &mut inner.nodes[self.node] {
                unsynced.clear();
            }
        };
        self.disk.operate(
            |inner| {
                if let Node::File { durable, unsynced, .. } = &mut inner.nodes[self.node] {
                    unsynced.drain(..).for_each(|change| change.apply(durable));
                }
                Ok(())
            },
            lose,
        )
    }
}

impl Inner {
    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    fn names(&self, path: &str) -> io::Result<&Names> {
        match &self.nodes[self.find(path)?] {
            Node::Directory { current, .. } => Ok(current),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn find(&self, path: &str) -> io::Result<usize> {
        let mut node = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Node::Directory { current, .. } = &self.nodes[node] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            node = *current.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    fn create(&mut self, path: &str) -> io::Result<usize> {
        if let Ok(node) = self.find(path) {
            self.change(node, Change::Empty)?;
            return Ok(node);
        }
        self.nodes.push(Node::file(Vec::new()));
        let node = self.nodes.len() - 1;
        self.name(parent(path), vec![(file_name(path), Some(node))])?;
        Ok(node)
    }

    fn change(&mut self, node: usize, change: Change) -> io::Result<()> {
        let Node::File { current, unsynced, .. } = &mut self.nodes[node] else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        change.apply(current);
        unsynced.push(change);
        Ok(())
    }

    fn name(&mut self, directory: &str, changes: Vec<NameChange>) -> io::Result<()> {
        let node = self.find(directory)?;
        let Node::Directory { current, unsynced, .. } = &mut self.nodes[node] else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        rename_all(current, &changes);
        unsynced.push(changes);
        Ok(())
    }

    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        let node = self.find(path)?;
        if let Node::Directory { current, durable, unsynced } = &mut self.nodes[node] {
            durable.clone_from(current);
            unsynced.clear();
        }
        Ok(())
    }
}

impl Node {
    fn file(bytes: Vec<u8>) -> Self {
        Node::File { current: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }

    fn directory(names: Names) -> Self {
        Node::Directory { current: names.clone(), durable: names, unsynced: Vec::new() }
    }

    fn after_crash(&self, chance: Option<&mut Chance>) -> Self {
        match self {
            Node::File { durable, unsynced, .. } => {
                let mut bytes = durable.clone();
                if let Some(chance) = chance {
                    unsynced.iter().for_each(|change| change.apply_some(&mut bytes, chance));
                }
                Node::file(bytes)
            }
            Node::Directory { durable, unsynced, .. } => {
                let mut names = durable.clone();
                let kept = chance.map_or(0, |chance| chance.below(unsynced.len() + 1));
                unsynced[..kept].iter().for_each(|changes| rename_all(&mut names, changes));
                Node::directory(names)
            }
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Empty => file.clear(),
            Change::Write { offset, bytes } => write(file, *offset, bytes),
        }
    }

    fn apply_some(&self, file: &mut Vec<u8>, chance: &mut Chance) {
        let Change::Write { offset, bytes } = self else {
            if chance.below(2) == 0 {
                file.clear();
            }
            return;
        };
        for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if chance.below(2) == 0 {
                write(file, offset + number * SECTOR_BYTES, sector);
            }
        }
    }
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

fn rename_all(names: &mut Names, changes: &[NameChange]) {
    for (name, node) in changes {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A small seeded generator (SplitMix64), for choices that must come out the same again.
pub struct Chance(pub u64);

impl Chance {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.draw() % bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_was_not_synced() {
        let disk = FaultDisk::new();
        disk.create_dir("d").unwrap();
        let file = disk.open("d/file", Access::Create).unwrap();
        file.write_at(0, b"one").unwrap();
        file.sync().unwrap();
        assert!(disk.crash(Survivors::Synced).paths().is_empty());

        let disk = FaultDisk::new();
        disk.create_dir("d").unwrap();
        disk.sync_dir("").unwrap();
        let file = disk.open("d/file", Access::Create).unwrap();
        file.write_at(0, b"one").unwrap();
        file.sync().unwrap();
        disk.sync_dir("d").unwrap();
        file.write_at(3, b"two").unwrap();
        assert_eq!(disk.bytes("d/file").unwrap(), b"onetwo");
        let found = disk.crash(Survivors::Synced);
        assert_eq!(found.bytes("d/file").unwrap(), b"one");
        assert!(file.sync().is_err());
    }

    #[test]
    fn a_failed_sync_loses_the_writes() {
        let disk = FaultDisk::new();
        let file = disk.open("file", Access::Create).unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(0, b"one").unwrap();
        disk.fail_at(0, Fault::ErrorBefore);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(disk.bytes("file").unwrap(), b"one");
        assert_eq!(disk.crash(Survivors::Synced).bytes("file").unwrap(), b"");
    }

    #[test]
    fn a_rename_is_whole_or_nothing() {
        for seed in 0..20 {
            let disk = FaultDisk::new();
            crate::disk::replace(&disk, "file", b"one").unwrap();
            crate::disk::write(&disk, "file.tmp", b"two").unwrap();
            disk.rename("file.tmp", "file").unwrap();
            let found = disk.crash(Survivors::SyncedAndSome { seed });
            let bytes = found.bytes("file").unwrap();
            assert!(bytes == b"one" || bytes == b"two");
        }
    }
}
