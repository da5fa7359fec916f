//! Connections to a published TCP port.

use std::io;
use std::sync::Arc;

use banger_model::chain;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::relay::relay;
use crate::work::{BREATH, Work};

/// Takes connections, for ever. All of them end with this.
pub(crate) async fn serve(listeners: Vec<TcpListener>, work: Work) {
    let mut connections = JoinSet::new();
    loop {
        // Without a place, the kernel keeps who waits.
        let Ok(place) = Arc::clone(&work.route.into).acquire_owned().await else {
            return;
        };
        tokio::select! {
            accepted = accept(&listeners) => match accepted {
                Ok(client) => {
                    let work = work.clone();
                    connections.spawn(async move {
                        carry(client, &work).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(vm = %work.route.vm, %error, "could not accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    std::future::poll_fn(|context| {
        let mut accepted = listeners.iter().map(|listener| listener.poll_accept(context));
        let ready = accepted.find(std::task::Poll::is_ready);
        ready.unwrap_or(std::task::Poll::Pending)
    })
    .await
    .map(|(stream, _)| stream)
}

async fn carry(client: TcpStream, work: &Work) {
    let open = work.counters.connection();
    let _ = client.set_nodelay(true);
    match work.route.connect(&work.connect).await {
        Ok(tunnel) => relay(client, tunnel).await,
        Err(error) => {
            open.refused();
            tracing::debug!(vm = %work.route.vm, error = %chain(&error), "a connection was refused");
            let _ = client.set_zero_linger();
        }
    }
}
