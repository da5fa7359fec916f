//! The two traits that every backend implements. No default methods: a backend says what it does.

use async_trait::async_trait;
use banger_model::{VmmKind, WaitFor};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::{Error, LaunchSpec, MachineRecord};

/// What a backend can do here. What it cannot do is refused when a VM is planned, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The backend.
    pub vmm: VmmKind,
    /// How it accelerates: `kvm`, `tcg` or `none`.
    pub acceleration: &'static str,
    /// The most virtual CPUs of a machine.
    pub max_vcpus: u32,
    /// Whether [`Machine::pause`] works.
    pub pause: bool,
    /// Whether [`Machine::snapshot`] works.
    pub snapshot: bool,
    /// Whether a guest has an init of its own to wait for ([`WaitFor::Init`]); the fake has none.
    pub guest_init: bool,
    /// Whether [`LaunchSpec::network`] becomes a card of the guest's; the fake takes it and has none.
    pub network: bool,
}

impl Capabilities {
    /// Why a VM cannot be started and waited for like this, or nothing.
    pub fn refusal(&self, vcpus: u32, wait: WaitFor) -> Option<String> {
        let vmm = self.vmm;
        if vcpus > self.max_vcpus {
            return Some(format!(
                "{vmm} supports at most {} vCPUs on this host, not {vcpus}",
                self.max_vcpus
            ));
        }
        (wait != WaitFor::Agent && !self.guest_init).then(|| format!("a {vmm} guest has no init to wait for"))
    }
}

/// A VMM that can launch machines.
#[async_trait]
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// What it can do on this host.
    fn capabilities(&self) -> Capabilities;

    /// Starts a machine and returns when its vCPUs run. Nothing is left behind when it fails or is dropped midway:
    /// no process, no socket.
    async fn launch(&self, spec: &LaunchSpec) -> Result<Box<dyn Machine>, Error>;

    /// Takes over a machine that another process launched. `Ok(None)` when it no longer runs; what was left of it
    /// in its directory (sockets, companion processes) has then been removed.
    async fn adopt(&self, record: &MachineRecord) -> Result<Option<Box<dyn Machine>>, Error>;
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The guest ended it by a reboot or power-off.
    Clean,
    /// The guest's kernel panicked; the line that says why.
    Panicked(String),
    /// The VMM exited with this code; its last words.
    Failed {
        /// Exit code, or `128 + signal`; `None` for an adopted machine, whose status is not ours to read.
        code: Option<i32>,
        /// The end of its error output.
        words: String,
    },
    /// It was killed on our request.
    Killed,
}

/// One running machine.
#[async_trait]
pub trait Machine: Send + Sync + std::fmt::Debug {
    /// What to store of it.
    fn record(&self) -> &MachineRecord;

    /// Connects to a vsock port of the guest. Call it only after the guest has sent its hello (`banger-guest-api`).
    async fn dial(&self, port: u32) -> Result<UnixStream, Error>;

    /// Has the vsock device look for what the guest has sent: one that missed the guest's notification does so only then. For
    /// guests that have not sent a hello yet although they should have booted: a device that is not set up yet may end by it.
    async fn rouse(&self) {}

    /// Halts the vCPUs.
    async fn pause(&self) -> Result<(), Error>;

    /// Lets the vCPUs run again.
    async fn resume(&self) -> Result<(), Error>;

    /// Writes memory and device state into `dir` of a paused machine.
    async fn snapshot(&self, dir: &std::path::Path) -> Result<(), Error>;

    /// Asks the VMM to end: for a guest that did not end the machine by itself. Returns when asked.
    async fn shutdown(&self) -> Result<(), Error>;

    /// Ends the machine now and returns when it is gone, with its companions and sockets.
    async fn kill(&self) -> Result<(), Error>;

    /// Whether the VMM has halted the vCPUs because the host had no space for what they wrote. Nothing where it does not do that.
    fn stalled(&self) -> Option<watch::Receiver<bool>>;

    /// How it ended, once it has. The value is `None` while it runs.
    fn exited(&self) -> watch::Receiver<Option<Ended>>;
}
