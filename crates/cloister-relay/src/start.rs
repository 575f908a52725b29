//! From a fresh process to a serving relay.

use std::error::Error;
use std::io::{Read, Write};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use jail::probe::Places;
use protocol::frame;
use protocol::relay::{RelaySettings, VERSION};

use crate::serve;

const SOCKET: RawFd = 3;
const OVERSIGHT: RawFd = 4;
const OPEN_FILES_MAX: u64 = 256;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut socket = UnixStream::from(jail::spawn::inherited(SOCKET)?);
    let oversight = jail::spawn::inherited(OVERSIGHT)?;
    let settings = read_settings(&mut socket)?;
    if settings.version != VERSION {
        return Err(
            format!("the supervisor speaks version {}, this relay {VERSION}", settings.version).into()
        );
    }
    let jail = jail::Jail {
        name: "cloister-relay".to_owned(),
        kind: jail::Kind::Relay,
        parent_pid: settings.supervisor_pid,
        read_write: Vec::new(),
        read_only: Vec::new(),
        keep_fds: vec![SOCKET, OVERSIGHT],
        memory_bytes_max: None,
        open_files_max: OPEN_FILES_MAX,
        accept: jail::weaker::parse_all(&settings.accept)?,
    };
    let applied = jail::apply_with_socket(&jail, Path::new(&settings.socket)).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("the relay cannot be jailed: {error}{cause}")
    })?;
    if let Some(warning) = applied.warning() {
        log(&warning);
    }
    if std::env::args().nth(1).as_deref() == Some("--probe") {
        let results = jail::probe::run_on_threads(jail::Kind::Relay, &Places::default(), 2);
        socket.write_all(&serde_json::to_vec(&results)?)?;
        return Ok(());
    }
    jail::oversight::answer(oversight, &applied, Places::default())?;
    // One thread: it waits for the upstream, and computes nothing.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(serve::serve(socket, settings, jail::weaker::names(&applied.weaker)))
}

fn read_settings(socket: &mut UnixStream) -> Result<RelaySettings, Box<dyn Error>> {
    let mut header = [0; frame::HEADER_BYTES];
    socket.read_exact(&mut header)?;
    let mut payload = vec![0; frame::payload_len(header)?];
    socket.read_exact(&mut payload)?;
    Ok(frame::decode(&payload)?)
}

/// To the supervisor's standard error.
pub(crate) fn log(line: &str) {
    let _closed = writeln!(std::io::stderr(), "relay {}: {line}", std::process::id());
}
