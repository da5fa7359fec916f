//! Taking note of flows, for as long as there is a daemon.

use std::sync::Arc;

use banger_dns::Oracle;
use banger_model::chain;
use banger_model::network::Network as Addresses;
use banger_netplan::daemon::Flow;

use crate::egress::{Egress, Learnt};
use crate::flows::{self, Taker};
use crate::names::Names;
use crate::network::Network;
use crate::records::Records;
use crate::way::Way;

impl Network {
    /// Listens to the helpers for flows from now on, and keeps in `records` what VMs learn. Call it in the runtime, once.
    pub fn listen(&self, records: &Arc<dyn Records>) {
        self.around.follow();
        let book = Arc::new(Bookkeeper {
            names: Arc::clone(&self.names),
            egress: Arc::clone(&self.egress),
            records: Arc::clone(records),
        });
        let follow = |socket, way| {
            let stirred = Arc::clone(self.helper.stirred(way));
            tokio::spawn(flows::follow(socket, stirred, Arc::clone(&book)));
        };
        if let Some(socket) = self.helper.root() {
            follow(socket.to_owned(), Way::Helper);
        }
        follow(self.helper.rootless().socket(), Way::Rootless);
    }
}

/// Who takes note of flows.
struct Bookkeeper {
    names: Arc<Names>,
    egress: Arc<Egress>,
    records: Arc<dyn Records>,
}

impl Taker for Bookkeeper {
    fn take(&self, flow: &Flow) {
        let peer = flow.destination.and_then(|address| self.names.reverse(address));
        // Before anyone is told of the flow, who may then ask what was learnt.
        if let Some(Learnt { vm, rules }) = self.egress.learnt(flow, peer.as_ref())
            && let Err(error) = self.records.learn(vm, &rules)
        {
            tracing::warn!(%vm, error = %chain(&*error), "could not store a learned destination");
        }
        self.egress.seen(flow, peer.as_ref());
    }

    fn gap(&self) {
        self.egress.gap();
    }

    fn network(&self) -> Option<Addresses> {
        self.names.addresses()
    }
}
