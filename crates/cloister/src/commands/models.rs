use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

use super::{Session, wait};
use crate::failure::Failure;

/// Lists what the server serves, the default first
#[derive(clap::Args)]
pub(crate) struct Models {
    /// Print the server's list as JSON
    #[arg(long)]
    json: bool,
}

/// The answer of `GET /v1/models`.
#[derive(Deserialize)]
pub(super) struct Deployments {
    pub(super) data: Vec<Value>,
}

/// What a person wants to know of an entry. Other servers of the dialect have the alias only.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Deployment {
    id: String,
    context_length: Option<u64>,
    cloister: Option<Facts>,
}

/// What Cloister adds to OpenAI's fields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts {
    /// The weights' digest; an upstream engine has none.
    model: Option<String>,
    upstream: bool,
    name: String,
    fill: bool,
    up: bool,
}

impl Models {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let settings = session.settings()?;
        let deployments =
            wait(async { Ok(settings.client.get::<Deployments>("/v1/models").await?.value.data) })?;
        if self.json {
            session.output.json(&deployments)?;
        } else {
            session.output.text(&table(&deployments))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line a deployment, below a heading.
pub(super) fn table(deployments: &[Value]) -> String {
    if deployments.is_empty() {
        return "the server serves nothing\n".to_owned();
    }
    let mut rows = vec![["ALIAS", "UP", "FILL", "CONTEXT", "NAME", "MODEL"].map(str::to_owned)];
    for deployment in deployments {
        let deployment = Deployment::deserialize(deployment).unwrap_or_default();
        let facts = deployment.cloister.unwrap_or_default();
        let yes = |truth| if truth { "yes" } else { "no" }.to_owned();
        let context = deployment.context_length.map_or_else(|| "?".to_owned(), |tokens| tokens.to_string());
        let upstream = || if facts.upstream { "upstream" } else { "" }.to_owned();
        let model = facts.model.clone().unwrap_or_else(upstream);
        rows.push([deployment.id, yes(facts.up), yes(facts.fill), context, facts.name, model]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_a_table() {
        let deployments = serde_json::json!([
            {"id": "code", "object": "model", "context_length": 4096,
             "cloister": {"model": "sha256:ab", "name": "Coder 0.5B", "slots": 4, "fill": true, "up": true}},
            {"id": "cluster", "object": "model", "context_length": 8192,
             "cloister": {"model": null, "upstream": true, "name": "Coder 32B", "fill": true, "up": true}},
            {"id": "elsewhere", "object": "model"},
        ]);
        insta::assert_snapshot!(table(deployments.as_array().unwrap()), @r"
        ALIAS      UP   FILL  CONTEXT  NAME        MODEL
        code       yes  yes   4096     Coder 0.5B  sha256:ab
        cluster    yes  yes   8192     Coder 32B   upstream
        elsewhere  no   no    ?
        ");
        assert_eq!(table(&[]), "the server serves nothing\n");
    }
}
