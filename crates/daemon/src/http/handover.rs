//! Handing the connection to a guest's agent over to a client, so that what it copies passes this process no more.
//! The bytes of it are in `banger_guest_api::handover`.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use axum::response::Response;
use banger_api::stream::{HANDED_OVER, handover};
use banger_guest_link::AgentStream;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::upgrade;

/// The answer to a client that gets a connection of its own.
pub(super) fn handed_over(client: OnUpgrade, agent: AgentStream) -> Response {
    tokio::spawn(async move {
        let handed = match client.await {
            Ok(client) => hand_over(client, agent).await,
            Err(error) => {
                return tracing::warn!(%error, "a client requested a connection and did not use it");
            }
        };
        if let Err(error) = handed {
            tracing::debug!(%error, "a client disconnected before it received its connection");
        }
    });
    upgrade::switching(HANDED_OVER)
}

async fn hand_over(client: Upgraded, AgentStream { stream, sent }: AgentStream) -> io::Result<()> {
    let client = downcast::<TokioIo<UnixStream>>(client);
    let client = client.map_err(|_| io::Error::other("the client's connection is not a socket"))?;
    let mut socket = client.io.into_inner();
    if client.read_buf.is_empty() {
        socket.read_exact(&mut [0]).await?;
    }
    let agent = stream.into_std()?;
    agent.set_nonblocking(false)?;
    let bytes = handover::encode(&sent).map_err(io::Error::other)?;
    let handed = socket.async_io(Interest::WRITABLE, || {
        let descriptors = [agent.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let parts = [IoSlice::new(&bytes)];
        Ok(sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL)?)
    });
    let handed = handed.await?;
    socket.write_all(&bytes[handed..]).await
}
