//! Keeping a server: it is started again whenever it ends, on the same listener, so that no connection is refused
//! meanwhile; it only waits.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::endings;

/// A server that ends sooner than this after its start ended too soon.
const TOO_SOON: Duration = Duration::from_millis(500);

/// Servers that end too soon one after another and are started again at once; further ones wait.
const AT_ONCE: u32 = 3;

/// What the supervisor is called. systemd spares root's processes with such a name to the last (its
/// `ROOT_STORAGE_DAEMONS`).
pub const NAME: &str = "@banger-supervisor";

/// What its server is called.
pub const SERVER: &str = "@banger-agent";

/// The variable that carries a guest's state to its servers.
pub const STATE: &str = "BANGER_GUEST";

/// The variable that tells a server that it is not the first.
pub const AGAIN: &str = "BANGER_GUEST_AGAIN";

/// Runs servers for ever: this executable with `serve` and the numbers of the inherited descriptors.
pub fn run(inherited: &[OwnedFd], state: &str) -> ! {
    // The server, which inherits it, is needed to the last.
    endings::ignore();
    for descriptor in inherited {
        // They are open; this cannot fail.
        let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty());
    }
    let mut first = true;
    let mut too_soon = 0;
    loop {
        let since = Instant::now();
        let mut server = Command::new("/proc/self/exe");
        server.arg0(SERVER).arg("serve").env(STATE, state);
        server.args(
            inherited
                .iter()
                .map(|descriptor| descriptor.as_raw_fd().to_string()),
        );
        if !first {
            server.env(AGAIN, "1");
        }
        first = false;
        match server.spawn().and_then(|mut server| server.wait()) {
            Ok(status) => eprintln!("banger: the agent's server ended ({status}); restarting it"),
            Err(error) => eprintln!("banger: failed to start the agent's server: {error}"),
        }
        too_soon = if since.elapsed() < TOO_SOON {
            too_soon + 1
        } else {
            0
        };
        if too_soon > AT_ONCE {
            std::thread::sleep(TOO_SOON);
        }
    }
}
