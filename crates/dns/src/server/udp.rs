//! Datagrams. What is known is said at once, by the task that reads; what has to wait gets a task and a place, or none.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_model::network::Allow;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::Shared;
use crate::oracle::{Asker, Oracle};
use crate::places::{Place, Who};
use crate::reply::{Reply, Transport};
use crate::request::{self, MAX_QUESTION, Question, Received};
use crate::resolver::Step;

/// How long to rest after the socket has failed, as it does while the host is out of memory.
const REST: Duration = Duration::from_millis(100);

/// A question that has to wait.
struct Waiting {
    asker: Asker,
    question: Question,
    rules: Vec<Allow>,
    place: Place,
}

/// What to do about a datagram.
enum Deed {
    Nothing,
    Send(Vec<u8>),
    Wait(Box<Waiting>),
}

/// Answers datagrams, until it is dropped.
pub(super) async fn serve<O: Oracle>(shared: Arc<Shared<O>>, socket: Arc<UdpSocket>) {
    let mut waiting = JoinSet::new();
    // One more than the longest question, so that a longer one is seen as such.
    let mut buffer = [0; MAX_QUESTION + 1];
    if let Err(error) = socket.writable().await {
        tracing::warn!(%error, "cannot write to a DNS socket");
    }
    loop {
        let (length, source) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "failed to read a DNS query");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // As many as there are places at most.
        while waiting.try_join_next().is_some() {}
        match step(&shared, &buffer[..length], source) {
            Deed::Nothing => {}
            Deed::Send(bytes) => send(&socket, &bytes, source),
            Deed::Wait(question) => {
                let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
                waiting.spawn(async move {
                    let bytes = wait(&shared, *question).await;
                    send(&socket, &bytes, source);
                });
            }
        }
    }
}

fn step<O: Oracle>(shared: &Arc<Shared<O>>, bytes: &[u8], source: SocketAddr) -> Deed {
    let Some(asker) = shared.resolver.oracle.asker(source.ip()) else {
        return Deed::Nothing;
    };
    let who = Who::from(&asker);
    if !shared.places.admits(who, Instant::now()) {
        return Deed::Nothing;
    }
    let question = match request::read(bytes) {
        Received::Nothing => return Deed::Nothing,
        Received::Wrong(question, code) => {
            return Deed::Send(Reply::code(code).encode(&question, Transport::Udp));
        }
        Received::Question(question) => question,
    };
    match shared.resolver.decide(&asker, &question) {
        Step::Reply(reply) => Deed::Send(reply.encode(&question, Transport::Udp)),
        Step::LookUp(rules) => match shared.places.question(who) {
            None => Deed::Nothing,
            Some(place) => Deed::Wait(Box::new(Waiting {
                asker,
                question,
                rules,
                place,
            })),
        },
    }
}

async fn wait<O: Oracle>(shared: &Shared<O>, waiting: Waiting) -> Vec<u8> {
    let Waiting {
        asker,
        question,
        rules,
        place,
    } = waiting;
    let reply = shared.resolver.look_up(&asker, &question, rules).await;
    drop(place);
    reply.encode(&question, Transport::Udp)
}

/// Sends at once or not at all: one whose datagrams are not taken is not to be waited for, and asks again.
fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    if bytes.is_empty() {
        return;
    }
    match socket.try_send_to(bytes, to) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            tracing::debug!(%to, "an answer dropped: the socket is full");
        }
        Err(error) => tracing::debug!(%to, %error, "an answer dropped"),
    }
}
