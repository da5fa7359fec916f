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
    #[error("no network is available: {reason}")]
    None {
        /// Why.
        reason: String,
        /// What mends it.
        hints: Vec<String>,
    },
    /// VMs that run have another one than is asked for.
    #[error("the running VMs use another network backend ({way})")]
    Mixed {
        /// Who made theirs.
        way: Way,
    },
    /// The gateway of a user's own network is not the host.
    #[error("`host:{port}` needs the root helper: the rootless network does not reach the host")]
    HostPort {
        /// The port.
        port: u16,
    },
    /// The helper failed.
    #[error("failed to ask the root helper to {what}")]
    Helper {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: CallError,
    },
    /// Who keeps slots failed.
    #[error("failed to store the network slot of a VM")]
    Slot(#[source] Unkept),
    /// Every private address is somebody's.
    #[error("failed to find private addresses that are unused on this host")]
    NoSubnet,
    /// The resolver cannot listen.
    #[error("failed to start the DNS resolver for VMs")]
    Resolver(#[source] banger_dns::ListenError),
    /// A thread of blocking work panicked.
    #[error("a call to the root helper panicked")]
    Panicked,
    /// There are as many VMs as addresses.
    #[error("the network {0} has no free address for another VM")]
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
            Self::Mixed { .. } => "stop all VMs first: the next VM uses the `network` setting of config.toml",
            Self::HostPort { port } => {
                return vec![format!(
                    "`vm forward add` with `--reverse {port}:{port}` reaches the host's 127.0.0.1:{port}"
                )];
            }
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Invalid => {
                "stop VMs that are not needed, or use fewer rules: wider blocks, or names such as `*.example.org`"
            }
            Self::Helper { .. } | Self::Resolver(_) => "run `banger doctor` to find the cause",
            Self::NoSubnet => "set some in config.toml: `subnet =  \"10.66.0.0/24\"`",
            Self::Full(_) => "set a larger one in config.toml: `subnet =  \"10.66.0.0/16\"`",
        };
        vec![hint.to_owned()]
    }
}
