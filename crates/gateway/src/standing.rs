//! How a server stands: `GET /v1/cloister/status`; the rows of the newest look at the jails,
//! `GET /v1/cloister/posture`; what serves and by whose word, `GET /v1/cloister/chain`; and the proof that
//! a leaf is in the log, `GET /v1/cloister/ledger/proof/{index}`. All need a credential.

use std::sync::Arc;

use assist::{LeafProof, PostureView, Refusal, Standing};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use protocol::RecordNumber;
use protocol::posture::Verdict;
use serde_json::{Value, json};

use crate::errors::{Fault, Shape, json_response};
use crate::openai;
use crate::routes::App;
use crate::routes::incoming::credential;
use crate::walk::Walk;

/// The routes.
pub(crate) fn routes<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new()
        .route("/v1/cloister/status", get(status::<W>))
        .route("/v1/cloister/posture", get(posture::<W>))
        .route("/v1/cloister/chain", get(chain::<W>))
        .route("/v1/cloister/ledger/proof/{index}", get(proof::<W>))
}

async fn status<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    match standing(&app, request).await {
        Ok(standing) => json_response(StatusCode::OK, &standing),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

async fn standing<W: Walk>(app: &App<W>, request: Request) -> Result<Value, Refusal> {
    let credential = credential(&request);
    app.walk.identify(&credential, "cloister.status").await?;
    let Standing { person, administers, posture } = app.walk.standing(&credential).await?;
    let status = app.walk.status();
    let mut deployments = openai::models(&app.walk.deployments());
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "person": { "name": person, "administers": administers },
        "ledger": {
            "size": status.ledger_size,
            "error": status.ledger_error,
            "checkpoint": status.ledger_checkpoint,
        },
        "requests_running": status.requests_running,
        "deployments": deployments["data"].take(),
        "posture": posture.as_ref().map(summary),
    }))
}

/// A posture in a few words: what failed, a line each.
fn summary(posture: &PostureView) -> Value {
    let failed: Vec<String> =
        posture.rows.iter().filter(|row| row.verdict == Verdict::Fail).map(ToString::to_string).collect();
    json!({
        "record": posture.record,
        "time_unix_s": posture.time_unix_ms / 1000,
        "occasion": posture.occasion,
        "outcome": outcome(posture),
        "counts": { "passed": posture.passed, "failed": posture.failed, "untried": posture.untried },
        "failed": failed,
    })
}

/// The leaf's own count decides, which is there also where its rows cannot be read.
fn outcome(posture: &PostureView) -> &'static str {
    if posture.failed == 0 { "passed" } else { "failed" }
}

async fn posture<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    let posture = async {
        app.walk.identify(&credential, "cloister.posture").await?;
        app.walk.standing(&credential).await.map(|standing| standing.posture)
    };
    match posture.await {
        Ok(posture) => {
            let posture = posture.map(|posture| {
                let mut shown = summary(&posture);
                shown["rows"] = json!(posture.rows);
                shown
            });
            json_response(StatusCode::OK, &json!({ "posture": posture }))
        }
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

async fn chain<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    let chain = async {
        app.walk.identify(&credential, "cloister.chain").await?;
        app.walk.chain(&credential).await
    };
    match chain.await {
        Ok(chain) => json_response(StatusCode::OK, &chain),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

async fn proof<W: Walk>(
    State(app): State<Arc<App<W>>>,
    Path(index): Path<String>,
    request: Request,
) -> Response<Body> {
    let credential = credential(&request);
    let proof = async {
        app.walk.identify(&credential, "cloister.proof").await?;
        let index = index.parse().map(RecordNumber);
        let index = index.map_err(|_| {
            let message = "a leaf is a number, as a record is";
            Fault::new(StatusCode::BAD_REQUEST, "invalid_request", message)
        })?;
        Ok::<_, Fault>(app.walk.prove(&credential, index).await?)
    };
    match proof.await {
        Ok(LeafProof { index, leaf_hash, text, verifier }) => {
            let proof =
                json!({ "index": index, "leaf_hash": leaf_hash, "proof": text, "verifier": verifier });
            json_response(StatusCode::OK, &proof)
        }
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}
