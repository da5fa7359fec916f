//! Flows, as the packet filter logs them.

use std::io;
use std::os::unix::net::UnixStream;

use banger_model::network::{Flow, Network, bridge_name, slot_of_tap};
use banger_netlink::{log, received};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use crate::kernel::netlink;
use crate::wire::{Reply, write_frame};

/// As much of a packet as says what it is: an IPv6 header and the ports.
const SNAP: u32 = 128;

/// Groups of the log that are banger's: beyond the low numbers that others configure by hand.
const FIRST: u16 = 0x4000;
const COUNT: u16 = 0x4000;

/// The log of one owner's VMs. The group is the owner's for as long as this lives: the kernel gives it to no other socket.
#[derive(Debug)]
pub(crate) struct FlowLog {
    owner: u32,
    group: u16,
    socket: Socket,
}

impl FlowLog {
    /// Takes a group that nobody has.
    pub(crate) fn open(owner: u32) -> io::Result<Self> {
        let socket = netlink::socket(NETLINK_NETFILTER, &[])?;
        let mut taken = io::Error::from(io::ErrorKind::ResourceBusy);
        for nth in 0..COUNT {
            // There are fewer groups than users, so the one that follows from the owner may be another owner's.
            let group = FIRST + ((owner % u32::from(COUNT)) as u16 + nth) % COUNT;
            match log::take_group(group, SNAP).map(|message| netlink::ask(&socket, message)) {
                [Ok(_), Ok(_), Ok(_)] => return Ok(Self { owner, group, socket }),
                [Err(error), ..] if is_taken(&error) => taken = error,
                [bound, mode, threshold] => {
                    bound?;
                    mode?;
                    threshold?;
                }
            }
        }
        Err(taken)
    }

    /// The group.
    pub(crate) const fn group(&self) -> u16 {
        self.group
    }

    /// Tells of flows until the other side is gone.
    pub(crate) fn stream(
        &self,
        to: &mut UnixStream,
        network: impl Fn() -> Option<Network>,
    ) -> io::Result<()> {
        self.forget()?;
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

    /// Forgets what came while nobody listened.
    fn forget(&self) -> io::Result<()> {
        self.socket.set_non_blocking(true)?;
        while match self.socket.recv_from_full() {
            Ok(_) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOBUFS),
        } {}
        self.socket.set_non_blocking(false)
    }

    fn flow(&self, body: &[u8], network: Option<&Network>) -> Option<Flow> {
        let packet = log::packet(body)?;
        let mut flow = Flow::of_log(packet.prefix, packet.payload)?;
        let name = |link: &u32| rustix::net::netdevice::index_to_name(&self.socket, *link).ok();
        let names: Vec<String> = packet.links.iter().filter_map(name).collect();
        // On a bridge the port is told apart; elsewhere the interface is the bridge, whose name is no TAP's.
        let port = names.iter().find_map(|name| slot_of_tap(self.owner, name));
        // A filter that was loaded when the group was another owner's may still log to it.
        if port.is_none() && !names.contains(&bridge_name(self.owner)) {
            return None;
        }
        let by_address = |network: &Network| network.slot(flow.source?);
        flow.slot = port.or_else(|| network.and_then(by_address));
        Some(flow)
    }
}

/// Whether another socket has the group.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBUSY | libc::EPERM | libc::EEXIST)
    )
}
