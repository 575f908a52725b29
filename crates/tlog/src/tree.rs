//! RFC 6962 hashing, and the frontier that lets a tree grow without its leaves.

use sha2::{Digest, Sha256};

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// The hash of a leaf's bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// The hash of two neighbouring subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without leaves.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over hashes of neighbouring subtrees of one height; their number is a power of two.
pub(crate) fn subtree_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two());
    match hashes {
        [] => empty_root(),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&subtree_root(left), &subtree_root(right))
        }
    }
}

/// What a tree of any size needs to grow: the roots of its complete subtrees, largest first, one for
/// each set bit of its size. At most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

/// Why bytes are not a frontier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a frontier: {bytes} bytes do not hold a size and one hash for each of its set bits")]
pub struct FrontierError {
    bytes: usize,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Frontier::default()
    }

    /// The tree's leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.nodes.iter().rev();
        let Some(first) = smallest_first.next() else { return empty_root() };
        smallest_first.fold(*first, |right, left| node_hash(left, &right))
    }

    /// The size, big-endian in 8 bytes, then the hashes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        bytes.extend(self.nodes.iter().flatten());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; nothing may follow.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let refused = FrontierError { bytes: bytes.len() };
        let Some((size, nodes)) = bytes.split_first_chunk() else { return Err(refused) };
        let (nodes, rest) = nodes.as_chunks::<32>();
        match Frontier::from_nodes(u64::from_be_bytes(*size), nodes.to_vec()) {
            Some(frontier) if rest.is_empty() => Ok(frontier),
            _ => Err(refused),
        }
    }

    /// `None` when the number of nodes does not belong to the size.
    pub(crate) fn from_nodes(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(nodes.len())).then_some(Frontier { size, nodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, straight from RFC 6962 section 2.1.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn grows_to_the_defined_root() {
        let mut frontier = Frontier::new();
        let mut leaves = Vec::new();
        for i in 0..600u32 {
            assert_eq!(frontier.root(), root_by_definition(&leaves));
            assert_eq!(Frontier::from_bytes(&frontier.to_bytes()), Ok(frontier.clone()));
            let leaf = leaf_hash(&i.to_be_bytes());
            frontier.push(leaf);
            leaves.push(leaf);
        }
    }

    #[test]
    fn known_answers() {
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn refuses_other_bytes() {
        let mut frontier = Frontier::new();
        for i in 0..5u8 {
            frontier.push([i; 32]);
        }
        let bytes = frontier.to_bytes();
        assert!(Frontier::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Frontier::from_bytes(&bytes[..bytes.len() - 32]).is_err());
        assert!(Frontier::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(Frontier::from_bytes(&[0; 7]).is_err());
    }
}
