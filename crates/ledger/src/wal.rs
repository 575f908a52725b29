//! The write-ahead log: segments of zeros, written ahead, into which frames are put one behind another.
//!
//! ```text
//! segment  "CLSTRWL1"  first index u64  segment's bytes u64  zero u32  crc32c u32
//! frame    "CLF1"  leaf's bytes u32  body's bytes u32  crc32c u32  index u64  batch's first index u64
//!          leaf  stored body
//! ```
//! Numbers are little-endian; a frame's checksum covers all of it but itself. Frames of one batch are
//! made durable together, so a batch's first index says that every leaf before it was durable when the
//! batch was written: that is how damage in the middle is told from a torn end. Until it is
//! integrated, a leaf's bytes and its body lie here and nowhere else.

use std::io;

use crate::disk::{self, Access, Disk, DiskFile};

pub(crate) const DIRECTORY: &str = "wal";

/// Bytes of a segment, unless one frame needs more.
pub(crate) const SEGMENT_BYTES: u64 = 16 << 20;

/// No segment is longer: the longest body and leaf, and room.
const SEGMENT_BYTES_MAX: u64 = 128 << 20;

const SEGMENT_MAGIC: &[u8; 8] = b"CLSTRWL1";
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 32;
const FRAME_MAGIC: &[u8; 4] = b"CLF1";
pub(crate) const FRAME_HEADER_BYTES: usize = 32;

/// Written and synced at once while a segment is prepared, so that the writer's own sync never waits
/// for long behind it.
const ZEROS_BYTES: usize = 256 << 10;

/// A segment that frames are written to.
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) length: u64,
    pub(crate) file: Box<dyn DiskFile>,
}

/// A file of durable zeros that will become a segment.
pub(crate) struct Spare {
    path: &'static str,
    length: u64,
    file: Box<dyn DiskFile>,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// First index of its segment.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// A frame's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'f> {
    pub(crate) index: u64,
    pub(crate) batch_first: u64,
    pub(crate) leaf: &'f [u8],
    pub(crate) body: &'f [u8],
    pub(crate) length: usize,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// First indexes of all segments.
    pub(crate) segments: Vec<u64>,
    /// The index behind the last frame; `None` without a segment.
    pub(crate) next: Option<u64>,
    /// Where the next frame would go in the last segment, and that segment's bytes.
    pub(crate) position: u64,
    pub(crate) length: u64,
    pub(crate) tail: Option<Tail>,
}

/// Bytes behind the last good frame that are no frame, and prove nothing durable behind them.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("{file} cannot be read")]
    Io {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file} is damaged at offset {offset}: {what}")]
    Damaged { file: String, offset: u64, what: String },
}

/// The path of a segment.
pub(crate) fn path(first: u64) -> String {
    format!("{DIRECTORY}/{first:020}.wal")
}

/// Makes a file of zeros, durable but for its name. The writer and the integrator may prepare one each.
pub(crate) fn prepare(disk: &dyn Disk, for_writer: bool, length: u64) -> io::Result<Spare> {
    let path = if for_writer { SPARE_PATHS[0] } else { SPARE_PATHS[1] };
    let file = disk.open(path, Access::Create)?;
    let zeros = vec![0; ZEROS_BYTES];
    let mut written = 0;
    while written < length {
        let chunk = usize::try_from(length - written).map_or(ZEROS_BYTES, |rest| rest.min(ZEROS_BYTES));
        file.write_at(written, &zeros[..chunk])?;
        file.sync()?;
        written += chunk as u64;
    }
    Ok(Spare { path, length, file })
}

const SPARE_PATHS: [&str; 2] = ["wal/next", "wal/spare"];

/// Gives a prepared file the name that is the writer's alone.
pub(crate) fn claim(disk: &dyn Disk, spare: Spare) -> io::Result<Spare> {
    let path = SPARE_PATHS[0];
    if spare.path != path {
        disk.rename(spare.path, path)?;
    }
    Ok(Spare { path, ..spare })
}

