//! What a VM's disk has for that one machine alone, and no image may give to the next: its identity, what it was told of
//! its network, and randomness kept for its next boot. The list is that of systemd's "Building Images", with what other
//! inits and DHCP clients keep.
//!
//! Who reads a disk as a layer leaves these out, and a guest that boots on one hides them.

/// How a file is of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfMachine {
    /// All of it, whoever wrote it.
    Whole,
    /// All of it, when it begins so: another one is the image's.
    Beginning(&'static str),
    /// Its [own lines](is_own_host).
    Hosts,
}

/// The first line of the resolv.conf(5) that the agent writes.
pub const RESOLVERS: &str = "# The network of this VM; written at each boot.\n";

/// The machine's id (machine-id(5)).
pub const MACHINE_ID: &str = "etc/machine-id";

/// Files by their paths below the root.
pub const FILES: [(&str, OfMachine); 11] = [
    (MACHINE_ID, OfMachine::Whole),
    ("var/lib/dbus/machine-id", OfMachine::Whole),
    ("etc/hostname", OfMachine::Whole),
    ("etc/hosts", OfMachine::Hosts),
    ("etc/resolv.conf", OfMachine::Beginning(RESOLVERS)),
    ("var/lib/systemd/random-seed", OfMachine::Whole),
    ("var/lib/systemd/credential.secret", OfMachine::Whole),
    ("var/lib/urandom/random-seed", OfMachine::Whole),
    ("var/lib/misc/random-seed", OfMachine::Whole),
    ("var/lib/seedrng/seed.credit", OfMachine::Whole),
    ("var/lib/seedrng/seed.no-credit", OfMachine::Whole),
];

/// Where DHCP clients keep leases, and what makes them known to a server.
pub const LEASES: [&str; 4] = [
    "var/lib/dhcp",
    "var/lib/dhclient",
    "var/lib/dhcpcd",
    "var/lib/NetworkManager",
];

/// How the file at a path below the root, without a slash in front, is of one machine; most are not.
pub fn of_machine(path: &[u8]) -> Option<OfMachine> {
    if let Some((_, how)) = FILES.iter().find(|(file, _)| file.as_bytes() == path) {
        return Some(*how);
    }
    let cut = path.iter().rposition(|&byte| byte == b'/')?;
    let (dir, name) = (&path[..cut], &path[cut + 1..]);
    let is_kept = LEASES.iter().any(|leases| leases.as_bytes() == dir);
    (is_kept && is_lease(name)).then_some(OfMachine::Whole)
}

fn is_lease(name: &[u8]) -> bool {
    name.windows(6).any(|part| part == b".lease") || matches!(name, b"duid" | b"secret" | b"secret_key")
}

/// Ends the lines of hosts(5) that are the agent's, so that it knows them again.
pub const MARK: &str = "# banger";

/// Where a name without an address is, by Debian's custom.
pub const NOWHERE: &str = "127.0.1.1";

/// Whether a line of hosts(5) says what this machine's name is.
pub fn is_own_host(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words.next() == Some(NOWHERE.as_bytes()) || line.ends_with(MARK.as_bytes())
}

/// A hosts(5) without such lines, otherwise byte for byte.
pub fn hosts_of_image(hosts: &[u8]) -> Vec<u8> {
    hosts
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !is_own_host(line))
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_seeds_and_leases_are_of_one_machine() {
        for path in [
            "etc/machine-id",
            "etc/hostname",
            "var/lib/systemd/random-seed",
            "var/lib/dhcp/dhclient.eth0.leases",
            "var/lib/dhcpcd/eth0.lease6",
            "var/lib/dhcpcd/duid",
            "var/lib/NetworkManager/secret_key",
            "var/lib/NetworkManager/internal-1-eth0.lease",
        ] {
            assert_eq!(of_machine(path.as_bytes()), Some(OfMachine::Whole), "{path}");
        }
        for path in [
            "",
            "machine-id",
            "etc",
            "etc/machine-info",
            "srv/etc/machine-id",
            "etc/machine-id/x",
            "etc/hosts.allow",
            "var/lib/dhcp",
            "var/lib/dhcp/sub/a.leases",
            "var/lib/dhcpcd/dhcpcd.conf",
            "var/lib/systemd/linger/me",
        ] {
            assert_eq!(of_machine(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn the_images_lines_of_hosts_stay_byte_for_byte() {
        let hosts = b"10.0.0.1 db\r\n\xff odd\n127.0.1.1\tweb\n172.16.0.2\tweb.vm web\t# banger\n  127.0.1.1 x\n127.0.1.12 y";
        assert_eq!(hosts_of_image(hosts), b"10.0.0.1 db\r\n\xff odd\n127.0.1.12 y");
    }
}
