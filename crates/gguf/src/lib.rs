//! GGUF files, read strictly: what the reader refuses, no C++ ever sees. [`inspect`] shows what is in a file
//! before anybody trusts it.
//!
//! The reader reads metadata and tensor descriptions with every count, length, product and offset checked against
//! a limit and against the file, and keeps scalars and strings only; of arrays it keeps the element type
//! and the length. Whoever wants more of an array watches while it is read ([`inspect`]).
//! Format: GGUF versions 2 and 3, little-endian. It does not read weights; inspection samples them.

pub mod inspect;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufReader, Read, Seek, SeekFrom};

const MAGIC: [u8; 4] = *b"GGUF";
const METADATA_MAX: u64 = 4096;
const TENSORS_MAX: u64 = 65_536;
const KEY_BYTES_MAX: u64 = 256;
/// llama.cpp keeps a tensor's name in 64 bytes, with a NUL.
const NAME_BYTES_MAX: u64 = 63;
const STRING_BYTES_MAX: u64 = 1 << 20;
const TOKEN_BYTES_MAX: u64 = 1024;
const ARRAY_LEN_MAX: u64 = 1 << 22;
const TOKENS: &str = "tokenizer.ggml.tokens";
const ALIGNMENT: &str = "general.alignment";
/// Rows that PLaMo-2's tokenizer may need for all suffixes of all tokens, by their bytes. It counts them in 31
/// bits; vocabularies of today come to some ten million.
const SUFFIX_ROWS_MAX: u64 = 1 << 28;
const DIMENSIONS_MAX: u32 = 4;
/// llama.cpp has arrays for so many.
const LAYERS_MAX: u64 = 512;
const ALIGNMENT_MAX: u64 = 1 << 16;
const ALIGNMENT_DEFAULT: u64 = 32;
/// Bytes of the whole header: the largest vocabularies known take about 12 MB.
const HEADER_BYTES_MAX: u64 = 128 << 20;

/// A header that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    /// 2 or 3.
    pub version: u32,
    /// Metadata by key.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Where the weights begin.
    pub data_offset: u64,
}

/// A metadata value; of arrays the element type and the length only.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any of the unsigned integers.
    Unsigned(u64),
    /// Any of the signed integers.
    Signed(i64),
    /// Either of the floats.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    String(String),
    /// An array.
    Array {
        /// GGUF's number of the elements' type.
        element: u32,
        /// How many.
        len: u64,
    },
}

/// A tensor's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Unique in the file.
    pub name: String,
    /// Lengths, fastest first.
    pub dimensions: Vec<u64>,
    /// ggml's number of its type.
    pub kind: u32,
    /// From [`Gguf::data_offset`].
    pub offset: u64,
    /// Bytes it takes.
    pub bytes: u64,
}

/// Why a header is refused, and at which byte.
#[derive(Debug, thiserror::Error)]
#[error("not an acceptable GGUF file: {reason} (at byte {offset})")]
pub struct GgufError {
    /// What is wrong.
    pub reason: Reason,
    /// Where it was noticed.
    pub offset: u64,
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is something else.
    #[error("it does not begin with GGUF")]
    Magic,
    /// Another version, or big-endian.
    #[error("version {0} is not supported: 2 and 3 are")]
    Version(u32),
    /// Something is more than it may be.
    #[error("{what} is {value}, more than {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// As stated.
        value: u64,
        /// As allowed.
        limit: u64,
    },
    /// A text is not UTF-8 or holds NUL.
    #[error("{0} is not valid text")]
    Text(&'static str),
    /// A type's number is unknown.
    #[error("{what} {value} is unknown")]
    Unknown {
        /// What.
        what: &'static str,
        /// Its number.
        value: u32,
    },
    /// A value has no meaning.
    #[error("{0}")]
    Invalid(String),
}

/// Sees of arrays what [`read`] does not keep, while the same checks are made.
pub(crate) trait Watch {
    /// How many of an array's first elements it wants to see.
    fn wanted(&self, key: &str) -> u64;
    /// One of them; strings are passed as far as they are UTF-8.
    fn element(&mut self, key: &str, number: u64, element: Value);
    /// A token's spelling.
    fn token(&mut self, number: u64, spelling: &[u8]);
}

/// Who reads for the header alone.
struct Nobody;

