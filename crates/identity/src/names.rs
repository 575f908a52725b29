//! Cedar's names of what there is, parsed once.

use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::policy::Problem;

/// The types of the schema.
pub(crate) struct Names {
    pub(crate) user: EntityTypeName,
    pub(crate) role: EntityTypeName,
    pub(crate) group: EntityTypeName,
    pub(crate) deployment: EntityTypeName,
    pub(crate) source: EntityTypeName,
    pub(crate) corpus: EntityTypeName,
    pub(crate) record: EntityTypeName,
    pub(crate) server: EntityTypeName,
    action: EntityTypeName,
}

impl Names {
    pub(crate) fn new() -> Result<Names, Problem> {
        let name = |name: &str| {
            EntityTypeName::from_str(name).map_err(|error| Problem::of_file("cloister.cedarschema", error))
        };
        Ok(Names {
            user: name("User")?,
            role: name("Role")?,
            group: name("Group")?,
            deployment: name("Deployment")?,
            source: name("Source")?,
            corpus: name("Corpus")?,
            record: name("Record")?,
            server: name("Server")?,
            action: name("Action")?,
        })
    }

    /// Whether it is the type of what something is done to.
    pub(crate) fn is_thing(&self, of: &EntityTypeName) -> bool {
        [&self.deployment, &self.source, &self.corpus, &self.record, &self.server].contains(&of)
    }

    pub(crate) fn action(&self, name: &str) -> EntityUid {
        entity(&self.action, name)
    }
}

/// One of a type.
pub(crate) fn entity(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}
