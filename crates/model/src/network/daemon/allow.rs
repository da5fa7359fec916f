//! One rule of an allow list, as a user writes it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::{Cidr, InvalidCidr};
use super::domain::DomainName;
use crate::VmName;

/// What a VM may reach: one line of its allow list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Allow {
    /// Addresses: `10.0.0.0/8`, `203.0.113.7:443`, `[2001:db8::1]:443`.
    Net {
        /// The addresses.
        net: Cidr,
        /// The TCP and UDP port; every port and protocol if none.
        port: Option<u16>,
    },
    /// One name, as banger's resolver answers it: `example.com`, `example.com:443`.
    Name {
        /// The name.
        name: DomainName,
        /// The TCP and UDP port; every port and protocol if none.
        port: Option<u16>,
    },
    /// All names under one, but not that name itself: `*.example.com`.
    Under {
        /// The name above.
        domain: DomainName,
        /// The TCP and UDP port; every port and protocol if none.
        port: Option<u16>,
    },
    /// Another VM of the same user: `vm:NAME`.
    Vm(VmName),
    /// A TCP or UDP port of the host's own, at the gateway's address: `host:PORT`.
    Host(u16),
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllow {
    /// Nothing that the rules know.
    #[error(
        "invalid network rule `{0}`: expected HOST[:PORT], CIDR[:PORT], *.DOMAIN[:PORT], vm:NAME or host:PORT"
    )]
    Text(String),
    /// What follows the last colon is no port.
    #[error("invalid port `{port}` in network rule `{text}`: expected 1 to 65535")]
    Port {
        /// The rule.
        text: String,
        /// What stands for a port.
        port: String,
    },
    /// Nearly a block of addresses.
    #[error("invalid network rule `{text}`")]
    Cidr {
        /// The rule.
        text: String,
        /// What is wrong with the block.
        source: InvalidCidr,
    },
    /// `host` alone.
    #[error("invalid network rule `{0}`: expected host:PORT")]
    HostPort(String),
    /// `vm:` and no name of a VM.
    #[error("invalid VM name in network rule `{text}`")]
    Vm {
        /// The rule.
        text: String,
        /// What is wrong with the name.
        source: crate::InvalidName,
    },
}

impl Allow {
    /// Whether the rule is about this name, so that its addresses may be reached. The name's case does not matter.
    pub fn is_for_name(&self, name: &DomainName) -> bool {
        match self {
            Self::Name { name: own, .. } => own == name,
            Self::Under { domain, .. } => name
                .as_str()
                .strip_suffix(domain.as_str())
                .is_some_and(|host| host.len() > 1 && host.ends_with('.')),
            Self::Net { .. } | Self::Vm(_) | Self::Host(_) => false,
        }
    }

    /// The port that the rule is limited to.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Net { port, .. } | Self::Name { port, .. } | Self::Under { port, .. } => *port,
            Self::Host(port) => Some(*port),
            Self::Vm(_) => None,
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net {
                net,
                port: Some(port),
            } if net.first().is_ipv6() => write!(f, "[{net}]:{port}"),
            Self::Net { net, port } => write!(f, "{net}{}", Port(*port)),
            Self::Name { name, port } => write!(f, "{name}{}", Port(*port)),
            Self::Under { domain, port } => write!(f, "*.{domain}{}", Port(*port)),
            Self::Vm(name) => write!(f, "vm:{name}"),
            Self::Host(port) => write!(f, "host:{port}"),
        }
    }
}

struct Port(Option<u16>);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for Allow {
    type Err = InvalidAllow;

    fn from_str(text: &str) -> Result<Self, InvalidAllow> {
        if let Some(name) = text.strip_prefix("vm:") {
            let wrong = |source| InvalidAllow::Vm {
                text: text.to_owned(),
                source,
            };
            return name.parse().map(Self::Vm).map_err(wrong);
        }
        let (subject, port) = split(text)?;
        if subject
            .strip_suffix('.')
            .unwrap_or(subject)
            .eq_ignore_ascii_case("host")
        {
            return port
                .map(Self::Host)
                .ok_or_else(|| InvalidAllow::HostPort(text.to_owned()));
        }
        if let Some(domain) = subject.strip_prefix("*.") {
            let domain = domain.parse().map_err(|_| InvalidAllow::Text(text.to_owned()))?;
            return Ok(Self::Under { domain, port });
        }
        match subject.parse::<Cidr>() {
            Ok(net) => Ok(Self::Net { net, port }),
            Err(source) if subject.contains('/') => Err(InvalidAllow::Cidr {
                text: text.to_owned(),
                source,
            }),
            Err(_) => {
                let name = subject.parse().map_err(|_| InvalidAllow::Text(text.to_owned()))?;
                Ok(Self::Name { name, port })
            }
        }
    }
}

/// Divides a rule into what it is about and its port.
fn split(text: &str) -> Result<(&str, Option<u16>), InvalidAllow> {
    // IPv6 without a port has colons of its own.
    if text
        .split('/')
        .next()
        .is_some_and(|address| address.parse::<IpAddr>().is_ok_and(|a| a.is_ipv6()))
    {
        return Ok((text, None));
    }
    let (subject, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((subject, "")) => (subject, None),
        Some((subject, rest)) => {
            let port = rest
                .strip_prefix(':')
                .ok_or_else(|| InvalidAllow::Text(text.to_owned()))?;
            (subject, Some(port))
        }
        None => match text.split_once(':') {
            Some((subject, port)) => (subject, Some(port)),
            None => (text, None),
        },
    };
    let number = |port: &str| {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let number = port.parse().ok().filter(|&number| digits && number > 0);
        number.ok_or_else(|| InvalidAllow::Port {
            text: text.to_owned(),
            port: port.to_owned(),
        })
    };
    Ok((subject, port.map(number).transpose()?))
}

as_text!(Allow);

#[cfg(test)]
mod tests;
