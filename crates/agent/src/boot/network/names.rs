//! Whom the guest asks for names.

use std::fs;
use std::io;
use std::path::Path;

use banger_archive::machine::RESOLVERS;
use banger_guest_api::{InitKind, Network};

use super::Card;
use crate::boot::identity::replace;

/// Tells the C library below `root`, and systemd-resolved where systemd runs the guest. An image's own way (its file, or
/// a link to what some service would write) is put aside: the service knows no resolver here.
pub(crate) fn configure(network: &Network, card: &Card, root: &Path, init: InitKind) -> io::Result<()> {
    let resolvers: Vec<String> = card
        .usable(&network.resolvers)
        .map(|address| address.to_string())
        .collect();
    if resolvers.is_empty() {
        return Ok(());
    }
    let etc = root.join("etc");
    fs::create_dir_all(&etc)?;
    replace(
        &etc.join("resolv.conf"),
        &resolv_conf(&resolvers, &network.search),
    )?;
    if init == InitKind::Systemd {
        let dir = root.join("run/systemd/resolved.conf.d");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("50-banger.conf"), resolved(&resolvers, &network.search))?;
    }
    Ok(())
}

/// resolv.conf(5).
fn resolv_conf(resolvers: &[String], search: &[String]) -> String {
    let mut text = RESOLVERS.to_owned();
    for resolver in resolvers {
        text += &format!("nameserver {resolver}\n");
    }
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    text
}

/// resolved.conf(5). No names below the host's own domains are signed.
fn resolved(resolvers: &[String], search: &[String]) -> String {
    format!(
        "[Resolve]\nDNS={}\nDomains={}\nDNSSEC=no\n",
        resolvers.join(" "),
        search.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn network() -> Network {
        Network {
            mac: "06:00:ac:10:00:02".to_owned(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            mtu: 1500,
            resolvers: vec!["172.16.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            search: vec!["vm".to_owned()],
        }
    }

    fn card(ipv6: bool) -> Card {
        Card {
            name: "eth0".to_owned(),
            ipv6,
        }
    }

    #[test]
    fn a_stub_that_leads_nowhere_becomes_a_file() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("etc/resolv.conf");
        fs::create_dir(root.path().join("etc")).unwrap();
        symlink("../run/systemd/resolve/stub-resolv.conf", &file).unwrap();
        configure(&network(), &card(true), root.path(), InitKind::Systemd).unwrap();
        assert!(!file.is_symlink());
        assert_eq!(
            fs::read_to_string(file).unwrap(),
            "# The network of this VM; written at each boot.\nnameserver 172.16.0.1\nnameserver fd00::1\nsearch vm\n"
        );
        assert_eq!(
            fs::read_to_string(root.path().join("run/systemd/resolved.conf.d/50-banger.conf")).unwrap(),
            "[Resolve]\nDNS=172.16.0.1 fd00::1\nDomains=vm\nDNSSEC=no\n"
        );
    }

    #[test]
    fn only_resolvers_that_can_be_reached_are_asked() {
        let root = tempfile::tempdir().unwrap();
        configure(&network(), &card(false), root.path(), InitKind::Agent).unwrap();
        let written = fs::read_to_string(root.path().join("etc/resolv.conf")).unwrap();
        assert!(!written.contains("fd00"), "{written}");
        assert!(!root.path().join("run").exists());
        let none = Network {
            resolvers: Vec::new(),
            ..network()
        };
        let root = tempfile::tempdir().unwrap();
        configure(&none, &card(true), root.path(), InitKind::Agent).unwrap();
        assert!(!root.path().join("etc").exists());
    }
}
