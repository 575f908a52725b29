//! Tiles: the names of their files, and the right edge that a growing tree keeps in memory.

use std::fmt;
use std::str::FromStr;

use crate::tree::{Frontier, Hash, subtree_root};

/// Hashes, or entries, of a full tile.
pub const TILE_WIDTH: u64 = 256;

/// The height of a tile: each of its hashes covers `256^level` leaves.
pub const TILE_HEIGHT: u32 = 8;

/// Levels a tree of any `u64` size can have.
const LEVELS_MAX: u32 = 8;

/// The name of a tile of hashes or of an entry bundle. Shown and parsed as its path:
/// `tile/<level>/<index>` or `tile/entries/<index>`, followed by `.p/<width>` where it is partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileName {
    /// The level of hashes; `None` for the entries themselves.
    pub level: Option<u8>,
    /// Number of the tile on its level.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256.
    pub width: u16,
}

/// Why a text is not a tile's path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not the path of a tile")]
pub struct TileNameError(String);

/// A number as tile paths spell it: groups of three digits, all but the last marked `x`, as
/// `x001/x234/067`.
pub fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Full tiles, and the width of the partial one behind them (0 for none), that a tree of `size` leaves
/// has on a level. Entry bundles are as level 0.
pub fn widths(level: u8, size: u64) -> (u64, u16) {
    let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
    (hashes / TILE_WIDTH, u16::try_from(hashes % TILE_WIDTH).unwrap_or(0))
}

/// Levels that hold at least one hash in a tree of `size` leaves.
pub fn levels(size: u64) -> impl Iterator<Item = u8> {
    (0u8..8).take_while(move |level| widths(*level, size) != (0, 0))
}

/// The hash of a complete subtree of `2^height` leaves, the `index`-th of its height, in a tree of
/// `size` leaves, from the one tile that holds it.
pub fn hash_in_tiles<E>(
    size: u64,
    height: u32,
    index: u64,
    mut read: impl FnMut(TileName) -> Result<Vec<Hash>, E>,
) -> Result<Hash, E> {
    let level = u8::try_from(height / TILE_HEIGHT).unwrap_or(u8::MAX);
    let first = index << (height % TILE_HEIGHT);
    let (full, partial) = widths(level, size);
    let tile = first / TILE_WIDTH;
    let width = if tile < full { 256 } else { partial };
    let hashes = read(TileName { level: Some(level), index: tile, width })?;
    let start = usize::try_from(first % TILE_WIDTH).unwrap_or(usize::MAX);
    let end = start.saturating_add(1 << (height % TILE_HEIGHT));
    Ok(hashes.get(start..end).map_or_else(crate::tree::empty_root, subtree_root))
}

/// The root over a full tile's hashes: the hash it has in the tile above.
pub fn full_tile_root(hashes: &[Hash; 256]) -> Hash {
    subtree_root(hashes)
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/{}", index_path(self.index))?,
            None => write!(f, "tile/entries/{}", index_path(self.index))?,
        }
        if u64::from(self.width) < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TileName {
    type Err = TileNameError;

    fn from_str(path: &str) -> Result<Self, TileNameError> {
        parse_loosely(path)
            // The one spelling is the one that is written back.
            .filter(|name| name.to_string() == path)
            .ok_or_else(|| TileNameError(path.to_owned()))
    }
}

fn parse_loosely(path: &str) -> Option<TileName> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let level = match level {
        "entries" => None,
        number => Some(number.parse().ok().filter(|level| *level < 64)?),
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (rest, 256),
    };
    let mut number = 0u64;
    for group in index.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number = number.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(TileName { level, index: number, width })
}

/// A tile's bytes.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

/// A tile of exactly `width` hashes; `None` for any other length.
pub fn decode(bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks();
    (rest.is_empty() && hashes.len() == usize::from(width)).then(|| hashes.to_vec())
}

