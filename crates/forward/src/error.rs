//! Why a port is not forwarded.

use std::net::SocketAddr;

use banger_model::{Describe, Description, ErrorCode, Forward, InvalidForward, Protocol, Publish};

use crate::holder::Holder;

/// A port is not forwarded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It breaks a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidForward),
    /// Others could connect, and nobody said that they may.
    #[error("`{0}` would be open to other hosts")]
    NotOpen(Publish),
    /// Somebody has the port.
    #[error("{protocol} port {address} is already in use{}", .holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    Taken {
        /// TCP or UDP.
        protocol: Protocol,
        /// Which port, at which address.
        address: SocketAddr,
        /// Who, if that can be seen.
        holder: Option<Holder>,
    },
    /// No free port was found.
    #[error("no port is free on both loopback addresses")]
    NoneFree,
    /// Low ports are the system's.
    #[error("port {0} is privileged")]
    Privileged(u16),
    /// Not an address of this host.
    #[error("{0} is not an address of this host")]
    NoAddress(std::net::IpAddr),
    /// The system refused.
    #[error("failed to listen on {protocol} port {address}")]
    Listen {
        /// TCP or UDP.
        protocol: Protocol,
        /// Which port, at which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is there already.
    #[error("forward `{0}` already exists")]
    Exists(Forward),
    /// It is not there.
    #[error("there is no forward `{asked}`")]
    Unknown {
        /// The one that was asked for.
        asked: Forward,
        /// Those that are there.
        present: Vec<Forward>,
    },
    /// The guest does not listen.
    #[error("{0}")]
    Guest(String),
    /// The guest said nothing.
    #[error("the guest did not answer")]
    Silent,
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidRequest.into(),
            Self::NotOpen(publish) => Description::hinted(
                ErrorCode::InvalidRequest,
                format!(
                    "add `--open` if other hosts may connect, or omit the address: `{}`",
                    Publish {
                        address: None,
                        ..*publish
                    }
                ),
            ),
            Self::Taken { address, .. } => Description::hinted(
                ErrorCode::InUse,
                format!(
                    "choose another port, or let banger choose one: leave out {}",
                    address.port()
                ),
            ),
            Self::NoneFree | Self::Listen { .. } => ErrorCode::Host.into(),
            Self::Privileged(port) => Description::hinted(
                ErrorCode::InvalidRequest,
                format!(
                    "choose a port from 1024 on, such as {}; or allow low ports for users: \
                     `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}`",
                    u32::from(*port) + 8000
                ),
            ),
            Self::NoAddress(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "`ip address` lists the addresses of this host; 0.0.0.0 means all of them",
            ),
            Self::Exists(_) => ErrorCode::AlreadyExists.into(),
            Self::Unknown { present, .. } if present.is_empty() => {
                Description::hinted(ErrorCode::NotFound, "the VM has no forwards")
            }
            Self::Unknown { present, .. } => {
                let present: Vec<_> = present.iter().map(shown).collect();
                Description::hinted(ErrorCode::NotFound, format!("available: {}", present.join(", ")))
            }
            Self::Guest(_) => ErrorCode::Guest.into(),
            Self::Silent => {
                Description::hinted(ErrorCode::Timeout, "the guest's console may show the reason")
            }
        }
    }
}

/// A forward as its option has it.
fn shown(forward: &Forward) -> String {
    match forward {
        Forward::Publish(publish) => publish.to_string(),
        Forward::Reverse(reverse) => format!("--reverse {reverse}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_tells_who_has_it() {
        let taken = Error::Taken {
            protocol: Protocol::Tcp,
            address: "127.0.0.1:8080".parse().unwrap(),
            holder: Some(Holder::Process {
                pid: 7,
                command: "nginx".to_owned(),
            }),
        };
        assert_eq!(
            taken.to_string(),
            "tcp port 127.0.0.1:8080 is already in use by process 7 (nginx)"
        );
    }

    #[test]
    fn low_and_open_ports_have_a_hint() {
        let hints = Error::Privileged(80).describe().hints;
        assert!(
            hints[0].starts_with("choose a port from 1024 on, such as 8080;"),
            "{hints:?}"
        );
        let open = Error::NotOpen("0.0.0.0:8080:80".parse().unwrap());
        assert_eq!(open.to_string(), "`0.0.0.0:8080:80` would be open to other hosts");
        assert!(open.describe().hints[0].contains("`8080:80`"));
    }
}
