//! How a body opens the commitments of its leaf: the convention of bodies' JSON that the pipeline
//! writes and [`verify`](crate::verify) checks.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fingerprint::Fingerprints;
use crate::leaf::{Commitment, Event};

/// 16 random bytes that keep a commitment to a short text from being guessed. In JSON, 32 hexadecimal
/// digits; Debug shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 16]);

/// The part of a body's JSON that opens commitments. A body may hold more: flatten this into it.
/// An intent's body opens prompt and context, a result's opens output and fingerprints, a check's its diagnostics.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The salts.
    #[serde(default)]
    pub salts: Salts,
    /// The prompt's bytes, as committed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_text: Option<String>,
    /// The context's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_text: Option<String>,
    /// The answer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_text: Option<String>,
    /// The answer's fingerprints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprints: Option<Fingerprints>,
    /// A check's diagnostics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics_text: Option<String>,
}

/// A salt for each text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salts {
    /// The prompt's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Salt>,
    /// The context's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Salt>,
    /// The answer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Salt>,
    /// A check's diagnostics'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Salt>,
}

/// What comparing an opening with its leaf showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Commitments that hold.
    pub held: Vec<&'static str>,
    /// Commitments that do not: the body is not the one the leaf speaks of.
    pub broken: Vec<&'static str>,
    /// Commitments of the leaf for which the body has no salt or no text.
    pub closed: Vec<&'static str>,
}

impl Opening {
    /// The commitment to the prompt; `None` without its salt or text.
    pub fn prompt(&self) -> Option<Commitment> {
        commit(self.salts.prompt, self.prompt_text.as_deref())
    }

    /// The commitment to the context.
    pub fn context(&self) -> Option<Commitment> {
        commit(self.salts.context, self.context_text.as_deref())
    }

    /// The commitment to the answer.
    pub fn output(&self) -> Option<Commitment> {
        commit(self.salts.output, self.output_text.as_deref())
    }

    /// The commitment to a check's diagnostics.
    pub fn diagnostics(&self) -> Option<Commitment> {
        commit(self.salts.diagnostics, self.diagnostics_text.as_deref())
    }

    /// The commitment to the answer's first bytes, as a block makes it; `None` also beyond its end.
    pub fn output_prefix(&self, bytes: u64) -> Option<Commitment> {
        let text = self.output_text.as_deref()?.as_bytes().get(..usize::try_from(bytes).ok()?)?;
        Some(Commitment::new(&self.salts.output?, text))
    }

    /// Compares with the leaf that the body belongs to.
    pub fn check(&self, event: &Event) -> Opened {
        let mut opened = Opened::default();
        match event {
            Event::Intent(intent) => {
                opened.note("prompt", self.prompt().map(|made| made == intent.prompt));
                opened.note("context", self.context().map(|made| made == intent.context));
            }
            Event::Result(result) => {
                opened.note("output", self.output().map(|made| made == result.output));
                let fingerprints = self.fingerprints.as_ref().map(Fingerprints::digest);
                opened.note("fingerprints", fingerprints.map(|made| made == result.fingerprints));
            }
            Event::Check(check) => {
                opened.note("diagnostics", self.diagnostics().map(|made| made == check.diagnostics));
            }
            _ => {}
        }
        opened
    }
}

fn commit(salt: Option<Salt>, text: Option<&str>) -> Option<Commitment> {
    Some(Commitment::new(&salt?, text?.as_bytes()))
}

impl Opened {
    fn note(&mut self, name: &'static str, holds: Option<bool>) {
        match holds {
            Some(true) => self.held.push(name),
            Some(false) => self.broken.push(name),
            None => self.closed.push(name),
        }
    }
}

/// Texts are a person's own words, and salts guard them: neither is for a log line.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl From<[u8; 16]> for Salt {
    fn from(random: [u8; 16]) -> Self {
        Salt(random)
    }
}

impl Salt {
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&protocol::digest::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = protocol::digest::unhex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Salt).ok_or_else(|| serde::de::Error::custom("not 16 bytes in hexadecimal"))
    }
}
