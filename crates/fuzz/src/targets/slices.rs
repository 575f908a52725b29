//! A slice of a ledger, as a build machine is handed it: raw, and with a chunk of any bytes behind a header that is signed;
//! approvals of lines; and lines graded by whatever records came out.

use std::io::Cursor;
use std::sync::LazyLock;

use lineage::approval::{Approval, Range};
use lineage::grade::{File, Sought, grade};
use lineage::slice::{Everything, Header, Reader, Scope, SliceError};
use tlog::{Checkpoint, Policy, SigningKey};

const ORIGIN: &str = "fuzz.example/log";
const TEXT: &str = "Rate := Limit (Rate, Rate_Max) + Offset;\n";

/// A policy, and the beginning of a slice that it lets through to the chunks.
static KNOWN: LazyLock<Option<(Policy, Vec<u8>)>> = LazyLock::new(|| {
    let log = SigningKey::new(ORIGIN, [3; 32]).ok()?;
    let policy = Policy::parse(format!("log {}\nquorum none\n", log.verifier()).as_bytes()).ok()?;
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 9, root: [1; 32] }.sign(&log).ok()?;
    let header = Header {
        origin: ORIGIN.to_owned(),
        scope: Scope::default(),
        end: 8,
        key: "00".repeat(32),
        seal: 8,
        seal_leaf: String::new(),
        checkpoint,
    };
    Some((policy, header.beginning().ok()?))
});

fn read(bytes: &[u8], policy: &Policy) -> Result<(), SliceError> {
    let reader = Reader::open(Cursor::new(bytes))?;
    let lines = (1..).zip(TEXT.lines()).map(|(number, line)| (number, line.to_owned())).collect();
    let files = [File { path: "a.adb".to_owned(), lines, author: None }];
    let sought = Sought::new(&files, reader.key());
    let slice = reader.read(policy, &mut Everything::default())?;
    let graded = grade(&sought, &slice.records);
    assert_eq!(graded[0].len(), 1);
    Ok(())
}

pub(crate) fn run(input: &[u8]) {
    let Some((items, bytes)) = input.split_first_chunk() else { return };
    let items = u32::from_le_bytes(*items);
    let Some((policy, beginning)) = &*KNOWN else { return };
    assert!(read(bytes, policy).is_err(), "nobody signed this");
    let packed = lz4_flex::block::compress(bytes);
    let mut slice = beginning.clone();
    for number in
        [items.max(1), u32::try_from(bytes.len()).unwrap_or(0), u32::try_from(packed.len()).unwrap_or(0)]
    {
        slice.extend(number.to_le_bytes());
    }
    slice.extend(packed);
    slice.extend(lineage::slice::end(&[]));
    assert!(read(&slice, policy).is_err(), "this is sealed by no leaf");
    if let Ok(approval) = serde_json::from_slice::<Approval>(bytes) {
        let _void = approval.verify(&Default::default(), |_| Some(TEXT.into()));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(range) = Range::parse(text)
    {
        assert_eq!(range.text(), text, "one spelling a range");
        let _places = range.places(TEXT.as_bytes());
    }
}
