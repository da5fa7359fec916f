//! Copies of disks at rest, which commits make.
//!
//! A copy holds the disk's lock, so that no machine of anybody's writes to it meanwhile. What this daemon is asked to do with the
//! disk comes first all the same: the copy is given up for it, and its lock with that.

use std::sync::{Arc, Mutex, PoisonError};

use banger_model::VmId;
use tokio_util::sync::CancellationToken;

/// The copies that are being made.
#[derive(Debug, Default)]
pub struct Copies(Mutex<Vec<One>>);

#[derive(Debug)]
struct One {
    of: VmId,
    given_up: CancellationToken,
    over: CancellationToken,
}

/// A copy that is being made, until this is dropped.
#[derive(Debug)]
pub(crate) struct Copying {
    all: Arc<Copies>,
    over: CancellationToken,
}

impl Copies {
    /// Begins a copy of a VM's disk, which ends soon after `given_up` was cancelled.
    pub(crate) fn begin(self: &Arc<Self>, of: VmId, given_up: &CancellationToken) -> Copying {
        let over = CancellationToken::new();
        self.with(|all| {
            all.push(One {
                of,
                given_up: given_up.clone(),
                over: over.clone(),
            });
        });
        Copying {
            all: Arc::clone(self),
            over,
        }
    }

    /// Gives up the copies of a VM's disk, and returns when they have ended.
    pub(crate) async fn end(&self, of: VmId) {
        let ended = self.with(|all| {
            let of_it = all.iter().filter(|one| one.of == of);
            let ended = of_it.map(|one| {
                one.given_up.cancel();
                one.over.clone()
            });
            ended.collect::<Vec<_>>()
        });
        for over in ended {
            over.cancelled().await;
        }
    }

    fn with<T>(&self, what: impl FnOnce(&mut Vec<One>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.over.cancel();
        self.all.with(|all| all.retain(|one| !one.over.is_cancelled()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_needs_a_disk_waits_for_its_copies_and_for_no_others() {
        let copies = Arc::new(Copies::default());
        let [one, other] = [1, 2].map(|byte| VmId::from_bytes([byte; 8]));
        let [first, second, foreign] = std::array::from_fn(|_| CancellationToken::new());
        let making = [
            copies.begin(one, &first),
            copies.begin(one, &second),
            copies.begin(other, &foreign),
        ];
        let waiting = tokio::spawn({
            let copies = Arc::clone(&copies);
            async move { copies.end(one).await }
        });
        first.cancelled().await;
        second.cancelled().await;
        assert!(!foreign.is_cancelled() && !waiting.is_finished());
        let [a, b, c] = making;
        drop(a);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(b);
        waiting.await.unwrap();
        copies.end(one).await;
        assert!(!foreign.is_cancelled());
        drop(c);
    }
}
