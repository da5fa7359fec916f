//! Datagrams to a published UDP port. Those of one source are a flow: a tunnel of their own, until it is idle.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banger_guest_api::tunnel::{Cutter, HEADER, Piece, header};
use banger_guest_link::AgentStream;
use banger_model::chain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::work::{BREATH, Work};

/// The most flows of one socket; a new one then takes the place of the one that has been idle for longest.
const MOST_FLOWS: usize = 128;

/// How long a flow may be idle.
const IDLE: Duration = Duration::from_secs(60);

/// How much of one socket waits for the guest. Datagrams beyond it are lost, as datagrams are.
const MOST_WAITING: usize = 64;
const MOST_WAITING_BYTES: usize = 4 << 20;

/// The longest datagram.
const DATAGRAM: usize = 64 << 10;

/// A datagram as a frame, and its share of what may wait.
struct Waiting {
    frame: Vec<u8>,
    _share: OwnedSemaphorePermit,
}

struct Flow {
    id: u64,
    to_guest: mpsc::Sender<Waiting>,
    last: Arc<Mutex<Instant>>,
}

/// Takes datagrams, for ever. All flows end with this.
pub(crate) async fn serve(sockets: Vec<UdpSocket>, work: Work) {
    let each = sockets
        .into_iter()
        .map(|socket| serve_one(Arc::new(socket), work.clone()));
    futures_util::future::join_all(each).await;
}

async fn serve_one(socket: Arc<UdpSocket>, work: Work) {
    let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut tasks: JoinSet<(SocketAddr, u64)> = JoinSet::new();
    let shares = Arc::new(Semaphore::new(MOST_WAITING_BYTES));
    let mut buffer = vec![0; HEADER + DATAGRAM];
    let mut next = 0;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer[HEADER..]) => {
                let Ok((length, source)) = received else {
                    tokio::time::sleep(BREATH).await;
                    continue;
                };
                buffer[..HEADER].copy_from_slice(&header(length));
                let frame = &buffer[..HEADER + length];
                let Ok(share) = Arc::clone(&shares).try_acquire_many_owned(frame.len() as u32) else {
                    continue;
                };
                let flow = flows.entry(source).or_insert_with(|| {
                    next += 1;
                    begin(next, source, &socket, &work, &mut tasks)
                });
                // One that the guest is too slow for is lost.
                let _ = flow.to_guest.try_send(Waiting { frame: frame.to_vec(), _share: share });
                if flows.len() > MOST_FLOWS {
                    let idlest = flows.iter().min_by_key(|(_, flow)| when(&flow.last)).map(|(source, _)| *source);
                    idlest.map(|source| flows.remove(&source));
                }
            }
            Some(ended) = tasks.join_next() => {
                if let Ok((source, id)) = ended && flows.get(&source).is_some_and(|flow| flow.id == id) {
                    flows.remove(&source);
                }
            }
        }
    }
}

fn begin(
    id: u64,
    source: SocketAddr,
    socket: &Arc<UdpSocket>,
    work: &Work,
    tasks: &mut JoinSet<(SocketAddr, u64)>,
) -> Flow {
    let (to_guest, datagrams) = mpsc::channel(MOST_WAITING);
    let last = Arc::new(Mutex::new(Instant::now()));
    let (socket, work, used) = (Arc::clone(socket), work.clone(), Arc::clone(&last));
    tasks.spawn(async move {
        let open = work.counters.connection();
        match work.route.connect(&work.connect).await {
            Ok(tunnel) => {
                if let Err(error) = carry(tunnel, datagrams, &socket, source, &used).await {
                    open.refused();
                    tracing::debug!(vm = %work.route.vm, %error, "a flow ended");
                }
            }
            Err(error) => {
                open.refused();
                tracing::debug!(vm = %work.route.vm, error = %chain(&error), "a flow was refused");
            }
        }
        (source, id)
    });
    Flow { id, to_guest, last }
}

/// Carries datagrams until the flow is idle or given up. An error is that the guest ended it: nothing has the port.
async fn carry(
    tunnel: AgentStream,
    mut datagrams: mpsc::Receiver<Waiting>,
    socket: &UdpSocket,
    source: SocketAddr,
    last: &Mutex<Instant>,
) -> io::Result<()> {
    let AgentStream { mut stream, sent } = tunnel;
    let (mut from_guest, mut to_guest) = stream.split();
    let there = async {
        while let Some(waiting) = datagrams.recv().await {
            touch(last);
            to_guest.write_all(&waiting.frame).await?;
        }
        Ok(())
    };
    let back = async {
        let (mut cutter, mut datagram) = (Cutter::default(), Vec::new());
        let mut buffer = vec![0; DATAGRAM.max(sent.len())];
        buffer[..sent.len()].copy_from_slice(&sent);
        let mut read = sent.len();
        loop {
            let mut bytes = &buffer[..read];
            while let Some(Piece::Data { bytes, last: whole }) =
                cutter.cut(&mut bytes).map_err(io::Error::other)?
            {
                datagram.extend_from_slice(&bytes[..bytes.len().min(DATAGRAM - datagram.len())]);
                if whole {
                    touch(last);
                    // One that the client's system does not take is lost.
                    let _ = socket.send_to(&datagram, source).await;
                    datagram.clear();
                }
            }
            read = from_guest.read(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
        }
    };
    tokio::select! {
        there = there => there,
        back = back => back,
        () = idle(last) => Ok(()),
    }
}

async fn idle(last: &Mutex<Instant>) {
    while when(last).elapsed() < IDLE {
        tokio::time::sleep_until(when(last) + IDLE).await;
    }
}

fn touch(last: &Mutex<Instant>) {
    *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
}

fn when(last: &Mutex<Instant>) -> Instant {
    *last.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flow_ends_a_minute_after_its_last_datagram() {
        let last = Mutex::new(Instant::now());
        let began = Instant::now();
        let used = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            touch(&last);
        };
        tokio::join!(idle(&last), used);
        assert_eq!(began.elapsed().as_secs(), 110);
    }
}
