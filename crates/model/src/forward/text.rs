//! Forwards as people write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Forward, InvalidForward, Publish, Reverse};
use crate::Protocol;

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(publish) => publish.fmt(f),
            Self::Reverse(reverse) => reverse.fmt(f),
        }
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => {}
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
        }
        if self.host_port != 0 {
            write!(f, "{}", self.host_port)?;
        }
        write!(f, ":{}", self.guest_port)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

impl fmt::Display for Reverse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.guest_port, self.host_port)
    }
}

impl FromStr for Publish {
    type Err = InvalidForward;

    fn from_str(text: &str) -> Result<Self, InvalidForward> {
        let refused = || InvalidForward::Publish(text.to_owned());
        let (rest, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((rest, "tcp")) => (rest, Protocol::Tcp),
            Some((rest, "udp")) => (rest, Protocol::Udp),
            Some(_) => return Err(refused()),
        };
        let (rest, guest) = rest.rsplit_once(':').ok_or_else(refused)?;
        let (address, host) = rest.rsplit_once(':').map_or((None, rest), |(a, h)| (Some(a), h));
        let publish = Self {
            address: match address {
                None | Some("localhost") => None,
                Some(address) => Some(parse_address(address).ok_or_else(refused)?),
            },
            host_port: match host {
                "" => 0,
                host => parse_port(host).ok_or_else(refused)?,
            },
            guest_port: parse_port(guest).ok_or_else(refused)?,
            protocol,
        };
        Forward::Publish(publish).validate()?;
        Ok(publish)
    }
}

impl FromStr for Reverse {
    type Err = InvalidForward;

    fn from_str(text: &str) -> Result<Self, InvalidForward> {
        let refused = || InvalidForward::Reverse(text.to_owned());
        let (guest, host) = text.split_once(':').ok_or_else(refused)?;
        let reverse = Self {
            guest_port: parse_port(guest).ok_or_else(refused)?,
            host_port: parse_port(host).ok_or_else(refused)?,
        };
        Forward::Reverse(reverse).validate()?;
        Ok(reverse)
    }
}

/// An IPv4 address, or an IPv6 address in brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

/// Digits alone: no sign, as Rust's own parser would take.
fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
