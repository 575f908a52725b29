use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::models::{Deployments, table};
use super::{Session, wait};
use crate::failure::Failure;

/// Shows whether the server answers, and what it serves
#[derive(clap::Args)]
pub(crate) struct Status {
    /// Print {server, from, health, deployments} as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    server: String,
    from: String,
    health: Value,
    deployments: Vec<Value>,
}

impl Status {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let settings = session.settings()?;
        let client = &settings.client;
        let report = wait(async {
            let health = client.get::<Value>("/health").await?.value;
            let deployments = client.get::<Deployments>("/v1/models").await?.value.data;
            Ok(Report {
                server: client.address().to_string(),
                from: settings.server_from.to_string(),
                health,
                deployments,
            })
        })?;
        let output = &mut session.output;
        if self.json {
            output.json(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        output.line(format_args!("server       {} (from {})", report.server, report.from))?;
        if let Value::Object(health) = &report.health {
            for (name, value) in health {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                output.line(format_args!("{:<12} {value}", name.replace('_', " ")))?;
            }
        }
        output.text("\n")?;
        output.text(&table(&report.deployments))?;
        Ok(ExitCode::SUCCESS)
    }
}
