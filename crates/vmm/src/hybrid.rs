//! Firecracker's hybrid vsock, host side: a guest's listener is reached through a Unix socket, on which the first line
//! names the port (Firecracker's `docs/vsock.md`).

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::Error;

/// The socket's name in a machine's directory.
pub(crate) const SOCKET: &str = "vsock.sock";

/// How long the VMM may take to connect to a listener in the guest.
const ANSWER: Duration = Duration::from_secs(10);

/// Longer than any answer: `OK ` and a number.
const LONGEST_ANSWER: usize = 32;

/// Connects to `port` of the guest whose hybrid socket is at `socket`.
///
/// The connection stays until it is answered, also when nobody waits for it any more: vhost-device-vsock 0.3 dies of an
/// answer that it cannot deliver, and then no connection to the guest is possible. A daemon that is killed while it dials
/// takes the connection with it all the same, until the machine is started again: what outlives the daemon and could
/// hold it (the monitor's `getfd` of QEMU) would make every command wait for QEMU's main loop twice, for the milliseconds
/// of a dial in which somebody kills the daemon.
pub(crate) async fn dial(socket: &Path, port: u32) -> Result<UnixStream, Error> {
    let socket = socket.to_owned();
    let answer = tokio::spawn(async move { connect(&socket, port).await });
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(result) => result.unwrap_or_else(|panicked| Err(io::Error::other(panicked))),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
    .map_err(|source| Error::Dial { port, source })
}

async fn connect(socket: &Path, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let mut answer = Vec::with_capacity(LONGEST_ANSWER);
    // Byte by byte: what follows the line belongs to the guest's stream.
    while answer.last() != Some(&b'\n') {
        if answer.len() == LONGEST_ANSWER {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the VMM's answer has no end",
            ));
        }
        let byte = stream.read_u8().await.map_err(|error| match error.kind() {
            // The VMM hangs up when nothing in the guest listens.
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(io::ErrorKind::ConnectionRefused, "nothing listens on the port")
            }
            _ => error,
        })?;
        answer.push(byte);
    }
    // The number after it is the VMM's own port; VMMs differ in it and nobody needs it.
    if answer.starts_with(b"OK ") {
        Ok(stream)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the VMM's answer is not OK",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    async fn dial_one_that_answers(answer: &'static [u8]) -> Result<UnixStream, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = [0; 13];
            stream.read_exact(&mut line).await.unwrap();
            assert_eq!(&line, b"CONNECT 1024\n");
            stream.write_all(answer).await.unwrap();
        });
        dial(&path, 1024).await
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_the_guests() {
        let mut stream = dial_one_that_answers(b"OK 1073741824\nhello").await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "hello");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        let listener = UnixListener::bind(&path).unwrap();
        let mut dialing = Box::pin(dial(&path, 1024));
        let mut stream = tokio::select! {
            _ = &mut dialing => panic!("it was not answered"),
            accepted = listener.accept() => accepted.unwrap().0,
        };
        let mut line = [0; 13];
        tokio::select! {
            _ = &mut dialing => panic!("it was not answered"),
            read = stream.read_exact(&mut line) => drop(read.unwrap()),
        }
        drop(dialing);
        tokio::task::yield_now().await;
        stream.write_all(b"OK 1\n").await.unwrap();
        // And then the connection goes.
        assert_eq!(stream.read(&mut line).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn refusals_and_nonsense_are_errors() {
        for answer in [
            &b""[..],
            b"NO\n",
            b"OK 1234567890123456789012345678901234567890\n",
        ] {
            assert!(dial_one_that_answers(answer).await.is_err());
        }
    }
}
