//! What of a text is known code.
//!
//! 1. The text is read with a few lexemes of what stands around it, and winnowed.
//! 2. Each chosen hash is looked up, the rarest first; postings of the same document and the same distance make a chain.
//! 3. Chains with most postings are compared with the documents themselves, lexeme for lexeme, both ways as far as they agree:
//!    exact runs. Runs of one document with small gaps between them make a near match.
//! 4. The same where names and numbers do not matter, with one name for one name: renamed matches.
//! 5. Of what overlaps, what says most is kept; what the prompt itself held is said to be from there.
//!
//! Documents are compared up to [`Limits::read_bytes_max`], and postings read up to [`Limits::postings_max`]: a hash that is
//! everywhere costs no more than another. Where that left something unread, the trace says so.

mod asked;
mod chains;
mod nearby;
mod runs;
mod spans;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::Origin;
use crate::segment::{BlobId, Damaged, Segment, WORDS, word_bucket};

/// Segments that are asked together. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Corpora {
    segments: Arc<[Arc<Segment>]>,
    /// What they are called here.
    names: Arc<[String]>,
    words: Arc<Words>,
}

/// Segments that are asked together at most.
pub const SEGMENTS_MAX: usize = 256;

/// What stands around the text where it is put.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// Before it. The last 4 KiB are looked at.
    pub before: &'a str,
    /// After it. The first 4 KiB are looked at.
    pub after: &'a str,
}

/// A text that was in the prompt.
#[derive(Clone, Copy, Debug)]
pub struct Nearby<'a> {
    /// What it is to be called.
    pub name: &'a str,
    /// It.
    pub text: &'a str,
}

/// What is looked for, what is shown, and how much work that may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Lexemes of a match, with those in the surroundings. Of exact ones, those from 31 are all found.
    pub lexemes_min: u32,
    /// Lexemes of a renamed match. Those from 65 are all found.
    pub renamed_lexemes_min: u32,
    /// Lexemes of a match that are in the text itself.
    pub inside_lexemes_min: u32,
    /// Of a near match, thousandths of its lexemes that are the same.
    pub near_permille_min: u16,
    /// A match in this many packages is common.
    pub common_packages_min: u32,
    /// A match whose lexemes say less than this is common. Of real code, one in ten spans of 31 lexemes does, and hardly one
    /// of 65.
    pub common_rarity_bits_max: u32,
    /// A renamed match that says less than this is common: rows of numbers are all alike.
    pub renamed_common_rarity_bits_max: u32,
    /// Places that are shown for a span.
    pub origins_max: usize,
    /// Spans of a text.
    pub spans_max: usize,
    /// Bytes of the text, 512 KiB at most; what is behind is not looked at.
    pub text_bytes_max: usize,
    /// Bytes of what was in the prompt; what is behind is not looked at.
    pub nearby_bytes_max: usize,
    /// Postings that are read for a text.
    pub postings_max: usize,
    /// Bytes of documents that are read for a text.
    pub read_bytes_max: usize,
    /// Whether every exact match is wanted by itself.
    pub all_exact: bool,
}

impl Limits {
    /// Of an answer, which somebody waits for.
    pub const DEFAULT: Limits = Limits {
        lexemes_min: 31,
        renamed_lexemes_min: 65,
        inside_lexemes_min: 16,
        near_permille_min: 700,
        common_packages_min: 10,
        common_rarity_bits_max: 150,
        renamed_common_rarity_bits_max: 60,
        origins_max: 10,
        spans_max: 64,
        text_bytes_max: 256 << 10,
        nearby_bytes_max: 1 << 20,
        postings_max: 4 << 20,
        read_bytes_max: 16 << 20,
        all_exact: false,
    };

    /// Of a text that is looked at for its own sake.
    pub const THOROUGH: Limits = Limits {
        spans_max: 1024,
        text_bytes_max: 512 << 10,
        postings_max: 16 << 20,
        read_bytes_max: 64 << 20,
        ..Limits::DEFAULT
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// By their place in the text.
    pub spans: Vec<Span>,
    /// Every exact match by itself, however they overlap, where [`Limits::all_exact`] asks for them: what a policy goes
    /// by. One that lies in a longer one, or in a near one, is among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exact: Vec<Span>,
    /// What was asked.
    pub asked: Vec<CorpusAsked>,
    /// Lexemes of the text that were looked at.
    pub lexemes: u32,
    /// A limit left something unread: there may be longer matches and other origins.
    pub cut_short: bool,
}

/// A corpus, and exactly which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusAsked {
    /// Its name.
    pub name: String,
    /// [`root`](field@crate::segment::Manifest::root) of its manifest.
    pub root: String,
}

