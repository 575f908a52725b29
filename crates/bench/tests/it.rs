//! The benchmark runs from end to end on the real programs. It measures nothing here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

#[test]
fn every_table_is_printed() {
    prints(
        "engine",
        &[
            "ledger, 64 at a time",
            "prefill of 64",
            "decode after 64",
            "through gateway and ledger |",
            "through gateway and ledger, streamed",
            "engine worker",
        ],
    );
}

#[test]
fn the_ledgers_tables_are_printed() {
    prints(
        "ledger",
        &[
            "SQLite (WAL, synchronous=FULL), 64 at a time",
            "verification without the body key",
            "verification with it, every body opened",
            "bytes a request, all in all",
            "queries of metadata",
            "a proof of one leaf",
        ],
    );
}

#[test]
fn the_vaults_tables_are_printed() {
    prints(
        "vault",
        &[
            "`sha256sum`",
            "`cloisterd model import`",
            "`cloisterd model verify`",
            "model not in the page cache",
            "engine worker, the model's sealed copy",
        ],
    );
}

fn prints(what: &str, rows: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args([what, "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for row in rows {
        assert!(text.contains(row), "{row}:\n{text}");
    }
    assert!(!text.contains("NaN"), "{text}");
}
