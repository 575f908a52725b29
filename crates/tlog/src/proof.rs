//! Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2; verified as RFC 9162 does).
//!
//! A prover reads hashes of complete subtrees through a closure `read(height, index)`: the `index`-th
//! subtree of `2^height` leaves. [`crate::tile::hash_in_tiles`] makes one from tiles.

use crate::tree::{Hash, empty_root, node_hash};

/// Why a proof cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProveError<E> {
    /// The tree has no such leaf, or is smaller than the one it should contain.
    #[error("a tree of {size} leaves has nothing to prove about {asked}")]
    OutOfRange {
        /// The index or the smaller size asked for.
        asked: u64,
        /// The tree's leaves.
        size: u64,
    },
    /// A hash could not be read.
    #[error("a hash could not be read")]
    Read(#[source] E),
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the proof does not lead to the root")]
pub struct ProofError;

/// Proves that a leaf is in a tree of `size` leaves. At most 64 hashes, lowest first.
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if index >= size {
        return Err(ProveError::OutOfRange { asked: index, size });
    }
    let (mut low, mut high) = (0, size);
    let mut siblings = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            siblings.push((middle, high));
            high = middle;
        } else {
            siblings.push((low, middle));
            low = middle;
        }
    }
    roots(siblings.into_iter().rev(), &mut read)
}

/// Proves that a tree of `size` leaves begins with the one of `smaller` leaves.
pub fn prove_consistency<E>(
    smaller: u64,
    size: u64,
    mut read: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if smaller > size {
        return Err(ProveError::OutOfRange { asked: smaller, size });
    }
    if smaller == 0 || smaller == size {
        return Ok(Vec::new());
    }
    let (mut low, mut high) = (0, size);
    let mut parts = Vec::new();
    while high != smaller {
        let middle = low + split(high - low);
        if smaller <= middle {
            parts.push((middle, high));
            high = middle;
        } else {
            parts.push((low, middle));
            low = middle;
        }
    }
    // The smaller tree's own root is known to the verifier when it is the leftmost subtree.
    if low != 0 {
        parts.push((low, high));
    }
    roots(parts.into_iter().rev(), &mut read)
}

/// Checks a proof of inclusion.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError);
    }
    let (mut position, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError);
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(sibling, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError) }
}

/// Checks a proof of consistency. Every tree contains the empty one.
pub fn verify_consistency(
    smaller: u64,
    smaller_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let must = |holds: bool| if holds { Ok(()) } else { Err(ProofError) };
    if smaller == 0 {
        return must(proof.is_empty() && *smaller_root == empty_root());
    }
    if smaller >= size {
        return must(smaller == size && proof.is_empty() && smaller_root == root);
    }
    let mut hashes = proof.iter();
    let first = if smaller.is_power_of_two() { Some(smaller_root) } else { hashes.next() };
    let Some(first) = first else { return Err(ProofError) };
    let (mut old, mut new) = (*first, *first);
    let shift = (smaller - 1).trailing_ones();
    let (mut position, mut last) = ((smaller - 1) >> shift, (size - 1) >> shift);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError);
        }
        if position & 1 == 1 || position == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        position >>= 1;
        last >>= 1;
    }
    must(last == 0 && old == *smaller_root && new == *root)
}

/// Proves that many leaves are in a tree of `size` leaves: the roots of those subtrees that hold none of them, left to
/// right, and no more. `indexes` ascend. With it, and the leaves' hashes, [`Many`] leads to the root.
pub fn prove_many<E>(
    indexes: &[u64],
    size: u64,
    mut read: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    let ascending = indexes.windows(2).all(|pair| pair[0] < pair[1]);
    match indexes.last() {
        Some(last) if *last < size && ascending => {}
        last => return Err(ProveError::OutOfRange { asked: last.copied().unwrap_or(0), size }),
    }
    let mut hashes = Vec::new();
    missing(indexes, 0, size, &mut |low, high| {
        hashes.push(range_root(low, high, &mut read).map_err(ProveError::Read)?);
        Ok(())
    })?;
    Ok(hashes)
}

