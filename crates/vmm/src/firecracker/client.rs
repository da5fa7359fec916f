//! The client of Firecracker's API: HTTP/1.1 on a Unix socket, one connection.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use banger_wire::{Connection, Peer, collect, json};
use http::{Method, Request, header};
use serde::Deserialize;
use tokio::time::timeout;

use super::requests::Resource;
use crate::{Error, fresh};

/// How long Firecracker may take to answer. A full snapshot of a large machine takes this long.
const ANSWER: Duration = Duration::from_secs(120);

/// The most bytes of an answer: it is a sentence.
const MOST: usize = 1 << 20;

/// A connection to the API.
#[derive(Debug)]
pub(super) struct Client(Connection);

/// Firecracker's words for why it refused.
#[derive(Debug, Deserialize)]
struct Fault {
    fault_message: String,
}

impl Client {
    /// Connects to the API's socket, which exists.
    pub(super) async fn connect(socket: &Path) -> Result<Self, Error> {
        let stream = fresh::connect(socket)
            .await
            .map_err(|source| failed("accept a connection".to_owned(), source))?;
        let connection = Connection::open(stream, Peer::Hostile).await;
        connection
            .map(Self)
            .map_err(|source| failed("accept a connection".to_owned(), source))
    }

    /// Makes a resource.
    pub(super) async fn put(&mut self, resource: &impl Resource) -> Result<(), Error> {
        self.send(Method::PUT, resource).await
    }

    /// Changes a resource.
    pub(super) async fn patch(&mut self, resource: &impl Resource) -> Result<(), Error> {
        self.send(Method::PATCH, resource).await
    }

    async fn send(&mut self, method: Method, resource: &impl Resource) -> Result<(), Error> {
        let request = Request::builder()
            .method(method)
            .uri(resource.path())
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(json(resource))
            .expect("paths of the API are valid");
        let answered = timeout(ANSWER, self.0.send(request)).await;
        let response = answered
            .map_err(|_| failed(resource.what(), std::io::Error::from(ErrorKind::TimedOut)))?
            .map_err(|source| failed(resource.what(), source))?;
        let status = response.status();
        let body = collect(response.into_body(), MOST).await;
        let body = body.map_err(|source| failed(resource.what(), source))?;
        if status.is_success() {
            return Ok(());
        }
        let words = serde_json::from_slice::<Fault>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).into_owned(),
            |fault| fault.fault_message,
        );
        Err(Error::Refused {
            vmm: "Firecracker",
            what: resource.what(),
            words,
        })
    }
}

fn failed(what: String, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Request {
        vmm: "Firecracker",
        what,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::super::requests::Vsock;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn firecrackers_own_words_reach_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let body = r#"{"fault_message":"The vsock is taken."}"#;
            let answer = format!("HTTP/1.1 400 \r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let mut client = Client::connect(&socket).await.unwrap();
        let error = client.put(&Vsock::at("v")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Firecracker refused to add the vsock device: The vsock is taken."
        );
    }
}
