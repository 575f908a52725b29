//! Compares here, with corpora that lie here: no server is believed, or needed.

use std::path::PathBuf;
use std::sync::Arc;

use client::{Asked, Found, Match, Provenance};
use provenance::exact::Index;
use provenance::{Corpora, Limits, Segment, Surroundings};

use crate::failure::Failure;

/// Corpora, every byte of which was hashed.
pub(super) struct Local {
    corpora: Corpora,
    /// Where everything is to be compared with everything.
    index: Option<Index>,
}

impl Local {
    pub(super) fn open(folders: &[PathBuf], exact: bool) -> Result<Local, Failure> {
        let mut segments = Vec::new();
        for folder in folders {
            let refused = || Failure::refused(format!("{} is not used", folder.display()));
            let segment = Segment::open(folder).map_err(|error| {
                let hint = "Give a folder that `cloisterd corpus build NAME SOURCE --out FOLDER` has made.";
                refused().caused_by(&error).hint(hint)
            })?;
            segment.verify().map_err(|error| refused().caused_by(&error))?;
            segments.push(Arc::new(segment));
        }
        let corpora = Corpora::new(segments);
        let index = exact.then(|| Index::of(&corpora)).transpose();
        let index = index.map_err(|error| Failure::refused("nothing was compared").caused_by(&error))?;
        Ok(Local { corpora, index })
    }

    pub(super) fn trace(&self, text: &str) -> Result<Provenance, Failure> {
        let limits = Limits::THOROUGH;
        let traced = match &self.index {
            Some(index) => Ok(self.exact(index, text, &limits)),
            None => self.chosen(text, &limits),
        };
        let mut provenance =
            traced.map_err(|error| Failure::refused("nothing was compared").caused_by(&*error))?;
        for one in &mut provenance.matches {
            "annotate".clone_into(&mut one.action);
        }
        Ok(provenance)
    }

    fn asked(&self) -> Vec<Asked> {
        let asked = |segment: &Arc<Segment>| {
            let manifest = segment.manifest();
            Asked { name: manifest.name.clone(), root: manifest.root.clone() }
        };
        self.corpora.segments().iter().map(asked).collect()
    }

    /// As the server does it.
    fn chosen(&self, text: &str, limits: &Limits) -> Result<Provenance, Box<dyn std::error::Error>> {
        let trace = self.corpora.trace(text, Surroundings::default(), &[], limits)?;
        // The words of both are the same.
        let matches = trace.spans.iter().map(|span| serde_json::from_value(serde_json::to_value(span)?));
        Ok(Provenance {
            corpora: self.asked(),
            not_asked: Vec::new(),
            lexemes: trace.lexemes,
            matches: matches.collect::<Result<Vec<Match>, serde_json::Error>>()?,
            cut_short: trace.cut_short,
        })
    }

    /// All runs that are anywhere, each as long as it can be; they may overlap.
    fn exact(&self, index: &Index, text: &str, limits: &Limits) -> Provenance {
        let mut lexemes = Vec::new();
        provenance::lexeme::lex(text.as_bytes(), &mut lexemes);
        let line = |offset: u32| {
            let before = text.as_bytes().get(..offset as usize).unwrap_or_default();
            u32::try_from(1 + before.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u32::MAX)
        };
        let runs = index.runs(text, limits.lexemes_min).into_iter();
        let matches = runs.map(|run| Match {
            start: run.start as usize,
            end: run.end as usize,
            lines: (line(run.start), line(run.end.saturating_sub(1))),
            lexemes: run.lexemes,
            kind: "exact".to_owned(),
            documents: run.documents,
            origins: vec![Found { corpus: run.corpus, blob: run.blob.to_string(), ..Found::default() }],
            ..Match::default()
        });
        Provenance {
            corpora: self.asked(),
            not_asked: Vec::new(),
            lexemes: u32::try_from(lexemes.len()).unwrap_or(u32::MAX),
            matches: matches.collect(),
            cut_short: false,
        }
    }
}