/// Makes the segment whose first frame will have the index `first`; durable, name and all.
pub(crate) fn create(disk: &dyn Disk, first: u64, spare: Spare) -> io::Result<Segment> {
    let mut header = Vec::with_capacity(32);
    header.extend(SEGMENT_MAGIC);
    header.extend(first.to_le_bytes());
    header.extend(spare.length.to_le_bytes());
    header.extend([0; 4]);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    spare.file.write_at(0, &header)?;
    spare.file.sync()?;
    disk.rename(spare.path, &path(first))?;
    disk.sync_dir(DIRECTORY)?;
    Ok(Segment { first, length: spare.length, file: spare.file })
}

impl Spare {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

/// Removes spares of an earlier run.
pub(crate) fn remove_spares(disk: &dyn Disk) -> io::Result<()> {
    for spare in SPARE_PATHS {
        match disk.remove(spare) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Appends a frame to a buffer.
pub(crate) fn encode(buffer: &mut Vec<u8>, index: u64, batch_first: u64, leaf: &[u8], body: &[u8]) {
    let start = buffer.len();
    let bytes = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    buffer.extend(FRAME_MAGIC);
    buffer.extend(bytes(leaf));
    buffer.extend(bytes(body));
    buffer.extend([0; 4]);
    buffer.extend(index.to_le_bytes());
    buffer.extend(batch_first.to_le_bytes());
    buffer.extend_from_slice(leaf);
    buffer.extend_from_slice(body);
    let checksum = checksum(&buffer[start..]);
    buffer[start + 12..start + 16].copy_from_slice(&checksum.to_le_bytes());
}

/// The frame at the beginning of bytes; `None` when there is no whole and undamaged one.
pub(crate) fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let header = bytes.strip_prefix(FRAME_MAGIC)?.first_chunk::<28>()?;
    let u32_at = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let leaf_bytes = usize::try_from(u32_at(0)?).ok()?;
    let body_bytes = usize::try_from(u32_at(4)?).ok()?;
    let length = FRAME_HEADER_BYTES.checked_add(leaf_bytes)?.checked_add(body_bytes)?;
    let frame = bytes.get(..length)?;
    if checksum(frame) != u32_at(8)? {
        return None;
    }
    let (leaf, body) = frame[FRAME_HEADER_BYTES..].split_at(leaf_bytes);
    Some(Frame { index: u64_at(12)?, batch_first: u64_at(20)?, leaf, body, length })
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..12]), &frame[16..])
}

/// The bytes of a frame.
pub(crate) fn read_frame(disk: &dyn Disk, place: Place) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; place.length];
    disk.open(&path(place.segment), Access::Read)?.read_at(place.offset, &mut bytes)?;
    Ok(bytes)
}

