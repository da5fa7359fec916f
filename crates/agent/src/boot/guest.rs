//! A real guest, before and after it is configured.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banger_guest_api::{Clock, Configure, Failure, Handover as Wish, InitKind, InitState, Ready, Shutdown};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use super::{Phases, clock, ended, git, identity, init, mounts, network, os, reap, root};
use crate::exec::{PATH, Shims, Surroundings};
use crate::failure::{During, refused};
use crate::server::{Configured, Guest, Server};
use crate::socket::Listener;
use crate::{descriptors, freeze, power, supervisor, systemd};

/// What a guest's servers know of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestState {
    surroundings: Surroundings,
    init: InitKind,
}

/// The abstract socket (unix(7)) at which systemd says that it has reached its default target.
const NOTIFY: &str = "banger/notify";

/// PID 1 before the host has said what it shall become.
pub(super) struct Unconfigured {
    /// Taken when the guest is configured: the first attempt is the only one.
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    listener: OwnedFd,
    phases: Phases,
    handover: oneshot::Sender<Handover>,
}

/// What PID 1 does once the host was told that the guest is ready.
pub(super) struct Handover {
    init: Option<init::Init>,
    /// The root directory of the VM's own disk.
    disk: OwnedFd,
    variables: BTreeMap<String, String>,
}

/// The variables of the kernel's command line. The kernel gives them to its first process, which is us
/// (admin-guide/kernel-parameters in its documentation); they are meant for the image's, and what that runs.
fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        // The kernel's own, and an argument that only systemd reads, from the command line.
        .filter(|(name, _)| !matches!(name.as_str(), "HOME" | "TERM" | "fstab"))
        .collect()
}

impl Unconfigured {
    pub(super) fn new(listener: OwnedFd, phases: Phases) -> (Self, oneshot::Receiver<Handover>) {
        let (sender, handover) = oneshot::channel();
        let parts = Parts {
            listener,
            phases,
            handover: sender,
        };
        let parts = Mutex::new(Some(parts));
        (Self { parts }, handover)
    }

    fn become_guest(&self, configure: &Configure) -> Result<Configured, Failure> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut parts = parts.ok_or_else(|| refused("an earlier attempt to configure this guest failed"))?;
        ended(&mut parts.phases, "configured");
        clock::set(configure.clock).during("set the clock")?;
        clock::mix_entropy(&configure.entropy).during("mix the host's randomness in")?;
        let card = configure.network.as_ref().map(network::bring_up).transpose()?;
        if card.is_some() {
            ended(&mut parts.phases, "network");
        }
        let disk = root::mount_and_enter(&configure.disks)?;
        ended(&mut parts.phases, "mounted");
        let here = Path::new("/");
        identity::assume(configure, here)?;
        if let Some(dir) = &configure.workdir
            && let Err(error) = std::fs::create_dir_all(dir)
        {
            // Commands that shall work there will say so, too; all others need it not.
            eprintln!("banger: failed to create the image's working directory {dir}: {error}");
        }
        if let Some(settings) = &configure.git {
            git::configure(settings, here).during("configure the git identity")?;
        }
        let found = init::find(here).filter(|_| configure.handover == Wish::Auto);
        let kind = found.as_ref().map_or(InitKind::Agent, |init| init.kind);
        match kind {
            InitKind::Agent => mounts::control_groups(),
            InitKind::Systemd => systemd::prepare().during("prepare systemd")?,
            InitKind::OpenRc | InitKind::Runit | InitKind::SysV | InitKind::Other => {}
        }
        if let (Some(network), Some(card)) = (&configure.network, &card) {
            network::names::configure(network, card, here, kind).during("configure the guest's resolvers")?;
            network::services::leave_alone(card, &network.mac, here, kind)
                .during("keep the image's network services away from the network card")?;
        }
        let variables = variables();
        let mut env = variables.clone();
        env.extend(configure.env.clone());
        let state = GuestState {
            surroundings: Surroundings { env, root: "".into() },
            init: kind,
        };
        let kept = disk.try_clone().during("duplicate the handle of the VM's disk")?;
        start_supervisor(parts.listener, disk, &state).during("start the agent's server")?;
        ended(&mut parts.phases, "ready");
        let ready = Ready {
            init: kind,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            os: os::pretty_name(here),
            phases_ms: parts.phases,
        };
        // PID 1 waits for it.
        let _ = parts.handover.send(Handover {
            init: found,
            disk: kept,
            variables,
        });
        Ok(Configured {
            ready,
            surroundings: state.surroundings,
            init: watch::channel(InitState::Booting).1,
        })
    }
}

