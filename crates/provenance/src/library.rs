//! The corpora of a server, and what of them somebody may see.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use protocol::Digest;
use protocol::corpora::CorpusFacts;
use serde::Serialize;

use crate::segment::Segment;
use crate::trace::Corpora;

/// All corpora. Shared; whoever asks works on what there was when they asked.
#[derive(Debug, Default)]
pub struct Library {
    held: RwLock<BTreeMap<String, Held>>,
    /// What was asked together, by its names: how often words are in all of it is counted once, not for each answer.
    together: RwLock<HashMap<Vec<String>, Corpora>>,
}

/// Different sets of corpora that are kept.
const TOGETHER_MAX: usize = 64;

#[derive(Debug)]
struct Held {
    facts: CorpusFacts,
    /// One from before serves until the newer one is open.
    segment: Option<Arc<Segment>>,
    stage: Stage,
}

/// How a corpus stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being read and hashed.
    Opening,
    /// It is asked.
    Open,
    /// It is not asked, and why.
    Failed {
        /// In words.
        reason: String,
    },
}

/// A corpus, for those who ask what there is.
#[derive(Clone, Debug, Serialize)]
pub struct CorpusView {
    /// Its name.
    pub name: String,
    /// The digest that it was taken in by.
    pub root: Digest,
    /// Who may see what of it matches.
    pub readers: Vec<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// How it stands.
    pub stage: Stage,
    /// Files, each with its bytes once; `None` until it is open.
    pub documents: Option<u32>,
}

/// What one person may see of the corpora, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Visible {
    /// Those that can be asked.
    pub corpora: Corpora,
    /// Names of those that cannot be asked yet, or not any more.
    pub not_asked: Vec<String>,
    /// Labels by corpus.
    pub labels: BTreeMap<String, Vec<String>>,
}

/// Opens a segment after all of it was hashed. Another than `root` is none.
pub fn open(folder: &Path, root: &Digest) -> Result<Segment, String> {
    let in_words = |error: &dyn std::error::Error| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let segment = Segment::open(folder).map_err(|error| in_words(&error))?;
    segment.verify().map_err(|error| in_words(&error))?;
    let found = &segment.manifest().root;
    if format!("sha256:{found}") != root.to_string() {
        return Err(format!("its digest is sha256:{found}, and {root} was taken in"));
    }
    Ok(segment)
}

impl Library {
    /// What there is from now on. What is not among them is let go of at once. Answers those that are to be opened.
    pub fn set(&self, facts: Vec<CorpusFacts>) -> Vec<CorpusFacts> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        self.together.write().unwrap_or_else(PoisonError::into_inner).clear();
        let mut before = std::mem::take(&mut *held);
        let mut to_open = Vec::new();
        for facts in facts {
            let known = before.remove(&facts.name);
            let same = known.as_ref().is_some_and(|known| {
                (known.facts.root, &known.facts.folder) == (facts.root, &facts.folder)
                    && known.stage == Stage::Open
            });
            // One from before is shown to nobody else than before.
            let is_for_the_same =
                |known: &Held| (&known.facts.readers, &known.facts.labels) == (&facts.readers, &facts.labels);
            let segment =
                known.filter(|known| same || is_for_the_same(known)).and_then(|known| known.segment);
            let stage = if same { Stage::Open } else { Stage::Opening };
            if !same {
                to_open.push(facts.clone());
            }
            held.insert(facts.name.clone(), Held { facts, segment, stage });
        }
        to_open
    }

    /// Takes what came of opening one. Names that are none of ours any more are no error.
    pub fn opened(&self, facts: &CorpusFacts, opened: Result<Segment, String>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = held.get_mut(&facts.name).filter(|known| known.facts.root == facts.root) else {
            return;
        };
        self.together.write().unwrap_or_else(PoisonError::into_inner).clear();
        match opened {
            Ok(segment) => (known.segment, known.stage) = (Some(Arc::new(segment)), Stage::Open),
            // Another one than it was taken in by is none: what served before does not stand in for it.
            Err(reason) => (known.segment, known.stage) = (None, Stage::Failed { reason }),
        }
    }

    /// The corpora that `may` allows, by name.
    pub fn visible(&self, may: impl Fn(&CorpusFacts) -> bool) -> Visible {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let mut visible = Visible::default();
        let mut segments = Vec::new();
        for known in held.values().filter(|known| may(&known.facts)) {
            match &known.segment {
                Some(segment) => segments.push((known.facts.name.clone(), Arc::clone(segment))),
                None => visible.not_asked.push(known.facts.name.clone()),
            }
            visible.labels.insert(known.facts.name.clone(), known.facts.labels.clone());
        }
        visible.corpora = self.together(segments);
        visible
    }

    /// The caller holds the lock of what is held, so that nothing is kept of what was replaced.
    fn together(&self, segments: Vec<(String, Arc<Segment>)>) -> Corpora {
        let names: Vec<String> = segments.iter().map(|(name, _)| name.clone()).collect();
        let kept = self.together.read().unwrap_or_else(PoisonError::into_inner).get(&names).cloned();
        kept.unwrap_or_else(|| {
            let corpora = Corpora::named(segments);
            let mut together = self.together.write().unwrap_or_else(PoisonError::into_inner);
            if together.len() == TOGETHER_MAX {
                together.clear();
            }
            together.insert(names, corpora.clone());
            corpora
        })
    }

    /// How all stand.
    pub fn views(&self, may: impl Fn(&CorpusFacts) -> bool) -> Vec<CorpusView> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let view = |known: &Held| CorpusView {
            name: known.facts.name.clone(),
            root: known.facts.root,
            readers: known.facts.readers.clone(),
            labels: known.facts.labels.clone(),
            stage: known.stage.clone(),
            documents: known.segment.as_ref().map(|segment| segment.manifest().documents),
        };
        held.values().filter(|known| may(&known.facts)).map(view).collect()
    }
}
