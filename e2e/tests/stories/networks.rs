//! VMs with a network: what they reach, who reaches them, and what is left.

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use crate::{Story, in_guests};

pub(crate) const STORIES: &[Story] = &[in_guests(
    "a_vm_reaches_what_its_owner_allows",
    what_its_owner_allows,
)];

/// Whether a web server answers a VM. What is refused is told at once, or not answered.
fn reaches(home: &Home, vm: &str, address: &str) -> Result<bool> {
    let line =
        format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} 80 2>/dev/null | grep -c hello");
    Ok(home.exec(vm, &["sh", "-c", &line])?.text().trim() == "1")
}

fn pings(home: &Home, vm: &str, address: &str) -> Result<bool> {
    Ok(home.exec(vm, &["ping", "-c", "1", "-W", "2", address])?.code == 0)
}

fn address(home: &Home, vm: &str) -> Result<String> {
    let network = home.vm(vm)?.network;
    let first = network.addresses.first().context("it has no address")?;
    Ok(first.to_string())
}

fn what_its_owner_allows(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let socket = internet.socket();
    let home = Home::new(&[Image::Busybox])?;
    // The daemon that made the image is not in the namespace.
    home.banger(["daemon", "stop"])?.ok()?;
    let home = home
        .with_env("BANGER_ROOT_SOCKET", &socket.to_string_lossy())
        .within(internet.host());
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    ensure!(reaches(&home, "web", SITES[0])?, "the Internet is not reached");
    ensure!(!pings(&home, "web", "198.51.100.1")?, "the host is reached");
    // It changes at once, also for what was reached before.
    home.banger(["vm", "set", "web", "--nat", "off"])?.ok()?;
    ensure!(!reaches(&home, "web", SITES[0])?, "off reaches something");
    let rule = format!("{}:80", SITES[1]);
    home.banger(["vm", "set", "web", "--net", "allow", "--allow", &rule])?
        .ok()?;
    ensure!(reaches(&home, "web", SITES[1])? && !reaches(&home, "web", SITES[0])?);
    // The host reaches it; another VM only when that is allowed by name.
    let web = address(&home, "web")?;
    let (answered, _) = internet.on_the_host(&["busybox", "ping", "-c", "1", "-W", "2", &web])?;
    ensure!(answered, "the host does not reach {web}");
    home.create(backend, Image::Busybox, "peer", &["--nat"])?;
    ensure!(!pings(&home, "peer", &web)?, "VMs reach each other");
    home.banger(["vm", "set", "peer", "--allow", "vm:web"])?.ok()?;
    ensure!(pings(&home, "peer", &web)?, "a VM that is allowed is not reached");
    // Another address than its own leads nowhere.
    home.sh("peer", "ip addr add 172.16.0.99/32 dev eth0")?;
    let spoofed = home.exec("peer", &["ping", "-c", "1", "-W", "2", "-I", "172.16.0.99", &web])?;
    ensure!(spoofed.code != 0, "a spoofed address got through");
    // A VM keeps its address, and a new daemon the network.
    home.banger(["vm", "restart", "web"])?.ok()?;
    ensure!(address(&home, "web")? == web);
    let daemon = rustix::process::Pid::from_raw(home.daemon_pid()?).context("a pid")?;
    rustix::process::kill_process(daemon, rustix::process::Signal::KILL)?;
    ensure!(reaches(&home, "web", SITES[1])? && !reaches(&home, "web", SITES[0])?);
    home.banger(["vm", "set", "web", "--allow", "nonsense:::"])?
        .exited(1)?
        .saying("no port")?
        .saying("@PRESET")?;
    ensure!(internet.taps()?.len() == 2, "{:?}", internet.taps()?);
    home.banger(["vm", "kill", "peer"])?.ok()?;
    ensure!(internet.taps()?.len() == 1, "{:?}", internet.taps()?);
    home.end()?;
    ensure!(internet.taps()?.is_empty(), "{:?}", internet.taps()?);
    Ok(())
}
