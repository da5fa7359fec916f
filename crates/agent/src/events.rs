//! A state that changes, as a stream of lines.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use banger_guest_api::InitState;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::watch;

type Next = Pin<Box<dyn Future<Output = (InitState, watch::Receiver<InitState>)> + Send + Sync>>;

/// The states as a body: the current one at once, each later one when it comes.
pub(crate) fn lines(states: watch::Receiver<InitState>, line: fn(InitState) -> Bytes) -> Lines {
    let next: Next = Box::pin(async move {
        let mut states = states;
        let state = states.borrow_and_update().clone();
        (state, states)
    });
    Lines { next, line }
}

/// The body. It ends with its connection: who asks is told of all that may still come, and one that saw an end, as that of an
/// agent that died, would ask again.
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
        let (state, mut states) = ready!(self.next.as_mut().poll(context));
        self.next = Box::pin(async move {
            if states.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let state = states.borrow_and_update().clone();
            (state, states)
        });
        Poll::Ready(Some(Ok(Frame::data((self.line)(state)))))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn the_last_state_is_not_the_end() {
        let (tell, states) = watch::channel(InitState::Booting);
        let mut body = lines(states, |state| format!("{state:?}").into());
        let mut poll = || {
            let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
            frame.map(|frame| frame.unwrap().unwrap().into_data().unwrap())
        };
        assert_eq!(poll(), Poll::Ready("Booting".into()));
        assert!(poll().is_pending());
        tell.send_replace(InitState::Up);
        assert_eq!(poll(), Poll::Ready("Up".into()));
        drop(tell);
        assert!(poll().is_pending());
    }
}
