//! What a token is good for, beside showing who one is.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::verb::{NoVerb, Verb};

/// Actions that a token is limited to; without a limit, all that its person may do. It takes away and never gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Option<BTreeSet<Verb>>);

impl Scope {
    /// Whether an action is in it.
    pub fn allows(&self, verb: Verb) -> bool {
        self.0.as_ref().is_none_or(|verbs| verbs.contains(&verb))
    }

    /// The actions that it is limited to, by name; none without a limit.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().flatten().map(ToString::to_string).collect()
    }

    /// Of these actions and groups of actions, as the schema names them; of none, no limit.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Scope, NoVerb> {
        let mut verbs = BTreeSet::new();
        for name in names {
            let group = Verb::ALL.into_iter().filter(|verb| verb.group() == Some(name));
            let before = verbs.len();
            verbs.extend(group);
            if verbs.len() == before {
                verbs.insert(name.parse()?);
            }
        }
        Ok(Scope((!verbs.is_empty()).then_some(verbs)))
    }
}

/// Names with commas between them; nothing without a limit. [`FromStr`] reads it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl FromStr for Scope {
    type Err = NoVerb;

    fn from_str(text: &str) -> Result<Scope, NoVerb> {
        if text.is_empty() { Ok(Scope::default()) } else { Scope::of(text.split(',')) }
    }
}

/// A list of names, or null without a limit.
impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_away_and_never_gives() {
        let all = Scope::default();
        assert!(Verb::ALL.into_iter().all(|verb| all.allows(verb)));
        let some = Scope::of(["use", "read-source", "complete"]).unwrap();
        let allowed: Vec<Verb> = Verb::ALL.into_iter().filter(|verb| some.allows(*verb)).collect();
        assert_eq!(allowed, [Verb::Complete, Verb::Chat, Verb::Generate, Verb::ReadSource]);
        assert_eq!(some.to_string(), "complete,chat,generate,read-source");
    }

    #[test]
    fn is_read_as_it_is_written() {
        for names in [&[][..], &["erase"], &["see", "chat"]] {
            let scope = Scope::of(names.iter().copied()).unwrap();
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        for wrong in ["chat,", ",", "chat,fly", "Chat", " chat"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
