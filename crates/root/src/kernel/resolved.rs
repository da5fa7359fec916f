//! The host's own resolver where that is systemd-resolved: `resolvectl` tells it whom to ask for names of VMs.
//!
//! resolved hears root alone, which the helper is not. So where it runs, a second process is started while the helper still is
//! root: the *teller*. It has no capability, runs `resolvectl` and nothing else, and is told a network by the helper, from which
//! it makes the arguments itself.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use banger_model::network::Network;
use banger_netplan::resolved;

use crate::confine::{RESOLVECTL, Who, confine};
use crate::wire::{MAX_FRAME, read_frame, write_frame};

/// What there is while systemd-resolved runs.
const RUNS: &str = "/run/systemd/resolve/io.systemd.Resolve";

/// What came of telling it.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    teller: Option<Arc<Mutex<UnixStream>>>,
    problem: Arc<Mutex<Option<String>>>,
}

impl Resolved {
    /// Starts a teller for an owner's bridge, if there is whom to tell. This process has one thread.
    pub(crate) fn start(owner: u32) -> io::Result<Self> {
        if !Path::new(RUNS).exists() {
            return Ok(Self::default());
        }
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: there is no other thread whose locks the child could find taken.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                std::process::exit(i32::from(tell(owner, theirs).is_err()))
            }
            _ => Ok(Self {
                teller: Some(Arc::new(Mutex::new(ours))),
                ..Self::default()
            }),
        }
    }

    /// Tells of a network, beside what else is done: no VM waits for the host's resolver, or fails with it.
    pub(crate) fn tell(&self, network: &Network) {
        let (network, problem) = (network.clone(), Arc::clone(&self.problem));
        let Some(teller) = self.teller.clone() else {
            if Path::new(RUNS).exists() {
                let why = "systemd-resolved was started after the helper: sudo banger system restart";
                *problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
            }
            return;
        };
        std::thread::spawn(move || {
            // Held to the end, so that it is told one thing after the other.
            let mut problem = problem.lock().unwrap_or_else(PoisonError::into_inner);
            let mut teller = teller.lock().unwrap_or_else(PoisonError::into_inner);
            let told = write_frame(&mut *teller, &network).and_then(|()| read_frame(&mut *teller, MAX_FRAME));
            *problem = match told {
                Ok(Some(outcome)) => outcome,
                Ok(None) => Some(
                    "the process that configures systemd-resolved has ended: sudo banger system restart"
                        .to_owned(),
                ),
                Err(error) => Some(error.to_string()),
            };
        });
    }

    /// Why names of VMs are not found by the host, if that is known: each line ends, if only for D-Bus losing patience.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.try_lock().ok()?.clone()
    }
}

/// The teller: to the end of who started it.
fn tell(owner: u32, mut helper: UnixStream) -> io::Result<()> {
    confine(Who::Teller, &[]).map_err(io::Error::other)?;
    while let Some(network) = read_frame::<Network>(&mut helper, MAX_FRAME)? {
        let lines = resolved::join(owner, &network);
        let failed: Option<String> = lines.iter().find_map(|line| run(line).err());
        write_frame(&mut helper, &failed)?;
    }
    Ok(())
}

fn run(line: &[String]) -> Result<(), String> {
    let failed = |why: &str| format!("resolvectl {} failed: {why}", line.join(" "));
    let mut command = Command::new(RESOLVECTL);
    command.args(line).env_clear();
    let output = command.stdin(Stdio::null()).output();
    match output.map_err(|error| failed(&error.to_string()))? {
        output if output.status.success() => Ok(()),
        output => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
    }
}