/// A part of the text that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first byte in the text.
    pub start: u32,
    /// The byte behind its last.
    pub end: u32,
    /// Its first and its last line there, counted from 1.
    pub lines: (u32, u32),
    /// Lexemes of it in the text.
    pub lexemes: u32,
    /// Lexemes by which the match goes on in the surroundings.
    pub lexemes_around: u32,
    /// How it matches.
    #[serde(flatten)]
    pub kind: Kind,
    /// Information of its different lexemes, by how often they are in the corpora asked; of a renamed match, that of its
    /// different pairs of neighbours where names do not matter.
    pub rarity_bits: u32,
    /// It is in so many packages, or so short of information, that it says little about where it came from.
    pub is_common: bool,
    /// Documents that have all its chosen hashes in place, as those that it was compared with. A lower bound from
    /// two thousand on.
    pub documents: u32,
    /// Packages that these are in; those of the first 4096 documents and 8192 origins.
    pub packages: u32,
    /// Where it is, compared with the text lexeme for lexeme: the earliest known first. None where only the prompt held it.
    pub origins: Vec<Found>,
    /// Licences of all origins counted in `packages`, sorted, 64 at most: expressions of SPDX; `conflict` beside those of a
    /// file whose evidence disagrees; `unknown`.
    pub licences: Vec<String>,
    /// Corpora that have it.
    pub corpora: Vec<String>,
}

/// How a span matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// Lexeme for lexeme.
    Exact,
    /// But for names and numbers, one for one.
    Renamed {
        /// Thousandths of its lexemes that are the same.
        similarity: u16,
    },
    /// With gaps.
    Near {
        /// Thousandths of its lexemes that are the same.
        similarity: u16,
    },
    /// A text of the prompt has it, whatever else has.
    Copied {
        /// [`Nearby::name`].
        from: String,
    },
}

/// A place in a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The corpus's name.
    pub corpus: String,
    /// Where the file is from.
    pub origin: Origin,
    /// The file's bytes.
    pub blob: BlobId,
    /// The first and the last line of the match in it, counted from 1.
    pub lines: (u32, u32),
}

impl Corpora {
    /// Of these segments, [`SEGMENTS_MAX`] at most; what is behind is left out.
    pub fn new(segments: Vec<Arc<Segment>>) -> Corpora {
        let name = |segment: Arc<Segment>| (segment.manifest().name.clone(), segment);
        Corpora::named(segments.into_iter().map(name).collect())
    }

    /// Likewise, each by another name than it has itself: what it is called is for whoever has it to say.
    pub fn named(mut segments: Vec<(String, Arc<Segment>)>) -> Corpora {
        segments.truncate(SEGMENTS_MAX);
        let (names, segments): (Vec<String>, Vec<Arc<Segment>>) = segments.into_iter().unzip();
        let words = Arc::new(Words::of(&segments));
        Corpora { segments: segments.into(), names: names.into(), words }
    }

    /// Them.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// What of `text`, which is put between `surroundings`, is known, or was in the prompt. Reads mapped files only.
    ///
    /// Fails when a segment is damaged where it was looked at: half an answer would look like a whole one.
    pub fn trace(
        &self,
        text: &str,
        surroundings: Surroundings<'_>,
        nearby: &[Nearby<'_>],
        limits: &Limits,
    ) -> Result<Trace, Damaged> {
        spans::trace(self, text, surroundings, nearby, limits)
    }
}

/// How often lexemes are in all corpora asked.
#[derive(Debug, Default)]
struct Words {
    counts: Vec<u64>,
    totals: [u64; 2],
}

impl Words {
    fn of(segments: &[Arc<Segment>]) -> Words {
        let mut counts = vec![0u64; 2 * WORDS];
        for segment in segments {
            for (sum, count) in counts.iter_mut().zip(segment.words()) {
                *sum = sum.saturating_add(count);
            }
        }
        let total =
            |range: Range<usize>| counts[range].iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        Words { totals: [total(0..WORDS), total(WORDS..2 * WORDS)], counts }
    }

    /// Bits that this lexeme tells.
    fn bits(&self, hash: u64, way: Way) -> f64 {
        let (offset, total) = match way {
            Way::Exact => (0, self.totals[0]),
            Way::Renamed => (WORDS, self.totals[1]),
        };
        let count = self.counts.get(offset + word_bucket(hash)).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let share = (count as f64 + 1.0) / (total as f64 + 1.0);
        -share.log2()
    }
}

/// How lexemes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As they are.
    Exact,
    /// Where names and numbers do not matter.
    Renamed,
}
