//! The sources of a running daemon: when each is indexed, one after the other, and what the gateway hears of it. The
//! supervisor's loop drives it; it never waits.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jail::oversight::Oversight;
use jail::spawn::Exit;
use protocol::context::{SourceFacts, Stage};
use protocol::control::ToGateway;

use crate::data::Data;
use crate::indexer::{Indexer, Said};
use crate::output;
use crate::settings::Settings;
use crate::sources::{self, Configuration, Configured, Indexes};

/// Between two looks at whether something changed.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A folder, which no commit speaks for, is read again after this.
const FOLDER_EVERY: Duration = Duration::from_secs(60);
/// What failed is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// An indexer that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// All sources.
pub(crate) struct Indexing {
    sources: BTreeMap<String, Source>,
    running: Option<Running>,
    watched_last: Instant,
}

struct Source {
    configuration: Configuration,
    /// When it is to be indexed next.
    due: Option<Instant>,
    /// Files that tell of changes, and how they were when it was indexed.
    watch: Vec<(PathBuf, Stamp)>,
    /// Whether what there is cannot be used, and is not to be built upon.
    from_scratch: bool,
}

struct Running {
    name: String,
    indexer: Indexer,
    /// Of the watched files, before anything was read.
    since: Instant,
    heard: Instant,
    said: Option<Said>,
    /// It was ended, and why.
    ended: Option<String>,
}

/// What tells whether a file is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    fn of(path: &Path) -> Stamp {
        let metadata = fs::symlink_metadata(path).ok();
        Stamp(metadata.map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec())))
    }
}

/// An indexer that has ended, and what the gateway is to be told.
pub(crate) struct Ended {
    pub(crate) pid: u32,
    pub(crate) told: Vec<ToGateway>,
}

/// A process that was started, for whoever looks at the jails.
pub(crate) struct Started {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) oversight: Oversight,
}

impl Indexing {
    /// Everything is looked at once at the start. What was removed meanwhile goes.
    pub(crate) fn new(data: &Data) -> Result<Indexing, Box<dyn Error>> {
        sources::make_folder(data)?;
        let mut indexing = Indexing { sources: BTreeMap::new(), running: None, watched_last: Instant::now() };
        let configured = sources::configured(data)?;
        for name in sources::abandoned(data, &configured) {
            Indexes::of(data, &name).remove()?;
        }
        let _none_runs = indexing.set(configured);
        Ok(indexing)
    }

    /// What the gateway is told at its start.
    pub(crate) fn facts(&self) -> Vec<SourceFacts> {
        self.sources.iter().map(|(name, source)| source.configuration.facts(name)).collect()
    }

    /// What it is told once it is ready: the indexes that there are.
    pub(crate) fn published(&self, data: &Data) -> Vec<ToGateway> {
        let told = |name: &String| index(name, &Indexes::of(data, name).published()?);
        self.sources.keys().filter_map(told).collect()
    }

    /// What there is from now on. Answers the process of an indexer that was ended, since its source is no more.
    pub(crate) fn set(&mut self, configured: Configured) -> Option<u32> {
        let mut before = std::mem::take(&mut self.sources);
        for (name, configuration) in configured {
            let known = before.remove(&name).filter(|known| {
                let (new, old) = (&configuration, &known.configuration);
                new.path == old.path && new.branch == old.branch
            });
            let source = match known {
                Some(known) => Source { configuration, ..known },
                None => Source {
                    configuration,
                    due: Some(Instant::now()),
                    watch: Vec::new(),
                    from_scratch: false,
                },
            };
            self.sources.insert(name, source);
        }
        // Nothing of a source that is no more is written any longer once this returns.
        let orphan = self.running.take_if(|running| !self.sources.contains_key(&running.name))?;
        let _ended_by_itself = orphan.indexer.child.kill();
        let _ended = orphan.indexer.child.wait();
        Some(orphan.indexer.child.pid())
    }

