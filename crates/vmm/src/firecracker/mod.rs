//! Firecracker: its process, its API over a Unix socket, and its hybrid vsock.

mod client;
mod requests;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use banger_model::VmmKind;
use rustix::process::Signal;
use tokio::net::UnixStream;
use tokio::sync::watch;

use self::client::Client;
use self::requests::{
    Action, BootSource, Drive, MachineConfig, NetworkInterface, SnapshotCreate, VmState, Vsock,
};
use crate::inotify::Created;
use crate::running::Running;
use crate::spawn::{Given, Output, Starting, console_pipe, console_sink};
use crate::{Backend, Capabilities, Ended, Error, LaunchSpec, Machine, MachineRecord, hybrid, path};

const PROGRAM: &str = "firecracker";

/// The API's socket in the machine's directory.
const API: &str = "api.sock";
const SOCKETS: &[&str] = &[hybrid::SOCKET, API];

/// The backend.
#[derive(Debug, Clone)]
pub struct Firecracker {
    program: PathBuf,
    seccomp: bool,
}

impl Firecracker {
    /// Finds `firecracker` on `PATH`, or where `BANGER_FIRECRACKER` or the configuration says. `BANGER_FIRECRACKER_NO_SECCOMP=1` is for
    /// builds whose system call filters do not fit their C library.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn find() -> Result<Self, Error> {
        let program = path::of_vmm(VmmKind::Firecracker, "BANGER_FIRECRACKER", PROGRAM);
        Ok(Self {
            program: program.ok_or(Error::Missing {
                program: PROGRAM,
                hint: "install Firecracker 1.16.1 or later on PATH",
            })?,
            seccomp: std::env::var_os("BANGER_FIRECRACKER_NO_SECCOMP").is_none(),
        })
    }

    /// Where Firecracker is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether its filters of system calls are used.
    pub const fn has_seccomp(&self) -> bool {
        self.seccomp
    }

    fn args(&self, spec: &LaunchSpec) -> Vec<String> {
        let id = format!("banger-{}", spec.id);
        let mut args: Vec<String> = [
            "--api-sock",
            API,
            "--id",
            &id,
            "--log-path",
            "vmm.log",
            "--level",
            "Warning",
        ]
        .map(str::to_owned)
        .into();
        if !self.seccomp {
            args.push("--no-seccomp".to_owned());
        }
        args
    }
}

#[async_trait]
impl Backend for Firecracker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            vmm: VmmKind::Firecracker,
            acceleration: "kvm",
            max_vcpus: 32,
            pause: true,
            snapshot: true,
            guest_init: true,
            network: true,
        }
    }

    async fn launch(&self, spec: &LaunchSpec) -> Result<Box<dyn Machine>, Error> {
        let dir = &spec.dir;
        // Firecracker opens its log and does not make it.
        drop(crate::spawn::append(&dir.join("vmm.log"))?);
        let (from, to) = console_pipe(dir)?;
        let made = Created::watch(dir, API)?;
        let args = self.args(spec);
        let vmm = Starting::spawn(
            "Firecracker",
            &self.program,
            args,
            dir,
            Stdio::null(),
            Output::To(to),
            Given::to_vmm(spec),
        )?;
        let console = console_sink(&spec.console_sink, dir, from)?;
        vmm.until_created(made, "API socket").await?;
        vmm.unless_it_dies(configure(&dir.join(API), spec)).await?;
        let (vmm, companions) = (vmm.release()?, vec![console.release()?]);
        let record = MachineRecord {
            vmm: VmmKind::Firecracker,
            acceleration: "kvm".to_owned(),
            dir: dir.clone(),
            process: vmm.id(),
            companions: companions.iter().map(crate::process::Handle::id).collect(),
        };
        Ok(Box::new(MicroVm(Running::watch(
            record, vmm, companions, SOCKETS,
        ))))
    }

    async fn adopt(&self, record: &MachineRecord) -> Result<Option<Box<dyn Machine>>, Error> {
        let running = Running::adopt(record, SOCKETS).await?;
        Ok(running.map(|running| Box::new(MicroVm(running)) as Box<dyn Machine>))
    }
}

/// Describes the machine to Firecracker and starts its vCPUs.
async fn configure(api: &Path, spec: &LaunchSpec) -> Result<(), Error> {
    let mut client = Client::connect(api).await?;
    client.put(&MachineConfig::of(spec)).await?;
    client.put(&BootSource::of(spec)).await?;
    for (index, disk) in spec.disks.iter().enumerate() {
        client.put(&Drive::of(index, disk)).await?;
    }
    if let Some(card) = &spec.network {
        client.put(&NetworkInterface::of(card)).await?;
    }
    client.put(&Vsock::at(hybrid::SOCKET)).await?;
    client.put(&Action::InstanceStart).await
}

/// A running Firecracker.
#[derive(Debug)]
struct MicroVm(Running);

impl MicroVm {
    async fn client(&self) -> Result<Client, Error> {
        Client::connect(&self.record().dir.join(API)).await
    }
}

#[async_trait]
impl Machine for MicroVm {
    fn record(&self) -> &MachineRecord {
        self.0.record()
    }

    async fn dial(&self, port: u32) -> Result<UnixStream, Error> {
        hybrid::dial(&self.record().dir.join(hybrid::SOCKET), port).await
    }

    async fn pause(&self) -> Result<(), Error> {
        self.client().await?.patch(&VmState::Paused).await
    }

    async fn resume(&self) -> Result<(), Error> {
        self.client().await?.patch(&VmState::Resumed).await
    }

    async fn snapshot(&self, dir: &Path) -> Result<(), Error> {
        self.client().await?.put(&SnapshotCreate::into(dir)).await
    }

    /// Firecracker ends in good order at SIGTERM; its Ctrl-Alt-Del is only heard by guests with a keyboard driver.
    async fn shutdown(&self) -> Result<(), Error> {
        self.0.signal(Signal::TERM)
    }

    async fn kill(&self) -> Result<(), Error> {
        self.0.kill().await
    }

    /// Firecracker tells its guest of the error, which loses what it writes.
    fn stalled(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    fn exited(&self) -> watch::Receiver<Option<Ended>> {
        self.0.exited()
    }
}
