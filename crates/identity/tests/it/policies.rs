//! The default policy's table, and what is refused as a policy.

use std::sync::Arc;

use identity::{
    Asked, Asking, Cases, Circumstances, DEFAULT, LabelSet, Lattice, Policy, PolicyFile, Principal, Role,
    Verb,
};

/// What the default policy decides, and by which rule.
pub(crate) const TABLE: &str = include_str!("../../policy/default.toml");

pub(crate) fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.to_owned(), text: text.to_owned() }
}

/// The default policies with more beside them.
pub(crate) fn beside_default(more: &str) -> Result<Policy, identity::PolicyError> {
    Policy::compile(vec![file("default.cedar", DEFAULT), file("more.cedar", more)])
}

pub(crate) fn person(name: &str, roles: &[Role], clearance: &str) -> Principal {
    Principal {
        name: name.to_owned(),
        credential: "token:0".to_owned(),
        clearance: clearance.parse().unwrap(),
        groups: vec!["crew".to_owned()],
        roles: roles.to_vec(),
        is_owner: false,
        scope: identity::Scope::default(),
    }
}

pub(crate) fn decided(policy: &Arc<Policy>, principal: &Principal, asked: &Asked) -> identity::Decision {
    let circumstances = Circumstances { time_unix_s: 0, dialect: "openai.chat" };
    Asking::new(Ok(Arc::clone(policy)), principal, circumstances).decide(asked)
}

fn wrong(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(name, text)| file(name, text)).collect();
    let error = Policy::compile(files).expect_err("not a policy");
    error.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_policy_decides_as_its_table_says() {
    let cases: Cases = toml::from_str(TABLE).unwrap();
    assert!(cases.case.len() >= 60, "{}", cases.case.len());
    let policy = Arc::new(Policy::builtin().unwrap());
    let outcomes = cases.run(&policy, &Lattice::default()).unwrap();
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !outcome.wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Every policy decides somewhere in it: none is there for nothing.
    for id in identity::FLOOR.lines().chain(DEFAULT.lines()).filter_map(|line| line.strip_prefix("@id(\"")) {
        let id = id.trim_end_matches("\")");
        let decides = |outcome: &&identity::CaseOutcome| outcome.rules.iter().any(|rule| rule == id);
        assert!(outcomes.iter().any(|outcome| decides(&outcome)), "no case is decided by {id}");
    }
}

/// A case whose expectation is wrong is told.
#[test]
fn a_table_that_is_wrong_is_told() {
    let policy = Arc::new(Policy::builtin().unwrap());
    let run = |text: &str| {
        let cases: Cases = toml::from_str(text).unwrap();
        cases.run(&policy, &Lattice::default()).map(|outcomes| outcomes[0].wrong.clone())
    };
    let case = "[[case]]\nperson = { name = \"a\" }\naction = \"chat\"\nresource = { deployment = \"d\" }\n";
    assert_eq!(run(&format!("{case}expect = \"allow\"")), Ok(String::new()));
    assert!(run(&format!("{case}expect = \"deny\"")).unwrap().contains("expected deny"));
    assert!(run(&format!("{case}expect = \"allow\"\nrule = \"x\"")).unwrap().contains("default.use"));
    let server = "[[case]]\nperson = { name = \"a\" }\naction = \"chat\"\nexpect = \"allow\"";
    assert!(run(server).unwrap_err().to_string().contains("a deployment"));
    assert!(toml::from_str::<Cases>("[[case]]\npersons = 1").is_err());
}

