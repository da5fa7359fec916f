//! Whether a port speaks HTTP: it is asked, in as few words as there are.

use std::net::SocketAddr;
use std::time::Duration;

use banger_guest_api::Http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a server may take. One that is slower is taken for none.
const PATIENCE: Duration = Duration::from_millis(400);

/// The most of an answer that is read.
const MOST: usize = 2048;

/// Without a header: there are servers of other protocols that take `Host` for an attack.
const REQUEST: &[u8] = b"HEAD / HTTP/1.0\r\n\r\n";

/// What the server at `address` says, if that is HTTP.
pub(super) async fn ask(address: SocketAddr) -> Option<Http> {
    let mut answer = Vec::with_capacity(MOST);
    // What came by the deadline counts.
    let _ = tokio::time::timeout(PATIENCE, hear(address, &mut answer)).await;
    understood(&answer)
}

async fn hear(address: SocketAddr, answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut stream = stream.take(MOST as u64);
    while stream.read_buf(answer).await? > 0 && !answer.windows(4).any(|end| end == b"\r\n\r\n") {}
    Ok(())
}

/// The status line and the `Server` header of an answer (RFC 9112, section 4; RFC 9110, section 10.2.4).
fn understood(answer: &[u8]) -> Option<Http> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?;
    let status = status.split_ascii_whitespace().nth(1)?;
    let status = status.parse().ok().filter(|status| (100..600).contains(status))?;
    let headers = lines.take_while(|line| !line.is_empty());
    let mut fields = headers.filter_map(|line| line.split_once(':'));
    let server = fields.find(|(name, _)| name.eq_ignore_ascii_case("server"));
    let server = server.map(|(_, value)| {
        value
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect::<String>()
    });
    Some(Http {
        status,
        server: server.map(|server| server.trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_is_understood() {
        let answer = b"HTTP/1.1 404 Not Found\r\nDate: now\r\nserver:  tiny\x1b[31m/1 \r\n\r\nServer: no";
        let expected = Http {
            status: 404,
            server: Some("tiny[31m/1".to_owned()),
        };
        assert_eq!(understood(answer), Some(expected));
        assert_eq!(understood(b"HTTP/1.0 200\r\n").unwrap().server, None);
        for other in [
            &b""[..],
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 9999 X\r\n",
            b"HTTP/2",
            b"-ERR\r\n",
        ] {
            assert_eq!(understood(other), None);
        }
    }

    #[tokio::test]
    async fn a_port_that_says_nothing_is_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(ask(listener.local_addr().unwrap()).await, None);
    }
}