impl Guest for Unconfigured {
    fn configure(
        &self,
        configure: Configure,
    ) -> Pin<Box<dyn Future<Output = Result<Configured, Failure>> + Send + '_>> {
        Box::pin(async move { self.become_guest(&configure) })
    }

    fn shutdown(&self, _: Shutdown) {
        // Nothing runs yet that would need time.
        power::end_machine()
    }

    fn keep_clock(&self, _: Clock) {
        // The configuration says what time it is.
    }

    fn disk(&self) -> Result<OwnedFd, Failure> {
        Err(refused("this guest is not configured yet"))
    }

    fn sessions(&self) -> std::io::Result<OwnedFd> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// Starts the supervisor with the listener, the VM's disk and, for systemd, its notifications.
fn start_supervisor(listener: OwnedFd, disk: OwnedFd, state: &GuestState) -> std::io::Result<()> {
    let mut inherited = vec![listener, disk];
    if state.init == InitKind::Systemd {
        let address = SocketAddr::from_abstract_name(NOTIFY)?;
        inherited.push(UnixDatagram::bind_addr(&address)?.into());
    }
    for descriptor in &inherited {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
    }
    Command::new("/proc/self/exe")
        .arg0(supervisor::NAME)
        .arg("supervise")
        .args(
            inherited
                .iter()
                .map(|descriptor| descriptor.as_raw_fd().to_string()),
        )
        .env_clear()
        .env("PATH", PATH)
        .env(supervisor::STATE, serde_json::to_string(state)?)
        .process_group(0)
        .spawn()
        .map(drop)
}

impl Handover {
    /// Becomes the image's init, or stays as the guest's.
    pub(super) fn take_place(self) -> Result<std::convert::Infallible, Failure> {
        let Some(init) = self.init else {
            reap::stay_as_init(&self.disk)
        };
        let mut command = Command::new(&init.program);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("TERM", "linux")
            .envs(self.variables);
        if init.kind == InitKind::Systemd {
            command.env("NOTIFY_SOCKET", format!("@{NOTIFY}"));
        }
        Err(command.exec()).during(format!("execute {}", init.program.display()))
    }
}

/// A guest that is configured, as its server sees it.
struct Running {
    init: InitKind,
    disk: OwnedFd,
}

impl Guest for Running {
    fn configure(
        &self,
        _: Configure,
    ) -> Pin<Box<dyn Future<Output = Result<Configured, Failure>> + Send + '_>> {
        Box::pin(async { Err(refused("this guest is already configured")) })
    }

    fn shutdown(&self, shutdown: Shutdown) {
        let init = self.init;
        // It is open; should it not be to be had again, there is nothing to bring to rest.
        let Ok(disk) = self.disk.try_clone() else {
            power::end_machine()
        };
        // On a thread: the answer to the request is still to be sent.
        std::thread::spawn(move || power::off(init, Duration::from_millis(shutdown.grace_ms), &disk));
    }

    fn keep_clock(&self, clock: Clock) {
        if let Err(error) = clock::keep(clock) {
            eprintln!("banger: failed to set the clock: {error}");
        }
    }

    fn disk(&self) -> Result<OwnedFd, Failure> {
        self.disk.try_clone().during("open the VM's disk")
    }

    fn sessions(&self) -> std::io::Result<OwnedFd> {
        Ok(root::sessions(&self.disk)?)
    }
}

/// Runs the server on inherited descriptors: the listener, the VM's disk and, for systemd, its notifications.
///
/// # Errors
/// When the descriptors or the state are not what a supervisor gives.
pub fn serve(descriptors: &[RawFd], state: &str, again: bool) -> Result<(), Failure> {
    let state: GuestState = serde_json::from_str(state).during("read the guest's state")?;
    // SAFETY: the supervisor passes these descriptors to this process for this purpose alone.
    let mut inherited = descriptors
        .iter()
        .map(|&number| unsafe { OwnedFd::from_raw_fd(number) });
    let listener = inherited
        .next()
        .ok_or_else(|| refused("the server was given no listener"))?;
    let disk = inherited
        .next()
        .ok_or_else(|| refused("the server was given no disk"))?;
    if again {
        // A server that was killed while the disk was frozen.
        freeze::thaw(&disk);
    }
    let notifications = inherited.next();
    let kept = [Some(&listener), Some(&disk), notifications.as_ref()];
    for descriptor in kept.into_iter().flatten() {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)
            .during("prepare a file descriptor")?;
    }
    descriptors::take();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start the runtime")?;
    runtime.block_on(async {
        let listener = Listener::new(listener).during("accept connections")?;
        let init = match (state.init, notifications) {
            (InitKind::Systemd, Some(notifications)) => systemd::watch(notifications, again),
            _ => watch::channel(InitState::Up).1,
        };
        let guest = Running {
            init: state.init,
            disk,
        };
        let shims = Shims::new().during("start a process for commands")?;
        let server = Arc::new(Server::configured(guest, shims, state.surroundings, init));
        server.serve(&listener).await.during("accept a connection")
    })
}
