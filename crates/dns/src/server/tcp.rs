//! Connections (RFC 7766): any number of questions in a row, each with its length before it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Shared;
use crate::oracle::Oracle;
use crate::places::{Place, Who};
use crate::reply::{Reply, Transport};
use crate::request::{self, MAX_QUESTION, Received};
use crate::resolver::Step;

/// How long to rest after the listener has failed, as it does while there are no descriptors.
const REST: Duration = Duration::from_millis(100);

/// Takes connections, until it is dropped.
pub(super) async fn serve<O: Oracle>(shared: Arc<Shared<O>>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a DNS connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Some(place) = place(&shared, source) else {
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            if let Err(error) = converse(&shared, stream, source).await {
                tracing::debug!(%source, %error, "a DNS connection");
            }
            drop(place);
        });
    }
}

fn place<O: Oracle>(shared: &Shared<O>, source: SocketAddr) -> Option<Place> {
    let asker = shared.resolver.oracle.asker(source.ip())?;
    let who = Who::from(&asker);
    let admitted = shared.places.admits(who, Instant::now());
    admitted.then(|| shared.places.connection(who))?
}

/// Answers one question after the other, until the other side ends, is still for too long, or takes no answer.
async fn converse<O: Oracle>(
    shared: &Shared<O>,
    mut stream: TcpStream,
    source: SocketAddr,
) -> io::Result<()> {
    let idle = shared.limits.idle_time;
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let read = timeout(idle, question(&mut stream, &mut buffer)).await;
        let Ok(Some(length)) = read.unwrap_or(Ok(None)) else {
            return Ok(());
        };
        let Some(bytes) = answer(shared, &buffer[..length], source).await else {
            return Ok(());
        };
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let message = [&length.to_be_bytes(), bytes.as_slice()].concat();
        timeout(idle, stream.write_all(&message)).await??;
    }
}

/// Reads a message; none if there is none, or one that is too long.
async fn question(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let length = usize::from(stream.read_u16().await?);
    let Some(place) = buffer.get_mut(..length) else {
        return Ok(None);
    };
    stream.read_exact(place).await?;
    Ok(Some(length))
}

/// The answer; none if the connection should rather end. The asker is asked for again: its rules may be others now.
async fn answer<O: Oracle>(shared: &Shared<O>, bytes: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let asker = shared.resolver.oracle.asker(source.ip())?;
    let who = Who::from(&asker);
    if !shared.places.admits(who, Instant::now()) {
        return None;
    }
    let (question, reply): (_, Reply) = match request::read(bytes) {
        Received::Nothing => return None,
        Received::Wrong(question, code) => (question, Reply::code(code)),
        Received::Question(question) => match shared.resolver.decide(&asker, &question) {
            Step::Reply(reply) => (question, reply),
            Step::LookUp(rules) => {
                let _place = shared.places.question(who)?;
                let reply = shared.resolver.look_up(&asker, &question, rules).await;
                (question, reply)
            }
        },
    };
    let bytes = reply.encode(&question, Transport::Tcp);
    (!bytes.is_empty()).then_some(bytes)
}
