//! Long work as server-sent events: progress, then `done` or `error`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use banger_api::{EVENT_DONE, EVENT_ERROR, EVENT_PROGRESS, ErrorBody, Progress};
use banger_caller::Caller;
use banger_request::{Reporter, RequestId};
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;

/// Runs `work` while the client listens. The work is a part of the response: a client that leaves drops it.
pub(crate) fn respond<T, W>(work: impl FnOnce(Reporter) -> W) -> Response
where
    T: Serialize,
    W: Future<Output = Result<T, ErrorBody>> + Send + 'static,
{
    let (sender, progress) = mpsc::unbounded_channel();
    let request = RequestId::current();
    let id = request.id();
    let work = Caller::scoped(Caller::current(), work(Reporter::to(sender)));
    let outcome = Box::pin(async move {
        match request.scoped(work).await {
            Ok(result) => event(EVENT_DONE, &result),
            Err(mut error) => {
                error.request_id = id;
                event(EVENT_ERROR, &error)
            }
        }
    });
    let events = Events {
        progress,
        outcome: Some(outcome),
        last: None,
    };
    // A client behind a proxy, or one that waits for a slow guest, sees that the daemon lives.
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

struct Events {
    progress: mpsc::UnboundedReceiver<Progress>,
    outcome: Option<Pin<Box<dyn Future<Output = Event> + Send>>>,
    last: Option<Event>,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The work moves first, so that what it says is there; what was said comes before how it ended.
        if let Some(outcome) = &mut self.outcome
            && let Poll::Ready(event) = outcome.as_mut().poll(context)
        {
            self.outcome = None;
            self.last = Some(event);
        }
        match self.progress.poll_recv(context) {
            Poll::Ready(Some(progress)) => return Poll::Ready(Some(Ok(event(EVENT_PROGRESS, &progress)))),
            Poll::Ready(None) | Poll::Pending => {}
        }
        match (self.last.take(), &self.outcome) {
            (Some(last), _) => Poll::Ready(Some(Ok(last))),
            (None, None) => Poll::Ready(None),
            (None, Some(_)) => Poll::Pending,
        }
    }
}

/// An event of this name.
pub(super) fn event<T: Serialize>(name: &str, data: &T) -> Event {
    let json = serde_json::to_string(data).expect("API types have only string keys");
    Event::default().event(name).data(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn what_was_said_comes_before_how_it_ended() {
        let response = respond(|say| async move {
            say.note("one");
            tokio::task::yield_now().await;
            say.note("two");
            Ok::<_, ErrorBody>(3)
        });
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let names: Vec<_> = text.lines().filter(|line| line.starts_with("event:")).collect();
        assert_eq!(names, ["event: progress", "event: progress", "event: done"]);
        assert!(text.trim_end().ends_with("data: 3"));
    }
}
