//! Connecting to a socket that has only just appeared.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::sleep;

/// Connects. A socket's file appears between bind(2) and listen(2), of which nothing tells the end: what is refused is
/// tried again, after twice the time, for a second at most.
pub(crate) async fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    let mut pause = Duration::from_micros(100);
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && pause < Duration::from_secs(1) => {
                sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

    #[tokio::test]
    async fn a_program_may_pause_between_its_socket_and_listening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        let refused = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let connecting = tokio::spawn(async move { connect(&path).await });
        sleep(Duration::from_millis(100)).await;
        listen(&listener, 1).unwrap();
        connecting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_never_listens_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let refused = connect(&path).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}
