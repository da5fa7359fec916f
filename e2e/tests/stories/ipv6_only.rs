//! Networks of IPv6 alone: resolvers that are reached by it, and NAT64 by a prefix of the network's own, which leads to refused
//! addresses of IPv4 too.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::dns64::{Known, resolve_in};
use banger_e2e::netns::announce_translator;
use banger_e2e::{Backend, Home, Image, Internet};

use crate::networks::{counted, networked};
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("nothing_refused_is_reached_by_nat64_over_the_bridge", bridged).by_root(),
    in_guests(
        "nothing_refused_is_reached_by_nat64_in_a_rootless_network",
        rootless,
    )
    .with("pasta")
    .by_root(),
];

const RESOLVER: &str = "2001:db8:1::2";
/// What the network leads to IPv4 by, with what it has there: a site, and something private.
const PREFIX: &str = "2001:db8:64::";
const SITE: &str = "2001:db8:64::5db8:d822";
const INSIDE: &str = "2001:db8:64::a00:1";
/// Names whose addresses embed refused ones.
const NAMES: [(&str, &str); 7] = [
    ("own", INSIDE),
    ("public-prefix", "64:ff9b::a00:1"),
    ("metadata", "2001:db8:64::a9fe:a9fe"),
    ("mapped", "::ffff:10.0.0.1"),
    ("six-to-four", "2002:a00:1::1"),
    ("teredo", "2001:0:a00:1::1"),
    ("isatap", "2001:db8:5::5efe:a00:1"),
];
/// How long a host may take to notice.
const SOON: Duration = Duration::from_secs(15);

fn reaches(home: &Home, address: &str) -> Result<bool> {
    let line = format!(
        "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | timeout 4 nc {address} 80 2>/dev/null | grep -c hello"
    );
    counted(&home.exec("web", &["sh", "-c", &line])?)
}

/// What the VM is told of a name, behind the line that says who told it.
fn told(home: &Home, name: &str) -> Result<String> {
    let said = home
        .exec("web", &["nslookup", "-type=aaaa", &format!("{name}.example.org")])?
        .text();
    Ok(said
        .split_once("\n\n")
        .map_or(said.clone(), |(_, rest)| rest.to_owned()))
}

fn soon(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < SOON, "{what}, {} s later", SOON.as_secs());
        std::thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// A host of IPv6 alone, whose resolver makes addresses of those of IPv4.
fn network() -> Result<(Internet, Known)> {
    let internet = Internet::new()?;
    internet.unplug()?;
    internet.plug_v6()?;
    for address in [SITE, INSIDE, "64:ff9b::a00:1", "64:ff9b::5db8:d822"] {
        internet.serve_v6(address)?;
    }
    let known = Known::default();
    let mut names = known
        .lock()
        .map_err(|_| anyhow::anyhow!("the names are locked"))?;
    let mut add = |name: &str, address: &str| -> Result<()> {
        names
            .entry(name.to_owned())
            .or_default()
            .push(address.parse::<Ipv6Addr>()?);
        Ok(())
    };
    add("ipv4only.arpa", "2001:db8:64::c000:aa")?;
    add("ipv4only.arpa", "2001:db8:64::c000:ab")?;
    add("site.example.org", SITE)?;
    for (name, address) in NAMES {
        add(&format!("{name}.example.org"), address)?;
    }
    drop(names);
    resolve_in(&internet.far_file(), &known)?;
    internet.name_resolver(Some(RESOLVER))?;
    internet.on_the_host(&["sysctl", "-qw", "net.ipv6.conf.up0.accept_ra=2"])?;
    Ok((internet, known))
}

fn tells(internet: &Internet, known: &Known, home: &Home, kind: &str) -> Result<()> {
    soon(
        "a name is not resolved",
        || Ok(told(home, "site")?.contains(SITE)),
    )?;
    ensure!(reaches(home, SITE)?, "a site is not reached by NAT64");
    ensure!(
        reaches(home, "64:ff9b::5db8:d822")?,
        "a site is not reached by the public prefix"
    );
    soon("what is private is reached by NAT64", || {
        Ok(!reaches(home, INSIDE)?)
    })?;
    ensure!(
        !reaches(home, "64:ff9b::a00:1")?,
        "what is private is reached by the public prefix"
    );
    let refused = |name: &str| banger_cases::refused("egress", &format!("nat64.{name}.{kind}"));
    for (name, address) in NAMES {
        let said = told(home, name)?;
        let address: Ipv6Addr = address.parse()?;
        ensure!(
            !said.contains(&address.to_string()),
            "of {name} it is told {said}"
        );
        refused(name);
    }
    let egress = home.banger(["vm", "egress", "web", "--denied"])?.ok()?.text();
    ensure!(egress.contains(INSIDE), "{egress}");
    // It is reached when it is named.
    let rule = format!("[{INSIDE}]:80");
    home.banger(["vm", "set", "web", "--allow", &rule])?.ok()?;
    ensure!(reaches(home, INSIDE)?, "what is named is not reached");
    home.banger(["vm", "set", "web", "--allow", "[::/0]:80"])?.ok()?;
    ensure!(!reaches(home, INSIDE)?, "everything names something private");
    refused("everything");
    // A network that says nothing of it, with a resolver that is reached at its link alone.
    known
        .lock()
        .map_err(|_| anyhow::anyhow!("the names are locked"))?
        .remove("ipv4only.arpa");
    internet.name_resolver(Some(&format!("{}%up0", link_local(internet)?)))?;
    soon("a name is not resolved at the link", || {
        Ok(told(home, "site")?.contains(SITE))
    })?;
    soon("what leads nowhere special is refused", || reaches(home, INSIDE))?;
    // A router says it, and takes it back.
    let announce = |seconds| announce_translator(&internet.far_file(), "far0", PREFIX.parse()?, seconds);
    announce(1800)?;
    soon("what is private is reached by what a router announces", || {
        Ok(!reaches(home, INSIDE)?)
    })?;
    ensure!(!told(home, "own")?.contains(INSIDE), "a name leads there");
    refused("announced");
    announce(0)?;
    soon("what a router took back is refused", || reaches(home, INSIDE))
}

/// The far end's own address on the cable.
fn link_local(internet: &Internet) -> Result<String> {
    let output = std::process::Command::new("ip")
        .args(["netns", "exec"])
        .arg(internet.far_file().file_name().context("its name")?)
        .args(["ip", "-6", "-br", "addr", "show", "dev", "far0", "scope", "link"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = said.split_whitespace().find(|word| word.starts_with("fe80:"));
    let address = address.with_context(|| format!("no address in {said}"))?;
    Ok(address.split('/').next().unwrap_or_default().to_owned())
}

fn bridged(backend: Backend) -> Result<()> {
    let (internet, known) = network()?;
    let home = networked(&internet, &[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    tells(&internet, &known, &home, "bridge")?;
    home.end()
}

fn rootless(backend: Backend) -> Result<()> {
    let (internet, known) = network()?;
    let home = Home::new(&[Image::Busybox])?.of_plain_user(Some(internet.host()))?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    let by = home.vm("web")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    tells(&internet, &known, &home, "rootless")?;
    home.end()
}
