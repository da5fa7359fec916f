//! What the server asks of the daemon, and what it tells it.

use std::net::IpAddr;
use std::sync::Arc;

use banger_model::VmName;
use banger_model::network::{Allow, Policy, Refused, Slot};

/// Who knows the VMs. All but [`Oracle::learned`] is asked for each question, and must not wait.
pub trait Oracle: Send + Sync + 'static {
    /// Why addresses were not learned.
    type Error: std::error::Error + Send + Sync;

    /// The addresses of a running VM.
    fn vm(&self, name: &VmName) -> Option<Vec<IpAddr>>;

    /// The VM that has an address.
    fn reverse(&self, address: IpAddr) -> Option<VmName>;

    /// Who asks from an address: the host from loopback and from its own address on the bridge, a VM from its own. What
    /// comes from no one is dropped.
    fn asker(&self, source: IpAddr) -> Option<Asker>;

    /// Lets a VM reach addresses. The VM is told of them when this has come back well, and not before; it may be told of
    /// the same ones again and again ([`crate::Known`] says which are news).
    fn learned(
        &self,
        slot: Slot,
        answers: Vec<Answer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// What is refused to every VM of this host that is not told otherwise: no name leads there.
    fn refused(&self) -> Arc<Refused>;

    /// Takes note of what a VM asked for, and what came of it.
    fn asked(&self, slot: Slot, asked: Asked);
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// The host.
    Host,
    /// A VM.
    Guest(Guest),
}

/// A VM that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its place.
    pub slot: Slot,
    /// Its name.
    pub name: VmName,
    /// What it may reach.
    pub policy: Arc<Policy>,
}

/// An address that a VM was given for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The address. It is never one that is refused to every VM.
    pub address: IpAddr,
    /// The port that the name's rule is limited to.
    pub port: Option<u16>,
    /// For how many seconds, 1 to 86,400.
    pub ttl: u32,
}

/// What a VM asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name, in lower case, without the last dot; what is no letter, digit, `-` or `_` is escaped.
    pub name: String,
    /// The type of record, such as `AAAA`.
    pub kind: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered, perhaps with nothing.
    Answered {
        /// The rules of the VM that are about the name.
        rules: Vec<Allow>,
        /// The addresses that the VM was given.
        addresses: Vec<IpAddr>,
        /// The addresses that it was not given, because they are refused to every VM.
        withheld: Vec<IpAddr>,
    },
    /// It was refused.
    Refused(Refusal),
    /// No one could answer it, in words.
    Failed(String),
}

/// Why a question was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The VM reaches nothing.
    Off,
    /// No rule of the VM is about the name.
    Unlisted,
    /// It is another VM's name, and no rule of the VM names that.
    Peer,
}

impl Refusal {
    /// The reason in words, for the VM.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "this VM has no network",
            Self::Unlisted => "not on the allow list of this VM",
            Self::Peer => "not a VM that this VM can reach",
        }
    }
}
