//! Why there is no network, or not for a VM.

use banger_model::network::Subnet;
use banger_model::{Describe, Description, ErrorCode};
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
        /// The command that fixes it.
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

const ASK_DOCTOR: &str = "run `banger doctor` to find the cause";

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::None { hints, .. } => Description::from(ErrorCode::Unsupported).with_hints(hints),
            Self::Mixed { .. } => Description::hinted(
                ErrorCode::Unsupported,
                "stop all VMs first: the next VM uses the `network` setting of config.toml",
            ),
            Self::HostPort { port } => Description::hinted(
                ErrorCode::Unsupported,
                format!(
                    "`vm forward add` with `--reverse {port}:{port}` reaches the host's 127.0.0.1:{port}"
                ),
            ),
            Self::Full(_) => Description::hinted(
                ErrorCode::Unsupported,
                "set a larger one in config.toml: `subnet =  \"10.66.0.0/16\"`",
            ),
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Invalid => Description::hinted(
                ErrorCode::Unsupported,
                "stop VMs that are not needed, or use fewer rules: wider blocks, or names such as `*.example.org`",
            ),
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Conflict => {
                Description::hinted(ErrorCode::AlreadyExists, ASK_DOCTOR)
            }
            Self::Helper { .. } | Self::Resolver(_) => Description::hinted(ErrorCode::Host, ASK_DOCTOR),
            Self::NoSubnet => Description::hinted(
                ErrorCode::Host,
                "set some in config.toml: `subnet =  \"10.66.0.0/24\"`",
            ),
            Self::Panicked | Self::Slot(_) => ErrorCode::Internal.into(),
        }
    }
}
