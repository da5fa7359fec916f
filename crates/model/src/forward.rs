//! Forwards: ports of a guest that the host has, and ports of the host that a guest has.

mod text;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The most forwards of one VM.
pub const MAX_FORWARDS: usize = 64;

/// Where a port is published unless an address is named: programs try either for `localhost`.
pub const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// What a port is of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Streams.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// The protocol as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A port that one side has and the other side serves. Bytes go over vsock, so no network is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "direction", rename_all = "snake_case")]
pub enum Forward {
    /// The host listens, the guest serves.
    Publish(Publish),
    /// The guest listens, the host serves.
    Reverse(Reverse),
}

/// A port of the guest that the host has. Its text is `[ADDR:]HOST:GUEST[/udp]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The host's address to listen at; both loopback addresses, 127.0.0.1 and ::1, when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The host's port; 0 for one that is free, which then stays the same.
    #[serde(default)]
    pub host_port: u16,
    /// The guest's port.
    pub guest_port: u16,
    /// Of what the ports are.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A TCP port on the host's loopback address that the guest has on its own. Its text is `GUEST:HOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reverse {
    /// The guest's port.
    pub guest_port: u16,
    /// The host's port.
    pub host_port: u16,
}

/// A forward that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidForward {
    /// Not of the form for publishing.
    #[error(
        "invalid port forward `{0}`: expected [ADDR:]HOST:GUEST[/udp], such as 8080:80, or :80 for a free port"
    )]
    Publish(String),
    /// Not of the form for the other direction.
    #[error("invalid reverse forward `{0}`: expected GUEST:HOST, such as 5432:5432")]
    Reverse(String),
    /// Port 0 of what has to be a port.
    #[error("invalid port forward `{0}`: port 0 is not valid")]
    Zero(String),
    /// Both would have the same port.
    #[error("port forwards `{0}` and `{1}` use the same port")]
    Twice(String, String),
    /// Too many.
    #[error("too many port forwards: a VM can have at most {MAX_FORWARDS}")]
    TooMany,
}

impl Publish {
    /// Whether it listens where only this host can connect.
    pub const fn is_local(&self) -> bool {
        match self.address {
            None => true,
            Some(IpAddr::V4(address)) => address.is_loopback(),
            Some(IpAddr::V6(address)) => address.is_loopback(),
        }
    }

    /// Whether both cannot listen at once on one host.
    fn collides(&self, other: &Self) -> bool {
        let meet = match (self.address, other.address) {
            (Some(one), Some(other)) => {
                one == other
                    || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
            }
            (None, Some(address)) | (Some(address), None) => {
                LOOPBACK.contains(&address) || address.is_unspecified()
            }
            (None, None) => true,
        };
        meet && self.protocol == other.protocol && self.host_port == other.host_port && self.host_port != 0
    }
}

impl Forward {
    /// Whether this is what `asked` names: a host port of 0 names any.
    pub fn is_named(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Publish(one), Self::Publish(asked)) => {
                let any = Publish { host_port: 0, ..*one };
                one == asked || any == *asked
            }
            (one, asked) => one == asked,
        }
    }

    /// Whether both cannot be at once in one VM.
    fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Publish(one), Self::Publish(other)) => one == other || one.collides(other),
            (Self::Reverse(one), Self::Reverse(other)) => one.guest_port == other.guest_port,
            _ => false,
        }
    }

    fn validate(&self) -> Result<(), InvalidForward> {
        let zero = match self {
            Self::Publish(publish) => publish.guest_port == 0,
            Self::Reverse(reverse) => reverse.guest_port == 0 || reverse.host_port == 0,
        };
        if zero {
            return Err(InvalidForward::Zero(self.to_string()));
        }
        Ok(())
    }
}

/// Checks the forwards of one VM: each for itself, and against each other.
///
/// # Errors
/// The first rule that is broken.
pub fn validate_forwards(forwards: &[Forward]) -> Result<(), InvalidForward> {
    if forwards.len() > MAX_FORWARDS {
        return Err(InvalidForward::TooMany);
    }
    for (index, forward) in forwards.iter().enumerate() {
        forward.validate()?;
        if let Some(earlier) = forwards[..index].iter().find(|earlier| earlier.collides(forward)) {
            return Err(InvalidForward::Twice(earlier.to_string(), forward.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