impl Watch for Nobody {
    fn wanted(&self, _: &str) -> u64 {
        0
    }

    fn element(&mut self, _: &str, _: u64, _: Value) {}

    fn token(&mut self, _: u64, _: &[u8]) {}
}

/// Reads and checks a header. `source` is read from its beginning and left at its beginning.
pub fn read(source: &mut (impl Read + Seek)) -> Result<Gguf, GgufError> {
    read_as(source, false, &mut Nobody)
}

/// The same for a LoRA adapter, which says that it is one, and has no vocabulary of its own.
pub fn read_adapter(source: &mut (impl Read + Seek)) -> Result<Gguf, GgufError> {
    read_as(source, true, &mut Nobody)
}

/// As [`read`] does, and shows `watch` what is in the arrays.
pub(crate) fn read_watched(
    source: &mut (impl Read + Seek),
    watch: &mut dyn Watch,
) -> Result<Gguf, GgufError> {
    read_as(source, false, watch)
}

fn read_as(source: &mut (impl Read + Seek), adapter: bool, watch: &mut dyn Watch) -> Result<Gguf, GgufError> {
    let failed = |error: std::io::Error| GgufError { reason: error.into(), offset: 0 };
    let file_bytes = source.seek(SeekFrom::End(0)).map_err(failed)?;
    source.seek(SeekFrom::Start(0)).map_err(failed)?;
    let source_buffered = BufReader::with_capacity(1 << 16, &mut *source);
    let mut reader = Reader { source: source_buffered, offset: 0, file_bytes, adapter, watch };
    let header = reader.header().map_err(|reason| GgufError { reason, offset: reader.offset })?;
    drop(reader);
    source.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(header)
}

impl Gguf {
    /// `general.architecture`.
    pub fn architecture(&self) -> &str {
        self.string("general.architecture").unwrap_or_default()
    }

    /// `general.name`.
    pub fn name(&self) -> Option<&str> {
        self.string("general.name")
    }

    /// `tokenizer.chat_template`.
    pub fn chat_template(&self) -> Option<&str> {
        self.string("tokenizer.chat_template")
    }

    /// Tokens of context the model was trained for.
    pub fn context_length(&self) -> Option<u64> {
        match self.metadata.get(&format!("{}.context_length", self.architecture()))? {
            Value::Unsigned(tokens) => Some(*tokens),
            _ => None,
        }
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> u64 {
        self.array_len(TOKENS).unwrap_or(0)
    }

    /// A string of the metadata.
    pub fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn array_len(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            Value::Array { len, .. } => Some(*len),
            _ => None,
        }
    }

    /// Tensors begin at multiples of it.
    pub(crate) fn alignment(&self) -> u64 {
        match self.metadata.get(ALIGNMENT) {
            Some(Value::Unsigned(alignment)) => *alignment,
            _ => ALIGNMENT_DEFAULT,
        }
    }