/// The right edge of a growing tree: on each level, the hashes of the tile that is not full yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// At most 255 hashes a level.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of the tree without leaves.
    pub fn new() -> Self {
        Edge::default()
    }

    /// The edge of a tree of `size` leaves, from its partial tiles. The reader must return as many
    /// hashes as the name's width says, as [`decode`] does.
    pub fn read<E>(size: u64, mut read: impl FnMut(TileName) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut edge = Edge { size, levels: Vec::new() };
        for level in levels(size) {
            edge.levels.push(match widths(level, size) {
                (_, 0) => Vec::new(),
                (index, width) => read(TileName { level: Some(level), index, width })?,
            });
        }
        Ok(edge)
    }

    /// The tree's leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash; hands each tile that it completes to `full`, lowest first.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(TileName, &[Hash])) {
        let mut hash = leaf;
        for level in 0..LEVELS_MAX {
            let place = level as usize;
            if self.levels.len() == place {
                self.levels.push(Vec::new());
            }
            self.levels[place].push(hash);
            if self.levels[place].len() < 256 {
                break;
            }
            let index = self.size.checked_shr(TILE_HEIGHT * (level + 1)).unwrap_or(0);
            let name = TileName { level: u8::try_from(level).ok(), index, width: 256 };
            full(name, &self.levels[place]);
            hash = subtree_root(&self.levels[place]);
            self.levels[place].clear();
        }
        self.size += 1;
    }

    /// The partial tiles, lowest first.
    pub fn partials(&self) -> impl Iterator<Item = (TileName, &[Hash])> {
        self.levels.iter().zip(0u8..).filter(|(hashes, _)| !hashes.is_empty()).map(|(hashes, level)| {
            let (index, width) = widths(level, self.size);
            (TileName { level: Some(level), index, width }, hashes.as_slice())
        })
    }

    /// The tree's frontier; `None` when the hashes read do not belong to the size.
    pub fn frontier(&self) -> Option<Frontier> {
        let mut nodes = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (subtree, behind) = rest.split_at(1 << rest.len().ilog2());
                nodes.push(subtree_root(subtree));
                rest = behind;
            }
        }
        Frontier::from_nodes(self.size, nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;

    #[test]
    fn paths() {
        let check = |name: TileName, path: &str| {
            assert_eq!(name.to_string(), path);
            assert_eq!(path.parse(), Ok(name));
        };
        check(TileName { level: Some(0), index: 0, width: 256 }, "tile/0/000");
        check(TileName { level: Some(1), index: 1_234_067, width: 256 }, "tile/1/x001/x234/067");
        check(TileName { level: None, index: 1000, width: 7 }, "tile/entries/x001/000.p/7");
        for refused in [
            "tile/0/0",
            "tile/00/000",
            "tile/64/000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000/",
            "tile/0/+00",
            "/tile/0/000",
            "tile/0/000.p/7/",
            "tile/-1/000",
            "tile/0/x99999999999999999999/000",
            "tile/data/000",
        ] {
            assert!(refused.parse::<TileName>().is_err(), "{refused}");
        }
    }

    #[test]
    fn edge_agrees_with_the_frontier() {
        let (mut edge, mut frontier) = (Edge::new(), Frontier::new());
        let mut full = Vec::new();
        for i in 0..70_000u32 {
            let leaf = leaf_hash(&i.to_be_bytes());
            edge.push(leaf, |name, hashes| full.push((name, hashes.len())));
            frontier.push(leaf);
            if i % 97 == 0 || i > 65_500 {
                assert_eq!(edge.frontier().as_ref(), Some(&frontier));
            }
        }
        assert_eq!(full.len(), 70_000 / 256 + 1);
        assert!(full.contains(&(TileName { level: Some(1), index: 0, width: 256 }, 256)));
        let again = Edge::read(edge.size(), |wanted| {
            edge.partials().find(|(name, _)| *name == wanted).map(|(_, hashes)| hashes.to_vec()).ok_or(wanted)
        });
        assert_eq!(again, Ok(edge));
    }
}
