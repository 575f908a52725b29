//! The sources that are indexed, and what of them somebody may read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use protocol::Digest;
use protocol::context::{SourceFacts, Stage};

use crate::index::{IndexError, Opened, Summary};
use crate::query::Work;
use crate::tree::LeftOut;

/// All sources. Shared; whoever asks works on what there was when they asked.
#[derive(Debug, Default)]
pub struct Sources {
    sources: RwLock<BTreeMap<String, Arc<Source>>>,
    stages: RwLock<BTreeMap<String, Stage>>,
    /// How often something was removed.
    removals: AtomicU64,
}

/// A source, as it is now.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) facts: SourceFacts,
    /// `None` until it is indexed.
    pub(crate) opened: Option<Opened>,
}

/// A source, for those who ask what there is.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Who may read it.
    pub readers: Vec<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// The file of it that holds its coding rules.
    pub rules_file: Option<String>,
    /// How it stands.
    pub stage: Stage,
    /// What its index holds; `None` until there is one.
    pub summary: Option<Summary>,
    /// The index's version; `None` until there is one.
    pub version: Option<Digest>,
}

/// What one person may read, at one moment.
#[derive(Debug)]
pub struct Readable {
    pub(crate) sources: Vec<Arc<Source>>,
    pub(crate) work: Work,
}

impl Sources {
    /// What there is from now on. What is not among them is let go of at once; the index of the others stays.
    pub fn set(&self, facts: Vec<SourceFacts>) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *sources);
        for facts in facts {
            let opened = before.remove(&facts.name).and_then(|source| source.opened.clone());
            sources.insert(facts.name.clone(), Arc::new(Source { facts, opened }));
        }
        if !before.is_empty() {
            self.removals.fetch_add(1, Ordering::SeqCst);
        }
        let mut stages = self.stages.write().unwrap_or_else(PoisonError::into_inner);
        stages.retain(|name, _| sources.contains_key(name));
    }

    /// Takes a new index of a source into use. Unknown names are none of ours any more, which is no error.
    pub fn publish(&self, name: &str, folder: &Path) -> Result<Option<SourceView>, IndexError> {
        // Whatever a damaged index does to its reader, it is refused, and nothing else is harmed.
        let opened = std::panic::catch_unwind(|| Opened::open(folder));
        let opened = opened.unwrap_or_else(|_| Err(IndexError::Damaged("its reader failed".to_owned())))?;
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        let Some(source) = sources.get_mut(name) else { return Ok(None) };
        let facts = source.facts.clone();
        *source = Arc::new(Source { facts, opened: Some(opened) });
        Ok(Some(self.view(source)))
    }

    /// How often something was removed: what was made of the sources before is not to be used after.
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::SeqCst)
    }

    /// How a source stands, for those who ask.
    pub fn stage(&self, name: &str, stage: Stage) {
        let mut stages = self.stages.write().unwrap_or_else(PoisonError::into_inner);
        stages.insert(name.to_owned(), stage);
    }

    /// The sources that `may` allows, and that have an index, by name.
    pub fn readable(&self, may: impl Fn(&SourceFacts) -> bool) -> Readable {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let readable = sources.values().filter(|source| source.opened.is_some() && may(&source.facts));
        Readable { sources: readable.cloned().collect(), work: Work::default() }
    }

    /// Those that `may` allows, indexed or not.
    pub fn views(&self, may: impl Fn(&SourceFacts) -> bool) -> Vec<SourceView> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.values().filter(|source| may(&source.facts)).map(|source| self.view(source)).collect()
    }

    fn view(&self, source: &Source) -> SourceView {
        let stages = self.stages.read().unwrap_or_else(PoisonError::into_inner);
        SourceView {
            name: source.facts.name.clone(),
            readers: source.facts.readers.clone(),
            labels: source.facts.labels.clone(),
            rules_file: source.facts.rules_file.clone(),
            stage: stages.get(&source.facts.name).cloned().unwrap_or(Stage::Waiting),
            summary: source.opened.as_ref().map(|opened| opened.summary.clone()),
            version: source.opened.as_ref().map(|opened| opened.version),
        }
    }

    /// Files of a source that are not in its index, at most `count`; `None` without such a source or index.
    pub fn left_out(&self, name: &str, count: usize) -> Option<Result<Vec<LeftOut>, IndexError>> {
        let source = self.sources.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()?;
        let opened = source.opened.as_ref()?;
        Some(opened.left_out(count))
    }
}

impl Readable {
    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What was done so far.
    pub fn work(&self) -> Work {
        self.work.clone()
    }
}
