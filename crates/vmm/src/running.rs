//! What all machines have in common: processes that are watched, and sockets that go with them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;

use crate::process::{ExitCode, Handle};
use crate::spawn::last_words;
use crate::{Ended, Error, MachineRecord, console};

/// How long the console's companion may take to end once the VMM has ended, and any process once it was killed.
const FOLLOW: Duration = Duration::from_secs(1);

/// The processes of a machine.
#[derive(Debug)]
pub(crate) struct Running {
    record: MachineRecord,
    vmm: Arc<Handle>,
    companions: Arc<Vec<Handle>>,
    sockets: Vec<PathBuf>,
    killed: Arc<AtomicBool>,
    exited: watch::Receiver<Option<Ended>>,
}

impl Running {
    /// Watches the processes of `record` from now on. `sockets` are removed when the machine is.
    pub(crate) fn watch(
        record: MachineRecord,
        vmm: Handle,
        companions: Vec<Handle>,
        sockets: &[&'static str],
    ) -> Self {
        let (tell, exited) = watch::channel(None);
        let (vmm, companions) = (Arc::new(vmm), Arc::new(companions));
        let killed = Arc::new(AtomicBool::new(false));
        let sockets = sockets.iter().map(|name| record.dir.join(name)).collect();
        let watched = (Arc::clone(&vmm), Arc::clone(&companions), Arc::clone(&killed));
        let dir = record.dir.clone();
        tokio::spawn(async move {
            let (vmm, companions, killed) = watched;
            let code = vmm.ended().await;
            last_words_written(&companions).await;
            let ended = if killed.load(Ordering::Acquire) {
                Ended::Killed
            } else {
                how(code, &dir)
            };
            tell.send_replace(Some(ended));
        });
        Self {
            record,
            vmm,
            companions,
            sockets,
            killed,
            exited,
        }
    }

    /// Takes over the processes of a record. Nothing when the VMM is gone; its companions and sockets are then
    /// removed.
    pub(crate) async fn adopt(
        record: &MachineRecord,
        sockets: &[&'static str],
    ) -> Result<Option<Self>, Error> {
        let open = |id: crate::ProcessId| {
            Handle::open(id).map_err(|source| Error::Process {
                what: "adopt",
                pid: id.pid,
                source,
            })
        };
        let mut companions = Vec::new();
        for &id in &record.companions {
            companions.extend(open(id)?);
        }
        if let Some(vmm) = open(record.process)? {
            return Ok(Some(Self::watch(record.clone(), vmm, companions, sockets)));
        }
        end(&companions)?;
        let _ = tokio::time::timeout(FOLLOW, all_ended(&companions)).await;
        remove(sockets.iter().map(|name| record.dir.join(name)))?;
        Ok(None)
    }

    pub(crate) const fn record(&self) -> &MachineRecord {
        &self.record
    }

    pub(crate) fn exited(&self) -> watch::Receiver<Option<Ended>> {
        self.exited.clone()
    }

    /// Sends a signal to the VMM's process.
    pub(crate) fn signal(&self, which: Signal) -> Result<(), Error> {
        signal(&self.vmm, which)
    }

    /// Ends all processes and removes the sockets. Every part is tried; the first failure is returned.
    pub(crate) async fn kill(&self) -> Result<(), Error> {
        if self.exited.borrow().is_none() {
            self.killed.store(true, Ordering::Release);
        }
        let vmm = signal(&self.vmm, Signal::KILL);
        if vmm.is_ok() {
            self.vmm.ended().await;
        }
        last_words_written(&self.companions).await;
        let companions = end(&self.companions);
        let _ = tokio::time::timeout(FOLLOW, all_ended(&self.companions)).await;
        let sockets = remove(self.sockets.iter().cloned());
        vmm.and(companions).and(sockets)
    }
}

/// The console's companion, always the last one, ends with the VMM; it has the guest's last words still to write.
async fn last_words_written(companions: &[Handle]) {
    if let Some(console) = companions.last() {
        let _ = tokio::time::timeout(FOLLOW, console.ended()).await;
    }
}

async fn all_ended(companions: &[Handle]) {
    for companion in companions {
        companion.ended().await;
    }
}

/// Kills every companion, and then tells the first failure.
fn end(companions: &[Handle]) -> Result<(), Error> {
    let tried: Vec<_> = companions
        .iter()
        .map(|companion| signal(companion, Signal::KILL))
        .collect();
    tried.into_iter().collect()
}

fn signal(process: &Handle, signal: Signal) -> Result<(), Error> {
    process.signal(signal).map_err(|source| Error::Process {
        what: "signal",
        pid: process.id().pid,
        source,
    })
}

/// Removes every socket that is there, and then tells the first failure.
fn remove(sockets: impl Iterator<Item = PathBuf>) -> Result<(), Error> {
    let tried: Vec<_> = sockets
        .map(|path| match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
                what: "remove",
                path,
                source,
            }),
            _ => Ok(()),
        })
        .collect();
    tried.into_iter().collect()
}

/// A VMM ends with success when the guest reboots, and also when it reboots because its kernel panicked.
fn how(code: ExitCode, dir: &std::path::Path) -> Ended {
    match (console::panic_line(dir), code) {
        (Some(line), _) => Ended::Panicked(line),
        (None, Some(0) | None) => Ended::Clean,
        (None, Some(code)) => Ended::Failed {
            code: Some(code),
            words: last_words(&dir.join("vmm.log")),
        },
    }
}
