//! `bangerd helper`: what a user's root helper says of itself and of the host. Starts none.

use std::path::PathBuf;

use banger_api::{HelperMember, HelperNetwork, HelperReport, HelperState};
use banger_model::chain;
use banger_root::{CallError, Client};

use crate::socket::socket_of;

/// Asks the helper of a user. Where this daemon's own directories are does not matter.
pub fn report(owner: u32) -> HelperReport {
    let socket = socket_of(false, owner);
    let asked = socket.clone().map(ask);
    let (state, problem) = match asked {
        Some(Ok(state)) => (Some(state), None),
        Some(Err(error)) => (None, Some(chain(&error))),
        None => (None, Some("BANGER_ROOT_SOCKET is empty".to_owned())),
    };
    HelperReport {
        owner,
        socket,
        state,
        problem,
    }
}

fn ask(socket: PathBuf) -> Result<HelperState, CallError> {
    let mut client = Client::connect(&socket)?;
    let status = client.status()?;
    let network = status.network.as_ref();
    let member = |&(slot, mode): &(_, _)| HelperMember {
        addresses: network
            .map(|network| network.addresses(slot).collect())
            .unwrap_or_default(),
        mode,
    };
    Ok(HelperState {
        attached: status.attached.iter().map(member).collect(),
        network: network.map(|network| HelperNetwork {
            subnet: network.subnet.to_string(),
            ula: network.ula.to_string(),
        }),
        range: status.range.map(|room| room.to_string()),
        withdrawn: status.withdrawn.clone(),
        version: status.version,
        pid: status.pid,
        confinement: status.confinement,
        findings: client.audit()?,
    })
}
