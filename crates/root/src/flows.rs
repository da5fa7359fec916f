//! Flows, as the packet filter logs them.

use std::io;
use std::os::unix::net::UnixStream;

use banger_model::network::{bridge_name, slot_of_tap};
use banger_netlink::{log, received};
use banger_netplan::Logged;
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use crate::kernel::netlink;
use crate::wire::{Reply, write_frame};

/// As much of a packet as says what it is: an IPv4 header with all its options, and the ports.
const SNAP: u32 = 64;

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
    pub(crate) fn stream(&self, to: &mut UnixStream) -> io::Result<()> {
        self.forget()?;
        loop {
            if netlink::wait([&*to, &self.socket], None)?[0] {
                return Ok(());
            }
            // What is lost is lost, and its senders were told no all the same.
            let Some(datagram) = netlink::receive(&self.socket)? else {
                continue;
            };
            let packets = received(&datagram).filter(|message| message.kind == log::PACKET);
            for logged in packets.filter_map(|packet| self.logged(packet.body)) {
                write_frame(to, &Reply::Logged(logged))?;
            }
        }
    }

    /// Forgets what came while nobody listened.
    fn forget(&self) -> io::Result<()> {
        self.socket.set_non_blocking(true)?;
        while netlink::receive(&self.socket).is_ok() {}
        self.socket.set_non_blocking(false)
    }

    fn logged(&self, body: &[u8]) -> Option<Logged> {
        let packet = log::packet(body)?;
        let name = |link: &u32| rustix::net::netdevice::index_to_name(&self.socket, *link).ok();
        let names: Vec<String> = packet.links.iter().filter_map(name).collect();
        // On a bridge the port is told apart; elsewhere the interface is the bridge, whose name is no TAP's.
        let port = names.iter().find_map(|name| slot_of_tap(self.owner, name));
        // A filter that was loaded when the group was another owner's may still log to it.
        let is_own = port.is_some() || names.contains(&bridge_name(self.owner));
        is_own.then(|| Logged {
            port,
            prefix: packet.prefix.to_owned(),
            packet: packet.payload.to_owned(),
        })
    }
}

/// Whether another socket has the group.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBUSY | libc::EPERM | libc::EEXIST)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_whose_numbers_meet_have_groups_of_their_own() {
        let owner = 1234;
        // Only root has any.
        let Ok(one) = FlowLog::open(owner) else { return };
        let others = [owner + u32::from(COUNT), owner + 2 * u32::from(COUNT), owner];
        let others = others.map(|owner| FlowLog::open(owner).unwrap());
        let mut groups: Vec<u16> = others.iter().map(FlowLog::group).chain([one.group()]).collect();
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(groups.len(), 4, "{groups:?}");
        assert!(groups.iter().all(|group| (FIRST..FIRST + COUNT).contains(group)));
        // What is given back is the next one's.
        drop(one);
        assert!(FlowLog::open(owner).is_ok());
        banger_cases::refused("egress", "flow-log.owners-that-meet");
    }
}