/// Reads all frames in order. Segments that lie wholly before the leaf `integrated` are not read.
pub(crate) fn scan(
    disk: &dyn Disk,
    integrated: u64,
    on_frame: &mut dyn FnMut(Place, &Frame<'_>),
) -> Result<Scan, ScanError> {
    let mut segments = list(disk)?;
    segments.sort_unstable();
    let mut scan = Scan { segments, ..Scan::default() };
    let needed = scan.segments.partition_point(|first| *first <= integrated).saturating_sub(1);
    for (number, first) in scan.segments.clone().into_iter().enumerate().skip(needed) {
        let file = path(first);
        let damaged = |offset: u64, what: String| ScanError::Damaged { file: file.clone(), offset, what };
        if let Some(tail) = &scan.tail {
            let what = format!("leaf {} is missing, but a later segment exists", scan.next.unwrap_or(0));
            return Err(ScanError::Damaged { file: path(tail.segment), offset: tail.offset, what });
        }
        let expected = scan.next.unwrap_or(first);
        if first != expected || (number == needed && first > integrated) {
            let missing = if number == needed { integrated } else { expected };
            return Err(damaged(0, format!("it begins with leaf {first}; leaf {missing} is missing")));
        }
        let bytes = disk::read(disk, &file, SEGMENT_BYTES_MAX);
        let bytes = bytes.map_err(|source| ScanError::Io { file: file.clone(), source })?;
        let length = parse_header(&bytes, first).map_err(|what| damaged(0, what.to_owned()))?;
        if (bytes.len() as u64) > length {
            return Err(damaged(length, "stray bytes follow the segment".to_owned()));
        }
        read_segment(&mut scan, first, &bytes, length, on_frame)
            .map_err(|(offset, what)| damaged(offset, what))?;
    }
    Ok(scan)
}

fn list(disk: &dyn Disk) -> Result<Vec<u64>, ScanError> {
    let names = match disk.list(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(|source| ScanError::Io { file: DIRECTORY.to_owned(), source })?,
    };
    let number = |name: &String| {
        let first = name.strip_suffix(".wal")?.parse().ok()?;
        (path(first) == format!("{DIRECTORY}/{name}")).then_some(first)
    };
    Ok(names.iter().filter_map(number).collect())
}

fn parse_header(bytes: &[u8], first: u64) -> Result<u64, &'static str> {
    let header = bytes.first_chunk::<32>().ok_or("the segment's header is cut off")?;
    let mut expected = Vec::with_capacity(32);
    expected.extend(SEGMENT_MAGIC);
    expected.extend(first.to_le_bytes());
    expected.extend(&header[16..24]);
    expected.extend([0; 4]);
    expected.extend(crc32c::crc32c(&expected).to_le_bytes());
    if expected != header {
        return Err("the segment's header is wrong");
    }
    let length = header[16..24].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if length < SEGMENT_HEADER_BYTES { Err("the segment's length is wrong") } else { Ok(length) }
}

