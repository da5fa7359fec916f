//! One flow of datagrams through a tunnel: a frame is a datagram.

use std::io;

use banger_guest_api::tunnel::{Cutter, HEADER, Piece, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::socket::Socket;

/// The longest datagram.
const DATAGRAM: usize = 64 << 10;

/// Carries datagrams between the host and `program` until the host closes the tunnel, or nothing has the port any more.
pub(super) async fn relay(tunnel: Socket, sent: &[u8], program: UdpSocket) {
    let (mut from_host, mut to_host) = tokio::io::split(tunnel);
    let there = async {
        let (mut cutter, mut datagram) = (Cutter::default(), Vec::new());
        let mut buffer = sent.to_vec();
        buffer.resize(sent.len().max(DATAGRAM), 0);
        let mut read = sent.len();
        loop {
            let mut bytes = &buffer[..read];
            while let Some(piece) = cutter.cut(&mut bytes).map_err(io::Error::other)? {
                let Piece::Data { bytes, last } = piece else {
                    return Ok(());
                };
                datagram.extend_from_slice(&bytes[..bytes.len().min(DATAGRAM - datagram.len())]);
                if last {
                    program.send(&datagram).await?;
                    datagram.clear();
                }
            }
            read = from_host.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; HEADER + DATAGRAM];
        loop {
            // An error is that nothing has the port (ICMP told so).
            let read = program.recv(&mut buffer[HEADER..]).await?;
            buffer[..HEADER].copy_from_slice(&header(read));
            to_host.write_all(&buffer[..HEADER + read]).await?;
        }
    };
    // Either end is the end: a flow has no directions that end for themselves.
    let _: io::Result<()> = tokio::select! {
        there = there => there,
        back = back => back,
    };
}
