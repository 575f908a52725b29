//! Persons, sources, records, changes of labels and revocations, at random, against an oracle that knows nothing of Cedar:
//! no decision shows what is not dominated, and none that an honest reading of the rules allows is denied.

use std::sync::Arc;

use identity::{Asked, Credential, Identity, LabelSet, Lattice, Policy, Principal, Role, Verb};
use protocol::control::LabelSettings;
use testkit::draw::Draw;

use crate::policies::decided;

const LADDER: [&str; 4] = ["internal", "restricted", "confidential", "secret"];
const NAMES: [&str; 5] = ["flight", "radar", "crypto", "sonar", "fuel"];
const GROUPS: [&str; 4] = ["crew", "ground", "yard", "lab"];
const PERSONS: usize = 6;
const SOURCES: usize = 12;
const RECORDS_MAX: usize = 40;
/// Steps of a whole run; `cargo test` takes a twentieth.
const STEPS: u64 = 1_000_000;

/// Labels as the oracle has them: a height on the ladder, 0 for none, and bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    height: usize,
    names: u8,
}

impl Marks {
    fn drawn(draw: &mut Draw, up_to: u64) -> Marks {
        let names = draw.number() & draw.number() & 31;
        Marks { height: usize::try_from(draw.below(up_to + 1)).unwrap(), names: u8::try_from(names).unwrap() }
    }

    fn suffices_for(self, other: Marks) -> bool {
        self.height >= other.height && other.names & !self.names == 0
    }

    fn and(self, other: Marks) -> Marks {
        Marks { height: self.height.max(other.height), names: self.names | other.names }
    }

    fn labels(self) -> LabelSet {
        let step = self.height.checked_sub(1).map(|step| LADDER[step]);
        let names =
            NAMES.iter().enumerate().filter(|(bit, _)| self.names >> bit & 1 == 1).map(|(_, name)| *name);
        step.into_iter().chain(names).collect::<Vec<_>>().join(",").parse().unwrap()
    }
}

struct PersonOf {
    name: String,
    clearance: Marks,
    group: usize,
    role: Option<Role>,
    token: String,
    is_revoked: bool,
}

struct SourceOf {
    marks: Marks,
    readers: Vec<String>,
}

struct RecordOf {
    owner: usize,
    marks: Marks,
}

struct World {
    identity: Identity,
    policy: Arc<Policy>,
    lattice: Lattice,
    persons: Vec<PersonOf>,
    sources: Vec<SourceOf>,
    records: Vec<RecordOf>,
    serial: u32,
    shown: u64,
    denied: u64,
}

impl World {
    fn new(directory: &std::path::Path, draw: &mut Draw) -> World {
        let lattice = Lattice::new(&LabelSettings {
            classification: LADDER.map(str::to_owned).into(),
            need_to_know: Some(NAMES.map(str::to_owned).into()),
        })
        .unwrap();
        let identity = Identity::open(directory, 1000).unwrap().with(lattice.clone(), [].into());
        let mut world = World {
            identity,
            policy: Arc::new(Policy::builtin().unwrap()),
            lattice,
            persons: Vec::new(),
            sources: Vec::new(),
            records: Vec::new(),
            serial: 0,
            shown: 0,
            denied: 0,
        };
        for _ in 0..PERSONS {
            let person = world.arrives(draw);
            world.persons.push(person);
        }
        for _ in 0..SOURCES {
            let source = SourceOf { marks: Marks::drawn(draw, 4), readers: World::readers(draw) };
            world.sources.push(source);
        }
        world
    }

    fn arrives(&mut self, draw: &mut Draw) -> PersonOf {
        self.serial += 1;
        let name = format!("p{}", self.serial);
        let (clearance, group) = (Marks::drawn(draw, 4), draw.below(GROUPS.len() as u64));
        let group = usize::try_from(group).unwrap();
        self.identity.user_add(&name, &clearance.labels(), &[GROUPS[group].to_owned()]).unwrap();
        let token = self.identity.token_issue(&name, "", &identity::Terms::default()).unwrap().text;
        PersonOf { name, clearance, group, role: None, token, is_revoked: false }
    }

