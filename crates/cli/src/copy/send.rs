//! What goes into a VM: files of this host, packed while they are sent, or a tar that comes through a pipe.

use std::io::{self, Read};

use banger_archive::pack::{PackError, Packed, Packer, Packing};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::out::AHEAD;
use super::{Chunk, Out};

/// Packs what `work` says. Gives the chunks, and what was packed.
pub(crate) fn packed(
    packing: Packing,
    count: impl Fn(u64) + Send + 'static,
    work: impl FnOnce(&mut Packer<Out>) -> Result<(), PackError> + Send + 'static,
) -> (
    impl Stream<Item = Chunk> + Send + Sync + 'static,
    JoinHandle<Result<Packed, PackError>>,
) {
    let (to, from) = mpsc::channel(AHEAD);
    let packing = tokio::task::spawn_blocking(move || {
        let mut packer = Packer::new(Out::new(to.clone(), count), packing);
        let packed = work(&mut packer).and_then(|()| packer.finish());
        match packed {
            Ok((_, packed)) => Ok(packed),
            Err(error) => {
                // Cut short, so that the other side does not take it for whole.
                let _ = to.blocking_send(Err(io::Error::other(error.to_string())));
                Err(error)
            }
        }
    });
    (chunks(from), packing)
}

/// What comes on standard input.
pub(crate) fn piped(
    count: impl Fn(u64) + Send + 'static,
) -> impl Stream<Item = Chunk> + Send + Sync + 'static {
    let (to, from) = mpsc::channel(AHEAD);
    // Nothing waits for this thread: standard input may stay silent for ever.
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut sent = 0;
        loop {
            let mut chunk = vec![0; 256 << 10];
            let read = match stdin.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return drop(to.blocking_send(Err(error))),
            };
            chunk.truncate(read);
            sent += read as u64;
            if to.blocking_send(Ok(chunk.into())).is_err() {
                return;
            }
            count(sent);
        }
    });
    chunks(from)
}

pub(super) fn chunks(mut from: mpsc::Receiver<Chunk>) -> impl Stream<Item = Chunk> + Send + Sync + 'static {
    futures_util::stream::poll_fn(move |context| from.poll_recv(context))
}