/// Calls for each subtree of `low..high` that holds none of the leaves, left to right.
fn missing<E>(
    indexes: &[u64],
    low: u64,
    high: u64,
    call: &mut impl FnMut(u64, u64) -> Result<(), E>,
) -> Result<(), E> {
    if indexes.is_empty() {
        return call(low, high);
    }
    if high - low == 1 {
        return Ok(());
    }
    let middle = low + split(high - low);
    let (left, right) = indexes.split_at(indexes.partition_point(|index| *index < middle));
    missing(left, low, middle, call)?;
    missing(right, middle, high, call)
}

/// A range of that many leaves is worth a thread for each half.
const APART_LEAVES: usize = 1 << 19;

/// Many leaves with the proof that they are in one tree: checked once, and then each of them can be proven alone.
#[derive(Clone, Debug)]
pub struct Many {
    size: u64,
    indexes: Vec<u64>,
    leaves: Vec<Hash>,
    hashes: Vec<Hash>,
    /// Leaves of a range whose halves are worth a thread each.
    apart: usize,
}

impl Many {
    /// Checks that exactly these leaves and hashes lead to a root. `indexes` ascend; `leaves` are their hashes.
    pub fn verify(
        size: u64,
        root: &Hash,
        indexes: Vec<u64>,
        leaves: Vec<Hash>,
        hashes: Vec<Hash>,
    ) -> Result<Many, ProofError> {
        Many { size, indexes, leaves, hashes, apart: APART_LEAVES }.verified(root)
    }

    fn verified(self, root: &Hash) -> Result<Many, ProofError> {
        let Many { size, indexes, leaves, .. } = &self;
        let ascending = indexes.windows(2).all(|pair| pair[0] < pair[1]);
        let within = indexes.last().is_some_and(|last| last < size);
        if !ascending || !within || indexes.len() != leaves.len() {
            return Err(ProofError);
        }
        let mut used = 0;
        let found = self.range(0, indexes.len(), &mut used, 0, *size);
        if found == Some(*root) && used == self.hashes.len() { Ok(self) } else { Err(ProofError) }
    }

    /// How many of the proof's hashes a range takes: one for each part of it without a leaf of the list.
    fn hashes_of(&self, first: usize, end: usize, low: u64, high: u64) -> usize {
        if first == end {
            return 1;
        }
        if (end - first) as u64 == high - low {
            return 0;
        }
        let middle = low + split(high - low);
        let between = first + self.indexes[first..end].partition_point(|index| *index < middle);
        self.hashes_of(first, between, low, middle) + self.hashes_of(between, end, middle, high)
    }

    /// The root over `low..high`, which holds the leaves from `first` up to `end` of the list.
    fn range(&self, first: usize, end: usize, used: &mut usize, low: u64, high: u64) -> Option<Hash> {
        if first == end {
            *used += 1;
            return self.hashes.get(*used - 1).copied();
        }
        if high - low == 1 {
            return self.leaves.get(first).copied();
        }
        let middle = low + split(high - low);
        let between = first + self.indexes[first..end].partition_point(|index| *index < middle);
        if end - first < self.apart {
            let left = self.range(first, between, used, low, middle)?;
            return Some(node_hash(&left, &self.range(between, end, used, middle, high)?));
        }
        let mut used_left = *used;
        *used += self.hashes_of(first, between, low, middle);
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| self.range(first, between, &mut used_left, low, middle));
            let right = self.range(between, end, used, middle, high);
            (left.join().ok().flatten(), right)
        });
        Some(node_hash(&left?, &right?))
    }

    /// A leaf's hash; `None` for a leaf that is not among them.
    pub fn leaf(&self, index: u64) -> Option<&Hash> {
        self.leaves.get(self.indexes.binary_search(&index).ok()?)
    }

    /// The proof of one leaf alone, as [`prove_inclusion`] makes it; `None` for a leaf that is not among them.
    pub fn prove(&self, index: u64) -> Option<Vec<Hash>> {
        self.indexes.binary_search(&index).ok()?;
        let mut siblings = Vec::new();
        self.descend(index, 0, self.indexes.len(), &mut 0, (0, self.size), &mut siblings)?;
        Some(siblings)
    }

    fn descend(
        &self,
        index: u64,
        first: usize,
        end: usize,
        used: &mut usize,
        (low, high): (u64, u64),
        siblings: &mut Vec<Hash>,
    ) -> Option<()> {
        if high - low == 1 {
            return Some(());
        }
        let middle = low + split(high - low);
        let between = first + self.indexes[first..end].partition_point(|index| *index < middle);
        if index < middle {
            self.descend(index, first, between, used, (low, middle), siblings)?;
            siblings.push(self.range(between, end, used, middle, high)?);
        } else {
            let left = self.range(first, between, used, low, middle)?;
            self.descend(index, between, end, used, (middle, high), siblings)?;
            siblings.push(left);
        }
        Some(())
    }
}

