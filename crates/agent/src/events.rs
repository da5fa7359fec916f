//! A state that changes, as a stream of lines.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use banger_guest_api::InitState;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::watch;

type Next = Pin<Box<dyn Future<Output = Option<(InitState, watch::Receiver<InitState>)>> + Send + Sync>>;

/// The states as a body: the current one at once, each later one when it comes.
pub(crate) fn lines(states: watch::Receiver<InitState>, line: fn(InitState) -> Bytes) -> Lines {
    let next: Next = Box::pin(async move {
        let mut states = states;
        let state = states.borrow_and_update().clone();
        Some((state, states))
    });
    Lines { next, line }
}

/// The body. It ends when the states do.
pub(crate) struct Lines {
    next: Next,
    line: fn(InitState) -> Bytes,
}

impl Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((state, mut states)) = ready!(self.next.as_mut().poll(context)) else {
            self.next = Box::pin(std::future::pending());
            return Poll::Ready(None);
        };
        self.next = Box::pin(async move {
            states.changed().await.ok()?;
            let state = states.borrow_and_update().clone();
            Some((state, states))
        });
        Poll::Ready(Some(Ok(Frame::data((self.line)(state)))))
    }
}
