//! The host's file system is full: a machine stands still until there is space again, and then goes on.
//!
//! QEMU halts its guest by itself when a write meets no space, and tells so. Firecracker gives the guest an error instead, on
//! which the guest loses what it wrote; so its machine is halted when the space that is left is nearly none. What its guest
//! writes is an event (inotify(7)); that there is space again is none, so that is looked for once a second while a machine
//! stands still.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use banger_hostsys::follow::Follow;
use banger_model::{ByteSize, VmName, chain};
use banger_vmm::Machine;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::StartError;

/// What is said of a machine that stands still.
pub(crate) const WHY: &str = "host disk full";

/// How often space is looked for while a machine stands still.
const INTERVAL: Duration = Duration::from_secs(1);

/// The least time between two looks while a guest writes, and the most.
const LOOKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(500)];

/// Faster than any guest writes: bytes in a second.
const FASTEST: u64 = 4 << 30;

/// Whether a machine stands still for want of space. The watch ends with this.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) stalled: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

/// Watches over a machine whose writable disk is `disk`, and which an earlier daemon may have launched. Call it in the runtime.
pub(crate) fn watch_over(machine: Arc<dyn Machine>, disk: PathBuf, is_adopted: bool) -> Watch {
    let (tell, stalled) = watch::channel(false);
    let task = tokio::spawn(async move {
        if is_adopted && machine.stalled().is_none() {
            // The earlier daemon may have halted it.
            let _ = machine.resume().await;
        }
        loop {
            until_full(&*machine, &disk).await;
            tracing::warn!(disk = %disk.display(), "a VM was paused: the disk is full");
            tell.send_replace(true);
            until_space(&disk).await;
            while let Err(error) = machine.resume().await {
                tracing::warn!(error = %chain(&error), "could not resume a VM");
                tokio::time::sleep(INTERVAL).await;
            }
            if let Some(mut stalled) = machine.stalled() {
                let _ = tokio::time::timeout(INTERVAL, stalled.wait_for(|stalled| !*stalled)).await;
            }
            tell.send_replace(false);
        }
    });
    Watch {
        stalled,
        _task: AbortOnDropHandle::new(task),
    }
}

/// Returns when the machine stands still.
async fn until_full(machine: &dyn Machine, disk: &Path) {
    if let Some(mut stalled) = machine.stalled() {
        // The machine tells for as long as it is held.
        let _ = stalled.wait_for(|stalled| *stalled).await;
        return;
    }
    loop {
        if let Err(error) = until_nearly_full(disk).await {
            tracing::warn!(%error, disk = %disk.display(), "could not watch a disk");
            return std::future::pending().await;
        }
        match machine.pause().await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "could not pause a VM before the disk is full");
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}

/// Returns when the disk was written to and there is nearly no space left.
async fn until_nearly_full(disk: &Path) -> io::Result<()> {
    let mut written = Follow::new(disk)?;
    loop {
        let space = Space::of(disk)?;
        if space.is_short() {
            return Ok(());
        }
        tokio::time::sleep(space.lasts()).await;
        written.changed().await?;
    }
}

async fn until_space(disk: &Path) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if Space::of(disk).is_ok_and(|space| space.is_enough()) {
            return;
        }
    }
}

/// The space of a file system.
#[derive(Debug, Clone, Copy)]
struct Space {
    free: u64,
    total: u64,
}

impl Space {
    fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: stat.f_bavail * stat.f_frsize,
            total: stat.f_blocks * stat.f_frsize,
        })
    }

    /// What is kept, for the database and for what a guest writes between two looks.
    fn reserve(self) -> u64 {
        (self.total / 128).clamp(2 << 20, 64 << 20)
    }

    fn is_short(self) -> bool {
        self.free < self.reserve()
    }

    /// Twice of what stops a machine, so that it does not stop again at once.
    fn is_enough(self) -> bool {
        self.free > 2 * self.reserve()
    }

    /// How long no look is needed.
    fn lasts(self) -> Duration {
        let above = self.free.saturating_sub(self.reserve());
        let [least, most] = LOOKS;
        Duration::from_micros(above.saturating_mul(1_000_000) / FASTEST).clamp(least, most)
    }
}

/// Refuses to start a guest where its first write would be its last.
pub(crate) fn refuse_little(state: &Path, name: &VmName) -> Result<(), StartError> {
    match Space::of(state) {
        Ok(space) if space.is_short() => Err(StartError::NoSpace {
            name: name.clone(),
            dir: state.to_owned(),
            free: ByteSize::bytes(space.free),
            needed: ByteSize::bytes(space.reserve()),
        }),
        // What cannot be known keeps nobody from trying.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_closer_as_space_ends() {
        let of = |free: u64| Space {
            free,
            total: 100 << 30,
        };
        assert_eq!(of(50 << 30).lasts(), LOOKS[1]);
        assert!(of(200 << 20).lasts() < Duration::from_millis(40));
        assert_eq!(of(64 << 20).lasts(), LOOKS[0]);
        assert!(of(63 << 20).is_short() && !of(65 << 20).is_short());
        assert!(!of(100 << 20).is_enough() && of(129 << 20).is_enough());
        let small = Space {
            free: 3 << 20,
            total: 64 << 20,
        };
        assert!(!small.is_short(), "a small file system is of use, too");
    }
}