/// The largest power of two below `leaves`, which is at least 2.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn roots<E>(
    ranges: impl Iterator<Item = (u64, u64)>,
    read: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    ranges.map(|(low, high)| range_root(low, high, read).map_err(ProveError::Read)).collect()
}

/// The root over the leaves `low..high` of a tree, a range that the tree's shape makes.
fn range_root<E>(low: u64, high: u64, read: &mut impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let leaves = high - low;
    if leaves.is_power_of_two() {
        return read(leaves.ilog2(), low >> leaves.ilog2());
    }
    let middle = low + split(leaves);
    let left = range_root(low, middle, read)?;
    Ok(node_hash(&left, &range_root(middle, high, read)?))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::leaf_hash;

    /// The hash of a whole subtree over the numbers as leaves.
    fn subtree(height: u32, at: u64) -> Hash {
        match height.checked_sub(1) {
            None => leaf_hash(&at.to_le_bytes()),
            Some(below) => node_hash(&subtree(below, 2 * at), &subtree(below, 2 * at + 1)),
        }
    }

    /// Halves in threads of their own come to the same as one after the other, and refuse the same.
    #[test]
    fn many_leaves_in_threads() {
        for size in [1_u64, 2, 5, 64, 100] {
            let root = {
                let every: Vec<u64> = (0..size).collect();
                let leaves = every.iter().map(|index| subtree(0, *index)).collect();
                let many = Many { size, indexes: every, leaves, hashes: Vec::new(), apart: usize::MAX };
                many.range(0, many.indexes.len(), &mut 0, 0, size).unwrap()
            };
            for step in [1, 2, 3, 40] {
                let indexes: Vec<u64> = (0..size).step_by(step).collect();
                let read = |height, at| Ok::<_, Infallible>(subtree(height, at));
                let hashes = prove_many(&indexes, size, read).unwrap();
                let leaves: Vec<Hash> = indexes.iter().map(|index| subtree(0, *index)).collect();
                let many = |apart| Many {
                    size,
                    indexes: indexes.clone(),
                    leaves: leaves.clone(),
                    hashes: hashes.clone(),
                    apart,
                };
                for apart in [2, 16, usize::MAX] {
                    let verified = many(apart).verified(&root).unwrap();
                    for index in [indexes.first(), indexes.last()].into_iter().flatten() {
                        assert_eq!(
                            verified.prove(*index),
                            many(usize::MAX).prove(*index),
                            "{index} of {size}"
                        );
                    }
                    let mut more = many(apart);
                    more.hashes.push(root);
                    assert!(more.verified(&root).is_err());
                    let mut less = many(apart);
                    assert!(less.hashes.pop().is_none() || less.verified(&root).is_err());
                    let mut other = many(apart);
                    other.leaves[0][0] ^= 1;
                    assert!(other.verified(&root).is_err());
                }
            }
        }
    }
}
