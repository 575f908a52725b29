//! Routes of Ollama's dialect.

use serde_json::Value;

use super::*;
use crate::ollama::{self, Asked, Endpoint, stated};

pub(super) fn router<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new()
        .route("/", get(running))
        .route("/api/version", get(version::<W>))
        .route("/api/tags", get(tags::<W>))
        .route("/api/ps", get(ps::<W>))
        .route("/api/show", post(show::<W>))
        .route("/api/generate", post(generate::<W>))
        .route("/api/chat", post(chat::<W>))
}

/// What Ollama's clients look for at the root. Asks no credential and names nothing.
async fn running() -> Response<Body> {
    let mut response = Response::new(Body::from(stated::RUNNING));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn version<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    state(&app, request, "ollama.version", |_| stated::version()).await
}

async fn tags<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    state(&app, request, "ollama.tags", |app| stated::tags(&app.walk.deployments())).await
}

async fn ps<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    state(&app, request, "ollama.ps", |app| stated::running(&app.walk.deployments())).await
}

async fn state<W: Walk>(
    app: &App<W>,
    request: Request,
    dialect: &'static str,
    body: fn(&App<W>) -> Value,
) -> Response<Body> {
    match app.walk.identify(&credential(&request), dialect).await {
        Ok(()) => json_response(StatusCode::OK, &body(app)),
        Err(refusal) => Fault::from(refusal).into_response(Shape::Ollama),
    }
}

async fn show<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let shown = async {
        let Received { body, .. } = receive(&app, request, "ollama.show").await?;
        let name = stated::parse_show(&body)?;
        Ok::<_, Fault>(stated::show(&deployment(&app, Some(&name))?))
    };
    match shown.await {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(fault) => fault.into_response(Shape::Ollama),
    }
}

async fn generate<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    answer_or_load(app, request, "ollama.generate", ollama::parse_generate).await
}

async fn chat<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    answer_or_load(app, request, "ollama.chat", ollama::parse_chat).await
}

async fn answer_or_load<W: Walk>(
    app: Arc<App<W>>,
    request: Request,
    dialect: &'static str,
    parse: fn(&[u8]) -> Result<Asked, DialectError>,
) -> Response<Body> {
    let mut observation = app.metrics.observe(dialect);
    let asked = async {
        let received = receive(&app, request, dialect).await?;
        let asked = parse(&received.body)?;
        Ok::<_, Fault>((received, asked))
    };
    let outcome = match asked.instrument(observation.span()).await {
        Ok((received, Asked::Answer(call))) => {
            return answer(app, received, observation, dialect, |_| Ok(*call)).await;
        }
        Ok((_, Asked::Load(endpoint, alias))) => load(&app, endpoint, alias.as_deref()),
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(body) => {
            observation.answered(&assist::Usage::default());
            json_response(StatusCode::OK, &body)
        }
        Err(fault) => {
            observation.refused(&fault);
            fault.into_response(Shape::Ollama)
        }
    }
}

/// A deployment is loaded as long as it serves; whether it does is all there is to say.
fn load<W: Walk>(app: &App<W>, endpoint: Endpoint, alias: Option<&str>) -> Result<Value, Fault> {
    let view = deployment(app, alias)?;
    if !view.up {
        let message = format!("the engine of {} is not running: it starts, or has failed", view.alias);
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "engine_unavailable", message));
    }
    Ok(endpoint.loaded(&view.alias, now_unix_s()))
}
