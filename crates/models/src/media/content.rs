//! What no medium may carry: programs, and formats that run code when they are read. Content decides
//! first, then the name, since old pickles have no mark of their own.

use crate::object::Role;

/// How much of a file's beginning is looked at.
pub const HEAD_BYTES: usize = 4096;

/// Names' endings that are refused whatever the content is.
const ENDINGS: &[(&str, Carried)] = &[
    (".pkl", Carried::Pickle),
    (".pickle", Carried::Pickle),
    (".pt", Carried::Pickle),
    (".pth", Carried::Pickle),
    (".ckpt", Carried::Pickle),
    (".joblib", Carried::Pickle),
    (".dill", Carried::Pickle),
    (".py", Carried::Script),
    (".pyc", Carried::Script),
    (".pyw", Carried::Script),
    (".sh", Carried::Script),
    (".bash", Carried::Script),
    (".zsh", Carried::Script),
    (".bat", Carried::Script),
    (".cmd", Carried::Script),
    (".ps1", Carried::Script),
    (".vbs", Carried::Script),
    (".js", Carried::Script),
    (".pl", Carried::Script),
    (".rb", Carried::Script),
    (".so", Carried::Program),
    (".dll", Carried::Program),
    (".dylib", Carried::Program),
    (".exe", Carried::Program),
    (".com", Carried::Program),
    (".msi", Carried::Program),
    (".scr", Carried::Program),
    (".o", Carried::Program),
    (".a", Carried::Program),
    (".jar", Carried::Program),
    (".wasm", Carried::Program),
];

/// What a file is that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Carried {
    /// Python's serialization, which runs code when it is read.
    #[error("a Python pickle, which runs code when it is read")]
    Pickle,
    /// A zip archive: PyTorch's and NumPy's are pickles inside.
    #[error("a zip archive, as PyTorch packs pickles")]
    Zip,
    /// A NumPy array of objects, which are pickled.
    #[error("a NumPy array of objects, which are pickled")]
    Objects,
    /// A program of Linux.
    #[error("a program or library (ELF)")]
    Elf,
    /// A program of Windows.
    #[error("a program or library (PE)")]
    Pe,
    /// A program of macOS, or a Java class.
    #[error("a program or library (Mach-O, or a Java class)")]
    MachO,
    /// WebAssembly.
    #[error("a program (WebAssembly)")]
    Wasm,
    /// A text that begins with `#!`.
    #[error("a script (it begins with #!)")]
    Shebang,
    /// By its name, a script.
    #[error("a script, by its name")]
    Script,
    /// By its name, a program.
    #[error("a program or library, by its name")]
    Program,
}

/// Whether a file is one that is refused. `head` is its beginning, [`HEAD_BYTES`] of it or all.
///
/// A segment's files are judged by their names alone: numbers stand in them, and any two bytes may be the first. What they
/// hold is compared with the segment's own manifest before it is used, and is never run.
pub fn refused(name: &str, role: Role, head: &[u8]) -> Option<Carried> {
    let name = name.to_ascii_lowercase();
    let content = if role == Role::Segment { None } else { by_content(&name, head) };
    content.or_else(|| by_name(&name))
}

fn by_content(name: &str, head: &[u8]) -> Option<Carried> {
    const MACH_O: [&[u8]; 5] = [
        &[0xfe, 0xed, 0xfa, 0xce],
        &[0xfe, 0xed, 0xfa, 0xcf],
        &[0xce, 0xfa, 0xed, 0xfe],
        &[0xcf, 0xfa, 0xed, 0xfe],
        &[0xca, 0xfe, 0xba, 0xbe],
    ];
    let begins = |magic: &[u8]| head.starts_with(magic);
    if begins(b"\x7fELF") {
        return Some(Carried::Elf);
    }
    if begins(b"MZ") {
        return Some(Carried::Pe);
    }
    if MACH_O.iter().any(|magic| begins(magic)) {
        return Some(Carried::MachO);
    }
    if begins(b"\0asm") {
        return Some(Carried::Wasm);
    }
    if begins(b"#!") || begins(b"\xef\xbb\xbf#!") {
        return Some(Carried::Shebang);
    }
    if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") {
        return Some(Carried::Zip);
    }
    if begins(b"\x93NUMPY") && has_objects(head) {
        return Some(Carried::Objects);
    }
    let pickle = matches!(head, [0x80, 2..=5, ..]);
    (pickle && !is_safetensors(name, head)).then_some(Carried::Pickle)
}

