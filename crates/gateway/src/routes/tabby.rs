//! Routes of Tabby's dialect; its completions share a path with OpenAI's.

use axum::http::header::USER_AGENT;

use super::*;
use crate::tabby;

pub(super) fn router<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new()
        .route("/v1/health", get(health::<W>).post(health::<W>))
        .route("/v1beta/health", get(health::<W>).post(health::<W>))
        .route("/v1beta/server_setting", get(server_setting::<W>))
        .route("/v1beta/chat/completions", post(chat::<W>))
        .route("/v1/events", post(event::<W>))
}

async fn chat<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "tabby.chat", openai::parse_chat).await
}

/// Tabby's clients ask it to know whether the server is there and takes their token, so it wants one.
async fn health<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    discard(request.into_body(), tabby::EVENT_BYTES_MAX).await;
    let healthy = async {
        app.walk.identify(&credential, "tabby.health").await?;
        ready(&app)
    };
    match healthy.await {
        Ok(()) => json_response(StatusCode::OK, &tabby::health(&app.walk.deployments())),
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

/// Tabby's clients ask the server whether they may send telemetry to their makers. They may not.
async fn server_setting<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    match app.walk.identify(&credential(&request), "tabby.server_setting").await {
        Ok(()) => json_response(StatusCode::OK, &json!({ "disable_client_side_telemetry": true })),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

/// What became of a completion: a decision of the person's, or nothing that is kept.
async fn event<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let decided = async {
        let select_kind =
            crate::query::value(request.uri().query().unwrap_or_default(), "select_kind").ok().flatten();
        let client =
            request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Received { credential, body } = receive(&app, request, "tabby.events").await?;
        match tabby::parse_event(&body, select_kind.as_deref(), client)? {
            Some(decided) => {
                let record = decided.record;
                Ok::<_, Fault>(Some((record, app.walk.decide(&credential, decided).await?)))
            }
            None => Ok(None),
        }
    };
    match decided.await {
        Ok(Some(decided)) => decided_response(decided),
        Ok(None) => json_response(StatusCode::OK, &json!({})),
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}
