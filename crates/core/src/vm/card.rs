//! A VM's network card, as a step of its start.

use std::sync::Arc;

use banger_hostnet::Attached;
use banger_kernel::KernelRecord;
use banger_model::network::NetworkChoice;
use banger_vmm::Backend;
use tokio::sync::oneshot;

use super::network;
use super::row::VmRow;
use super::undo::Undo;
use super::{Context, Error};

/// Gives the VM its card, where there is a network, and a VMM and a kernel that know one; else says why there is none. What
/// removes a machine's traces takes it away again.
pub(super) async fn attach(
    context: &Arc<Context>,
    row: &VmRow,
    kernel: &KernelRecord,
    backend: &dyn Backend,
    undo: &mut Undo,
) -> Result<Result<Attached, String>, Error> {
    let spec = &row.spec;
    let config = context.config()?;
    let insists = matches!(config.network, NetworkChoice::Helper | NetworkChoice::Rootless);
    let must = banger_hostnet::needs_card(spec.net.mode) || insists;
    let capabilities = backend.capabilities();
    let incapable = if !capabilities.network {
        Some(format!("{} gives guests no network card", capabilities.vmm))
    } else if kernel.drives_network() == Some(false) {
        Some(format!(
            "kernel {} has no driver for a network card (virtio_net)",
            kernel.name
        ))
    } else {
        None
    };
    match incapable {
        Some(reason) if must => {
            return Err(Error::Unsupported {
                name: spec.name.clone(),
                reason,
            });
        }
        Some(reason) => return Ok(Err(reason)),
        None => {}
    }
    // A start that is cancelled meanwhile waits for the call's end before it takes its result back.
    let (ended, is_over) = oneshot::channel::<()>();
    undo.push("wait for its network card", async move {
        let _ = is_over.await;
        Ok(())
    });
    let rules = context.rules(&spec.net);
    let (on_thread, of_vm) = (Arc::clone(context), spec.clone());
    let attaching = tokio::task::spawn_blocking(move || {
        let _ended = ended;
        let context = &on_thread;
        let settings = network::settings(&config);
        context.network.attach(&settings, &context.kept(), &of_vm, rules)
    });
    match attaching
        .await
        .map_err(|_| Error::Defect("attaching a VM panicked"))?
    {
        Ok(attached) => Ok(Ok(attached)),
        Err(banger_hostnet::Error::None { reason, .. }) if !must => Ok(Err(reason)),
        Err(source) => Err(Error::Network {
            name: spec.name.clone(),
            source,
        }),
    }
}
