//! What the codes of a font stand for, and how wide they are (ISO 32000-1, 9.6 to 9.10).

use std::{collections::HashMap, sync::LazyLock};

use crate::pdf::{
    cmap::CMap,
    objects::{Dict, File, Object, Stream},
};

static GLYPHS: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    include_str!("glyphs.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (name, codes) = line.split_once(' ')?;
            let letters =
                codes.split('_').filter_map(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
            Some((name, letters.collect()))
        })
        .collect()
});
const STANDARD: &str = include_str!("standard.txt");
const SYMBOL: &str = include_str!("symbol.txt");
/// Widths of Helvetica and Times, Roman and bold, from the space to the tilde: for files that leave them out.
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 222, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
    500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
    556, 222, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
    278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
const TIMES: [u16; 95] = [
    250, 333, 408, 500, 500, 833, 778, 333, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500, 500, 500,
    500, 500, 500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611, 556, 722, 722, 333,
    389, 722, 611, 889, 722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469,
    500, 333, 444, 500, 444, 500, 444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500, 500, 500, 333, 389,
    278, 500, 500, 722, 500, 500, 444, 480, 200, 480, 541,
];

/// Entries of a font's widths.
const WIDTHS_MAX: usize = 140_000;

/// A font.
pub(crate) struct Font {
    kind: Kind,
    to_unicode: Option<CMap>,
    /// A unit of width in text space: 0.001, but for Type 3 fonts.
    pub(crate) unit: f64,
    pub(crate) vertical: bool,
    pub(crate) fixed_pitch: bool,
}

enum Kind {
    Simple { letters: Box<[String; 256]>, widths: Box<[f64; 256]> },
    Composite { codes: CMap, identity: bool, widths: HashMap<u32, f64>, default_width: f64 },
}

/// A code of a string, as it is shown.
pub(crate) struct Shown<'a> {
    pub(crate) text: std::borrow::Cow<'a, str>,
    /// In text space, for a size of 1.
    pub(crate) width: f64,
    /// Whether it is the one-byte code 32, which word spacing is for.
    pub(crate) space: bool,
}

impl Font {
    pub(crate) fn read(file: &File<'_>, dict: &Dict) -> Font {
        let subtype = file.get(dict, b"Subtype");
        let to_unicode = match file.get(dict, b"ToUnicode") {
            Object::Stream(stream) => file.decode(&stream).map(|data| CMap::read(&data)),
            _ => None,
        };
        let to_unicode = to_unicode.filter(|map| !map.is_empty());
        if subtype.name() == Some(b"Type0") {
            return Font::composite(file, dict, to_unicode);
        }
        let descriptor = file.get(dict, b"FontDescriptor");
        let descriptor = descriptor.dict();
        let base_name = file.get(dict, b"BaseFont");
        let base_name = String::from_utf8_lossy(base_name.name().unwrap_or_default()).into_owned();
        let type3 = subtype.name() == Some(b"Type3");
        let unit = match file.get(dict, b"FontMatrix").array() {
            Some(matrix) if type3 => matrix.first().and_then(Object::number).unwrap_or(0.001).abs(),
            _ => 0.001,
        };
        let letters = simple_letters(file, dict, descriptor, &base_name);
        let mut widths = Box::new([0.0; 256]);
        let missing = descriptor.and_then(|dict| file.get(dict, b"MissingWidth").number()).unwrap_or(0.0);
        let listed = file.get(dict, b"Widths");
        match listed.array() {
            Some(listed) => {
                widths.fill(missing);
                let first = file
                    .get(dict, b"FirstChar")
                    .int()
                    .and_then(|first| usize::try_from(first).ok())
                    .unwrap_or(0);
                for (index, width) in listed.iter().take(256).enumerate() {
                    if let (Some(slot), Some(width)) =
                        (widths.get_mut(first.saturating_add(index)), file.resolve(width).number())
                    {
                        *slot = width;
                    }
                }
            }
            None => standard_widths(&base_name, &letters, &mut widths),
        }
        let fixed_pitch = is_fixed(file, descriptor, &base_name);
        file.spend(500 + to_unicode.as_ref().map_or(0, |map| map.written));
        Font { kind: Kind::Simple { letters, widths }, to_unicode, unit, vertical: false, fixed_pitch }
    }

