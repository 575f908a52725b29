//! What serves and by whose word: each deployment with the leaves that its model went through, and the
//! corpora that answers are compared with, as far as a person may see them.

use identity::Credential;
use ledger::Admissions;
use protocol::control::{DeploymentFacts, Source};
use serde_json::{Value, json};

use crate::provenance::may_see;
use crate::{Assist, Refusal};

impl Assist {
    /// `{"deployments": […], "corpora": […]}`, as docs/http-api.md has it.
    pub async fn chain(&self, credential: &Credential) -> Result<Value, Refusal> {
        const DIALECT: &str = "cloister.chain";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let asking = house.asking(&principal, DIALECT);
        let admissions = house.admissions.lock().await;
        let deployments: Vec<Value> =
            house.deployments.list().iter().map(|(facts, _)| link(facts, &admissions)).collect();
        drop(admissions);
        let corpora = house.library.views(|corpus| may_see(&asking, corpus));
        Ok(json!({ "deployments": deployments, "corpora": corpora }))
    }
}

/// A deployment, back to who signed its model.
fn link(facts: &DeploymentFacts, admissions: &Admissions) -> Value {
    let deployed = admissions.current(&facts.alias).filter(|deployed| deployed.lock == facts.lock);
    let object = deployed.and_then(|deployed| deployed.object);
    let standing = object.and_then(|object| admissions.object(&object));
    let socket = match &facts.source {
        Source::Model { .. } => None,
        Source::Upstream { socket } => Some(socket),
    };
    json!({
        "alias": facts.alias,
        "model": facts.model(),
        "upstream": socket,
        "labels": facts.labels,
        "training_data": facts.training_data,
        "engine_build": facts.engine_build,
        "cpu": facts.cpu,
        "lock": facts.lock,
        "deployed": deployed.map(|deployed| deployed.leaf),
        "object": object,
        "title": standing.map(|standing| &standing.title),
        "signer": standing.map(|standing| &standing.signer),
        "qualified": standing.map(|standing| &standing.qualified),
        "promoted": standing.and_then(|standing| standing.promoted),
    })
}
