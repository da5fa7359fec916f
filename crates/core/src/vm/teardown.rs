//! The end of a machine: asked for politely, then less so; and then nothing of it is left but its logs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use banger_model::{VmId, chain};
use banger_vmm::{Ended, Machine};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Context, EndError, Error, vsock};

/// What the agent gets on top of the grace of the guest's init: to kill, sync and unmount.
const AGENT_SYNC: Duration = Duration::from_secs(15);
/// What the guest's agent may take to accept a request.
const AGENT_ANSWER: Duration = Duration::from_secs(5);
/// How often the agent is asked.
const ATTEMPTS: u32 = 4;
/// What a VMM may take that was asked to end.
const VMM_END: Duration = Duration::from_secs(3);

/// The names of the logs in a machine's directory that outlive it.
pub(crate) const LOGS: [&str; 5] = [
    "console.log",
    "console.log.times",
    "console.log.1",
    "console.log.1.times",
    "vmm.log",
];

/// How a machine was ended.
#[derive(Debug)]
pub(crate) struct Off {
    /// What went wrong on the way.
    pub(crate) troubles: Vec<String>,
    /// The guest was to power itself off and did not: what it had not written is lost.
    pub(crate) cut: bool,
}

/// Ends a machine: the guest's init and sync, then the VMM, then a kill, each with its own deadline. `hurry` skips to
/// the kill. The machine is gone all the same unless the kill itself failed.
pub(crate) async fn power_off(machine: &Arc<dyn Machine>, grace: Duration, hurry: &CancellationToken) -> Off {
    let mut troubles = Vec::new();
    let cut = tokio::select! {
        biased;
        () = hurry.cancelled() => false,
        powered_off = ask(machine, grace, &mut troubles) => !powered_off,
    };
    // It also takes away the companions and sockets of a machine that ended by itself.
    if let Err(error) = machine.kill().await {
        troubles.push(chain(&error));
    }
    Off { troubles, cut }
}

/// Tells whether the guest powered itself off.
async fn ask(machine: &Arc<dyn Machine>, grace: Duration, troubles: &mut Vec<String>) -> bool {
    let exited = machine.exited();
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let guest = vsock::agent(machine);
    let ended = |within| {
        let mut exited = exited.clone();
        async move { timeout(within, exited.wait_for(Option::is_some)).await.is_ok() }
    };
    // A connection that hangs is no answer: whoever gives up here loses what the guest has not written.
    for _ in 0..ATTEMPTS {
        let mut gone = exited.clone();
        let answer = tokio::select! {
            answer = timeout(AGENT_ANSWER, guest.shutdown(grace_ms)) => answer,
            // It may end before its answer is out.
            _ = gone.wait_for(Option::is_some) => return true,
        };
        match answer {
            Ok(Ok(())) => {
                if ended(grace + AGENT_SYNC).await {
                    return true;
                }
                troubles.push(format!(
                    "the guest did not power off within {} s",
                    (grace + AGENT_SYNC).as_secs()
                ));
                break;
            }
            Ok(Err(error)) => troubles.push(chain(&error)),
            Err(_) => troubles.push(format!(
                "the guest's agent did not answer within {} s",
                AGENT_ANSWER.as_secs()
            )),
        }
    }
    match machine.shutdown().await {
        Ok(()) => {
            ended(VMM_END).await;
        }
        Err(error) => troubles.push(chain(&error)),
    }
    false
}

/// Keeps the logs of a machine that is gone, removes its directory, and forgets it. Every part is tried; the first
/// failure is returned.
pub(crate) async fn remove_traces(context: &Arc<Context>, id: VmId, dir: &Path) -> Result<(), Error> {
    let files = context.files(id);
    for name in LOGS {
        // A VM that is being deleted has no place for logs any more, and a machine that never ran has none.
        let _ = move_file(&dir.join(name), &files.log(name));
    }
    let removed = match std::fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            what: "remove the runtime directory of the VM",
            path: dir.to_owned(),
            source,
        }),
        _ => Ok(()),
    };
    let detached = detach(context, id).await;
    // The row goes only when the rest is gone, so that the next daemon tries again.
    removed?;
    detached?;
    Ok(context.database.forget_machine(id).map_err(EndError::Forget)?)
}

/// Takes a VM's network card away, if it ever had one.
async fn detach(context: &Arc<Context>, id: VmId) -> Result<(), Error> {
    let Some(slot) = context.database.slot_of(id).map_err(EndError::Forget)? else {
        return Ok(());
    };
    let context = Arc::clone(context);
    tokio::task::spawn_blocking(move || context.network.detach(slot))
        .await
        .map_err(|_| Error::Defect("detaching a VM panicked"))?
        .map_err(EndError::Detach)?;
    Ok(())
}

/// Moves a file, also between file systems: sockets live on another one than state.
fn move_file(from: &Path, to: &Path) -> std::io::Result<()> {
    if std::fs::rename(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to)?;
    std::fs::remove_file(from)
}

/// The end of a machine as part of a sentence.
pub(crate) fn how_it_ended(ended: &Ended) -> String {
    match ended {
        Ended::Clean => "the guest rebooted or powered off".to_owned(),
        Ended::Panicked(line) => format!("the guest's kernel panicked: {line}"),
        Ended::Failed { code, words } => {
            let code = code.map_or_else(
                || "with an unknown status".to_owned(),
                |code| format!("with status {code}"),
            );
            let words = words.trim();
            if words.is_empty() {
                format!("the VMM exited {code}")
            } else {
                format!("the VMM exited {code}: {words}")
            }
        }
        Ended::Killed => "it was killed".to_owned(),
    }
}
