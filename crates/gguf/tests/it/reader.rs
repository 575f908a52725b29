use std::io::Cursor;

use gguf::{Gguf, read};
use proptest::prelude::*;

use testkit::gguf::{Builder, array, floats, string, strings, unsigned};

fn parse(bytes: &[u8]) -> Result<Gguf, String> {
    read(&mut Cursor::new(bytes)).map_err(|error| error.to_string())
}

/// The file is refused, in these words.
#[track_caller]
fn refused(builder: &Builder, words: &str) {
    let error = parse(&builder.bytes()).unwrap_err();
    assert!(error.contains(words), "{error}");
}

fn tensor(dimensions: &[u64], kind: u32, offset: u64) -> Builder {
    let mut builder = Builder::valid();
    builder.tensors = vec![("t".to_owned(), dimensions.to_vec(), kind, offset)];
    builder
}

#[test]
fn a_right_one_is_read() {
    let header = parse(&Builder::valid().bytes()).unwrap();
    assert_eq!(header.architecture(), "llama");
    assert_eq!(header.name(), Some("tiny"));
    assert_eq!(header.context_length(), Some(512));
    assert_eq!(header.vocabulary(), 3);
    assert_eq!(header.chat_template(), Some("{{ messages }}"));
    assert_eq!(header.tensors.iter().map(|tensor| tensor.bytes).collect::<Vec<_>>(), [102, 128]);
    assert_eq!(header.data_offset % 32, 0);
}

