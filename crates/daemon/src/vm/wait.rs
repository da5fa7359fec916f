//! What a start may wait for once the guest is ready.

use std::time::Instant;

use banger_guest_api::InitState;
use banger_model::{Stage, WaitFor};

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
    let live = {
        let state = states
            .wait_for(settled)
            .await
            .map_err(|_| Error::Gone(name.clone()))?;
        state.live.clone()
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

/// An image's SSH server listens once its init has started it; so it is asked once, then.
async fn ssh(handle: &Handle) -> Result<(), Error> {
    let name = handle.state().spec.name;
    let listeners = handle
        .live()?
        .guest()
        .ports()
        .await
        .map_err(|source| Error::Guest {
            name: name.clone(),
            source: Box::new(source),
            console: None,
        })?;
    if listeners.iter().any(|listener| listener.port == SSH_PORT) {
        Ok(())
    } else {
        Err(Error::NoSsh(name))
    }
}
