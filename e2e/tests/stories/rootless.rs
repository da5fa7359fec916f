//! The network of a plain user, without anything of root's.

use std::os::unix::net::UnixStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Internet, SITES};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, Signal, kill_process};

use crate::networks::counted;
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] =
    &[in_guests("a_plain_user_has_a_network_of_their_own", of_their_own)
        .with("pasta")
        .by_root()];

/// Another address of the host.
const HOSTS_OWN: &str = "203.0.113.9";

/// What the helper keeps, as proc(5) shows it.
const NET_ADMIN_AND_BIND: &str = "0000000000001400";

/// Whether a web server answers a VM. The end of what is sent is no end of the connection, which Debian 12's pasta would not
/// pass on.
fn fetches(home: &Home, vm: &str, address: &str) -> Result<bool> {
    let line = format!(
        "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 2) | nc -w 3 {address} 80 2>/dev/null | grep -c hello"
    );
    counted(&home.exec(vm, &["sh", "-c", &line])?)
}

fn resolves(home: &Home, vm: &str, name: &str, address: &str) -> Result<bool> {
    let told = home.exec(vm, &["nslookup", "-type=a", name])?.text();
    Ok(told.contains(address))
}

fn kill(pid: i32) -> Result<()> {
    Ok(kill_process(
        Pid::from_raw(pid).context("a process id")?,
        Signal::KILL,
    )?)
}

/// The helper in the user's namespaces.
fn helper(home: &Home) -> Result<i32> {
    let socket = UnixStream::connect(home.path().join("run/net/0.sock"))?;
    Ok(socket_peercred(&socket)?.pid.as_raw_nonzero().get())
}

fn of_their_own(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    internet.resolve_to(SITES[1])?;
    internet.serve_on_the_host(HOSTS_OWN)?;
    let home = Home::new(&[Image::Busybox])?.of_plain_user(Some(internet.host()))?;
    std::fs::create_dir_all(home.path().join("config"))?;
    std::fs::write(
        home.path().join("config/config.toml"),
        "default_dns = [\"198.51.100.2\"]\n",
    )?;
    let rule = ["--net", "allow", "--allow", "*.example.org:80"];
    home.create(backend, Image::Busybox, "web", &rule)?;
    let by = home.vm("web")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    ensure!(
        !fetches(&home, "web", SITES[1])?,
        "an address is reached that nobody named"
    );
    ensure!(resolves(&home, "web", "www.example.org", SITES[1])?);
    ensure!(fetches(&home, "web", SITES[1])?, "what is allowed is not reached");
    ensure!(
        !fetches(&home, "web", SITES[0])?,
        "what is not allowed is reached"
    );
    let told = home.banger(["vm", "egress", "web"])?.ok()?.text();
    ensure!(
        told.contains(SITES[0]) && told.contains("www.example.org"),
        "{told}"
    );
    // The Internet is not the host.
    home.create(backend, Image::Busybox, "peer", &["--nat"])?;
    ensure!(fetches(&home, "peer", SITES[0])?);
    ensure!(!fetches(&home, "peer", HOSTS_OWN)?, "the host is reached");
    home.banger(["vm", "set", "peer", "--allow", "host:80"])?
        .exited(1)?
        .saying("--reverse 80:80")?;
    // VMs of one daemon are in one network.
    let config = home.path().join("config/config.toml");
    let ours = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("network = \"helper\"\n{ours}"))?;
    home.banger(["vm", "restart", "peer"])?
        .exited(1)?
        .saying("(rootless)")?;
    std::fs::write(&config, ours)?;
    home.banger(["vm", "start", "peer"])?.ok()?;
    let said = home.banger(["doctor"])?.text();
    ensure!(said.contains("rootless: "), "{said}");
    let version = Command::new("pasta").arg("--version").output()?.stdout;
    if String::from_utf8_lossy(&version).contains("unknown version") {
        ensure!(said.contains("passt") && said.contains("git20250503"), "{said}");
    }
    // Neither a VMM nor the helper can do more in there than it must.
    let machine = home.vm("web")?.machine.context("it runs")?.pid;
    for (pid, capabilities) in [
        (machine, "0000000000000000"),
        (helper(&home)?, NET_ADMIN_AND_BIND),
    ] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        for line in [
            format!("CapEff:\t{capabilities}\n"),
            "NoNewPrivs:\t1\n".to_owned(),
        ] {
            ensure!(status.contains(&line), "{pid} has not {line}: {status}");
        }
    }
    // What dies comes back: the daemon, the helper while the daemon lives, both.
    home.kill_daemon()?;
    ensure!(fetches(&home, "web", SITES[1])? && resolves(&home, "web", "web.vm", "172.16.0.")?);
    kill(helper(&home)?)?;
    home.banger(["vm", "set", "peer", "--nat", "off"])?.ok()?;
    ensure!(!fetches(&home, "peer", SITES[0])?, "off reaches something");
    kill(helper(&home)?)?;
    home.kill_daemon()?;
    ensure!(resolves(&home, "web", "www.example.org", SITES[1])? && fetches(&home, "web", SITES[1])?);
    ensure!(!fetches(&home, "web", SITES[0])? && !fetches(&home, "peer", SITES[0])?);
    home.end()
}