    /// Has a source indexed as soon as may be; false where there is none.
    pub(crate) fn synchronise(&mut self, name: &str) -> bool {
        let source = self.sources.get_mut(name);
        source.map(|source| source.due = Some(Instant::now())).is_some()
    }

    /// The gateway cannot use an index.
    pub(crate) fn unusable(&mut self, data: &Data, name: &str, folder: &str, error: &str) {
        output::say(&format!("the index of {name} cannot be used, and is made anew: {error}"));
        if let Some(source) = self.sources.get_mut(name) {
            let indexes = Indexes::of(data, name);
            indexes.discard(&data.path(sources::FOLDER).join(name).join(folder));
            // One that was made anew and cannot be used either is not made again and again.
            let wait = if source.from_scratch { RETRY_AFTER } else { Duration::ZERO };
            source.from_scratch = true;
            source.due = Some(Instant::now() + wait);
        }
    }

    /// The gateway uses an index: those before it go.
    pub(crate) fn usable(&mut self, data: &Data, name: &str, folder: &str) {
        if let Some(source) = self.sources.get_mut(name) {
            source.from_scratch = false;
            Indexes::of(data, name).keep_only(&data.path(sources::FOLDER).join(name).join(folder));
        }
    }

    /// Starts the next indexer, if one is due.
    pub(crate) fn start_what_is_due(
        &mut self,
        data: &Data,
        settings: &Settings,
    ) -> Option<(Started, ToGateway)> {
        let now = Instant::now();
        self.watch(now);
        if let Some(running) = &mut self.running {
            if now.duration_since(running.heard) > SILENCE_MAX {
                running.end("it said nothing for ten minutes");
            }
            return None;
        }
        let due = |source: &Source| source.due.filter(|due| *due <= now);
        let (name, _) = self
            .sources
            .iter()
            .filter_map(|(name, source)| Some((name.clone(), due(source)?)))
            .min_by_key(|(_, due)| *due)?;
        let source = self.sources.get_mut(&name)?;
        source.due = None;
        match Indexer::start(data, settings, &name, &source.configuration, source.from_scratch) {
            Ok(mut indexer) => {
                let oversight = indexer.oversight.take()?;
                let started =
                    Started { name: format!("indexer {name}"), pid: indexer.child.pid(), oversight };
                let stage = Stage::Indexing { done: 0, total: 0 };
                let told = ToGateway::SourceStage { source: name.clone(), stage };
                self.running =
                    Some(Running { name, indexer, since: now, heard: now, said: None, ended: None });
                Some((started, told))
            }
            Err(error) => {
                source.due = Some(now + RETRY_AFTER);
                output::say(&format!("{name} cannot be indexed: {}", output::on_one_line(&*error)));
                None
            }
        }
    }

    /// Notices that something changed, by the looks of some files.
    fn watch(&mut self, now: Instant) {
        if now.duration_since(self.watched_last) < WATCH_EVERY {
            return;
        }
        self.watched_last = now;
        for source in self.sources.values_mut() {
            if source.configuration.watch
                && source.watch.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
            {
                source.watch.clear();
                source.due = Some(now);
            }
        }
    }

