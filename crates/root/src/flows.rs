//! Flows, as the packet filter logs them.

use std::io;
use std::os::unix::net::UnixStream;

use banger_model::network::{Flow, Network, filter, slot_of_tap};
use banger_netlink::{log, received};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use crate::kernel::netlink;
use crate::wire::{Reply, write_frame};

/// As much of a packet as says what it is: an IPv6 header and the ports.
const SNAP: u32 = 128;

/// The log of one owner's VMs.
pub(crate) struct FlowLog {
    owner: u32,
    socket: Socket,
}

impl FlowLog {
    /// Takes the owner's log group. `ErrorKind::ResourceBusy` if another has it.
    pub(crate) fn open(owner: u32) -> io::Result<Self> {
        let socket = netlink::socket(NETLINK_NETFILTER, &[])?;
        for message in log::take_group(filter::log_group(owner), SNAP) {
            netlink::ask(&socket, message)?;
        }
        Ok(Self { owner, socket })
    }

    /// Tells of flows until the other side is gone.
    pub(crate) fn stream(
        &self,
        to: &mut UnixStream,
        network: impl Fn() -> Option<Network>,
    ) -> io::Result<()> {
        loop {
            if netlink::wait(to, &self.socket)? {
                return Ok(());
            }
            let datagram = match self.socket.recv_from_full() {
                Ok((datagram, _)) => datagram,
                // More came than there was room for; what is lost is lost, and its senders were told no all the same.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => continue,
                Err(error) => return Err(error),
            };
            let packets = received(&datagram).filter(|message| message.kind == log::PACKET);
            for flow in packets.filter_map(|packet| self.flow(packet.body, network().as_ref())) {
                write_frame(to, &Reply::Flow(flow))?;
            }
        }
    }

    fn flow(&self, body: &[u8], network: Option<&Network>) -> Option<Flow> {
        let packet = log::packet(body)?;
        let mut flow = Flow::of_log(packet.prefix, packet.payload)?;
        // On a bridge the port is told apart; elsewhere the interface is the bridge, whose name is no TAP's.
        let port = packet.links.iter().find_map(|link| {
            let name = rustix::net::netdevice::index_to_name(&self.socket, *link).ok()?;
            slot_of_tap(self.owner, &name)
        });
        let by_address = |network: &Network| network.slot(flow.source?);
        flow.slot = port.or_else(|| network.and_then(by_address));
        Some(flow)
    }
}
