//! How much of a damaged log is still good: the leaves from the first on that something signed, or the tiles
//! below it, proves.

use tlog::{Checkpoint, Edge, Hash, TileName};

use super::{Check, Signed};
use crate::store::read_tile;

impl Check<'_> {
    /// Leaves from the first on that something signed proves. It needs the roots at kept sizes.
    pub(super) fn proven_up_to(&self, signed: Option<&Signed>) -> u64 {
        let kept = self.kept.checkpoints.iter().map(|kept| (kept.size, kept.root));
        let kept: Vec<(u64, Hash)> = kept.chain(self.witnessed.signed()).collect();
        let on_the_tree = |(size, root): &(u64, Hash)| self.kept.roots.get(size).map(|found| found == root);
        let signed = signed.filter(|signed| signed.valid).map(|signed| &signed.checkpoint);
        let proven = match signed {
            Some(signed) if self.roots_walked.is_some_and(|roots| roots.contains(&signed.root)) => {
                signed.size
            }
            Some(signed) => self.proven_by_tiles(signed),
            None => 0,
        };
        // A root over damaged leaves is another for that reason alone.
        let whole =
            signed.is_some_and(|signed| self.roots_walked.is_some_and(|[ours, _]| ours == signed.root));
        let good = self.first_damaged.map_or(proven, |first| first.min(proven));
        let forked = |kept: &(u64, Hash)| on_the_tree(kept) == Some(false) && (whole || kept.0 <= good);
        // Of two histories that the log signed, its signature alone does not say which is the right one.
        let proven = if kept.iter().any(forked) { 0 } else { proven };
        let kept = kept.iter().filter(|kept| on_the_tree(kept) == Some(true));
        kept.map(|(size, _)| *size).fold(proven, u64::max)
    }

    /// Leaves under tiles that lead to the signed root, where those of level 0 do not: from the right edge
    /// down, a tile is right when it has the hash that a right tile above it says.
    fn proven_by_tiles(&self, signed: &Checkpoint) -> u64 {
        let read = |name: TileName| {
            let (found, mut bytes) = read_tile(self.disk, name)?;
            bytes.truncate(usize::from(name.width) * 32);
            let malformed = || std::io::Error::other(format!("{found} is too short"));
            tlog::tile::decode(&bytes, name.width).ok_or_else(malformed)
        };
        let Ok(edge) = Edge::read(signed.size, read) else { return 0 };
        if edge.frontier().map(|frontier| frontier.root()) != Some(signed.root) {
            return 0;
        }
        // The highest level is at the left; behind the full tiles under it come those of the edge below.
        let mut partials: Vec<(TileName, &[Hash])> = edge.partials().collect();
        partials.sort_by_key(|(name, _)| std::cmp::Reverse(name.level));
        let mut leaves = 0;
        for (name, hashes) in partials {
            let Some(level) = name.level else { continue };
            for (place, hash) in (0u64..).zip(hashes) {
                let under = self.proven_under(level, name.index * 256 + place, hash);
                leaves += under;
                if Some(under) != 256u64.checked_pow(u32::from(level)) {
                    return leaves;
                }
            }
        }
        leaves
    }

    /// Leaves from the left on that are right under one right hash.
    fn proven_under(&self, level: u8, number: u64, hash: &Hash) -> u64 {
        let Some(below) = level.checked_sub(1) else { return 1 };
        let name = TileName { level: Some(below), index: number, width: 256 };
        let tile = read_tile(self.disk, name).ok().and_then(|(_, bytes)| tlog::tile::decode(&bytes, 256));
        let Some(hashes) = tile.and_then(|tile| <[Hash; 256]>::try_from(tile).ok()) else { return 0 };
        if tlog::tile::full_tile_root(&hashes) != *hash {
            return 0;
        }
        let full = 256u64.saturating_pow(u32::from(below));
        let mut leaves = 0;
        for (place, hash) in (0u64..).zip(&hashes) {
            let under = self.proven_under(below, number * 256 + place, hash);
            leaves += under;
            if under != full {
                break;
            }
        }
        leaves
    }
}
