//! Where bodies lie: for each entry bundle of 256 leaves, one pack of payloads and one page of keys.
//!
//! ```text
//! bodies/<N>     payloads of the bundle's leaves that have one, in order, without gaps
//! body-keys/<N>  one slot a leaf: payload's offset u64, payload's bytes u64, wrap[76], zeros[4]
//! ```
//! A leaf without a body has a slot of zeros, or none behind the last. A slot whose wrap is zeros is of a
//! body that was erased. Offsets are trusted by nobody: the leaf commits to the payload.

use std::io;

use tlog::tile::index_path;

use crate::body::{PAYLOAD_BYTES_MAX, WRAP_BYTES, Wrap};
use crate::disk::{Access, Disk, DiskFile};

/// Leaves of a pack, as of an entry bundle.
pub(crate) const PACK_LEAVES: u64 = tlog::tile::TILE_WIDTH;

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 8 + 8 + WRAP_BYTES + 4;

/// Directories of packs and of pages.
pub(crate) const PACKS: &str = "bodies";
pub(crate) const PAGES: &str = "body-keys";

/// The path of the pack that holds a leaf's payload.
pub(crate) fn pack_path(index: u64) -> String {
    format!("{PACKS}/{}", index_path(index / PACK_LEAVES))
}

/// The path of the page that holds a leaf's key.
pub(crate) fn page_path(index: u64) -> String {
    format!("{PAGES}/{}", index_path(index / PACK_LEAVES))
}

/// Where a leaf's slot begins in its page.
pub(crate) fn slot_offset(index: u64) -> u64 {
    index % PACK_LEAVES * SLOT_BYTES as u64
}

/// What a page says of one leaf.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) offset: u64,
    /// 0 for a leaf without a body.
    pub(crate) bytes: u64,
    pub(crate) wrap: Wrap,
}

impl Slot {
    pub(crate) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[16..16 + WRAP_BYTES].copy_from_slice(&self.wrap.0);
        bytes
    }

    /// `None` where a byte is set that never is.
    pub(crate) fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |part| u64::from_le_bytes(*part));
        let wrap = bytes[16..].first_chunk().copied().map(Wrap)?;
        let slot = Slot { offset: number(0), bytes: number(8), wrap };
        (slot.encode() == *bytes).then_some(slot)
    }

    pub(crate) fn is_erased(&self) -> bool {
        self.bytes > 0 && self.wrap == Wrap::DESTROYED
    }
}

/// The slot of a leaf that has a body.
pub(crate) fn read_slot(disk: &dyn Disk, index: u64) -> io::Result<Slot> {
    let mut bytes = [0; SLOT_BYTES];
    disk.open(&page_path(index), Access::Read)?.read_at(slot_offset(index), &mut bytes)?;
    Slot::decode(&bytes)
        .filter(|slot| slot.bytes > 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the slot is not one of a body"))
}

/// The payload that a slot speaks of.
pub(crate) fn read_payload(pack: &dyn DiskFile, slot: &Slot) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(slot.bytes).ok().filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} bytes are more than a body has", slot.bytes))
    })?;
    let mut payload = vec![0; bytes];
    pack.read_at(slot.offset, &mut payload)?;
    Ok(payload)
}

/// Destroys a body's key, in place: what is durable afterwards holds nothing of it. A leaf without a body
/// is left alone. Returns the page, which is not synced.
pub(crate) fn destroy(disk: &dyn Disk, index: u64) -> io::Result<Option<Box<dyn DiskFile>>> {
    let page = match disk.open(&page_path(index), Access::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        page => page?,
    };
    if page.length()? < slot_offset(index) + SLOT_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = [0; SLOT_BYTES];
    page.read_at(slot_offset(index), &mut bytes)?;
    if bytes == [0; SLOT_BYTES] {
        return Ok(None);
    }
    page.write_at(slot_offset(index) + 16, &Wrap::DESTROYED.0)?;
    Ok(Some(page))
}

/// Payloads and slots on their way into the pack and the page of one bundle.
pub(crate) struct Packing {
    /// The next leaf's index is in this bundle, or in a later one.
    bundle: u64,
    /// Bytes of the pack, without those that wait.
    length: u64,
    payloads: Vec<u8>,
    /// The place of the first slot that waits.
    first: usize,
    slots: Vec<u8>,
}

