//! Threads beside a connection.

use tokio::sync::oneshot;

/// Does work that blocks, on a thread that nothing waits for when this program ends.
pub(super) fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, told) = oneshot::channel();
    std::thread::spawn(move || {
        // Unless nobody wants to know any more.
        let _ = done.send(work());
    });
    told
}