    fn composite(file: &File<'_>, dict: &Dict, to_unicode: Option<CMap>) -> Font {
        let descendants = file.get(dict, b"DescendantFonts");
        let descendant = descendants
            .array()
            .and_then(|fonts| fonts.first())
            .map_or(Object::Null, |font| file.resolve(font));
        let empty = Dict::new();
        let descendant = descendant.dict().unwrap_or(&empty);
        let encoding = file.get(dict, b"Encoding");
        let (codes, identity, vertical) = match &encoding {
            Object::Name(name) => (CMap::two_bytes(), true, name.ends_with(b"-V") || name == b"V"),
            Object::Stream(stream) => {
                let vertical = file.get(&stream.dict, b"WMode").int() == Some(1);
                (file.decode(stream).map_or_else(CMap::two_bytes, |data| CMap::read(&data)), false, vertical)
            }
            _ => (CMap::two_bytes(), true, false),
        };
        let default_width = file.get(descendant, b"DW").number().unwrap_or(1000.0);
        let mut widths = HashMap::new();
        let listed = file.get(descendant, b"W");
        let listed = listed.array().unwrap_or_default();
        let mut at = 0;
        let mut written = 0;
        while at + 1 < listed.len() && written < WIDTHS_MAX {
            let first = file.resolve(&listed[at]).int().and_then(|first| u32::try_from(first).ok());
            let Some(first) = first else { break };
            match file.resolve(&listed[at + 1]) {
                Object::Array(items) => {
                    for (cid, width) in (first..=0xffff).zip(items.iter()) {
                        written += 1;
                        if let Some(width) = file.resolve(width).number() {
                            widths.insert(cid, width);
                        }
                    }
                    at += 2;
                }
                last => {
                    let last = last.int().and_then(|last| u32::try_from(last).ok()).unwrap_or(0).min(0xffff);
                    let width = listed.get(at + 2).and_then(|width| file.resolve(width).number());
                    if let Some(width) = width {
                        for cid in first..=last {
                            written += 1;
                            widths.insert(cid, width);
                        }
                    }
                    at += 3;
                }
            }
        }
        file.spend(written + codes.written + to_unicode.as_ref().map_or(0, |map| map.written));
        let descriptor = file.get(descendant, b"FontDescriptor");
        let base_name = file.get(dict, b"BaseFont");
        let base_name = String::from_utf8_lossy(base_name.name().unwrap_or_default()).into_owned();
        let fixed_pitch = is_fixed(file, descriptor.dict(), &base_name);
        let kind = Kind::Composite { codes, identity, widths, default_width };
        Font { kind, to_unicode, unit: 0.001, vertical, fixed_pitch }
    }

    /// The next code of a string, and how many bytes it has.
    pub(crate) fn next<'a>(&'a self, bytes: &[u8]) -> (Shown<'a>, usize) {
        match &self.kind {
            Kind::Simple { letters, widths } => {
                let code = bytes[0];
                let at = usize::from(code);
                let mapped = self.to_unicode.as_ref().and_then(|map| map.text(u32::from(code), 1));
                let text = mapped.unwrap_or(&letters[at]);
                (Shown { text: text.into(), width: widths[at] * self.unit, space: code == 32 }, 1)
            }
            Kind::Composite { codes, identity, widths, default_width } => {
                let (code, length) = codes.code(bytes);
                let cid = if *identity { code } else { codes.cid(code, length).unwrap_or(code) };
                let width = widths.get(&cid).copied().unwrap_or(*default_width);
                let text = match self.to_unicode.as_ref().and_then(|map| map.text(code, length)) {
                    Some(text) => text.into(),
                    None => "\u{fffd}".into(),
                };
                (Shown { text, width: width * self.unit, space: length == 1 && code == 32 }, length)
            }
        }
    }
}

fn is_fixed(file: &File<'_>, descriptor: Option<&Dict>, name: &str) -> bool {
    let flags = descriptor.and_then(|dict| file.get(dict, b"Flags").int()).unwrap_or(0);
    let name = name.to_ascii_lowercase();
    flags & 1 == 1 || name.contains("courier") || name.contains("mono") || name.contains("cmtt")
}

