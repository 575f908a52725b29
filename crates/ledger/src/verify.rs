//! Checking a ledger from its files alone: offline, read-only, the daemon running or not.
//!
//! Every leaf is hashed, every tile compared, the checkpoint's signature and root checked against the
//! tree recomputed here, every body's digest, and, with the body key, that each body opens and that
//! the leaf's commitments hold. What cannot be told from the files is said: whether the directory is an
//! older copy of itself shows only against what was kept elsewhere ([`Seen`]).

mod good;
mod witnessed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use approval::Approval;
use protocol::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tlog::entry::BundleError;
use tlog::note::KeyError;
use tlog::tile::{levels, widths};
use tlog::{Checkpoint, Frontier, Hash, Policy, TileName, VerifierKey, leaf_hash};

use crate::LedgerKeys;
use crate::admission::{Admission, Admissions, Step};
use crate::body::{self, Wrap, unseal};
use crate::disk::{self, Access, Disk, DiskFile};
use crate::leaf::{
    Block, BodyCommitment, Commitment, Decision, ENROL_KEY, ErasedLeaf, Erasure, Event, Leaf, REVOKE_KEY,
    ReplayOutcome, SCHEMA,
};
use crate::log::Receipt;
use crate::opening::Opening;
use crate::pack::{self, PACK_LEAVES, SLOT_BYTES, Slot, pack_path, page_path};
use crate::policies::PolicyChange;
use crate::store::{CHECKPOINT, NAMES_NOTHING, RELATIONS, SET_ASIDE, claimed, read_tile};
use crate::wal::{self, Place, ScanError};

pub use witnessed::{Witnessed, WitnessedBy};

/// Problems and findings that a report spells out; the rest are counted.
pub const LISTED_MAX: usize = 1000;

/// Looks at a write-ahead log that is being written until it stands still.
const SCANS_MAX: u32 = 20;

/// What to check against.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The log's public key. Without it, the key that the first leaf names is used: then the report
    /// says that whoever can replace the whole log can pass.
    pub verifier: Option<String>,
    /// Which witnesses must have cosigned; where no key is given, it names the log's too.
    pub policy: Option<Policy>,
    /// Opens bodies.
    pub keys: Option<LedgerKeys>,
    /// What was kept elsewhere.
    pub seen: Vec<Seen>,
    /// How long to wait before the write-ahead log is looked at again, when its end looks damaged: a
    /// daemon may be writing there. [`PAUSE`] where one may run; zero where none does.
    pub pause: Duration,
}

/// A daemon's frame is whole within this.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Something that proves how far the log once was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A client's receipt.
    Receipt(Receipt),
    /// A checkpoint, as the signed note's text.
    Checkpoint(String),
}

/// How far the check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Leaves checked.
    pub leaves_done: u64,
    /// Leaves of the log.
    pub leaves_total: u64,
}

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The key is malformed.
    #[error("the verifier key cannot be used")]
    Verifier(#[source] KeyError),
}

/// What was checked and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether the log is whole.
    pub verdict: Verdict,
    /// What is wrong, with its place. At most [`LISTED_MAX`].
    pub problems: Vec<Problem>,
    /// All problems.
    pub problems_total: u64,
    /// What is not wrong and should be known. At most [`LISTED_MAX`].
    pub findings: Vec<Finding>,
    /// All findings.
    pub findings_total: u64,
    /// Whether this may be an older copy of the log.
    pub roll_back: RollBack,
    /// How far the policy's quorum witnessed the log; `None` without a policy that demands one, and where
    /// nothing meets it, which is a problem.
    pub witnessed: Option<Witnessed>,
    /// Cosigned checkpoints that lie beside the log.
    pub checkpoints_witnessed: u64,
    /// The log's name; `None` when neither checkpoint nor key gives it.
    pub origin: Option<String>,
    /// The key that was used.
    pub verifier: Option<String>,
    /// Whether that key came from outside the log.
    pub verifier_trusted: bool,
    /// The root that was recomputed over the signed leaves.
    pub root: Option<Digest>,
    /// Leaves that the checkpoint signs.
    pub leaves_signed: u64,
    /// Leaves behind them, durable and not yet signed.
    pub leaves_unsigned: u64,
    /// Leaves from the first on that are whole, with their bodies, and proven by the checkpoint, by another
    /// one that lies beside it or was kept, or by tiles that lead to it. All that are signed, where nothing is
    /// wrong; else the first behind them is damaged, missing or proven by nothing.
    pub good_up_to: u64,
    /// How many leaves of each kind.
    pub leaves_by_kind: BTreeMap<String, u64>,
    /// Time of the first leaf, in milliseconds since 1970.
    pub time_first_unix_ms: Option<u64>,
    /// Time of the last.
    pub time_last_unix_ms: Option<u64>,
    /// Tiles and entry bundles compared.
    pub tiles: u64,
    /// Bodies whose digest was compared.
    pub bodies: u64,
    /// Bodies that were decrypted.
    pub bodies_opened: u64,
    /// Bodies that were erased.
    pub bodies_erased: u64,
    /// Commitments that were opened and hold.
    pub commitments: u64,
}

/// Whether the log is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No problem was found.
    Passed,
    /// There are problems.
    Failed,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the ledger's directory.
    pub file: Option<String>,
    /// Where in it.
    pub offset: Option<u64>,
    /// The leaf.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Something to know that is not wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// The leaf.
    pub index: Option<u64>,
    /// In words.
    pub what: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A request has no result: it runs, or a crash ended it.
    IntentWithoutResult,
    /// A leaf names a record that is no request before it.
    MissingIntent,
    /// A request has more than one result, or a block after it.
    AfterResult,
    /// Blocks of a request are missing or out of order.
    BlockGap,
    /// A decision is about a record of which nothing was shown before it.
    DecisionWithoutAnswer,
    /// A leaf contradicts itself, or the request that it names.
    Contradiction,
    /// A damaged end of the write-ahead log was set aside.
    Recovered,
    /// A replay gave other bytes, or none.
    ReplayDiffers,
    /// Probes of the jails failed.
    PostureFailed,
    /// The clock went back.
    ClockWentBack,
    /// A body cannot be compared with its leaf: it has no salt or no text for a commitment.
    CommitmentClosed,
    /// A body was erased, as two persons approved.
    Erased,
    /// A deployment answers that no leaf deployed, or by withdrawn weights.
    NotDeployed,
    /// The key was taken from the log itself.
    VerifierUntrusted,
    /// A leaf tells of a cosigned checkpoint that does not lie beside the log.
    WitnessedMissing,
}

