//! Why there is no network, or not for a VM.

use banger_model::network::Subnet;
use banger_model::{Describe, ErrorCode};
use banger_root::CallError;
use banger_root::wire::FailureCode;

use crate::records::Unkept;
use crate::way::Way;

/// There is no network, or not for this VM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No helper is configured, or none answers.
    #[error("there is no network: {reason}")]
    None {
        /// Why.
        reason: String,
        /// What mends it.
        hints: Vec<String>,
    },
    /// VMs that run have another one than is asked for.
    #[error("the VMs that run have a network of another kind ({way})")]
    Mixed {
        /// Who made theirs.
        way: Way,
    },
    /// The gateway of a user's own network is not the host.
    #[error("`host:{port}` takes the root helper: a network of this user's own does not lead to the host")]
    HostPort {
        /// The port.
        port: u16,
    },
    /// The helper failed.
    #[error("ask the root helper to {what}")]
    Helper {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: CallError,
    },
    /// Who keeps slots failed.
    #[error("keep the slot of a VM")]
    Slot(#[source] Unkept),
    /// Every private address is somebody's.
    #[error("find private addresses that nobody on this host uses")]
    NoSubnet,
    /// The resolver cannot listen.
    #[error("answer VMs that ask for names")]
    Resolver(#[source] banger_dns::ListenError),
    /// A thread of blocking work panicked.
    #[error("a call to the root helper panicked")]
    Panicked,
    /// There are as many VMs as addresses.
    #[error("the network {0} has an address for no more VMs")]
    Full(Subnet),
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::None { .. } | Self::Full(_) | Self::Mixed { .. } | Self::HostPort { .. } => {
                ErrorCode::Unsupported
            }
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Conflict => ErrorCode::AlreadyExists,
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Invalid => ErrorCode::Unsupported,
            Self::Helper { .. } | Self::NoSubnet | Self::Resolver(_) => ErrorCode::Host,
            Self::Panicked | Self::Slot(_) => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::None { hints, .. } => return hints.clone(),
            Self::Panicked | Self::Slot(_) => return Vec::new(),
            Self::Mixed { .. } => "stop them first: the next VM gets what `network` in config.toml says",
            Self::HostPort { port } => {
                return vec![format!(
                    "`vm forward add` with `--reverse {port}:{port}` leads to the host's 127.0.0.1"
                )];
            }
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Invalid => {
                "stop VMs that are not needed, or give them fewer rules: wider blocks, or names such as `*.example.org`"
            }
            Self::Helper { .. } | Self::Resolver(_) => "`banger doctor` tells what differs from the plan",
            Self::NoSubnet => "name some: `subnet = \"10.66.0.0/24\"` in config.toml",
            Self::Full(_) => "name a larger one: `subnet = \"10.66.0.0/16\"` in config.toml",
        };
        vec![hint.to_owned()]
    }
}
