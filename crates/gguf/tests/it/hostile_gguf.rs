//! Files made to break whoever reads them: each is refused, for the reason that it was made for. Those whose shape
//! is known from an advisory bear its name. Advisories of llama.cpp whose shape is not in a model file (its RPC
//! server, CVE-2024-42477 to 42479; the text of a prompt, CVE-2025-52566; a request, CVE-2026-21869; a saved cache,
//! CVE-2026-43629) have no case here.

use std::io::Cursor;

use gguf::read;

use testkit::gguf::{Builder, array, floats, integers, string, strings, typed, unsigned};

/// A file, and what its refusal says.
struct Hostile {
    name: &'static str,
    bytes: Vec<u8>,
    words: &'static str,
}

fn hostile(name: &'static str, bytes: Vec<u8>, words: &'static str) -> Hostile {
    Hostile { name, bytes, words }
}

fn built(name: &'static str, builder: &Builder, words: &'static str) -> Hostile {
    hostile(name, builder.bytes(), words)
}

fn valid() -> Builder {
    Builder::valid()
}

fn tensor(dimensions: &[u64], kind: u32, offset: u64) -> Builder {
    Builder { tensors: vec![("t".to_owned(), dimensions.to_vec(), kind, offset)], ..valid() }
}

/// The valid file with eight bytes of its beginning replaced.
fn patched(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = valid().bytes();
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

fn changed(change: impl FnOnce(&mut Builder)) -> Builder {
    let mut builder = valid();
    change(&mut builder);
    builder
}

/// Where the numbers of tensors and of metadata entries stand, and the length of the first key.
const TENSORS: usize = 8;
const METADATA: usize = 16;
const FIRST_KEY: usize = 24;

fn beginnings() -> Vec<Hostile> {
    vec![
        hostile("nothing", Vec::new(), "cannot be read"),
        hostile("CVE-2024-39720: the magic alone", b"GGUF".to_vec(), "cannot be read"),
        built("another magic", &Builder { magic: *b"GGML", ..valid() }, "does not begin with GGUF"),
        built("version 1, 32-bit counts", &Builder { version: 1, ..valid() }, "version 1 is not supported"),
        built("version 4", &Builder { version: 4, ..valid() }, "version 4 is not supported"),
        built("big-endian", &Builder { version: 3u32.swap_bytes(), ..valid() }, "is not supported"),
        hostile("CVE-2024-25666: tensors unchecked", patched(TENSORS, 1 << 40), "the number of tensors is"),
        hostile(
            "CVE-2024-21836: tensors × size wraps",
            patched(TENSORS, u64::MAX / 64),
            "the number of tensors is",
        ),
        hostile(
            "CVE-2026-27940: the context's size wraps",
            patched(TENSORS, u64::MAX),
            "the number of tensors is",
        ),
        hostile(
            "CVE-2024-25664: entries unchecked",
            patched(METADATA, 1 << 40),
            "number of metadata entries is",
        ),
        hostile(
            "CVE-2024-23605: entries × size wraps",
            patched(METADATA, u64::MAX / 48 + 1),
            "metadata entries is",
        ),
        hostile("one entry more than there are", patched(METADATA, 8), "a tensor's name is"),
    ]
}

fn strings_and_arrays() -> Vec<Hostile> {
    let length = |value: u64| typed(8, value.to_le_bytes().to_vec());
    let last = |value: Vec<u8>| {
        // As the very last entry, so that nothing of the file follows.
        changed(|it| it.tensors.clear()).with("x", value).header()
    };
    vec![
        hostile("CVE-2024-25665: length + 1 wraps", patched(FIRST_KEY, u64::MAX), "a metadata key is"),
        built(
            "CVE-2024-23496: the same of a value",
            &valid().with("x", length(u64::MAX)),
            "a metadata string is",
        ),
        built(
            "CVE-2025-66960: a string as long as memory",
            &valid().with("x", length(1 << 40)),
            "a metadata string is",
        ),
        hostile("a string longer than the file", last(length(1 << 20)), "cannot be read"),
        built(
            "CVE-2024-25667: elements × size wraps",
            &valid().with("x", array(4, 1 << 62, &[])),
            "length of an array is",
        ),
        built(
            "CVE-2024-25668: strings × size wraps",
            &valid().with("x", array(8, (1 << 60) + 1, &[])),
            "length of an array is",
        ),
        built(
            "CVE-2024-21825: a string's length in an array",
            &valid().with("x", array(8, 1, &u64::MAX.to_le_bytes())),
            "the length of a string in an array is",
        ),
        hostile("an array longer than the file", last(array(10, 1 << 22, &[])), "cannot be read"),
        built("arrays in arrays", &valid().with("x", array(9, 1, &[0; 12])), "is an array of arrays"),
        built(
            "elements of no type",
            &valid().with("x", array(13, 1, &[0; 8])),
            "array element type 13 is unknown",
        ),
        built("a value of no type", &valid().with("x", typed(13, vec![0; 8])), "metadata type 13 is unknown"),
        built("a boolean that is 2", &valid().with("x", typed(7, vec![2])), "a boolean is 2"),
        built("a NUL in a text", &valid().with("x", string("a\0b")), "a metadata string is not valid text"),
        hostile(
            "CVE-2024-32878: the file ends in a key, values were freed unset",
            valid().header()[..FIRST_KEY + 10].to_vec(),
            "cannot be read",
        ),
    ]
}

fn keys() -> Vec<Hostile> {
    vec![
        built(
            "an empty key, on which llama.cpp aborts",
            &valid().with("", unsigned(1)),
            "key is not valid text",
        ),
        built("a NUL in a key", &valid().with("general.name\0x", unsigned(1)), "key is not valid text"),
        built("a key that is no ASCII", &valid().with("gеneral.name", unsigned(1)), "key is not valid text"),
        built(
            "a key that drives a terminal",
            &valid().with("\u{1b}]0;x\u{7}", unsigned(1)),
            "key is not valid text",
        ),
        built(
            "a key twice",
            &changed(|it| it.metadata.push(("general.name".to_owned(), string("b")))),
            "general.name appears twice",
        ),
        built("no architecture", &valid().without("general.architecture"), "architecture is missing"),
        built(
            "an architecture that is a number",
            &valid().with("general.architecture", unsigned(1)),
            "is missing",
        ),
        built(
            "CVE-2024-8063: layers that are a text",
            &valid().with("llama.block_count", string("9")),
            "block_count is no number",
        ),
        built("no layers", &valid().with("llama.block_count", unsigned(0)), "block_count is no number"),
        built(
            "more layers than arrays",
            &valid().with("llama.block_count", unsigned(513)),
            "block_count is no number",
        ),
        built("a part of several", &valid().with("split.count", unsigned(9)), "join them first"),
        built(
            "CVE-2025-0317: alignment 0",
            &valid().with("general.alignment", unsigned(0)),
            "alignment is not a power of two",
        ),
        built(
            "alignment 3",
            &valid().with("general.alignment", unsigned(3)),
            "alignment is not a power of two",
        ),
        built(
            "alignment 2^31",
            &valid().with("general.alignment", unsigned(1 << 31)),
            "alignment is not a power of two",
        ),
        built(
            "an alignment of 64 bits, on which llama.cpp aborted",
            &valid().with("general.alignment", typed(10, 32u64.to_le_bytes().to_vec())),
            "alignment is not an unsigned 32-bit integer",
        ),
    ]
}

fn vocabularies() -> Vec<Hostile> {
    let tokens = |spellings: &[&str]| valid().with("tokenizer.ggml.tokens", strings(spellings));
    let huge = {
        let mut one = (1u64 << 31).to_le_bytes().to_vec();
        one.extend(b"x");
        valid().with("tokenizer.ggml.tokens", array(8, 1, &one))
    };
    // Every end of each is a piece of its own.
    let suffixes: Vec<String> = (0..600).map(|number| format!("{number:0>1024}")).collect();
    let suffixes: Vec<&str> = suffixes.iter().map(String::as_str).collect();
    vec![
        built("no vocabulary", &valid().without("tokenizer.ggml.tokens"), "no vocabulary"),
        built("an empty vocabulary", &tokens(&[]).without("tokenizer.ggml.scores"), "no vocabulary"),
        built(
            "a vocabulary of numbers",
            &valid().with("tokenizer.ggml.tokens", floats(3)),
            "has elements of type 6",
        ),
        built(
            "a vocabulary that is a text",
            &valid().with("tokenizer.ggml.tokens", string("a")),
            "is not an array",
        ),
        built(
            "CVE-2025-49847: a token's length is negative in 32 bits",
            &huge,
            "a string in an array is 2147483648",
        ),
        built("a spelling twice", &tokens(&["a", "b", "a"]), "token 2 is spelled like one before it"),
        built(
            "a byte token -1, written before an array",
            &tokens(&["a", "b", "<0x-1>"]),
            "spelled like a byte",
        ),
        built(
            "pieces that wrap 31 bits",
            &tokens(&suffixes).without("tokenizer.ggml.scores"),
            "suffixes take is",
        ),
        built(
            "fewer scores than tokens",
            &valid().with("tokenizer.ggml.scores", floats(2)),
            "2 entries for 3 tokens",
        ),
        built(
            "scores of one byte, read as four",
            &valid().with("tokenizer.ggml.scores", array(1, 3, &[0; 3])),
            "scores has elements of type 1",
        ),
        built(
            "types of one byte, read as four",
            &valid().with("tokenizer.ggml.token_type", array(0, 3, &[0; 3])),
            "token_type has elements of type 0",
        ),
        built(
            "more types than tokens",
            &valid().with("tokenizer.ggml.token_type", integers(&[1; 4])),
            "4 entries for 3",
        ),
        built(
            "merges of numbers",
            &valid().with("tokenizer.ggml.merges", integers(&[1])),
            "merges has elements of type 5",
        ),
        built(
            "a map of characters in large steps",
            &valid().with("tokenizer.ggml.precompiled_charsmap", floats(1)),
            "precompiled_charsmap has elements of type 6",
        ),
        built(
            "eos outside",
            &valid().with("tokenizer.ggml.eos_token_id", unsigned(3)),
            "outside the vocabulary",
        ),
        built(
            "fim below",
            &valid().with("tokenizer.ggml.fim_pre_token_id", typed(5, (-2i32).to_le_bytes().to_vec())),
            "outside the vocabulary",
        ),
    ]
}

fn tensors() -> Vec<Hostile> {
    let named = |name: &str| changed(|it| it.tensors[0].0 = name.to_owned());
    let mut cases = vec![
        built("no dimensions", &tensor(&[], 0, 0), "has 0 dimensions"),
        built("CVE-2024-21802: five dimensions for four places", &tensor(&[1; 5], 0, 0), "has 5 dimensions"),
        built("no rows", &tensor(&[0], 0, 0), "has a dimension of 0"),
        built("no columns: llama.cpp divided by them", &tensor(&[1, 0], 0, 0), "has a dimension of 0"),
        built(
            "elements wrap 64 bits",
            &tensor(&[1 << 32, 1 << 32, 4], 24, 0),
            "the size of tensor t overflows",
        ),
        built("elements wrap 63 bits", &tensor(&[1 << 62, 2], 24, 0), "the size of tensor t overflows"),
        built(
            "CVE-2026-33298: bytes wrap, elements do not",
            &tensor(&[1 << 61], 0, 0),
            "the size of tensor t overflows",
        ),
        built("bytes + padding wrap", &tensor(&[u64::MAX / 4], 0, 0), "the size of tensor t overflows"),
        built("a size that only blocks hide", &tensor(&[1 << 60], 2, 0), "reaches past the end"),
        built("a dimension that is negative", &tensor(&[u64::MAX], 24, 0), "the size of tensor t overflows"),
        built("half a block", &tensor(&[48], 8, 0), "has rows of 48 for blocks of 32"),
        built("no type", &tensor(&[32], 43, 0), "tensor type 43 is unknown"),
        built("a type that is negative", &tensor(&[32], u32::MAX, 0), "tensor type 4294967295 is unknown"),
        built("an offset between two", &tensor(&[1], 0, 16), "which is not a multiple of 32"),
        built("an offset that wraps", &tensor(&[32], 0, u64::MAX - 31), "reaches past the end"),
        built(
            "CVE-2026-7482: larger than the file",
            &tensor(&[1 << 20, 1 << 10], 0, 0),
            "reaches past the end",
        ),
        built(
            "an end one byte behind the file",
            &Builder { data_bytes: 255, ..valid() },
            "reaches past the end",
        ),
        built("one over the other", &changed(|it| it.tensors[1].3 = 96), "overlaps the one before it"),
        built("both at one place", &changed(|it| it.tensors[1].3 = 0), "overlaps the one before it"),
        built(
            "a gap",
            &changed(|it| (it.tensors[1].3, it.data_bytes) = (160, 288)),
            "leaves a gap before it",
        ),
        built("a name twice", &changed(|it| it.tensors[1].0 = it.tensors[0].0.clone()), "appears twice"),
        built("a name that is too long", &named(&"x".repeat(64)), "a tensor's name is 64, more than 63"),
        built("a name that drives a terminal", &named("\u{9b}31m"), "a tensor's name is not valid text"),
        built("no name", &named(""), "a tensor's name is not valid text"),
        built(
            "CVE-2025-53630: the sum of sizes wraps",
            &changed(|it| {
                let each = 1 << 60;
                it.tensors = (0..3).map(|i| (format!("t{i}"), vec![each], 0, i * (each << 2))).collect();
            }),
            "reaches past the end",
        ),
    ];
    for kind in [4, 5, 31, 32, 33, 36, 37, 38] {
        cases.push(built(
            "a type that was dropped: blocks of no bytes",
            &tensor(&[256], kind, 0),
            "is unknown",
        ));
    }
    cases
}

/// Each entry is within its limit; together they are more than a header may have.
fn bomb() -> Vec<u8> {
    let text = string(&"x".repeat(1 << 20));
    let metadata = (0..130).map(|number| (format!("x{number}"), text.clone())).collect();
    Builder { metadata, ..valid() }.header()
}

#[test]
fn each_is_refused_for_its_reason() {
    let groups = [beginnings(), strings_and_arrays(), keys(), vocabularies(), tensors()];
    let mut cases: Vec<Hostile> = groups.into_iter().flatten().collect();
    cases.push(hostile("a header as large as memory", bomb(), "the header is"));
    assert!(cases.len() > 80, "{}", cases.len());
    let mut wrong = Vec::new();
    for Hostile { name, bytes, words } in cases {
        match read(&mut Cursor::new(bytes)) {
            Ok(_) => wrong.push(format!("{name}: read")),
            Err(error) => {
                let text = error.to_string();
                // What a refusal says ends up on a terminal.
                if !text.contains(words) || text.chars().any(char::is_control) {
                    wrong.push(format!("{name}: {text:?}, not {words:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_end_anywhere_in_the_header_is_refused() {
    let header = valid().header();
    for end in 0..header.len() {
        let error = read(&mut Cursor::new(&header[..end])).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "cut at {end}: {error}");
    }
}
