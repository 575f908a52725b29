//! Just enough of ELF to tell a static program from a dynamic one.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How a program is linked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// No interpreter and no needed library: everything it runs is in the file.
    Static,
    /// The dynamic loader has a part in it.
    Dynamic,
}

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
/// Real programs have about a dozen.
const PROGRAM_HEADERS_MAX: u16 = 1024;
/// A dynamic section larger than this is no worker of ours.
const DYNAMIC_BYTES_MAX: u64 = 1 << 20;

/// Reads a 64-bit little-endian ELF program.
pub(crate) fn linkage(path: &Path) -> io::Result<Linkage> {
    linkage_of(&mut File::open(path)?)
}

fn linkage_of(file: &mut (impl Read + Seek)) -> io::Result<Linkage> {
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err(invalid("not a 64-bit little-endian ELF file"));
    }
    let (offset, size, count) = (u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56));
    if size != 56 || count == 0 || count > PROGRAM_HEADERS_MAX {
        return Err(invalid("not a program: its program headers are missing or misshapen"));
    }
    let mut headers = vec![0; usize::from(size) * usize::from(count)];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut headers)?;
    for header in headers.chunks_exact(usize::from(size)) {
        match u32_at(header, 0) {
            PT_INTERP => return Ok(Linkage::Dynamic),
            // A static position-independent program has this section too, to relocate itself.
            PT_DYNAMIC if needs_a_library(file, u64_at(header, 8), u64_at(header, 32))? => {
                return Ok(Linkage::Dynamic);
            }
            _ => {}
        }
    }
    Ok(Linkage::Static)
}

fn needs_a_library(file: &mut (impl Read + Seek), offset: u64, bytes: u64) -> io::Result<bool> {
    if bytes > DYNAMIC_BYTES_MAX {
        return Err(invalid("the dynamic section is too large"));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut section = Vec::new();
    file.take(bytes).read_to_end(&mut section)?;
    let tags = section.chunks_exact(16).map(|entry| u64_at(entry, 0));
    Ok(tags.take_while(|&tag| tag != DT_NULL).any(|tag| tag == DT_NEEDED))
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A program of one header of the given type, over a dynamic section of the given tags.
    fn program(kind: u32, tags: &[u64]) -> Vec<u8> {
        let section: Vec<u8> = tags.iter().flat_map(|tag| [tag.to_le_bytes(), [0; 8]].concat()).collect();
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72..80].copy_from_slice(&120u64.to_le_bytes());
        bytes[96..104].copy_from_slice(&u64::try_from(section.len()).unwrap().to_le_bytes());
        bytes.extend(section);
        bytes
    }

    fn check(bytes: Vec<u8>, expected: Linkage) {
        assert_eq!(linkage_of(&mut Cursor::new(bytes)).unwrap(), expected);
    }

    #[test]
    fn an_interpreter_or_a_needed_library_is_dynamic() {
        check(program(1, &[]), Linkage::Static);
        check(program(PT_DYNAMIC, &[5, 6, 0, DT_NEEDED]), Linkage::Static);
        check(program(PT_DYNAMIC, &[5, DT_NEEDED, 0]), Linkage::Dynamic);
        check(program(PT_INTERP, &[]), Linkage::Dynamic);
    }

    #[test]
    fn this_test_itself_is_dynamic() {
        assert_eq!(linkage(&std::env::current_exe().unwrap()).unwrap(), Linkage::Dynamic);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(linkage_of(&mut Cursor::new(b"\x7fELF".to_vec())).is_err());
        assert!(linkage_of(&mut Cursor::new(vec![0; 200])).is_err());
        assert!(linkage_of(&mut Cursor::new(program(1, &[])[..100].to_vec())).is_err());
    }
}
