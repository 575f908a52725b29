//! A corpus of which a part of one file was replaced: opening, tracing and merging answer, and no change passes `verify`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use provenance::document::{Licence, Origin};
use provenance::segment::{BlobId, Builder, Options, Segment, merge};
use provenance::{Corpora, Limits, Surroundings};

/// A corpus as it was written, one with a file that is replaced, and the names of files.
struct Kept {
    folder: tempfile::TempDir,
    names: Vec<String>,
}

impl Kept {
    fn written(&self, name: &str) -> PathBuf {
        self.folder.path().join("written").join(name)
    }

    fn changed(&self, name: &str) -> PathBuf {
        self.folder.path().join("changed").join(name)
    }
}

/// Five documents of some 300 lexemes; the first two have a part in common.
fn text(number: u32) -> String {
    (0..60)
        .map(|line| format!("rate_{} := limit ({line}) + {};\n", line * (number / 2 + 1), number / 2))
        .collect()
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let make = || -> Option<Kept> {
        let folder = tempfile::tempdir().ok()?;
        let written = folder.path().join("written");
        let mut builder = Builder::new(&written, "known", Options::default()).ok()?;
        for number in 0..5 {
            let origin = Origin {
                package: format!("git:{number}"),
                version: None,
                commit: None,
                path: format!("{number}.adb"),
                first_seen_unix_s: None,
                licence: Licence::unknown(),
            };
            builder.add(text(number).as_bytes(), origin).ok()?;
        }
        builder.finish().ok()?;
        fs::create_dir(folder.path().join("changed")).ok()?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&written).ok()? {
            names.push(entry.ok()?.file_name().into_string().ok()?);
        }
        names.sort();
        let kept = Kept { folder, names };
        kept.names.iter().try_for_each(|name| fs::hard_link(kept.written(name), kept.changed(name))).ok()?;
        Some(kept)
    };
    make().expect("a temporary folder")
});

pub(crate) fn run(input: &[u8]) {
    let Some(([which, offset @ ..], bytes)) = input.split_first_chunk::<5>() else { return };
    let offset = u32::from_le_bytes(*offset);
    let kept = &*KEPT;
    let name = &kept.names[usize::from(*which) % kept.names.len()];
    let written = fs::read(kept.written(name)).expect("what was written");
    let mut changed = written.clone();
    let start = offset as usize % (changed.len() + 1);
    let end = (start + bytes.len()).min(changed.len());
    changed[start..end].copy_from_slice(&bytes[..end - start]);
    // What is mapped is never written: another file takes the name.
    fs::remove_file(kept.changed(name)).expect("the changed file");
    File::create_new(kept.changed(name))
        .and_then(|mut file| file.write_all(&changed))
        .expect("the changed file");
    if let Ok(segment) = Segment::open(&kept.folder.path().join("changed")) {
        assert_eq!(segment.verify().is_ok(), changed == written, "{name} was changed");
        let asked = text(0);
        let _ = segment.source(&BlobId::of(asked.as_bytes()));
        let _ = merge(&[&segment], &kept.folder.path().join("merged"), "known", Options::default());
        let _ = fs::remove_dir_all(kept.folder.path().join("merged"));
        let corpora = Corpora::new(vec![Arc::new(segment)]);
        let limits = Limits::default();
        if let Ok(trace) = corpora.trace(&asked, Surroundings::default(), &[], &limits) {
            assert!(trace.spans.iter().all(|span| span.start < span.end && span.end as usize <= asked.len()));
        }
    }
    fs::remove_file(kept.changed(name)).expect("the changed file");
    fs::hard_link(kept.written(name), kept.changed(name)).expect("the changed file");
}
