//! The formats and proofs against independent implementations, and properties of the parsers.

use std::collections::HashMap;

use base64::Engine as _;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use tlog::proof::{prove_consistency, prove_inclusion, verify_consistency, verify_inclusion};
use tlog::tile::{encode, hash_in_tiles};
use tlog::{Checkpoint, Edge, Frontier, Hash, SigningKey, TileName, VerifierKey, entry, leaf_hash};

/// A log in memory, written as a ledger writes it: tiles as they fill, and the partial ones.
struct Log {
    leaves: Vec<Vec<u8>>,
    edge: Edge,
    frontier: Frontier,
    full: HashMap<TileName, Vec<Hash>>,
}

impl Log {
    fn new(size: usize) -> Self {
        let mut log =
            Log { leaves: Vec::new(), edge: Edge::new(), frontier: Frontier::new(), full: HashMap::new() };
        for i in 0..size {
            let leaf = format!("leaf {i}").into_bytes();
            log.edge.push(leaf_hash(&leaf), |name, hashes| {
                log.full.insert(name, hashes.to_vec());
            });
            log.frontier.push(leaf_hash(&leaf));
            log.leaves.push(leaf);
        }
        log
    }

    fn tile(&self, name: TileName) -> Result<Vec<Hash>, TileName> {
        let partial = self.edge.partials().find(|(partial, _)| *partial == name);
        partial.map(|(_, hashes)| hashes.to_vec()).or_else(|| self.full.get(&name).cloned()).ok_or(name)
    }

    fn hash(&self, height: u32, index: u64) -> Result<Hash, TileName> {
        hash_in_tiles(self.edge.size(), height, index, |name| self.tile(name))
    }

    /// The same hashes for the other implementation.
    fn reader(&self) -> Reader<'_> {
        Reader(self)
    }
}

struct Reader<'l>(&'l Log);

impl tlog_tiles::HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::tlog::Error> {
        let read = |index: &u64| {
            let (level, n) = tlog_tiles::split_stored_hash_index(*index);
            tlog_tiles::Hash(self.0.hash(level.into(), n).expect("the log holds the hash"))
        };
        Ok(indexes.iter().map(read).collect())
    }
}

fn flat(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

#[test]
fn proofs_agree_with_ct_merkle() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 1..=70usize {
        theirs.push(format!("leaf {}", size - 1).into_bytes());
        let ours = Log::new(size);
        let root = ours.frontier.root();
        assert_eq!(theirs.root().as_bytes().as_slice(), root);
        let tree = size as u64;
        for index in 0..size {
            let proof = prove_inclusion(index as u64, tree, |h, i| ours.hash(h, i)).unwrap();
            assert_eq!(theirs.prove_inclusion(index).as_bytes(), flat(&proof));
            let leaf = leaf_hash(&ours.leaves[index]);
            verify_inclusion(index as u64, tree, &leaf, &root, &proof).unwrap();
            if size > 1 {
                let other = leaf_hash(b"other");
                verify_inclusion(index as u64, tree, &other, &root, &proof).unwrap_err();
            }
        }
        for smaller in 1..size {
            let proof = prove_consistency(smaller as u64, tree, |h, i| ours.hash(h, i)).unwrap();
            assert_eq!(theirs.prove_consistency(size - smaller).as_bytes(), flat(&proof));
            let old = Log::new(smaller).frontier.root();
            verify_consistency(smaller as u64, &old, tree, &root, &proof).unwrap();
            verify_consistency(smaller as u64, &[9; 32], tree, &root, &proof).unwrap_err();
            verify_consistency(smaller as u64, &old, tree, &[9; 32], &proof).unwrap_err();
        }
    }
}

#[test]
fn proofs_and_roots_agree_with_tlog_tiles() {
    for size in [1u64, 2, 255, 256, 257, 600, 65_535, 65_536, 65_537, 66_000] {
        let log = Log::new(usize::try_from(size).unwrap());
        let root = tlog_tiles::tree_hash(size, &log.reader()).unwrap();
        assert_eq!(root.0, log.frontier.root(), "size {size}");
        for index in [0, 1, size / 3, size / 2, size - 1] {
            let Ok(proof) = prove_inclusion(index, size, |h, i| log.hash(h, i)) else { continue };
            let theirs = tlog_tiles::prove_record(size, index, &log.reader()).unwrap();
            assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), proof);
            let leaf = leaf_hash(&log.leaves[usize::try_from(index).unwrap()]);
            verify_inclusion(index, size, &leaf, &root.0, &proof).unwrap();
        }
        for smaller in [1, size / 3, size / 2, size - 1].into_iter().filter(|n| (1..size).contains(n)) {
            let proof = prove_consistency(smaller, size, |h, i| log.hash(h, i)).unwrap();
            let theirs = tlog_tiles::prove_tree(size, smaller, &log.reader()).unwrap();
            assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), proof);
        }
    }
}

