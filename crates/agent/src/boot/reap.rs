//! The agent as a guest's init: it reaps, and ends the machine when a program asks init to.

use std::os::fd::OwnedFd;
use std::time::Duration;

use banger_guest_api::InitKind;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::power;

/// What processes get to end when a program in the guest powers it off.
const GRACE: Duration = Duration::from_secs(10);

/// Signals by which programs ask init to end: Ctrl-Alt-Del, busybox's `reboot`, `halt` and `poweroff`, a power failure.
const ENDINGS: [i32; 5] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPWR,
];

/// Stays, for as long as the guest runs.
pub(super) fn stay_as_init(disk: &OwnedFd) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(attend()));
    if let Err(error) = outcome {
        eprintln!("banger: the agent as init: {error}");
    }
    power::off(InitKind::Agent, GRACE, disk)
}

/// Returns when the guest shall end. The supervisor is taken for as long-lived as init itself: it does nothing that
/// could fail, and ignores what ends others.
async fn attend() -> std::io::Result<()> {
    let mut children = signal(SignalKind::child())?;
    let endings: Vec<Signal> = ENDINGS
        .into_iter()
        .map(|number| signal(SignalKind::from_raw(number)))
        .collect::<Result<_, _>>()?;
    let mut ending = std::pin::pin!(any(endings));
    loop {
        reap();
        tokio::select! {
            _ = children.recv() => {}
            () = &mut ending => return Ok(()),
        }
    }
}

async fn any(mut signals: Vec<Signal>) {
    std::future::poll_fn(|context| {
        let mut polled = signals.iter_mut().map(|signal| signal.poll_recv(context));
        if polled.any(|poll| poll.is_ready()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// Reaps all that has ended.
fn reap() {
    while let Ok(Some(_)) = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {}
}
