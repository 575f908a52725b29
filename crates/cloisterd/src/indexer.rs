//! The side that starts indexers, and believes nothing of what comes back but what it parses strictly.

use std::error::Error;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jail::Kind;
use jail::channel::Channel;
use jail::oversight::Oversight;
use jail::spawn::{Child, Command, Program};
use protocol::context::{IndexAnswer, IndexRequest, MESSAGE_BYTES_MAX, VERSION};
use protocol::frame;

use crate::data::Data;
use crate::index_process::{self, ARGUMENT, NAME};
use crate::settings::Settings;
use crate::sources::{Configuration, Indexes};

/// Bytes of a reason that is shown.
const REASON_BYTES_MAX: usize = 2048;
/// Files to watch at most.
const WATCH_MAX: usize = 8;

/// A running indexer.
pub(crate) struct Indexer {
    pub(crate) child: Child,
    pub(crate) channel: Channel,
    /// Taken by whoever looks at the jails. If it is dropped, the indexer ends.
    pub(crate) oversight: Option<Oversight>,
}

/// What it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Its jail goes without something that was accepted.
    Weakened(String),
    /// How far it is.
    Progress { done: u64, total: u64 },
    /// It is done.
    Done {
        /// Whether there is a new index.
        changed: bool,
        /// Files beneath the source's folder to watch.
        watch: Vec<PathBuf>,
    },
    /// There is no index, and why.
    Failed(String),
}

impl Indexer {
    /// Starts one, and tells it what to do.
    pub(crate) fn start(
        data: &Data,
        settings: &Settings,
        name: &str,
        source: &Configuration,
        from_scratch: bool,
    ) -> Result<Indexer, Box<dyn Error>> {
        let (channel, theirs) = Channel::pair()?;
        let (oversight, its_end) = Oversight::of(Kind::Indexer, index_process::places(data.root()))?;
        let indexes = Indexes::of(data, name);
        let building = indexes.building()?;
        let published = if from_scratch { None } else { indexes.published() };
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let request = IndexRequest {
            version: VERSION,
            parent_pid: std::process::id(),
            accept: settings.jail.accept_names(),
            root: bytes(&source.path),
            branch: source.branch.clone(),
            building: bytes(&building),
            published: published.as_deref().map(bytes),
            threads: settings.threads(),
        };
        let program = std::env::current_exe()?;
        let child = jail::spawn::spawn(&Command {
            program: Program::Path(&program),
            name: NAME,
            arguments: &[ARGUMENT],
            environment: &[],
            descriptors: &[theirs.as_fd(), its_end.as_fd()],
        })?;
        channel.send(&frame::encode(&request)?, &[])?;
        Ok(Indexer { child, channel, oversight: Some(oversight) })
    }

    /// What it says next; `None` at its end.
    pub(crate) fn next(&self) -> Result<Option<Said>, Box<dyn Error>> {
        let mut packet = vec![0; MESSAGE_BYTES_MAX];
        let Some((length, _)) = self.channel.recv(&mut packet)? else { return Ok(None) };
        let payload = packet.get(frame::HEADER_BYTES..length).ok_or("the indexer said too little")?;
        Ok(Some(match frame::decode(payload)? {
            IndexAnswer::Weakened { warning } => Said::Weakened(shortened(warning)),
            IndexAnswer::Progress { done, total } => Said::Progress { done, total },
            IndexAnswer::Failed { reason } => Said::Failed(shortened(reason)),
            IndexAnswer::Done { changed, watch } => {
                let watch: Vec<PathBuf> = watch.into_iter().map(PathBuf::from).collect();
                if watch.len() > WATCH_MAX || !watch.iter().all(|path| is_beneath(path)) {
                    return Err("the indexer names files to watch that are none of its source's".into());
                }
                Said::Done { changed, watch }
            }
        }))
    }
}

/// Names only: neither a root nor a way up.
fn is_beneath(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

/// On one line, of a bearable length.
fn shortened(text: String) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = (0..=REASON_BYTES_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].to_owned()
}
