//! A machine without a machine: a host process that runs the real agent library and speaks hybrid vsock. For tests of
//! everything but guests. It takes disks and a network card, and has neither: a start is not refused for them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use banger_model::VmmKind;
use rustix::process::Signal;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::inotify::Created;
use crate::running::Running;
use crate::spawn::{Given, Output, Starting, append};
use crate::{Backend, Capabilities, Ended, Error, LaunchSpec, Machine, MachineRecord, console, hybrid};

const SOCKETS: &[&str] = &[hybrid::SOCKET];

/// The backend. Its guest program is run as `PROGRAM DIR`, in the machine's directory.
#[derive(Debug, Clone)]
pub struct Fake {
    program: PathBuf,
}

impl Fake {
    /// Machines that run `program`.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }
}

#[async_trait]
impl Backend for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            vmm: VmmKind::Fake,
            acceleration: "none",
            max_vcpus: 32,
            pause: true,
            snapshot: false,
            guest_init: true,
            network: false,
        }
    }

    async fn launch(&self, spec: &LaunchSpec) -> Result<Box<dyn Machine>, Error> {
        let created = Created::watch(&spec.dir, hybrid::SOCKET)?;
        let console = Output::To(Stdio::from(append(&spec.dir.join(console::LOG))?));
        let args = [spec.dir.as_os_str()];
        let guest = Starting::spawn(
            "the fake guest",
            &self.program,
            args,
            &spec.dir,
            Stdio::null(),
            console,
            Given::to_vmm(spec),
        )?;
        guest.until_created(created, "vsock socket").await?;
        let vmm = guest.release()?;
        let record = MachineRecord {
            vmm: VmmKind::Fake,
            acceleration: "none".to_owned(),
            dir: spec.dir.clone(),
            process: vmm.id(),
            companions: Vec::new(),
        };
        Ok(Box::new(Guest(Running::watch(record, vmm, Vec::new(), SOCKETS))))
    }

    async fn adopt(&self, record: &MachineRecord) -> Result<Option<Box<dyn Machine>>, Error> {
        let running = Running::adopt(record, SOCKETS).await?;
        Ok(running.map(|running| Box::new(Guest(running)) as Box<dyn Machine>))
    }
}

/// A running fake guest.
#[derive(Debug)]
struct Guest(Running);

#[async_trait]
impl Machine for Guest {
    fn record(&self) -> &MachineRecord {
        self.0.record()
    }

    async fn dial(&self, port: u32) -> Result<UnixStream, Error> {
        hybrid::dial(&self.record().dir.join(hybrid::SOCKET), port).await
    }

    async fn pause(&self) -> Result<(), Error> {
        self.0.signal(Signal::STOP)
    }

    async fn resume(&self) -> Result<(), Error> {
        self.0.signal(Signal::CONT)
    }

    async fn snapshot(&self, _dir: &Path) -> Result<(), Error> {
        Err(Error::Unsupported {
            vmm: "the fake VMM",
            what: "create snapshots",
        })
    }

    async fn shutdown(&self) -> Result<(), Error> {
        self.0.signal(Signal::TERM)
    }

    async fn kill(&self) -> Result<(), Error> {
        self.0.kill().await
    }

    /// It writes to no disk.
    fn stalled(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    fn exited(&self) -> watch::Receiver<Option<Ended>> {
        self.0.exited()
    }
}
