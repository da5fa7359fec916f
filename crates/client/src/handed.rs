//! Connections to an agent that the daemon hands over, so that what goes on them passes no process but this one and the VMM, and goes on
//! when the daemon ends. How: `docs/protocol.md`.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;

use banger_api::routes::Route;
use banger_api::routes::switch::HandsOver;
use banger_guest_api::handover;
use banger_wire::files::Handed;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::call::Call;
use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// The connection that a request asks for. It speaks what the route says.
    pub(crate) async fn handed<R: Route<Reply: HandsOver>>(
        &self,
        call: Call<R>,
    ) -> Result<Handed, ClientError> {
        let socket = self.upgraded(call).await?.stream;
        let socket = socket.into_std().map_err(ClientError::Stream)?;
        let taken = tokio::task::spawn_blocking(move || take(socket)).await;
        taken
            .map_err(|_| ClientError::Ended)?
            .map_err(ClientError::Stream)
    }
}

/// Takes the connection that a daemon hands over.
fn take(mut daemon: UnixStream) -> io::Result<Handed> {
    daemon.set_nonblocking(false)?;
    daemon.write_all(&[handover::READY])?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; handover::LENGTH];
    let received = recvmsg(
        &daemon,
        &mut [IoSliceMut::new(&mut length)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL,
    )?;
    let agent = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let agent = agent.ok_or_else(|| io::Error::other("the daemon did not hand over a connection"))?;
    daemon.read_exact(&mut length[received.bytes..])?;
    let mut sent = vec![0; handover::decode_length(length).map_err(io::Error::other)?];
    daemon.read_exact(&mut sent)?;
    Ok(Handed {
        agent: agent.into(),
        sent,
    })
}
