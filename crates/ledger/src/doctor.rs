//! What is wrong with a ledger that nobody has open, and mending what holds nothing that was acknowledged:
//! a torn end of the write-ahead log (which opening sets aside), what crashes leave behind, and what is made
//! again from the leaves. Any other damage is named, and then nothing is touched: a backup is the cure.

use std::io;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tlog::tile::{levels, widths};
use tlog::{TileName, VerifierKey};

use crate::disk::{Access, Disk, read};
use crate::index;
use crate::notary::Notary;
use crate::open::{Examined, OpenError, examine};
use crate::store::{BUNDLE_BYTES_MAX, CHECKPOINT, RELATIONS, SET_ASIDE, UNRECORDED};
use crate::verify::{Options, Problem, VerifyError, verify};
use crate::wal;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// What can be mended, and how.
    pub ailments: Vec<Ailment>,
    /// What cannot. At most [`LISTED_MAX`](crate::verify::LISTED_MAX).
    pub damage: Vec<Problem>,
    /// All of that.
    pub damage_total: u64,
    /// Leaves from the first on that are whole and proven, as in [`Report`](crate::verify::Report).
    pub good_up_to: u64,
    /// Leaves that the checkpoint signs.
    pub leaves_signed: u64,
    /// Leaves of the write-ahead log that opening integrates.
    pub leaves_waiting: u64,
    /// Segments that were prepared and never used, as every run leaves: mending removes them.
    pub spares: u64,
}

/// Something that is mended without touching what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ailment {
    /// Of which kind.
    pub kind: AilmentKind,
    /// The file.
    pub file: String,
    /// What is the matter, and what mends it.
    pub what: String,
}

/// Kinds of ailments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AilmentKind {
    /// The end of the write-ahead log is torn: opening sets it aside, and a leaf tells of it.
    TornTail,
    /// A tail was set aside and no leaf tells of it yet: opening writes one.
    SetAsideUnrecorded,
    /// There is no leaf, and the notary signed none: opening begins the log.
    NotBegun,
    /// The very first signing was interrupted: opening completes it.
    FirstSigning,
    /// A partial tile in whose place there is a wider one: it is removed.
    SupersededTile,
    /// The relations are missing or wrong: they are made again from the leaves.
    Relations,
    /// The index is missing or damaged: it is made again from the leaves.
    Index,
}

/// Why nothing was mended, or not all.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// There is damage that cannot be mended.
    #[error("there is damage that only a backup mends: nothing was touched")]
    Damaged,
    /// A file cannot be removed.
    #[error("{file} cannot be removed")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a tail that was set aside is not destroyed.
