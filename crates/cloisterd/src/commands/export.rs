use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ledger::{EXPORT_LEAVES_MAX, Exported, Filter};
use protocol::admin::Command;

use super::query::Which;
use super::{Outcome, administer};
use crate::data::Data;
use crate::events::{self, Format, Place};
use crate::output::{self, Hinted};
use crate::{admin_socket, listeners};

/// Between two looks for new leaves.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Writes leaves as events, in order, one a line; without any body.
///
/// Each names its leaf, the leaf's hash and the log's origin, by which a receiver drops what comes twice and
/// sees what is missing.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    which: Which,
    /// How an event is written.
    #[arg(long, value_enum)]
    format: Format,
    /// Append to this file, instead of standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    out: Option<PathBuf>,
    /// Begin with this leaf.
    #[arg(long, value_name = "LEAF")]
    from_leaf: Option<u64>,
    /// Begin with the leaf that this file names, and keep in it how far the export is.
    #[arg(long, value_name = "FILE", conflicts_with = "from_leaf")]
    cursor: Option<PathBuf>,
    /// Go on with new leaves as they come, until stopped.
    #[arg(long)]
    follow: bool,
    /// Serve one reader at a time on this Unix socket.
    #[arg(long, value_name = "PATH", requires = "follow")]
    socket: Option<PathBuf>,
    /// The IANA private enterprise number of `rfc5424` structured data. The default is the one for examples: a
    /// site that has one gives its own.
    #[arg(long, value_name = "NUMBER", default_value_t = events::ENTERPRISE_EXAMPLE)]
    enterprise: u32,
}

/// How far an export is.
struct Cursor {
    file: Option<PathBuf>,
    next: u64,
}

/// Where the pages come from.
struct Source<'a> {
    data: &'a Path,
    filter: Filter,
    format: Format,
    place: Place,
}

impl Export {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let mut cursor = Cursor::open(self.cursor, self.from_leaf)?;
        let place = Place::here(self.enterprise);
        let source = Source { data, filter: self.which.filter(None), format: self.format, place };
        if let Some(socket) = &self.socket {
            return source.serve(socket, &mut cursor);
        }
        let mut out: Box<dyn Write> = match &self.out {
            Some(path) => Box::new(appended(path)?),
            None => Box::new(io::stdout().lock()),
        };
        match source.write(&mut *out, &mut cursor, self.follow) {
            // Whoever read standard output has enough.
            Err(Broken::Out(error)) if self.out.is_none() && error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(Broken::Out(error)) => return Err(error.into()),
            Err(Broken::Source(error)) => return Err(error),
            Ok(()) => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Why writing ended before its end.
enum Broken {
    Out(io::Error),
    Source(Box<dyn std::error::Error>),
}

impl Source<'_> {
    /// Writes what there is; then, to follow, what comes. The cursor moves when a page is written, so a page
    /// that a crash cut off comes again.
    fn write(&self, out: &mut dyn Write, cursor: &mut Cursor, follow: bool) -> Result<(), Broken> {
        loop {
            let page = self.page(cursor.next, follow).map_err(Broken::Source)?;
            if page.size < cursor.next {
                let message = format!("the ledger has {} leaves, fewer than were exported", page.size);
                let hint = "was it rolled back? run `cloister ledger verify`";
                return Err(Broken::Source(Hinted::new(message, hint).into()));
            }
            let mut lines = String::new();
            for leaf in &page.leaves {
                lines.push_str(&events::line(self.format, &page.origin, leaf, &self.place));
                lines.push('\n');
            }
            out.write_all(lines.as_bytes()).and_then(|()| out.flush()).map_err(Broken::Out)?;
            let advanced = page.next > cursor.next;
            cursor.advance(page.next).map_err(|error| Broken::Source(error.into()))?;
            if page.next >= page.size {
                if !follow {
                    return Ok(());
                }
                std::thread::sleep(FOLLOW_EVERY);
            } else if !advanced {
                return Err(Broken::Source("the export does not get further".into()));
            }
        }
    }

    /// A page, from whoever holds the ledger. To follow, the daemon: while it does not run, it is waited for,
    /// rather than taking the ledger in its place.
    fn page(&self, from: u64, follow: bool) -> Result<Exported, Box<dyn std::error::Error>> {
        let command = Command::LedgerExport { filter: self.filter.clone(), from, count: EXPORT_LEAVES_MAX };
        let document = if follow {
            let socket = Data::open(self.data)?.path(listeners::ADMIN_SOCKET);
            let mut said = false;
            let response = loop {
                match admin_socket::ask(&socket, command.clone()) {
                    Ok(response) => break response,
                    Err(error) if !said => {
                        output::say(&format!("the daemon does not answer ({error}): waiting for it"));
                        said = true;
                    }
                    Err(_) => {}
                }
                std::thread::sleep(FOLLOW_EVERY);
            };
            administer::document(response)?
        } else {
            administer::ask(self.data, command)?
        };
        Ok(serde_json::from_value(document)?)
    }

    /// Serves one reader after the other; each goes on where the one before was.
    fn serve(&self, path: &Path, cursor: &mut Cursor) -> Outcome {
        let cannot = |error: io::Error| {
            let hint = "remove what is left of an earlier run, or name another path";
            Hinted::new(format!("{} cannot be listened on: {error}", path.display()), hint)
        };
        let listener = UnixListener::bind(path).map_err(cannot)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(cannot)?;
        output::say(&format!("serving events on {} from leaf {}", path.display(), cursor.next));
        loop {
            let (mut reader, _) = listener.accept()?;
            match self.write(&mut reader, cursor, true) {
                Err(Broken::Out(error)) => output::say(&format!("the reader went away: {error}")),
                Err(Broken::Source(error)) => return Err(error),
                Ok(()) => {}
            }
        }
    }
}

impl Cursor {
    fn open(file: Option<PathBuf>, from: Option<u64>) -> Result<Cursor, Box<dyn std::error::Error>> {
        let next = match &file {
            None => from.unwrap_or(0),
            Some(path) => match std::fs::read_to_string(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                text => text?.trim().parse().map_err(|_| {
                    Hinted::new(
                        format!("{} does not hold the number of a leaf", path.display()),
                        "name another cursor file, or give --from-leaf",
                    )
                })?,
            },
        };
        Ok(Cursor { file, next })
    }

    fn advance(&mut self, next: u64) -> io::Result<()> {
        if next == self.next {
            return Ok(());
        }
        self.next = next;
        let Some(path) = &self.file else { return Ok(()) };
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".tmp");
        let mut file = File::create(&unfinished)?;
        writeln!(file, "{next}")?;
        file.sync_data()?;
        std::fs::rename(&unfinished, path)
    }
}

/// A file that only its owner reads: events name people.
fn appended(path: &Path) -> Result<File, Hinted> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.map_err(|error| {
        Hinted::new(format!("{} cannot be written: {error}", path.display()), "name another file with --out")
    })
}
