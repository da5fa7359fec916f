//! One connection through a tunnel. Each direction ends for itself; nothing is held but one buffer.

use std::io;

use banger_guest_api::tunnel::{Cutter, END_FRAME, HEADER, Piece, header};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::socket::Socket;

/// Bytes that are held in each direction, at first and at most: it grows when so much comes at once.
const FIRST: usize = 8 << 10;
const BUFFER: usize = 64 << 10;

/// Carries everything between the host and `program`. `sent` came from the host before.
pub(super) async fn relay(tunnel: Socket, sent: &[u8], mut program: TcpStream) {
    let (mut from_host, mut to_host) = tokio::io::split(tunnel);
    // Half of a stream must not look like all of it, whatever ends this early.
    let _ = program.set_zero_linger();
    let carried = {
        let (mut from_program, mut to_program) = program.split();
        let there = to_program_from(&mut from_host, sent, &mut to_program);
        let back = to_host_from(&mut from_program, &mut to_host);
        tokio::try_join!(there, back)
    };
    if carried.is_ok() {
        let _ = sockopt::set_socket_linger(&program, None);
        drop(program);
        // The host closes first: what was written last may be on its way to it.
        let _ = from_host.read(&mut [0]).await;
    }
}

async fn to_host_from(
    program: &mut (impl AsyncRead + Unpin),
    host: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; HEADER + FIRST];
    loop {
        let read = program.read(&mut buffer[HEADER..]).await?;
        if read == 0 {
            return host.write_all(&END_FRAME).await;
        }
        buffer[..HEADER].copy_from_slice(&header(read));
        host.write_all(&buffer[..HEADER + read]).await?;
        grow(&mut buffer, HEADER + read);
    }
}

async fn to_program_from(
    host: &mut (impl AsyncRead + Unpin),
    sent: &[u8],
    program: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut cutter = Cutter::default();
    let mut buffer = sent.to_vec();
    buffer.resize(sent.len().max(FIRST), 0);
    let mut read = sent.len();
    loop {
        let mut bytes = &buffer[..read];
        while let Some(piece) = cutter.cut(&mut bytes).map_err(io::Error::other)? {
            match piece {
                Piece::Data { bytes, .. } => program.write_all(bytes).await?,
                Piece::End => return program.shutdown().await,
            }
        }
        grow(&mut buffer, read);
        read = host.read(&mut buffer).await?;
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
