//! Where a server may lead us. A redirection, a token's realm and a layer's other URLs are words of a server that nobody
//! trusts; they must not turn this host into a way to services of its own, of its networks, or of its cloud.
//!
//! The hosts that the user named may have any address. What they lead to may be as near to this host as they are
//! themselves, or farther: from the public Internet nothing leads to a private network, and from there nothing to
//! loopback. Link-local addresses and those of cloud services are never led to.

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use banger_model::network::is_refused;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How near an address is to this host, the farthest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// The public Internet.
    Public,
    /// A private network, or one that a provider shares.
    Private,
    /// This host.
    Loopback,
    /// Link-local, a cloud's services, and what the registries of special addresses keep for other purposes.
    Special,
}

impl Nearness {
    fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let private = match address {
            _ if address.is_loopback() => return Self::Loopback,
            IpAddr::V4(address) => {
                let [first, second, ..] = address.octets();
                // Shared address space (RFC 6598), in which one provider has its metadata service.
                let shared = first == 100 && (64..128).contains(&second);
                (address.is_private() || shared) && address.octets() != [100, 100, 100, 200]
            }
            // fd00:ec2::/32 is a cloud's own.
            IpAddr::V6(address) => address.is_unique_local() && address.segments()[..2] != [0xfd00, 0xec2],
        };
        match (private, is_refused(address)) {
            (true, _) => Self::Private,
            (false, true) => Self::Special,
            (false, false) => Self::Public,
        }
    }
}

impl fmt::Display for Nearness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "an address of this host",
            Self::Special => "an address for special purposes",
        })
    }
}

/// A server led to an address that it may not lead to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused to connect to {host}: {address} is {nearness}")]
pub struct Refused {
    host: String,
    address: IpAddr,
    nearness: Nearness,
}

impl Refused {
    /// What a user can do who means it.
    pub const HINT: &str =
        "to allow that server, specify it as the registry of the reference, or as a mirror in config.toml";

    /// Whether an error is of this kind, or caused by one.
    pub fn is_in(error: &(dyn StdError + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(cause) = next {
            let inner = cause
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref);
            if cause.is::<Self>() || inner.is_some_and(|inner| inner.is::<Self>()) {
                return true;
            }
            next = cause.source();
        }
        false
    }
}

/// The addresses that one client may connect to.
#[derive(Debug, Clone)]
pub struct Reach(Arc<Known>);

#[derive(Debug)]
struct Known {
    named: String,
    /// Proxies, which the user named too: where a proxy is asked, it decides which addresses names have.
    proxies: Vec<String>,
    nearest: Mutex<Nearness>,
}

impl Reach {
    /// That of a client for a host which the user named: a name or an address, without a port.
    pub fn of(named: &str) -> Self {
        let bare = bare(named);
        let nearest = match bare.parse() {
            Ok(address) => Nearness::of(address),
            Err(_) if bare == "localhost" || bare.ends_with(".localhost") => Nearness::Loopback,
            Err(_) => Nearness::Public,
        };
        let proxies = ["http_proxy", "https_proxy", "all_proxy"]
            .iter()
            .flat_map(|name| [std::env::var(name), std::env::var(name.to_uppercase())])
            .flatten()
            .filter_map(|proxy| Some(bare_host(&proxy.parse().ok()?)));
        Self(Arc::new(Known {
            named: bare,
            proxies: proxies.collect(),
            nearest: Mutex::new(nearest),
        }))
    }

    /// Refuses a URL whose host is an address that may not be led to. Names are looked at when they are resolved.
    ///
    /// # Errors
    /// When it is refused.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let host = bare_host(url);
        match host.parse() {
            Ok(address) if host != self.0.named => self.allow(&host, address),
            _ => Ok(()),
        }
    }

    fn allow(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let nearness = Nearness::of(address);
        if nearness <= self.nearest() && nearness != Nearness::Special {
            return Ok(());
        }
        Err(Refused {
            host: host.to_owned(),
            address,
            nearness,
        })
    }

    fn nearest(&self) -> Nearness {
        *self.0.nearest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the addresses that a name has, those to connect to.
    fn among(&self, name: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        if self.0.proxies.iter().any(|proxy| proxy == name) {
            return Ok(addresses);
        }
        if name == self.0.named {
            // Who answers for a name can make it lead to a private network, as companies do; but what leads on to
            // loopback must be called so by the user.
            if addresses
                .iter()
                .any(|at| Nearness::of(at.ip()) == Nearness::Private)
            {
                let mut nearest = self.0.nearest.lock().unwrap_or_else(PoisonError::into_inner);
                *nearest = (*nearest).max(Nearness::Private);
            }
            return Ok(addresses);
        }
        let mut refused = None;
        let mut allowed = addresses;
        allowed.retain(|at| match self.allow(name, at.ip()) {
            Ok(()) => true,
            Err(error) => {
                refused.get_or_insert(error);
                false
            }
        });
        match refused {
            Some(error) if allowed.is_empty() => Err(error),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let name = bare(name.as_str());
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses = reach.among(&name, found.collect())?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A host as it is compared: lower case, without the brackets of an IPv6 address and the dot of a whole name.
fn bare(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn bare_host(url: &Url) -> String {
    bare(url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests;
