//! What scenarios of port forwards have in common: programs that serve in a guest, ports, and echoes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use banger_api::{ForwardState, VmForward};
use banger_e2e::Home;

/// Longer than anything here takes; then a scenario fails and does not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program of the guest that goes on until this is dropped.
pub(crate) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs busybox in a guest until it listens at `port`.
pub(crate) fn serve(home: &Home, vm: &str, port: u16, words: &[&str]) -> Result<Program> {
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
pub(crate) fn serve_echo(home: &Home, vm: &str, port: u16) -> Result<Program> {
    let port_text = port.to_string();
    serve(
        home,
        vm,
        port,
        &["nc", "-ll", "-p", &port_text, "-e", "/bin/busybox", "cat"],
    )
}

/// A port that is free here; under the fake, guest and host have the same ones.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

pub(crate) fn forwards(home: &Home, vm: &str) -> Result<Vec<VmForward>> {
    let listed = home.banger(["vm", "forward", "list", vm, "--json"])?.ok()?;
    Ok(serde_json::from_slice(&listed.stdout)?)
}

/// The only forward of a VM.
pub(crate) fn forward(home: &Home, vm: &str) -> Result<VmForward> {
    let mut forwards = forwards(home, vm)?;
    ensure!(forwards.len() == 1, "{forwards:?}");
    Ok(forwards.remove(0))
}

/// The host port of the only forward of a VM.
pub(crate) fn host_port(home: &Home, vm: &str) -> Result<u16> {
    let listed = serde_json::to_value(forward(home, vm)?)?;
    let port = listed["forward"]["host_port"].as_u64().context("a host port")?;
    Ok(u16::try_from(port)?)
}

pub(crate) fn connect(address: impl Into<SocketAddr>) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Bytes that do not repeat.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
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
pub(crate) fn echoed(mut stream: TcpStream, bytes: &[u8]) -> Result<()> {
    let mut sending = stream.try_clone()?;
    let back = std::thread::scope(|scope| {
        let sent = scope.spawn(move || {
            sending.write_all(bytes)?;
            sending.shutdown(Shutdown::Write)
        });
        let mut back = Vec::with_capacity(bytes.len());
        let read = stream.read_to_end(&mut back);
        sent.join().expect("a scenario's thread").context("send")?;
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

/// Looks again until a forward is as it should be: there is no command that waits for that.
pub(crate) fn wait_for(home: &Home, vm: &str, state: ForwardState) -> Result<()> {
    for _ in 0..100 {
        if forward(home, vm)?.state == state {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("it is {:?}", forward(home, vm)?)
}
