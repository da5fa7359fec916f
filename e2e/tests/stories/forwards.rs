//! Ports that go through the host: published ones, and the host's own in a guest.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::{Context, Result, ensure};
use banger_api::{ForwardState, VmPort};
use banger_e2e::{Backend, Home, Image};

use crate::forwarding::{connect, echoed, forward, forwards, free_port, host_port, local, serve, serve_echo};
use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_published_port_that_nobody_serves_resets", nobody_serves),
    everywhere("forwards_outlive_stops_and_daemons", forwards_outlive),
    everywhere("what_listens_in_a_guest_is_listed", what_listens),
    on_the_host("a_taken_port_is_told_with_who_has_it", taken),
    on_the_host("nothing_is_open_to_others_unasked", open),
    on_the_host("forwards_are_removed_by_name", removed),
];

fn nobody_serves(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let guest = free_port()?;
    home.create(backend, Image::Busybox, "vm", &["-p", &format!(":{guest}")])?;
    // It may come as soon as the connection is there.
    let port = host_port(&home, "vm")?;
    let read = connect(local(port)).and_then(|mut stream| Ok(stream.read(&mut [0])?));
    let why = read.err().context("it was served")?;
    let why = why.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    ensure!(why == Some(ErrorKind::ConnectionReset), "{why:?}");
    let now = forward(&home, "vm")?;
    ensure!((now.connections, now.refused, now.open) == (1, 1, 0), "{now:?}");
    home.end()
}

fn forwards_outlive(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let guest = free_port()?;
    home.create(backend, Image::Busybox, "vm", &["-p", &format!(":{guest}")])?;
    let host = host_port(&home, "vm")?;
    let server = serve_echo(&home, "vm", guest)?;
    echoed(connect(local(host))?, b"at first")?;

    // The daemon ends, in good order and by force. Its connections end with it; the next one listens again.
    home.banger(["daemon", "stop", "--force"])?.ok()?;
    ensure!(connect(local(host)).is_err(), "nobody is there to listen");
    drop(server);
    let server = serve_echo(&home, "vm", guest)?;
    echoed(connect(local(host))?, b"after a stop of the daemon")?;
    home.kill_daemon()?;
    drop(server);
    let server = serve_echo(&home, "vm", guest)?;
    echoed(connect(local(host))?, b"after a kill of the daemon")?;

    drop(server);
    home.banger(["vm", "stop", "vm"])?.ok()?;
    ensure!(connect(local(host)).is_err(), "a VM that is stopped has a port");
    ensure!(forward(&home, "vm")?.state == ForwardState::Stopped);
    home.banger(["vm", "start", "vm"])?.ok()?;
    let server = serve_echo(&home, "vm", guest)?;
    ensure!(host_port(&home, "vm")? == host, "another port was found");
    echoed(connect(local(host))?, b"after a stop of the VM")?;
    drop(server);
    let shown = home.banger(["vm", "show", "vm"])?.ok()?.text();
    ensure!(shown.contains(&format!("{host}:{guest} (listening)")), "{shown}");

    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    ensure!(connect(local(host)).is_err(), "a VM that is gone has a port");
    let left = home.banger(["vm", "forward", "list", "--json"])?.ok()?.text();
    ensure!(left == "[]", "{left}");
    home.end()
}

fn what_listens(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let (web, echo) = (free_port()?, free_port()?);
    let web_server = serve(&home, "vm", web, &["httpd", "-f", "-p", &web.to_string()])?;
    let echo_server = serve_echo(&home, "vm", echo)?;
    let listed = home
        .banger(["vm", "ports", "nobody", "vm", "--json"])?
        .exited(1)?;
    let listed = listed.saying("there is no VM `nobody`")?;
    let ports: Vec<VmPort> = serde_json::from_slice(&listed.stdout)?;
    let of = |port: u16| {
        ports
            .iter()
            .find(|entry| entry.port == port)
            .context("a port that listens")
    };
    let (page, plain) = (of(web)?, of(echo)?);
    ensure!(
        page.http.as_ref().is_some_and(|http| http.status == 404),
        "{page:?}"
    );
    ensure!(plain.http.is_none() && plain.reachable, "{plain:?}");
    let process = page.process.as_ref().context("its process")?;
    ensure!(process.command == "busybox" && process.pid > 1, "{process:?}");
    ensure!(page.link.is_none());
    let told = home.banger(["vm", "ports", "vm"])?.ok()?.text();
    ensure!(
        told.contains(&format!("banger vm forward add vm :{web}")),
        "{told}"
    );

    home.banger(["vm", "forward", "add", "vm", &format!(":{web}")])?
        .ok()?;
    let link = format!("http://127.0.0.1:{}", host_port(&home, "vm")?);
    let told = home.banger(["vm", "ports", "vm"])?.ok()?.text();
    ensure!(told.contains(&link), "{told}");
    drop((web_server, echo_server));
    home.end()
}

