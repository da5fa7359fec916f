//! How the host's own resolver learns of the zone: the command lines for systemd-resolved, which runs on most hosts, and
//! in words what to write where it does not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitStatus};

use banger_model::network::Cidr;

/// The program that tells systemd-resolved.
const RESOLVECTL: &str = "resolvectl";
/// What there is while systemd-resolved runs, below `/run`.
const RESOLVED_SOCKET: &str = "systemd/resolve/io.systemd.Resolve";
/// The port that needs no mention.
const PORT: u16 = 53;

/// A link of the host's whose resolver is this server, for the zone and nothing else.
///
/// systemd-resolved forgets it with the link, and takes no loopback link: without a bridge there is only [`by_hand`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// The link's name, such as `bgrrs`.
    pub link: String,
    /// Where the server listens.
    pub servers: Vec<SocketAddr>,
    /// The blocks of the VMs' addresses.
    pub blocks: Vec<Cidr>,
}

/// A command of systemd-resolved's that did not go well.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It cannot be run.
    #[error("run `{line}`")]
    Run {
        /// The command.
        line: String,
        /// Why not.
        source: io::Error,
    },
    /// It failed.
    #[error("`{line}` failed ({status}): {words}")]
    Failed {
        /// The command.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        words: String,
    },
}

/// Whether systemd-resolved runs, by what it keeps below `run` (`/run`).
pub fn is_resolved_running(run: &Path) -> bool {
    run.join(RESOLVED_SOCKET).exists()
}

impl Joint {
    /// What to run with `resolvectl` so that the host finds the zone; twice is as good as once.
    pub fn join(&self) -> Vec<Vec<String>> {
        let verb = |verb: &str| vec![verb.to_owned(), self.link.clone()];
        let mut dns = verb("dns");
        dns.extend(self.servers.iter().map(server));
        let mut domain = verb("domain");
        domain.push("~vm".to_owned());
        domain.extend(
            self.blocks
                .iter()
                .filter_map(reverse_zone)
                .map(|zone| format!("~{zone}")),
        );
        let mut default_route = verb("default-route");
        default_route.push("false".to_owned());
        // The domains first: with servers and without domains, all questions would be asked there for a moment.
        vec![default_route, domain, dns]
    }

    /// What to run so that all is as before.
    pub fn leave(&self) -> Vec<Vec<String>> {
        vec![vec!["revert".to_owned(), self.link.clone()]]
    }
}

/// Runs these with `resolvectl`, to the end or the first that fails. It waits for each; PolicyKit decides whether a plain
/// user may, and is not to ask a person.
///
/// # Errors
/// The one that failed, with what it said.
pub fn run(lines: &[Vec<String>]) -> Result<(), JoinError> {
    for arguments in lines {
        let line = || format!("{RESOLVECTL} {}", arguments.join(" "));
        let output = Command::new(RESOLVECTL)
            .arg("--no-ask-password")
            .args(arguments)
            .output()
            .map_err(|source| JoinError::Run { line: line(), source })?;
        if !output.status.success() {
            return Err(JoinError::Failed {
                line: line(),
                status: output.status,
                words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
    }
    Ok(())
}

/// What a person may write where nothing can be joined, for `doctor`.
pub fn by_hand(servers: &[SocketAddr], resolved_runs: bool) -> String {
    let Some(first) = servers.first() else {
        return "banger's resolver listens nowhere: NAME.vm is found by no one".to_owned();
    };
    if resolved_runs {
        let list: Vec<String> = servers.iter().map(server).collect();
        return format!(
            "for NAME.vm on this host, write to /etc/systemd/resolved.conf.d/banger.conf:\n  [Resolve]\n  DNS={}\n  \
             Domains=~vm\nand run: sudo systemctl reload-or-restart systemd-resolved",
            list.join(" ")
        );
    }
    let mut text = format!(
        "for NAME.vm on this host, with dnsmasq (or NetworkManager's: /etc/NetworkManager/dnsmasq.d/banger.conf), write \
         to /etc/dnsmasq.d/banger.conf:\n  server=/vm/{}#{}",
        first.ip(),
        first.port()
    );
    if let Some(plain) = servers.iter().find(|server| server.port() == PORT) {
        text += &format!(
            "\nor, with neither, as the first line of /etc/resolv.conf:\n  nameserver {}\nwhich asks for all other names \
             where `default_dns` says: set it to what is in /etc/resolv.conf now",
            plain.ip()
        );
    }
    text
}

/// A server as systemd-resolved reads it.
fn server(server: &SocketAddr) -> String {
    match server.port() {
        PORT => server.ip().to_string(),
        _ => server.to_string(),
    }
}

/// The zone that has the reverse names of a block, if there is one that has no others.
fn reverse_zone(block: &Cidr) -> Option<String> {
    let prefix = usize::from(block.prefix());
    let (labels, suffix): (Vec<String>, _) = match block.first() {
        IpAddr::V4(first) if prefix.is_multiple_of(8) => {
            let octets = first.octets().map(|octet| octet.to_string());
            (octets[..prefix / 8].to_vec(), "in-addr.arpa")
        }
        IpAddr::V6(first) if prefix.is_multiple_of(4) => {
            let digits = format!("{:032x}", first.to_bits());
            let labels = digits.chars().take(prefix / 4).map(String::from);
            (labels.collect(), "ip6.arpa")
        }
        _ => return None,
    };
    let reversed: Vec<String> = labels.into_iter().rev().collect();
    (!reversed.is_empty()).then(|| format!("{}.{suffix}", reversed.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint() -> Joint {
        Joint {
            link: "bgrrs".to_owned(),
            servers: ["172.16.0.1:53", "[fd00:1::1]:53", "127.0.0.1:5354"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            blocks: ["172.16.0.0/24", "fd12:3456:789a::/64", "10.0.0.0/20"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
        }
    }

    #[test]
    fn the_zone_and_its_reverse_are_joined_and_nothing_else() {
        let lines: Vec<String> = joint().join().iter().map(|line| line.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "default-route bgrrs false",
                "domain bgrrs ~vm ~0.16.172.in-addr.arpa ~0.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
                "dns bgrrs 172.16.0.1 fd00:1::1 127.0.0.1:5354",
            ]
        );
        assert_eq!(joint().leave(), [["revert", "bgrrs"]]);
    }

    #[test]
    fn a_person_is_told_what_to_write() {
        let high = ["127.0.0.1:5354".parse().unwrap()];
        let resolved = by_hand(&high, true);
        assert!(
            resolved.contains("DNS=127.0.0.1:5354\n  Domains=~vm"),
            "{resolved}"
        );
        let dnsmasq = by_hand(&high, false);
        assert!(dnsmasq.ends_with("server=/vm/127.0.0.1#5354"), "{dnsmasq}");
        let plain = by_hand(&["172.16.0.1:53".parse().unwrap()], false);
        assert!(plain.contains("nameserver 172.16.0.1"), "{plain}");
    }

    #[test]
    fn a_running_resolved_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_resolved_running(dir.path()));
        std::fs::create_dir_all(dir.path().join("systemd/resolve")).unwrap();
        std::fs::write(dir.path().join(RESOLVED_SOCKET), "").unwrap();
        assert!(is_resolved_running(dir.path()));
    }
}