/// Codes 0 to 255 of a simple font: the base encoding, and the differences from it.
fn simple_letters(
    file: &File<'_>,
    dict: &Dict,
    descriptor: Option<&Dict>,
    base_name: &str,
) -> Box<[String; 256]> {
    let encoding = file.get(dict, b"Encoding");
    let base = match &encoding {
        Object::Name(name) => Some(name.clone()),
        Object::Dict(dict) => file.get(dict, b"BaseEncoding").name().map(<[u8]>::to_vec),
        _ => None,
    };
    let mut letters: Box<[String; 256]> = Box::new(std::array::from_fn(|_| String::new()));
    let symbolic = descriptor.and_then(|dict| file.get(dict, b"Flags").int()).unwrap_or(0) & 4 != 0;
    match base.as_deref() {
        Some(b"WinAnsiEncoding") => from_charset(encoding_rs::WINDOWS_1252, &mut letters),
        Some(b"MacRomanEncoding") => from_charset(encoding_rs::MACINTOSH, &mut letters),
        _ if base_name.contains("Symbol") => from_names(SYMBOL, &mut letters),
        _ => {
            let built_in = descriptor.and_then(|dict| built_in(file, dict, &mut letters));
            if built_in.is_none() {
                match symbolic && file.get(dict, b"Subtype").name() == Some(b"TrueType") {
                    true => from_charset(encoding_rs::WINDOWS_1252, &mut letters),
                    false => from_names(STANDARD, &mut letters),
                }
            }
        }
    }
    if let Some(differences) = encoding.dict().map(|dict| file.get(dict, b"Differences")) {
        let mut code = 0usize;
        for item in differences.array().unwrap_or_default().iter().take(1024) {
            match file.resolve(item) {
                Object::Name(name) => {
                    if let Some(slot) = letters.get_mut(code) {
                        *slot = letters_of(&String::from_utf8_lossy(&name));
                    }
                    code = code.saturating_add(1);
                }
                number => code = number.int().and_then(|code| usize::try_from(code).ok()).unwrap_or(256),
            }
        }
    }
    letters
}

fn from_charset(charset: &'static encoding_rs::Encoding, letters: &mut [String; 256]) {
    for (code, slot) in (0u8..=255).zip(letters.iter_mut()) {
        if code >= 32 {
            let byte = [code];
            let text = charset.decode_without_bom_handling(&byte).0;
            *slot = text.chars().filter(|letter| !letter.is_control()).collect();
        }
    }
}

fn from_names(names: &str, letters: &mut [String; 256]) {
    for (slot, name) in letters.iter_mut().zip(names.split_ascii_whitespace()) {
        *slot = letters_of(name);
    }
}

/// What a glyph's name stands for: by the Adobe Glyph List and its rules, or nothing.
fn letters_of(name: &str) -> String {
    let plain = name.split('.').next().unwrap_or(name);
    let mut letters = String::new();
    for part in plain.split('_').take(8) {
        if let Some(known) = GLYPHS.get(part) {
            letters.push_str(known);
            continue;
        }
        let code = part.strip_prefix("uni").or(part.strip_prefix('u')).filter(|code| code.len() >= 4);
        if let Some(code) = code.and_then(|code| code.get(..code.len().min(6)))
            && let Ok(value) =
                u32::from_str_radix(if part.starts_with("uni") { &code[..4] } else { code }, 16)
        {
            letters.extend(char::from_u32(value));
        }
    }
    letters
}

/// The encoding in an embedded Type 1 program: `dup 65 /A put`.
fn built_in(file: &File<'_>, descriptor: &Dict, letters: &mut [String; 256]) -> Option<()> {
    let Object::Stream(stream) = file.get(descriptor, b"FontFile") else { return None };
    let program = clear_part(file, &stream)?;
    let program = String::from_utf8_lossy(&program);
    let (_, encoding) = program.split_once("/Encoding")?;
    if encoding.trim_start().starts_with("StandardEncoding") {
        return None;
    }
    let mut found = None;
    let mut words = encoding.split_ascii_whitespace().take(4096);
    while let Some(word) = words.next() {
        match word {
            "dup" => {
                let (Some(code), Some(name)) = (words.next(), words.next()) else { break };
                if let (Ok(code), Some(name)) = (code.parse::<usize>(), name.strip_prefix('/'))
                    && let Some(slot) = letters.get_mut(code)
                {
                    *slot = letters_of(name);
                    found = Some(());
                }
            }
            "readonly" | "def" if found.is_some() => break,
            _ => {}
        }
    }
    found
}

fn clear_part(file: &File<'_>, stream: &Stream) -> Option<Vec<u8>> {
    let mut data = file.decode(stream)?;
    let length = file.get(&stream.dict, b"Length1").int().and_then(|length| usize::try_from(length).ok());
    data.truncate(length.unwrap_or(64 << 10).min(256 << 10));
    Some(data)
}

fn standard_widths(name: &str, letters: &[String; 256], widths: &mut [f64; 256]) {
    let fixed = name.contains("Courier") || name.contains("Mono");
    let table = if name.contains("Times") || name.contains("Roman") { &TIMES } else { &HELVETICA };
    for (slot, letter) in widths.iter_mut().zip(letters) {
        let code = letter.bytes().next().and_then(|byte| usize::from(byte).checked_sub(32));
        let known = code.filter(|_| letter.len() == 1).and_then(|code| table.get(code));
        *slot = if fixed { 600.0 } else { known.map_or(500.0, |width| f64::from(*width)) };
    }
}