fn read_segment(
    scan: &mut Scan,
    first: u64,
    bytes: &[u8],
    length: u64,
    on_frame: &mut dyn FnMut(Place, &Frame<'_>),
) -> Result<(), (u64, String)> {
    let content_end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut position = 32;
    let (mut index, mut batch_first) = (first, 0);
    while position < content_end {
        let frame = parse(&bytes[position..])
            .filter(|frame| frame.index == index && (batch_first..=index).contains(&frame.batch_first));
        let Some(frame) = frame else { break };
        let place = Place { segment: first, offset: position as u64, length: frame.length };
        on_frame(place, &frame);
        position += frame.length;
        index += 1;
        batch_first = frame.batch_first;
    }
    (scan.next, scan.position, scan.length) = (Some(index), position as u64, length);
    if position < content_end {
        if let Some((offset, later)) = proof_of_later_leaf(&bytes[position..], index) {
            let what = format!(
                "the frame of leaf {index} is damaged; that of leaf {later}, at offset {}, is not, and was written after leaf {index} was durable",
                position + offset
            );
            return Err((position as u64, what));
        }
        let tail = bytes[position..content_end].to_vec();
        scan.tail = Some(Tail { segment: first, offset: position as u64, bytes: tail });
    } else if (bytes.len() as u64) < length {
        // A segment has its full length before it has its name: no crash cuts it.
        scan.tail = Some(Tail { segment: first, offset: bytes.len() as u64, bytes: Vec::new() });
    }
    Ok(())
}

/// A good frame whose batch was begun after the leaf `index` was durable.
fn proof_of_later_leaf(bytes: &[u8], index: u64) -> Option<(usize, u64)> {
    let starts = bytes.windows(FRAME_MAGIC.len()).enumerate();
    starts
        .filter(|(_, window)| window == FRAME_MAGIC)
        .filter_map(|(offset, _)| Some((offset, parse(&bytes[offset..])?)))
        .find(|(_, frame)| frame.batch_first > index)
        .map(|(offset, frame)| (offset, frame.index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultDisk;

    /// A segment at index 10 with batches of the given sizes; returns where each frame begins.
    fn log(disk: &FaultDisk, batches: &[u64]) -> Vec<usize> {
        disk.create_dir(DIRECTORY).unwrap();
        let segment = create(disk, 10, prepare(disk, true, 4096).unwrap()).unwrap();
        let (mut buffer, mut offsets, mut index) = (Vec::new(), Vec::new(), 10);
        for batch in batches {
            let batch_first = index;
            for _ in 0..*batch {
                offsets.push(32 + buffer.len());
                encode(&mut buffer, index, batch_first, format!("leaf {index}").as_bytes(), b"body");
                index += 1;
            }
        }
        offsets.push(32 + buffer.len());
        segment.file.write_at(32, &buffer).unwrap();
        offsets
    }

    fn scan_all(disk: &FaultDisk) -> Result<(Vec<u64>, Scan), ScanError> {
        let mut indexes = Vec::new();
        let scan = scan(disk, 10, &mut |place, frame| {
            assert_eq!(parse(&read_frame(disk, place).unwrap()).unwrap(), *frame);
            assert_eq!(frame.leaf, format!("leaf {}", frame.index).as_bytes());
            indexes.push(frame.index);
        })?;
        Ok((indexes, scan))
    }

    fn change(disk: &FaultDisk, run: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = disk.bytes(&path(10)).unwrap();
        run(&mut bytes);
        disk.tamper(&path(10), Some(bytes));
    }

    #[test]
    fn every_changed_byte_of_the_last_batch_is_a_tail() {
        let disk = FaultDisk::new();
        let offsets = log(&disk, &[1, 2]);
        let original = disk.bytes(&path(10)).unwrap();
        for at in offsets[1]..offsets[3] {
            disk.tamper(&path(10), Some(original.clone()));
            change(&disk, |bytes| bytes[at] ^= 1);
            let (indexes, scan) = scan_all(&disk).unwrap();
            let good = usize::from(at >= offsets[2]) + 1;
            assert_eq!(indexes.len(), good, "byte {at}");
            assert_eq!(usize::try_from(scan.tail.unwrap().offset).unwrap(), offsets[good]);
        }
    }

    #[test]
    fn every_changed_byte_of_an_earlier_batch_is_damage() {
        let disk = FaultDisk::new();
        let offsets = log(&disk, &[2, 1]);
        let original = disk.bytes(&path(10)).unwrap();
        for at in 0..offsets[2] {
            disk.tamper(&path(10), Some(original.clone()));
            change(&disk, |bytes| bytes[at] ^= 1);
            let Err(ScanError::Damaged { file, offset, .. }) = scan_all(&disk) else { panic!("byte {at}") };
            assert_eq!(file, path(10));
            assert_eq!(
                usize::try_from(offset).unwrap(),
                if at < 32 { 0 } else { offsets[usize::from(at >= offsets[1])] }
            );
        }
    }

    #[test]
    fn cut_lengthened_or_missing() {
        let disk = FaultDisk::new();
        let offsets = log(&disk, &[1, 1]);
        let (indexes, scan) = scan_all(&disk).unwrap();
        assert_eq!((indexes, scan.next), (vec![10, 11], Some(12)));
        assert!(scan.tail.is_none());

        let original = disk.bytes(&path(10)).unwrap();
        for cut in [offsets[1], offsets[1] + 5, offsets[2], 4095] {
            disk.tamper(&path(10), Some(original[..cut].to_vec()));
            let (indexes, scan) = scan_all(&disk).unwrap();
            assert_eq!(indexes.len(), if cut < offsets[2] { 1 } else { 2 });
            assert!(scan.tail.is_some());
        }
        disk.tamper(&path(10), Some([original.as_slice(), &[0]].concat()));
        assert!(scan_all(&disk).is_err());
        disk.tamper(&path(10), Some(original));
        let early = super::scan(&disk, 9, &mut |_, _| ());
        assert!(matches!(early, Err(ScanError::Damaged { offset: 0, .. })));
        create(&disk, 13, prepare(&disk, true, 4096).unwrap()).unwrap();
        assert!(matches!(scan_all(&disk), Err(ScanError::Damaged { .. })));
        assert_eq!(super::scan(&disk, 13, &mut |_, _| ()).unwrap().next, Some(13));
    }
}
