//! What a start may wait for once the guest is ready.

use std::time::{Duration, Instant};

use banger_guest_api::{InitState, Listener, Transport};
use banger_model::{Stage, WaitFor};

use super::boot::console_tail;
use super::{Error, Handle, Reporter, State};

/// The port of SSH (RFC 4253, section 4).
const SSH_PORT: u16 = 22;

/// Waits until the VM is as far as `wait` says. The VM runs on when this fails or is dropped.
pub(crate) async fn until(handle: &Handle, wait: WaitFor, progress: &Reporter) -> Result<(), Error> {
    match wait {
        WaitFor::Agent => Ok(()),
        WaitFor::Init => init(handle, progress).await,
        WaitFor::Ssh => {
            init(handle, progress).await?;
            ssh(handle).await
        }
    }
}

async fn init(handle: &Handle, progress: &Reporter) -> Result<(), Error> {
    let since = Instant::now();
    let mut states = handle.state.clone();
    let settled = |state: &State| match &state.live {
        Some(live) => matches!(live.init, InitState::Up | InitState::Degraded { .. }),
        None => true,
    };
    let name = handle.state().spec.name;
    let record = handle.live()?.machine.record().clone();
    let after = deadline(&record.acceleration);
    let settled = tokio::time::timeout(after, states.wait_for(settled)).await;
    let live = match settled {
        Ok(Ok(state)) => state.live.clone(),
        Ok(Err(_)) => return Err(Error::Gone(name)),
        Err(_) => {
            return Err(Error::Silent {
                name,
                stage: Stage::Init,
                after,
                console: console_tail(&record.dir),
            });
        }
    };
    let Some(live) = live else {
        return Err(Error::NotRunning {
            name,
            phase: handle.state().phase,
        });
    };
    progress.stage(Stage::Init, since);
    if let InitState::Degraded { failed } = live.init {
        progress.note(format!(
            "the guest's init reports failures: {}",
            failed.join(", ")
        ));
    }
    Ok(())
}

/// How long an init may take to bring everything up. systemd gives one service a minute and a half.
fn deadline(acceleration: &str) -> Duration {
    Duration::from_secs(if acceleration == "tcg" { 600 } else { 180 })
}

/// An image's SSH server listens once its init has started it; so it is asked once, then.
async fn ssh(handle: &Handle) -> Result<(), Error> {
    let name = handle.state().spec.name;
    let listeners = handle
        .live()?
        .guest()
        .ports(false)
        .await
        .map_err(|source| Error::Guest {
            name: name.clone(),
            source: Box::new(source),
            console: None,
        })?;
    let is_ssh = |listener: &Listener| listener.transport == Transport::Tcp && listener.port == SSH_PORT;
    if listeners.iter().any(is_ssh) {
        Ok(())
    } else {
        Err(Error::NoSsh(name))
    }
}
