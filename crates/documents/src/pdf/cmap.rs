//! CMaps (ISO 32000-1, 9.7.5 and 9.10.3): from codes to characters, or to a font's own numbers.

use std::collections::HashMap;

use crate::pdf::objects::{Lexer, Object};

const MAPPINGS_MAX: usize = 200_000;
const RANGES_MAX: usize = 1000;
/// Of what one code stands for.
const LETTERS_MAX: usize = 32;

/// A CMap.
#[derive(Default)]
pub(crate) struct CMap {
    /// How long codes are, and from where to where.
    ranges: Vec<(usize, u32, u32)>,
    /// By length and code.
    texts: HashMap<(usize, u32), String>,
    cids: HashMap<(usize, u32), u32>,
    /// Entries that were written, also over others.
    pub(crate) written: usize,
}

impl CMap {
    pub(crate) fn two_bytes() -> CMap {
        CMap { ranges: vec![(2, 0, 0xffff)], ..CMap::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(crate) fn read(data: &[u8]) -> CMap {
        let mut map = CMap::default();
        let mut lexer = Lexer::content(data);
        let mut operands: Vec<Object> = Vec::new();
        loop {
            lexer.space();
            if let Some(object) = lexer.object(0) {
                operands.push(object);
                if operands.len() > 4096 {
                    operands.clear();
                }
                continue;
            }
            let word = lexer.word();
            if word.is_empty() {
                if lexer.at >= data.len() {
                    break;
                }
                lexer.at += 1;
                continue;
            }
            match word {
                b"endcodespacerange" => {
                    for pair in operands.chunks_exact(2) {
                        if let (Some((length, low)), Some((_, high))) = (code(&pair[0]), code(&pair[1]))
                            && map.ranges.len() < RANGES_MAX
                        {
                            map.ranges.push((length, low, high));
                        }
                    }
                }
                b"endbfchar" => {
                    for pair in operands.chunks_exact(2) {
                        if let (Some((length, code)), Some(text)) = (code(&pair[0]), pair[1].text()) {
                            map.put(length, code, letters(text));
                        }
                    }
                }
                b"endbfrange" => {
                    for triple in operands.chunks_exact(3) {
                        map.range(triple);
                    }
                }
                b"endcidchar" => {
                    for pair in operands.chunks_exact(2) {
                        if let (Some(code), Some(cid)) = (code(&pair[0]), pair[1].int())
                            && map.cids.len() < MAPPINGS_MAX
                        {
                            map.cids.insert(code, u32::try_from(cid).unwrap_or(0));
                        }
                    }
                }
                b"endcidrange" => {
                    for triple in operands.chunks_exact(3) {
                        if let (Some((length, low)), Some((_, high)), Some(cid)) =
                            (code(&triple[0]), code(&triple[1]), triple[2].int())
                        {
                            let cid = u32::try_from(cid).unwrap_or(0);
                            for (index, code) in (low..=high).enumerate() {
                                map.written += 1;
                                if map.written >= MAPPINGS_MAX {
                                    break;
                                }
                                let index = u32::try_from(index).unwrap_or(0);
                                map.cids.insert((length, code), cid.saturating_add(index));
                            }
                        }
                    }
                }
                _ => {}
            }
            operands.clear();
        }
        map
    }

    fn put(&mut self, length: usize, code: u32, text: String) {
        self.written += 1;
        if self.written <= MAPPINGS_MAX {
            self.texts.insert((length, code), text);
        }
    }

    fn range(&mut self, triple: &[Object]) {
        let (Some((length, low)), Some((_, high))) = (code(&triple[0]), code(&triple[1])) else { return };
        match &triple[2] {
            Object::Array(items) => {
                for (code, item) in (low..=high).zip(items.iter()) {
                    if self.written >= MAPPINGS_MAX {
                        break;
                    }
                    self.put(length, code, letters(item.text().unwrap_or_default()));
                }
            }
            Object::Text(text) => {
                let text = letters(text);
                let Some(last) = text.chars().last() else { return };
                let head = &text[..text.len() - last.len_utf8()];
                for (index, code) in (0u32..=0xffff).zip(low..=high) {
                    if self.written >= MAPPINGS_MAX {
                        break;
                    }
                    if let Some(letter) = u32::from(last).checked_add(index).and_then(char::from_u32) {
                        self.put(length, code, format!("{head}{letter}"));
                    }
                }
            }
            _ => {}
        }
    }

    /// The code at the beginning of a string, which is not empty, and its length.
    pub(crate) fn code(&self, bytes: &[u8]) -> (u32, usize) {
        let mut code = 0u32;
        for (index, byte) in bytes.iter().take(4).enumerate() {
            code = code << 8 | u32::from(*byte);
            let length = index + 1;
            if self.ranges.iter().any(|(len, low, high)| *len == length && (*low..=*high).contains(&code)) {
                return (code, length);
            }
        }
        let length = self.ranges.iter().map(|(length, ..)| *length).min().unwrap_or(2).min(bytes.len());
        (bytes[..length].iter().fold(0, |code, byte| code << 8 | u32::from(*byte)), length)
    }

    pub(crate) fn cid(&self, code: u32, length: usize) -> Option<u32> {
        self.cids.get(&(length, code)).copied()
    }

    pub(crate) fn text(&self, code: u32, length: usize) -> Option<&str> {
        // Some writers give one-byte codes two bytes here.
        self.texts
            .get(&(length, code))
            .or_else(|| self.texts.get(&(3 - length.min(2), code)))
            .map(String::as_str)
    }
}

/// A code, and its length in bytes.
fn code(object: &Object) -> Option<(usize, u32)> {
    let bytes = object.text()?;
    let value = bytes.iter().try_fold(0u32, |code, byte| Some(code.checked_mul(256)? + u32::from(*byte)))?;
    (1..=4).contains(&bytes.len()).then_some((bytes.len(), value))
}

/// UTF-16, big-endian; a single byte is a character by itself.
fn letters(bytes: &[u8]) -> String {
    if let [byte] = bytes {
        return char::from(*byte).to_string();
    }
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .take(LETTERS_MAX)
        .map(|letter| letter.unwrap_or('\u{fffd}'))
        .filter(|letter| *letter != '\0')
        .collect()
}
