//! A model file's header, which our reader sees before C++ does, and what is shown of it before it is admitted.

use std::io::Cursor;

use gguf::inspect::{Severity, is_invisible};

pub(crate) fn run(bytes: &[u8]) {
    let read = gguf::read(&mut Cursor::new(bytes));
    let inspection = gguf::inspect::inspect(&mut Cursor::new(bytes));
    assert_eq!(inspection.is_ok(), read.is_ok(), "what is shown is what can be admitted");
    let (Ok(header), Ok(inspection)) = (read, inspection) else { return };
    for tensor in &header.tensors {
        assert!(header.data_offset + tensor.offset + tensor.bytes <= bytes.len() as u64);
    }
    assert_eq!(inspection.tensors.len(), header.tensors.len());
    assert!(inspection.scanned.bytes <= inspection.sizes.weights_bytes);
    for anomaly in &inspection.anomalies {
        assert!(anomaly.severity < Severity::Refused);
        assert!(!anomaly.words.chars().any(is_invisible), "{:?}", anomaly.words);
    }
    for row in &inspection.metadata {
        assert!(!row.value.chars().any(is_invisible), "{:?}", row.value);
    }
}
