use std::io::Cursor;

use gguf::inspect::{Anomaly, Code, Found, Inspection, Severity, inspect};
use proptest::prelude::*;

use testkit::gguf::{Builder, array, floats, integers, string, strings, typed, unsigned};

/// A file of which nothing is unusual.
fn usual() -> Builder {
    let mut builder = Builder::valid()
        .with("tokenizer.ggml.tokens", strings(&["<s>", "</s>", "a"]))
        .with("tokenizer.ggml.token_type", integers(&[3, 3, 1]))
        .with("tokenizer.ggml.bos_token_id", unsigned(0))
        .with("tokenizer.ggml.eos_token_id", unsigned(1))
        .with("llama.block_count", unsigned(1))
        .with("llama.embedding_length", unsigned(32))
        .with("general.license", string("apache-2.0"));
    builder.fill = 0x3c;
    builder
}

fn look(builder: &Builder) -> Inspection {
    inspect(&mut Cursor::new(builder.bytes())).unwrap()
}

/// What is unusual, of a file that differs from the usual one.
#[track_caller]
fn finds(builder: &Builder, expected: &[(Severity, Code, &str)]) {
    let found = look(builder).anomalies;
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (anomaly, (severity, code, words)) in found.iter().zip(expected) {
        assert!(
            (anomaly.severity, anomaly.code) == (*severity, *code) && anomaly.words.contains(words),
            "{anomaly:?} is not {words}"
        );
    }
}

use Severity::{Note, Warning};

#[test]
fn a_usual_one() {
    let inspection = look(&usual());
    assert_eq!(inspection.anomalies, []);
    assert_eq!((inspection.sizes.parameters, inspection.sizes.layers), (128, Some(1)));
    assert_eq!(inspection.quantization[0].name, "F32");
    assert_eq!(inspection.tokenizer.special[0].spelling, "<s>");
    assert_eq!(inspection.stated.training_data, "undisclosed");
    assert_eq!(inspection.stated.licence.as_deref(), Some("apache-2.0"));
    let tokens = inspection.metadata.iter().find(|row| row.key == "tokenizer.ggml.tokens").unwrap();
    assert_eq!((&*tokens.kind, &*tokens.value), ("[string; 3]", "<s>, </s>, a"));
    assert_eq!(inspection.scanned.tensors_whole, 2);
}

#[test]
fn weights() {
    let mut nan = usual();
    nan.patches = vec![(132, 0x7f80_0001u32.to_le_bytes().to_vec())];
    finds(&nan, &[(Warning, Code::NonFinite, "output_norm.weight has NaN at element 1")]);
    let mut scale = usual();
    scale.patches = vec![(34, vec![0, 0x7c])];
    finds(&scale, &[(Warning, Code::NonFinite, "token_embd.weight has infinity at element 32")]);
    finds(
        &Builder { fill: 0, ..usual() },
        &[
            (Warning, Code::ZeroTensor, "token_embd.weight is all zeros"),
            (Warning, Code::ZeroTensor, "output_norm.weight is all zeros"),
        ],
    );
    let mut padding = usual();
    padding.patches = vec![(102, vec![9])];
    finds(&padding, &[(Warning, Code::Padding, "26 bytes after tensor token_embd.weight")]);
    let trailing = Builder { data_bytes: 300, ..usual() };
    finds(&trailing, &[(Warning, Code::TrailingBytes, "44 bytes after the last tensor")]);
}

#[test]
fn large_tensors_are_looked_into_at_places() {
    let mut large = usual();
    let rows = 20_000;
    large.tensors[1] = ("blk.0.attn_q.weight".to_owned(), vec![32, rows], 8, 128);
    large.data_bytes = 128 + usize::try_from(rows).unwrap() * 34;
    // The scale of the last block.
    large.patches = vec![(large.data_bytes - 34, vec![1, 0xfc])];
    finds(&large, &[(Warning, Code::NonFinite, "blk.0.attn_q.weight has NaN at element 639968")]);
    assert_eq!(look(&large).scanned.tensors_sampled, 1);
}

#[test]
fn shapes_and_names() {
    let mut names = usual();
    names.tensors[1].0 = "blk.1.attn_norm.weight".to_owned();
    finds(&names, &[(Warning, Code::TensorName, "blk.1.attn_norm.weight")]);
    finds(
        &usual().with("llama.embedding_length", unsigned(64)).with("llama.vocab_size", unsigned(9)),
        &[
            (Warning, Code::DimensionMismatch, "length is 64 by the metadata, 32 in the file"),
            (Warning, Code::DimensionMismatch, "number of tokens is 9 by the metadata, 3"),
        ],
    );
    for tokens in [0, (16 << 20) + 1] {
        let builder = usual().with("llama.context_length", unsigned(tokens));
        finds(&builder, &[(Warning, Code::ContextLength, &format!("{tokens} tokens"))]);
    }
    finds(&usual().without("llama.context_length"), &[(Note, Code::ContextLength, "no context length")]);
    let mut types = usual();
    types.tensors[1].2 = 28;
    types.tensors[1].1 = vec![16];
    finds(&types, &[(Warning, Code::TensorType, "1 tensors are F64")]);
    let mut aligned = usual().with("general.alignment", unsigned(64));
    aligned.alignment = 64;
    finds(&aligned, &[(Note, Code::Alignment, "aligned to 64")]);
}

