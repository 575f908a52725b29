//! The newest look at the jails, as the ledger has it, for everybody who may come in: which jail held is
//! no secret of anybody's. The processes, files and sockets of the same record are an administrator's.

use identity::Credential;
use ledger::{Event, Filter, QueryError};
use protocol::posture::{Posture, Row};

use crate::{Assist, Refusal, RefusalKind};

/// The newest posture leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostureView {
    /// The leaf.
    pub record: u64,
    /// When the ledger wrote it, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// Why then: `start`, `interval`, `change` or `request`.
    pub occasion: String,
    /// Probes that came out as they must.
    pub passed: u32,
    /// Probes that did not.
    pub failed: u32,
    /// Probes that this machine cannot make, or whose outcome is accepted by name.
    pub untried: u32,
    /// Each thing that was looked at; empty where the leaf's body does not open.
    pub rows: Vec<Row>,
}

impl Assist {
    /// The newest look at the jails; `None` before the first.
    pub async fn posture(&self, credential: &Credential) -> Result<Option<PostureView>, Refusal> {
        let house = &self.house;
        let principal = house.identify(credential, "cloister.posture")?;
        let place = house.admission.enter(&principal.name);
        let _place = place.map_err(|(kind, message)| Refusal::new(kind, message))?;
        let ledger = house.ledger.clone();
        let found = tokio::task::spawn_blocking(move || newest(&ledger)).await;
        found.map_err(|_| Refusal::broken())?.map_err(|error| {
            tracing::error!(%error, "the newest posture cannot be read");
            Refusal::new(RefusalKind::LedgerUnavailable, format!("the ledger cannot be read: {error}"))
        })
    }
}

fn newest(ledger: &ledger::Ledger) -> Result<Option<PostureView>, QueryError> {
    let filter = Filter { kind: Some("posture".to_owned()), ..Filter::default() };
    let page = ledger.query(&filter, None, 1)?;
    let Some(row) = page.rows.first() else { return Ok(None) };
    let record = ledger.record(row.leaf)?;
    let Event::Posture { occasion, passed, failed, untried, .. } = record.leaf.event else { return Ok(None) };
    let posture = record.body.and_then(|body| serde_json::from_slice::<Posture>(&body).ok());
    Ok(Some(PostureView {
        record: row.leaf,
        time_unix_ms: record.leaf.time_unix_ms,
        occasion,
        passed,
        failed,
        untried,
        rows: posture.map(|posture| posture.rows).unwrap_or_default(),
    }))
}
