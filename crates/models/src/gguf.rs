//! A strict reader of a GGUF file's header.
//!
//! It runs before llama.cpp does, because llama.cpp's own reader has had overflows that a crafted
//! file reached (CVE-2025-53630, CVE-2026-27940, CVE-2026-33298). So every count and length has a limit
//! here, arithmetic is checked, tensors must lie end to end inside the file, and whatever two readers
//! could understand differently (a NUL in a string, a key twice, a boolean of 2) is refused.
//!
//! Memory stays bounded whatever the file says: nothing is allocated for bytes that the file does not
//! have, arrays are walked and only counted, and kept strings have a limit in total.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// The longest header, in bytes: metadata and tensor descriptions. Vocabularies of 300,000 tokens take 15 MiB.
pub const HEADER_BYTES_MAX: u64 = 64 << 20;
/// Metadata entries.
pub const KEYS_MAX: u64 = 4096;
/// Bytes of a metadata key.
pub const KEY_BYTES_MAX: u64 = 256;
/// Bytes of a string value that stands alone, as a chat template.
pub const STRING_BYTES_MAX: u64 = 4 << 20;
/// Bytes of all keys and string values that stand alone.
pub const METADATA_BYTES_MAX: u64 = 16 << 20;
/// Items of an array.
pub const ARRAY_ITEMS_MAX: u64 = 4 << 20;
/// Bytes of a string in an array; vocabulary tokens have [`TOKEN_BYTES_MAX`].
pub const ITEM_BYTES_MAX: u64 = 64 << 10;
/// Tokens of a vocabulary.
pub const TOKENS_MAX: u64 = 1 << 20;
/// Bytes of a vocabulary token's spelling.
pub const TOKEN_BYTES_MAX: u64 = 4096;
/// Tensors.
pub const TENSORS_MAX: u64 = 1 << 16;
/// Bytes of a tensor's name: llama.cpp keeps them in 64 bytes with a NUL.
pub const TENSOR_NAME_BYTES_MAX: u64 = 63;
/// Dimensions of a tensor.
pub const DIMENSIONS_MAX: u32 = 4;
/// The largest alignment of tensor data, in bytes.
pub const ALIGNMENT_MAX: u32 = 1 << 16;
/// Layers: llama.cpp sizes tables by it.
pub const LAYERS_MAX: u64 = 512;

/// Reads and checks the header of a file, from its beginning, against the file's length.
///
/// The source is left at an arbitrary position.
pub fn read<S: Read + Seek>(source: &mut S) -> Result<Gguf, GgufError> {
    let file_len = source
        .seek(SeekFrom::End(0))
        .and_then(|file_len| source.rewind().map(|()| file_len))
        .map_err(|source| GgufError::Read { at: 0, source })?;
    let mut header = Header {
        source: BufReader::with_capacity(1 << 18, source),
        at: 0,
        file_len,
        kept: 0,
    };
    if header.bytes::<4>()? != *b"GGUF" {
        return Err(GgufError::NotGguf);
    }
    let version = header.u32()?;
    if !(2..=3).contains(&version) {
        return Err(GgufError::Version(version));
    }
    let tensor_count = limited("tensors", header.u64()?, TENSORS_MAX)?;
    let key_count = limited("metadata entries", header.u64()?, KEYS_MAX)?;

    let mut metadata = BTreeMap::new();
    for _ in 0..key_count {
        let key = header.name("metadata key", KEY_BYTES_MAX)?;
        let value = header.value(&key)?;
        if metadata.contains_key(&key) {
            return Err(GgufError::DuplicateKey(key));
        }
        metadata.insert(key, value);
    }
    let facts = facts(&metadata)?;

    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    let mut data_bytes = 0u64;
    for _ in 0..tensor_count {
        let tensor = header.tensor()?;
        if !names.insert(tensor.name.clone()) {
            return Err(GgufError::DuplicateTensor(tensor.name));
        }
        // llama.cpp expects tensors end to end in the order of their descriptions; that also
        // rules out overlaps and bytes nobody accounts for.
        if tensor.offset != data_bytes {
            return Err(GgufError::Offset { tensor: tensor.name, offset: tensor.offset, expected: data_bytes });
        }
        data_bytes = tensor
            .bytes
            .checked_next_multiple_of(facts.alignment)
            .and_then(|padded| padded.checked_add(data_bytes))
            .ok_or_else(|| GgufError::TensorOverflow(tensor.name.clone()))?;
        tensors.push(tensor);
    }
    let Some(last) = tensors.last() else { return Err(GgufError::NoTensors) };

    // Bounded by HEADER_BYTES_MAX and ALIGNMENT_MAX: no overflow.
    let data_offset = header.at.next_multiple_of(facts.alignment);
    let end = data_offset
        .checked_add(last.offset)
        .and_then(|start| start.checked_add(last.bytes))
        .ok_or_else(|| GgufError::TensorOverflow(last.name.clone()))?;
    if end > file_len {
        return Err(GgufError::BeyondEnd { tensor: last.name.clone(), end, file_len });
    }
    // The last tensor may or may not be padded; nothing else may follow it.
    if file_len - end >= facts.alignment {
        return Err(GgufError::Trailing(file_len - end));
    }
    Ok(Gguf { version, metadata, tensors, data_offset, vocabulary: facts.vocabulary })
}

