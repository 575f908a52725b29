//! Trailers of a commit's message, as Linux and others ask for them: `Assisted-by: AGENT:MODEL [TOOL]`.

use std::collections::{BTreeMap, BTreeSet};

use lineage::grade::Grade;
use lineage::slice::Slice;

use crate::commands::short;
use crate::failure::Failure;
use crate::review::Table;

/// A name that git takes for a trailer, and that says nothing that only a person can say.
pub(super) fn name(name: &str) -> Result<&str, Failure> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if name.is_empty() || !plain || name.starts_with('-') {
        return Err(Failure::usage(format!("`{name}` is no name of a trailer")));
    }
    let said_by_persons = ["signed-off-by", "reviewed-by", "acked-by", "tested-by", "reported-by"];
    if said_by_persons.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Failure::usage(format!("`{name}` is for persons to say"))
            .hint("Take another name, as Assisted-by."));
    }
    Ok(name)
}

/// One for each model whose lines were taken over, with the compilers that looked at its answers.
pub(super) fn text(name: &str, table: &Table, slice: &Slice) -> String {
    let mut tools: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let taken = |grade| matches!(grade, Grade::AiVerbatim | Grade::AiModified);
    for answer in table.ranges.iter().filter(|row| taken(row.grade)).filter_map(|row| row.answer.as_ref()) {
        let model = answer.model.as_deref().map(|model| format!("@{}", short(model))).unwrap_or_default();
        let tools = tools.entry(word(&format!("{}{model}", answer.deployment))).or_default();
        let record = slice.records.iter().find(|record| record.number == answer.record);
        let checks = record.map(|record| record.checks.as_slice()).unwrap_or_default();
        tools.extend(checks.iter().map(|(_, check)| word(&check.checker)));
    }
    let line = |(model, tools): (String, BTreeSet<String>)| {
        let tools: String = tools.into_iter().map(|tool| format!(" [{tool}]")).collect();
        format!("{name}: cloister:{model}{tools}\n")
    };
    tools.into_iter().map(line).collect()
}

/// Nothing of a name ends a line or a word.
fn word(name: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "@._-+/".contains(character);
    name.chars().map(|character| if plain(character) { character } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_trailers() {
        for (given, fine) in [
            ("Assisted-by", true),
            ("Generated-By", true),
            ("Signed-off-by", false),
            ("SIGNED-OFF-BY", false),
            ("Reviewed-by", false),
            ("a: b", false),
            ("a\nb", false),
            ("", false),
        ] {
            assert_eq!(name(given).is_ok(), fine, "{given}");
        }
        assert_eq!(word("a b\nSigned-off-by: x"), "a_b_Signed-off-by__x");
    }
}
