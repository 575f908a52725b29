//! Code that nobody wrote, corpora of it, and a search that is slow and plain.

use std::path::Path;
use std::sync::Arc;

use provenance::document::{Licence, Origin, Standing};
use provenance::lexeme::{self, Lexeme};
use provenance::segment::{Manifest, Options};
use provenance::{Builder, Corpora, Limits, Segment, Surroundings, Trace};

/// SplitMix64. Prints what it was seeded with when a test fails, as all that is printed.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn seeded(seed: u64) -> Draw {
        Draw(seed)
    }

    pub(crate) fn fresh() -> Draw {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = now.as_secs() ^ u64::from(now.subsec_nanos()) << 32;
        eprintln!("seed {seed}");
        Draw(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// A name; `kind` keeps the names of one corpus from those of another.
    pub(crate) fn name(&mut self, kind: &str) -> String {
        let parts = ["head", "tail", "count", "frame", "link", "rate", "queue", "limit", "state", "port"];
        format!("{}_{kind}{}", self.of(&parts), self.below(400))
    }

    /// A statement of a language that is none, on a line.
    pub(crate) fn statement(&mut self, kind: &str) -> String {
        let (a, b, c) = (self.name(kind), self.name(kind), self.name(kind));
        let number = self.below(10_000);
        match self.below(7) {
            0 => format!("if {a} > {b} and {c} /= {number} then\n"),
            1 => format!("   {a} := {b} ({c}, {number}) + {c};\n"),
            2 => format!("   for {a} in {b}'range loop\n"),
            3 => format!("   -- {a} is {b} of the {c}\n"),
            4 => format!("   {a}.{b} = \"{c} {number}\";\n"),
            5 => format!("   return {a} [{b}] * {number};\n"),
            _ => format!("   while ({a} != {b}) {{ {c} ({a}); }}\n"),
        }
    }

    pub(crate) fn file(&mut self, kind: &str, statements: usize) -> String {
        (0..statements).map(|_| self.statement(kind)).collect()
    }
}

pub(crate) fn origin(package: &str, path: &str) -> Origin {
    Origin {
        package: package.to_owned(),
        version: Some("1.0".to_owned()),
        commit: None,
        path: path.to_owned(),
        first_seen_unix_s: Some(1_000_000_000),
        licence: Licence { standing: Standing::Stated("MIT".to_owned()), evidence: Vec::new() },
    }
}

pub(crate) fn build(folder: &Path, options: Options, files: &[(String, Origin)]) -> Manifest {
    let mut builder = Builder::new(folder, "known", options).unwrap();
    for (text, origin) in files {
        builder.add(text.as_bytes(), origin.clone()).unwrap();
    }
    builder.finish().unwrap()
}

pub(crate) fn corpora(folder: &Path) -> Corpora {
    Corpora::new(vec![Arc::new(Segment::open(folder).unwrap())])
}

pub(crate) fn trace(corpora: &Corpora, text: &str) -> Trace {
    corpora.trace(text, Surroundings::default(), &[], &Limits::default()).unwrap()
}

pub(crate) fn lexemes(text: &str) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    lexeme::lex(text.as_bytes(), &mut lexemes);
    lexemes
}

/// A part of `text` of so many lexemes.
pub(crate) fn cut<'a>(draw: &mut Draw, text: &'a str, length: usize) -> &'a str {
    let lexemes = lexemes(text);
    let first = draw.below(lexemes.len() - length);
    &text[lexemes[first].start as usize..lexemes[first + length - 1].end as usize]
}

/// The longest run of lexemes that two texts share: its length and its bytes in the first. Quadratic.
pub(crate) fn longest_shared(one: &str, other: &str) -> (usize, std::ops::Range<u32>) {
    let words = |text: &str| -> Vec<String> {
        lexemes(text)
            .iter()
            .map(|lexeme| String::from_utf8_lossy(lexeme.of(text.as_bytes())).to_ascii_lowercase())
            .collect()
    };
    let (ours, theirs) = (words(one), words(other));
    let places = lexemes(one);
    let mut best = (0, 0..0);
    let mut last = vec![0usize; theirs.len() + 1];
    for (index, word) in ours.iter().enumerate() {
        let mut next = vec![0usize; theirs.len() + 1];
        for (other, their) in theirs.iter().enumerate() {
            if word == their {
                next[other + 1] = last[other] + 1;
                if next[other + 1] > best.0 {
                    let first = index + 1 - next[other + 1];
                    best = (next[other + 1], places[first].start..places[index].end);
                }
            }
        }
        last = next;
    }
    best
}
