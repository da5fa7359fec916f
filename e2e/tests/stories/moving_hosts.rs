//! A host that moves: without any network at first, then in one of IPv6 alone, then in one of both, with another resolver in
//! each. Its VMs run all the while.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, Internet, SITE6, SITES};

use crate::networks::networked;
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("a_rootless_network_goes_where_the_host_goes", rootless)
        .with("pasta")
        .by_root(),
    in_guests("the_bridge_goes_where_the_host_goes", bridged).by_root(),
];

/// How long a host may take to notice.
const SOON: Duration = Duration::from_secs(8);

/// What a web server says to a VM, or why it says nothing.
fn fetched(home: &Home, address: &str) -> Result<String> {
    let line = format!("(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | timeout 10 nc {address} 80 2>&1");
    let said = home.exec("web", &["sh", "-c", &line])?;
    // What banger itself fails with is no answer of the program's.
    ensure!(said.code != 125, "it was not tried: {}", said.stderr);
    Ok(said.text())
}

fn reaches(home: &Home, address: &str) -> Result<bool> {
    Ok(fetched(home, address)?.contains("hello"))
}

fn resolves(home: &Home, name: &str, address: &str) -> Result<bool> {
    let told = home.exec("web", &["nslookup", "-type=a", name])?.text();
    Ok(told.contains(address))
}

fn soon(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < SOON, "{what}, {} s later", SOON.as_secs());
    }
    Ok(())
}

fn moves(internet: &Internet, home: &Home) -> Result<()> {
    ensure!(!reaches(home, SITES[0])?, "it reaches what nobody leads to");
    ensure!(!resolves(home, "first.example.org", SITES[0])?);
    // IPv6 alone: what has it is reached, and the rest is refused at once, so that programs try the next address.
    internet.plug_v6()?;
    soon("IPv6 is not reached", || reaches(home, SITE6))?;
    let before = Instant::now();
    let said = fetched(home, SITES[0])?;
    ensure!(
        said.contains("unreachable") && before.elapsed() < Duration::from_secs(5),
        "IPv4 without a way out took {:?}: {said}",
        before.elapsed()
    );
    // Both, and a resolver.
    internet.plug()?;
    internet.resolve_to(SITES[0])?;
    internet.name_resolver(Some("198.51.100.2"))?;
    soon("IPv4 is not reached", || reaches(home, SITES[0]))?;
    soon("a name is not resolved", || {
        resolves(home, "first.example.org", SITES[0])
    })?;
    soon("IPv6 is not reached any more", || reaches(home, SITE6))?;
    // Another resolver.
    internet.resolve_at(SITES[1], SITES[1])?;
    internet.name_resolver(Some(SITES[1]))?;
    ensure!(
        resolves(home, "second.example.org", SITES[1])?,
        "the resolver of before is asked"
    );
    // What holds for a VM changes while it runs.
    home.banger(["vm", "set", "web", "--nat", "off"])?.ok()?;
    ensure!(
        !reaches(home, SITES[0])? && !reaches(home, SITE6)?,
        "off reaches something"
    );
    home.banger(["vm", "set", "web", "--nat", "on"])?.ok()?;
    ensure!(
        reaches(home, SITES[0])? && reaches(home, SITE6)?,
        "on reaches nothing"
    );
    Ok(())
}

fn rootless(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    internet.unplug()?;
    internet.name_resolver(None)?;
    let home = Home::new(&[Image::Busybox])?.of_plain_user(Some(internet.host()))?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    let by = home.vm("web")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    moves(&internet, &home)?;
    home.end()
}

fn bridged(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    internet.unplug()?;
    internet.name_resolver(None)?;
    let home = networked(&internet, &[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    moves(&internet, &home)?;
    home.end()
}
