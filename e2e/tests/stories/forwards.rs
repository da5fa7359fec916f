//! Ports that go through the host: published ones, and the host's own in a guest.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use banger_api::{ForwardState, VmForward, VmPort};
use banger_e2e::{Backend, Home, Image};

use crate::{Story, everywhere, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    everywhere("a_published_port_carries_every_byte", every_byte),
    everywhere("a_published_port_that_nobody_serves_resets", nobody_serves),
    everywhere("many_connections_at_once", many_connections),
    everywhere("forwards_outlive_stops_and_daemons", forwards_outlive),
    everywhere("a_guest_reaches_one_port_of_the_host", reverse),
    everywhere("what_listens_in_a_guest_is_listed", what_listens),
    on_the_host("a_burst_of_connections_is_served", a_burst),
    on_the_host("datagrams_are_published_too", datagrams),
    on_the_host("a_taken_port_is_told_with_who_has_it", taken),
    on_the_host("nothing_is_open_to_others_unasked", open),
    on_the_host("forwards_are_removed_by_name", removed),
    on_the_host("half_of_a_stream_does_not_look_like_all_of_it", half_a_stream),
];

/// Longer than anything here takes; then a story fails and does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of the guest that goes on until this is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs busybox in a guest until it listens at `port`.
fn serve(home: &Home, vm: &str, port: u16, words: &[&str]) -> Result<Program> {
    let child = home
        .command(["vm", "exec", vm, "--", "busybox"].iter().chain(words))
        .spawn()?;
    let program = Program(child);
    let listens = format!(
        "for i in $(busybox seq 300); do busybox netstat -ltn | busybox grep -q ':{port} ' && exit 0; \
                           busybox sleep 0.1; done; exit 1"
    );
    home.sh(vm, &listens).context("wait for a server in the guest")?;
    Ok(program)
}

/// Runs a server in a guest that sends back what it gets.
fn serve_echo(home: &Home, vm: &str, port: u16) -> Result<Program> {
    let port_text = port.to_string();
    serve(
        home,
        vm,
        port,
        &["nc", "-ll", "-p", &port_text, "-e", "/bin/busybox", "cat"],
    )
}

/// A port that is free here; under the fake, guest and host have the same ones.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn forwards(home: &Home, vm: &str) -> Result<Vec<VmForward>> {
    let listed = home.banger(["vm", "forward", "list", vm, "--json"])?.ok()?;
    Ok(serde_json::from_slice(&listed.stdout)?)
}

/// The only forward of a VM.
fn forward(home: &Home, vm: &str) -> Result<VmForward> {
    let mut forwards = forwards(home, vm)?;
    ensure!(forwards.len() == 1, "{forwards:?}");
    Ok(forwards.remove(0))
}

/// The host port of the only forward of a VM.
fn host_port(home: &Home, vm: &str) -> Result<u16> {
    let listed = serde_json::to_value(forward(home, vm)?)?;
    let port = listed["forward"]["host_port"].as_u64().context("a host port")?;
    Ok(u16::try_from(port)?)
}

fn connect(address: impl Into<SocketAddr>) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Bytes that do not repeat.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(count).collect()
}

/// Sends `bytes` and the end, and expects the same back.
fn echoed(mut stream: TcpStream, bytes: &[u8]) -> Result<()> {
    let mut sending = stream.try_clone()?;
    let back = std::thread::scope(|scope| {
        let sent = scope.spawn(move || {
            sending.write_all(bytes)?;
            sending.shutdown(Shutdown::Write)
        });
        let mut back = Vec::with_capacity(bytes.len());
        let read = stream.read_to_end(&mut back);
        sent.join().expect("a story's thread").context("send")?;
        read.with_context(|| format!("receive after {} bytes", back.len()))?;
        anyhow::Ok(back)
    })?;
    ensure!(
        back.len() == bytes.len(),
        "{} of {} bytes came back",
        back.len(),
        bytes.len()
    );
    ensure!(back == bytes, "other bytes came back");
    Ok(())
}

