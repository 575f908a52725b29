//! Sets of labels: classification and need-to-know, as plain names.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

const LABEL_BYTES_MAX: usize = 64;
const LABELS_MAX: usize = 64;

/// A set of labels. What carries more labels is seen by fewer people.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LabelSet(BTreeSet<String>);

/// Why a text is no set of labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A name is not allowed.
    #[error("`{0}` cannot be a label: use 1 to 64 of a-z, 0-9 and `-`, beginning with a letter")]
    Name(String),
    /// More than 64.
    #[error("{0} labels are too many: at most 64 are possible")]
    TooMany(usize),
}

impl LabelSet {
    /// The labels of both: what an answer made of both carries.
    #[must_use]
    pub fn join(&self, other: &LabelSet) -> LabelSet {
        LabelSet(self.0.union(&other.0).cloned().collect())
    }

    /// Whether every label of `other` is in this set: whether this clearance suffices for it.
    pub fn dominates(&self, other: &LabelSet) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Whether it has that name.
    pub fn holds(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// With these names, which are labels.
    pub(crate) fn with<'a>(&self, names: impl Iterator<Item = &'a String>) -> LabelSet {
        LabelSet(self.0.iter().cloned().chain(names.cloned()).collect())
    }

    /// Without these.
    pub(crate) fn without<'a>(&self, names: impl Iterator<Item = &'a String>) -> LabelSet {
        let names: BTreeSet<&String> = names.collect();
        LabelSet(self.0.iter().filter(|name| !names.contains(name)).cloned().collect())
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// Names separated by commas, sorted; empty for none.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl FromStr for LabelSet {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<LabelSet, LabelError> {
        from_names(text.split(',').map(str::trim).filter(|name| !name.is_empty()))
    }
}

impl<'de> Deserialize<'de> for LabelSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LabelSet, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        from_names(names.iter().map(String::as_str)).map_err(serde::de::Error::custom)
    }
}

fn from_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<LabelSet, LabelError> {
    let mut set = BTreeSet::new();
    for name in names {
        let fits = (1..=LABEL_BYTES_MAX).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if !fits {
            return Err(LabelError::Name(name.to_owned()));
        }
        set.insert(name.to_owned());
    }
    if set.len() > LABELS_MAX { Err(LabelError::TooMany(set.len())) } else { Ok(LabelSet(set)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> LabelSet {
        text.parse().unwrap()
    }

    #[test]
    fn a_lattice() {
        let (a, b, both) = (set("a"), set("b"), set("b,a"));
        assert_eq!(a.join(&b), both);
        assert!(both.dominates(&a) && both.dominates(&both) && a.dominates(&set("")));
        assert!(!a.dominates(&b) && !a.dominates(&both) && !set("").dominates(&a));
        assert_eq!(both.to_string(), "a,b");
    }

    #[test]
    fn names_are_strict() {
        for text in ["A", "é", "1a", "a b", "-a", &"x".repeat(65)] {
            assert!(text.parse::<LabelSet>().is_err(), "{text}");
        }
        let many = (0..65).map(|n| format!("l{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(many.parse::<LabelSet>(), Err(LabelError::TooMany(65)));
        assert!(serde_json::from_str::<LabelSet>("[\"A\"]").is_err());
        assert_eq!(serde_json::from_str::<LabelSet>("[\"b\",\"a\"]").unwrap(), set("a,b"));
    }
}
