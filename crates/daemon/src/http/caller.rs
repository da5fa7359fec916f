//! Work for a request is done in the environment of who asks, as far as git is concerned: see `banger_api::caller`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use banger_api::caller;
use banger_git::Caller;

/// The caller of a request, by its header; none when it has none that can be read.
fn of(request: &Request) -> Option<Caller> {
    let header = request.headers().get(caller::HEADER)?.to_str().ok()?;
    Some(Caller::new(caller::variables(header)))
}

/// Has a request answered for its caller. What goes on after the answer, and what is done on other threads, takes the caller
/// along: `events` and `blocking`.
pub(crate) async fn heeded(request: Request, next: Next) -> Response {
    let caller = of(&request);
    Caller::scoped(caller, next.run(request)).await
}
