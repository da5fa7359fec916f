//! Why the helper does not do a verb.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use banger_model::network::{InvalidNetwork, InvalidRules, Mac, Slot};
use banger_netplan::{Conflict, MAX_ALIVE};

use crate::kernel::HostError;
use crate::wire::{Failure, FailureCode, MAX_ANSWERS, Reply};

/// Why a verb is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing was prepared.
    #[error("no network is prepared")]
    NoNetwork,
    /// The slot has no VM.
    #[error("no VM is attached at slot {0}")]
    NotAttached(Slot),
    /// The network breaks a limit.
    #[error(transparent)]
    Network(#[from] InvalidNetwork),
    /// The subnet has no address for it.
    #[error("slot {0} is beyond the {1} of the subnet")]
    Slot(Slot, u16),
    /// The rules break a limit.
    #[error("the rules of slot {0} are refused")]
    Rules(Slot, #[source] InvalidRules),
    /// Two VMs with one card.
    #[error("{0} is the address of the card of slot {1}")]
    MacTaken(Mac, Slot),
    /// An answer that no name may have.
    #[error("{0} is not on the public Internet, so a name cannot allow it: allow it as an address")]
    Answer(IpAddr),
    /// Too many answers at a time, or alive.
    #[error("{0} answers are too many: send up to {MAX_ANSWERS}, of which {MAX_ALIVE} are valid at a time")]
    Answers(usize),
    /// A mode in which names open nothing.
    #[error("slot {0} has no network, so DNS answers cannot allow anything")]
    ModeOff(Slot),
    /// Addresses that the owner may not have, or not now.
    #[error("the network has no addresses: {0}")]
    Conflict(Conflict),
    /// Another owner's helper.
    #[error("failed to wait for the root helpers of other users")]
    Alone(#[source] io::Error),
    /// More than one owner may have.
    #[error("there are too many {0}: the limit of an owner is {1}")]
    Budget(&'static str, usize),
    /// Faster than the host should be changed.
    #[error("too many answers in a short time: send them together, or later")]
    Flood,
    /// Addresses change under VMs.
    #[error("VMs are attached to the current network: detach them before another network is prepared")]
    InUse,
    /// The host refuses, also to record the plan.
    #[error("failed to access the network of the host")]
    Host(#[from] HostError),
    /// The gateway's port 53.
    #[error("failed to listen at {0}, port 53")]
    Dns(IpAddr, #[source] io::Error),
    /// The log of flows; another connection has it, perhaps.
    #[error("failed to read the log of flows")]
    Flows(#[source] io::Error),
    /// Not one of the verbs.
    #[error("unknown request")]
    NoVerb(#[source] io::Error),
    /// The verb failed, and so did what should have undone it: why, and what stays.
    #[error("{0}; not removed: {left}", left = .1.join("; "))]
    Left(String, Vec<String>),
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NoNetwork => FailureCode::NotPrepared,
            Refusal::NotAttached(_) => FailureCode::NotAttached,
            Refusal::MacTaken(..) | Refusal::Conflict(_) | Refusal::InUse => FailureCode::Conflict,
            Refusal::Flows(error) if error.kind() == io::ErrorKind::ResourceBusy => FailureCode::Busy,
            Refusal::Flood => FailureCode::Busy,
            Refusal::Host(_)
            | Refusal::Alone(_)
            | Refusal::Dns(..)
            | Refusal::Flows(_)
            | Refusal::Left(..) => FailureCode::Host,
            // All others are about what was asked.
            _ => FailureCode::Invalid,
        };
        let message = chain(&refusal);
        Self::Failed(Failure { code, message })
    }
}

/// What could not be undone or removed, in words.
#[derive(Default)]
pub(super) struct Left(Vec<String>);

impl Left {
    /// Goes on after a failure that is told later.
    pub(super) fn note<T, E: Error>(&mut self, result: Result<T, E>) {
        self.0.extend(result.err().map(|error| chain(&error)));
    }

    /// Nothing failed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The refusal that says what stays, if anything does.
    pub(super) fn after(self, cause: Refusal) -> Refusal {
        self.done(&chain(&cause)).err().unwrap_or(cause)
    }

    /// The same where nothing but what stays is wrong.
    pub(super) fn done(self, cause: &str) -> Result<(), Refusal> {
        match self.0 {
            left if left.is_empty() => Ok(()),
            left => Err(Refusal::Left(cause.to_owned(), left)),
        }
    }
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}
