//! What labels mean to a site: ladders of classification, and names of need-to-know.
//!
//! A [`LabelSet`] is a plain set, and what dominates is a plain superset. A ladder is turned into that in one place: a
//! clearance is [closed](Lattice::closed) when somebody is recognised, so that `secret` holds `confidential` too. Policies,
//! filters and caches then need to know nothing of ladders.

use std::collections::BTreeSet;

use protocol::control::LabelSettings;

use crate::{LabelError, LabelSet};

/// Steps of a ladder, and names, at most.
const NAMES_MAX: usize = 1024;

/// What labels mean. The default one has no ladder, and any name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lattice {
    /// Lowest first.
    ladder: Vec<String>,
    /// Names beside the ladder; `None` for any.
    need_to_know: Option<BTreeSet<String>>,
}

/// Why settings make no lattice, or labels are none of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LatticeError {
    /// A name is not allowed.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A name is there twice.
    #[error("labels: `{0}` is named twice")]
    Twice(String),
    /// There are too many.
    #[error("labels: {0} names are too many: at most {NAMES_MAX} are possible")]
    TooMany(usize),
    /// The site has no such label.
    #[error("`{0}` is no label of this site: see [labels] in cloister.toml")]
    Unknown(String),
}

impl Lattice {
    /// What the settings say.
    pub fn new(settings: &LabelSettings) -> Result<Lattice, LatticeError> {
        let LabelSettings { classification, need_to_know } = settings;
        let names: Vec<&String> = classification.iter().chain(need_to_know.iter().flatten()).collect();
        if names.len() > NAMES_MAX {
            return Err(LatticeError::TooMany(names.len()));
        }
        let mut seen = BTreeSet::new();
        for name in names {
            if name.parse::<LabelSet>()?.names() != [name.as_str()] {
                return Err(LabelError::Name(name.clone()).into());
            }
            if !seen.insert(name) {
                return Err(LatticeError::Twice(name.clone()));
            }
        }
        Ok(Lattice {
            ladder: classification.clone(),
            need_to_know: need_to_know.as_ref().map(|names| names.iter().cloned().collect()),
        })
    }

    /// A clearance with all that it includes: every lower step of the ladder.
    #[must_use]
    pub fn closed(&self, clearance: &LabelSet) -> LabelSet {
        let highest = self.ladder.iter().rposition(|step| clearance.holds(step));
        let lower = self.ladder.iter().take(highest.map_or(0, |highest| highest + 1));
        clearance.with(lower)
    }

    /// The same without what it includes anyway: of the ladder, the highest step. For markings and records.
    #[must_use]
    pub fn reduced(&self, labels: &LabelSet) -> LabelSet {
        let highest = self.ladder.iter().rposition(|step| labels.holds(step)).unwrap_or(0);
        labels.without(self.ladder.iter().take(highest))
    }

    /// Whether that clearance suffices for those labels.
    pub fn dominates(&self, clearance: &LabelSet, labels: &LabelSet) -> bool {
        self.closed(clearance).dominates(labels)
    }

    /// The least labels that both are dominated by, reduced.
    #[must_use]
    pub fn join(&self, one: &LabelSet, other: &LabelSet) -> LabelSet {
        self.reduced(&one.join(other))
    }

    /// Refuses labels that the site does not have. Where it names no need-to-know, any name will do.
    pub fn check(&self, labels: &LabelSet) -> Result<(), LatticeError> {
        let Some(names) = &self.need_to_know else { return Ok(()) };
        let unknown =
            labels.names().into_iter().find(|name| !names.contains(name) && !self.ladder.contains(name));
        unknown.map_or(Ok(()), |name| Err(LatticeError::Unknown(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice() -> Lattice {
        Lattice::new(&LabelSettings {
            classification: ["restricted", "confidential", "secret"].map(str::to_owned).into(),
            need_to_know: Some(["flight", "radar", "crypto"].map(str::to_owned).into()),
        })
        .unwrap()
    }

    fn set(text: &str) -> LabelSet {
        text.parse().unwrap()
    }

    #[test]
    fn a_higher_step_includes_the_lower() {
        let lattice = lattice();
        assert!(lattice.dominates(&set("secret"), &set("confidential")));
        assert!(lattice.dominates(&set("secret,flight"), &set("restricted,flight")));
        assert!(!lattice.dominates(&set("confidential"), &set("secret")));
        assert!(!lattice.dominates(&set("secret"), &set("flight")));
        assert!(!lattice.dominates(&set("flight,radar"), &set("restricted")));
        assert_eq!(lattice.join(&set("restricted,flight"), &set("secret,radar")), set("secret,flight,radar"));
        assert_eq!(lattice.closed(&set("confidential")), set("restricted,confidential"));
        assert!(!Lattice::default().dominates(&set("secret"), &set("confidential")), "no ladder, no order");
    }

    /// All sets of six labels: a partial order on the reduced ones, whose join is the least upper bound.
    #[test]
    fn the_laws_of_a_lattice() {
        let lattice = lattice();
        let names = ["restricted", "confidential", "secret", "flight", "radar", "crypto"];
        let all: Vec<LabelSet> = (0u32..1 << names.len())
            .map(|bits| {
                let chosen = names.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
                lattice.reduced(&set(&chosen.map(|(_, name)| *name).collect::<Vec<_>>().join(",")))
            })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        // Four places on the ladder, none among them, and eight sets of names.
        assert_eq!(all.len(), 4 * 8);
        for a in &all {
            assert!(lattice.dominates(a, a) && lattice.dominates(a, &LabelSet::default()));
            assert_eq!(&lattice.join(a, a), a);
            for b in &all {
                let join = lattice.join(a, b);
                assert_eq!(join, lattice.join(b, a));
                assert!(lattice.dominates(&join, a) && lattice.dominates(&join, b));
                assert_eq!(lattice.dominates(a, b), &join == a);
                assert!(a == b || !(lattice.dominates(a, b) && lattice.dominates(b, a)), "{a} {b}");
                for c in &all {
                    assert_eq!(lattice.join(&join, c), lattice.join(a, &lattice.join(b, c)));
                    if lattice.dominates(c, a) && lattice.dominates(c, b) {
                        assert!(lattice.dominates(c, &join), "{join} is the least of {a} and {b}");
                    }
                    if lattice.dominates(a, b) && lattice.dominates(b, c) {
                        assert!(lattice.dominates(a, c));
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_settings() {
        let settings = |ladder: &[&str], names: Option<&[&str]>| LabelSettings {
            classification: ladder.iter().map(ToString::to_string).collect(),
            need_to_know: names.map(|names| names.iter().map(ToString::to_string).collect()),
        };
        assert!(matches!(Lattice::new(&settings(&["A"], None)), Err(LatticeError::Label(_))));
        assert!(matches!(Lattice::new(&settings(&["a,b"], None)), Err(LatticeError::Label(_))));
        assert!(matches!(Lattice::new(&settings(&["a"], Some(&["a"]))), Err(LatticeError::Twice(_))));
        assert_eq!(lattice().check(&set("secrte")), Err(LatticeError::Unknown("secrte".to_owned())));
        assert!(lattice().check(&set("secret,radar")).is_ok());
        assert!(Lattice::default().check(&set("anything")).is_ok());
    }
}
