//! Where integrated leaves lie: C2SP tiles and entry bundles, and which leaf names which.

use std::io;

use tlog::tile::widths;
use tlog::{Checkpoint, TileName};

use crate::disk::{Access, Disk, read};

/// The signed checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Damaged tails of the write-ahead log.
pub(crate) const SET_ASIDE: &str = "set-aside";

/// What a damaged tail's name ends with until a leaf tells of it.
pub(crate) const UNRECORDED: &str = ".unrecorded";

/// Checkpoints that came back from witnesses, named by their size.
pub(crate) const WITNESSED: &str = "witnessed";

/// Checkpoints that went out to witnesses, named by their size.
pub(crate) const EXPORTED: &str = "exported";

/// 8 bytes a leaf, little-endian: the record that the leaf names, or [`NAMES_NOTHING`]. Made from the
/// leaves, and made again when it is missing.
pub(crate) const RELATIONS: &str = "relations";
pub(crate) const NAMES_NOTHING: u64 = u64::MAX;

/// 256 entries of 65,535 bytes and their lengths.
pub(crate) const BUNDLE_BYTES_MAX: u64 = 256 * (2 + 65_535);
pub(crate) const TILE_BYTES_MAX: u64 = 256 * 32;

/// The path of a checkpoint in a directory of such.
pub(crate) fn sized_path(directory: &str, size: u64) -> String {
    format!("{directory}/{size:020}")
}

/// The entry bundle that holds a leaf of a tree of `size` leaves, and the leaf's place in it.
pub(crate) fn bundle_of(index: u64, size: u64) -> (TileName, usize) {
    let (full, partial) = widths(0, size);
    let width = if index / 256 < full { 256 } else { partial };
    (TileName { level: None, index: index / 256, width }, usize::try_from(index % 256).unwrap_or(0))
}

/// What a note claims, signed or not.
pub(crate) fn claimed(note: &str) -> Option<Checkpoint> {
    Checkpoint::parse(note.split_inclusive('\n').take(3).collect::<String>().as_str()).ok()
}

/// The size that the checkpoint claims; 0 without one.
pub(crate) fn checkpoint_size(disk: &dyn Disk) -> u64 {
    let note = read(disk, CHECKPOINT, tlog::note::NOTE_BYTES_MAX as u64).ok();
    let note = note.and_then(|note| String::from_utf8(note).ok());
    note.and_then(|note| claimed(&note)).map_or(0, |checkpoint| checkpoint.size)
}

/// A tile or bundle, or a wider one that begins with it: a partial one is removed once a wider one
/// has taken its place.
pub(crate) fn read_tile(disk: &dyn Disk, name: TileName) -> io::Result<(TileName, Vec<u8>)> {
    let bytes_max = if name.level.is_some() { TILE_BYTES_MAX } else { BUNDLE_BYTES_MAX };
    let attempt = |name: TileName| Ok((name, read(disk, &name.to_string(), bytes_max)?));
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let first = match attempt(name) {
        Err(error) if missing(&error) && name.width < 256 => error,
        done => return done,
    };
    let directory = format!("{}.p", TileName { width: 256, ..name });
    let names = disk.list(&directory).unwrap_or_default();
    let mut wider: Vec<u16> = names.iter().filter_map(|width| width.parse().ok()).collect();
    wider.retain(|width| *width > name.width && *width < 256);
    wider.sort_unstable();
    for width in wider.into_iter().chain([256]) {
        match attempt(TileName { width, ..name }) {
            Err(error) if missing(&error) => {}
            done => return done,
        }
    }
    Err(first)
}

/// The leaves before `to` that name one of some records, which are in order: each with the record that it names. It reads what is
/// behind the first record, once.
pub(crate) fn related(disk: &dyn Disk, records: &[u64], to: u64) -> io::Result<Vec<(u64, u64)>> {
    /// Leaves looked at in one read.
    const CHUNK: u64 = 32 << 10;
    let mut found = Vec::new();
    let (Some(first), Some(last)) = (records.first().copied(), records.last().copied()) else {
        return Ok(found);
    };
    if first + 1 >= to {
        return Ok(found);
    }
    let file = disk.open(RELATIONS, Access::Read)?;
    let mut index = first + 1;
    while index < to {
        let count = (to - index).min(CHUNK);
        let mut bytes = vec![0; usize::try_from(count * 8).unwrap_or(0)];
        file.read_at(index * 8, &mut bytes)?;
        for named in bytes.as_chunks::<8>().0 {
            let named = u64::from_le_bytes(*named);
            if (first..=last).contains(&named) && records.binary_search(&named).is_ok() {
                found.push((named, index));
            }
            index += 1;
        }
    }
    Ok(found)
}