/// What a GGUF's header says. Metadata and tensors are within the limits of this module.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// 2 or 3.
    pub version: u32,
    /// Every metadata entry; arrays are only counted.
    pub metadata: BTreeMap<String, Value>,
    /// In the order of the file, end to end.
    pub tensors: Vec<Tensor>,
    /// Where tensor data begins, in bytes from the file's beginning.
    pub data_offset: u64,
    vocabulary: u32,
}

impl Gguf {
    /// `general.architecture`, as `llama` or `qwen2`.
    pub fn architecture(&self) -> &str {
        self.text("general.architecture").unwrap_or_default()
    }

    /// `general.name`.
    pub fn name(&self) -> Option<&str> {
        self.text("general.name")
    }

    /// The chat template's text, in Jinja.
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// Tokens of context the model was trained for.
    pub fn context_length(&self) -> Option<u64> {
        self.number("context_length")
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// Bytes that the key and the value of one token of context take, both in 16 bits; `None` where
    /// the metadata does not say.
    pub fn kv_bytes_per_token(&self) -> Option<u64> {
        let heads = self.number("attention.head_count")?;
        let heads_kv = self.number("attention.head_count_kv").unwrap_or(heads);
        let head_width = self.number("embedding_length")?.checked_div(heads)?;
        let key_width = self.number("attention.key_length").unwrap_or(head_width);
        let value_width = self.number("attention.value_length").unwrap_or(head_width);
        let widths = key_width.checked_add(value_width)?;
        self.number("block_count")?.checked_mul(heads_kv)?.checked_mul(widths)?.checked_mul(2)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.metadata.get(&format!("{}.{key}", self.architecture()))?.unsigned()
    }
}

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "named by their types")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// UTF-8 without NUL.
    String(String),
    U64(u64),
    I64(i64),
    F64(f64),
    /// Its items are walked, checked and dropped.
    Array {
        kind: ValueKind,
        items: u64,
    },
}

impl Value {
    /// The value of any unsigned integer type.
    pub fn unsigned(&self) -> Option<u64> {
        match *self {
            Value::U8(number) => Some(number.into()),
            Value::U16(number) => Some(number.into()),
            Value::U32(number) => Some(number.into()),
            Value::U64(number) => Some(number),
            _ => None,
        }
    }
}