#[derive(Debug, thiserror::Error)]
pub enum SetAsideError {
    /// No such file, or one that no leaf tells of yet.
    #[error("there is no {SET_ASIDE}/{0} that a leaf tells of: see {SET_ASIDE}/ in the ledger's directory")]
    NotFound(String),
    /// It cannot be read or destroyed.
    #[error("{file} cannot be {intent}")]
    Io {
        /// The file.
        file: String,
        /// As `read`.
        intent: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Looks at all of a ledger and changes nothing. `options` need the log's key. Nobody may have it open.
pub fn diagnose(
    disk: &dyn Disk,
    options: &Options,
    verifier: &VerifierKey,
    notary: &mut dyn Notary,
) -> Result<Diagnosis, VerifyError> {
    let report = verify(disk, options, &mut |_| {})?;
    let mut diagnosis = Diagnosis {
        ailments: Vec::new(),
        damage: Vec::new(),
        damage_total: report.problems_total,
        good_up_to: report.good_up_to,
        leaves_signed: report.leaves_signed,
        leaves_waiting: 0,
        spares: disk
            .list(wal::DIRECTORY)
            .map_or(0, |names| names.iter().filter(|name| !name.ends_with(".wal")).count() as u64),
    };
    let examined = examine(disk, verifier, notary);
    if let Ok(examined) = &examined {
        diagnosis.leaves_waiting = examined.leaves_waiting;
    }
    for problem in report.problems {
        match ailment_of(&problem, examined.as_ref().ok()) {
            Some(ailment) => {
                diagnosis.damage_total -= 1;
                diagnosis.ailments.push(ailment);
            }
            None => diagnosis.damage.push(problem),
        }
    }
    if let Err(error) = examined {
        let (file, offset) = match &error {
            OpenError::Damaged { file, offset, .. } => (Some(file.clone()), Some(*offset)),
            _ => (None, None),
        };
        // Verification may have named the same place; what the notary says it cannot know.
        let named = |problem: &Problem| file.is_some() && problem.file == file && problem.offset == offset;
        if !diagnosis.damage.iter().any(named) {
            let what = format!("the ledger does not open: {}", crate::shared::chain(&error));
            diagnosis.damage.push(Problem { file, offset, index: None, what });
            diagnosis.damage_total += 1;
        }
    }
    diagnosis.leftovers(disk);
    Ok(diagnosis)
}

/// Whether opening mends a problem, or making a file again.
fn ailment_of(problem: &Problem, examined: Option<&Examined>) -> Option<Ailment> {
    let has_begun = |examined: &Examined| examined.leaves_integrated + examined.leaves_waiting > 0;
    if examined.is_some_and(|examined| !has_begun(examined)) && problem.index.is_none()
        // Where tiles lie and no checkpoint does, something was there.
        && problem.file.as_deref() != Some(CHECKPOINT)
    {
        let file = problem.file.clone().unwrap_or_else(|| wal::DIRECTORY.to_owned());
        let what = format!("{}; nothing was ever signed, and opening begins the log", problem.what);
        return Some(Ailment { kind: AilmentKind::NotBegun, file, what });
    }
    let file = problem.file.clone()?;
    let is_tail = |(segment, offset): (u64, u64)| {
        file == wal::path(segment) && problem.offset == Some(offset) && problem.index.is_none()
    };
    let (kind, how) = if file == RELATIONS {
        (AilmentKind::Relations, "they are made again from the leaves")
    } else if examined?.tail.is_some_and(is_tail) {
        (AilmentKind::TornTail, "a leaf tells of it then, and nothing of it is lost")
    } else if file == CHECKPOINT
        && examined.is_some_and(|it| it.leaves_integrated == 0 && it.leaves_waiting > 0)
    {
        (AilmentKind::FirstSigning, "the leaves are all in the write-ahead log")
    } else {
        return None;
    };
    Some(Ailment { kind, file, what: format!("{}; {how}", problem.what) })
}

impl Diagnosis {
    fn leftovers(&mut self, disk: &dyn Disk) {
        let mut found = |kind, file: String, what: &str| {
            self.ailments.push(Ailment { kind, file, what: what.to_owned() });
        };
        for name in disk.list(SET_ASIDE).unwrap_or_default() {
            if name.ends_with(UNRECORDED) {
                let what = "no leaf tells of it yet; opening writes one";
                found(AilmentKind::SetAsideUnrecorded, format!("{SET_ASIDE}/{name}"), what);
            }
        }
        for tile in superseded(disk, self.leaves_signed) {
            let what = "a wider tile has taken its place; it is removed";
            found(AilmentKind::SupersededTile, tile.to_string(), what);
        }
        if let Some(what) = disk.directory().and_then(index::ailment) {
            let what = format!("{what}; it is made again from the leaves");
            found(AilmentKind::Index, index::FILE.to_owned(), &what);
        }
    }

    /// Mends what opening does not: removes leftovers, and what is made again. To be called where there is no
    /// damage; then the ledger is opened, which does the rest.
    pub fn mend(&self, disk: &dyn Disk) -> Result<(), MendError> {
        if self.damage_total > 0 {
            return Err(MendError::Damaged);
        }
        if self.spares > 0 {
            let removed = wal::remove_spares(disk);
            removed.map_err(|source| MendError::Io { file: wal::DIRECTORY.to_owned(), source })?;
        }
        for Ailment { kind, file, .. } in &self.ailments {
            let removed = match kind {
                AilmentKind::Relations | AilmentKind::SupersededTile => disk.remove(file),
                AilmentKind::Index => disk.directory().map_or(Ok(()), index::remove),
                // Opening does these.
                AilmentKind::TornTail
                | AilmentKind::SetAsideUnrecorded
                | AilmentKind::NotBegun
                | AilmentKind::FirstSigning => Ok(()),
            };
            match removed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(|source| MendError::Io { file: file.clone(), source })?,
            }
            if *kind == AilmentKind::SupersededTile {
                // The last one's directory goes too; one that holds others stays.
                let _ = disk.remove(crate::disk::parent(file));
            }
        }
        Ok(())
    }
}

/// Partial tiles and bundles narrower than those that the checkpoint speaks of.
pub(crate) fn superseded(disk: &dyn Disk, size: u64) -> Vec<TileName> {
    let mut found = Vec::new();
    for level in levels(size).map(Some).chain([None]) {
        let (full, partial) = widths(level.unwrap_or(0), size);
        for index in 0..full + u64::from(partial > 0) {
            let width = if index < full { 256 } else { partial };
            let whole = TileName { level, index, width: 256 };
            let names = disk.list(&format!("{whole}.p")).unwrap_or_default();
            let narrower = names.iter().filter_map(|name| name.parse().ok()).filter(|found| *found < width);
            let narrower: Vec<TileName> = narrower.map(|width| TileName { level, index, width }).collect();
            // Only where the wider one is there.
            if !narrower.is_empty()
                && disk.open(&TileName { level, index, width }.to_string(), Access::Read).is_ok()
            {
                found.extend(narrower);
            }
        }
    }
    found
}

/// The length of a tail that was set aside, and its digest, as the leaf that tells of it has them.
pub fn set_aside(disk: &dyn Disk, name: &str) -> Result<(u64, protocol::Digest), SetAsideError> {
    let names = disk.list(SET_ASIDE).unwrap_or_default();
    if name.ends_with(UNRECORDED) || !names.iter().any(|known| known == name) {
        return Err(SetAsideError::NotFound(name.to_owned()));
    }
    let file = format!("{SET_ASIDE}/{name}");
    let bytes = read(disk, &file, BUNDLE_BYTES_MAX.max(u64::from(u32::MAX)));
    let bytes = bytes.map_err(|source| SetAsideError::Io { file, intent: "read", source })?;
    Ok((bytes.len() as u64, protocol::Digest(Sha256::digest(&bytes).into())))
}

/// Writes zeros over a tail that was set aside, and removes it. The leaf that says so must be in the log.
pub fn destroy_set_aside(disk: &dyn Disk, name: &str) -> Result<(), SetAsideError> {
    let (length, _) = set_aside(disk, name)?;
    let file = format!("{SET_ASIDE}/{name}");
    let destroyed = (|| {
        let open = disk.open(&file, Access::Write)?;
        open.write_at(0, &vec![0; usize::try_from(length).map_err(io::Error::other)?])?;
        open.sync()?;
        disk.remove(&file)?;
        disk.sync_dir(SET_ASIDE)
    })();
    destroyed.map_err(|source| SetAsideError::Io { file, intent: "destroyed", source })
}
