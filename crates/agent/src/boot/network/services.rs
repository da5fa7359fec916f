//! The image's own network programs, which leave the card alone: it is configured already, and there is no DHCP that
//! they could ask. All but one line for dhcpcd goes below `/run`, so that nothing of it stays in the image.

use std::fs;
use std::io;
use std::path::Path;

use banger_guest_api::InitKind;

use super::Card;
use crate::boot::identity::replace;

/// Tells those that the image below `root` has. `mac` is the card's address.
pub(crate) fn leave_alone(card: &Card, mac: &str, root: &Path, init: InitKind) -> io::Result<()> {
    let files = match init {
        InitKind::Systemd => systemd(mac),
        InitKind::OpenRc | InitKind::Runit | InitKind::SysV | InitKind::Other | InitKind::Agent => Vec::new(),
    };
    let has = |path: &str| root.join(path).exists();
    let files = files
        .into_iter()
        .chain(has("etc/NetworkManager").then(|| network_manager(mac)))
        .chain(
            has("etc/network/interfaces")
                .then(|| ifupdown(&card.name))
                .into_iter()
                .flatten(),
        );
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(path, content)?;
    }
    if has("etc/dhcpcd.conf") {
        let path = root.join("etc/dhcpcd.conf");
        replace(&path, &dhcpcd(&fs::read_to_string(&path)?, &card.name))?;
    }
    Ok(())
}

/// A path below the root, and what it contains.
type Written = (String, String);

/// systemd.network(5) and systemd.link(5): networkd manages nothing of it, and udev keeps its name. Who waits until
/// networkd has a network would wait in vain.
fn systemd(mac: &str) -> Vec<Written> {
    let by_address = format!("[Match]\nMACAddress={mac}\n");
    [
        (
            "run/systemd/network/00-banger.network",
            format!("{by_address}[Link]\nUnmanaged=yes\n"),
        ),
        (
            "run/systemd/network/00-banger.link",
            format!("{by_address}[Link]\nNamePolicy=keep\n"),
        ),
        (
            "run/systemd/system/systemd-networkd-wait-online.service.d/50-banger.conf",
            "[Unit]\nConditionPathExists=!/run/systemd/network/00-banger.network\n".to_owned(),
        ),
    ]
    .map(|(path, content)| (path.to_owned(), content))
    .into()
}

/// NetworkManager.conf(5). The last file counts, and it is not to write `/etc/resolv.conf` either.
fn network_manager(mac: &str) -> Written {
    (
        "run/NetworkManager/conf.d/99-banger.conf".to_owned(),
        format!("[main]\ndns=none\nrc-manager=unmanaged\n\n[keyfile]\nunmanaged-devices+=mac:{mac}\n"),
    )
}

/// The state of ifup(8), in which the card is up: Debian's (in one file, and in one for each interface), and that of
/// busybox and ifupdown-ng.
fn ifupdown(name: &str) -> Vec<Written> {
    let state = format!("{name}={name}\n");
    [
        "run/network/ifstate".to_owned(),
        format!("run/network/ifstate.{name}"),
        "run/ifstate".to_owned(),
    ]
    .map(|path| (path, state.clone()))
    .into()
}

/// dhcpcd.conf(5), which has no place below `/run`. At its beginning: what follows may be about one interface alone.
fn dhcpcd(present: &str, name: &str) -> String {
    let line = format!("denyinterfaces {name}");
    if present.lines().any(|other| other == line) {
        return present.to_owned();
    }
    format!("{line}\n{present}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "06:00:ac:10:00:02";

    fn written(paths: &[&str], init: InitKind) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let card = Card {
            name: "eth0".to_owned(),
            ipv6: true,
        };
        leave_alone(&card, MAC, root.path(), init).unwrap();
        let mut found = Vec::new();
        list(root.path(), root.path(), &mut found);
        found.retain(|path| !paths.contains(&path.as_str()));
        found.sort();
        found
    }

    fn list(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => list(root, &path, found),
                path => found.push(path.strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }

    #[test]
    fn only_programs_that_are_there_are_told() {
        assert!(written(&["bin/sh"], InitKind::Agent).is_empty());
        assert_eq!(
            written(&["etc/NetworkManager/NetworkManager.conf"], InitKind::Systemd),
            [
                "run/NetworkManager/conf.d/99-banger.conf",
                "run/systemd/network/00-banger.link",
                "run/systemd/network/00-banger.network",
                "run/systemd/system/systemd-networkd-wait-online.service.d/50-banger.conf",
            ]
        );
        assert_eq!(
            written(&["etc/network/interfaces"], InitKind::OpenRc),
            ["run/ifstate", "run/network/ifstate", "run/network/ifstate.eth0"]
        );
    }

    #[test]
    fn networkd_and_network_manager_know_the_card_by_its_address() {
        let files = systemd(MAC);
        assert_eq!(
            files[0].1,
            "[Match]\nMACAddress=06:00:ac:10:00:02\n[Link]\nUnmanaged=yes\n"
        );
        assert!(
            network_manager(MAC)
                .1
                .ends_with("unmanaged-devices+=mac:06:00:ac:10:00:02\n")
        );
    }

    #[test]
    fn dhcpcd_is_told_once() {
        let once = dhcpcd("interface wlan0\n  static routers=10.0.0.1\n", "eth0");
        assert!(once.starts_with("denyinterfaces eth0\ninterface wlan0\n"));
        assert_eq!(dhcpcd(&once, "eth0"), once);
    }
}