fn every_byte(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let guest = free_port()?;
    home.create(backend, Image::Busybox, "vm", &["-p", &format!(":{guest}")])?;
    let server = serve_echo(&home, "vm", guest)?;
    let host = host_port(&home, "vm")?;
    // One that has nothing to say, too.
    for count in [0, 1, 70_000] {
        echoed(connect(local(host))?, &noise(3, count)).with_context(|| format!("{count} bytes"))?;
    }
    echoed(connect((Ipv6Addr::LOCALHOST, host))?, b"over IPv6")?;
    let count = if backend == Backend::Tcg {
        8 << 20
    } else {
        100 << 20
    };
    echoed(connect(local(host))?, &noise(4, count))?;
    let now = forward(&home, "vm")?;
    ensure!((now.connections, now.refused) == (5, 0), "{now:?}");
    drop(server);
    home.end()
}

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

fn many_connections(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let guest = free_port()?;
    home.create(backend, Image::Busybox, "vm", &["-p", &format!(":{guest}")])?;
    let server = serve_echo(&home, "vm", guest)?;
    let host = host_port(&home, "vm")?;
    // More than there are descriptors for, unless the agent takes some care.
    let count: u64 = match backend {
        Backend::Fake => 150,
        Backend::Tcg => 40,
        Backend::Firecracker => 508,
    };
    let talk = |seed: usize, stream: &mut TcpStream| {
        let (sent, mut back) = (noise(seed as u64, 1000), vec![0; 1000]);
        stream.write_all(&sent)?;
        stream
            .read_exact(&mut back)
            .with_context(|| format!("connection {seed}"))?;
        ensure!(back == sent, "connection {seed} got another's bytes");
        Ok(())
    };
    let mut streams = Vec::new();
    for seed in 0..count as usize {
        // One after the other: busybox's server has room for one that it has not accepted yet.
        let mut stream = connect(local(host))?;
        talk(seed, &mut stream)?;
        streams.push(stream);
    }
    // All are there at once, and none waits for another's end.
    for (seed, stream) in streams.iter_mut().enumerate().rev() {
        talk(seed, stream)?;
    }
    let now = forward(&home, "vm")?;
    ensure!((now.open, now.connections) == (count, count), "{now:?}");
    for (seed, stream) in (0..).zip(streams) {
        echoed(stream, &noise(seed, 10)).with_context(|| format!("connection {seed}"))?;
    }
    // What a command gets is not the agent's.
    if backend.is_real() {
        ensure!(home.sh("vm", "ulimit -n")? == "1024");
    }
    drop(server);
    home.end()
}

fn a_burst(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(
        backend,
        Image::Busybox,
        "vm",
        &["-p", &format!(":{}", host_echo()?)],
    )?;
    let host = host_port(&home, "vm")?;
    // More than there may be at once: the last ones wait until others end.
    let streams = (0..700)
        .map(|_| connect(local(host)))
        .collect::<Result<Vec<_>>>()?;
    for (seed, stream) in (0..).zip(streams) {
        echoed(stream, &noise(seed, 1000)).with_context(|| format!("connection {seed}"))?;
    }
    let now = forward(&home, "vm")?;
    ensure!((now.connections, now.refused) == (700, 0), "{now:?}");
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

/// Sends back what comes, on a port of the host.
fn host_echo() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone()?, stream);
                std::io::copy(&mut from, &mut to)?;
                to.shutdown(Shutdown::Write)
            });
        }
    });
    Ok(port)
}