/// Payload bytes that wait at most before they are written.
const WAITING_BYTES_MAX: usize = 8 << 20;

impl Packing {
    /// Goes on behind `size` leaves, of which those in the last, not full, bundle have so many bytes of
    /// payloads.
    pub(crate) fn new(size: u64, length: u64) -> Self {
        Packing { bundle: size / PACK_LEAVES, length, payloads: Vec::new(), first: 0, slots: Vec::new() }
    }

    /// Whether [`flush`](Self::flush) must be called before a body of that leaf is added.
    pub(crate) fn is_full_for(&self, index: u64) -> bool {
        let waits = !self.slots.is_empty();
        waits && (index / PACK_LEAVES != self.bundle || self.payloads.len() >= WAITING_BYTES_MAX)
    }

    /// Takes a body.
    pub(crate) fn push(&mut self, index: u64, payload: &[u8], wrap: Wrap) {
        debug_assert!(!self.is_full_for(index));
        if index / PACK_LEAVES != self.bundle {
            (self.bundle, self.length) = (index / PACK_LEAVES, 0);
        }
        let place = usize::try_from(index % PACK_LEAVES).unwrap_or(0);
        if self.slots.is_empty() {
            self.first = place;
        }
        // Leaves without a body in between.
        self.slots.resize((place - self.first) * SLOT_BYTES, 0);
        let offset = self.length + self.payloads.len() as u64;
        self.slots.extend(Slot { offset, bytes: payload.len() as u64, wrap }.encode());
        self.payloads.extend_from_slice(payload);
    }

    /// Hands out what waits: for the pack and the page each its path, where to write, and what.
    pub(crate) fn flush(&mut self) -> Option<[(String, u64, Vec<u8>); 2]> {
        if self.slots.is_empty() {
            return None;
        }
        let index = self.bundle * PACK_LEAVES;
        let (payloads, slots) = (std::mem::take(&mut self.payloads), std::mem::take(&mut self.slots));
        let at = self.length;
        self.length += payloads.len() as u64;
        Some([(pack_path(index), at, payloads), (page_path(index), (self.first * SLOT_BYTES) as u64, slots)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultDisk;

    fn write(disk: &FaultDisk, packing: &mut Packing) {
        for (path, offset, bytes) in packing.flush().into_iter().flatten() {
            let file = disk.open(&path, Access::Write).or_else(|_| disk.open(&path, Access::Create));
            file.unwrap().write_at(offset, &bytes).unwrap();
        }
    }

    #[test]
    fn packed_and_found() {
        let disk = FaultDisk::new();
        disk.create_dir(PACKS).unwrap();
        disk.create_dir(PAGES).unwrap();
        let mut packing = Packing::new(0, 0);
        let bodies = [(0u64, 5usize), (1, 0), (4, 100), (255, 7), (256, 3), (300, 9), (1000, 1)];
        let wrap = |index: u64| Wrap([u8::try_from(index % 250).unwrap() + 1; WRAP_BYTES]);
        let payload = |index: u64, bytes: usize| vec![u8::try_from(index % 251).unwrap(); bytes + 1];
        for (index, bytes) in bodies {
            if packing.is_full_for(index) {
                write(&disk, &mut packing);
            }
            packing.push(index, &payload(index, bytes), wrap(index));
        }
        write(&disk, &mut packing);
        assert!(packing.flush().is_none());
        for (index, bytes) in bodies {
            let slot = read_slot(&disk, index).unwrap();
            assert!(slot.wrap == wrap(index) && !slot.is_erased());
            let pack = disk.open(&pack_path(index), Access::Read).unwrap();
            assert_eq!(read_payload(&*pack, &slot).unwrap(), payload(index, bytes));
        }
        assert!(read_slot(&disk, 2).is_err() && read_slot(&disk, 1001).is_err());

        assert!(destroy(&disk, 2).unwrap().is_none() && destroy(&disk, 9999).unwrap().is_none());
        destroy(&disk, 4).unwrap().unwrap().sync().unwrap();
        assert!(read_slot(&disk, 4).unwrap().is_erased() && !read_slot(&disk, 0).unwrap().is_erased());
    }
}
