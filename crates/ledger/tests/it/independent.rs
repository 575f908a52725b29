//! What the ledger leaves on disk, read by implementations of C2SP that are not ours: notes by `signed_note`,
//! checkpoints, tiles and proofs by `tlog_tiles`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::fault::{Chance, FaultDisk};
use tlog_tiles::{HashReader as _, Tile, TileHashReader, TileReader};

use crate::machine::{Machine, ORIGIN, administration, check, seed, verifier};

/// The files of a log, as a server of static files would hand them out.
struct Served<'d>(&'d FaultDisk);

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::tlog::Error> {
        // Theirs names the height, which C2SP fixes and leaves out.
        let read = |tile: &Tile| self.0.bytes(&tile.path().replace("tile/8/", "tile/")).unwrap();
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

/// A checkpoint whose signature they accept.
fn opened(note: &str) -> tlog_tiles::Checkpoint {
    let key = signed_note::StandardVerifier::new(&verifier()).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(key)]);
    let note = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    assert_eq!(note.verify(&known).unwrap().0.len(), 1);
    tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap()
}

#[test]
fn tiles_checkpoints_and_proofs_verify_with_other_implementations() {
    let mut chance = Chance(seed());
    for leaves in [1u64, 255, 256, 700] {
        let machine = Machine::new();
        let ledger = machine.open().unwrap();
        let receipts: Vec<_> =
            (0..leaves).map(|number| ledger.append_blocking(administration(number)).unwrap()).collect();
        ledger.close().unwrap();
        let checkpoint = opened(&String::from_utf8(machine.log.bytes("checkpoint").unwrap()).unwrap());
        assert_eq!((checkpoint.origin(), checkpoint.size()), (ORIGIN, leaves + 1));

        // Their reader checks each tile against the root before it hands out a hash.
        let served = Served(&machine.log);
        let tiles = TileHashReader::new(checkpoint.size(), *checkpoint.hash(), &served);
        for receipt in &receipts {
            let stored = tlog_tiles::stored_hash_index(0, receipt.index);
            assert_eq!(tiles.read_hashes(&[stored]).unwrap()[0].0, receipt.leaf_hash);
        }

        for _ in 0..20 {
            let receipt = receipts[chance.below(receipts.len())];
            // The text of a .tlog-proof, taken apart here by hand.
            let text = ledger::prove(&machine.log, receipt.index, None).unwrap().to_string();
            let (head, note) = text.split_once("\n\n").unwrap();
            let mut lines = head.lines();
            assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
            let leaf = BASE64.decode(lines.next().unwrap().strip_prefix("extra ").unwrap()).unwrap();
            assert_eq!(lines.next(), Some(format!("index {}", receipt.index).as_str()));
            let hash = |line| tlog_tiles::Hash(BASE64.decode(line).unwrap().try_into().unwrap());
            let siblings: Vec<_> = lines.map(hash).collect();
            let checkpoint = opened(note);
            let leaf = tlog_tiles::record_hash(&leaf);
            assert_eq!(leaf.0, receipt.leaf_hash);
            let check = |leaf| {
                let (size, root) = (checkpoint.size(), *checkpoint.hash());
                tlog_tiles::check_record(&siblings, size, root, receipt.index, leaf)
            };
            check(leaf).unwrap();
            check(tlog_tiles::Hash([9; 32])).unwrap_err();
        }
        assert_eq!(check(&machine.log, Vec::new()).problems_total, 0);
    }
}
