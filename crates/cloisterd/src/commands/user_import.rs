use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use credentials::{Person, parse_csv, parse_ldif};
use identity::LabelSet;
use protocol::admin::Command;
use serde::Deserialize;
use serde_json::json;

use super::Outcome;
use super::administer::ask;
use crate::file;
use crate::output::{self, Hinted};

const BYTES_MAX: usize = 32 << 20;

/// Takes persons, their groups and labels from a directory's export: a .csv or an .ldif file.
///
/// CSV has a header of `name`, and `groups` and `labels` where wanted, each with semicolons between several. LDIF
/// persons have `uid`, and `memberOf`, or groups with `member` or `memberUid`. What the file says nothing of stays as
/// it is. Each change is a leaf of the ledger, written before it is made.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file: NAME.csv or NAME.ldif.
    file: PathBuf,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Disable enabled persons whom the file does not have.
    #[arg(long)]
    disable_missing: bool,
    /// The attribute of LDIF entries that holds labels.
    #[arg(long, value_name = "NAME")]
    label_attribute: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A user as they are now.
#[derive(Clone, Debug, Deserialize)]
struct Known {
    name: String,
    labels: Vec<String>,
    groups: Vec<String>,
    disabled_unix_s: Option<i64>,
}

impl Import {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let bytes = file::read(&self.file, BYTES_MAX)?;
        let ending = self.file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let parsed = match ending.to_ascii_lowercase().as_str() {
            "csv" => parse_csv(&bytes),
            "ldif" => parse_ldif(&bytes, self.label_attribute.as_deref()),
            _ => {
                let error = format!("{} is neither .csv nor .ldif", self.file.display());
                return Err(error.into());
            }
        };
        let persons = parsed.map_err(|error| format!("{}: {error}", self.file.display()))?;
        if persons.is_empty() {
            let error = format!("{} names nobody", self.file.display());
            return Err(Hinted::new(error, "was it exported whole?").into());
        }
        let known: Vec<Known> = serde_json::from_value(ask(data, Command::UserList)?)?;
        let plan = plan(&persons, &known, self.disable_missing)?;
        let mut done = Vec::new();
        for command in &plan.commands {
            if !self.dry_run {
                ask(data, command.clone()).map_err(|error| {
                    let made = done.len();
                    Hinted::new(
                        format!("{}: {}", describe(command), output::on_one_line(&*error)),
                        format!("{made} changes before it were made and are in the ledger; import again after it is mended"),
                    )
                })?;
            }
            done.push(describe(command));
        }
        if self.json {
            let document = json!({
                "dry_run": self.dry_run, "changes": done, "unchanged": plan.unchanged,
                "missing": plan.missing, "disabled_here": plan.disabled_here,
            });
            output::line(&document.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        for change in &done {
            output::line(change)?;
        }
        for name in &plan.missing {
            output::say(&format!("{name} is not in the file, and stays: --disable-missing disables them"));
        }
        for name in &plan.disabled_here {
            output::say(&format!("{name} is disabled here, and stays so: an import enables nobody again"));
        }
        let verb = if self.dry_run { "would be made" } else { "made" };
        output::say(&format!("{} changes {verb}, {} persons unchanged", done.len(), plan.unchanged));
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Default)]
struct Plan {
    commands: Vec<Command>,
    unchanged: usize,
    missing: Vec<String>,
    disabled_here: Vec<String>,
}

/// What makes the users as the file has them.
fn plan(persons: &[Person], known: &[Known], disable_missing: bool) -> Result<Plan, Box<dyn Error>> {
    let by_name: BTreeMap<&str, &Known> = known.iter().map(|known| (known.name.as_str(), known)).collect();
    let mut plan = Plan::default();
    for person in persons {
        let name = person.name.clone();
        // As they are kept: in order, once each; refused here, before anything is changed.
        let labels = match &person.labels {
            Some(labels) => {
                let set: LabelSet = labels.join(",").parse().map_err(|error| format!("{name}: {error}"))?;
                Some(set.names())
            }
            None => None,
        };
        let before = plan.commands.len();
        match by_name.get(name.as_str()) {
            None => plan.commands.push(Command::UserAdd {
                name,
                labels: labels.unwrap_or_default(),
                groups: person.groups.clone().unwrap_or_default(),
            }),
            Some(known) if known.disabled_unix_s.is_some() => plan.disabled_here.push(name),
            Some(known) => {
                if let Some(groups) = person.groups.clone().filter(|groups| *groups != known.groups) {
                    plan.commands.push(Command::UserGroups { name: name.clone(), groups });
                }
                if let Some(labels) = labels.filter(|labels| *labels != known.labels) {
                    plan.commands.push(Command::UserLabels { name, labels });
                }
                plan.unchanged += usize::from(plan.commands.len() == before);
            }
        }
    }
    let is_missing = |known: &&Known| {
        known.disabled_unix_s.is_none() && !persons.iter().any(|person| person.name == known.name)
    };
    for Known { name, .. } in known.iter().filter(is_missing) {
        match disable_missing {
            true => plan.commands.push(Command::UserDisable { name: name.clone() }),
            false => plan.missing.push(name.clone()),
        }
    }
    Ok(plan)
}

fn describe(command: &Command) -> String {
    match command {
        Command::UserAdd { name, labels, groups } => {
            format!("add {name}: groups [{}], labels [{}]", groups.join(","), labels.join(","))
        }
        Command::UserGroups { name, groups } => format!("groups of {name}: [{}]", groups.join(",")),
        Command::UserLabels { name, labels } => format!("labels of {name}: [{}]", labels.join(",")),
        Command::UserDisable { name } => format!("disable {name}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, groups: &[&str], disabled: bool) -> Known {
        Known {
            name: name.to_owned(),
            labels: Vec::new(),
            groups: groups.iter().map(ToString::to_string).collect(),
            disabled_unix_s: disabled.then_some(1),
        }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let persons =
            parse_csv(b"name,groups,labels\nada,crew;ops,\nbob,crew,flight\ncarol,,\neve,crew,\n").unwrap();
        let users = [
            known("ada", &["crew", "ops"], false),
            known("bob", &["ops"], false),
            known("dan", &[], false),
            known("eve", &[], true),
            known("old", &[], true),
        ];
        let described = |disable_missing| {
            let plan = plan(&persons, &users, disable_missing).unwrap();
            (
                plan.commands.iter().map(describe).collect::<Vec<_>>(),
                plan.unchanged,
                plan.missing,
                plan.disabled_here,
            )
        };
        let changes = ["groups of bob: [crew]", "labels of bob: [flight]", "add carol: groups [], labels []"];
        let (kept, unchanged, missing, disabled) = described(false);
        assert_eq!(kept, changes);
        assert_eq!((unchanged, missing, disabled), (1, vec!["dan".to_owned()], vec!["eve".to_owned()]));
        let (all, ..) = described(true);
        assert_eq!(all.last().map(String::as_str), Some("disable dan"));
        // A file that says nothing of groups changes none.
        let names = parse_csv(b"name\nada\nbob\n").unwrap();
        assert!(plan(&names, &users, false).unwrap().commands.is_empty());
        let wrong = parse_csv(b"name,labels\nada,Flight Test\n").unwrap();
        assert!(plan(&wrong, &users, false).is_err(), "before anything is changed");
    }
}
