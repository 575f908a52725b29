//! Embeddings and rankings, in every dialect that has them: no deployment makes them yet.

use super::*;

pub(super) fn router<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new()
        .route("/v1/embeddings", post(refused::<W>))
        .route("/embeddings", post(refused::<W>))
        .route("/embedding", post(refused::<W>))
        .route("/v1/rerank", post(refused::<W>))
        .route("/v1/reranking", post(refused::<W>))
        .route("/rerank", post(refused::<W>))
        .route("/reranking", post(refused::<W>))
        .route("/api/embed", post(refused::<W>))
        .route("/api/embeddings", post(refused::<W>))
}

async fn refused<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let shape = Shape::of(request.uri().path());
    let fault = match receive(&app, request, "embeddings").await {
        Ok(_) => {
            let message = "no deployment makes embeddings or rankings: use a client\'s own search, or ask the \
                administrator for a deployment that does";
            Fault::new(StatusCode::BAD_REQUEST, "embeddings_unavailable", message)
        }
        Err(fault) => fault,
    };
    fault.into_response(shape)
}