/// Whether this may be an older copy of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RollBack {
    /// Nothing kept elsewhere was given: it may be.
    NotExcluded,
    /// Not older than that many leaves.
    ExcludedUpTo(u64),
    /// Something kept elsewhere is not in it.
    Found,
}

/// Where tiles and entries lie.
const TILES: &str = "tile";

/// Checks a ledger. `progress` is called now and then.
pub fn verify(
    disk: &dyn Disk,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, VerifyError> {
    let given = options.verifier.as_deref().map(str::parse::<VerifierKey>).transpose();
    let given = given.map_err(VerifyError::Verifier)?;
    let mut check = Check::new(disk, options);
    let (wal, note) = check.read_wal_and_checkpoint();
    if note.is_none() && !disk.list(TILES).unwrap_or_default().is_empty() {
        let what = "there is no checkpoint, though leaves were integrated: it was taken away, or the log's very \
                    first signing was interrupted, which opening the log completes";
        check.problem(CHECKPOINT, None, None, what);
    }
    let of_policy = || witnessed::log_of(options.policy.as_ref()?, note.as_deref());
    let verifier = check.choose_verifier(given.or_else(of_policy), &wal);
    let signed = check.read_checkpoint(note.as_deref(), verifier.as_ref());
    let size = signed.as_ref().map_or(0, |signed| signed.checkpoint.size);
    check.prepare_seen(verifier.as_ref());
    check.prepare_witnessed(verifier.as_ref(), signed.as_ref(), note.as_deref());

    let total = wal.leaves.last().map_or(size, |leaf| size.max(leaf.index + 1));
    (check.size, check.wal_end) = (size, wal.leaves.last().map_or(0, |leaf| leaf.index + 1));
    check.erasures.under_way = erased_behind(&wal, size);
    check.compare_with_wal(&wal, size);
    check.walk_tree(size, &mut |leaves_done| progress(Progress { leaves_done, leaves_total: total }));
    check.judge_root(signed.as_ref());
    check.upper_tiles(size);
    check.relations(size);
    check.walk_wal(wal, size);
    progress(Progress { leaves_done: total, leaves_total: total });
    check.set_aside();
    check.intents_without_result();
    check.judge_erasures();
    let proven = check.proven_up_to(signed.as_ref());
    check.judge_seen();
    check.judge_witnessed();
    check.report.good_up_to = check.first_damaged.map_or(proven, |first| first.min(proven));
    Ok(check.finish())
}

/// The check, as far as it is.
struct Check<'c> {
    disk: &'c dyn Disk,
    options: &'c Options,
    report: Report,
    /// Over the leaves' own hashes, for every leaf seen so far.
    frontier: Frontier,
    /// Over the hashes that the tiles of level 0 have.
    stored: Frontier,
    /// Leaves whose hash is not the tile's.
    mismatches: Vec<Mismatch>,
    /// For each full tile of level 0: the root over its leaves, and the root over its own hashes.
    roots: Vec<(Hash, Hash)>,
    /// Hashes of leaves that the write-ahead log has too.
    in_wal: HashMap<u64, (Hash, Place)>,
    requests: Requests,
    /// The record each signed leaf names, as the file should have it.
    named: Vec<u8>,
    kept: Kept,
    erasures: Erasures,
    admissions: Admissions,
    /// The leaf that installed the policy, and its files.
    policy: (u64, Option<Digest>),
    /// Leaves that the checkpoint speaks of.
    size: u64,
    /// Behind the last leaf of the write-ahead log.
    wal_end: u64,
    witnessed: witnessed::Candidates,
    /// The roots over the signed leaves, by their own hashes and by those of the tiles of level 0.
    roots_walked: Option<[Hash; 2]>,
    /// The first leaf with a problem of its own.
    first_damaged: Option<u64>,
}

struct Mismatch {
    index: u64,
    entry: (String, u64),
    tile: (String, u64),
}

/// The write-ahead log at one moment.
#[derive(Default)]
struct Wal {
    /// In order, without gaps.
    leaves: Vec<WalLeaf>,
}

struct WalLeaf {
    index: u64,
    place: Place,
    leaf: Vec<u8>,
    body: Vec<u8>,
}

struct Signed {
    checkpoint: Checkpoint,
    /// Whether the signature is right. When it is not, size and root are only looked at.
    valid: bool,
}

/// What was kept elsewhere, and what the walk found at its places.
#[derive(Default)]
struct Kept {
    checkpoints: Vec<Checkpoint>,
    receipts: Vec<Receipt>,
    sizes: BTreeSet<u64>,
    indexes: BTreeSet<u64>,
    roots: HashMap<u64, Hash>,
    hashes: HashMap<u64, Hash>,
    not_found: bool,
}

