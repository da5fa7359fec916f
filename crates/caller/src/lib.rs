//! The environment of the client whose request is being served. A daemon may have been started by cron, or in a login session of last
//! week; its own `PATH` and `HOME` are not those of the shell that sends a request now.
//!
//! The environment is kept for a thread or a future. The server sets it from the request, and code that runs programs reads it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

thread_local! {
    static CURRENT: RefCell<Option<Caller>> = const { RefCell::new(None) };
}

/// The variables of who asks.
#[derive(Debug, Clone)]
pub struct Caller(Arc<[(String, OsString)]>);

impl Caller {
    /// A caller that has these variables, and none beside them.
    #[must_use]
    pub fn new(variables: Vec<(String, OsString)>) -> Self {
        Self(variables.into())
    }

    /// The one for whom this thread works, if that is not this program itself.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Does `work` on this thread for `caller`.
    pub fn scope<T>(caller: Option<Self>, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<Caller>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| *current.borrow_mut() = self.0.take());
            }
        }
        let before = CURRENT.with(|current| current.replace(caller));
        let _restore = Restore(before);
        work()
    }

    /// A future that works for `caller` whenever it is polled.
    pub fn scoped<F: Future>(caller: Option<Self>, future: F) -> Scoped<F> {
        Scoped {
            caller,
            future: Box::pin(future),
        }
    }

    /// What it has of this name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }
}

/// See [`Caller::scoped`].
#[derive(Debug)]
pub struct Scoped<F> {
    caller: Option<Caller>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let caller = self.caller.clone();
        Caller::scope(caller, || self.future.as_mut().poll(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_for_one_caller_at_a_time() {
        let caller = |home: &str| Some(Caller::new(vec![("HOME".to_owned(), home.into())]));
        let home = || Caller::current().and_then(|caller| caller.variable("HOME"));
        assert_eq!(home(), None);
        Caller::scope(caller("/a"), || {
            assert_eq!(home(), Some("/a".into()));
            Caller::scope(caller("/b"), || assert_eq!(home(), Some("/b".into())));
            assert_eq!(home(), Some("/a".into()));
            Caller::scope(None, || assert_eq!(home(), None));
        });
        assert_eq!(home(), None);
        let mut scoped = Caller::scoped(caller("/c"), std::future::ready(()));
        let mut late = Caller::scoped(caller("/d"), std::future::poll_fn(|_| Poll::Ready(home())));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut scoped).poll(&mut context).is_ready());
        assert_eq!(
            Pin::new(&mut late).poll(&mut context),
            Poll::Ready(Some("/d".into()))
        );
        assert_eq!(home(), None);
    }
}
