use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use protocol::admin::Command;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use tlog::note::NOTE_BYTES_MAX;
use tlog::policy::POLICY_BYTES_MAX;
use tlog::witness::Request;
use tlog::{Note, Policy, VerifierKey};

use super::Outcome;
use super::administer::ask;
use crate::data::Data;
use crate::output::{self, Hinted};

/// What auditors keep: the log's key, and whose cosignatures they demand.
const POLICY: &str = "log.policy";

/// Witnesses of the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Witness {
    /// Adds a witness to log.policy, which then demands the cosignatures of all its witnesses.
    Add {
        /// A name for it in the policy, in one word.
        name: String,
        /// Its verifier key, as `cloister witness init` printed it.
        verifier_key: String,
    },
    /// Writes what a witness is to cosign: the newest checkpoint, and that it continues the last one.
    Export {
        /// Leaves that this witness has cosigned [default: those of the last cosigned checkpoint]
        #[arg(long, value_name = "SIZE")]
        since: Option<u64>,
        /// Where to write the request.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Where to write it as a picture too, a QR code in SVG.
        #[arg(long, value_name = "FILE.svg")]
        qr: Option<PathBuf>,
    },
    /// Takes in a checkpoint that a witness of log.policy cosigned.
    Import {
        /// What `cloister witness sign` wrote.
        file: PathBuf,
    },
}

impl Witness {
    pub(super) fn run(self, data: &Path) -> Outcome {
        match self {
            Witness::Add { name, verifier_key } => add(data, name, &verifier_key),
            Witness::Export { since, out, qr } => export(data, since, &out, qr.as_deref()),
            Witness::Import { file } => import(data, &file),
        }
    }
}

fn add(data: &Path, name: String, key: &str) -> Outcome {
    let data = Data::open(data)?;
    let key: VerifierKey = key.trim().parse()?;
    let policy = Policy::parse(&read(&data.path(POLICY), POLICY_BYTES_MAX)?)?;
    let policy = policy.with_witness(&name, &key)?;
    ask(data.root(), Command::WitnessAdd { name: name.clone(), key: key.to_string() })?;
    data.write(POLICY, &policy.to_bytes())?;
    output::say(&format!(
        "added {name}: {} demands the cosignatures of all its witnesses now; give it to the auditors anew",
        data.path(POLICY).display()
    ));
    output::say("until the first one comes back, `cloister ledger verify --policy` finds it missing");
    output::say("next: cloisterd ledger witness export --since 0 --out FILE");
    Ok(ExitCode::SUCCESS)
}

fn export(data: &Path, since: Option<u64>, out: &Path, qr: Option<&Path>) -> Outcome {
    let data = Data::open(data)?;
    let exported = ask(data.root(), Command::WitnessExport { since })?;
    let request = exported["request"].as_str().unwrap_or_default();
    write(out, request.as_bytes())?;
    let since = &exported["since"];
    output::say(&format!("wrote {}, which continues the first {since} leaves", out.display()));
    if let Some(path) = qr {
        let policy = Policy::parse(&read(&data.path(POLICY), POLICY_BYTES_MAX)?)?;
        let picture = picture(request, &policy)?;
        write(path, picture.svg.as_bytes())?;
        let short = if picture.shortened {
            " without the log's second signature, which one code has no room for; import puts it back"
        } else {
            ""
        };
        output::say(&format!("wrote {}{short}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A request as a QR code.
struct Picture {
    svg: String,
    /// Whether it carries the signature of the log's key alone.
    shortened: bool,
}

fn picture(request: &str, policy: &Policy) -> Result<Picture, Box<dyn Error>> {
    let code = |text: &str| QrCode::with_error_correction_level(text, EcLevel::L);
    let svg = |code: QrCode| code.render::<svg::Color<'_>>().min_dimensions(600, 600).build();
    if let Ok(code) = code(request) {
        return Ok(Picture { svg: svg(code), shortened: false });
    }
    let whole: Request = request.parse()?;
    let note = Note::parse(&whole.checkpoint)?;
    let signed: Vec<String> = policy.logs().flat_map(|log| note.lines_of(log)).collect();
    let checkpoint = format!("{}\n{}", note.text(), signed.concat());
    let code = code(&Request { checkpoint, ..whole.clone() }.to_string()).map_err(|error| {
        Hinted::new(format!("the request does not fit one QR code: {error}"), "carry the file instead")
    })?;
    Ok(Picture { svg: svg(code), shortened: true })
}

fn import(data: &Path, file: &Path) -> Outcome {
    let data = Data::open(data)?;
    let policy = read(&data.path(POLICY), POLICY_BYTES_MAX)?;
    let checkpoint = String::from_utf8(read(file, NOTE_BYTES_MAX)?)
        .map_err(|_| format!("{} is not a cosigned checkpoint: it is not text", file.display()))?;
    let imported = ask(data.root(), Command::WitnessImport { checkpoint, policy })?;
    let names = imported["witnesses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(|name| name.as_str()).collect();
    let leaves = &imported["leaves"];
    if names.is_empty() {
        output::say(&format!("nothing new: the cosignatures of these {leaves} leaves are stored already"));
    } else {
        output::say(&format!("stored: {leaves} leaves, cosigned by {}", names.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > bytes_max {
        return Err(format!("{} is longer than {bytes_max} bytes", path.display()).into());
    }
    Ok(bytes)
}

/// Writes a file for somebody else to take, and makes it durable.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    Ok(written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
}

#[cfg(test)]
mod tests {
    use tlog::{Checkpoint, CosigningKey, SigningKey};

    use super::*;

    #[test]
    fn pictures_leave_out_what_has_no_room() {
        let origin = "o".repeat(250);
        let log = SigningKey::new(&origin, [1; 32]).unwrap();
        let second = CosigningKey::ml_dsa_44(&origin, [2; 32]).unwrap();
        let policy = format!("log {}\nquorum none\n", log.verifier());
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let checkpoint = Checkpoint { origin, size: 1 << 40, root: [3; 32] };
        let once = checkpoint.sign(&log).unwrap();
        let twice = once.clone() + &second.cosign(&checkpoint, 5).unwrap();
        let request = |hashes, checkpoint: &str| {
            // In base64 with small letters, as hashes are: a code has more room for capitals alone.
            let consistency = vec![[0x69; 32]; hashes];
            Request { old_size: 9, consistency, checkpoint: checkpoint.to_owned() }.to_string()
        };
        let whole = picture(&request(25, &once), &policy).unwrap();
        let short = picture(&request(25, &twice), &policy).unwrap();
        assert!(!whole.shortened && short.shortened);
        assert_eq!(short.svg, whole.svg);
        assert!(whole.svg.contains("<svg"));
        let error = picture(&request(63, &twice), &policy).err().unwrap();
        assert!(error.to_string().contains("does not fit one QR code"), "{error}");
    }
}
