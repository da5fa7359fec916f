//! Which request work is done for.

use tracing::{Instrument, Span};

tokio::task_local! {
    static CURRENT: String;
}

/// A request's id and its span, to be taken along to what goes on after the answer has begun, or on another thread.
#[derive(Debug, Clone)]
pub struct RequestId {
    id: Option<String>,
    span: Span,
}

impl RequestId {
    /// That of a request whose work is in `span`.
    pub const fn new(id: String, span: Span) -> Self {
        Self { id: Some(id), span }
    }

    /// Of the request that this task works for, if it works for one.
    pub fn current() -> Self {
        Self {
            id: CURRENT.try_with(Clone::clone).ok(),
            span: Span::current(),
        }
    }

    /// The id alone.
    pub fn id(&self) -> Option<Box<str>> {
        self.id.as_deref().map(Box::from)
    }

    /// Does work for the request.
    pub async fn scoped<T>(self, work: impl Future<Output = T>) -> T {
        match self.id {
            Some(id) => CURRENT.scope(id, work.instrument(self.span)).await,
            None => work.await,
        }
    }

    /// Does work for the request on this thread.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        let Self { id, span } = self;
        match id {
            Some(id) => CURRENT.sync_scope(id, || span.in_scope(work)),
            None => work(),
        }
    }
}
