//! Who is asked for all other names: the resolvers of the configuration, or the host's own.

mod exchange;
mod resolv_conf;

use std::collections::HashSet;
use std::fs::Metadata;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};
use tokio::time::{Instant, timeout_at};

use self::exchange::Exchange;
use self::resolv_conf::Nameserver;
use crate::found::{Found, Key};
use crate::places::Limits;
use crate::sift::address;

/// The port of DNS.
const PORT: u16 = 53;
/// The most that are asked, one after the other; a C library takes three.
const MAX_UPSTREAMS: usize = 4;

/// Where the upstreams are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstreams {
    /// Here.
    These(Vec<SocketAddr>),
    /// In a file as `resolv.conf(5)` describes it, which is read again when it has changed.
    ResolvConf(PathBuf),
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::ResolvConf(PathBuf::from("/etc/resolv.conf"))
    }
}

/// A text that names no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid resolver `{0}`: expected ADDRESS, ADDRESS:PORT or [IPv6]:PORT")]
pub struct InvalidUpstream(String);

/// Reads an upstream as a configuration has it: `9.9.9.9`, `127.0.0.1:5353`, `2620:fe::fe`, `[2620:fe::fe]:53`.
///
/// # Errors
/// It is no address.
pub fn parse_upstream(text: &str) -> Result<SocketAddr, InvalidUpstream> {
    let invalid = || InvalidUpstream(text.to_owned());
    let address = match text.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, PORT),
        Err(_) => text.parse().map_err(|_| invalid())?,
    };
    let usable = address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast();
    usable.then_some(address).ok_or_else(invalid)
}

/// What upstreams have of IPv6 for a name, asked again each time; none where nobody answers.
pub async fn addresses_v6(name: &str, from: &Upstreams) -> Option<Vec<IpAddr>> {
    let limits = Limits::default();
    let patience = Patience {
        one: limits.try_time,
        all: limits.question_time,
    };
    let key = Key {
        name: Name::from_ascii(name).ok()?,
        kind: RecordType::AAAA,
    };
    let found = Upstream::new(from.clone(), patience).ask(&key).await.ok()?;
    Some(found.answers.iter().filter_map(address).collect())
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    /// No upstream is known.
    #[error("no resolver is configured: neither `default_dns` nor the host's resolv.conf names one")]
    NoUpstream,
    /// None said anything of use in time.
    #[error("no answer from {}: {last}", list(.asked))]
    Unanswered { asked: Vec<SocketAddr>, last: String },
}

fn list(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    texts.join(", ")
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For one upstream, once.
    pub(crate) one: Duration,
    /// For the answer.
    pub(crate) all: Duration,
}

/// Asks the upstreams.
#[derive(Debug)]
pub(crate) struct Upstream {
    from: Upstreams,
    patience: Patience,
    read: Mutex<Option<ReadFile>>,
    /// Where this server itself listens: a host whose resolver it is would have it ask itself.
    own: Mutex<HashSet<SocketAddr>>,
}

#[derive(Debug, Clone)]
struct ReadFile {
    version: Option<Version>,
    servers: Arc<[Nameserver]>,
}

/// What changes when a file does.
type Version = (u64, u64, u64, i64, i64);

impl Upstream {
    pub(crate) fn new(from: Upstreams, patience: Patience) -> Self {
        Self {
            from,
            patience,
            read: Mutex::default(),
            own: Mutex::default(),
        }
    }

    /// Says that this server listens there.
    pub(crate) fn is_own(&self, address: SocketAddr) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(address);
    }

    /// Asks one upstream after the other, in a second round without EDNS, until one answers.
    pub(crate) async fn ask(&self, key: &Key) -> Result<Found, Failed> {
        let servers = self.servers();
        if servers.is_empty() {
            return Err(Failed::NoUpstream);
        }
        let end = Instant::now() + self.patience.all;
        let mut last = "no time left".to_owned();
        for edns in [true, false] {
            for &server in &servers {
                let until = (Instant::now() + self.patience.one).min(end);
                let exchange = Exchange { server, key, edns };
                match timeout_at(until, exchange.run()).await {
                    Ok(Ok(message)) => match message.metadata.response_code {
                        ResponseCode::NoError | ResponseCode::NXDomain => {
                            return Ok(Found::of(key, message));
                        }
                        code => last = format!("{server} answered {code}"),
                    },
                    Ok(Err(error)) => last = error.to_string(),
                    Err(_) => last = format!("{server} did not answer in time"),
                }
                if Instant::now() >= end {
                    break;
                }
            }
        }
        Err(Failed::Unanswered { asked: servers, last })
    }

    /// The upstreams that are not this server itself.
    fn servers(&self) -> Vec<SocketAddr> {
        let all = match &self.from {
            Upstreams::These(addresses) => addresses.clone(),
            Upstreams::ResolvConf(path) => self.read(path).iter().filter_map(Nameserver::place).collect(),
        };
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let others = all.into_iter().filter(|address| !own.contains(address));
        others.take(MAX_UPSTREAMS).collect()
    }

    /// The file's upstreams. It is looked at for each question that goes upstream and read if it is another one: a
    /// question is the event, so that nothing has to be watched through the symbolic links that this file often is.
    fn read(&self, path: &PathBuf) -> Arc<[Nameserver]> {
        let version = std::fs::metadata(path).as_ref().map(version).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = read.as_ref().filter(|read| read.version == version) {
            return Arc::clone(&read.servers);
        }
        // A file that is not there is an empty one (resolv.conf(5)).
        let text = std::fs::read(path).unwrap_or_default();
        let servers: Arc<[Nameserver]> = resolv_conf::nameservers(&String::from_utf8_lossy(&text)).into();
        tracing::debug!(path = %path.display(), ?servers, "upstreams read");
        *read = Some(ReadFile {
            version,
            servers: Arc::clone(&servers),
        });
        servers
    }
}

fn version(metadata: &Metadata) -> Version {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_address_with_or_without_a_port() {
        for (text, address) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2620:fe::fe", "[2620:fe::fe]:53"),
            ("[::1]:54", "[::1]:54"),
        ] {
            assert_eq!(parse_upstream(text).unwrap().to_string(), address);
        }
        for bad in [
            "",
            "dns.example",
            "1.2.3.4:0",
            "0.0.0.0",
            "1.2.3",
            "224.0.0.251:5353",
        ] {
            let error = parse_upstream(bad).unwrap_err().to_string();
            assert!(error.contains("invalid resolver"), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_is_another_one_and_our_own_address_is_no_upstream() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let patience = Patience {
            one: Duration::ZERO,
            all: Duration::ZERO,
        };
        let upstream = Upstream::new(Upstreams::ResolvConf(path.clone()), patience);
        let servers = || list(&upstream.servers());
        assert_eq!(servers(), "127.0.0.1:53");
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(servers(), "192.0.2.1:53");
        let new = dir.path().join("new");
        std::fs::write(&new, "nameserver 192.0.2.2\nnameserver 172.16.0.1\n").unwrap();
        std::fs::rename(&new, &path).unwrap();
        upstream.is_own("172.16.0.1:53".parse().unwrap());
        assert_eq!(servers(), "192.0.2.2:53");
    }
}
