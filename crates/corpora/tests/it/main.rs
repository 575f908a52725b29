//! Reading of sources from outside.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod hostile;
mod packed;
mod sources;
mod table;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use corpora::{Error, Limits, Source, Summary};
use provenance::document::{Licence, Origin, Standing};

/// What a reading handed over.
struct Known {
    summary: Summary,
    files: BTreeMap<String, (Vec<u8>, Origin)>,
}

impl Known {
    fn licence(&self, path: &str) -> String {
        said(&self.files[path].1.licence)
    }

    fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }
}

fn read(source: &Source, limits: &Limits) -> Result<Known, Error> {
    let mut files = BTreeMap::new();
    let mut sink = |bytes: &[u8], origin: Origin| {
        assert!(files.insert(origin.path.clone(), (bytes.to_vec(), origin)).is_none(), "a path twice");
        ControlFlow::Continue(())
    };
    let summary = corpora::read(source, limits, &mut sink, &mut |_| {})?;
    assert_eq!(summary.files, files.len() as u64);
    assert_eq!(summary.bytes, files.values().map(|(bytes, _)| bytes.len() as u64).sum::<u64>());
    Ok(Known { summary, files })
}

fn read_path(path: &Path) -> Result<Known, Error> {
    read(&Source::detect(path)?, &Limits::default())
}

fn said(licence: &Licence) -> String {
    match &licence.standing {
        Standing::Stated(expression) => expression.clone(),
        Standing::Conflict(expressions) => format!("conflict: {}", expressions.join(" | ")),
        Standing::Unknown => "unknown".to_owned(),
    }
}

/// The text of a licence.
fn text(name: &str) -> &'static str {
    spdx::license_id(name).unwrap().text()
}
