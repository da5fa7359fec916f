//! That guests keep the host's clock. Every request to an agent says what time it is, so a guest that is used has the
//! host's time; when the clock jumps, or the host wakes from a suspend, all guests are told. Nothing wakes for it otherwise.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use banger_core::Vms;
use banger_hostsys::clock::Jumps;
use banger_model::chain;

/// How long an agent may take to answer that it was told.
const ANSWER: Duration = Duration::from_secs(10);

/// Tells the guests of all machines what time it is, whenever it is another than it was. Never returns but with an error.
pub(crate) async fn keep(vms: Arc<Vms>) -> io::Result<()> {
    let jumps = Jumps::watch()?;
    loop {
        jumps.next().await?;
        tracing::info!("the clock has jumped, or the host was suspended; setting the guests' clocks");
        for handle in vms.list() {
            let Ok(live) = handle.live() else { continue };
            let name = handle.state().spec.name;
            tokio::spawn(async move {
                match tokio::time::timeout(ANSWER, live.guest().health()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(vm = %name, error = %chain(&error), "could not set a guest's clock");
                    }
                    Err(_) => {
                        tracing::warn!(vm = %name, "could not set a guest's clock: the guest did not answer")
                    }
                }
            });
        }
    }
}
