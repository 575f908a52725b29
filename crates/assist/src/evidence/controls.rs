//! Frameworks of controls, as data, and the page that maps each control to what the ledger holds.

mod do_330;
mod eu_ai_act_12;
mod nist_800_171;
mod nist_800_53;

use super::{Scope, Summary, moment, period, verify_line};

/// A framework.
#[derive(Debug, PartialEq, Eq)]
pub struct Framework {
    /// As on the command line.
    pub name: &'static str,
    /// In full.
    pub title: &'static str,
    /// What the reader must know before the first control.
    pub preface: &'static str,
    /// Its controls that concern a log, in order.
    pub controls: &'static [Control],
}

/// A control, and what a ledger has to do with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Control {
    /// As `AU-2`.
    pub id: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What the ledger shows of it; empty when nothing.
    pub shows: &'static str,
    /// Kinds of leaves that show it. When the period has none of them, the control is not evidenced.
    pub kinds: &'static [&'static str],
    /// What the ledger does not show of it: somebody else must.
    pub not: &'static str,
}

/// All of them.
pub const FRAMEWORKS: [&Framework; 4] =
    [&nist_800_53::FRAMEWORK, &nist_800_171::FRAMEWORK, &eu_ai_act_12::FRAMEWORK, &do_330::FRAMEWORK];

/// One by its name.
pub fn framework(name: &str) -> Option<&'static Framework> {
    FRAMEWORKS.into_iter().find(|framework| framework.name == name)
}

/// `controls/NAME.md`.
pub(super) fn page(framework: &Framework, scope: &Scope, summary: &Summary) -> String {
    let mut page = format!(
        "# {}\n\nLog `{}`, {}. {}\n\nChecked by, in the pack's folder:\n\n```sh\n{}\n```\n",
        framework.title,
        scope.origin,
        period(summary),
        framework.preface,
        verify_line(scope)
    );
    for control in framework.controls {
        page.push_str(&section(control, summary));
    }
    page
}

fn section(control: &Control, summary: &Summary) -> String {
    let mut section = format!("\n## {} {}\n\n", control.id, control.title);
    let found: Vec<&str> = control.kinds.iter().copied().filter(|kind| summary.count(kind) > 0).collect();
    let nothing = !control.kinds.is_empty() && found.is_empty();
    if !control.shows.is_empty() && !nothing {
        section.push_str(&format!("{}\n\n", control.shows));
    }
    if nothing {
        let kinds: Vec<String> = control.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let kinds = kinds.join(", ");
        section.push_str(&format!(
            "Not evidenced by the ledger: the period has no leaf of the kind {kinds}.\n\n"
        ));
    }
    if !control.kinds.is_empty() {
        section.push_str("| leaves | count | first | last | examples |\n|---|---|---|---|---|\n");
    }
    for kind in control.kinds {
        let row = summary.kinds.get(kind).map_or_else(
            || format!("| `{kind}` | 0 | | | |\n"),
            |leaves| {
                let examples: Vec<String> = leaves.examples.iter().map(|e| e.index.to_string()).collect();
                let (count, first, last) = (leaves.count, leaves.first, leaves.last);
                format!("| `{kind}` | {count} | {first} | {last} | {} |\n", examples.join(", "))
            },
        );
        section.push_str(&row);
    }
    for fact in facts(control, summary) {
        section.push_str(&format!("\n{fact}\n"));
    }
    if !control.not.is_empty() {
        section.push_str(&format!("\nNot evidenced by the ledger: {}\n", control.not));
    }
    section
}

/// Figures that some controls ask for beside counts of leaves.
fn facts(control: &Control, summary: &Summary) -> Vec<String> {
    let times = || {
        let (first, last) = (summary.log_first_unix_ms?, summary.log_last_unix_ms?);
        Some(format!("The log holds leaves from {} to {} (UTC).", moment(first), moment(last)))
    };
    let clock = || {
        let states: Vec<String> =
            summary.clock.rows().into_iter().map(|(name, count)| format!("{name} {count} times")).collect();
        Some(format!("The clock when it was asked: {}.", states.join(", "))).filter(|_| !states.is_empty())
    };
    let gaps = || {
        let found: Vec<String> = summary
            .gaps
            .rows()
            .filter(|(_, count, _)| *count > 0)
            .map(|(sort, count, _)| format!("- {count}: {sort}"))
            .collect();
        let none = "Gaps in the period: none.".to_owned();
        Some(if found.is_empty() { none } else { format!("Gaps in the period:\n{}", found.join("\n")) })
    };
    let facts = match control.id {
        "AU-11" | "3.3.1" | "Article 19(1)" => [times(), None],
        "AU-8" | "3.3.7" => [clock(), None],
        "AU-5" | "AU-12" | "3.3.4" | "Article 12(1)" => [gaps(), None],
        _ => [None, None],
    };
    facts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_tables_are_whole() {
        let event = serde_json::from_str::<ledger::Event>(r#"{"kind":"none"}"#).unwrap_err().to_string();
        for framework in FRAMEWORKS {
            assert_eq!(super::framework(framework.name), Some(framework));
            let ids: BTreeSet<_> = framework.controls.iter().map(|control| control.id).collect();
            assert_eq!(ids.len(), framework.controls.len(), "{}: an id twice", framework.name);
            for control in framework.controls {
                let id = control.id;
                assert!(
                    !control.shows.is_empty() || control.kinds.is_empty(),
                    "{id} has leaves and shows nothing"
                );
                assert!(!control.shows.is_empty() || !control.not.is_empty(), "{id} says nothing");
                for kind in control.kinds {
                    assert!(event.contains(&format!("`{kind}`")), "{id} names {kind}, which is no kind");
                }
            }
        }
        let ids = |name| {
            super::framework(name).unwrap().controls.iter().map(|control| control.id).collect::<Vec<_>>()
        };
        assert_eq!(
            ids("nist-800-53"),
            [
                "AC-3", "AC-5", "AC-6", "AU-2", "AU-3", "AU-4", "AU-5", "AU-8", "AU-9", "AU-10", "AU-11",
                "AU-12", "CM-3", "CM-5", "IA-2(12)", "SC-7", "SI-7"
            ]
        );
        assert_eq!(ids("nist-800-171").iter().filter(|id| id.starts_with("3.3.")).count(), 9);
    }

    #[test]
    fn a_control_without_leaves_says_so() {
        let control =
            Control { id: "X-1", title: "X", shows: "It shows.", kinds: &["posture"], not: "the rest." };
        let text = section(&control, &Summary::new(0, 1, false));
        assert!(
            text.contains("Not evidenced by the ledger: the period has no leaf of the kind `posture`."),
            "{text}"
        );
        assert!(
            text.contains("Not evidenced by the ledger: the rest.") && !text.contains("It shows."),
            "{text}"
        );
    }
}
