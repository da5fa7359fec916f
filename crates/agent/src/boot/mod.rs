//! PID 1 of a guest: from the kernel's first process to the image's init.

mod clock;
mod engines;
mod git;
mod grow;
mod guest;
mod identity;
mod inherited;
mod init;
mod modules;
mod mounts;
pub mod network;
mod os;
mod reap;
mod root;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use banger_guest_api::{AGENT_PORT, Failure, HELLO_PORT, Hello, PROTOCOL};
use vsock::{VMADDR_CID_ANY, VMADDR_CID_HOST, VsockListener, VsockStream};

use crate::clock::uptime_ms;
use crate::exec::Shims;
use crate::failure::During;
use crate::power;
use crate::server::Server;
use crate::socket::Listener;

pub use guest::{GuestState, serve};

use guest::{Handover, Unconfigured};

/// Boots the guest. When it cannot be booted, the reason goes to the console and the machine ends.
pub fn main() -> ! {
    let failure = match boot() {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    eprintln!("banger: {}", failure.message);
    for cause in &failure.causes {
        eprintln!("banger: caused by: {cause}");
    }
    power::end_machine()
}

/// Milliseconds since the kernel's start at which each phase of the boot ended.
type Phases = BTreeMap<String, u64>;

fn ended(phases: &mut Phases, phase: &str) {
    phases.insert(phase.to_owned(), uptime_ms());
}

fn boot() -> Result<std::convert::Infallible, Failure> {
    let mut phases = Phases::new();
    ended(&mut phases, "init");
    mounts::early()?;
    modules::load_all()?;
    network::loopback_up()?;
    ended(&mut phases, "modules");
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, AGENT_PORT).during("listen on vsock")?;
    let listener = OwnedFd::from(VsockFd(listener));
    send_hello().during("reach the host on vsock")?;
    ended(&mut phases, "listening");
    let handover = be_configured(listener, phases)?;
    handover.take_place()
}

/// Says hello: the host dials only after it.
fn send_hello() -> io::Result<()> {
    let hello = Hello {
        protocol: PROTOCOL,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: uptime_ms(),
    };
    let mut line = serde_json::to_vec(&hello)?;
    line.push(b'\n');
    let mut host = reach_host()?;
    host.write_all(&line)?;
    host.shutdown(Shutdown::Write)
}

/// How often the host is tried, which the kernel gives two seconds each time (`VSOCK_DEFAULT_CONNECT_TIMEOUT`): on a busy
/// host, an emulated guest may be ahead of its vsock device.
const HELLO_ATTEMPTS: u32 = 10;

fn reach_host() -> io::Result<VsockStream> {
    let mut tried = 0;
    loop {
        tried += 1;
        match VsockStream::connect_with_cid_port(VMADDR_CID_HOST, HELLO_PORT) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && tried < HELLO_ATTEMPTS => {}
            reached => return reached,
        }
    }
}

/// Serves the host until it has configured this guest. One connection at a time: the next one is the server's, which
/// runs by then and waits on the same listener.
fn be_configured(listener: OwnedFd, phases: Phases) -> Result<Handover, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start the runtime")?;
    runtime.block_on(async {
        let accepting = listener
            .try_clone()
            .and_then(Listener::new)
            .during("accept connections")?;
        let (guest, mut handover) = Unconfigured::new(listener, phases);
        let server = Arc::new(Server::new(guest, Shims::default()));
        loop {
            let socket = accepting.accept().await.during("accept a connection")?;
            // A connection that breaks is the host's business; it dials again, or ends the machine.
            let _ = Arc::clone(&server).serve_one(socket).await;
            if let Ok(handover) = handover.try_recv() {
                return Ok(handover);
            }
        }
    })
}

/// A vsock listener on its way to being a descriptor like any other.
struct VsockFd(VsockListener);

impl From<VsockFd> for OwnedFd {
    fn from(VsockFd(listener): VsockFd) -> Self {
        use std::os::fd::{FromRawFd, IntoRawFd};
        // SAFETY: the listener gives its descriptor up.
        unsafe { Self::from_raw_fd(listener.into_raw_fd()) }
    }
}