/// A safetensors file begins with the length of its header, which can look like a pickle's first bytes.
fn is_safetensors(name: &str, head: &[u8]) -> bool {
    name.ends_with(".safetensors") && head.get(4..9) == Some(b"\0\0\0\0{")
}

/// Whether the element type in a NumPy header has objects; what cannot be told counts as yes.
fn has_objects(head: &[u8]) -> bool {
    let start = if head.get(6) == Some(&1) { 10 } else { 12 };
    let length = match head {
        [_, _, _, _, _, _, 1, _, a, b, ..] => usize::from(u16::from_le_bytes([*a, *b])),
        [_, _, _, _, _, _, 2..=3, _, a, b, 0, 0, ..] => usize::from(u16::from_le_bytes([*a, *b])),
        _ => return true,
    };
    let Some(header) = head.get(start..start + length) else { return true };
    // `|O`, `O`, `O8`: no other element type has the letter, and keys of the header have none.
    header.contains(&b'O')
}

fn by_name(name: &str) -> Option<Carried> {
    let file = name.rsplit('/').next().unwrap_or(name);
    if let Some((_, carried)) = ENDINGS.iter().find(|(ending, _)| file.ends_with(ending)) {
        return Some(*carried);
    }
    // libx.so.1
    let (_, version) = file.split_once(".so.")?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(Carried::Program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        for (name, head, expected) in [
            ("notes.txt", b"\x7fELF\x02".as_slice(), Carried::Elf),
            ("notes.txt", b"MZ\x90", Carried::Pe),
            ("notes.txt", b"\xcf\xfa\xed\xfe", Carried::MachO),
            ("notes.txt", b"\0asm\x01", Carried::Wasm),
            ("README.md", b"#!/bin/sh\n", Carried::Shebang),
            ("pytorch_model.bin", b"PK\x03\x04", Carried::Zip),
            ("pytorch_model.bin", b"\x80\x02}q", Carried::Pickle),
            ("x.safetensors", b"\x80\x02}q\x00X\x01\x00\x00", Carried::Pickle),
            ("x.txt", b"\x80\x02\0\0\0\0\0\0{", Carried::Pickle),
            ("x.npy", b"\x93NUMPY\x01\0\x10\0{'descr': '|O', ", Carried::Objects),
            ("x.npy", b"\x93NUMPY\x01\0\xff\xff{'descr': '<f4'", Carried::Objects),
            ("old.pkl", b"(lp0\n", Carried::Pickle),
            ("OLD.PT", b"", Carried::Pickle),
            ("modeling.py", b"import os", Carried::Script),
            ("a/libx.so.1.2", b"", Carried::Program),
            ("x.DLL", b"", Carried::Program),
        ] {
            assert_eq!(refused(name, Role::Evidence, head), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_is_not() {
        for (name, head) in [
            ("model.gguf", b"GGUF\x03".as_slice()),
            ("x.safetensors", b"\x80\x02\0\0\0\0\0\0{\"a\""),
            ("x.npy", b"\x93NUMPY\x01\0\x10\0{'descr': '<f4'}"),
            ("weights.bin", b"\x01\x02\x03"),
            ("README.md", b"# A model"),
            ("x.so.txt", b""),
            ("empty", b""),
        ] {
            assert_eq!(refused(name, Role::Evidence, head), None, "{name}");
        }
    }

    #[test]
    fn numbers_of_a_segment() {
        for (name, head, expected) in [
            ("segment/words", b"MZ\0\0\0\0\0\0".as_slice(), None),
            ("segment/exact.keys", b"#!", None),
            ("segment/libx.so", b"", Some(Carried::Program)),
        ] {
            assert_eq!(refused(name, Role::Segment, head), expected, "{name}");
        }
    }
}
