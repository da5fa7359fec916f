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