    /// Checks that need the whole header.
    fn check(&self, file_bytes: u64, alignment: u64, adapter: bool) -> Result<(), Reason> {
        let invalid = |text: String| Err(Reason::Invalid(text));
        if self.architecture().is_empty() {
            return invalid("general.architecture is missing".to_owned());
        }
        if let Some(Value::Unsigned(parts @ 2..)) = self.metadata.get("split.count") {
            return invalid(format!(
                "it is one of {parts} parts: join them first (llama-gguf-split --merge)"
            ));
        }
        let layers = self.metadata.get(&format!("{}.block_count", self.architecture()));
        if layers.is_some_and(|layers| !matches!(layers, Value::Unsigned(1..=LAYERS_MAX))) {
            return invalid(format!(
                "{}.block_count is no number from 1 to {LAYERS_MAX}",
                self.architecture()
            ));
        }
        if adapter
            && (self.string("general.type") != Some("adapter") || self.string("adapter.type") != Some("lora"))
        {
            return invalid(
                "it does not say that it is a LoRA adapter (general.type, adapter.type)".to_owned(),
            );
        }
        let vocabulary = self.vocabulary();
        if vocabulary == 0 && !adapter {
            return invalid("it has no vocabulary (tokenizer.ggml.tokens)".to_owned());
        }
        for key in ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"] {
            if let Some(len) = self.array_len(key).filter(|&len| len != vocabulary) {
                return invalid(format!("{key} has {len} entries for {vocabulary} tokens"));
            }
        }
        for (key, value) in &self.metadata {
            let is_id = key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id");
            match value {
                Value::Unsigned(id) if is_id && *id >= vocabulary => {
                    return invalid(format!("{key} is {id}, outside the vocabulary of {vocabulary}"));
                }
                Value::Signed(id)
                    if is_id && !(-1..i64::try_from(vocabulary).unwrap_or(i64::MAX)).contains(id) =>
                {
                    return invalid(format!("{key} is {id}, outside the vocabulary of {vocabulary}"));
                }
                _ => {}
            }
        }
        // llama.cpp wants them end to end, in the order of their descriptions.
        let mut end: u64 = 0;
        for Tensor { name, offset, bytes, .. } in &self.tensors {
            let (offset, bytes) = (*offset, *bytes);
            if offset % alignment != 0 {
                return invalid(format!(
                    "tensor {name} begins at {offset}, which is not a multiple of {alignment}"
                ));
            }
            if offset < end {
                return invalid(format!("tensor {name} overlaps the one before it"));
            }
            let inside = offset
                .checked_add(bytes)
                .filter(|last| self.data_offset.checked_add(*last).is_some_and(|last| last <= file_bytes));
            let inside = inside
                .ok_or_else(|| Reason::Invalid(format!("tensor {name} reaches past the end of the file")))?;
            // `end` lies within the file, so padding it cannot overflow.
            if offset != end.next_multiple_of(alignment) {
                return invalid(format!("tensor {name} leaves a gap before it"));
            }
            end = inside;
        }
        Ok(())
    }
}

impl Tensor {
    /// Numbers in it.
    pub(crate) fn elements(&self) -> u64 {
        // The product was checked when it was read.
        self.dimensions.iter().product()
    }

    /// ggml's name of its type.
    pub(crate) fn kind_name(&self) -> &'static str {
        block(self.kind).map_or("unknown", |(name, ..)| name)
    }

    /// Elements and bytes of one block of it.
    pub(crate) fn block(&self) -> (u64, u64) {
        block(self.kind).map_or((1, 1), |(_, elements, bytes)| (elements, bytes))
    }
}

struct Reader<'w, R: Read> {
    source: R,
    offset: u64,
    file_bytes: u64,
    watch: &'w mut dyn Watch,
    /// Whether it must be an adapter.
    adapter: bool,
}

