//! A host that comes to use the addresses of its VMs: they are withdrawn, everything that a user asks says so, and they come back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use crate::Scenario;
use crate::networks::{counted, networked};

/// Under one backend: what is told is the host's, and the mechanism has tests of its own in namespaces.
pub(crate) const SCENARIOS: &[Scenario] = &[Scenario::on(
    "addresses_that_another_has_are_withdrawn_and_it_is_said",
    &[Backend::Firecracker],
    tells,
)
.by_root()];

/// How long a host may take to notice, and a question to a resolver that is no more to be given up: until then its address is the peer
/// of a connection.
const SOON: Duration = Duration::from_secs(60);

/// Who may come, by what each is to the host, and how each goes.
const OTHERS: [(&str, &str, &str, &str); 4] = [
    (
        "route",
        "which this host reaches by a route",
        "ip route add 172.16.0.0/12 via 198.51.100.2",
        "ip route del 172.16.0.0/12 via 198.51.100.2",
    ),
    (
        "vpn",
        "which this host reaches by a route",
        "ip tuntap add vpn0 mode tun; ip addr add 172.16.0.77/24 dev vpn0; ip link set vpn0 up",
        "ip link del vpn0",
    ),
    (
        "owner",
        "which this host reaches by a route",
        "ip link add bgrzz type bridge; ip addr add 172.16.0.1/16 dev bgrzz; ip link set bgrzz up",
        "ip link del bgrzz",
    ),
    (
        "rule",
        "which is in a routing rule of this host",
        "ip rule add to 172.16.0.0/25 table 77",
        "ip rule del to 172.16.0.0/25 table 77",
    ),
];

fn withdrawn(home: &Home) -> Result<Option<String>> {
    let shown = home.banger(["vm", "show", "--json", "web"])?.ok()?;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
    Ok(shown["network"]["withdrawn"].as_str().map(str::to_owned))
}

/// Waits until the network is withdrawn, or is not any more.
fn until(home: &Home, name: &str, is_withdrawn: bool) -> Result<String> {
    let start = Instant::now();
    loop {
        let why = withdrawn(home)?;
        if why.is_some() == is_withdrawn {
            return Ok(why.unwrap_or_default());
        }
        ensure!(
            start.elapsed() < SOON,
            "{name}: it is not {is_withdrawn} that the network is withdrawn: {why:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn reaches(home: &Home) -> Result<bool> {
    let line = format!(
        "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | timeout 4 nc {} 80 2>/dev/null | grep -c hello",
        SITES[0]
    );
    counted(&home.exec("web", &["sh", "-c", &line])?)
}

/// What each command says of it.
fn says(home: &Home, backend: Backend, name: &str, words: &str) -> Result<()> {
    let why = until(home, name, true)?;
    ensure!(
        why.contains(words) && why.contains("172.16.0.0/24 overlaps"),
        "{name}: {why}"
    );
    let shown = home.banger(["vm", "show", "web"])?.ok()?.text();
    ensure!(
        shown.contains("withdrawn, so nothing is reachable") && shown.contains(words),
        "{name}: {shown}"
    );
    let doctor = home.banger(["doctor"])?.text();
    ensure!(
        doctor.contains("their network was withdrawn") && doctor.contains(words),
        "{name}: {doctor}"
    );
    let status = home.banger(["system", "status", "--owner", "0"])?;
    let text = status.text();
    ensure!(
        status.code == 1 && text.contains("; withdrawn") && text.contains(words) && text.contains("fix: "),
        "{name}: {text}"
    );
    // A VM that comes now gets no address of theirs.
    let second = ["vm", "create", "--name", "second", "--image", "busybox", "--nat"];
    home.banger(second.into_iter().chain(backend.options()))?
        .failed()?
        .saying(words)?;
    ensure!(
        !home.banger(["vm", "list"])?.ok()?.text().contains("second"),
        "{name}: a VM is left"
    );
    banger_cases::refused("root-helper", &format!("withdrawn.{name}"));
    Ok(())
}

fn tells(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    internet.name_resolver(Some("198.51.100.2"))?;
    let home = networked(&internet, &[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    ensure!(reaches(&home)?, "it reaches nothing at first");
    let host = |line: &str| -> Result<()> {
        let (done, _) = internet.on_the_host(&["sh", "-ec", line])?;
        ensure!(done, "{line}");
        Ok(())
    };
    for (name, words, comes, goes) in OTHERS {
        host(comes)?;
        says(&home, backend, name, words)?;
        ensure!(!reaches(&home)?, "{name}: it reaches something");
        host(goes)?;
        until(&home, name, false)?;
        ensure!(reaches(&home)?, "{name}: it reaches nothing afterwards");
    }
    internet.name_resolver(Some("172.16.0.53"))?;
    says(&home, backend, "resolver", "is a resolver of this host")?;
    internet.name_resolver(Some("198.51.100.2"))?;
    until(&home, "resolver", false)?;
    // One that is started while another has them gets other addresses, and goes on with these.
    host("ip route add 172.16.0.0/25 via 198.51.100.2")?;
    until(&home, "a narrow route", true)?;
    home.banger(["vm", "restart", "web"])?.ok()?;
    until(&home, "other addresses", false)?;
    let addresses = home.vm("web")?.network.addresses;
    let first = addresses.first().context("no address")?.to_string();
    ensure!(
        first.starts_with("172.16.") && !first.starts_with("172.16.0."),
        "{first}"
    );
    ensure!(reaches(&home)?, "it reaches nothing by other addresses");
    home.end()
}
