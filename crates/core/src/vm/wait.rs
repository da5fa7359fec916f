//! What a start may wait for once the guest is ready.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use banger_guest_api::ssh::encode_key;
use banger_guest_api::{InitState, Ssh};
use banger_model::{Stage, WaitFor};
use banger_request::Reporter;
use tokio::io::AsyncReadExt;

use super::boot::console_tail;
use super::{AccessError, Error, Handle, StartError, State};

/// How every SSH server begins (RFC 4253, section 4.2).
const BANNER: &[u8; 8] = b"SSH-2.0-";

/// Waits until the VM is as far as `wait` says. The VM runs on when this fails or is dropped.
pub(crate) async fn until(handle: &Handle, wait: WaitFor, progress: &Reporter) -> Result<(), Error> {
    match wait {
        WaitFor::Agent => Ok(()),
        WaitFor::Init => init(handle, progress).await,
        WaitFor::Ssh => ssh(handle).await,
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
            return Err(StartError::Silent {
                name,
                stage: Stage::Init,
                after,
                console: console_tail(&record.dir),
            }
            .into());
        }
    };
    let Some(live) = live else {
        return Err(AccessError::NotRunning {
            name,
            phase: handle.state().phase,
        }
        .into());
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

/// Whether the agent's SSH server answers. It tells its version before it needs a key.
async fn ssh(handle: &Handle) -> Result<(), Error> {
    let name = handle.state().spec.name;
    let nobody = Ssh {
        host_key: encode_key(&[0; 32]),
        keys: Vec::new(),
        env: BTreeMap::new(),
    };
    let opened = handle.live()?.guest().ssh(&nobody).await;
    let mut stream = opened.map_err(AccessError::of_guest(&name))?;
    let mut version = [0; BANNER.len()];
    let read = stream.read_exact(&mut version).await;
    match read {
        Ok(_) if version == *BANNER => Ok(()),
        Ok(_) | Err(_) => Err(StartError::SshSilent(name).into()),
    }
}
