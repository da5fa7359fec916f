//! Flows, as the packet filter logs them (NFLOG; linux/netfilter/nfnetlink_log.h).

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use banger_model::network::{Flow, Network, filter, slot_of_tap};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use rustix::event::{PollFd, PollFlags, poll};

use crate::wire::{Reply, write_frame};

const NLMSG_ERROR: u16 = 2;
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
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        let log = Self { owner, socket };
        log.configure(NFULA_CFG_CMD, &[1])?;
        // Whole packets (2) up to so many bytes; one message a packet, at once.
        log.configure(NFULA_CFG_MODE, &[&SNAP.to_be_bytes()[..], &[2, 0]].concat())?;
        log.configure(NFULA_CFG_QTHRESH, &1u32.to_be_bytes())?;
        Ok(log)
    }

    fn configure(&self, attribute: u16, value: &[u8]) -> io::Result<()> {
        let length = 4 + value.len();
        let mut message = Vec::new();
        message.extend_from_slice(&((20 + length.next_multiple_of(4)) as u32).to_ne_bytes());
        message.extend_from_slice(&NFULNL_MSG_CONFIG.to_ne_bytes());
        // A request (1) to be acknowledged (4), number and port 0, any family, version 0, the group.
        message.extend_from_slice(&5u16.to_ne_bytes());
        message.extend_from_slice(&[0; 10]);
        message.extend_from_slice(&filter::log_group(self.owner).to_be_bytes());
        message.extend_from_slice(&(length as u16).to_ne_bytes());
        message.extend_from_slice(&attribute.to_ne_bytes());
        message.extend_from_slice(value);
        message.resize(message.len().next_multiple_of(4), 0);
        self.socket.send(&message, 0)?;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            if number16(&answer, 4) == Some(NLMSG_ERROR) {
                let code = answer
                    .get(16..20)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map_or(0, i32::from_ne_bytes);
                return if code == 0 {
                    Ok(())
                } else {
                    Err(io::Error::from_raw_os_error(-code))
                };
            }
        }
    }

    /// Tells of flows until the other side is gone.
    pub(crate) fn stream(
        &self,
        to: &mut UnixStream,
        network: impl Fn() -> Option<Network>,
    ) -> io::Result<()> {
        loop {
            let log = self.socket.as_fd();
            let mut events = [PollFd::new(&log, PollFlags::IN), PollFd::new(to, PollFlags::IN)];
            poll(&mut events, None)?;
            if !events[1].revents().is_empty() {
                return Ok(());
            }
            let datagram = match self.socket.recv_from_full() {
                Ok((datagram, _)) => datagram,
                // More came than there was room for; what is lost is lost, and its senders were told no all the same.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => continue,
                Err(error) => return Err(error),
            };
            let mut rest = datagram.as_slice();
            while let Some(length) = number16(rest, 0).map(usize::from).filter(|length| *length >= 20) {
                let message = &rest[..length.min(rest.len())];
                if number16(message, 4) == Some(NFULNL_MSG_PACKET)
                    && let Some(flow) = self.flow(&message[20..], network().as_ref())
                {
                    write_frame(to, &Reply::Flow(flow))?;
                }
                rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            }
            to.flush()?;
        }
    }

    fn flow(&self, attributes: &[u8], network: Option<&Network>) -> Option<Flow> {
        let (mut prefix, mut payload, mut port) = (&[][..], &[][..], None);
        let mut rest = attributes;
        while let (Some(length), Some(kind)) = (number16(rest, 0).map(usize::from), number16(rest, 2)) {
            let value = rest.get(4..length)?;
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
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let text = std::str::from_utf8(prefix).ok()?.trim_end_matches('\0');
        let (verdict, rule) = text.strip_prefix("banger:")?.split_once(':')?;
        let rule = serde_json::from_value(rule.into()).ok()?;
        let mut flow = Flow::of_packet(payload);
        (flow.allowed, flow.rule) = (verdict == "allow", rule);
        let by_address = |network: &Network| network.slot(flow.source?);
        flow.slot = port.or_else(|| network.and_then(by_address));
        Some(flow)
    }
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
