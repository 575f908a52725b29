//! Embeddings and rankings, in every dialect that has them: no deployment makes them yet.

use super::*;

pub(super) fn router<W: Walk>() -> Router<Arc<App<W>>> {
    let paths = [
        "/v1/embeddings",
        "/embeddings",
        "/embedding",
        "/v1/rerank",
        "/v1/reranking",
        "/rerank",
        "/reranking",
        "/api/embed",
        "/api/embeddings",
    ];
    paths.into_iter().fold(Router::new(), |router, path| router.route(path, post(refused::<W>)))
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
