//! What a text has in common with known code, as the server says it.

use serde::{Deserialize, Serialize};

/// Which corpora were asked, and what matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The corpora that were asked.
    pub corpora: Vec<Asked>,
    /// Names of corpora that could not be asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<String>,
    /// Lexemes of the text.
    pub lexemes: u32,
    /// The matches, in the order of the text.
    pub matches: Vec<Match>,
    /// Whether there may be more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

/// A corpus, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub root: String,
}

/// A part of the text that is elsewhere, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Match {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// The first and the last line, from 1.
    pub lines: (u32, u32),
    /// Lexemes of it.
    pub lexemes: u32,
    /// Lexemes by which it goes on in what stands around the text.
    pub lexemes_around: u32,
    /// `exact`, `renamed`, `near`, or `copied` from what went into the prompt.
    pub kind: String,
    /// Thousandths, of a match that is not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<u16>,
    /// What of the prompt it is copied from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether it is found in so many places that it says nothing.
    pub is_common: bool,
    /// How much its words tell, in bits.
    pub rarity_bits: u32,
    /// Corpora that have it.
    pub corpora: Vec<String>,
    /// Files that have it.
    pub documents: u32,
    /// Packages that have it.
    pub packages: u32,
    /// Licences of all of these: expressions of SPDX, `conflict`, `unknown`.
    pub licences: Vec<String>,
    /// Some of the places, the earliest first.
    pub origins: Vec<Found>,
    /// What the site does about it: `annotate`, `warn` or `block`.
    pub action: String,
    /// The rule of the site's policy that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
}

/// A place that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// The corpus.
    pub corpus: String,
    /// The identifier of the file's bytes: Git's blob, as in a SWHID.
    pub blob: String,
    /// The first and the last line there, from 1.
    pub lines: (u32, u32),
    /// Where the file is from.
    pub origin: Origin,
}

/// Where a file is from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The package or repository.
    pub package: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The file inside it.
    pub path: String,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen_unix_s: Option<i64>,
    /// Its licence and the evidence for it, as the server words it.
    pub licence: serde_json::Value,
}
