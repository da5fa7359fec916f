//! Why the helper does not do a verb.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use banger_model::network::{Cidr, InvalidRules, Mac, Slot};

use crate::kernel::HostError;
use crate::plan::StoreError;
use crate::wire::{Failure, FailureCode, MAX_ANSWERS};

/// Why a verb is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing was prepared.
    #[error("no network is prepared")]
    NoNetwork,
    /// The slot has no VM.
    #[error("no VM is attached at slot {0}")]
    NotAttached(Slot),
    /// The subnet has no address for it.
    #[error("slot {slot} is beyond the {capacity} of the subnet")]
    Slot {
        /// The slot.
        slot: Slot,
        /// How many there are.
        capacity: u16,
    },
    /// The rules break a limit.
    #[error("the rules of slot {slot} are refused")]
    Rules {
        /// The slot.
        slot: Slot,
        /// Which limit.
        source: InvalidRules,
    },
    /// A packet size that a network cannot have.
    #[error("an MTU of {0} bytes is not possible: use 1280 to 9216")]
    Mtu(u16),
    /// Too many waiting TAPs.
    #[error("a pool of {0} TAPs is not possible: use up to 64")]
    Pool(u8),
    /// Two VMs with one card.
    #[error("{mac} is the address of the card of slot {slot}")]
    MacTaken {
        /// The card's address.
        mac: Mac,
        /// Who has it.
        slot: Slot,
    },
    /// An answer that no name may have.
    #[error("{0} is not on the public Internet, so no name may stand for it: allow it as an address")]
    Answer(IpAddr),
    /// Too many answers at a time, or alive.
    #[error("{0} answers are too many: send up to {MAX_ANSWERS}, of which 4,096 live at a time")]
    Answers(usize),
    /// A mode in which names open nothing.
    #[error("slot {0} has no network, so no answer opens anything")]
    ModeOff(Slot),
    /// The host reaches these addresses elsewhere.
    #[error("{ours} meets {theirs}, which this host uses: choose another network")]
    Overlap {
        /// What was asked for.
        ours: Cidr,
        /// What there is.
        theirs: Cidr,
    },
    /// Addresses change under VMs.
    #[error("VMs are attached to the network that there is: detach them before another one is prepared")]
    InUse,
    /// The host refuses.
    #[error("the host refused")]
    Host(#[from] HostError),
    /// The record fails.
    #[error("the plan cannot be recorded")]
    Store(#[from] StoreError),
    /// The gateway's port 53.
    #[error("cannot listen at {address} port 53")]
    Dns {
        /// The gateway's address.
        address: IpAddr,
        /// Why not.
        source: io::Error,
    },
    /// The verb failed, and so did what should have undone it.
    #[error("{cause}; and this stays: {}", left.join("; "))]
    Left {
        /// Why the verb failed, in words.
        cause: String,
        /// What could not be undone.
        left: Vec<String>,
    },
}

impl Refusal {
    const fn code(&self) -> FailureCode {
        match self {
            Self::NoNetwork => FailureCode::NotPrepared,
            Self::NotAttached(_) => FailureCode::NotAttached,
            Self::Slot { .. }
            | Self::Rules { .. }
            | Self::Mtu(_)
            | Self::Pool(_)
            | Self::Answer(_)
            | Self::Answers(_)
            | Self::ModeOff(_) => FailureCode::Invalid,
            Self::MacTaken { .. } | Self::Overlap { .. } | Self::InUse => FailureCode::Conflict,
            Self::Host(_) | Self::Store(_) | Self::Dns { .. } | Self::Left { .. } => FailureCode::Host,
        }
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        Self {
            code: refusal.code(),
            message: chain(refusal),
        }
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