fn taken(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = holder.local_addr()?.port();
    let (spec, us) = (format!("{port}:80"), std::process::id());
    let create = |name: &str, more: &[&str]| {
        let words = [
            "vm",
            "create",
            "--name",
            name,
            "--image",
            Image::Busybox.name(),
            "-p",
            &spec,
        ];
        home.banger(words.iter().chain(&backend.options()).chain(more))
    };
    create("first", &[])?
        .exited(4)?
        .saying(&format!(
            "tcp port 127.0.0.1:{port} is already in use by process {us}"
        ))?
        .saying("let banger choose one")?;
    ensure!(
        home.banger(["vm", "list", "--quiet"])?.ok()?.text().is_empty(),
        "a VM is left"
    );

    // At a start it costs no VM.
    create("first", &["--no-start"])?.ok()?;
    home.banger(["vm", "start", "first"])?.ok()?.saying(&format!(
        "forward `{spec}` does not work: tcp port 127.0.0.1:{port} is already in use"
    ))?;
    let failed = forward(&home, "first")?;
    ensure!(
        failed.state == ForwardState::Failed && failed.reason.is_some(),
        "{failed:?}"
    );
    home.banger(["vm", "forward", "add", "first", &spec])?
        .exited(4)?
        .saying("already exists")?;
    drop(holder);
    home.banger(["vm", "restart", "first"])?.ok()?;
    ensure!(forward(&home, "first")?.state == ForwardState::Listening);
    create("second", &[])?
        .exited(4)?
        .saying("is already in use by VM `first`")?;
    home.create(backend, Image::Busybox, "second", &[])?;
    home.banger(["vm", "forward", "add", "second", &format!("127.0.0.1:{port}:1")])?
        .exited(4)?
        .saying("is already in use by VM `first`")?;
    ensure!(forwards(&home, "second")?.is_empty(), "what failed was kept");
    home.end()
}

pub(crate) fn open(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let refused = "`0.0.0.0::80` would be open to other hosts";
    let words = [
        "vm",
        "create",
        "--image",
        Image::Busybox.name(),
        "-p",
        "0.0.0.0::80",
    ];
    home.banger(words.iter().chain(&backend.options()))?
        .exited(1)?
        .saying(refused)?
        .saying("`--open`")?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.banger(["vm", "forward", "add", "vm", "0.0.0.0::80"])?
        .exited(1)?
        .saying(refused)?;
    ensure!(forwards(&home, "vm")?.is_empty(), "what was refused was kept");
    home.banger(["vm", "forward", "add", "vm", "0.0.0.0::80", "--open"])?
        .ok()?;
    ensure!(forward(&home, "vm")?.state == ForwardState::Listening);
    // Without an address, --open opens nothing.
    home.banger(["vm", "forward", "rm", "vm", "--all"])?.ok()?;
    home.banger(["vm", "forward", "add", "vm", ":80", "--open"])?
        .ok()?;
    let port = host_port(&home, "vm")?;
    let everywhere = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port));
    ensure!(everywhere.is_ok(), "it listens at more than 127.0.0.1");
    home.end()
}

fn removed(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(
        backend,
        Image::Busybox,
        "vm",
        &["-p", ":80", "-p", ":81", "-p", ":53/udp"],
    )?;
    let rm = |what: &str| home.banger(["vm", "forward", "rm", "vm", what]);
    rm(":82")?
        .exited(3)?
        .saying("there is no forward `:82`")?
        .saying("available: ")?;
    let gone = rm(":53/udp")?.ok()?.text();
    ensure!(gone.ends_with(":53/udp"), "{gone}");
    let (first, second) = (free_port()?, free_port()?);
    // The port is free at once.
    for _ in 0..20 {
        let spec = format!("{first}:90");
        let added = home.banger(["vm", "forward", "add", "vm", &spec])?.ok()?.text();
        ensure!(added == spec, "{added}");
        rm(&spec)?.ok()?;
    }
    home.banger(["vm", "forward", "add", "vm", &format!("[::1]:{second}:80")])?
        .ok()?;
    ensure!(forwards(&home, "vm")?.len() == 3);
    home.banger(["vm", "forward", "rm", "vm", "--all"])?.ok()?;
    ensure!(forwards(&home, "vm")?.is_empty());
    ensure!(connect((Ipv6Addr::LOCALHOST, second)).is_err());
    home.banger(["vm", "forward", "rm", "nobody", "--all"])?
        .exited(3)?;
    home.banger(["vm", "forward", "rm", "vm"])?.exited(2)?;
    home.banger(["vm", "forward", "add", "vm", "80"])?
        .exited(2)?
        .saying("expected [ADDR:]HOST:GUEST[/udp]")?;
    home.end()
}