/// The type of a metadata value, by its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by their types")]
pub enum ValueKind {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueKind {
    fn of(number: u32) -> Option<Self> {
        use ValueKind::*;
        [U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }

    /// Bytes of a value; `None` where they vary.
    fn bytes(self) -> Option<u64> {
        use ValueKind::*;
        match self {
            U8 | I8 | Bool => Some(1),
            U16 | I16 => Some(2),
            U32 | I32 | F32 => Some(4),
            U64 | I64 | F64 => Some(8),
            String | Array => None,
        }
    }
}

/// A tensor's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Unique, printable ASCII.
    pub name: String,
    /// One to four, none of them 0; rows first.
    pub dimensions: Vec<u64>,
    /// How its numbers are stored.
    pub kind: &'static TensorKind,
    /// From [`Gguf::data_offset`], in bytes.
    pub offset: u64,
    /// Length of its data, without padding.
    pub bytes: u64,
}

/// A ggml tensor type.
#[derive(Debug, PartialEq, Eq)]
pub struct TensorKind {
    /// Its number in the file.
    pub number: u32,
    /// As ggml spells it.
    pub name: &'static str,
    /// Numbers that are stored together; a row holds whole blocks.
    pub block_items: u64,
    /// Bytes of a block.
    pub block_bytes: u64,
}

/// Every type that ggml reads today. Those it has removed (4, 5, 31 to 33, 36 to 38) are absent: a
/// block of theirs is 0 bytes to it.
pub static TENSOR_KINDS: [TensorKind; 35] = [
    kind(0, "F32", 1, 4),
    kind(1, "F16", 1, 2),
    kind(2, "Q4_0", 32, 18),
    kind(3, "Q4_1", 32, 20),
    kind(6, "Q5_0", 32, 22),
    kind(7, "Q5_1", 32, 24),
    kind(8, "Q8_0", 32, 34),
    kind(9, "Q8_1", 32, 36),
    kind(10, "Q2_K", 256, 84),
    kind(11, "Q3_K", 256, 110),
    kind(12, "Q4_K", 256, 144),
    kind(13, "Q5_K", 256, 176),
    kind(14, "Q6_K", 256, 210),
    kind(15, "Q8_K", 256, 292),
    kind(16, "IQ2_XXS", 256, 66),
    kind(17, "IQ2_XS", 256, 74),
    kind(18, "IQ3_XXS", 256, 98),
    kind(19, "IQ1_S", 256, 50),
    kind(20, "IQ4_NL", 32, 18),
    kind(21, "IQ3_S", 256, 110),
    kind(22, "IQ2_S", 256, 82),
    kind(23, "IQ4_XS", 256, 136),
    kind(24, "I8", 1, 1),
    kind(25, "I16", 1, 2),
    kind(26, "I32", 1, 4),
    kind(27, "I64", 1, 8),
    kind(28, "F64", 1, 8),
    kind(29, "IQ1_M", 256, 56),
    kind(30, "BF16", 1, 2),
    kind(34, "TQ1_0", 256, 54),
    kind(35, "TQ2_0", 256, 66),
    kind(39, "MXFP4", 32, 17),
    kind(40, "NVFP4", 64, 36),
    kind(41, "Q1_0", 128, 18),
    kind(42, "Q2_0", 64, 18),
];

const fn kind(number: u32, name: &'static str, block_items: u64, block_bytes: u64) -> TensorKind {
    TensorKind { number, name, block_items, block_bytes }
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is in the message")]
pub enum GgufError {
    /// The source failed.
    #[error("cannot read the model's header at byte {at}")]
    Read { at: u64, source: io::Error },
    /// Wrong magic.
    #[error("not a GGUF file: it does not begin with `GGUF`")]
    NotGguf,
    /// Only little-endian 2 and 3 are known.
    #[error("GGUF version {0} is not supported: only 2 and 3, little-endian, are")]
    Version(u32),
    /// The file ends inside the header.
    #[error("the header ends early: {needed} bytes are needed at byte {at} of {file_len}")]
    Truncated { at: u64, needed: u64, file_len: u64 },
    /// See [`HEADER_BYTES_MAX`].
    #[error("the header is longer than {HEADER_BYTES_MAX} bytes")]
    HeaderTooLong,
    /// See [`METADATA_BYTES_MAX`].
    #[error("the metadata holds more than {METADATA_BYTES_MAX} bytes of text")]
    MetadataTooLong,
    /// A count over its limit.
    #[error("too many {what}: {count}, the limit is {max}")]
    TooMany { what: &'static str, count: u64, max: u64 },
    /// A text over its limit.
    #[error("a {what} near byte {at} has {bytes} bytes, the limit is {max}")]
    TooLong { what: &'static str, at: u64, bytes: u64, max: u64 },
    /// A key or a tensor's name is empty or has other than printable ASCII characters.
    #[error("a {what} near byte {at} is empty or not printable ASCII")]
    Name { what: &'static str, at: u64 },
    /// A string is not UTF-8.
    #[error("a string of `{key}` is not UTF-8")]
    NotUtf8 { key: String },
    /// llama.cpp would cut the string there.
    #[error("the string `{key}` contains a NUL")]
    Nul { key: String },
    /// The second entry would hide the first, or be hidden by it.
    #[error("the key `{0}` occurs twice")]
    DuplicateKey(String),
    /// An unknown type of value.
    #[error("`{key}` has the unknown value type {number}")]
    ValueKind { key: String, number: u32 },
    /// Arrays hold plain values only.
    #[error("`{key}` is an array of arrays")]
    NestedArray { key: String },
    /// Neither 0 nor 1.
    #[error("`{key}` is a boolean of value {value}")]
    Bool { key: String, value: u8 },
    /// A key that must be there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A key that must have another type.
    #[error("`{key}` must be {expected}")]
    WrongKind { key: String, expected: &'static str },
    /// A number outside its range.
    #[error("`{key}` is {value}; it must be from 1 to {max}")]
    Range { key: String, value: u64, max: u64 },
    /// See [`ALIGNMENT_MAX`].
    #[error("the alignment {0} is not a power of two from 8 to {ALIGNMENT_MAX}")]
    Alignment(u32),
    /// One file of several.
    #[error("this is one of {0} files of a split model: join them first, as with `llama-gguf-split --merge`")]
    Split(u64),
    /// Something per token that is not there for every token.
    #[error("`{key}` has {items} items for {tokens} tokens")]
    VocabularyLength { key: String, items: u64, tokens: u32 },
    /// llama.cpp aborts on it.
    #[error("token {number} is spelled like a token before it")]
    DuplicateToken { number: u64 },
    /// A special token outside the vocabulary.
    #[error("`{key}` is {id}; the vocabulary has {tokens} tokens")]
    SpecialToken { key: String, id: u32, tokens: u32 },
    /// A vocabulary without weights.
    #[error("the file holds no tensors")]
    NoTensors,
    /// Two tensors of one name.
    #[error("the tensor `{0}` occurs twice")]
    DuplicateTensor(String),
    /// See [`DIMENSIONS_MAX`].
    #[error("the tensor `{tensor}` has {count} dimensions; 1 to {DIMENSIONS_MAX} are allowed")]
    Dimensions { tensor: String, count: u32 },
    /// A tensor without numbers.
    #[error("the tensor `{0}` has a dimension of 0")]
    EmptyTensor(String),
    /// Its size does not fit 63 bits.
    #[error("the size of the tensor `{0}` overflows")]
    TensorOverflow(String),
    /// Not in [`TENSOR_KINDS`].
    #[error("the tensor `{tensor}` has the unknown type {number}")]
    TensorKind { tensor: String, number: u32 },
    /// A row ends inside a block.
    #[error("the tensor `{tensor}` has rows of {items}, not a multiple of its block of {block_items}")]
    Row { tensor: String, items: u64, block_items: u64 },
    /// A gap, an overlap, or disorder.
    #[error("the tensor `{tensor}` begins at {offset}; expected {expected}, behind the one before it")]
    Offset { tensor: String, offset: u64, expected: u64 },
    /// Data that the file does not have.
    #[error("the tensor `{tensor}` ends at byte {end}; the file has {file_len} (a copy that was cut off?)")]
    BeyondEnd { tensor: String, end: u64, file_len: u64 },
    /// Bytes that belong to nothing.
    #[error("{0} bytes follow the last tensor")]
    Trailing(u64),
}

/// The header as it is walked. Every read is checked against the file's length first, so that no
/// allocation exceeds what the file has.
struct Header<S> {
    source: BufReader<S>,
    /// Bytes consumed.
    at: u64,
    file_len: u64,
    /// Bytes of text kept in the metadata.
    kept: u64,
}

impl<S: Read + Seek> Header<S> {
    fn value(&mut self, key: &str) -> Result<Value, GgufError> {
        let kind = self.kind(key)?;
        Ok(match kind {
            ValueKind::U8 => Value::U8(u8::from_le_bytes(self.bytes()?)),
            ValueKind::I8 => Value::I8(i8::from_le_bytes(self.bytes()?)),
            ValueKind::U16 => Value::U16(u16::from_le_bytes(self.bytes()?)),
            ValueKind::I16 => Value::I16(i16::from_le_bytes(self.bytes()?)),
            ValueKind::U32 => Value::U32(self.u32()?),
            ValueKind::I32 => Value::I32(i32::from_le_bytes(self.bytes()?)),
            ValueKind::F32 => Value::F32(f32::from_le_bytes(self.bytes()?)),
            ValueKind::U64 => Value::U64(self.u64()?),
            ValueKind::I64 => Value::I64(i64::from_le_bytes(self.bytes()?)),
            ValueKind::F64 => Value::F64(f64::from_le_bytes(self.bytes()?)),
            ValueKind::Bool => match self.bytes::<1>()? {
                [value @ (0 | 1)] => Value::Bool(value == 1),
                [value] => return Err(GgufError::Bool { key: key.to_owned(), value }),
            },
            ValueKind::String => {
                let text = self.text("string value", STRING_BYTES_MAX, key)?;
                if text.contains('\0') {
                    return Err(GgufError::Nul { key: key.to_owned() });
                }
                self.keep(text.len())?;
                Value::String(text)
            }
            ValueKind::Array => self.array(key)?,
        })
    }

    fn array(&mut self, key: &str) -> Result<Value, GgufError> {
        let kind = self.kind(key)?;
        let vocabulary = key == TOKENS;
        let max = if vocabulary { TOKENS_MAX } else { ARRAY_ITEMS_MAX };
        let items = limited(if vocabulary { "tokens" } else { "array items" }, self.u64()?, max)?;
        match kind {
            ValueKind::Array => return Err(GgufError::NestedArray { key: key.to_owned() }),
            ValueKind::String if vocabulary => self.vocabulary(items)?,
            ValueKind::String => {
                for _ in 0..items {
                    self.text("string in an array", ITEM_BYTES_MAX, key)?;
                }
            }
            ValueKind::Bool => {
                for _ in 0..items {
                    if let [value @ 2..=u8::MAX] = self.bytes::<1>()? {
                        return Err(GgufError::Bool { key: key.to_owned(), value });
                    }
                }
            }
            fixed => self.skip(items * fixed.bytes().unwrap_or_default())?,
        }
        Ok(Value::Array { kind, items })
    }

    /// llama.cpp keeps a table from spelling to token and aborts when two tokens share one.
    fn vocabulary(&mut self, items: u64) -> Result<(), GgufError> {
        let mut spellings = HashSet::new();
        for number in 0..items {
            let mut spelling = self.text("token", TOKEN_BYTES_MAX, TOKENS)?;
            // As llama.cpp does: it sees a C string, and names tokens without a spelling itself.
            spelling.truncate(spelling.find('\0').unwrap_or(spelling.len()));
            if spelling.is_empty() {
                spelling = format!("[EMPTY_{number}]");
            }
            if !spellings.insert(spelling) {
                return Err(GgufError::DuplicateToken { number });
            }
        }
        Ok(())
    }

    fn tensor(&mut self) -> Result<Tensor, GgufError> {
        let name = self.name("tensor's name", TENSOR_NAME_BYTES_MAX)?;
        let count = self.u32()?;
        if !(1..=DIMENSIONS_MAX).contains(&count) {
            return Err(GgufError::Dimensions { tensor: name, count });
        }
        let mut dimensions = Vec::new();
        let mut items = 1u64;
        for _ in 0..count {
            let dimension = self.u64()?;
            if dimension == 0 {
                return Err(GgufError::EmptyTensor(name));
            }
            // llama.cpp counts in signed 64 bits.
            items = match items.checked_mul(dimension) {
                Some(items) if i64::try_from(items).is_ok() => items,
                _ => return Err(GgufError::TensorOverflow(name)),
            };
            dimensions.push(dimension);
        }
        let number = self.u32()?;
        let Some(kind) = TENSOR_KINDS.iter().find(|kind| kind.number == number) else {
            return Err(GgufError::TensorKind { tensor: name, number });
        };
        if !dimensions[0].is_multiple_of(kind.block_items) {
            return Err(GgufError::Row { tensor: name, items: dimensions[0], block_items: kind.block_items });
        }
        let bytes = match (items / kind.block_items).checked_mul(kind.block_bytes) {
            Some(bytes) if i64::try_from(bytes).is_ok() => bytes,
            _ => return Err(GgufError::TensorOverflow(name)),
        };
        let offset = self.u64()?;
        Ok(Tensor { name, dimensions, kind, offset, bytes })
    }

    fn kind(&mut self, key: &str) -> Result<ValueKind, GgufError> {
        let number = self.u32()?;
        ValueKind::of(number).ok_or_else(|| GgufError::ValueKind { key: key.to_owned(), number })
    }

    /// A key or a tensor's name: C++ compares them as C strings, people read them in errors.
    fn name(&mut self, what: &'static str, bytes_max: u64) -> Result<String, GgufError> {
        let at = self.at;
        let bytes = self.string(what, bytes_max)?;
        self.keep(bytes.len())?;
        match String::from_utf8(bytes) {
            Ok(name) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(name),
            _ => Err(GgufError::Name { what, at }),
        }
    }

    fn text(&mut self, what: &'static str, bytes_max: u64, key: &str) -> Result<String, GgufError> {
        let bytes = self.string(what, bytes_max)?;
        String::from_utf8(bytes).map_err(|_| GgufError::NotUtf8 { key: key.to_owned() })
    }

    fn string(&mut self, what: &'static str, max: u64) -> Result<Vec<u8>, GgufError> {
        let at = self.at;
        let len = self.u64()?;
        if len > max {
            return Err(GgufError::TooLong { what, at, bytes: len, max });
        }
        self.claim(len)?;
        let mut bytes = Vec::new();
        let read = self.source.by_ref().take(len).read_to_end(&mut bytes);
        match read {
            Ok(read) if read == bytes.len() && u64::try_from(read) == Ok(len) => Ok(bytes),
            // The file is shorter than its stated length.
            Ok(_) => Err(GgufError::Truncated { at, needed: len, file_len: self.file_len }),
            Err(source) => Err(GgufError::Read { at, source }),
        }
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let at = self.at;
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|source| GgufError::Read { at, source })?;
        Ok(bytes)
    }

    fn skip(&mut self, len: u64) -> Result<(), GgufError> {
        let at = self.at;
        self.claim(len)?;
        let mut left = usize::try_from(len).map_err(|_| GgufError::HeaderTooLong)?;
        while left > 0 {
            let buffered = self.source.fill_buf().map_err(|source| GgufError::Read { at, source })?.len();
            if buffered == 0 {
                return Err(GgufError::Truncated { at, needed: len, file_len: self.file_len });
            }
            let step = buffered.min(left);
            self.source.consume(step);
            left -= step;
        }
        Ok(())
    }

    /// Counts bytes as consumed, if the file has them and the header may be that long.
    fn claim(&mut self, len: u64) -> Result<(), GgufError> {
        // `at` is at most HEADER_BYTES_MAX, `len` at most STRING_BYTES_MAX or ARRAY_ITEMS_MAX values.
        let end = self.at + len;
        if end > self.file_len {
            return Err(GgufError::Truncated { at: self.at, needed: len, file_len: self.file_len });
        }
        if end > HEADER_BYTES_MAX {
            return Err(GgufError::HeaderTooLong);
        }
        self.at = end;
        Ok(())
    }

    fn keep(&mut self, len: usize) -> Result<(), GgufError> {
        self.kept += len as u64;
        if self.kept > METADATA_BYTES_MAX { Err(GgufError::MetadataTooLong) } else { Ok(()) }
    }
}

fn limited(what: &'static str, count: u64, max: u64) -> Result<u64, GgufError> {
    if count > max { Err(GgufError::TooMany { what, count, max }) } else { Ok(count) }
}

const TOKENS: &str = "tokenizer.ggml.tokens";

/// What the metadata must say before tensors can be read.
struct Facts {
    alignment: u64,
    vocabulary: u32,
}

fn facts(metadata: &BTreeMap<String, Value>) -> Result<Facts, GgufError> {
    let architecture = text(metadata, "general.architecture")?
        .filter(|name| !name.is_empty())
        .ok_or_else(|| GgufError::Missing("general.architecture".to_owned()))?;
    text(metadata, "general.name")?;
    text(metadata, "tokenizer.chat_template")?;

    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::U32(alignment)) => *alignment,
        Some(_) => return Err(wrong("general.alignment", "a u32")),
    };
    if !alignment.is_power_of_two() || !(8..=ALIGNMENT_MAX).contains(&alignment) {
        return Err(GgufError::Alignment(alignment));
    }
    if let Some(count) = metadata.get("split.count") {
        match count.unsigned() {
            Some(0 | 1) => {}
            Some(count) => return Err(GgufError::Split(count)),
            None => return Err(wrong("split.count", "an unsigned number")),
        }
    }
    for (name, max) in
        [("block_count", LAYERS_MAX), ("embedding_length", 1 << 20), ("context_length", i32::MAX as u64)]
    {
        let key = format!("{architecture}.{name}");
        match metadata.get(&key) {
            None => {}
            Some(Value::U32(value)) if (1..=max).contains(&u64::from(*value)) => {}
            Some(Value::U32(value)) => return Err(GgufError::Range { key, value: u64::from(*value), max }),
            Some(_) => return Err(GgufError::WrongKind { key, expected: "a u32" }),
        }
    }
    Ok(Facts { alignment: alignment.into(), vocabulary: vocabulary(metadata)? })
}

/// The number of tokens, with everything that llama.cpp reads by a token's number checked against it.
fn vocabulary(metadata: &BTreeMap<String, Value>) -> Result<u32, GgufError> {
    let tokens = match metadata.get(TOKENS) {
        None => return Err(GgufError::Missing(TOKENS.to_owned())),
        Some(Value::Array { kind: ValueKind::String, items: items @ 1.. }) => {
            u32::try_from(*items).unwrap_or(u32::MAX)
        }
        Some(_) => return Err(wrong(TOKENS, "an array of strings, not empty")),
    };
    for (key, kinds, expected) in [
        ("tokenizer.ggml.scores", &[ValueKind::F32, ValueKind::I32][..], "an array of f32 or i32"),
        ("tokenizer.ggml.token_type", &[ValueKind::I32][..], "an array of i32"),
    ] {
        match metadata.get(key) {
            None => {}
            Some(Value::Array { kind, items }) if kinds.contains(kind) => {
                if *items != u64::from(tokens) {
                    return Err(GgufError::VocabularyLength { key: key.to_owned(), items: *items, tokens });
                }
            }
            Some(_) => return Err(wrong(key, expected)),
        }
    }
    // All of them: bos, eos, eot, padding, fim_pre, …, and the older prefix, suffix and middle.
    for (key, value) in metadata {
        if key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id") {
            match value {
                Value::U32(id) if *id < tokens => {}
                Value::U32(id) => {
                    return Err(GgufError::SpecialToken { key: key.clone(), id: *id, tokens });
                }
                _ => return Err(wrong(key, "a u32")),
            }
        }
    }
    Ok(tokens)
}

fn text<'a>(metadata: &'a BTreeMap<String, Value>, key: &str) -> Result<Option<&'a str>, GgufError> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(key, "a string")),
    }
}

fn wrong(key: &str, expected: &'static str) -> GgufError {
    GgufError::WrongKind { key: key.to_owned(), expected }
}

#[cfg(test)]
mod tests;