#[test]
fn tokens() {
    let tokens = |spellings: [&str; 3]| usual().with("tokenizer.ggml.tokens", strings(&spellings));
    finds(
        &tokens(["<s>", "the", "a"]),
        &[(Warning, Code::SpecialTokenText, "the eos token, 1, is spelled `the`, like ordinary text")],
    );
    finds(
        &usual().with("tokenizer.ggml.token_type", integers(&[3, 1, 1])),
        &[(Note, Code::SpecialTokenKind, "the eos token, 1 `</s>`, is normal")],
    );
    finds(
        &usual().with("tokenizer.ggml.padding_token_id", unsigned(1)),
        &[(Note, Code::SpecialTokenShared, "token 1 `</s>` is eos and padding at once")],
    );
    finds(
        &usual().without("tokenizer.ggml.eos_token_id"),
        &[(Warning, Code::NoEndOfText, "no token is known to end an answer")],
    );
    let fill = tokens(["<s>", "</s>", "<|fim_prefix|>"]);
    let found = &look(&fill).tokenizer.fill;
    assert_eq!((&*found[0].role, found[0].id, found[0].found), ("fim_pre", 2, Found::Spelling));
    let fill = usual().with("tokenizer.ggml.prefix_token_id", unsigned(0));
    assert_eq!(look(&fill).tokenizer.fill[0].found, Found::Metadata);
    // -1 is none.
    let none = usual().with("tokenizer.ggml.mask_token_id", typed(5, (-1i32).to_le_bytes().to_vec()));
    assert_eq!(look(&none).tokenizer.special.len(), 2);
}

#[test]
fn statements() {
    let builder = usual()
        .with("general.datasets", strings(&["org/one", "org/two"]))
        .with("general.dataset.0.name", string("One"))
        .with("general.author", string("A. Uthor"))
        .with("general.base_model.0.name", string("Base"));
    let stated = look(&builder).stated;
    assert_eq!(stated.training_data, "One, org/one, org/two");
    assert_eq!(stated.publisher["author"], "A. Uthor");
    assert_eq!(stated.base_models["0.name"], "Base");
    finds(
        &usual().without("general.license").with("general.payload", array(4, 2, &[1, 0, 0, 0, 2, 0, 0, 0])),
        &[(Note, Code::MetadataUnknown, "general.payload"), (Note, Code::NoLicence, "no licence")],
    );
    let hidden = usual().with("general.description", string("good\u{202e}bad"));
    finds(&hidden, &[(Warning, Code::InvisibleCharacters, "general.description holds U+202E")]);
    assert!(!serde_json::to_string(&look(&hidden)).unwrap().contains('\u{202e}'));
}

#[test]
fn templates() {
    finds(
        &usual().without("tokenizer.chat_template"),
        &[(Note, Code::NoChatTemplate, "completes, it does not chat")],
    );
    finds(&usual().with("tokenizer.chat_template", string(" ")), &[(Note, Code::NoChatTemplate, "")]);
    let several = usual()
        .with("tokenizer.chat_templates", strings(&["rag"]))
        .with("tokenizer.chat_template.rag", string("{% include 'x' %}"));
    finds(
        &several,
        &[
            (Warning, Code::TemplateLoad, "template rag loads another"),
            (Note, Code::SeveralChatTemplates, "default, rag"),
        ],
    );
    let hash = look(&several).chat_template().unwrap().sha256.to_string();
    assert_eq!(hash, "sha256:f24189f08c85a1eb19a737306c3a13e85462ee33d964f28108d64a2485fa2171");
}

#[test]
fn what_is_refused_is_no_inspection() {
    let error = inspect(&mut Cursor::new(b"GGUF".to_vec())).unwrap_err();
    let anomaly = Anomaly::from(&error);
    assert_eq!((anomaly.severity, anomaly.code), (Severity::Refused, Code::Refused));
}

/// Each code has a row in docs/inspection.md, and each row is of a code.
#[test]
fn documented() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/inspection.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<&str> = rows.map(|(code, _)| code).collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(rows, codes);
}

/// The models of the tests, which many people use, give nobody anything to look at. The largest is fetched on request
/// only, so it is looked at where it is.
#[test]
fn real_models_have_no_warnings() {
    for (name, parameters, fill) in [
        ("qwen2.5-coder-0.5b-instruct-q4_k_m", 630_167_424, 6),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m", 1_777_088_000, 6),
        ("smollm2-135m-instruct-q4_1", 134_515_008, 1),
    ] {
        let path = testkit::places::model(name);
        if name.contains("1.5b") && path.is_err() {
            continue;
        }
        let mut file = std::fs::File::open(path.unwrap()).unwrap();
        let inspection = inspect(&mut file).unwrap();
        let warnings: Vec<&Anomaly> =
            inspection.anomalies.iter().filter(|anomaly| anomaly.severity > Severity::Note).collect();
        assert!(warnings.is_empty(), "{name}: {warnings:#?}");
        assert_eq!(inspection.sizes.parameters, parameters, "{name}");
        assert_eq!(inspection.tokenizer.fill.len(), fill, "{name}: {:?}", inspection.tokenizer.fill);
        let eos = inspection.tokenizer.special.iter().find(|token| token.role == "eos").unwrap();
        assert_eq!(eos.spelling, "<|im_end|>");
        assert!(inspection.anomalies.iter().any(|anomaly| anomaly.code == Code::TemplateText));
    }
}

proptest! {
    /// Whatever is damaged, what the reader accepts is described, and what it refuses is not.
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((0usize..1200, any::<u8>()), 1..6)) {
        let mut bytes = usual().with("tokenizer.ggml.scores", floats(3)).bytes();
        let len = bytes.len();
        for (at, value) in changes {
            bytes[at % len] = value;
        }
        let read = gguf::read(&mut Cursor::new(&bytes)).is_ok();
        prop_assert_eq!(inspect(&mut Cursor::new(&bytes)).is_ok(), read);
    }
}