impl<R: Read> Reader<'_, R> {
    fn header(&mut self) -> Result<Gguf, Reason> {
        if self.bytes::<4>()? != MAGIC {
            return Err(Reason::Magic);
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(Reason::Version(version));
        }
        let tensor_count = self.limited("the number of tensors", TENSORS_MAX)?;
        let metadata_count = self.limited("the number of metadata entries", METADATA_MAX)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..metadata_count {
            let key = self.name("a metadata key", KEY_BYTES_MAX)?;
            let value = self.value(&key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(Reason::Invalid(format!("metadata key {key} appears twice")));
            }
        }
        let mut tensors = Vec::new();
        let mut names = BTreeSet::new();
        for _ in 0..tensor_count {
            let tensor = self.tensor()?;
            if !names.insert(tensor.name.clone()) {
                return Err(Reason::Invalid(format!("tensor {} appears twice", tensor.name)));
            }
            tensors.push(tensor);
        }
        let alignment = match metadata.get(ALIGNMENT) {
            None => ALIGNMENT_DEFAULT,
            Some(Value::Unsigned(alignment))
                if alignment.is_power_of_two() && (8..=ALIGNMENT_MAX).contains(alignment) =>
            {
                *alignment
            }
            Some(_) => {
                return Err(Reason::Invalid(format!(
                    "{ALIGNMENT} is not a power of two from 8 to {ALIGNMENT_MAX}"
                )));
            }
        };
        let header =
            Gguf { version, metadata, tensors, data_offset: self.offset.next_multiple_of(alignment) };
        header.check(self.file_bytes, alignment, self.adapter)?;
        Ok(header)
    }

    fn value(&mut self, key: &str) -> Result<Value, Reason> {
        let kind = self.u32()?;
        let elements = elements(key);
        if kind != 9 {
            if elements.is_some() {
                return Err(Reason::Invalid(format!("{key} is not an array")));
            }
            // llama.cpp has aborted on any other integer.
            if key == ALIGNMENT && kind != 4 {
                return Err(Reason::Invalid(format!("{key} is not an unsigned 32-bit integer")));
            }
            return self.scalar(kind);
        }
        let element = self.u32()?;
        if elements.is_some_and(|elements| !elements.contains(&element)) {
            return Err(Reason::Invalid(format!("{key} has elements of type {element}")));
        }
        let len = self.limited("the length of an array", ARRAY_LEN_MAX)?;
        let wanted = self.watch.wanted(key).min(len);
        match element {
            8 if key == TOKENS => self.tokens(len)?,
            8 => {
                let limit = if key.starts_with("tokenizer.") { TOKEN_BYTES_MAX } else { STRING_BYTES_MAX };
                for number in 0..len {
                    if number < wanted {
                        let text = self.raw_string("the length of a string in an array", limit)?;
                        let text = Value::String(String::from_utf8_lossy(&text).into_owned());
                        self.watch.element(key, number, text);
                    } else {
                        self.skip_string(limit)?;
                    }
                }
            }
            9 => return Err(Reason::Invalid(format!("{key} is an array of arrays"))),
            _ => {
                let bytes = scalar_bytes(element)?;
                for number in 0..wanted {
                    let value = self.scalar(element)?;
                    self.watch.element(key, number, value);
                }
                self.skip((len - wanted) * bytes)?;
            }
        }
        Ok(Value::Array { element, len })
    }

    fn scalar(&mut self, kind: u32) -> Result<Value, Reason> {
        Ok(match kind {
            0 => Value::Unsigned(u64::from(self.bytes::<1>()?[0])),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.bytes()?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.bytes()?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.bytes()?))),
            4 => Value::Unsigned(u64::from(self.u32()?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.bytes()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.bytes()?))),
            7 => match self.bytes::<1>()?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return Err(Reason::Invalid(format!("a boolean is {other}"))),
            },
            8 => Value::String(self.string("a metadata string", STRING_BYTES_MAX)?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            value => return Err(Reason::Unknown { what: "metadata type", value }),
        })
    }

    fn tensor(&mut self) -> Result<Tensor, Reason> {
        let name = self.name("a tensor's name", NAME_BYTES_MAX)?;
        let dimension_count = self.u32()?;
        if dimension_count == 0 || dimension_count > DIMENSIONS_MAX {
            return Err(Reason::Invalid(format!("tensor {name} has {dimension_count} dimensions")));
        }
        let mut dimensions = Vec::new();
        for _ in 0..dimension_count {
            dimensions.push(self.u64()?);
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        let bytes = tensor_bytes(&name, &dimensions, kind)?;
        Ok(Tensor { name, dimensions, kind, offset, bytes })
    }

    /// The vocabulary's spellings, which must differ: llama.cpp aborts where two tokens share one.
    fn tokens(&mut self, len: u64) -> Result<(), Reason> {
        let mut spellings = HashSet::new();
        let mut suffix_rows: u64 = 0;
        for number in 0..len {
            // Not all vocabularies are UTF-8. llama.cpp sees C strings, and names the empty ones itself.
            let mut spelling = self.raw_string("the length of a string in an array", TOKEN_BYTES_MAX)?;
            self.watch.token(number, &spelling);
            // llama.cpp has read the digits with their sign and written there.
            if let [b'<', b'0', b'x', digits @ .., b'>'] = spelling.as_slice()
                && digits.len() == 2
                && !digits.iter().all(u8::is_ascii_hexdigit)
            {
                return Err(Reason::Invalid(format!("token {number} is spelled like a byte and is none")));
            }
            // Lengths are limited, so this cannot overflow.
            suffix_rows += spelling.len() as u64 * (spelling.len() as u64 + 1) / 2;
            if suffix_rows > SUFFIX_ROWS_MAX {
                let what = "what the vocabulary's suffixes take";
                return Err(Reason::Limit { what, value: suffix_rows, limit: SUFFIX_ROWS_MAX });
            }
            spelling.truncate(spelling.iter().position(|&byte| byte == 0).unwrap_or(spelling.len()));
            if spelling.is_empty() {
                spelling = format!("[EMPTY_{number}]").into_bytes();
            }
            if !spellings.insert(spelling) {
                return Err(Reason::Invalid(format!("token {number} is spelled like one before it")));
            }
        }
        Ok(())
    }

    /// A key or a tensor's name. They end up in messages on people's terminals: printable ASCII only.
    fn name(&mut self, what: &'static str, bytes_max: u64) -> Result<String, Reason> {
        let name = self.string(what, bytes_max)?;
        let printable = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if printable { Ok(name) } else { Err(Reason::Text(what)) }
    }

    fn string(&mut self, what: &'static str, bytes_max: u64) -> Result<String, Reason> {
        let bytes = self.raw_string(what, bytes_max)?;
        String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or(Reason::Text(what))
    }

    fn raw_string(&mut self, what: &'static str, bytes_max: u64) -> Result<Vec<u8>, Reason> {
        let len = self.limited(what, bytes_max)?;
        let mut bytes = Vec::new();
        let read = self.source.by_ref().take(len).read_to_end(&mut bytes)?;
        self.advance(len)?;
        if read as u64 != len {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }

    /// Arrays of strings are not kept, so nothing is asked of their text.
    fn skip_string(&mut self, bytes_max: u64) -> Result<(), Reason> {
        let len = self.limited("the length of a string in an array", bytes_max)?;
        self.skip(len)
    }

    fn skip(&mut self, len: u64) -> Result<(), Reason> {
        let skipped = std::io::copy(&mut self.source.by_ref().take(len), &mut std::io::sink())?;
        self.advance(len)?;
        if skipped == len {
            Ok(())
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
        }
    }

    fn limited(&mut self, what: &'static str, limit: u64) -> Result<u64, Reason> {
        let value = self.u64()?;
        if value > limit { Err(Reason::Limit { what, value, limit }) } else { Ok(value) }
    }

    fn u32(&mut self) -> Result<u32, Reason> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Reason> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.advance(N as u64)?;
        Ok(bytes)
    }

    fn advance(&mut self, bytes: u64) -> Result<(), Reason> {
        self.offset += bytes;
        if self.offset > HEADER_BYTES_MAX {
            return Err(Reason::Limit { what: "the header", value: self.offset, limit: HEADER_BYTES_MAX });
        }
        Ok(())
    }
}

