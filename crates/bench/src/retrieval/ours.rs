//! The ways of our own retriever: an index of each repository, made once and kept beside the answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::context::SourceFacts;
use retrieval::build::{Build, build};
use retrieval::{FillQuery, Found, Readable, Sources};
use testkit::Failure;

use super::{Corpus, Hook, Hooks, Place, Snippet};

/// Indexes of repositories, one a repository, as nobody may read two of them at once.
struct Indexed {
    sources: Sources,
    files: RefCell<BTreeMap<PathBuf, Rc<str>>>,
    times: RefCell<Vec<Duration>>,
}

/// Makes what is missing of the indexes, and says how long that took.
pub(crate) fn hooks(cache: &Path, corpora: &[Corpus]) -> Result<Hooks, Failure> {
    let sources = Sources::default();
    let facts = |corpus: &Corpus| SourceFacts {
        name: corpus.name.clone(),
        readers: vec![corpus.name.clone()],
        labels: Vec::new(),
        rules_file: None,
    };
    sources.set(corpora.iter().map(facts).collect());
    let (mut bytes, mut took) = (0, Duration::ZERO);
    for corpus in corpora {
        let folder = corpus.root.file_name().unwrap_or_default();
        let building = cache.join("retrieval").join("indexes").join(folder);
        std::fs::remove_dir_all(&building).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        std::fs::create_dir_all(&building)?;
        let asked = Build { root: corpus.root.clone(), branch: None, building, published: None, threads: 2 };
        let begun = Instant::now();
        let built = build(&asked, &mut |_| ())?;
        took += begun.elapsed();
        bytes += built.summary.bytes;
        sources.publish(&corpus.name, &asked.building)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let rate = bytes as f64 / 1e6 / took.as_secs_f64().max(1e-9);
    eprintln!("indexed {bytes} bytes of text in {:.1} s: {rate:.1} MB/s", took.as_secs_f64());
    let indexed = Rc::new(Indexed { sources, files: RefCell::default(), times: RefCell::default() });
    Ok(Hooks {
        bm25: Some(hook(&indexed, |readable, query| Ok(readable.for_fill_by_words(query)?))),
        full: Some(hook(&indexed, |readable, query| Ok(readable.for_fill(query)?))),
    })
}

fn hook(indexed: &Rc<Indexed>, find: fn(&Readable, &FillQuery<'_>) -> Result<Found, Failure>) -> Hook {
    let indexed = Rc::clone(indexed);
    Box::new(move |place| {
        let text = indexed.text(place)?;
        let (prefix, suffix) = place.around(&text);
        let readable = indexed.sources.readable(|source| source.readers.contains(&place.corpus));
        let query =
            FillQuery { path: Some(&place.file), repository: Some(&place.corpus), prefix, suffix, open: &[] };
        let begun = Instant::now();
        let found = find(&readable, &query)?;
        indexed.times.borrow_mut().push(begun.elapsed());
        let lines = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
        let snippet = |passage: retrieval::Passage| Snippet {
            file_name: passage.path,
            text: format!("{}\n", passage.text.trim_end()),
            first_line: lines(passage.first_line),
            last_line: lines(passage.last_line),
            parts: passage.parts.iter().map(|&(first, last)| (lines(first), lines(last))).collect(),
        };
        Ok(found.passages.into_iter().map(snippet).collect())
    })
}

impl Indexed {
    fn text(&self, place: &Place) -> Result<Rc<str>, Failure> {
        let path = place.root.join(&place.file);
        if let Some(text) = self.files.borrow().get(&path) {
            return Ok(Rc::clone(text));
        }
        let text: Rc<str> = std::fs::read_to_string(&path)?.into();
        self.files.borrow_mut().insert(path, Rc::clone(&text));
        Ok(text)
    }
}

impl Drop for Indexed {
    fn drop(&mut self) {
        let mut times = std::mem::take(&mut *self.times.borrow_mut());
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        eprintln!(
            "retrieval alone: p50 {:.1} ms, p95 {:.1} ms of {} requests",
            ms(at(50)),
            ms(at(95)),
            times.len()
        );
    }
}
