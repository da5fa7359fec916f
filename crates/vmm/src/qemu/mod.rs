//! QEMU's `microvm` machine: hardware acceleration where KVM works, emulation (TCG) where it does not.
//!
//! QEMU has no vsock device that works without root on the host; `vhost-device-vsock` gives it one of Firecracker's
//! hybrid kind, as a vhost-user device. It is the machine's companion.

mod command;
mod qmp;
mod tsc;

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use banger_model::VmmKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::command::Acceleration;
use self::qmp::Monitor;
use crate::inotify::Created;
use crate::running::Running;
use crate::spawn::{Given, Output, Starting, console_pipe, console_sink};
use crate::{Backend, Capabilities, Ended, Error, LaunchSpec, Machine, MachineRecord, fresh, hybrid, path};

const PROGRAM: &str = if cfg!(target_arch = "aarch64") {
    "qemu-system-aarch64"
} else {
    "qemu-system-x86_64"
};
const VSOCK_PROGRAM: &str = "vhost-device-vsock";

/// The vsock device's and the monitor's sockets.
const VHOST: &str = "vhost.sock";
const QMP: &str = "qmp.sock";
/// A second monitor, which is read for as long as the machine runs: it tells that a disk could not be written to.
const EVENTS: &str = "events.sock";
const SOCKETS: &[&str] = &[hybrid::SOCKET, VHOST, QMP, EVENTS];

/// The backend.
#[derive(Debug, Clone)]
pub struct Qemu {
    qemu: PathBuf,
    vsock: PathBuf,
    acceleration: Acceleration,
}

impl Qemu {
    /// Finds QEMU and its vsock device; `hardware` says whether KVM works.
    ///
    /// # Errors
    /// [`Error::Missing`] with how to get what is missing.
    pub fn find(hardware: bool) -> Result<Self, Error> {
        let qemu = path::of_vmm(VmmKind::Qemu, "BANGER_QEMU", PROGRAM).ok_or(Error::Missing {
            program: PROGRAM,
            hint: "sudo apt-get install qemu-system-x86",
        })?;
        let vsock = path::find(VSOCK_PROGRAM).ok_or(Error::Missing {
            program: VSOCK_PROGRAM,
            hint: "cargo install --locked vhost-device-vsock",
        })?;
        if !hardware {
            tsc::begin();
        }
        Ok(Self {
            qemu,
            vsock,
            acceleration: if hardware {
                Acceleration::Kvm
            } else {
                Acceleration::Tcg
            },
        })
    }

    /// Where QEMU is.
    pub fn program(&self) -> &Path {
        &self.qemu
    }
}

#[async_trait]
impl Backend for Qemu {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            vmm: VmmKind::Qemu,
            acceleration: self.acceleration.as_str(),
            max_vcpus: 32,
            pause: true,
            snapshot: false,
            guest_init: true,
            network: true,
        }
    }

    async fn launch(&self, spec: &LaunchSpec) -> Result<Box<dyn Machine>, Error> {
        match self.launch_with(spec, true).await {
            // Some are built without it. What runs then is told as it is (`posture.rs`).
            Err(Error::Died { words, .. }) if words.contains("sandbox") => {
                self.launch_with(spec, false).await
            }
            launched => launched,
        }
    }

    async fn adopt(&self, record: &MachineRecord) -> Result<Option<Box<dyn Machine>>, Error> {
        let running = Running::adopt(record, SOCKETS).await?;
        Ok(running.map(|running| Box::new(Emulated::of(running)) as Box<dyn Machine>))
    }
}

