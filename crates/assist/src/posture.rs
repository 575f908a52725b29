//! The newest look at the jails, as the ledger has it, for everybody who may come in: which jail held is
//! no secret of anybody's. The processes, files and sockets of the same record are an administrator's.

use identity::{Asked, Credential, Verb};
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

/// Who asks how the server stands, and what they are told that not everybody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who asks.
    pub person: String,
    /// Whether they see everybody's records.
    pub administers: bool,
    /// The newest look at the jails; `None` before the first.
    pub posture: Option<PostureView>,
}

impl Assist {
    /// Who asks, and the newest look at the jails.
    pub async fn standing(&self, credential: &Credential) -> Result<Standing, Refusal> {
        const DIALECT: &str = "cloister.status";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let _place = house.admit(DIALECT, &principal)?;
        let asked = Asked::of_server(Verb::QueryLedger, "ledger query");
        let administers = house.asking(&principal, DIALECT).decide(&asked).allowed;
        let ledger = house.ledger.clone();
        let found = tokio::task::spawn_blocking(move || newest(&ledger)).await;
        let posture = found.map_err(|_| Refusal::broken())?.map_err(|error| {
            tracing::error!(%error, "the newest posture cannot be read");
            Refusal::new(RefusalKind::LedgerUnavailable, format!("the ledger cannot be read: {error}"))
        })?;
        Ok(Standing { person: principal.name, administers, posture })
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
