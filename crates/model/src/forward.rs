//! Forwards: ports of a guest that the host has, and ports of the host that a guest has.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn publish(text: &str) -> Publish {
        text.parse().unwrap()
    }

    fn forwards(texts: &[&str]) -> Vec<Forward> {
        texts.iter().map(|text| Forward::Publish(publish(text))).collect()
    }

    #[test]
    fn forwards_are_written_as_docker_has_them() {
        assert_eq!(
            publish("8080:80"),
            Publish {
                address: None,
                host_port: 8080,
                guest_port: 80,
                protocol: Protocol::Tcp
            }
        );
        assert_eq!(publish("localhost:8080:80/tcp"), publish("8080:80"));
        assert_eq!(publish("0:80"), publish(":80"));
        assert_eq!(
            publish("[::1]:53:53/udp").address,
            Some("::1".parse::<IpAddr>().unwrap())
        );
        assert_eq!(publish("0.0.0.0::80").host_port, 0);
    }

    #[test]
    fn what_is_none_says_how_to_write_one() {
        for bad in [
            "",
            "80",
            ":",
            "a:80",
            "80:",
            "+8:80",
            "8080:80/sctp",
            "::1:80:80",
            "1.2.3:80:80",
            "70000:80",
        ] {
            assert!(bad.parse::<Publish>().is_err(), "{bad}");
        }
        let none = "80".parse::<Publish>().unwrap_err().to_string();
        assert_eq!(
            none,
            "invalid port forward `80`: expected [ADDR:]HOST:GUEST[/udp], such as 8080:80, or :80 for a free port"
        );
        assert!("5432".parse::<Reverse>().is_err() && "0:1".parse::<Reverse>().is_err());
    }

    #[test]
    fn only_loopback_is_local() {
        for local in ["80:80", "127.0.0.1:80:80", "127.8.8.8:80:80", "[::1]:80:80"] {
            assert!(publish(local).is_local(), "{local}");
        }
        for open in [
            "0.0.0.0:80:80",
            "[::]:80:80",
            "10.0.0.1:80:80",
            "[::ffff:127.0.0.1]:80:80",
        ] {
            assert!(!publish(open).is_local(), "{open}");
        }
    }

    #[test]
    fn one_port_is_had_once() {
        assert!(
            validate_forwards(&forwards(&[
                "8080:80",
                "8081:80",
                ":80",
                "8080:80/udp",
                "0.0.0.0:1:1",
                "[::]:1:1"
            ]))
            .is_ok()
        );
        for twice in [
            ["8080:80", "127.0.0.1:8080:81"],
            ["0.0.0.0:1:1", "10.0.0.1:1:2"],
            [":80", ":80"],
        ] {
            assert!(matches!(
                validate_forwards(&forwards(&twice)),
                Err(InvalidForward::Twice(..))
            ));
        }
        let many: Vec<_> = (1..=65).map(|port| format!("{port}:{port}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(validate_forwards(&forwards(&many)), Err(InvalidForward::TooMany));
    }

    fn address() -> impl Strategy<Value = Option<IpAddr>> {
        prop::option::of(prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ])
    }

    proptest! {
        #[test]
        fn a_forward_survives_its_text(
            address in address(), host_port: u16, guest_port in 1_u16.., udp: bool,
        ) {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let publish = Publish { address, host_port, guest_port, protocol };
            prop_assert_eq!(publish.to_string().parse(), Ok(publish));
            let json = serde_json::to_string(&Forward::Publish(publish)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Forward>(&json).unwrap(), Forward::Publish(publish));
        }

        #[test]
        fn no_text_panics(text in "[0-9.:\\[\\]a-f/udp]{0,24}") {
            let _ = text.parse::<Publish>();
            let _ = text.parse::<Reverse>();
        }
    }
}