/// What is known of requests.
#[derive(Default)]
struct Requests {
    /// By index: whether a leaf is an intent, and whether its result was seen.
    states: Vec<RequestState>,
    /// By index of an intent: whose it is, as a number of `persons`.
    persons_of: BTreeMap<u64, u32>,
    /// Each person once, with their number.
    persons: HashMap<String, u32>,
    /// Blocks of requests whose result was not seen yet.
    open: BTreeMap<u64, Vec<(u64, Block)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestState {
    NoIntent,
    Open,
    Closed,
}

/// Where a leaf's body is.
enum BodySource<'b> {
    Packed(&'b mut Packed),
    Frame(&'b [u8], String),
}

/// The pack and the page of one bundle, as far as they were looked at.
struct Packed {
    pack: std::io::Result<Box<dyn DiskFile>>,
    page: std::io::Result<Vec<u8>>,
    /// Where the next payload begins, if nothing is wrong.
    next: u64,
    /// Where the last slot of a body ends.
    slots_end: u64,
    /// Whether a leaf could not be read, so that nobody knows what bodies there are.
    unknown: bool,
}

/// What is known of erasures.
#[derive(Default)]
struct Erasures {
    /// Leaves whose key is destroyed.
    slots: BTreeSet<u64>,
    /// What erasures name, each with the erasure's own index.
    leaves: Vec<(u64, ErasedLeaf)>,
    /// Leaves that erasures behind the checkpoint name: a crash may have left a key half destroyed, which
    /// opening the ledger completes.
    under_way: BTreeSet<u64>,
    /// Persons' keys, as enrolled so far.
    enrolled: BTreeSet<(String, String)>,
}

impl Packed {
    fn open(disk: &dyn Disk, first: u64) -> Self {
        let pack = disk.open(&pack_path(first), Access::Read);
        let page = disk::read(disk, &page_path(first), u64::MAX);
        Packed { pack, page, next: 0, slots_end: 0, unknown: false }
    }
}

/// Leaves that erasures name which are not integrated yet.
fn erased_behind(wal: &Wal, size: u64) -> BTreeSet<u64> {
    let behind = wal.leaves.iter().filter(|leaf| leaf.index >= size);
    let erased = behind.filter_map(|leaf| match Leaf::parse(&leaf.leaf).ok()?.event {
        Event::Erasure(erasure) => Some(erasure.leaves),
        _ => None,
    });
    erased.flatten().map(|leaf| leaf.index).collect()
}

fn slot_in(page: &[u8], index: u64) -> Result<Slot, String> {
    let start = usize::try_from(pack::slot_offset(index)).unwrap_or(usize::MAX);
    let bytes = page.get(start..).and_then(|rest| rest.first_chunk());
    bytes
        .ok_or("the page of keys ends before the body's slot")
        .and_then(|bytes| Slot::decode(bytes).ok_or("the slot is malformed"))
        .map_err(str::to_owned)
}

impl<'c> Check<'c> {
    fn new(disk: &'c dyn Disk, options: &'c Options) -> Self {
        let report = Report {
            verdict: Verdict::Failed,
            problems: Vec::new(),
            problems_total: 0,
            findings: Vec::new(),
            findings_total: 0,
            roll_back: RollBack::NotExcluded,
            witnessed: None,
            checkpoints_witnessed: 0,
            origin: None,
            verifier: None,
            verifier_trusted: false,
            root: None,
            leaves_signed: 0,
            leaves_unsigned: 0,
            good_up_to: 0,
            leaves_by_kind: BTreeMap::new(),
            time_first_unix_ms: None,
            time_last_unix_ms: None,
            tiles: 0,
            bodies: 0,
            bodies_opened: 0,
            bodies_erased: 0,
            commitments: 0,
        };
        Check {
            disk,
            options,
            report,
            frontier: Frontier::new(),
            stored: Frontier::new(),
            mismatches: Vec::new(),
            roots: Vec::new(),
            in_wal: HashMap::new(),
            requests: Requests::default(),
            named: Vec::new(),
            kept: Kept::default(),
            erasures: Erasures::default(),
            admissions: Admissions::default(),
            policy: (0, None),
            size: 0,
            wal_end: 0,
            witnessed: witnessed::Candidates::default(),
            roots_walked: None,
            first_damaged: None,
        }
    }

    /// Something that is wrong, of a leaf where one is named.
    fn problem(&mut self, file: &str, offset: Option<u64>, index: Option<u64>, what: impl Into<String>) {
        self.first_damaged = [self.first_damaged, index].into_iter().flatten().min();
        self.problem_beside(file, offset, index, what);
    }

    /// Something that is wrong beside a leaf, which may be right.
    fn problem_beside(
        &mut self,
        file: &str,
        offset: Option<u64>,
        index: Option<u64>,
        what: impl Into<String>,
    ) {
        self.report.problems_total += 1;
        if self.report.problems.len() < LISTED_MAX {
            let file = (!file.is_empty()).then(|| file.to_owned());
            self.report.problems.push(Problem { file, offset, index, what: what.into() });
        }
    }

    fn finding(&mut self, kind: FindingKind, index: Option<u64>, what: impl Into<String>) {
        self.report.findings_total += 1;
        if self.report.findings.len() < LISTED_MAX {
            self.report.findings.push(Finding { kind, index, what: what.into() });
        }
    }

    /// The write-ahead log first, the checkpoint second: what integration removes from the one in
    /// between, the other covers. A frame that is just being written looks damaged, so the log is
    /// looked at until it stands still.
    fn read_wal_and_checkpoint(&mut self) -> (Wal, Option<Vec<u8>>) {
        let mut before = None;
        for attempt in 1.. {
            let integrated = crate::store::checkpoint_size(self.disk);
            let mut wal = Wal::default();
            let scan = wal::scan(self.disk, integrated, &mut |place, frame| {
                let (leaf, body) = (frame.leaf.to_vec(), frame.body.to_vec());
                // Of what is integrated, the hash is enough.
                let body = if frame.index < integrated { Vec::new() } else { body };
                wal.leaves.push(WalLeaf { index: frame.index, place, leaf, body });
            });
            let problem = match scan {
                Ok(scan) if scan.segments.is_empty() => {
                    Some((wal::DIRECTORY.to_owned(), None, "the write-ahead log has no segment".to_owned()))
                }
                Ok(scan) => scan.tail.map(|tail| {
                    let what = match tail.bytes.len() {
                        0 => "the segment is cut off".to_owned(),
                        bytes => format!("{bytes} bytes behind the last good frame are no frame: a torn or damaged end; opening the ledger sets it aside"),
                    };
                    (wal::path(tail.segment), Some(tail.offset), what)
                }),
                Err(ScanError::Damaged { file, offset, what }) => Some((file, Some(offset), what)),
                Err(error @ ScanError::Io { .. }) => {
                    let what = crate::shared::chain(&error);
                    let ScanError::Io { file, .. } = error else { continue };
                    Some((file, None, what))
                }
            };
            let note = disk::read(self.disk, CHECKPOINT, tlog::note::NOTE_BYTES_MAX as u64).ok();
            let still = before.as_ref() == Some(&(problem.clone(), note.clone()));
            match problem {
                None => return (wal, note),
                Some((file, offset, what)) if still || attempt >= SCANS_MAX => {
                    self.problem(&file, offset, None, what);
                    return (wal, note);
                }
                problem => before = Some((problem, note)),
            }
            std::thread::sleep(self.options.pause);
        }
        (Wal::default(), None)
    }

    fn choose_verifier(&mut self, given: Option<VerifierKey>, wal: &Wal) -> Option<VerifierKey> {
        self.report.verifier_trusted = given.is_some();
        let key = given.or_else(|| self.verifier_of_first_leaf(wal));
        if !self.report.verifier_trusted {
            let what = "the public key was taken from the log itself: whoever can replace the whole log \
                        can pass this check; give the key from elsewhere";
            self.finding(FindingKind::VerifierUntrusted, None, what);
        }
        self.report.verifier = key.as_ref().map(ToString::to_string);
        self.report.origin = key.as_ref().map(|key| key.name().to_owned());
        key
    }

    fn verifier_of_first_leaf(&self, wal: &Wal) -> Option<VerifierKey> {
        let first = wal.leaves.first().filter(|leaf| leaf.index == 0);
        let leaf = match first {
            Some(first) => first.leaf.clone(),
            None => {
                let (_, bundle) = read_tile(self.disk, TileName { level: None, index: 0, width: 1 }).ok()?;
                tlog::entry::prefix(&bundle, 1).ok()?.0.first()?.leaf.to_vec()
            }
        };
        match Leaf::parse(&leaf).ok()?.event {
            Event::Genesis { verifier, .. } => verifier.parse().ok(),
            _ => None,
        }
    }

    fn read_checkpoint(&mut self, note: Option<&[u8]>, verifier: Option<&VerifierKey>) -> Option<Signed> {
        let Some(note) = note else {
            // Before the first integration there is none; then the write-ahead log begins at leaf 0.
            return None;
        };
        let Ok(note) = std::str::from_utf8(note) else {
            self.problem(CHECKPOINT, None, None, "the checkpoint is not text");
            return None;
        };
        let Some(verifier) = verifier else {
            self.problem(CHECKPOINT, None, None, "there is no key to check the signature with");
            return claimed(note).map(|checkpoint| Signed { checkpoint, valid: false });
        };
        match Checkpoint::open(note, verifier) {
            Ok(checkpoint) => {
                self.report.leaves_signed = checkpoint.size;
                Some(Signed { checkpoint, valid: true })
            }
            Err(error) => {
                self.problem(CHECKPOINT, Some(0), None, crate::shared::chain(&error));
                claimed(note).map(|checkpoint| Signed { checkpoint, valid: false })
            }
        }
    }

    fn prepare_seen(&mut self, verifier: Option<&VerifierKey>) {
        for seen in &self.options.seen {
            match seen {
                Seen::Receipt(receipt) => {
                    self.kept.indexes.insert(receipt.index);
                    self.kept.receipts.push(*receipt);
                }
                Seen::Checkpoint(note) => match verifier.map(|key| Checkpoint::open(note, key)) {
                    Some(Ok(checkpoint)) => {
                        self.kept.sizes.insert(checkpoint.size);
                        self.kept.checkpoints.push(checkpoint);
                    }
                    Some(Err(error)) => {
                        let what =
                            format!("a kept checkpoint is not accepted: {}", crate::shared::chain(&error));
                        self.problem("", None, None, what);
                    }
                    None => self.problem("", None, None, "there is no key to check a kept checkpoint with"),
                },
            }
        }
        if self.kept.sizes.contains(&0) {
            self.kept.roots.insert(0, self.frontier.root());
        }
    }

    fn compare_with_wal(&mut self, wal: &Wal, size: u64) {
        for leaf in wal.leaves.iter().filter(|leaf| leaf.index < size) {
            self.in_wal.insert(leaf.index, (leaf_hash(&leaf.leaf), leaf.place));
        }
        if let Some(first) = wal.leaves.first().filter(|leaf| leaf.index > size) {
            let what =
                format!("leaves {size} to {} are neither signed nor in the write-ahead log", first.index - 1);
            self.problem(&wal::path(first.place.segment), Some(0), Some(size), what);
        }
    }

    /// Every signed leaf, with the tile of level 0 that has its hash.
    fn walk_tree(&mut self, size: u64, progress: &mut dyn FnMut(u64)) {
        for number in 0..size.div_ceil(256) {
            let (full, partial) = widths(0, size);
            let width = if number < full { 256 } else { partial };
            self.walk_bundle(number, width);
            progress((number * 256 + u64::from(width)).min(size));
        }
    }

    fn walk_bundle(&mut self, number: u64, width: u16) {
        let count = usize::from(width);
        let (bundle_file, bundle) = self.read_part(TileName { level: None, index: number, width });
        let (tile_file, tile) = self.read_part(TileName { level: Some(0), index: number, width });
        let entries = self.entries(&bundle_file, bundle.as_deref(), count);
        let hashes = tile.as_deref().map(|tile| tile.as_chunks::<32>().0).unwrap_or_default();

        let mut packed = Packed::open(self.disk, number * PACK_LEAVES);
        let (mut ours, mut theirs) = (Frontier::new(), Frontier::new());
        for place in 0..count {
            let index = number * 256 + place as u64;
            let entry = entries.get(place);
            let made = entry.map(|(_, leaf)| leaf_hash(leaf));
            let stored = hashes.get(place).copied();
            if let (Some(made), Some(stored), Some((offset, _))) = (made, stored, entry)
                && made != stored
            {
                let entry = (bundle_file.clone(), *offset as u64);
                self.mismatches.push(Mismatch { index, entry, tile: (tile_file.clone(), place as u64 * 32) });
            }
            // What one of the two has lost, the other stands for: its loss was reported.
            let hash = made.or(stored).unwrap_or_default();
            let stored = stored.or(made).unwrap_or_default();
            ours.push(hash);
            theirs.push(stored);
            self.stored.push(stored);
            match entry {
                Some((offset, leaf)) => {
                    let at = (bundle_file.clone(), *offset as u64);
                    self.leaf(index, leaf, hash, at, BodySource::Packed(&mut packed));
                }
                None => {
                    packed.unknown = true;
                    self.first_damaged = Some(self.first_damaged.map_or(index, |first| first.min(index)));
                    self.requests.states.push(RequestState::NoIntent);
                    self.named.extend(NAMES_NOTHING.to_le_bytes());
                    self.push_hash(hash);
                }
            }
        }
        self.pack_ends(number, width, &packed);
        if width == 256 {
            self.roots.push((ours.root(), theirs.root()));
        }
    }

    /// A tile or bundle of at least that width, cut to it where it is hashes.
    fn read_part(&mut self, name: TileName) -> (String, Option<Vec<u8>>) {
        let (found, mut bytes) = match read_tile(self.disk, name) {
            Ok(read) => read,
            Err(error) => {
                let file = name.to_string();
                // Of entries, each missing leaf counts as damaged itself.
                let first = (name.level.unwrap_or(0) == 0).then_some(name.index * 256);
                self.problem_beside(&file, None, first, format!("it cannot be read: {error}"));
                return (file, None);
            }
        };
        self.report.tiles += 1;
        let file = found.to_string();
        if name.level.is_some() {
            let (length, expected) = (bytes.len(), usize::from(found.width) * 32);
            if length != expected {
                let what = format!("it has {length} bytes instead of {expected}");
                self.problem(&file, Some(length.min(expected) as u64), None, what);
            }
            bytes.truncate(usize::from(name.width) * 32);
        } else if found.width == name.width {
            let parsed = tlog::entry::parse(&bytes, usize::from(name.width));
            if let Err(error @ BundleError::Trailing { offset }) = parsed {
                self.problem(&file, Some(offset as u64), None, error.to_string());
            }
        }
        (file, Some(bytes))
    }

    /// As many of the bundle's first entries as can be read. That there is no bundle was reported.
    fn entries(&mut self, file: &str, bundle: Option<&[u8]>, count: usize) -> Vec<(usize, Vec<u8>)> {
        let Some(bundle) = bundle else { return Vec::new() };
        let error = match tlog::entry::prefix(bundle, count) {
            Ok((entries, _)) => {
                return entries.into_iter().map(|entry| (entry.offset, entry.leaf.to_vec())).collect();
            }
            Err(error) => error,
        };
        if let BundleError::Truncated { offset } = &error {
            self.problem(file, Some(*offset as u64), None, error.to_string());
        }
        let mut good = Vec::new();
        for count in 1..count {
            match tlog::entry::prefix(bundle, count) {
                Ok((entries, _)) => {
                    good.extend(entries.last().map(|entry| (entry.offset, entry.leaf.to_vec())))
                }
                Err(_) => break,
            }
        }
        good
    }

    /// Everything that is checked of one leaf.
    fn leaf(&mut self, index: u64, bytes: &[u8], hash: Hash, at: (String, u64), mut body: BodySource<'_>) {
        self.push_hash(hash);
        if let Some((in_wal, place)) = self.in_wal.remove(&index)
            && in_wal != hash
        {
            let what = format!("its frame holds another leaf than {} at offset {}", at.0, at.1);
            self.problem_beside(&wal::path(place.segment), Some(place.offset), Some(index), what);
        }
        let leaf = match Leaf::parse(bytes) {
            Ok(leaf) => leaf,
            Err(error) => {
                if let BodySource::Packed(packed) = &mut body {
                    packed.unknown = true;
                }
                self.requests.states.push(RequestState::NoIntent);
                self.named.extend(NAMES_NOTHING.to_le_bytes());
                return self.problem(
                    &at.0,
                    Some(at.1),
                    Some(index),
                    format!("the leaf cannot be read: {error}"),
                );
            }
        };
        if leaf.schema != SCHEMA {
            let what = format!("the leaf has schema {}, which is not known here", leaf.schema);
            self.problem(&at.0, Some(at.1), Some(index), what);
        }
        *self.report.leaves_by_kind.entry(leaf.event.kind().to_owned()).or_default() += 1;
        if let Some(last) = self.report.time_last_unix_ms.filter(|last| *last > leaf.time_unix_ms) {
            let what = format!("its time is {} ms before the leaf's before it", last - leaf.time_unix_ms);
            self.finding(FindingKind::ClockWentBack, Some(index), what);
        }
        self.report.time_first_unix_ms.get_or_insert(leaf.time_unix_ms);
        self.report.time_last_unix_ms = Some(leaf.time_unix_ms);
        self.named.extend(leaf.event.record().unwrap_or(NAMES_NOTHING).to_le_bytes());

        let plain = match &leaf.body {
            Some(commitment) => self.body(index, commitment, body),
            None => self.no_body(index, &body),
        };
        let opening = plain.and_then(|plain| serde_json::from_slice::<Opening>(&plain).ok());
        if let Some(opening) = &opening {
            self.commitments(index, opening, &leaf.event);
        }
        self.event(index, leaf.event, opening.as_ref());
    }

    fn push_hash(&mut self, hash: Hash) {
        if self.kept.indexes.contains(&self.frontier.size()) {
            self.kept.hashes.insert(self.frontier.size(), hash);
        }
        self.frontier.push(hash);
        if self.kept.sizes.contains(&self.frontier.size()) {
            self.kept.roots.insert(self.frontier.size(), self.frontier.root());
        }
    }

    /// The body's plain bytes, where it is whole, there is a key, and it was not erased.
    fn body(&mut self, index: u64, commitment: &BodyCommitment, source: BodySource<'_>) -> Option<Vec<u8>> {
        let (file, payload, wrap) = match source {
            BodySource::Packed(packed) => self.packed(index, commitment, packed)?,
            BodySource::Frame(bytes, segment) => match body::split(bytes) {
                Some((payload, wrap)) => (segment, payload.to_vec(), wrap),
                None => {
                    self.problem(&segment, None, Some(index), "the leaf's body is not in its frame");
                    return None;
                }
            },
        };
        self.report.bodies += 1;
        let length = payload.len() as u64;
        if length != commitment.bytes {
            let what = format!("the body has {length} bytes, the leaf commits to {}", commitment.bytes);
            self.problem(&file, Some(length.min(commitment.bytes)), Some(index), what);
            return None;
        }
        if <[u8; 32]>::from(Sha256::digest(&payload)) != commitment.digest.0 {
            self.problem(&file, None, Some(index), "the body is not the one the leaf commits to");
            return None;
        }
        if wrap == Wrap::DESTROYED {
            self.erasures.slots.insert(index);
            self.report.bodies_erased += 1;
            return None;
        }
        match unseal(&payload, &wrap, self.options.keys.as_ref()?, index, &commitment.content) {
            Ok(plain) => {
                self.report.bodies_opened += 1;
                Some(plain)
            }
            Err(_) if self.erasures.under_way.contains(&index) => None,
            Err(error) => {
                self.problem(&file, None, Some(index), error.to_string());
                None
            }
        }
    }

    /// A leaf's payload and key, by its slot.
    fn packed(
        &mut self,
        index: u64,
        commitment: &BodyCommitment,
        packed: &mut Packed,
    ) -> Option<(String, Vec<u8>, Wrap)> {
        let offset = packed.next;
        packed.next += commitment.bytes;
        packed.slots_end = pack::slot_offset(index) + SLOT_BYTES as u64;
        let page = page_path(index);
        let slot = match &packed.page {
            Ok(page) => slot_in(page, index),
            Err(error) => Err(format!("the body's key cannot be read: {error}")),
        };
        let expected = (offset, commitment.bytes);
        let slot = slot.and_then(|slot| match (slot.offset, slot.bytes) {
            found if found == expected => Ok(slot),
            (at, bytes) => Err(format!(
                "the slot says {bytes} bytes at offset {at}, where the leaves before it leave {} at {offset}",
                commitment.bytes
            )),
        });
        let slot = match slot {
            Ok(slot) => slot,
            Err(what) => {
                self.problem(&page, Some(pack::slot_offset(index)), Some(index), what);
                return None;
            }
        };
        let file = pack_path(index);
        let payload = match &packed.pack {
            Ok(pack) => pack::read_payload(&**pack, &slot).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match payload {
            Ok(payload) => Some((file, payload, slot.wrap)),
            Err(error) => {
                let what = format!("the body cannot be read: {error}");
                self.problem(&file, Some(offset), Some(index), what);
                None
            }
        }
    }

    /// The slot of a leaf without a body holds nothing.
    fn no_body(&mut self, index: u64, source: &BodySource<'_>) -> Option<Vec<u8>> {
        let (what, file, offset) = match source {
            BodySource::Packed(Packed { page: Ok(page), .. }) => {
                let start = usize::try_from(pack::slot_offset(index)).unwrap_or(usize::MAX);
                let slot = page.get(start..).unwrap_or_default();
                if slot.iter().take(SLOT_BYTES).all(|byte| *byte == 0) {
                    return None;
                }
                ("the slot of a leaf without a body is not empty", page_path(index), Some(start as u64))
            }
            BodySource::Frame(bytes, segment) if !bytes.is_empty() => {
                ("the frame holds a body that the leaf does not speak of", segment.clone(), None)
            }
            _ => return None,
        };
        self.problem(&file, offset, Some(index), what);
        None
    }

    /// Behind the last body of a bundle's leaves there is nothing, unless more leaves are being integrated.
    fn pack_ends(&mut self, number: u64, width: u16, packed: &Packed) {
        if packed.unknown {
            return;
        }
        let pack_bytes = packed.pack.as_ref().ok().and_then(|pack| pack.length().ok()).unwrap_or(0);
        let page_bytes = packed.page.as_ref().map_or(0, |page| page.len() as u64);
        let first = number * PACK_LEAVES;
        let excess =
            [(pack_path(first), packed.next, pack_bytes), (page_path(first), packed.slots_end, page_bytes)];
        for (file, end, bytes) in excess {
            if bytes > end && (u64::from(width) == PACK_LEAVES || !self.grows()) {
                let what = format!("{} stray bytes follow the last body", bytes - end);
                self.problem(&file, Some(end), None, what);
            }
        }
    }

    /// Whether leaves behind the checkpoint are being integrated, or were when a crash came.
    fn grows(&self) -> bool {
        let size = self.size;
        let moved = || {
            std::thread::sleep(self.options.pause);
            crate::store::checkpoint_size(self.disk) != size
        };
        self.wal_end > size || (0..SCANS_MAX).any(|_| moved())
    }

    /// Approved by whom they must be, and done; nothing is erased without.
    fn judge_erasures(&mut self) {
        let Erasures { slots, leaves, .. } = std::mem::take(&mut self.erasures);
        let mut named = BTreeSet::new();
        for (erasure, erased) in leaves {
            named.insert(erased.index);
            let hash = self.hash_of(erased.index);
            if hash.is_some_and(|hash| hash != erased.hash.0) || erased.index >= erasure {
                let what = format!("it erases leaf {}, which is another than the one approved", erased.index);
                self.problem("", None, Some(erasure), what);
            } else if erasure < self.size && !slots.contains(&erased.index) {
                let what = format!("leaf {erasure} erases its body, whose key is still there");
                self.problem(&page_path(erased.index), None, Some(erased.index), what);
            } else {
                let what = format!("its body was erased; leaf {erasure} says by whom and why");
                self.finding(FindingKind::Erased, Some(erased.index), what);
            }
        }
        for index in slots.difference(&named) {
            let offset = Some(pack::slot_offset(*index));
            let what = "the body's key is destroyed, and no leaf tells of an erasure";
            self.problem(&page_path(*index), offset, Some(*index), what);
        }
    }

    /// The hash of a signed leaf, as its tile has it.
    fn hash_of(&self, index: u64) -> Option<Hash> {
        let (bundle, place) = crate::store::bundle_of(index, self.size);
        let (_, tile) = read_tile(self.disk, TileName { level: Some(0), ..bundle }).ok()?;
        tile.as_chunks::<32>().0.get(place).copied().filter(|_| index < self.size)
    }

    fn erasure(&mut self, index: u64, erasure: &Erasure) {
        let origin = self.report.origin.clone().unwrap_or_default();
        if let Err(error) = erasure.verify(&origin) {
            let what = format!("the erasure is not approved as it must be: {error}");
            self.problem("", None, Some(index), what);
        }
        self.enrolled(index, "erasure", &erasure.approvals);
        self.erasures.leaves.extend(erasure.leaves.iter().map(|erased| (index, *erased)));
    }

    fn enrolled(&mut self, index: u64, what: &str, approvals: &[Approval]) {
        for Approval { person, key, .. } in approvals {
            if !self.erasures.enrolled.contains(&(person.clone(), key.to_string())) {
                let what = format!("the {what} is approved by a key that was not enrolled to {person}");
                self.problem("", None, Some(index), what);
            }
        }
    }

    /// Another policy is approved by two persons, and follows the one before.
    fn policy_change(&mut self, index: u64, change: &PolicyChange) {
        let origin = self.report.origin.clone().unwrap_or_default();
        if let Err(error) = change.verify(&origin) {
            let what = format!("the policy is not approved as it must be: {error}");
            self.problem("", None, Some(index), what);
        }
        self.enrolled(index, "policy", &change.approvals);
        if (change.after, change.before) != self.policy {
            let what = format!("the policy does not follow the one that leaf {} installed", self.policy.0);
            self.problem("", None, Some(index), what);
        }
        self.policy = (index, change.files);
    }

    /// A step that the steps before do not allow should not have been taken.
    fn admission(&mut self, index: u64, step: &Admission) {
        let origin = self.report.origin.clone().unwrap_or_default();
        if let Err(error) = self.admissions.take(index, step, &origin) {
            let what = format!("the model's step `{}` could not be: {error}", step.step.name());
            self.problem("", None, Some(index), what);
        }
        // A promotion carries signatures that have leaves of their own; their keys may be revoked meanwhile.
        if step.step != Step::Promoted {
            self.enrolled(index, &format!("model's step `{}`", step.step.name()), &step.approvals);
        }
    }

    /// An answer is by what is deployed.
    fn admitted(&mut self, index: u64, alias: &str, lock: Digest) {
        if let Some(what) = self.admissions.objection(alias, lock) {
            self.finding(FindingKind::NotDeployed, Some(index), what);
        }
    }

    fn commitments(&mut self, index: u64, opening: &Opening, event: &Event) {
        let opened = opening.check(event);
        self.report.commitments += opened.held.len() as u64;
        for name in opened.broken {
            let what = format!("the leaf's commitment to the {name} is not to the text in its body");
            self.problem(&pack_path(index), None, Some(index), what);
        }
        for name in opened.closed {
            let what = format!("the body has no salt or no text for the leaf's commitment to the {name}");
            self.finding(FindingKind::CommitmentClosed, Some(index), what);
        }
    }

    /// What the events say of each other.
    fn event(&mut self, index: u64, event: Event, opening: Option<&Opening>) {
        let is_intent = matches!(event, Event::Intent(_));
        self.requests.states.push(if is_intent { RequestState::Open } else { RequestState::NoIntent });
        if let Some(contradiction) = event.contradiction() {
            let what = format!("the {} contradicts itself: {contradiction}", event.kind());
            self.finding(FindingKind::Contradiction, Some(index), what);
        }
        match event {
            Event::Intent(intent) => {
                if let Some(lock) = intent.lock {
                    self.admitted(index, &intent.deployment, lock);
                }
                self.requests.open.insert(index, Vec::new());
                let next = u32::try_from(self.requests.persons.len()).unwrap_or(u32::MAX);
                let person = *self.requests.persons.entry(intent.identity).or_insert(next);
                self.requests.persons_of.insert(index, person);
            }
            Event::Decision(decision) => self.decision(index, &decision),
            Event::Check(check) if self.state_of(check.record, index) == RequestState::NoIntent => {
                self.names_no_open_request(index, "check", check.record, RequestState::NoIntent);
            }
            Event::Block(block) => match self.state_of(block.record, index) {
                RequestState::Open => self.block(index, block),
                state => self.names_no_open_request(index, "block", block.record, state),
            },
            Event::Result(result) => match self.state_of(result.record, index) {
                RequestState::Open => self.close_request(result.record, &result.output, opening),
                state => self.names_no_open_request(index, "result", result.record, state),
            },
            Event::Replay { record, outcome, detail } => {
                if self.state_of(record, index) == RequestState::NoIntent {
                    self.names_no_open_request(index, "replay", record, RequestState::NoIntent);
                }
                if outcome != ReplayOutcome::Same {
                    let what = format!("the replay of record {record} did not give the same bytes: {detail}");
                    self.finding(FindingKind::ReplayDiffers, Some(index), what);
                }
            }
            Event::Recovered { file, offset, bytes, set_aside, .. } => {
                let what = format!(
                    "{bytes} bytes of {file} from offset {offset} on were damaged and were set aside as {set_aside}"
                );
                self.finding(FindingKind::Recovered, Some(index), what);
            }
            Event::Witness { size, root, .. } => self.witness_leaf(index, size, &root.0),
            Event::Posture { failed, .. } if failed > 0 => {
                let what = format!("{failed} probes of the jails did not come out as they must");
                self.finding(FindingKind::PostureFailed, Some(index), what);
            }
            Event::Erasure(erasure) => self.erasure(index, &erasure),
            Event::Model(step) => self.admission(index, &step),
            Event::Policy(change) => self.policy_change(index, &change),
            Event::Administration { action, subject, detail, .. } if action == ENROL_KEY => {
                self.erasures.enrolled.insert((subject, detail));
            }
            Event::Administration { action, subject, detail, .. } if action == REVOKE_KEY => {
                self.erasures.enrolled.remove(&(subject, detail));
            }
            Event::Genesis { .. } if index > 0 => {
                self.problem("", None, Some(index), "a first leaf is in the middle of the log");
            }
            _ => {}
        }
    }

    /// A person decides of an answer of their own, when something of it was shown.
    fn decision(&mut self, index: u64, decision: &Decision) {
        let record = decision.record;
        let shown = match self.state_of(record, index) {
            RequestState::NoIntent => {
                return self.names_no_open_request(index, "decision", record, RequestState::NoIntent);
            }
            RequestState::Open => self.requests.open.get(&record).is_some_and(|blocks| !blocks.is_empty()),
            RequestState::Closed => true,
        };
        if !shown {
            let what = format!("a decision names record {record}, of which nothing was shown before it");
            self.finding(FindingKind::DecisionWithoutAnswer, Some(index), what);
        }
        let person = self.requests.persons.get(&decision.identity);
        if person != self.requests.persons_of.get(&record) {
            let what = format!("a decision of record {record} is not by the person that the record is of");
            self.finding(FindingKind::Contradiction, Some(index), what);
        }
    }

    fn state_of(&self, record: u64, index: u64) -> RequestState {
        let known = usize::try_from(record).ok().filter(|_| record < index);
        known.and_then(|record| self.requests.states.get(record)).copied().unwrap_or(RequestState::NoIntent)
    }

    fn names_no_open_request(&mut self, index: u64, what: &str, record: u64, state: RequestState) {
        if state == RequestState::Closed {
            let what = format!("a {what} of record {record} comes after its result");
            self.finding(FindingKind::AfterResult, Some(index), what);
        } else {
            let what = format!("a {what} names record {record}, which is no request before it");
            self.finding(FindingKind::MissingIntent, Some(index), what);
        }
    }

    fn block(&mut self, index: u64, block: Block) {
        let blocks = self.requests.open.entry(block.record).or_default();
        let expected = blocks.last().map_or(0, |(_, last)| last.number + 1);
        let (number, record) = (block.number, block.record);
        blocks.push((index, block));
        if number != expected {
            let what = format!("block {number} of record {record} comes where block {expected} should");
            self.finding(FindingKind::BlockGap, Some(index), what);
        }
    }

    /// A request's blocks commit to beginnings of the text that its result's body opens.
    fn close_request(&mut self, record: u64, output: &Commitment, opening: Option<&Opening>) {
        if let Some(state) = usize::try_from(record).ok().and_then(|at| self.requests.states.get_mut(at)) {
            *state = RequestState::Closed;
        }
        let blocks = self.requests.open.remove(&record).unwrap_or_default();
        let Some(opening) = opening.filter(|opening| opening.output() == Some(*output)) else { return };
        for (index, block) in blocks {
            if opening.output_prefix(block.output_bytes) == Some(block.output) {
                self.report.commitments += 1;
            } else {
                let number = block.number;
                let what =
                    format!("block {number} of record {record} does not commit to a beginning of the answer");
                self.problem("", None, Some(index), what);
            }
        }
    }

    /// Says which of an entry and its hash in the tile is wrong: the one that does not lead to the root.
    fn judge_root(&mut self, signed: Option<&Signed>) {
        let Some(signed) = signed else { return };
        let (ours, theirs, root) = (self.frontier.root(), self.stored.root(), signed.checkpoint.root);
        self.report.root = Some(Digest(ours));
        self.roots_walked = Some([ours, theirs]);
        for mismatch in std::mem::take(&mut self.mismatches) {
            let Mismatch { index, entry, tile } = mismatch;
            if ours != root {
                let what =
                    format!("the leaf does not have the hash that {} has at offset {}", tile.0, tile.1);
                self.problem(&entry.0, Some(entry.1), Some(index), what);
            }
            if theirs != root {
                let what = format!("the hash is not that of the leaf in {} at offset {}", entry.0, entry.1);
                self.problem_beside(&tile.0, Some(tile.1), Some(index), what);
            }
        }
        if ours != root && theirs != root {
            let found = Digest(ours);
            let what = format!("the leaves have the root {found}, the checkpoint says {}", Digest(root));
            self.problem(CHECKPOINT, None, None, what);
        } else if !signed.valid {
            let what =
                "the leaves have the root that the checkpoint names: the note was changed, not the leaves";
            self.problem(CHECKPOINT, None, None, what);
        }
    }

    /// Each hash above level 0 is the root over the tile below it.
    fn upper_tiles(&mut self, size: u64) {
        let mut below: Vec<(Hash, Hash)> = std::mem::take(&mut self.roots);
        for level in levels(size).skip(1) {
            let (full, partial) = widths(level, size);
            let mut roots = Vec::new();
            for number in 0..full + u64::from(partial > 0) {
                let width = if number < full { 256 } else { partial };
                let (file, bytes) = self.read_part(TileName { level: Some(level), index: number, width });
                let hashes = bytes.unwrap_or_default().as_chunks::<32>().0.to_vec();
                for (place, hash) in (0u64..).zip(&hashes) {
                    let made = usize::try_from(number * 256 + place).ok().and_then(|at| below.get(at));
                    if made.is_none_or(|(ours, theirs)| hash != ours && hash != theirs) {
                        let below =
                            TileName { level: Some(level - 1), index: number * 256 + place, width: 256 };
                        self.problem(
                            &file,
                            Some(place * 32),
                            None,
                            format!("the hash is not that of {below}"),
                        );
                    }
                }
                if let Ok(hashes) = <&[Hash; 256]>::try_from(hashes.as_slice()) {
                    let root = tlog::tile::full_tile_root(hashes);
                    roots.push((root, root));
                } else {
                    roots.push(([0; 32], [0; 32]));
                }
            }
            below = roots;
        }
    }

    fn relations(&mut self, size: u64) {
        let named = std::mem::take(&mut self.named);
        if size == 0 {
            return;
        }
        match disk::read(self.disk, RELATIONS, u64::MAX) {
            Ok(bytes) => {
                let differs = named.iter().zip(&bytes).position(|(ours, theirs)| ours != theirs);
                let at = differs.or((bytes.len() < named.len()).then_some(bytes.len()));
                if let Some(at) = at {
                    let at = at as u64 / 8 * 8;
                    let what = "it does not name the record that the leaf names; it may be removed, and is made again when the ledger is opened";
                    self.problem_beside(RELATIONS, Some(at), Some(at / 8), what);
                }
            }
            Err(error) => self.problem(RELATIONS, None, None, format!("it cannot be read: {error}")),
        }
    }

    /// Leaves behind the checkpoint.
    fn walk_wal(&mut self, wal: Wal, size: u64) {
        for leaf in wal.leaves.into_iter().filter(|leaf| leaf.index >= size) {
            // After a gap, which was reported, indexes would name other leaves.
            if leaf.index != self.frontier.size() {
                break;
            }
            self.report.leaves_unsigned += 1;
            let file = wal::path(leaf.place.segment);
            let body = BodySource::Frame(&leaf.body, file.clone());
            self.leaf(leaf.index, &leaf.leaf, leaf_hash(&leaf.leaf), (file, leaf.place.offset), body);
        }
    }

    fn set_aside(&mut self) {
        for name in self.disk.list(SET_ASIDE).unwrap_or_default() {
            if name.ends_with(crate::store::UNRECORDED) {
                let what = format!("{SET_ASIDE}/{name} was set aside, and no leaf tells of it yet");
                self.finding(FindingKind::Recovered, None, what);
            }
        }
    }

    fn intents_without_result(&mut self) {
        for (index, blocks) in std::mem::take(&mut self.requests.open) {
            let what = format!(
                "the request has no result after {} blocks: it runs, or a crash ended it",
                blocks.len()
            );
            self.finding(FindingKind::IntentWithoutResult, Some(index), what);
        }
    }

    fn judge_seen(&mut self) {
        let total = self.frontier.size();
        let mut excluded = None;
        for receipt in std::mem::take(&mut self.kept.receipts) {
            match self.kept.hashes.get(&receipt.index) {
                Some(hash) if *hash == receipt.leaf_hash => excluded = excluded.max(Some(receipt.index + 1)),
                Some(_) => {
                    let what = "the leaf is not the one a receipt was given for: the log was rewritten";
                    self.not_seen(Some(receipt.index), what.to_owned());
                }
                None => {
                    let what = format!(
                        "a receipt was given for this leaf, but the log has {total} leaves: it was rolled back"
                    );
                    self.not_seen(Some(receipt.index), what);
                }
            }
        }
        for checkpoint in std::mem::take(&mut self.kept.checkpoints) {
            let size = checkpoint.size;
            match self.kept.roots.get(&size) {
                Some(root) if *root == checkpoint.root => excluded = excluded.max(Some(size)),
                Some(_) => {
                    let what = format!(
                        "the first {size} leaves are not those of a kept checkpoint: the log was rewritten"
                    );
                    self.not_seen(None, what);
                }
                None => {
                    let what = format!(
                        "a kept checkpoint has {size} leaves, the log has {total}: it was rolled back"
                    );
                    self.not_seen(None, what);
                }
            }
        }
        self.report.roll_back = match excluded {
            _ if self.kept.not_found => RollBack::Found,
            Some(leaves) => RollBack::ExcludedUpTo(leaves),
            None => RollBack::NotExcluded,
        };
    }

    fn not_seen(&mut self, index: Option<u64>, what: String) {
        self.kept.not_found = true;
        self.problem("", None, index, what);
    }

    fn finish(mut self) -> Report {
        if self.frontier.size() == 0 {
            self.problem("", None, None, "there is no leaf");
        }
        let passed = self.report.problems_total == 0;
        self.report.verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        self.report
    }
}