#[test]
fn what_is_no_policy_is_refused_with_its_place() {
    let syntax = wrong(&[("a.cedar", "@id(\"a\")\npermit (principal, action resource);")]);
    assert!(syntax[0].starts_with("a.cedar:2:"), "{syntax:?}");
    let attribute = wrong(&[(
        "a.cedar",
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal.age > 3 };",
    )]);
    assert!(attribute[0].starts_with("a.cedar:3:") && attribute[0].contains("age"), "{attribute:?}");
    for (text, named) in [
        ("@id(\"a\") permit (principal in Role::\"auditr\", action, resource);", "auditr"),
        ("@id(\"a\") permit (principal, action == Action::\"chta\", resource);", "chta"),
        ("@id(\"a\") permit (principal, action, resource) when { context.time_unix_s > \"x\" };", "String"),
        ("permit (principal, action, resource);", "@id"),
        ("@id(\"cloister.labels\") permit (principal, action, resource);", "Cloister's own"),
        ("@id(\"a b\") permit (principal, action, resource);", "no id"),
        ("@id(\"a\") permit (principal == ?principal, action, resource);", "slot"),
        (
            "@id(\"a\") permit (principal, action, resource); @id(\"a\") permit (principal, action, resource);",
            "two policies",
        ),
        // It can never apply: meant otherwise.
        ("@id(\"a\") forbid (principal, action == Action::\"trace\", resource is Server);", ""),
    ] {
        let told = wrong(&[("a.cedar", text)]);
        assert!(told.iter().any(|told| told.contains(named)), "{text}: {told:?}");
    }
    for name in ["a.txt", "floor.cedar", ".cedar", "../a.cedar", "a b.cedar"] {
        assert!(!wrong(&[(name, "@id(\"a\") permit (principal, action, resource);")]).is_empty(), "{name}");
    }
    assert!(!wrong(&[]).is_empty());
}

#[test]
fn the_digest_is_of_every_byte_and_of_no_order() {
    let digest = |files: &[(&str, &str)]| {
        Policy::compile(files.iter().map(|(name, text)| file(name, text)).collect()).unwrap().digest()
    };
    let (a, b) = (
        "@id(\"a\") permit (principal, action, resource);",
        "@id(\"b\") permit (principal, action, resource);",
    );
    let both = digest(&[("a.cedar", a), ("b.cedar", b)]);
    assert_eq!(both, digest(&[("b.cedar", b), ("a.cedar", a)]));
    assert_ne!(both, digest(&[("a.cedar", b), ("b.cedar", a)]));
    assert_ne!(both, digest(&[("a.cedar", a), ("b.cedar", &format!("{b}\n"))]));
    assert_ne!(both, digest(&[("a.cedar", a), ("c.cedar", b)]));
    assert!(Policy::builtin().unwrap().is_builtin());
}

/// A site permits everything: the floor holds all the same.
#[test]
fn no_policy_undoes_the_floor() {
    let policy = Arc::new(
        Policy::compile(vec![file("all.cedar", "@id(\"all\") permit (principal, action, resource);")])
            .unwrap(),
    );
    let cases: Cases = toml::from_str(TABLE).unwrap();
    let lattice = cases.lattice(&Lattice::default()).unwrap();
    let mut forbidden = 0;
    for case in &cases.case {
        let decision = case.decide(&policy, &lattice).unwrap();
        assert_eq!(decision.allowed, !case.rule.starts_with("cloister."), "{case:?}");
        forbidden += u32::from(!decision.allowed);
    }
    assert!(forbidden > 20);
}

/// Whatever the others say, an error denies: what failed may be a `forbid`.
#[test]
fn an_error_denies() {
    for broken in [
        "@id(\"x\") forbid (principal, action == Action::\"chat\", resource) when { context.time_unix_s + 9223372036854775807 > 0 };",
        "@id(\"x\") permit (principal, action == Action::\"chat\", resource) when { context.time_unix_s * 9223372036854775807 > 0 };",
    ] {
        let policy = Arc::new(beside_default(broken).unwrap());
        let ada = person("ada", &[], "");
        let at = |time_unix_s, verb| {
            let circumstances = Circumstances { time_unix_s, dialect: "" };
            let asked = Asked::of_deployment(verb, "d", LabelSet::default());
            Asking::new(Ok(Arc::clone(&policy)), &ada, circumstances).decide(&asked)
        };
        let denied = at(10, Verb::Chat);
        assert!(!denied.allowed && denied.reason.contains("cannot be used"), "{denied:?}");
        assert!(at(10, Verb::Complete).allowed, "it is not about that");
    }
    let ada = person("ada", &[], "");
    let none = Asking::new(Err("no reason".into()), &ada, Circumstances { time_unix_s: 0, dialect: "" });
    let denied = none.decide(&Asked::of_deployment(Verb::Chat, "d", LabelSet::default()));
    assert!(!denied.allowed && denied.reason.contains("no reason"));
}

