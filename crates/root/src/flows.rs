//! Flows, as the packet filter logs them (NFLOG; linux/netfilter/nfnetlink_log.h).

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use banger_model::network::{Flow, Network, filter, slot_of_tap};
use banger_netlink::{Message, attributes, received};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use crate::kernel::netlink;
use crate::wire::{Reply, write_frame};

const NFULNL_MSG_PACKET: u16 = 4 << 8;
const NFULNL_MSG_CONFIG: u16 = (4 << 8) | 1;
const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_QTHRESH: u16 = 5;
const NFULA_IFINDEX_INDEV: u16 = 4;
const NFULA_IFINDEX_PHYSINDEV: u16 = 6;
const NFULA_PAYLOAD: u16 = 9;
const NFULA_PREFIX: u16 = 10;
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
        let log = Self { owner, socket };
        log.configure(NFULA_CFG_CMD, &[1])?;
        // Whole packets (2) up to so many bytes; one message a packet, at once.
        log.configure(NFULA_CFG_MODE, &[&SNAP.to_be_bytes()[..], &[2, 0]].concat())?;
        log.configure(NFULA_CFG_QTHRESH, &1u32.to_be_bytes())?;
        Ok(log)
    }

    fn configure(&self, attribute: u16, value: &[u8]) -> io::Result<()> {
        // Any family, version 0, the group.
        let [high, low] = filter::log_group(self.owner).to_be_bytes();
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let message = Message::new(NFULNL_MSG_CONFIG, flags, &[0, 0, high, low]);
        netlink::ask(&self.socket, message.with(attribute, value)).map(drop)
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
            for message in received(&datagram).filter(|message| message.kind == NFULNL_MSG_PACKET) {
                if let Some(flow) = self.flow(message.body, network().as_ref()) {
                    write_frame(to, &Reply::Flow(flow))?;
                }
            }
            to.flush()?;
        }
    }

    fn flow(&self, body: &[u8], network: Option<&Network>) -> Option<Flow> {
        let (mut prefix, mut payload, mut port) = (&[][..], &[][..], None);
        for (kind, value) in attributes(body.get(4..)?) {
            match kind {
                NFULA_PREFIX => prefix = value,
                NFULA_PAYLOAD => payload = value,
                // On a bridge the port is told apart; elsewhere the interface is the bridge, whose name is no TAP's.
                NFULA_IFINDEX_PHYSINDEV | NFULA_IFINDEX_INDEV if port.is_none() => {
                    let index = u32::from_be_bytes(value.try_into().ok()?);
                    let name = rustix::net::netdevice::index_to_name(&self.socket, index).unwrap_or_default();
                    port = slot_of_tap(self.owner, &name);
                }
                _ => {}
            }
        }
        let mut flow = Flow::of_log(prefix, payload)?;
        let by_address = |network: &Network| network.slot(flow.source?);
        flow.slot = port.or_else(|| network.and_then(by_address));
        Some(flow)
    }
}