#[test]
fn tiles_agree_with_tlog_tiles() {
    for (old, new) in [(0, 1), (0, 256), (255, 257), (1, 600), (600, 65_537)] {
        let log = Log::new(usize::try_from(new).unwrap());
        for tile in tlog_tiles::Tile::new_tiles(8, old, new) {
            let path = tile.path().replace("tile/8/", "tile/");
            let name: TileName = path.parse().unwrap();
            assert_eq!(name.to_string(), path);
            let theirs = tile.read_data(&log.reader()).unwrap();
            assert_eq!(theirs, encode(&log.tile(name).unwrap()), "{path}");
        }
    }
}

#[test]
fn notes_agree_with_signed_note() {
    let name = "example.org/cloister";
    let ours = SigningKey::new(name, [5; 32]).unwrap();
    let checkpoint = Checkpoint { origin: name.into(), size: 7, root: [9; 32] };
    let note = checkpoint.sign(&ours).unwrap();

    let verifier = signed_note::StandardVerifier::new(&ours.verifier().to_string()).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let read = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    assert_eq!(read.verify(&known).unwrap().0.len(), 1);
    let theirs = tlog_tiles::Checkpoint::from_bytes(read.text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (name, 7, [9; 32]));

    let hash = ours.verifier().to_string().split('+').nth(1).unwrap().to_owned();
    let secret = base64::engine::general_purpose::STANDARD.encode([&[1], [5; 32].as_slice()].concat());
    let signer = signed_note::StandardSigner::new(&format!("PRIVATE+KEY+{name}+{hash}+{secret}")).unwrap();
    let mut written = signed_note::Note::new(checkpoint.text().as_bytes(), &[]).unwrap();
    written.add_sigs(&[&signer]).unwrap();
    assert_eq!(String::from_utf8(written.to_bytes()).unwrap(), note);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tile_names_have_one_spelling(level in proptest::option::of(0u8..64), index: u64, width in 1u16..=256) {
        let name = TileName { level, index, width };
        prop_assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn what_parses_as_a_tile_name_is_written_back(path in "tile/([0-9]{1,2}|entries)/(x?[0-9]{3}/?){1,3}(\\.p/[0-9]{1,3})?") {
        if let Ok(name) = path.parse::<TileName>() {
            prop_assert_eq!(name.to_string(), path);
        }
    }

    #[test]
    fn bundles_come_back(leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20)) {
        let mut bundle = Vec::new();
        for leaf in &leaves {
            entry::append(&mut bundle, leaf).unwrap();
        }
        let read = entry::parse(&bundle, leaves.len()).unwrap();
        prop_assert_eq!(read.iter().map(|entry| entry.leaf.to_vec()).collect::<Vec<_>>(), leaves);
    }

    #[test]
    fn parsers_take_any_bytes(bytes: Vec<u8>, text: String, count in 0usize..300) {
        let key = SigningKey::new("log", [1; 32]).unwrap();
        let _ = entry::parse(&bytes, count);
        let _ = Frontier::from_bytes(&bytes);
        let _ = tlog::tile::decode(&bytes, 3);
        let _ = text.parse::<TileName>();
        let _ = text.parse::<VerifierKey>();
        let _ = Checkpoint::parse(&text);
        prop_assert!(Checkpoint::open(&text, key.verifier()).is_err());
    }

    #[test]
    fn wrong_proofs_prove_nothing(
        size in 2u64..200, at: u64, flip in 0usize..256, extra: bool, shorter: bool,
    ) {
        let log = Log::new(usize::try_from(size).unwrap());
        let index = at % size;
        let leaf = leaf_hash(&log.leaves[usize::try_from(index).unwrap()]);
        let root = log.frontier.root();
        let mut proof = prove_inclusion(index, size, |h, i| log.hash(h, i)).unwrap();
        if extra {
            proof.push([0; 32]);
        } else if shorter {
            proof.pop();
        } else {
            let hash = at.wrapping_mul(31) % proof.len() as u64;
            proof[usize::try_from(hash).unwrap()][flip / 8] ^= 1 << (flip % 8);
        }
        prop_assert!(verify_inclusion(index, size, &leaf, &root, &proof).is_err());
    }
}
