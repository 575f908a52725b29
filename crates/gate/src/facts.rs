//! What is known of a range of lines, as Cedar's entities.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde::{Deserialize, Serialize};

/// What is known of lines that follow each other: the attributes that [`SCHEMA`](crate::SCHEMA) names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Range {
    /// Who asked for the lines; empty where they are nobody's answer.
    pub prompted_by: String,
    /// The file, from the repository's root.
    pub path: String,
    /// The language that its ending says.
    pub language: String,
    /// The first line, from 1.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// The grade.
    pub grade: String,
    /// Whether it is of the assistant, or looks so.
    pub is_ai: bool,
    /// How much of the lines is the answer's still.
    pub kept_percent: u8,
    /// What became of the answer.
    pub decision: String,
    /// What checkers said.
    pub check: String,
    /// Matches with known code that the site's policy does not let pass.
    pub findings: u32,
    /// Their licences.
    pub licences: BTreeSet<String>,
    /// Whether the answer was compared with all known code that there is.
    pub compared: bool,
    /// The weights' digest.
    pub model: String,
    /// The deployment's alias.
    pub deployment: String,
    /// Languages that the weights are qualified for.
    pub qualified_languages: BTreeSet<String>,
    /// Who approved exactly these lines, or more.
    pub approved_by: BTreeSet<String>,
}

/// When and where it is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Circumstances {
    /// In seconds since 1970.
    pub time_unix_s: i64,
    /// How old the ledger's slice is, in seconds.
    pub slice_age_s: i64,
    /// Where the change goes.
    pub base: String,
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName =
        kind.parse().map_err(|_| "the gate's own schema has no such type".to_owned())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn strings<'s>(texts: impl IntoIterator<Item = &'s String>) -> RestrictedExpression {
    RestrictedExpression::new_set(
        texts.into_iter().map(|text| RestrictedExpression::new_string(text.clone())),
    )
}

fn persons<'s>(names: impl IntoIterator<Item = &'s String>) -> Result<RestrictedExpression, String> {
    let persons =
        names.into_iter().map(|name| Ok(RestrictedExpression::new_entity_uid(uid("Person", name)?)));
    Ok(RestrictedExpression::new_set(persons.collect::<Result<Vec<_>, String>>()?))
}

impl Range {
    /// The resource, and the principal.
    pub(crate) fn entity(&self) -> Result<(Entity, EntityUid), String> {
        let text = |text: &String| RestrictedExpression::new_string(text.clone());
        let long = |number: u32| RestrictedExpression::new_long(number.into());
        let truth = RestrictedExpression::new_bool;
        let others = self.approved_by.iter().filter(|person| **person != self.prompted_by);
        let attributes: HashMap<String, RestrictedExpression> = [
            ("path", text(&self.path)),
            ("language", text(&self.language)),
            ("first", long(self.first)),
            ("last", long(self.last)),
            ("grade", text(&self.grade)),
            ("is_ai", truth(self.is_ai)),
            ("kept_percent", long(self.kept_percent.into())),
            ("decision", text(&self.decision)),
            ("check", text(&self.check)),
            ("findings", long(self.findings)),
            ("licences", strings(&self.licences)),
            ("compared", truth(self.compared)),
            ("model", text(&self.model)),
            ("deployment", text(&self.deployment)),
            ("qualified_languages", strings(&self.qualified_languages)),
            ("approved_by", persons(&self.approved_by)?),
            ("approved_by_others", persons(others)?),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let place = uid("Range", &format!("{}:{}-{}", self.path, self.first, self.last))?;
        let entity = Entity::new(place, attributes, HashSet::new()).map_err(|error| crate::whole(&error))?;
        Ok((entity, uid("Person", &self.prompted_by)?))
    }
}

impl Circumstances {
    pub(crate) fn context(&self) -> Result<Context, String> {
        let pairs = [
            ("time_unix_s", RestrictedExpression::new_long(self.time_unix_s)),
            ("slice_age_s", RestrictedExpression::new_long(self.slice_age_s)),
            ("base", RestrictedExpression::new_string(self.base.clone())),
        ];
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
        Context::from_pairs(pairs).map_err(|error| crate::whole(&error))
    }
}
