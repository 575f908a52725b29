//! The formats and proofs against independent implementations, and properties of the parsers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use base64::Engine as _;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use tlog::proof::{
    Many, prove_consistency, prove_inclusion, prove_many, verify_consistency, verify_inclusion,
};
use tlog::tile::{encode, hash_in_tiles};
use tlog::tlog_proof::TlogProofRefused;
use tlog::witness::{Remembered, Request, WitnessRefused};
use tlog::{
    Checkpoint, CosigningKey, Edge, Frontier, Hash, Note, Policy, SigningKey, TileName, TlogProof,
    VerifierKey, entry, leaf_hash,
};

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

/// Of many leaves at once: the same root, each alone as it is proven alone, and nothing else proves.
#[test]
fn many_leaves_at_once() {
    for size in [1_usize, 2, 3, 7, 64, 300, 777] {
        let log = Log::new(size);
        let (root, size) = (log.frontier.root(), size as u64);
        for step in [1, 2, 3, 50, 256] {
            let indexes: Vec<u64> = (0..size).filter(|index| index % step == size % step).collect();
            if indexes.is_empty() {
                assert!(prove_many(&indexes, size, |height, at| log.hash(height, at)).is_err());
                continue;
            }
            let hashes = prove_many(&indexes, size, |height, at| log.hash(height, at)).unwrap();
            let leaf = |index: &u64| leaf_hash(&log.leaves[usize::try_from(*index).unwrap()]);
            let leaves: Vec<Hash> = indexes.iter().map(leaf).collect();
            let check = |indexes: &[u64], leaves: &[Hash], hashes: &[Hash]| {
                Many::verify(size, &root, indexes.to_vec(), leaves.to_vec(), hashes.to_vec())
            };
            let many = check(&indexes, &leaves, &hashes).unwrap();
            for index in &indexes {
                let alone = prove_inclusion(*index, size, |height, at| log.hash(height, at)).unwrap();
                assert_eq!(many.prove(*index), Some(alone));
                assert_eq!(many.leaf(*index), Some(&leaf(index)));
            }
            assert_eq!(many.prove(size), None);
            // One leaf less, one other, one hash less, one more, another order.
            assert!(indexes.len() < 2 || check(&indexes[1..], &leaves[1..], &hashes).is_err());
            let mut other = leaves.clone();
            other[0][0] ^= 1;
            assert!(check(&indexes, &other, &hashes).is_err());
            assert!(hashes.is_empty() || check(&indexes, &leaves, &hashes[1..]).is_err());
            assert!(check(&indexes, &leaves, &[hashes.as_slice(), &[root]].concat()).is_err());
            let backwards: Vec<u64> = indexes.iter().rev().copied().collect();
            assert!(indexes.len() < 2 || check(&backwards, &leaves, &hashes).is_err());
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

const NAME: &str = "example.org/cloister";
const TIME: u64 = 1_700_000_000;

fn log_key() -> SigningKey {
    SigningKey::new(NAME, [5; 32]).unwrap()
}

fn witness_key() -> CosigningKey {
    CosigningKey::ed25519("witness.example/w1", [6; 32]).unwrap()
}

/// A signature line with its time and signature, as anybody would write it.
fn line(key: &VerifierKey, signature: &[u8]) -> String {
    let hash = u32::from_str_radix(key.to_string().split('+').nth(1).unwrap(), 16).unwrap();
    let bytes = [hash.to_be_bytes().as_slice(), &TIME.to_be_bytes(), signature].concat();
    format!("\u{2014} {} {}\n", key.name(), base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// Time and signature of a line of ours.
fn signature(line: &str) -> Vec<u8> {
    let encoded = line.trim_end().rsplit(' ').next().unwrap();
    base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()[12..].to_vec()
}

/// The message is put together here as the specification says, and signed by the other implementation.
#[test]
fn ed25519_cosignatures_agree_with_the_specification() {
    use ed25519_dalek::Signer as _;
    let checkpoint = Checkpoint { origin: NAME.into(), size: 7, root: [9; 32] };
    let key = witness_key();
    let message = format!("cosignature/v1\ntime {TIME}\n{}", checkpoint.text());
    let secret = ed25519_dalek::SigningKey::from_bytes(&[6; 32]);
    let theirs = line(key.verifier(), &secret.sign(message.as_bytes()).to_bytes());
    assert_eq!(key.cosign(&checkpoint, TIME).unwrap(), theirs);

    let note = checkpoint.sign(&log_key()).unwrap() + &theirs;
    let read = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let log = signed_note::StandardVerifier::new(&log_key().verifier().to_string()).unwrap();
    let (known, unknown) = read.verify(&signed_note::VerifierList::new(vec![Box::new(log)])).unwrap();
    assert_eq!((known.len(), unknown.len()), (1, 1));
    assert_eq!(key.verifier().open(&note).unwrap().as_bytes(), read.text());
}

#[test]
fn ml_dsa_44_cosignatures_agree_with_fips204() {
    use fips204::ml_dsa_44::KG;
    use fips204::traits::{KeyGen as _, SerDes as _, Signer as _, Verifier as _};
    let checkpoint = Checkpoint { origin: NAME.into(), size: 7, root: [9; 32] };
    let ours = CosigningKey::ml_dsa_44("w", [6; 32]).unwrap();
    let (public, secret) = KG::keygen_from_seed(&[6; 32]);
    assert_eq!(public.clone().into_bytes().as_slice(), ours.verifier().key_bytes());

    let mut message = b"subtree/v1\n\x00\x01w".to_vec();
    message.extend(TIME.to_be_bytes());
    message.push(u8::try_from(NAME.len()).unwrap());
    message.extend(NAME.as_bytes());
    message.extend([[0; 8], 7u64.to_be_bytes()].concat());
    message.extend([9; 32]);
    let line_of_ours = ours.cosign(&checkpoint, TIME).unwrap();
    let signed: [u8; 2420] = signature(&line_of_ours).try_into().unwrap();
    assert!(public.verify(&message, &signed, &[]));

    let theirs = secret.try_sign_with_seed(&[1; 32], &message, &[]).unwrap();
    let note = checkpoint.sign(&log_key()).unwrap() + &line(ours.verifier(), &theirs);
    assert_eq!(ours.verifier().open(&note).unwrap(), checkpoint.text());
}

fn policy(quorum: &str) -> Policy {
    let (log, witness) = (log_key(), witness_key());
    let text = format!("log {}\nwitness w1 {}\nquorum {quorum}\n", log.verifier(), witness.verifier());
    Policy::parse(text.as_bytes()).unwrap()
}

/// A log's checkpoint, cosigned by the witness.
fn cosigned(log: &Log) -> String {
    let root = log.frontier.root();
    let checkpoint = Checkpoint { origin: NAME.into(), size: log.edge.size(), root };
    checkpoint.sign(&log_key()).unwrap() + &witness_key().cosign(&checkpoint, TIME).unwrap()
}

fn proof(log: &Log, index: usize) -> TlogProof {
    let size = log.edge.size();
    let hashes = prove_inclusion(index as u64, size, |h, i| log.hash(h, i)).unwrap();
    let extra = Some(log.leaves[index].clone());
    TlogProof { extra, index: index as u64, hashes, checkpoint: cosigned(log) }
}

#[test]
fn proofs_are_one_text_that_proves() {
    let log = Log::new(11);
    for index in 0..11 {
        let proof = proof(&log, index);
        let text = proof.to_string();
        assert_eq!(text.parse(), Ok(proof.clone()));
        let leaf = leaf_hash(&log.leaves[index]);
        let judged = proof.verify(&leaf, &policy("w1")).unwrap();
        assert_eq!((judged.checkpoint.size, judged.cosigned[0].time_unix_s), (11, TIME));
        assert!(matches!(proof.verify(&[0; 32], &policy("w1")), Err(TlogProofRefused::Inclusion(_))));
        let uncosigned: String = proof.checkpoint.lines().take(5).map(|line| format!("{line}\n")).collect();
        let uncosigned = TlogProof { checkpoint: uncosigned, ..proof };
        assert!(uncosigned.verify(&leaf, &policy("none")).is_ok());
        assert!(matches!(uncosigned.verify(&leaf, &policy("w1")), Err(TlogProofRefused::Quorum(_))));
    }
    // Where there is no hash, the checkpoint follows at once.
    let one = proof(&Log::new(1), 0);
    assert_eq!(one.to_string().parse(), Ok(one));
}

#[test]
fn every_changed_byte_of_a_proof_is_refused() {
    let log = Log::new(6);
    let text = proof(&log, 3).to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let Ok(changed) = changed.parse::<TlogProof>() else { continue };
        let leaf = leaf_hash(&changed.extra.clone().unwrap_or_default());
        assert!(changed.verify(&leaf, &policy("w1")).is_err(), "byte {at}");
    }
    for refused in [
        text.replace("index 3", "index 03"),
        text.replace("index 3", "index +3"),
        text.replace("@v1\n", "@v1\n\n"),
        text.replace("extra ", "extra  "),
        text.replace("\nindex", "\nextra AA==\nindex"),
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
    ] {
        assert!(refused.parse::<TlogProof>().is_err(), "{refused}");
    }
}

fn request(old: usize, new: &Log) -> Request {
    let consistency = prove_consistency(old as u64, new.edge.size(), |h, i| new.hash(h, i)).unwrap();
    Request { old_size: old as u64, consistency, checkpoint: cosigned(new) }
}

fn remembered(log: &Log) -> Option<Remembered> {
    Some(Remembered { size: log.edge.size(), root: log.frontier.root() })
}

#[test]
fn a_witness_never_goes_back() {
    let key = log_key();
    let (old, new) = (Log::new(5), Log::new(9));
    let mut fork = Log::new(0);
    for i in 0..9 {
        let leaf = format!("other {i}").into_bytes();
        fork.edge.push(leaf_hash(&leaf), |_, _| {});
        fork.frontier.push(leaf_hash(&leaf));
    }
    let check = |request: &Request, remembered| {
        assert_eq!(request.to_string().parse().as_ref(), Ok(request));
        request.check(key.verifier(), remembered).map(|checkpoint| checkpoint.size)
    };
    assert_eq!(check(&request(0, &old), None), Ok(5));
    assert_eq!(check(&request(5, &new), remembered(&old)), Ok(9));
    // The answer got lost.
    assert_eq!(check(&request(5, &new), remembered(&new)), Ok(9));
    let start = |asked, remembered| Err(WitnessRefused::OtherStart { asked, remembered });
    assert_eq!(check(&request(5, &new), None), start(5, 0));
    assert_eq!(check(&request(0, &new), remembered(&old)), start(0, 5));
    let older = Err(WitnessRefused::Older { size: 5, remembered: 9 });
    assert_eq!(check(&request(0, &old), remembered(&new)), older);
    assert_eq!(check(&request(0, &fork), remembered(&new)), Err(WitnessRefused::Forked { size: 9 }));
    let inconsistent = Err(WitnessRefused::Inconsistent { size: 9, remembered: 5 });
    assert_eq!(check(&request(5, &fork), remembered(&old)), inconsistent);
    let impostor = SigningKey::new(NAME, [7; 32]).unwrap();
    assert!(matches!(request(0, &old).check(impostor.verifier(), None), Err(WitnessRefused::Checkpoint(_))));
    let empty = Checkpoint { origin: NAME.into(), size: 0, root: [1; 32] };
    let empty = Request { old_size: 0, consistency: vec![], checkpoint: empty.sign(&key).unwrap() };
    assert_eq!(check(&empty, None), Err(WitnessRefused::NotEmpty));
    assert!("old 0\nAAAA\n\n".parse::<Request>().is_err());
}

#[test]
fn every_changed_byte_of_a_request_is_refused() {
    let (old, new) = (Log::new(5), Log::new(9));
    let text = request(5, &new).to_string();
    let end = text.rfind('\u{2014}').unwrap(); // behind it is a signature that a witness passes over
    for at in 0..end {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let Ok(changed) = changed.parse::<Request>() else { continue };
        assert!(changed.check(log_key().verifier(), remembered(&old)).is_err(), "byte {at}");
    }
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
        let _ = Policy::parse(&bytes);
        let _ = text.parse::<TlogProof>();
        let _ = text.parse::<Request>();
        let _ = Note::parse(&text);
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

    #[test]
    fn proofs_and_requests_come_back(
        extra: Option<Vec<u8>>, index: u64, hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..60),
    ) {
        let checkpoint = cosigned(&Log::new(1));
        let proof = TlogProof { extra, index, hashes: hashes.clone(), checkpoint: checkpoint.clone() };
        prop_assert_eq!(proof.to_string().parse(), Ok(proof));
        let request = Request { old_size: index | 1, consistency: hashes, checkpoint };
        prop_assert_eq!(request.to_string().parse(), Ok(request));
    }

    /// Lines in any order and form: what is accepted says the same when it is written and read again.
    #[test]
    fn policies_say_the_same_again(lines in proptest::collection::vec(
        prop_oneof![
            Just(format!("log {}", log_key().verifier())),
            Just(format!("witness w1 {}", witness_key().verifier())),
            "(witness|group|quorum|log|#)?[ \t](w1|g|none)?[ \t](all|any|1|2)?[ \t](w1|g)?",
            Just("group g 1 w1".to_owned()),
            "quorum (w1|g|none)",
        ], 0..7,
    )) {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        if let Ok(policy) = Policy::parse(text.as_bytes()) {
            let again = policy.to_bytes();
            let read = Policy::parse(&again).unwrap();
            prop_assert_eq!(read.to_bytes(), again);
            prop_assert_eq!(read, policy);
        }
    }
}
