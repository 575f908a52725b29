//! Persons and their groups, as a directory exports them: CSV with a header, or LDIF (RFC 2849).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::is_name;

/// Bytes of a file.
pub(crate) const BYTES_MAX: usize = 32 << 20;
/// Persons in it.
const PERSONS_MAX: usize = 100_000;
/// Groups of one person.
const GROUPS_MAX: usize = 256;

/// A person of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The user's name.
    pub name: String,
    /// Groups, sorted; `None` where the file says nothing of groups.
    pub groups: Option<Vec<String>>,
    /// Labels, sorted; `None` where the file says nothing of labels.
    pub labels: Option<Vec<String>>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct RosterError {
    /// From 1.
    pub line: u64,
    /// What.
    pub why: String,
}

fn wrong(line: u64, why: impl Into<String>) -> RosterError {
    RosterError { line, why: why.into() }
}

/// Reads `name,groups,labels`: a header names the columns, of which `name` must be there; several groups or labels are
/// separated by semicolons. Sorted by name.
pub fn parse_csv(bytes: &[u8]) -> Result<Vec<Person>, RosterError> {
    if bytes.len() > BYTES_MAX {
        return Err(wrong(1, format!("the file is longer than {BYTES_MAX} bytes")));
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let failed =
        |error: csv::Error| wrong(error.position().map_or(1, csv::Position::line), "no row of this table");
    let header = reader.headers().map_err(failed)?.clone();
    let known = ["name", "groups", "labels"];
    for column in &header {
        if !known.contains(&column) || header.iter().filter(|other| *other == column).count() > 1 {
            return Err(wrong(
                1,
                format!("the columns are name, groups and labels, once each; not `{column}`"),
            ));
        }
    }
    let column = |name: &str| header.iter().position(|column| column == name);
    let name_column = column("name").ok_or_else(|| wrong(1, "the first line names no column `name`"))?;
    let mut persons = Persons::default();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let line = row.position().map_or(1, csv::Position::line);
        let several = |column: Option<usize>| {
            let text = row.get(column?)?;
            Some(text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
        };
        let name = row.get(name_column).unwrap_or_default();
        persons.add(line, name, several(column("groups")), several(column("labels")))?;
    }
    Ok(persons.finish())
}

/// Attributes of one entry, with the line at which it begins.
struct Entry {
    line: u64,
    attributes: Vec<(String, String)>,
}

impl Entry {
    fn values<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e str> {
        self.attributes.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads an export of a directory: an entry with `uid` is a person; `memberOf` names groups by the first part of a
/// distinguished name, and an entry with `memberUid` or `member` is a group, whose name is its `cn`. `label_attribute`
/// holds labels, where it is set. Records of changes, and values that lie elsewhere (`<`), are refused.
pub fn parse_ldif(bytes: &[u8], label_attribute: Option<&str>) -> Result<Vec<Person>, RosterError> {
    if bytes.len() > BYTES_MAX {
        return Err(wrong(1, format!("the file is longer than {BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| wrong(1, "the file is not UTF-8: values of others are base64"))?;
    let entries = entries(text)?;
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut says_groups = false;
    for entry in &entries {
        let listed: Vec<&str> =
            entry.values("memberuid").chain(entry.values("member").filter_map(first_value)).collect();
        let is_group = entry.attributes.iter().any(|(name, _)| name == "memberuid" || name == "member");
        says_groups |= is_group || entry.values("memberof").next().is_some();
        if !is_group {
            continue;
        }
        let name = entry.values("cn").next().map(str::to_ascii_lowercase);
        let name = name.ok_or_else(|| wrong(entry.line, "a group without `cn`"))?;
        for member in listed {
            members.entry(member.to_ascii_lowercase()).or_default().insert(name.clone());
        }
    }
    let mut persons = Persons::default();
    let label_attribute = label_attribute.map(str::to_ascii_lowercase);
    for entry in &entries {
        let Some(name) = entry.values("uid").next().map(str::to_ascii_lowercase) else { continue };
        let of = entry.values("memberof").filter_map(first_value).map(str::to_ascii_lowercase);
        let mut groups: Vec<String> = of.collect();
        groups.extend(members.get(&name).into_iter().flatten().cloned());
        let labels =
            label_attribute.as_deref().map(|attribute| entry.values(attribute).map(str::to_owned).collect());
        persons.add(entry.line, &name, says_groups.then_some(groups), labels)?;
    }
    Ok(persons.finish())
}

/// Lines unfolded, comments left out, split into entries at empty lines.
fn entries(text: &str) -> Result<Vec<Entry>, RosterError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut line_of: Option<(u64, String)> = None;
    let mut is_open = false;
    let take = |(line, whole): (u64, String), entries: &mut Vec<Entry>, is_open: &mut bool| {
        if whole.starts_with('#') {
            return Ok(());
        }
        let (name, value) = attribute(line, &whole)?;
        match name.as_str() {
            "version" if entries.is_empty() => {
                return if value == "1" { Ok(()) } else { Err(wrong(line, "another version than 1")) };
            }
            "changetype" if value != "add" => {
                return Err(wrong(line, "a record of a change: export entries"));
            }
            _ => {}
        }
        if !*is_open {
            if name != "dn" {
                return Err(wrong(line, "an entry does not begin with `dn`"));
            }
            entries.push(Entry { line, attributes: Vec::new() });
            *is_open = true;
        }
        if let Some(entry) = entries.last_mut() {
            entry.attributes.push((name, value));
        }
        Ok(())
    };
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(more) = line.strip_prefix(' ') {
            let Some((_, whole)) = &mut line_of else {
                return Err(wrong(number, "a line goes on that did not begin"));
            };
            whole.push_str(more);
            continue;
        }
        if let Some(before) = line_of.take() {
            take(before, &mut entries, &mut is_open)?;
        }
        match line.is_empty() {
            true => is_open = false,
            false => line_of = Some((number, line.to_owned())),
        }
    }
    if let Some(before) = line_of.take() {
        take(before, &mut entries, &mut is_open)?;
    }
    Ok(entries)
}

/// `name: value`, or `name:: base64`; options of the name (`;lang-en`) do not count.
fn attribute(line: u64, whole: &str) -> Result<(String, String), RosterError> {
    let (name, value) = whole.split_once(':').ok_or_else(|| wrong(line, "no `name: value`"))?;
    let name = name.split(';').next().unwrap_or_default().to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
        return Err(wrong(line, "that is no attribute's name"));
    }
    let value = match (value.strip_prefix(':'), value.strip_prefix('<')) {
        (Some(encoded), _) => {
            let bytes = STANDARD.decode(encoded.trim()).map_err(|_| wrong(line, "the value is no base64"))?;
            // A picture or a key is nobody's name.
            String::from_utf8(bytes).unwrap_or_default()
        }
        (None, Some(_)) => return Err(wrong(line, "a value that lies elsewhere is not followed")),
        (None, None) => value.trim().to_owned(),
    };
    Ok((name, value))
}

/// `pilots` of `cn=pilots,ou=groups,dc=site`. One with escapes is no name here.
fn first_value(dn: &str) -> Option<&str> {
    let (_, value) = dn.split(',').next()?.split_once('=')?;
    let value = value.trim();
    (!value.contains(['\\', '+', '"'])).then_some(value)
}

#[derive(Default)]
struct Persons(BTreeMap<String, Person>);

impl Persons {
    fn add(
        &mut self,
        line: u64,
        name: &str,
        groups: Option<Vec<String>>,
        labels: Option<Vec<String>>,
    ) -> Result<(), RosterError> {
        if !is_name(name) {
            return Err(wrong(line, format!("`{}` cannot be a user's name", printable(name))));
        }
        let sorted = |names: Option<Vec<String>>, what: &str| -> Result<Option<Vec<String>>, RosterError> {
            let Some(mut names) = names else { return Ok(None) };
            names.sort();
            names.dedup();
            if let Some(bad) = names.iter().find(|name| !is_name(name)) {
                return Err(wrong(line, format!("`{}` cannot be a {what}'s name", printable(bad))));
            }
            if names.len() > GROUPS_MAX {
                return Err(wrong(line, format!("more than {GROUPS_MAX} {what}s")));
            }
            Ok(Some(names))
        };
        // Labels are looked at where they are set: they have names of another kind.
        let labels = labels.map(|mut labels| {
            labels.sort();
            labels.dedup();
            labels
        });
        let person = Person { name: name.to_owned(), groups: sorted(groups, "group")?, labels };
        if self.0.len() >= PERSONS_MAX {
            return Err(wrong(line, format!("more than {PERSONS_MAX} persons")));
        }
        match self.0.insert(name.to_owned(), person) {
            None => Ok(()),
            Some(_) => Err(wrong(line, format!("{name} is there twice"))),
        }
    }

    fn finish(self) -> Vec<Person> {
        self.0.into_values().collect()
    }
}

fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(80).collect()
}
