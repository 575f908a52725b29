use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use ledger::disk::RealDisk;
use lineage::slice::{Header, LEAVES_MAX, Scope};
use protocol::admin::Command;
use serde::Deserialize;

use super::Outcome;
use super::administer::ask;
use super::query::time_unix_ms;
use crate::data::Data;
use crate::output::{self, Hinted};

/// Writes a slice of the ledger for build machines: what `cloister review` and `cloister gate` work from.
///
/// Keyed fingerprints of answers' lines, the leaves that commit to them, and a proof that all are in the signed log; no
/// prompt and no answer. It holds the fingerprints' key: who has the file can test whether a text that they guess was an
/// answer, so hand it to your pipeline and to nobody else. That it was made is recorded, with the digest of all of it, so
/// that nothing can be left out later. docs/pipelines.md.
#[derive(Debug, Args)]
pub(crate) struct Slice {
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Records of this repository, as editors name it; without it, of all.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Also records that name no repository, as those of chats outside of an editor.
    #[arg(long, requires = "repository")]
    unnamed: bool,
    /// Also answers that people rejected: whoever rejects one may still copy it.
    #[arg(long)]
    rejected: bool,
    /// From this time on: 2026-11-01, 2026-11-01T12:00 (both in UTC), 2026-11-01T12:00+01:00, or an age as 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time_unix_ms)]
    since: Option<u64>,
    /// Print {records, leaves, digest, seal} as JSON.
    #[arg(long)]
    json: bool,
}

/// What the daemon recorded.
#[derive(Deserialize)]
struct Sealed {
    seal: u64,
    leaf: String,
    end: u64,
    key: String,
    origin: String,
    checkpoint: String,
    size: u64,
}

#[derive(Deserialize)]
struct Page {
    chunk: String,
    indexes: Vec<u64>,
    next: Option<u64>,
}

impl Slice {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let Slice { out, repository, unnamed, rejected, since, json } = self;
        let opened = Data::open(data)?;
        // Before anything is recorded: what cannot be written is not handed out.
        let file = created(&out)?;
        let scope = Scope { repository, unnamed, rejected, since_unix_ms: since };
        let written = write(data, &opened, file, scope);
        if written.is_err() {
            // Half a slice is none.
            drop(std::fs::remove_file(&out));
        }
        let (seal, detail) = written?;
        if json {
            output::line(&serde_json::json!({ "seal": seal, "detail": detail }).to_string())?;
        } else {
            output::say(&format!("{}: {detail}; recorded as leaf {seal}", out.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(data: &Path, opened: &Data, file: File, scope: Scope) -> Result<(u64, String), Box<dyn Error>> {
    let sealed: Sealed = serde_json::from_value(ask(data, Command::LedgerSlice { scope: scope.clone() })?)?;
    let header = Header {
        origin: sealed.origin,
        scope: scope.clone(),
        end: sealed.end,
        key: sealed.key,
        seal: sealed.seal,
        seal_leaf: sealed.leaf,
        checkpoint: sealed.checkpoint,
    };
    let mut out = BufWriter::new(file);
    out.write_all(&header.beginning()?)?;
    let mut indexes = vec![sealed.seal];
    let mut before = Some(sealed.end);
    let bar = output::counted("leaves");
    bar.set_length(sealed.end);
    while let Some(from) = before {
        let command = Command::LedgerSliceChunk { scope: scope.clone(), end: sealed.end, before: from };
        let page: Page = serde_json::from_value(ask(data, command)?)?;
        out.write_all(&BASE64.decode(&page.chunk)?)?;
        indexes.extend(page.indexes);
        if indexes.len() > LEAVES_MAX {
            return Err(
                Hinted::new("the slice is too large", "take less of it: --repository, --since").into()
            );
        }
        bar.set_position(sealed.end.saturating_sub(page.next.unwrap_or(0)));
        before = page.next.filter(|next| *next < from);
    }
    bar.finish_and_clear();
    let disk = RealDisk::existing(&opened.path("ledger"))?;
    let proof = lineage::slice::prove(&disk, indexes, sealed.size)?;
    out.write_all(&lineage::slice::end(&proof))?;
    out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    let seal: serde_json::Value = serde_json::from_str(&header.seal_leaf)?;
    Ok((sealed.seal, seal["event"]["detail"].as_str().unwrap_or_default().to_owned()))
}

/// A file that only its owner reads.
fn created(path: &Path) -> Result<File, Hinted> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| {
        Hinted::new(format!("{} cannot be written: {error}", path.display()), "name another file with --out")
    })
}