/// Types that the elements of an array may have where llama.cpp takes its bytes as they are: an array of
/// smaller ones was read past its end.
fn elements(key: &str) -> Option<&'static [u32]> {
    Some(match key {
        TOKENS | "tokenizer.ggml.merges" => &[8],
        "tokenizer.ggml.scores" => &[5, 6],
        "tokenizer.ggml.token_type" | "tokenizer.ggml.suppress_tokens" => &[5],
        "tokenizer.ggml.precompiled_charsmap" => &[0, 1],
        _ => return None,
    })
}

fn scalar_bytes(kind: u32) -> Result<u64, Reason> {
    Ok(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        value => return Err(Reason::Unknown { what: "array element type", value }),
    })
}

/// Name, elements and bytes of a block of ggml's types. Types that ggml dropped are unknown here.
fn block(kind: u32) -> Option<(&'static str, u64, u64)> {
    Some(match kind {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 36),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        41 => ("Q1_0", 128, 18),
        42 => ("Q2_0", 64, 18),
        _ => return None,
    })
}

fn tensor_bytes(name: &str, dimensions: &[u64], kind: u32) -> Result<u64, Reason> {
    let (_, block_elements, block_bytes) =
        block(kind).ok_or(Reason::Unknown { what: "tensor type", value: kind })?;
    let row = dimensions.first().copied().unwrap_or(0);
    // llama.cpp has divided by them.
    if dimensions.contains(&0) {
        return Err(Reason::Invalid(format!("tensor {name} has a dimension of 0")));
    }
    if row % block_elements != 0 {
        return Err(Reason::Invalid(format!(
            "tensor {name} has rows of {row} for blocks of {block_elements}"
        )));
    }
    let elements = dimensions.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
    // llama.cpp counts in signed 64-bit numbers.
    elements
        .filter(|&elements| i64::try_from(elements).is_ok())
        .and_then(|elements| (elements / block_elements).checked_mul(block_bytes))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .ok_or_else(|| Reason::Invalid(format!("the size of tensor {name} overflows")))
}
