//! A published port: how much goes through it, and how long a byte takes there and back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use banger_api::VmForward;

use super::figure::{Figure, median_of};
use super::home::{Home, Under, ms};

const RUNS: usize = 5;
const ROUNDS: usize = 300;
/// Bytes of a run.
const AMOUNT: usize = 128 << 20;
const CHUNK: usize = 256 << 10;

/// On the host's side alone: guest and host have the same ports, so that the server can also be reached directly.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Fake, "256M")?;
    let servers = Servers::start(&home)?;
    let published = Times::measure(&servers.published(&home)?)?;
    let direct = Times::measure(&servers.ports)?;
    let direct = [&direct.from, &direct.to, &direct.connection, &direct.round]
        .map(|samples| median_of(samples.clone()));
    let figures = published.figures().into_iter().zip(direct);
    Ok(figures
        .map(|(figure, direct)| figure.under("fake").phase("direct", direct))
        .collect())
}

/// In a real guest.
pub(super) fn measure_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "256M")?;
    let servers = Servers::start(&home)?;
    let times = Times::measure(&servers.published(&home)?)?;
    let figures = times.figures().into_iter();
    Ok(figures.map(|figure| figure.under("firecracker")).collect())
}

/// Servers in a guest: one that sends without end, one that takes all, one that sends back.
struct Servers {
    ports: [u16; 3],
    programs: Vec<Child>,
}

impl Servers {
    fn start(home: &Home) -> Result<Self> {
        let does: [&[&str]; 3] = [
            &["cat", "/dev/zero"],
            &["dd", "of=/dev/null", "bs=128k"],
            &["cat"],
        ];
        let mut servers = Self {
            ports: [0; 3],
            programs: Vec::new(),
        };
        for (port, does) in servers.ports.iter_mut().zip(does) {
            *port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let number = port.to_string();
            let nc = [
                "vm",
                "exec",
                "vm",
                "--",
                "busybox",
                "nc",
                "-ll",
                "-p",
                &number,
                "-e",
                "/bin/busybox",
            ];
            let words = [&nc[..], does].concat();
            let mut program = home.command(&words);
            program.stdout(Stdio::null()).stderr(Stdio::null());
            servers.programs.push(program.spawn()?);
            home.banger(&["vm", "forward", "add", "vm", &format!(":{number}")])?;
        }
        Ok(servers)
    }

    /// The ports that the host has for them, once they answer.
    fn published(&self, home: &Home) -> Result<[u16; 3]> {
        let listed = home.banger(&["vm", "forward", "list", "--json"])?;
        let listed: Vec<VmForward> = serde_json::from_slice(&listed.stdout)?;
        let mut ports = [0; 3];
        for (port, forward) in ports.iter_mut().zip(&listed) {
            let value = serde_json::to_value(forward)?;
            let number = value["forward"]["host_port"].as_u64().context("a host port")?;
            *port = u16::try_from(number)?;
        }
        until_up(ports[2])?;
        Ok(ports)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// The servers were started a moment ago.
fn until_up(echo: u16) -> Result<()> {
    for _ in 0..100 {
        let mut stream = connect(echo)?;
        if stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the servers in the guest do not answer")
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// What was measured.
struct Times {
    from: Vec<f64>,
    to: Vec<f64>,
    connection: Vec<f64>,
    round: Vec<f64>,
}

impl Times {
    fn measure(&[source, sink, echo]: &[u16; 3]) -> Result<Self> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            from.push(received(source)?);
            to.push(sent(sink)?);
        }
        let mut connection = Vec::new();
        for _ in 0..ROUNDS / 6 {
            let since = Instant::now();
            byte(&mut connect(echo)?)?;
            connection.push(ms(since.elapsed()));
        }
        let (mut stream, mut round) = (connect(echo)?, Vec::new());
        for _ in 0..ROUNDS {
            let since = Instant::now();
            byte(&mut stream)?;
            round.push(ms(since.elapsed()));
        }
        Ok(Self {
            from,
            to,
            connection,
            round,
        })
    }

    /// From the guest and to it, a connection with its first byte, and a byte there and back.
    fn figures(&self) -> [Figure; 4] {
        [
            Figure::of("net.publish_mbit", &self.from),
            Figure::of("net.publish_to_mbit", &self.to),
            Figure::of("net.publish_connection_ms", &self.connection),
            Figure::of("net.publish_round_ms", &self.round),
        ]
    }
}

fn byte(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"x")?;
    Ok(stream.read_exact(&mut [0])?)
}

fn received(port: u16) -> Result<f64> {
    let mut stream = connect(port)?;
    let mut buffer = vec![0; CHUNK];
    let (since, mut rest) = (Instant::now(), AMOUNT);
    while rest > 0 {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the stream ended {rest} bytes early");
        }
        rest = rest.saturating_sub(read);
    }
    Ok(mbit(AMOUNT - rest, since))
}

fn sent(port: u16) -> Result<f64> {
    let mut stream = connect(port)?;
    let (buffer, since) = (vec![0; CHUNK], Instant::now());
    for _ in 0..AMOUNT / CHUNK {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(Shutdown::Write)?;
    // It has taken all of it when it ends.
    let left = stream.read(&mut [0; 64]).context("failed to read to the end")?;
    if left != 0 {
        bail!("unexpected data after the end");
    }
    Ok(mbit(AMOUNT, since))
}

fn mbit(bytes: usize, since: Instant) -> f64 {
    bytes as f64 * 8.0 / since.elapsed().as_secs_f64() / 1e6
}
