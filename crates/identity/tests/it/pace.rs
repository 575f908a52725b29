//! What a decision costs. It measures and judges nothing: `cargo test --release -p identity -- --ignored --nocapture pace`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::{Asked, Asking, Circumstances, LabelSet, Policy, Verb};

use crate::policies::{beside_default, person};

const ROUNDS: usize = 2000;

#[test]
#[ignore = "it measures, and says what it measured"]
fn pace() {
    let mut thousand = String::new();
    for n in 0..1000 {
        let (scope, action) = match n % 4 {
            0 => (format!("principal == User::\"u{n}\""), "action == Action::\"read-source\"".to_owned()),
            1 => (format!("principal in Group::\"g{n}\""), "action in Action::\"use\"".to_owned()),
            2 => (
                "principal in Role::\"auditor\"".to_owned(),
                format!("action == Action::\"{}\"", Verb::ALL[n % 17]),
            ),
            _ => (format!("principal in Group::\"g{n}\""), "action".to_owned()),
        };
        thousand.push_str(&format!(
            "@id(\"site.{n}\") forbid ({scope}, {action}, resource) when {{ context.minute_of_day == {n} }};\n"
        ));
    }
    for (what, policy) in
        [("default", Policy::builtin()), ("default and 1000 more", beside_default(&thousand))]
    {
        let policy = Arc::new(policy.unwrap());
        let mut ada = person("ada", &[], "flight,radar,secret");
        ada.groups = (0..20).map(|n| format!("team{n}")).collect();
        let labels: LabelSet = "flight".parse().unwrap();
        let circumstances = Circumstances { time_unix_s: 1_767_571_200, dialect: "llama_cpp.infill" };
        let ask = || Asking::new(Ok(Arc::clone(&policy)), &ada, circumstances);
        // What a completion asks: its deployment, and its answer.
        let completion = measured(|| {
            let asking = ask();
            let asked = Asked::of_deployment(Verb::Complete, "coder", labels.clone());
            assert!(asking.decide(&asked).allowed);
            assert!(asking.decide(&asked.carrying(labels.clone())).allowed);
        });
        println!("{what}: the two decisions of a completion: {}", shown(&completion));
        let one = measured(|| {
            let asked = Asked::of_source(Verb::ReadSource, "s7", &["team3".to_owned()], labels.clone());
            assert!(ask().decide(&asked).allowed);
        });
        println!("{what}: one decision of a source: {}", shown(&one));
        let begun = Instant::now();
        let asking = ask();
        let allowed = (0..1000).filter(|n| {
            let readers = [format!("team{}", n % 40)];
            asking
                .decide(&Asked::of_source(Verb::ReadSource, &format!("s{n}"), &readers, labels.clone()))
                .allowed
        });
        let allowed = allowed.count();
        println!("{what}: 1000 sources filtered, {allowed} left: {:?}", begun.elapsed());
    }
}

fn measured(mut work: impl FnMut()) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn shown(times: &[Duration]) -> String {
    format!("median {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100])
}