impl Qemu {
    /// Launches a machine, with QEMU's own filter of system calls if it is to be `confined`.
    async fn launch_with(&self, spec: &LaunchSpec, confined: bool) -> Result<Box<dyn Machine>, Error> {
        let dir = &spec.dir;
        let made = Created::watch(dir, VHOST)?;
        let args = command::vsock(hybrid::SOCKET, VHOST);
        let vsock = Starting::spawn(
            VSOCK_PROGRAM,
            &self.vsock,
            args,
            dir,
            Stdio::null(),
            Output::Log,
            Given::default(),
        )?;
        vsock.until_created(made, "socket").await?;
        let device = vsock.unless_it_dies(connect(&dir.join(VHOST))).await?;
        let (from, to) = console_pipe(dir)?;
        let made = Created::watch(dir, QMP)?;
        let tsc_khz = match self.acceleration {
            Acceleration::Kvm => None,
            // It waits for a measurement that has begun long ago, but for the first start of a daemon.
            Acceleration::Tcg => tokio::task::spawn_blocking(tsc::khz).await.ok().flatten(),
        };
        let mut args = command::qemu(
            spec,
            self.acceleration,
            tsc_khz,
            device.as_raw_fd(),
            [QMP, EVENTS],
        );
        if confined {
            args.extend(command::sandbox());
        }
        let qemu = Starting::spawn(
            "QEMU",
            &self.qemu,
            args,
            dir,
            Stdio::null(),
            Output::To(to),
            Given {
                connection: Some(device.as_fd()),
                ..Given::to_vmm(spec)
            },
        )?;
        drop(device);
        let console = console_sink(&spec.console_sink, dir, from)?;
        qemu.until_created(made, "monitor socket").await?;
        let monitor = async {
            Monitor::connect(&dir.join(QMP))
                .await?
                .execute("query-status")
                .await
        };
        qemu.unless_it_dies(monitor).await?;
        let (vmm, companions) = (qemu.release()?, vec![vsock.release()?, console.release()?]);
        let record = MachineRecord {
            vmm: VmmKind::Qemu,
            acceleration: self.acceleration.as_str().to_owned(),
            dir: dir.clone(),
            process: vmm.id(),
            companions: companions.iter().map(crate::process::Handle::id).collect(),
        };
        let running = Running::watch(record, vmm, companions, SOCKETS);
        Ok(Box::new(Emulated::of(running)))
    }
}

/// A connection to the vsock device, for QEMU. QEMU itself connects once, and gives up when the device does not listen yet.
async fn connect(vhost: &Path) -> Result<std::os::unix::net::UnixStream, Error> {
    let connected = async {
        let stream = fresh::connect(vhost).await?.into_std()?;
        // The two of them expect a socket that blocks.
        stream.set_nonblocking(false)?;
        Ok(stream)
    };
    connected.await.map_err(|source| Error::File {
        what: "connect to",
        path: vhost.to_owned(),
        source,
    })
}

/// A running QEMU.
#[derive(Debug)]
struct Emulated {
    running: Running,
    stalled: watch::Receiver<bool>,
    listening: JoinHandle<()>,
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Emulated {
    fn of(running: Running) -> Self {
        let (tell, stalled) = watch::channel(false);
        let events = running.record().dir.join(EVENTS);
        Self {
            running,
            stalled,
            // A machine of an earlier version has no such socket, and then nothing is told.
            listening: tokio::spawn(async move {
                if let Ok(monitor) = Monitor::connect(&events).await {
                    monitor.tell_of_full_disks(&tell).await;
                }
                // Nobody is told that the machine stalls no more, only that it ended.
                std::future::pending().await
            }),
        }
    }

    async fn execute(&self, command: &'static str) -> Result<(), Error> {
        Monitor::connect(&self.record().dir.join(QMP))
            .await?
            .execute(command)
            .await
    }
}

#[async_trait]
impl Machine for Emulated {
    fn record(&self) -> &MachineRecord {
        self.running.record()
    }

    async fn dial(&self, port: u32) -> Result<UnixStream, Error> {
        hybrid::dial(&self.record().dir.join(hybrid::SOCKET), port).await
    }

    /// vhost-user-backend 0.20 takes a notification away and does nothing while QEMU has not enabled the queue, which QEMU does not wait
    /// for before the guest runs. The guest sees that nobody took its packet, and does not notify again (`event_idx`, virtio 1.2,
    /// 2.7.7). Any connection makes the device look at all of its queues; this one asks for no port. Between the guest's
    /// memory and its queues, which are set up within milliseconds, the device would look at a queue that is none, and end.
    async fn rouse(&self) {
        let socket = self.record().dir.join(hybrid::SOCKET);
        // Until the device has refused it and hangs up: one that was closed before would wake the device for ever.
        tokio::spawn(async move {
            let Ok(mut stream) = UnixStream::connect(socket).await else {
                return;
            };
            if stream.write_all(b"\n").await.is_ok() {
                let _ = stream.read(&mut [0; 1]).await;
            }
        });
    }

    async fn pause(&self) -> Result<(), Error> {
        self.execute("stop").await
    }

    async fn resume(&self) -> Result<(), Error> {
        self.execute("cont").await
    }

    async fn snapshot(&self, _dir: &Path) -> Result<(), Error> {
        Err(Error::Unsupported {
            vmm: "QEMU",
            what: "create snapshots of a microvm",
        })
    }

    async fn shutdown(&self) -> Result<(), Error> {
        self.execute("quit").await
    }

    async fn kill(&self) -> Result<(), Error> {
        self.running.kill().await
    }

    fn stalled(&self) -> Option<watch::Receiver<bool>> {
        Some(self.stalled.clone())
    }

    fn exited(&self) -> watch::Receiver<Option<Ended>> {
        self.running.exited()
    }
}
