//! The resolver alone, on loopback, as the daemon starts it: how long `NAME.vm` takes, and how many a second it answers.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_dns::{Answer, Asked, Asker, Config, Listening, Oracle, Server, Sockets, Upstreams};
use banger_model::VmName;
use banger_model::network::{Refused, Slot, refused};
use tokio::runtime::Runtime;

use super::figure::Figure;
use super::home::ms;

/// Questions one after the other.
const RUNS: usize = 5000;
/// The rate that the issue asks for, the highest that is tried, and how long each is held.
const RATE: u32 = 10_000;
const MAX_RATE: u32 = 160_000;
const SECONDS: u32 = 3;

/// One VM, and no one but the host who asks.
struct OneVm;

impl Oracle for OneVm {
    type Error = Infallible;

    fn vm(&self, name: &VmName) -> Option<Vec<IpAddr>> {
        (name.as_str() == "web").then(|| vec![[172, 16, 0, 2].into()])
    }

    fn reverse(&self, _: IpAddr) -> Option<VmName> {
        None
    }

    fn asker(&self, source: IpAddr) -> Option<Asker> {
        source.is_loopback().then_some(Asker::Host)
    }

    fn refused(&self) -> Arc<Refused> {
        Arc::new(refused().clone())
    }

    async fn learned(&self, _: Slot, _: Vec<Answer>) -> Result<(), Infallible> {
        Ok(())
    }

    fn asked(&self, _: Slot, _: Asked) {}
}

struct Running {
    address: SocketAddr,
    _listening: Listening,
    _runtime: Runtime,
}

impl Running {
    fn start() -> Result<Self> {
        let runtime = Runtime::new()?;
        let context = runtime.enter();
        let config = Config {
            upstreams: Upstreams::These(Vec::new()),
            ..Config::default()
        };
        let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = *sockets.addresses().first().context("a socket")?;
        let listening = Server::new(config, Arc::new(OneVm)).listen(sockets)?;
        drop(context);
        Ok(Self {
            address,
            _listening: listening,
            _runtime: runtime,
        })
    }

    fn client(&self) -> Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(socket)
    }
}

/// A question for the A record of `web.vm`.
fn question(id: u16) -> Vec<u8> {
    let header = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&id.to_be_bytes(), &header[..], b"\x03web\x02vm\0\0\x01\0\x01"].concat()
}

/// Whether it is the answer, with one record.
fn is_answer(bytes: &[u8], id: u16) -> bool {
    bytes.starts_with(&id.to_be_bytes())
        && bytes.get(3).is_some_and(|flags| flags & 0xf == 0)
        && bytes[7] == 1
}

pub(super) fn measure_answer() -> Result<Vec<Figure>> {
    let running = Running::start()?;
    let socket = running.client()?;
    let mut took = Vec::with_capacity(RUNS);
    let mut buffer = [0; 1500];
    for id in 0..RUNS as u16 {
        let since = Instant::now();
        socket.send(&question(id))?;
        let length = socket.recv(&mut buffer)?;
        took.push(ms(since.elapsed()));
        ensure!(is_answer(&buffer[..length], id), "a wrong answer");
    }
    Ok(vec![Figure::of("dns.answer_ms", &took)])
}

/// The highest rate that was held without a loss: the one asked for, doubled as long as all are answered.
pub(super) fn measure_rate() -> Result<Vec<Figure>> {
    let running = Running::start()?;
    let first = hold(&running, RATE + RATE / 50)?;
    let lost = f64::from(first.lost);
    let (mut best, mut next) = (first, 2 * RATE);
    while best.lost == 0 && next <= MAX_RATE {
        let held = hold(&running, next)?;
        if held.lost > 0 {
            break;
        }
        (best, next) = (held, 2 * next);
    }
    let reached = if best.lost == 0 { best.rate } else { 0.0 };
    let figure = Figure::of("dns.qps_without_loss", &[reached])
        .phase("lost at 10,000 a second", lost)
        .phase("for seconds", best.seconds);
    Ok(vec![figure])
}

struct Held {
    /// Answers a second.
    rate: f64,
    lost: u32,
    seconds: f64,
}

/// Asks at a rate, in a burst each millisecond, and counts what comes back.
fn hold(running: &Running, rate: u32) -> Result<Held> {
    let socket = running.client()?;
    let reader = socket.try_clone()?;
    let total = rate * SECONDS;
    let reading = thread::spawn(move || count(&reader, total));
    let since = Instant::now();
    let mut sent = 0;
    while sent < total {
        // One more than the time that has passed gives, so that the rate is held on the whole.
        let due = (since.elapsed().as_secs_f64() * f64::from(rate)) as u32 + 1;
        while sent < due.min(total) {
            socket.send(&question(sent as u16))?;
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let seconds = since.elapsed().as_secs_f64();
    let answered = reading.join().ok().context("the reader")??;
    Ok(Held {
        rate: f64::from(answered) / seconds,
        lost: total - answered,
        seconds,
    })
}

/// Reads answers until there are as many, or none has come for a second.
fn count(socket: &UdpSocket, total: u32) -> Result<u32> {
    let mut buffer = [0; 1500];
    let mut answered = 0;
    while answered < total {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let id = u16::from_be_bytes([buffer[0], buffer[1]]);
                answered += u32::from(is_answer(&buffer[..length], id));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answered)
}
