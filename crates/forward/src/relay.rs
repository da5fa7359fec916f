//! One TCP connection through a tunnel: bytes in both directions, each of which ends for itself.

use std::io;

use banger_guest_api::tunnel::{Cutter, END_FRAME, HEADER, Piece, header};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use banger_guest_link::AgentStream;

/// Bytes that are held in each direction, at first and at most: it grows when so much comes at once.
const FIRST: usize = 8 << 10;
const BUFFER: usize = 128 << 10;

/// Carries everything between `peer` and the guest. When either breaks off, so does the other: whatever ends this early,
/// the end of this process included, half of a stream does not look like all of it.
pub(crate) async fn relay(mut peer: TcpStream, tunnel: AgentStream) {
    let AgentStream { mut stream, sent } = tunnel;
    let _ = peer.set_zero_linger();
    let carried = {
        let (mut from_guest, mut to_guest) = stream.split();
        let (mut from_peer, mut to_peer) = peer.split();
        let there = to_guest_from(&mut from_peer, &mut to_guest);
        let back = to_peer_from(&mut from_guest, &sent, &mut to_peer);
        tokio::try_join!(there, back)
    };
    if carried.is_ok() {
        let _ = sockopt::set_socket_linger(&peer, None);
    }
}

/// The same for any stream, of which either end ends the other: whoever uses it tells its end by itself.
///
/// # Errors
/// When either side breaks off, or the guest speaks nonsense.
pub async fn join(peer: impl AsyncRead + AsyncWrite, tunnel: AgentStream) -> io::Result<()> {
    let AgentStream { mut stream, sent } = tunnel;
    let (mut from_guest, mut to_guest) = stream.split();
    let (mut from_peer, mut to_peer) = tokio::io::split(peer);
    let there = to_guest_from(&mut from_peer, &mut to_guest);
    let back = to_peer_from(&mut from_guest, &sent, &mut to_peer);
    tokio::try_join!(there, back).map(drop)
}

async fn to_guest_from(
    peer: &mut (impl AsyncRead + Unpin),
    guest: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; HEADER + FIRST];
    loop {
        let read = peer.read(&mut buffer[HEADER..]).await?;
        if read == 0 {
            return guest.write_all(&END_FRAME).await;
        }
        buffer[..HEADER].copy_from_slice(&header(read));
        guest.write_all(&buffer[..HEADER + read]).await?;
        grow(&mut buffer, HEADER + read);
    }
}

async fn to_peer_from(
    guest: &mut (impl AsyncRead + Unpin),
    sent: &[u8],
    peer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; FIRST.max(sent.len())];
    buffer[..sent.len()].copy_from_slice(sent);
    let mut read = sent.len();
    loop {
        let mut bytes = &buffer[..read];
        while let Some(piece) = cutter.cut(&mut bytes).map_err(io::Error::other)? {
            match piece {
                Piece::Data { bytes, .. } => peer.write_all(bytes).await?,
                Piece::End => return peer.shutdown().await,
            }
        }
        grow(&mut buffer, read);
        read = guest.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Makes a buffer larger that was filled: connections that have little to say, which are most, hold little.
fn grow(buffer: &mut Vec<u8>, filled: usize) {
    if filled == buffer.len() && filled < BUFFER {
        buffer.resize((filled * 4).min(HEADER + BUFFER), 0);
    }
}
