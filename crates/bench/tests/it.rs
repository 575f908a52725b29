//! The benchmark runs from end to end on the real programs. It measures nothing here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

#[test]
fn every_table_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["engine", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for row in [
        "ledger, 64 at a time",
        "prefill of 512",
        "decode after 512",
        "through gateway and ledger |",
        "through gateway and ledger, streamed",
        "engine worker",
    ] {
        assert!(text.contains(row), "{row}:\n{text}");
    }
    assert!(!text.contains("NaN"), "{text}");
}
