//! Proofs that leaves are in the log, for a person's own browser to check.

use identity::{Asked, Credential, Verb};
use ledger::{Event, Ledger, ProveLeafError, ReadError, SignError};
use protocol::{Digest, RecordNumber};

use crate::{Assist, Refusal, RefusalKind};

/// A leaf with what proves that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafProof {
    /// The leaf's number.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub leaf_hash: Digest,
    /// C2SP tlog-proof: the leaf's bytes, the hashes, and the signed checkpoint that they lead to.
    pub text: String,
    /// The log's public key, as a C2SP verifier key. Whoever checks compares it with one from elsewhere.
    pub verifier: String,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Prove(#[from] ProveLeafError),
}

impl Assist {
    /// Proves a leaf to a person who may see it: of their own records, what names them, and looks at the
    /// jails for everybody; all for administrators. A leaf that is not signed yet is signed first.
    pub async fn prove(&self, credential: &Credential, leaf: RecordNumber) -> Result<LeafProof, Refusal> {
        const DIALECT: &str = "cloister.proof";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let _place = house.admit(DIALECT, &principal)?;
        let sees_all = Asked::of_server(Verb::QueryLedger, "ledger show");
        let sees_all = house.asking(&principal, DIALECT).decide(&sees_all).allowed;
        let person = (!sees_all).then_some(principal.name);
        let ledger = house.ledger.clone();
        let proven = tokio::task::spawn_blocking(move || proven(&ledger, person.as_deref(), leaf.0)).await;
        let unavailable = |error: Unproven| {
            tracing::error!(%error, "a leaf is not proven");
            Refusal::new(RefusalKind::LedgerUnavailable, format!("leaf {leaf} cannot be proven: {error}"))
        };
        proven.map_err(|_| Refusal::broken())?.map_err(unavailable)?.ok_or_else(|| {
            let message = format!("record {leaf} is not yours, or does not exist");
            Refusal::new(RefusalKind::Forbidden, message)
        })
    }
}

/// `None` of a leaf that this person may not see, as of one that is not there; no person sees all.
fn proven(ledger: &Ledger, person: Option<&str>, index: u64) -> Result<Option<LeafProof>, Unproven> {
    let record = match ledger.record(index) {
        Err(ReadError::NotFound { .. }) => return Ok(None),
        record => record?,
    };
    if let Some(person) = person
        && !may_see(ledger, person, &record.leaf.event)?
    {
        return Ok(None);
    }
    if ledger.head().size_signed <= index {
        ledger.sign()?;
    }
    let proof = ledger.prove(index)?;
    Ok(Some(LeafProof {
        index,
        leaf_hash: Digest(record.hash),
        text: proof.to_string(),
        verifier: ledger.verifier().to_owned(),
    }))
}

fn may_see(ledger: &Ledger, person: &str, event: &Event) -> Result<bool, ReadError> {
    Ok(match event {
        Event::Posture { .. } => true,
        Event::Intent(intent) => intent.identity == person,
        Event::Lookup(lookup) => lookup.identity == person,
        event => match event.record() {
            Some(record) => matches!(
                ledger.record(record)?.leaf.event,
                Event::Intent(intent) if intent.identity == person
            ),
            None => false,
        },
    })
}
