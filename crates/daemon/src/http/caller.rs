//! Work for a request is done in the environment of who asks, as far as git is concerned, and VMMs are looked for in its `PATH`,
//! too: see `banger_api::caller`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use banger_api::caller;
use banger_caller::Caller;

/// The caller of a request, by its header; none when it has none that can be read.
fn of(request: &Request) -> Option<Caller> {
    let header = request.headers().get(caller::HEADER)?.to_str().ok()?;
    Some(Caller::new(caller::variables(header)))
}

/// Has a request answered for its caller. What goes on after the answer, and what is done on other threads, takes the caller
/// along: `events` and `blocking`.
pub(crate) async fn heeded(request: Request, next: Next) -> Response {
    let caller = of(&request);
    if let Some(path) = caller.as_ref().and_then(|caller| caller.variable("PATH")) {
        banger_vmm::path::also_in(&path);
    }
    Caller::scoped(caller, next.run(request)).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use banger_api::caller;

    #[test]
    fn clients_send_what_git_takes_and_nothing_else() {
        let sent = caller::variables(&caller::header(|_| Some("x".into())));
        let sent: BTreeSet<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(sent, banger_git::of_callers().collect());
    }
}