    fn readers(draw: &mut Draw) -> Vec<String> {
        let mut readers = Vec::new();
        if draw.once_in(3) {
            readers.push("everyone".to_owned());
        }
        for group in GROUPS {
            if draw.once_in(3) {
                readers.push(group.to_owned());
            }
        }
        if draw.once_in(4) {
            readers.push(format!("p{}", draw.below(PERSONS as u64) + 1));
        }
        readers
    }

    fn changes(&mut self, draw: &mut Draw) {
        let person = usize::try_from(draw.below(PERSONS as u64)).unwrap();
        let source = usize::try_from(draw.below(SOURCES as u64)).unwrap();
        match draw.below(12) {
            0 => self.sources[source].readers = World::readers(draw),
            1..=3 => self.sources[source].marks = Marks::drawn(draw, 4),
            4 => {
                let group = usize::try_from(draw.below(GROUPS.len() as u64)).unwrap();
                self.persons[person].group = group;
                let groups = [GROUPS[group].to_owned()];
                self.identity.user_groups(&self.persons[person].name, &groups).unwrap();
            }
            5 | 6 => {
                let role = (!draw.once_in(3)).then(|| *draw.one_of(&Role::ALL));
                self.persons[person].role = role;
                self.identity.user_roles(&self.persons[person].name, role.as_slice()).unwrap();
            }
            // Somebody leaves, and another comes: what the first was shown, the second is not.
            7 => {
                self.identity.user_disable(&self.persons[person].name).unwrap();
                self.records.retain(|record| record.owner != person);
                self.persons[person] = self.arrives(draw);
            }
            8 if !self.persons[person].is_revoked => {
                let token = self.persons[person].token.clone();
                self.identity.token_revoke(&token[5..17]).unwrap();
                self.persons[person].is_revoked = true;
            }
            9 => {
                let issued = self
                    .identity
                    .token_issue(&self.persons[person].name, "", &identity::Terms::default())
                    .unwrap();
                self.persons[person].token = issued.text;
                self.persons[person].is_revoked = false;
            }
            _ => {}
        }
    }

    /// The person, as a request of theirs is recognised; nobody, with a token that was revoked.
    fn comes_in(&self, person: usize) -> Option<Principal> {
        let of = &self.persons[person];
        let found = self.identity.authenticate(&Credential::Bearer(of.token.clone()));
        assert_eq!(
            found.is_err(),
            of.is_revoked,
            "{} comes in by a token that was revoked, or does not",
            of.name
        );
        found.ok()
    }

    fn reads(&self, person: usize, source: &SourceOf) -> bool {
        let of = &self.persons[person];
        let named =
            |reader: &String| *reader == of.name || reader == GROUPS[of.group] || reader == "everyone";
        of.clearance.suffices_for(source.marks) && source.readers.iter().any(named)
    }

    fn expect(&mut self, principal: &Principal, asked: &Asked, expected: bool) {
        let decision = decided(&self.policy, principal, asked);
        assert_eq!(decision.allowed, expected, "{principal:?} {asked:?} {decision:?}");
        if expected { self.shown += 1 } else { self.denied += 1 }
    }

