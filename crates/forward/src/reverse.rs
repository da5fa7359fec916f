//! Ports of this host that a guest has.
//!
//! The daemon asks the agent to listen and gets a token for each connection, which it brings back to get the connection.
//! So all a guest can do is to ask for the one port that was declared, so many times at once.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_guest_api::tunnel::{Cutter, Piece};
use banger_guest_api::{Listen, Take};
use banger_guest_link::{self as guest, AgentStream};
use banger_model::{Forward, Reverse, chain};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::relay::relay;
use crate::route::Route;
use crate::running::Running;
use crate::watched::{Counters, Open, Status, Watched};

/// How often the agent is asked again, each time after twice the pause: its server is back soon after it died.
const ATTEMPTS: u32 = 6;

/// A guest that listened for so long had not just been about to fail.
const STEADY: Duration = Duration::from_secs(10);

/// Bytes of a token.
const TOKEN: usize = 8;

pub(crate) fn begin(route: &Route, reverse: Reverse) -> Running {
    let (status, receiver) = watch::channel(Status::Starting);
    let counters = Arc::<Counters>::default();
    let watched = Watched {
        status: receiver,
        counters: Arc::clone(&counters),
    };
    let serving = serve(route.clone(), reverse, status, counters);
    Running {
        forward: Forward::Reverse(reverse),
        watched,
        task: route.table.spawn(serving),
    }
}

async fn serve(route: Route, reverse: Reverse, status: watch::Sender<Status>, counters: Arc<Counters>) {
    let listen = Listen {
        port: reverse.guest_port,
    };
    let mut failures = 0;
    loop {
        let since = Instant::now();
        let why = match route.guest.listen(&listen).await {
            Ok(tunnel) => {
                status.send_replace(Status::Listening);
                hear(tunnel, &route, reverse, &counters).await;
                "the guest's agent disconnected".to_owned()
            }
            // The agent is there and says no: it would again.
            Err(error @ (guest::Error::Refused { .. } | guest::Error::TooOld { .. })) => {
                status.send_replace(Status::Failed(chain(&error)));
                return;
            }
            Err(error) => chain(&error),
        };
        if since.elapsed() > STEADY {
            failures = 0;
        }
        failures += 1;
        if failures == ATTEMPTS {
            status.send_replace(Status::Failed(why));
            return;
        }
        status.send_replace(Status::Starting);
        tokio::time::sleep(Duration::from_millis(50 << failures)).await;
    }
}

/// Serves each connection that the guest tells of, until it tells no more, or nonsense.
async fn hear(tunnel: AgentStream, route: &Route, reverse: Reverse, counters: &Arc<Counters>) {
    let AgentStream { mut stream, sent } = tunnel;
    let mut connections = JoinSet::new();
    let (mut cutter, mut token) = (Cutter::default(), Vec::with_capacity(TOKEN));
    let mut buffer = sent.to_vec();
    loop {
        let mut bytes = &buffer[..];
        loop {
            let (bytes, last) = match cutter.cut(&mut bytes) {
                Ok(Some(Piece::Data { bytes, last })) => (bytes, last),
                Ok(None) => break,
                Ok(Some(Piece::End)) | Err(_) => return,
            };
            token.extend_from_slice(&bytes[..bytes.len().min(TOKEN + 1 - token.len())]);
            if !last {
                continue;
            }
            let Ok(number) = <[u8; TOKEN]>::try_from(&token[..]) else {
                return;
            };
            token.clear();
            // Those beyond the bound wait in the guest.
            let Ok(place) = Arc::clone(&route.out_of).acquire_owned().await else {
                return;
            };
            let take = Take {
                token: u64::from_be_bytes(number),
            };
            let (route, open) = (route.clone(), counters.connection());
            connections.spawn(async move {
                let _place = place;
                carry(&route, &take, reverse.host_port, &open).await;
            });
        }
        buffer.resize(4096, 0);
        let read = tokio::select! {
            read = stream.read(&mut buffer) => read.unwrap_or_default(),
            Some(_) = connections.join_next() => {
                buffer.clear();
                continue;
            }
        };
        if read == 0 {
            return;
        }
        buffer.truncate(read);
    }
}

async fn carry(route: &Route, take: &Take, port: u16, open: &Open) {
    let tunnel = match route.take(take).await {
        Ok(tunnel) => tunnel,
        // It gave up waiting.
        Err(error) => return tracing::debug!(error = %chain(&error), "a guest's connection is gone"),
    };
    let connected = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await,
        connected => connected,
    };
    match connected {
        Ok(server) => {
            let _ = server.set_nodelay(true);
            relay(server, tunnel).await;
        }
        // The guest sees that its connection broke off when the tunnel is closed.
        Err(_) => open.refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{route, switched};
    use banger_guest_api::routes;
    use banger_guest_api::tunnel::header;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// A guest that tells of as many connections as it can, and of none that is there.
    #[tokio::test]
    async fn a_hostile_guest_reaches_one_port_so_many_times_at_once() {
        let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to_guest = route(|asked, mut stream| async move {
            stream.write_all(switched().as_bytes()).await?;
            if asked == routes::LISTEN {
                for token in 0_u64..1000 {
                    stream.write_all(&header(TOKEN)).await?;
                    stream.write_all(&token.to_be_bytes()).await?;
                }
            }
            std::future::pending().await
        });
        let reverse = Reverse {
            guest_port: 5432,
            host_port: host.local_addr().unwrap().port(),
        };
        let running = begin(&to_guest, reverse);
        let mut reached = Vec::new();
        while let Ok(accepted) = tokio::time::timeout(Duration::from_millis(500), host.accept()).await {
            reached.push(accepted.unwrap());
        }
        assert_eq!(reached.len(), crate::route::MOST_OUT_OF);
        running.end().await;
    }

    #[tokio::test]
    async fn a_guest_that_talks_nonsense_is_given_up() {
        let to_guest = route(|_, mut stream| async move {
            stream.write_all(switched().as_bytes()).await?;
            stream.write_all(&header(3)).await?;
            stream.write_all(b"abc").await?;
            std::future::pending().await
        });
        let reverse = Reverse {
            guest_port: 1,
            host_port: 1,
        };
        let running = begin(&to_guest, reverse);
        let mut status = running.watched.status.clone();
        let failed = status.wait_for(|status| matches!(status, Status::Failed(_)));
        tokio::time::timeout(Duration::from_secs(20), failed)
            .await
            .unwrap()
            .unwrap();
    }
}