fn reverse(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let (guest, host) = (free_port()?, host_echo()?);
    let spec = format!("{guest}:{host}");
    let added = home
        .banger(["vm", "forward", "add", "vm", "--reverse", &spec])?
        .ok()?
        .text();
    ensure!(added == format!("--reverse {spec}"), "{added}");
    ensure!(forward(&home, "vm")?.state == ForwardState::Listening);
    let ask = |word: &str| {
        let line = format!("echo {word} | busybox nc 127.0.0.1 {guest} || true");
        home.sh("vm", &line)
    };
    ensure!(ask("hello")? == "hello");
    let line = format!("busybox head -c 3000000 /dev/zero | busybox nc 127.0.0.1 {guest} | busybox wc -c");
    let count = home.sh("vm", &line)?;
    ensure!(count.trim() == "3000000", "{count}");
    home.kill_daemon()?;
    home.exec("vm", &["true"])?.ok()?;
    wait_for(&home, "vm", ForwardState::Listening)?;
    ensure!(ask("again")? == "again");
    if backend.is_real() {
        let told = home.banger(["vm", "ports", "vm"])?.ok()?.text();
        ensure!(told.contains(&format!("127.0.0.1:{host}")), "{told}");
    }
    // A second one of that port, and one that the host does not serve.
    home.banger(["vm", "forward", "add", "vm", "--reverse", &format!("{guest}:1")])?
        .exited(1)?
        .saying("use the same port")?;
    home.banger(["vm", "forward", "rm", "vm", "--reverse", &spec])?
        .ok()?;
    let spec = format!("{guest}:{}", free_port()?);
    home.banger(["vm", "forward", "add", "vm", "--reverse", &spec])?
        .ok()?;
    ensure!(ask("nobody")?.is_empty(), "somebody answered");
    ensure!(forward(&home, "vm")?.refused == 1);
    home.banger(["vm", "forward", "rm", "vm", "--all"])?.ok()?;
    let line = format!("busybox nc 127.0.0.1 {guest} < /dev/null && echo open || echo closed");
    let closed = home.sh("vm", &line)?;
    ensure!(closed == "closed", "{closed}");
    home.end()
}

/// Looks again until a forward is as it should be: there is no command that waits for that.
fn wait_for(home: &Home, vm: &str, state: ForwardState) -> Result<()> {
    for _ in 0..100 {
        if forward(home, vm)?.state == state {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("it is {:?}", forward(home, vm)?)
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

fn datagrams(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let guest = server.local_addr()?.port();
    home.create(backend, Image::Busybox, "vm", &["-p", &format!(":{guest}/udp")])?;
    let host = host_port(&home, "vm")?;
    let echo = server.try_clone()?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = vec![0; 65536];
        loop {
            let (length, from) = echo.recv_from(&mut buffer)?;
            echo.send_to(&buffer[..length], from)?;
        }
    });
    let client = || -> Result<UdpSocket> {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        client.connect(local(host))?;
        client.set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    };
    let clients = (0..200).map(|_| client()).collect::<Result<Vec<_>>>()?;
    let mut buffer = vec![0; 65536];
    // More sources than there may be flows; an empty datagram is one, and so is the longest.
    for (seed, client) in (0..).zip(&clients) {
        for length in [0, 5, 1400, if seed == 0 { 65507 } else { 9000 }] {
            let sent = noise(seed, length);
            client.send(&sent)?;
            let back = client
                .recv(&mut buffer)
                .with_context(|| format!("{length} bytes of {seed}"))?;
            ensure!(buffer[..back] == sent, "other bytes came back");
        }
    }
    let now = forward(&home, "vm")?;
    ensure!(now.connections == 200 && now.open <= 129, "{now:?}");
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

fn open(backend: Backend) -> Result<()> {
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

fn half_a_stream(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let guest = free_port()?;
    home.create(backend, Image::Busybox, "vm", &["-p", &format!(":{guest}")])?;
    let host = host_port(&home, "vm")?;
    for end in [&["vm", "forward", "rm", "vm", "--all"][..], &["vm", "kill", "vm"]] {
        let server = serve_echo(&home, "vm", guest)?;
        let mut stream = connect(local(host))?;
        stream.write_all(b"half")?;
        stream.read_exact(&mut [0; 4])?;
        home.banger(end)?.ok()?;
        let read = stream.read(&mut [0]);
        ensure!(
            matches!(&read, Err(error) if error.kind() == ErrorKind::ConnectionReset),
            "after {end:?}: {read:?}"
        );
        if end[1] == "forward" {
            home.banger(["vm", "forward", "add", "vm", &format!("{host}:{guest}")])?
                .ok()?;
        }
        drop(server);
    }
    home.end()
}
