//! Streams and datagrams through forwarded ports: every byte, both ways, many at once, and one end that is closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};

use anyhow::{Context, Result, ensure};
use banger_api::ForwardState;
use banger_e2e::{Backend, Home, Image};

use crate::forwarding::{
    PATIENCE, connect, echoed, forward, free_port, host_port, local, noise, serve_echo, wait_for,
};
use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_published_port_carries_every_byte", every_byte),
    everywhere("many_connections_at_once", many_connections),
    everywhere("a_guest_reaches_one_port_of_the_host", reverse),
    on_the_host("a_burst_of_connections_is_served", a_burst),
    on_the_host("datagrams_are_published_too", datagrams),
    on_the_host("half_of_a_stream_does_not_look_like_all_of_it", half_a_stream),
];

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
