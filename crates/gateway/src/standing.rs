//! How a server stands: `GET /v1/cloister/status`, and the rows of the newest look at the jails,
//! `GET /v1/cloister/posture`. Both need a credential; neither holds anything of a person's.

use std::sync::Arc;

use assist::{PostureView, Refusal};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use protocol::posture::Verdict;
use serde_json::{Value, json};

use crate::errors::{Fault, Shape, json_response};
use crate::openai;
use crate::routes::{App, credential};
use crate::walk::Walk;

/// The two routes.
pub(crate) fn routes<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new()
        .route("/v1/cloister/status", get(status::<W>))
        .route("/v1/cloister/posture", get(posture::<W>))
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
    let posture = app.walk.posture(&credential).await?;
    let status = app.walk.status();
    let mut deployments = openai::models(&app.walk.deployments());
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
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
        app.walk.posture(&credential).await
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
