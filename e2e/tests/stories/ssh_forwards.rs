//! Ports, sockets and agents that go through SSH.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Ssh};

use crate::{Scenario, everywhere};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("ssh_forwards_ports_both_ways", ports).with("ssh"),
    everywhere("ssh_forwards_sockets_both_ways", sockets).with("ssh"),
    everywhere("ssh_forwards_an_agent", agent).with("ssh-agent"),
];

const VM: &str = "vm.vm";

/// A client that is there for what it forwards, and goes when this is dropped.
struct Forwarding(Child);

impl Forwarding {
    /// Starts one and waits until its forwards are there; the command in the guest says so.
    fn start(ssh: &Ssh<'_>, options: &[&str]) -> Result<Self> {
        let always = [
            "-o",
            "ExitOnForwardFailure=yes",
            "-o",
            "StreamLocalBindUnlink=yes",
        ];
        let args = always
            .iter()
            .chain(options)
            .copied()
            .chain([VM, "echo there; cat"]);
        let mut child = ssh.client("ssh", args).stdin(Stdio::piped()).spawn()?;
        let mut said = [0; 6];
        let heard = child.stdout.take().context("its output")?.read_exact(&mut said);
        if heard.is_err() {
            let mut words = String::new();
            child
                .stderr
                .take()
                .context("its words")?
                .read_to_string(&mut words)?;
            anyhow::bail!("ssh {options:?}: {words}");
        }
        Ok(Self(child))
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers each connection by its line in capitals.
fn shout(stream: impl Read + Write) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    stream.get_mut().write_all(line.to_uppercase().as_bytes())?;
    Ok(())
}

fn asked(mut stream: impl Read + Write) -> Result<String> {
    stream.write_all(b"hello\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn ports(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    // The guest asks for a port of ours.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let ours = listener.local_addr()?.port();
    std::thread::spawn(move || listener.incoming().flatten().try_for_each(shout));
    let theirs = free_port()?;
    let reverse = format!("{theirs}:127.0.0.1:{ours}");
    let forwarding = Forwarding::start(&ssh, &["-R", &reverse])?;
    let (local, socks) = (free_port()?, free_port()?);
    let forward = format!("{local}:localhost:{theirs}");
    let socks_at = socks.to_string();
    // We ask for that port of the guest's, which leads back to ours.
    let outward = Forwarding::start(&ssh, &["-L", &forward, "-D", &socks_at])?;
    for _ in 0..3 {
        ensure!(asked(TcpStream::connect(("127.0.0.1", local))?)? == "HELLO\n");
    }
    ensure!(asked(by_socks(socks, theirs)?)? == "HELLO\n", "by SOCKS");
    // A port that nobody has is no port.
    drop(forwarding);
    let refused = asked(TcpStream::connect(("127.0.0.1", local))?);
    ensure!(refused.as_deref().unwrap_or("").is_empty(), "{refused:?}");
    drop(outward);
    home.end()
}

/// A connection by SOCKS 5 (RFC 1928) to a port at the other side's loopback address.
fn by_socks(socks: u16, port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", socks))?;
    stream.write_all(&[5, 1, 0])?;
    stream.read_exact(&mut [0; 2])?;
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low])?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    ensure!(answer[1] == 0, "SOCKS says {answer:?}");
    Ok(stream)
}

fn sockets(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let ours = home.path().join("ours.sock");
    let listener = UnixListener::bind(&ours)?;
    std::thread::spawn(move || listener.incoming().flatten().try_for_each(shout));
    // In a fake guest, which is this host, both need names of their own.
    let theirs = match backend.is_real() {
        true => "/tmp-theirs.sock".to_owned(),
        false => home.path().join("theirs.sock").display().to_string(),
    };
    let local = home.path().join("local.sock");
    let reverse = format!("{theirs}:{}", ours.display());
    let back = Forwarding::start(&ssh, &["-R", &reverse])?;
    ensure!(ssh.sh(VM, &format!("stat -c %a {theirs}"))? == "600");
    let forward = format!("{}:{theirs}", local.display());
    let there = Forwarding::start(&ssh, &["-L", &forward])?;
    ensure!(asked(UnixStream::connect(&local)?)? == "HELLO\n");
    drop((back, there));
    let gone = format!("for i in 1 2 3 4 5 6 7 8 9; do test -e {theirs} || exit 0; sleep 1; done; exit 1");
    ssh.run("ssh", [VM, &gone])?.ok()?;
    home.end()
}

fn agent(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let socket = home.path().join("agent.sock");
    let mut agent = home.program("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket);
    let mut agent = Forwarding(agent.spawn()?);
    // It says its address when it listens.
    let mut line = String::new();
    BufReader::new(agent.0.stdout.take().context("its output")?).read_line(&mut line)?;
    let key = home.path().join("key");
    let mut keygen = home.program("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "of the story", "-f"])
        .arg(&key);
    home.finish(keygen, Vec::new())?.ok()?;
    let mut add = home.program("ssh-add");
    add.arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket);
    home.finish(add, Vec::new())?.ok()?;
    // Asks for its keys (draft-miller-ssh-agent, message 11) by hand: no image has ssh-add.
    let script = if backend.is_real() {
        "printf '\\000\\000\\000\\001\\013' | nc local:$SSH_AUTH_SOCK"
    } else {
        "ssh-add -L"
    };
    let mut command = ssh.client(
        "ssh",
        [
            "-A",
            VM,
            "test -S $SSH_AUTH_SOCK && stat -c %a ${SSH_AUTH_SOCK%/*}",
        ],
    );
    command.env("SSH_AUTH_SOCK", &socket);
    ensure!(home.finish(command, Vec::new())?.ok()?.text() == "700");
    if !backend.is_real() {
        let mut command = ssh.client("ssh", ["-A", VM, script]);
        command.env("SSH_AUTH_SOCK", &socket);
        let keys = home.finish(command, Vec::new())?.ok()?.text();
        ensure!(keys.ends_with("of the story"), "{keys}");
    }
    // Without it, there is none, and nothing is left of the one that was.
    ensure!(ssh.sh(VM, "echo ${SSH_AUTH_SOCK:-none}")? == "none");
    drop(agent);
    home.end()
}