/// Time, dialect and strength of login are in the context, and nothing else tells the time.
#[test]
fn circumstances_decide() {
    let policy = Arc::new(
        beside_default(
            "@id(\"hours\") forbid (principal, action == Action::\"chat\", resource)
             when { context.weekday > 5 || context.minute_of_day < 480 };
             @id(\"editors\") forbid (principal, action, resource) when { context.dialect == \"openai.chat\" };
             @id(\"strong\") forbid (principal, action == Action::\"administer\", resource)
             unless { context.strength == \"certificate\" };",
        )
        .unwrap(),
    );
    let ada = person("ada", &[Role::Administrator], "");
    let at = |time_unix_s, dialect, verb| {
        let asked = match verb {
            Verb::Administer => Asked::of_server(verb, "user add"),
            verb => Asked::of_deployment(verb, "d", LabelSet::default()),
        };
        Asking::new(Ok(Arc::clone(&policy)), &ada, Circumstances { time_unix_s, dialect })
            .decide(&asked)
            .rules
    };
    // 2026-01-05 is a Monday.
    let monday = 1_767_571_200;
    assert_eq!(at(monday + 9 * 3600, "x", Verb::Chat), ["default.use"]);
    assert_eq!(at(monday + 7 * 3600, "x", Verb::Chat), ["hours"]);
    assert_eq!(at(monday + 5 * 86_400 + 9 * 3600, "x", Verb::Chat), ["hours"]);
    assert_eq!(at(monday + 9 * 3600, "openai.chat", Verb::Chat), ["editors"]);
    assert_eq!(at(monday, "admin", Verb::Administer), ["strong"]);
}

/// What is decided is as fast as what is done for it can bear. How fast exactly, `cargo xtask bench` says.
#[test]
fn a_thousand_policies_decide_the_same() {
    let mut more = String::new();
    for n in 0..1000 {
        more.push_str(&format!(
            "@id(\"more.{n}\") forbid (principal in Group::\"group{n}\", action == Action::\"read-source\", resource == Source::\"s{n}\");\n"
        ));
    }
    let (few, many) = (Arc::new(Policy::builtin().unwrap()), Arc::new(beside_default(&more).unwrap()));
    let cases: Cases = toml::from_str(TABLE).unwrap();
    let lattice = cases.lattice(&Lattice::default()).unwrap();
    for case in &cases.case {
        let [one, other] = [&few, &many].map(|policy| case.decide(policy, &lattice).unwrap());
        assert_eq!((one.allowed, one.rules), (other.allowed, other.rules));
    }
    let mut ada = person("ada", &[], "");
    ada.groups = vec!["group7".to_owned()];
    let read = |n: u32| {
        let asked = Asked::of_source(
            Verb::ReadSource,
            &format!("s{n}"),
            &["everyone".to_owned()],
            LabelSet::default(),
        );
        decided(&many, &ada, &asked).rules
    };
    assert_eq!((read(7), read(8)), (vec!["more.7".to_owned()], vec!["default.read".to_owned()]));
}

/// docs/policy.md shows what is in force, word for word.
#[test]
fn the_documentation_shows_schema_and_policies() {
    let document = include_str!("../../../../docs/policy.md");
    for text in [identity::SCHEMA, identity::FLOOR, DEFAULT] {
        assert!(document.contains(text), "docs/policy.md lacks, or has another:\n{text}");
    }
    let cases: Cases = toml::from_str(TABLE).unwrap();
    assert!(document.contains(&format!("own, {} of them", cases.case.len())));
    // Its examples are policies and cases.
    for (number, example) in document.split("```cedar\n@id(\"site").skip(1).enumerate() {
        let example = format!("@id(\"site{}", example.split("```").next().unwrap());
        beside_default(&example).unwrap_or_else(|error| panic!("example {number}: {error}"));
    }
    let example = document.split("```toml\n[[case]]").nth(1).unwrap().split("```").next().unwrap();
    let cases: Cases = toml::from_str(&format!(
        "[labels]\nclassification = [\"confidential\", \"secret\"]\n[[case]]{example}"
    ))
    .unwrap();
    let outcomes = cases.run(&Arc::new(Policy::builtin().unwrap()), &Lattice::default()).unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.wrong.is_empty()), "{outcomes:?}");
}
