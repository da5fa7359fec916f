//! Who a guest is: its name, its machine id, and what its files say of both.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use banger_archive::machine::{MARK, NOWHERE, is_own_host};
use banger_guest_api::{Configure, Failure};

use crate::failure::During;

/// Gives the guest its identity. Files go below `root`, the guest's `/`.
pub(super) fn assume(configure: &Configure, root: &Path) -> Result<(), Failure> {
    rustix::system::sethostname(configure.hostname.as_bytes()).during("set the host name")?;
    write_files(configure, root).during("write the guest's identity")
}

fn write_files(configure: &Configure, root: &Path) -> io::Result<()> {
    let etc = root.join("etc");
    std::fs::create_dir_all(&etc)?;
    let name = &configure.hostname;
    replace(&etc.join("hostname"), &format!("{name}\n"))?;
    let hosts = std::fs::read_to_string(etc.join("hosts")).unwrap_or_default();
    replace(&etc.join("hosts"), &hosts_with(&hosts, &own_hosts(configure)))?;
    let machine_id = etc.join("machine-id");
    if needs_machine_id(&std::fs::read_to_string(&machine_id).unwrap_or_default()) {
        replace(&machine_id, &format!("{}\n", configure.machine_id))?;
    }
    Ok(())
}

/// An image that is made to be copied has an empty file, or this word (machine-id(5)).
fn needs_machine_id(present: &str) -> bool {
    matches!(present.trim(), "" | "uninitialized")
}

/// Writes a file unless it says so already: an unchanged file is not copied up from the image. A symbolic link (to a
/// file that some service makes) is replaced, not followed.
pub(super) fn replace(path: &Path, content: &str) -> io::Result<()> {
    let is_link = path.is_symlink();
    if !is_link && std::fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if is_link {
        std::fs::remove_file(path)?;
    }
    std::fs::write(path, content)
}

/// The guest's own lines of hosts(5): its name at its addresses, or without a network at 127.0.1.1. Its name in the first
/// domain that is searched comes first, which is how a name becomes a full one.
fn own_hosts(configure: &Configure) -> Vec<String> {
    let name = &configure.hostname;
    let network = configure.network.as_ref();
    let addresses: &[IpAddr] = network.map_or(&[], |network| &network.addresses);
    if addresses.is_empty() {
        return vec![format!("{NOWHERE}\t{name}")];
    }
    let domain = network.and_then(|network| network.search.first());
    let names = domain.map_or_else(|| name.clone(), |domain| format!("{name}.{domain} {name}"));
    let lines = addresses
        .iter()
        .map(|address| format!("{address}\t{names}\t{MARK}"));
    lines.collect()
}

/// The image's hosts with the guest's own, which replace those of an earlier boot.
fn hosts_with(present: &str, own: &[String]) -> String {
    let mut lines: Vec<&str> = present
        .lines()
        .filter(|line| !is_own_host(line.as_bytes()))
        .collect();
    for (address, line) in [
        ("127.0.0.1", "127.0.0.1\tlocalhost"),
        ("::1", "::1\tlocalhost ip6-localhost ip6-loopback"),
    ] {
        if !lines
            .iter()
            .any(|line| line.split_whitespace().next() == Some(address))
        {
            lines.push(line);
        }
    }
    lines.extend(own.iter().map(String::as_str));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_guest_api::{Clock, Disks, Handover, Network, PROTOCOL, Root};

    fn own(name: &str, network: Option<Network>) -> Vec<String> {
        own_hosts(&Configure {
            protocol: PROTOCOL,
            hostname: name.to_owned(),
            machine_id: String::new(),
            disks: Disks {
                root: Root::Existing,
                work: None,
            },
            env: [].into(),
            clock: Clock { secs: 0, nanos: 0 },
            handover: Handover::Auto,
            entropy: String::new(),
            network,
            git: None,
            workdir: None,
        })
    }

    #[test]
    fn the_guests_name_replaces_an_earlier_one_and_nothing_else() {
        let first = hosts_with("10.0.0.1 db\n", &own("web", None));
        assert_eq!(
            first,
            "10.0.0.1 db\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tweb\n"
        );
        assert_eq!(hosts_with(&first, &own("api", None)), first.replace("web", "api"));
    }

    #[test]
    fn with_a_network_the_guests_name_is_at_its_addresses() {
        let network = Network {
            mac: String::new(),
            addresses: vec!["172.16.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            gateways: Vec::new(),
            mtu: 1500,
            resolvers: Vec::new(),
            search: vec!["vm".to_owned()],
        };
        let without = hosts_with("", &own("web", None));
        let with = hosts_with(&without, &own("web", Some(network)));
        assert!(
            with.ends_with("\n172.16.0.2\tweb.vm web\t# banger\nfd00::2\tweb.vm web\t# banger\n"),
            "{with}"
        );
        assert!(!with.contains("127.0.1.1"));
        assert_eq!(hosts_with(&with, &own("web", None)), without);
    }

    #[test]
    fn only_an_image_without_a_machine_id_gets_one() {
        assert!(needs_machine_id("") && needs_machine_id("uninitialized\n"));
        assert!(!needs_machine_id("b08dfa6083e7567a1921a715000001fb\n"));
    }
}
