//! Copying between this host, VMs, and pipes: files are packed and unpacked here, on a thread beside the connection.

mod meter;
mod out;
mod place;
mod receive;
mod send;

pub(crate) use self::meter::Meter;
pub(crate) use self::out::Out;
pub(crate) use self::place::Place;
pub(crate) use self::receive::{receive, to_pipe};
pub(crate) use self::send::{packed, piped, to_vm};

/// Does work that blocks, on a thread that nothing waits for when this program ends.
fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> tokio::sync::oneshot::Receiver<T> {
    let (done, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Unless nobody wants to know any more.
        let _ = done.send(work());
    });
    told
}
