//! Whether the server can be reached, and what it serves. A server that is away is told once, not with every keystroke.

use std::time::{Duration, Instant};

use client::{Client, ClientError, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::server::{Event, Server, response_error};
use super::wire::{RequestId, ResponseError};

/// After a failure nothing is asked for this long, unless a person asks.
const REST: Duration = Duration::from_secs(5);
/// Deployments that are told of.
const DEPLOYMENTS_MAX: usize = 256;

/// What is known of the server.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// The last failure that keeps it from answering at all.
    away: Option<(Instant, String)>,
    /// What it last said of itself.
    report: Report,
    is_asked: bool,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    version: Option<String>,
    deployments: Vec<Deployment>,
    posture: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Deployment {
    alias: String,
    name: String,
    model: Option<String>,
    fill: bool,
    up: bool,
}

impl Status {
    /// Whether it is too early to ask again.
    pub(super) fn is_resting(&self) -> bool {
        self.away.as_ref().is_some_and(|(since, _)| since.elapsed() < REST)
    }
}

/// Whether nothing can be answered: the server, its ledger or its engine is away, or it does not know the person.
fn is_away(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unreachable
        | ErrorKind::Silent
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::NotFound
        | ErrorKind::Unavailable
        | ErrorKind::ServerFailed
        | ErrorKind::Protocol => true,
        ErrorKind::Invalid | ErrorKind::TooLong | ErrorKind::Busy | ErrorKind::BrokenOff => false,
    }
}

/// Asks a server what it is.
async fn report(client: &Client) -> Result<Report, ClientError> {
    #[derive(Deserialize)]
    struct Models {
        #[serde(default)]
        data: Vec<Model>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Model {
        id: String,
        cloister: Facts,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Facts {
        name: String,
        model: Option<String>,
        fill: bool,
        up: bool,
    }
    let models = client.get::<Models>("/v1/models").await?.value.data;
    let deployments = models.into_iter().take(DEPLOYMENTS_MAX).map(|Model { id, cloister }| {
        let Facts { name, model, fill, up } = cloister;
        Deployment { alias: id, name, model, fill, up }
    });
    // Older servers have no such page.
    let own = match client.get::<Value>("/v1/cloister/status").await {
        Ok(own) => own.value,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) => Value::Null,
        Err(error) => return Err(error),
    };
    Ok(Report {
        version: own["version"].as_str().map(str::to_owned),
        deployments: deployments.collect(),
        posture: own["posture"].clone(),
    })
}

impl Server {
    /// `cloister/status`. A server that is away is an answer too.
    pub(super) fn ask_status(&mut self, id: &RequestId) -> Result<Option<Value>, ResponseError> {
        let (client, asked) = (self.client.clone(), id.clone());
        let (server, counts) = (client.address().to_string(), self.counts.json());
        self.spawn(id, async move {
            let (result, error) = match report(&client).await {
                Ok(report) => (shown(&server, &report, None, &counts), None),
                Err(error) => {
                    let said = response_error(&error).message;
                    (shown(&server, &Report::default(), Some(&said), &counts), Some(error))
                }
            };
            Event::Answered { id: asked, result: Ok(result), mark: None, error }
        })
    }

    /// Asks beside everything else; [`Server::reported`] hears.
    pub(super) fn look_at_server(&mut self) {
        if std::mem::replace(&mut self.status.is_asked, true) {
            return;
        }
        let (client, events) = (self.client.clone(), self.events.clone());
        // Nobody hears of it when the loop has ended.
        tokio::spawn(async move { drop(events.send(Event::Reported(report(&client).await)).await) });
    }

    pub(super) fn reported(&mut self, report: Result<Report, ClientError>) {
        self.status.is_asked = false;
        match report {
            Ok(report) => {
                let is_new = self.status.report != report;
                self.status.report = report;
                let was_away = self.status.away.take().is_some();
                if is_new || was_away {
                    self.tell_status();
                }
            }
            Err(error) => self.failed(&error, false),
        }
    }

    /// A request failed; `is_asked` where a person asked for it and waits.
    pub(super) fn failed(&mut self, error: &ClientError, is_asked: bool) {
        let said = response_error(error).message;
        if !is_away(error.kind()) {
            if is_asked {
                self.outgoing.show(2, &said);
            }
            return;
        }
        let was_away = self.status.away.replace((Instant::now(), said.clone())).is_some();
        if !was_away {
            self.outgoing.show(1, &format!("Cloister: {said}"));
            self.tell_status();
        }
    }

    /// A request was answered.
    pub(super) fn reached(&mut self) {
        if self.status.away.take().is_some() {
            self.outgoing.log(3, "the server answers again");
            self.tell_status();
            self.look_at_server();
        }
    }

    fn tell_status(&self) {
        let away = self.status.away.as_ref().map(|(_, said)| said.as_str());
        let server = self.client.address().to_string();
        let params = shown(&server, &self.status.report, away, &self.counts.json());
        self.outgoing.notify("cloister/statusChanged", &params);
    }
}

fn shown(server: &str, report: &Report, error: Option<&str>, counts: &Value) -> Value {
    let Report { version, deployments, posture } = report;
    let mut shown = json!({
        "server": server,
        "reachable": error.is_none(),
        "version": version,
        "deployments": deployments,
        "posture": posture,
        "suggestions": counts,
    });
    if let Some(error) = error {
        shown["error"] = json!(error);
    }
    shown
}
