//! Packages from the registries that this host's clients are set up for: how far real networks let real clients come.

use anyhow::{Result, bail, ensure};
use banger_e2e::packages::Stuff;
use banger_e2e::{Backend, Home, Image, REGISTRY, Uplink};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    packages("packages_are_installed_through_a_rootless_network", rootless),
    packages("packages_are_installed_over_the_bridge", bridged),
];

/// Node takes minutes to install anything under emulation.
const fn packages(name: &'static str, run: fn(Backend) -> Result<()>) -> Scenario {
    Scenario::on(name, &[Backend::Firecracker], run)
        .with("pasta")
        .with(REGISTRY)
        .by_root()
}

fn installs(home: &Home, backend: Backend) -> Result<()> {
    let _asking = Stuff::asking()?;
    let stuff = Stuff::found()?;
    home.create(backend, Image::Clients, "dev", &["--nat", "--memory", "1G"])?;
    let dir = stuff.dir().to_string_lossy().into_owned();
    home.banger(["vm", "cp", &dir, "dev:/opt/stuff"])?.ok()?;
    for client in stuff.clients() {
        let line = format!("cd /opt/stuff && . ./env && {}", client.line());
        let said = home.exec("dev", &["sh", "-c", &line])?;
        if said.code != 0 {
            bail!(
                "{} installs nothing ({}): {}\n{}\n{}",
                client.name(),
                said.code,
                said.text(),
                said.stderr,
                home.banger(["vm", "egress", "dev"])?.text()
            );
        }
    }
    Ok(())
}

fn rootless(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Clients])?.of_plain_user(None)?;
    installs(&home, backend)?;
    let by = home.vm("dev")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    home.end()
}

fn bridged(backend: Backend) -> Result<()> {
    let uplink = Uplink::new()?;
    let home = Home::new(&[Image::Clients])?;
    home.banger(["daemon", "stop"])?.ok()?;
    let home = home
        .with_env("BANGER_ROOT_SOCKET", &uplink.socket().to_string_lossy())
        .within(uplink.host());
    installs(&home, backend)?;
    home.end()
}