#[test]
fn beginnings() {
    let valid = Builder::valid();
    refused(&Builder { magic: *b"GGML", ..valid.clone() }, "does not begin with GGUF");
    refused(&Builder { version: 1, ..valid.clone() }, "version 1");
    refused(&Builder { version: 3u32.swap_bytes(), ..valid.clone() }, "not supported");
    let header = valid.header();
    for end in 0..header.len() {
        assert!(parse(&header[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn counts_and_lengths() {
    for (at, words) in [(8, "number of tensors"), (16, "number of metadata entries"), (24, "a metadata key")]
    {
        let mut bytes = Builder::valid().bytes();
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse(&bytes).unwrap_err().contains(words));
    }
    refused(&Builder::valid().with("x", array(4, u64::MAX, &[])), "length of an array");
    refused(&Builder::valid().with("x", array(8, 1, &u64::MAX.to_le_bytes())), "string in an array");
    refused(&Builder::valid().with("x", array(10, 1 << 21, &[])), "cannot be read");
    refused(&Builder::valid().with("x", array(9, 1, &[])), "array of arrays");
    refused(&Builder::valid().with("x", array(99, 1, &[])), "array element type 99");
    let mut unknown = 13u32.to_le_bytes().to_vec();
    unknown.extend([0; 8]);
    refused(&Builder::valid().with("x", unknown), "metadata type 13");
    let mut boolean = 7u32.to_le_bytes().to_vec();
    boolean.push(2);
    refused(&Builder::valid().with("x", boolean), "boolean is 2");
    refused(&Builder::valid().with("x", string("a\0b")), "not valid text");
}

#[test]
fn what_does_not_fit_together() {
    let mut twice = Builder::valid();
    twice.metadata.push(("general.name".to_owned(), string("again")));
    refused(&twice, "general.name appears twice");
    let mut twice = Builder::valid();
    twice.tensors[1].0 = "token_embd.weight".to_owned();
    refused(&twice, "token_embd.weight appears twice");
    refused(&Builder::valid().without("general.architecture"), "architecture is missing");
    refused(&Builder::valid().without("tokenizer.ggml.tokens"), "no vocabulary");
    refused(&Builder::valid().with("tokenizer.ggml.scores", floats(4)), "4 entries for 3 tokens");
    refused(&Builder::valid().with("tokenizer.ggml.fim_pre_token_id", unsigned(3)), "outside the vocabulary");
    refused(&Builder::valid().with("split.count", unsigned(2)), "join them first");
    refused(&Builder::valid().with("general.alignment", unsigned(24)), "alignment");
    refused(&Builder::valid().with("general.alignment", unsigned(1 << 20)), "alignment");
    let long = "x".repeat(1025);
    refused(
        &Builder::valid().with("tokenizer.ggml.tokens", strings(&["a", "b", &long])),
        "string in an array",
    );
}

#[test]
fn tensors() {
    assert!(parse(&tensor(&[32, 4], 8, 0).bytes()).is_ok());
    refused(&tensor(&[], 0, 0), "0 dimensions");
    refused(&tensor(&[1, 1, 1, 1, 1], 0, 0), "5 dimensions");
    refused(&tensor(&[1], 4, 0), "tensor type 4");
    refused(&tensor(&[0], 0, 0), "dimension of 0");
    refused(&tensor(&[33], 8, 0), "rows of 33");
    refused(&tensor(&[1], 0, 16), "not a multiple");
    refused(&tensor(&[65], 0, 0), "past the end");
    refused(&tensor(&[1], 0, 1 << 40), "past the end");
    refused(&tensor(&[1], 0, u64::MAX - 31), "past the end");
    // Products and byte counts that wrap around, as in CVE-2025-53630 and CVE-2026-33298.
    refused(&tensor(&[1 << 32, 1 << 32], 0, 0), "overflows");
    refused(&tensor(&[1 << 62, 2], 24, 0), "overflows");
    refused(&tensor(&[1 << 62], 0, 0), "overflows");
    let mut overlap = Builder::valid();
    overlap.tensors[1].3 = 96;
    refused(&overlap, "overlaps");
    // llama.cpp wants them end to end, in order.
    let mut gap = Builder::valid();
    gap.tensors[1].3 = 160;
    gap.data_bytes += 32;
    refused(&gap, "output_norm.weight leaves a gap");
    refused(&tensor(&[1], 0, 32), "leaves a gap");
    let mut disorder = Builder::valid();
    disorder.tensors.reverse();
    refused(&disorder, "leaves a gap");
    // Types that ggml dropped have blocks of no bytes there.
    for kind in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
        refused(&tensor(&[256], kind, 0), "is unknown");
    }
}

#[test]
fn names() {
    for key in ["", "a b", "ä", "a\0", "\u{1b}[31m"] {
        refused(&Builder::valid().with(key, unsigned(1)), "a metadata key is not valid text");
        let mut builder = Builder::valid();
        builder.tensors[0].0 = key.to_owned();
        refused(&builder, "a tensor's name is not valid text");
    }
    let mut builder = Builder::valid();
    builder.tensors[0].0 = "x".repeat(63);
    assert!(parse(&builder.bytes()).is_ok());
    builder.tensors[0].0 = "x".repeat(64);
    refused(&builder, "a tensor's name is 64, more than 63");
}

/// llama.cpp aborts on two tokens of one spelling, as it spells them: up to a NUL, empty ones by number.
#[test]
fn tokens_differ() {
    let tokens = |spellings: [&str; 3]| Builder::valid().with("tokenizer.ggml.tokens", strings(&spellings));
    refused(&tokens(["a", "b", "a"]), "token 2 is spelled like one before it");
    refused(&tokens(["a", "a\0b", "c"]), "token 1 is spelled like one before it");
    refused(&tokens(["[EMPTY_1]", "", "c"]), "token 1 is spelled like one before it");
    assert!(parse(&tokens(["", "\0", "a"]).bytes()).is_ok());
}

#[test]
fn real_models_are_read() {
    for (name, architecture, vocabulary) in [
        ("qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2", 151_936),
        ("smollm2-135m-instruct-q4_1", "llama", 49_152),
    ] {
        let mut file = std::fs::File::open(testkit::places::model(name).unwrap()).unwrap();
        let header = read(&mut file).unwrap();
        assert_eq!((header.architecture(), header.vocabulary()), (architecture, vocabulary));
        assert!(header.chat_template().unwrap().contains("im_start"));
    }
}

proptest! {
    /// Whatever is flipped, the reader answers, and what it accepts still fits the file.
    #[test]
    fn damage_never_panics(at in 0usize..1000, value: u8, more in prop::collection::vec((0usize..1000, any::<u8>()), 0..4)) {
        let mut bytes = Builder::valid().bytes();
        for (at, value) in more.into_iter().chain([(at, value)]) {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        if let Ok(header) = parse(&bytes) {
            for tensor in &header.tensors {
                prop_assert!(header.data_offset + tensor.offset + tensor.bytes <= bytes.len() as u64);
            }
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        let _either = parse(&bytes);
    }
}
