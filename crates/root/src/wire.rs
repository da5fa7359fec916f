//! What goes over the helper's socket: frames of a big-endian `u32` length and that many bytes of JSON.
//!
//! A client sends a [`Verb`] and gets a [`Reply`], any number of times over one connection. Two verbs differ:
//! [`Verb::DnsSockets`] has descriptors with its reply (`SCM_RIGHTS`, on the first byte of the frame), and after
//! [`Verb::Flows`] the connection carries nothing but [`Reply::Logged`] until the client closes it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use banger_model::network::{Cidr, Mac, NetMode, Network, Room, Slot, Ula};
use banger_netplan::{Answer, Audit, Logged, Rules, Use};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest verb, in bytes.
pub const MAX_FRAME: usize = 256 << 10;
/// The most answers that one verb may bring.
pub const MAX_ANSWERS: usize = 512;

/// Everything that the helper does. Each verb states what shall be, so that saying it twice is saying it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Say what is.
    Status,
    /// Say of which addresses the network may be.
    Range,
    /// Let there be a network: bridge, addresses, forwarding, packet filter, warm TAPs.
    Prepare(Network),
    /// Let the VM of a slot have a TAP, and let these rules hold for it.
    Attach(Attach),
    /// Let the slot have no TAP.
    Detach {
        /// The slot.
        slot: Slot,
    },
    /// Let these rules hold for an attached VM from now on, for connections that there already are too.
    Policy {
        /// The slot.
        slot: Slot,
        /// The rules, in place of all that held before.
        rules: Rules,
    },
    /// Let a VM reach addresses that its resolver gave it, for as long as they live.
    Answers {
        /// The slot.
        slot: Slot,
        /// The addresses, beside those of earlier answers.
        answers: Vec<Answer>,
    },
    /// Let no VM reach these blocks unless a rule names them, in place of those that were said before: they embed addresses that are
    /// refused, behind a prefix by which the host's network leads to IPv4.
    Refuse(BTreeSet<Cidr>),
    /// Give the sockets on which the gateway's addresses are asked for names: UDP and TCP, for each address.
    DnsSockets,
    /// Tell of each new flow of a VM that was allowed, and of each that was denied.
    Flows,
    /// Say where the host differs from the plan, and what of others is in the way. Changes nothing.
    Audit,
    /// Make the host what the plan says it is, and remove what bears this owner's mark and is in no plan.
    Rebuild,
    /// Let there be nothing: every object gone, settings as they were found, the plan forgotten.
    Teardown,
}

/// A VM to attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Its slot, from which its addresses follow.
    pub slot: Slot,
    /// Its card's address; what has another one is dropped.
    pub mac: Mac,
    /// What it may reach.
    pub rules: Rules,
}

/// What a verb comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is so.
    Done,
    /// To `Status`.
    Status(Status),
    /// To `Range`.
    Range(Range),
    /// To `Attach`.
    Attached(Attached),
    /// To `DnsSockets`: what the descriptors beside this are, in their order.
    Sockets(Vec<DnsSocket>),
    /// To `Flows`, one for each flow.
    Logged(Logged),
    /// To `Audit`.
    Audit(Audit),
    /// To anything.
    Failed(Failure),
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The helper's version.
    pub version: String,
    /// The helper's process.
    pub pid: u32,
    /// Whose VMs these are.
    pub owner: u32,
    /// The network, if one is prepared.
    pub network: Option<Network>,
    /// Who is attached.
    pub attached: Vec<(Slot, NetMode)>,
    /// How many TAPs wait.
    pub warm: usize,
    /// How the helper confines itself, one line a means.
    pub confinement: Vec<String>,
    /// Of which addresses root lets networks be; any private ones if none.
    #[serde(default)]
    pub range: Option<Room>,
    /// Why the network has no addresses for now, if it has none.
    #[serde(default)]
    pub withdrawn: Option<String>,
}

/// What a network may be of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Of which addresses root lets networks be; any private ones if none.
    pub room: Option<Room>,
    /// The network of IPv6 that follows from this host and the owner.
    pub ula: Ula,
    /// What the host uses, which no network may meet.
    pub used: Vec<Use>,
}

/// An attached VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The name of the TAP: persistent, the owner's, with virtio-net headers (`IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`).
    pub tap: String,
    /// Whether it was waiting.
    pub warm: bool,
}

/// A socket that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSocket {
    /// Where it is bound.
    pub address: SocketAddr,
    /// A listening TCP socket rather than a UDP one.
    pub tcp: bool,
}

/// Why a verb did not come to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind.
    pub code: FailureCode,
    /// In words, with every cause.
    pub message: String,
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The verb breaks a limit, or is none.
    Invalid,
    /// No network is prepared.
    NotPrepared,
    /// No VM is attached there.
    NotAttached,
    /// It would take what another has.
    Conflict,
    /// Someone else does it already.
    Busy,
    /// The host refused.
    Host,
}

/// Writes one frame.
///
/// # Errors
/// The value is longer than a frame, or the writer fails.
pub fn write_frame(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(value)?)
}

/// One frame as bytes.
pub(crate) fn frame(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), json.as_slice()].concat())
}

/// Reads one frame of at most so many bytes; none if the other side closed the connection before it.
///
/// # Errors
/// The reader fails, the frame is too long, or it holds something else.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read, most: usize) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length[..1]) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    from.read_exact(&mut length[1..])?;
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        let message = format!("a frame of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json)?;
    Ok(Some(serde_json::from_slice(&json)?))
}
