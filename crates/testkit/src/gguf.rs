//! Writes small GGUF files, right ones and wrong ones.

/// A file under construction. `Builder::valid()` is one that the reader accepts.
#[derive(Clone)]
pub struct Builder {
    /// The first four bytes.
    pub magic: [u8; 4],
    /// The format's version, as the file states it.
    pub version: u32,
    /// Keys, and their values with their types' numbers.
    pub metadata: Vec<(String, Vec<u8>)>,
    /// Name, dimensions, type, offset.
    pub tensors: Vec<(String, Vec<u64>, u32, u64)>,
    /// Bytes behind the header.
    pub data_bytes: usize,
    /// What tensors are filled with; what lies between them is zero.
    pub fill: u8,
    /// As `general.alignment` says.
    pub alignment: usize,
    /// Bytes to write over, from the first tensor's beginning on.
    pub patches: Vec<(usize, Vec<u8>)>,
}

impl Builder {
    /// A file that the reader accepts: two tensors, three tokens.
    pub fn valid() -> Builder {
        let tokens: Vec<&str> = vec!["a", "b", "</s>"];
        Builder {
            magic: *b"GGUF",
            version: 3,
            metadata: vec![
                ("general.architecture".to_owned(), string("llama")),
                ("general.name".to_owned(), string("tiny")),
                ("llama.context_length".to_owned(), unsigned(512)),
                ("tokenizer.ggml.tokens".to_owned(), strings(&tokens)),
                ("tokenizer.ggml.scores".to_owned(), floats(3)),
                ("tokenizer.ggml.eos_token_id".to_owned(), unsigned(2)),
                ("tokenizer.chat_template".to_owned(), string("{{ messages }}")),
            ],
            tensors: vec![
                ("token_embd.weight".to_owned(), vec![32, 3], 8, 0),
                ("output_norm.weight".to_owned(), vec![32], 0, 128),
            ],
            data_bytes: 256,
            fill: 7,
            alignment: 32,
            patches: Vec::new(),
        }
    }

    /// The same with this key, instead of what it was.
    pub fn with(mut self, key: &str, value: Vec<u8>) -> Builder {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_owned(), value));
        self
    }

    /// The same without this key.
    pub fn without(mut self, key: &str) -> Builder {
        self.metadata.retain(|(known, _)| known != key);
        self
    }

    /// The header alone.
    pub fn header(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        for (name, dimensions, kind, offset) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend(u32::try_from(dimensions.len()).unwrap_or(u32::MAX).to_le_bytes());
            dimensions.iter().for_each(|length| bytes.extend(length.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        let begin = bytes.len().next_multiple_of(self.alignment);
        bytes.resize(begin + self.data_bytes, 0);
        for (from, patch) in self.filled().chain(self.patches.iter().cloned()) {
            // A tensor that a hostile file describes need not be there.
            let Some(place) = bytes.get_mut(begin + from..begin + from + patch.len()) else { continue };
            place.copy_from_slice(&patch);
        }
        bytes
    }

    /// Weights of the small tensors of [`valid`](Self::valid) and the like.
    fn filled(&self) -> impl Iterator<Item = (usize, Vec<u8>)> {
        let bytes = |(_, dimensions, kind, offset): &(String, Vec<u64>, u32, u64)| {
            let numbers =
                usize::try_from(dimensions.iter().try_fold(1u64, |a, b| a.checked_mul(*b))?).ok()?;
            let len = match kind {
                0 => numbers.checked_mul(4)?,
                8 => numbers / 32 * 34,
                28 => numbers.checked_mul(8)?,
                _ => return None,
            };
            let from = usize::try_from(*offset).ok()?;
            (from.checked_add(len)? <= self.data_bytes).then(|| (from, vec![self.fill; len]))
        };
        self.tensors.iter().filter_map(bytes)
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A value of any type, its bytes as given.
pub fn typed(kind: u32, value: Vec<u8>) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(value);
    bytes
}

/// A string as a metadata value.
pub fn string(value: &str) -> Vec<u8> {
    typed(8, text(value))
}

/// An unsigned 32-bit integer as a metadata value.
pub fn unsigned(value: u32) -> Vec<u8> {
    typed(4, value.to_le_bytes().to_vec())
}

/// An array of anything, its length as stated, which may be a lie.
pub fn array(element: u32, len: u64, elements: &[u8]) -> Vec<u8> {
    let mut bytes = element.to_le_bytes().to_vec();
    bytes.extend(len.to_le_bytes());
    bytes.extend(elements);
    typed(9, bytes)
}

/// An array of strings as a metadata value.
pub fn strings(values: &[&str]) -> Vec<u8> {
    let elements: Vec<u8> = values.iter().flat_map(|value| text(value)).collect();
    array(8, values.len() as u64, &elements)
}

/// An array of integers as a metadata value.
pub fn integers(values: &[i32]) -> Vec<u8> {
    let elements: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    array(5, values.len() as u64, &elements)
}

/// An array of zeros as a metadata value.
pub fn floats(count: u64) -> Vec<u8> {
    array(6, count, &vec![0; usize::try_from(count).unwrap_or(0) * 4])
}