    fn asks(&mut self, draw: &mut Draw) {
        let person = usize::try_from(draw.below(PERSONS as u64)).unwrap();
        let Some(principal) = self.comes_in(person) else { return };
        let (clearance, role) = (self.persons[person].clearance, self.persons[person].role);
        let changes_things = matches!(role, Some(Role::Administrator));
        match draw.below(5) {
            // Sources are filtered, and the answer carries the join of those that are left.
            0 | 1 => {
                let readable: Vec<usize> =
                    (0..SOURCES).filter(|source| self.reads(person, &self.sources[*source])).collect();
                let verb = *draw.one_of(&[Verb::ReadSource, Verb::SearchSource]);
                let filtered = |source: &usize| {
                    let SourceOf { marks, readers } = &self.sources[*source];
                    let asked = Asked::of_source(verb, &format!("s{source}"), readers, marks.labels());
                    decided(&self.policy, &principal, &asked).allowed
                };
                let left: Vec<usize> = (0..SOURCES).filter(filtered).collect();
                assert_eq!(left, readable, "{principal:?}");
                self.shown += left.len() as u64;
                self.denied += (SOURCES - left.len()) as u64;
                let (mut marks, mut labels) = (Marks::default(), LabelSet::default());
                for source in left {
                    marks = marks.and(self.sources[source].marks);
                    labels = self.lattice.join(&labels, &self.sources[source].marks.labels());
                }
                assert_eq!(labels, marks.labels(), "the join of what is shown");
                assert!(clearance.suffices_for(marks));
                let asked = Asked::of_deployment(Verb::Chat, "d", LabelSet::default()).carrying(labels);
                self.expect(&principal, &asked, true);
                if self.records.len() == RECORDS_MAX {
                    self.records.remove(0);
                }
                self.records.push(RecordOf { owner: person, marks });
            }
            2 => {
                let (own, carried) = (Marks::drawn(draw, 4), Marks::drawn(draw, 4));
                let verb = *draw.one_of(&[Verb::Chat, Verb::Complete, Verb::Generate]);
                let asked = Asked::of_deployment(verb, "d", own.labels()).carrying(carried.labels());
                self.expect(&principal, &asked, clearance.suffices_for(own.and(carried)));
            }
            3 if !self.records.is_empty() => {
                let number = draw.below(self.records.len() as u64);
                let record = &self.records[usize::try_from(number).unwrap()];
                let (owner, marks) = (self.persons[record.owner].name.clone(), record.marks);
                let own = record.owner == person;
                let expected = clearance.suffices_for(marks) && (own || role == Some(Role::Auditor));
                self.expect(&principal, &Asked::of_record(number, &owner, marks.labels()), expected);
            }
            _ => {
                let verb = *draw.one_of(&[Verb::Administer, Verb::Deploy, Verb::AdmitModel]);
                self.expect(&principal, &Asked::of_server(verb, "user add"), changes_things);
            }
        }
    }
}

#[test]
fn nobody_is_shown_what_they_do_not_dominate() {
    let steps =
        std::env::var("CLOISTER_TEST_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS / 20);
    let mut draw = Draw::fresh("decisions");
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(directory.path(), &mut draw);
    for _ in 0..steps {
        if draw.once_in(40) {
            world.changes(&mut draw);
        } else {
            world.asks(&mut draw);
        }
    }
    assert!(world.shown > steps / 4 && world.denied > steps / 4, "{} {}", world.shown, world.denied);
}

/// A `forbid` more never allows more, whatever it forbids.
#[test]
fn another_forbid_never_allows_more() {
    let mut draw = Draw::fresh("forbids");
    let cases: identity::Cases = toml::from_str(crate::policies::TABLE).unwrap();
    let lattice = cases.lattice(&Lattice::default()).unwrap();
    let before = Arc::new(Policy::builtin().unwrap());
    let mut taken = 0;
    for _ in 0..60 {
        let action = match draw.below(3) {
            0 => "action".to_owned(),
            1 => format!("action == Action::\"{}\"", draw.one_of(&Verb::ALL).name()),
            _ => format!("action in Action::\"{}\"", draw.one_of(&["use", "read", "see", "change"])),
        };
        let principal = match draw.below(3) {
            0 => "principal".to_owned(),
            1 => format!("principal in Role::\"{}\"", draw.one_of(&Role::ALL)),
            _ => format!("principal == User::\"{}\"", draw.one_of(&["ada", "grace", "owner"])),
        };
        let condition = *draw.one_of(&[
            "",
            "when { principal.clearance.contains(\"secret\") }",
            "unless { principal.groups.contains(\"crew\") }",
            "when { context.strength == \"token\" }",
            "when { resource.labels.isEmpty() }",
            "when { context.time_unix_s + 9223372036854775807 > 0 }",
        ]);
        let more = format!("@id(\"more\") forbid ({principal}, {action}, resource) {condition};");
        let after = Arc::new(
            crate::policies::beside_default(&more).unwrap_or_else(|error| panic!("{more}: {error}")),
        );
        for case in &cases.case {
            let [old, new] = [&before, &after].map(|policy| case.decide(policy, &lattice).unwrap().allowed);
            assert!(old || !new, "{more} allows {case:?}");
            taken += u32::from(old && !new);
        }
    }
    assert!(taken > 100, "the forbids were about nothing");
}
