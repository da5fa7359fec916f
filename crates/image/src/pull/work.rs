//! All layers of an image, some of them at once.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use banger_ext4::Lane;
use banger_oci::Found;
use tokio_util::sync::CancellationToken;

use super::decode::{self, Bounds};
use crate::changes::{self, Changes};
use crate::error::{Error, WriteError};
use crate::options::PullProgress;
use crate::told::Cancelled;
use crate::tree::Tree;

/// The unpacking of all layers.
pub(crate) struct Work<'a> {
    found: &'a Found,
    bounds: Bounds,
    progress: PullProgress<'a>,
    /// Cancelled when one layer has failed, or nobody wants the image any more.
    given_up: CancellationToken,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        found: &'a Found,
        bounds: Bounds,
        progress: PullProgress<'a>,
        called_off: &CancellationToken,
    ) -> Self {
        Self {
            found,
            bounds,
            progress,
            given_up: called_off.child_token(),
        }
    }

    /// Unpacks the layers, some at once, and stacks them in order as they come.
    pub(crate) fn stack(&self, lanes: Vec<Lane>, tree: &mut Tree) -> Result<(), Error> {
        let queue = Mutex::new(lanes.into_iter().enumerate());
        let workers = workers(thread::available_parallelism().map_or(1, std::num::NonZero::get));
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..workers.min(self.found.layers().len()) {
                let (queue, sender) = (&queue, sender.clone());
                scope.spawn(move || {
                    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    while let Some((index, lane)) = next() {
                        if sender.send((index, self.unpack(index, lane))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let stacked = self.in_order(&receiver, tree);
            if stacked.is_err() {
                self.given_up.cancel();
            }
            stacked
        })
    }

    fn in_order(
        &self,
        unpacked: &mpsc::Receiver<(usize, Result<Changes, Error>)>,
        tree: &mut Tree,
    ) -> Result<(), Error> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (index, layer) in unpacked {
            early.insert(index, layer?);
            while let Some(layer) = early.remove(&next) {
                tree.join(&layer.landed);
                changes::add(tree, layer).map_err(|error| self.in_layer(next, error))?;
                next += 1;
            }
        }
        Ok(())
    }

    fn unpack(&self, index: usize, lane: Lane) -> Result<Changes, Error> {
        let layer = &self.found.layers()[index];
        let name = self.name(index);
        let watched = Watched {
            from: self.found.open(layer, &self.given_up)?,
            work: self,
            name: &name,
            size: layer.size,
            read: 0,
            tell_at: 0,
        };
        let unpacked = decode::unpack(layer, watched, lane, &self.bounds);
        unpacked.map_err(|error| {
            if self.given_up.is_cancelled() {
                return Cancelled.into();
            }
            self.in_layer(index, error)
        })
    }

    /// The digest by which a layer is known to people.
    fn name(&self, index: usize) -> String {
        let layer = &self.found.layers()[index];
        format!("sha256:{}", layer.sha256.unwrap_or(layer.diff_sha256))
    }

    fn in_layer(&self, index: usize, source: WriteError) -> Error {
        Error::Layer {
            number: index + 1,
            of: self.found.layers().len(),
            digest: self.name(index),
            source: Box::new(source),
        }
    }
}

/// The most layers that are unpacked at once. Each may take a window and some buffers, and all of them together have to stay within
/// what the process may take on a host of any size.
const MOST_AT_ONCE: usize = 4;

/// How many layers are unpacked at once with so many processors: one more, since each waits for its source now and then.
fn workers(processors: usize) -> usize {
    processors.saturating_add(1).min(MOST_AT_ONCE)
}

/// Bytes between two words of progress.
const STEP: u64 = 1 << 20;

/// A layer's bytes, with progress told.
struct Watched<'a, R> {
    from: R,
    work: &'a Work<'a>,
    name: &'a str,
    size: u64,
    read: u64,
    /// When progress is told again.
    tell_at: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.read += read as u64;
        if self.read >= self.tell_at || read == 0 {
            self.tell_at = self.read + STEP;
            (self.work.progress)(self.name, self.read, self.size);
        }
        if self.work.given_up.is_cancelled() {
            return Err(io::Error::other("the pull is no longer needed"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_any_size_unpacks_a_few_layers_at_once() {
        assert_eq!([1, 2, 3].map(workers), [2, 3, 4]);
        assert_eq!([4, 64, usize::MAX].map(workers), [MOST_AT_ONCE; 3]);
        // Windows of all of them, and as much again as half of them, are within the least that a worker may have.
        let windows = MOST_AT_ONCE as u64 * banger_bounded::Budget::default().window;
        assert!(windows + windows / 2 <= 768 << 20, "{windows} bytes of windows");
    }
}
