//! Routes of llama.cpp's dialect.

use assist::{DeploymentView, Spell, Spelled};
use serde_json::Value;

use super::*;
use crate::llama_cpp::{self, stated, vocabulary};

pub(super) fn router<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new()
        .route("/infill", post(infill::<W>))
        .route("/completion", post(completion::<W>))
        .route("/completions", post(completion::<W>))
        .route("/tokenize", post(tokenize::<W>))
        .route("/detokenize", post(detokenize::<W>))
        .route("/apply-template", post(template::<W>))
        .route("/props", get(props::<W>))
        .route("/slots", get(slots::<W>))
}

async fn infill<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "llama_cpp.infill", llama_cpp::parse_infill).await
}

async fn completion<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "llama_cpp.completion", llama_cpp::parse_completion).await
}

async fn tokenize<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let dialect = "llama_cpp.tokenize";
    spell(&app, request, dialect, vocabulary::parse_tokenize, vocabulary::tokenized).await
}

async fn detokenize<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let dialect = "llama_cpp.detokenize";
    spell(&app, request, dialect, vocabulary::parse_detokenize, vocabulary::detokenized).await
}

async fn template<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let dialect = "llama_cpp.apply_template";
    spell(&app, request, dialect, vocabulary::parse_template, vocabulary::templated).await
}

/// One question to a vocabulary.
async fn spell<W: Walk>(
    app: &App<W>,
    request: Request,
    dialect: &'static str,
    parse: fn(&[u8]) -> Result<vocabulary::Asked, DialectError>,
    word: fn(&Spelled) -> Value,
) -> Response<Body> {
    let spelled = async {
        let Received { credential, body } = receive(app, request, dialect).await?;
        let (deployment, spelling) = parse(&body)?;
        Ok::<_, Fault>(app.walk.spell(Spell { credential, dialect, deployment, spelling }).await?)
    };
    match spelled.await {
        Ok(spelled) => json_response(StatusCode::OK, &word(&spelled)),
        Err(fault) => fault.into_response(Shape::LlamaCpp),
    }
}

async fn props<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    state(&app, request, "llama_cpp.props", stated::props).await
}

async fn slots<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    state(&app, request, "llama_cpp.slots", stated::slots).await
}

/// What a deployment is: the one that the query's `model` names, or the first.
async fn state<W: Walk>(
    app: &App<W>,
    request: Request,
    dialect: &'static str,
    word: fn(&DeploymentView) -> Value,
) -> Response<Body> {
    let credential = credential(&request);
    let model = crate::query::value(request.uri().query().unwrap_or_default(), "model");
    let stated = async {
        app.walk.identify(&credential, dialect).await?;
        let model = model?;
        Ok::<_, Fault>(word(&deployment(app, model.as_deref())?))
    };
    match stated.await {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(fault) => fault.into_response(Shape::LlamaCpp),
    }
}
