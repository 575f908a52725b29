//! What the server once said is in its ledger, kept where the server cannot reach it. `cloister ledger
//! verify --seen` compares: a ledger that has lost a receipt was rolled back.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use client::{Address, Mark};
use protocol::digest::{hex, unhex};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::failure::Failure;

/// A line longer than this is not a receipt.
const LINE_BYTES_MAX: u64 = 8 << 10;

/// One line of `receipts.jsonl`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiptLine {
    /// Who gave it: several servers' receipts lie in one file.
    pub(crate) server: String,
    /// When it came, by this machine's clock, in milliseconds of Unix time.
    pub(crate) time_unix_ms: u64,
    /// The record: the ledger has at least this many leaves and one.
    pub(crate) record: u64,
    /// A leaf and its hash, where the server sent a receipt with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leaf: Option<LeafLine>,
}

/// A leaf that a receipt names.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeafLine {
    pub(crate) index: u64,
    /// 64 hexadecimal digits.
    pub(crate) hash: String,
}

impl LeafLine {
    /// The hash's bytes; `None` when it is not a hash.
    pub(crate) fn hash(&self) -> Option<[u8; 32]> {
        unhex(&self.hash)?.try_into().ok()
    }
}

/// The file; `None` where there is no home for it.
pub(crate) fn path(environment: &Environment) -> Option<PathBuf> {
    Some(environment.state_home.as_ref()?.join("cloister/receipts.jsonl"))
}

/// Adds an answer's marks to the file, readable by its owner only. An answer without a record adds
/// nothing.
pub(crate) fn append(path: &Path, server: &Address, mark: &Mark) -> io::Result<()> {
    let Some(record) = mark.record else { return Ok(()) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let leaf = mark.receipt.map(|receipt| LeafLine { index: receipt.index, hash: hex(&receipt.leaf_hash) });
    let line = ReceiptLine {
        server: server.to_string(),
        time_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        record: record.0,
        leaf,
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // One write: lines of commands that run at the same time do not mix.
    let mut text = serde_json::to_string(&line)?;
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Reads a file of receipts.
pub(crate) fn read(path: &Path) -> Result<Vec<ReceiptLine>, Failure> {
    let cannot = |source: io::Error| Failure::file("cannot read", path, &source);
    let mut file = BufReader::new(fs::File::open(path).map_err(cannot)?);
    let mut receipts = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(cannot)?;
        if read == 0 {
            return Ok(receipts);
        }
        let number = receipts.len() + 1;
        let receipt: ReceiptLine = serde_json::from_slice(&line).map_err(|error| {
            Failure::usage(format!("line {number} of {} is not a receipt", path.display())).caused_by(&error)
        })?;
        if receipt.leaf.as_ref().is_some_and(|leaf| leaf.hash().is_none()) {
            return Err(Failure::usage(format!(
                "line {number} of {} is not a receipt: its hash is not 64 hexadecimal digits",
                path.display()
            )));
        }
        receipts.push(receipt);
    }
}

#[cfg(test)]
mod tests {
    use client::Receipt;
    use protocol::RecordNumber;

    use super::*;

    #[test]
    fn what_is_appended_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/receipts.jsonl");
        let server: Address = "http://127.0.0.1:1".parse().unwrap();
        let receipt = Receipt { index: 7, leaf_hash: [0xab; 32] };
        let marks = [
            Mark { record: Some(RecordNumber(5)), receipt: None },
            Mark { record: None, receipt: None },
            Mark { record: Some(RecordNumber(7)), receipt: Some(receipt) },
        ];
        for mark in &marks {
            append(&path, &server, mark).unwrap();
        }
        let lines = read(&path).unwrap();
        assert_eq!(lines.iter().map(|line| line.record).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(lines[0].leaf, None);
        assert_eq!(lines[1].leaf.as_ref().and_then(LeafLine::hash), Some([0xab; 32]));
        assert_eq!(lines[1].server, "http://127.0.0.1:1");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_no_receipt_is_refused_by_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("receipts.jsonl");
        let good = r#"{"server":"s","time_unix_ms":1,"record":2}"#;
        let short = r#"{"server":"s","time_unix_ms":1,"record":2,"leaf":{"index":2,"hash":"ab"}}"#;
        let long = "x".repeat(9000);
        for bad in ["{}", "nonsense", short, &long] {
            let mut file = fs::File::create(&path).unwrap();
            writeln!(file, "{good}\n{bad}").unwrap();
            let failure = format!("{:?}", read(&path).unwrap_err());
            assert!(failure.contains("line 2 of"), "{failure}");
        }
    }
}