    /// When there is something to do, whatever happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        let watched =
            self.sources.values().any(|source| source.configuration.watch && !source.watch.is_empty());
        let watch = watched.then(|| self.watched_last + WATCH_EVERY);
        let due = self.sources.values().filter_map(|source| source.due).min();
        let silent = self.running.as_ref().map(|running| running.heard + SILENCE_MAX);
        let due = if self.running.is_some() { None } else { due };
        [watch, due, silent].into_iter().flatten().min()
    }

    /// The indexer that runs.
    pub(crate) fn running(&self) -> Option<&Indexer> {
        self.running.as_ref().map(|running| &running.indexer)
    }

    /// Something came from the indexer.
    pub(crate) fn hear(&mut self) -> Option<ToGateway> {
        let running = self.running.as_mut()?;
        running.heard = Instant::now();
        match running.indexer.next() {
            Ok(Some(Said::Progress { done, total })) => {
                let stage = Stage::Indexing { done, total };
                return Some(ToGateway::SourceStage { source: running.name.clone(), stage });
            }
            Ok(Some(Said::Weakened(warning))) => output::say(&warning),
            Ok(Some(said)) if running.said.is_none() => running.said = Some(said),
            Ok(Some(_)) => running.end("it said more than it was asked"),
            // Its end is noticed by its process.
            Ok(None) => running.closed(),
            Err(error) => running.end(&output::on_one_line(&*error)),
        }
        None
    }

    /// Whether its line can still say something.
    pub(crate) fn is_open(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.said.is_none() && running.ended.is_none())
    }

    /// The indexer has ended. Answers its process, and what the gateway is to be told.
    pub(crate) fn ended(&mut self, data: &Data) -> Result<Option<Ended>, Box<dyn Error>> {
        let Some(running) = self.running.take() else { return Ok(None) };
        let exit = running.indexer.child.wait()?;
        let pid = running.indexer.child.pid();
        let Some(source) = self.sources.get_mut(&running.name) else {
            return Ok(Some(Ended { pid, told: Vec::new() }));
        };
        let (name, since) = (running.name.clone(), running.since);
        let mut told = Vec::new();
        let came_to = running.result(exit).and_then(|(changed, watch)| {
            let published = if changed {
                Some(Indexes::of(data, &name).publish().map_err(|error| output::on_one_line(&*error))?)
            } else {
                None
            };
            Ok((published, watch))
        });
        match came_to {
            Ok((published, watch)) => {
                let root = source.configuration.path.clone();
                source.watch =
                    watch.iter().map(|file| (root.join(file), Stamp::of(&root.join(file)))).collect();
                // What changed while it was read is seen by the next run: a file that is as old as the run is looked at
                // again.
                if source.watch.is_empty() && source.configuration.watch {
                    source.due.get_or_insert(Instant::now() + FOLDER_EVERY);
                } else if source.configuration.watch && changed_since(&source.watch, since) {
                    source.due.get_or_insert(Instant::now());
                }
                // A new index is ready when the gateway has opened it.
                match published.and_then(|folder| index(&name, &folder)) {
                    Some(opens) => told.push(opens),
                    None => told.push(ToGateway::SourceStage { source: name, stage: Stage::Ready }),
                }
            }
            Err(reason) => {
                output::say(&format!("{name} is not indexed: {reason}"));
                source.due.get_or_insert(Instant::now() + RETRY_AFTER);
                told.push(ToGateway::SourceStage { source: name, stage: Stage::Failed { reason } });
            }
        }
        Ok(Some(Ended { pid, told }))
    }
}

/// Whether a file was written after that.
fn changed_since(watch: &[(PathBuf, Stamp)], since: Instant) -> bool {
    let Some(since) = std::time::SystemTime::now().checked_sub(since.elapsed()) else { return false };
    watch.iter().any(|(path, _)| {
        fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).is_ok_and(|time| time > since)
    })
}

fn index(name: &str, folder: &Path) -> Option<ToGateway> {
    let folder = folder.file_name()?.to_str()?.to_owned();
    Some(ToGateway::Index { source: name.to_owned(), folder })
}

impl Running {
    fn end(&mut self, why: &str) {
        if self.ended.is_none() {
            self.ended = Some(why.to_owned());
            let _ended_by_itself = self.indexer.child.kill();
        }
    }

    fn closed(&mut self) {
        self.ended.get_or_insert_with(|| "it closed its line".to_owned());
    }

    fn result(self, exit: Exit) -> Result<(bool, Vec<PathBuf>), String> {
        match (self.said, exit) {
            (Some(Said::Done { changed, watch }), Exit::Code(0)) => Ok((changed, watch)),
            (Some(Said::Failed(reason)), _) => Err(reason),
            (_, exit) => {
                let why = self.ended.map(|why| format!(": {why}")).unwrap_or_default();
                Err(format!("the indexer ended ({exit:?}){why}"))
            }
        }
    }
}
