//! The guest's first word: where the host waits for it.

use std::path::{Path, PathBuf};

use banger_guest_api::{HELLO_PORT, Hello, PROTOCOL};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// A bound socket for the hello of one machine. It exists before the machine starts, so that no hello is missed, and its
/// file goes when this is dropped.
#[derive(Debug)]
pub struct HelloListener {
    listener: UnixListener,
    path: PathBuf,
}

/// The guest did not introduce itself as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be made.
    #[error("failed to listen at {} for the guest", .path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The socket takes no connections.
    #[error("failed to read the guest's hello")]
    Hear(#[source] std::io::Error),
    /// The first word is not of this protocol.
    #[error("invalid hello from the guest: `{0}`")]
    Nonsense(String),
    /// The agent speaks another version.
    #[error("the guest's agent uses protocol {found}, but this daemon uses {PROTOCOL}")]
    Protocol {
        /// It.
        found: u32,
    },
}

/// Longer than any hello; a guest does not decide how much memory the host takes.
const MAX_HELLO: u64 = 4096;

/// Connections without a word that are kept: more than an agent makes.
const AT_ONCE: usize = 16;

impl HelloListener {
    /// Listens in the machine's directory. Call it in the runtime, before the launch.
    ///
    /// # Errors
    /// When the socket cannot be made there.
    pub fn bind(machine_dir: &Path) -> Result<Self, Error> {
        let path = machine_dir.join(format!("vsock.sock_{HELLO_PORT}"));
        let listener = UnixListener::bind(&path).map_err(|source| Error::Bind {
            path: path.clone(),
            source,
        })?;
        Ok(Self { listener, path })
    }

    /// Waits for the guest, without a deadline of its own. A guest whose device is late tries again, and its first connections
    /// arrive with nobody at their other end: the first word on any of them is heard.
    ///
    /// # Errors
    /// When it says something else than a hello of this protocol.
    pub async fn heard(&self) -> Result<Hello, Error> {
        let mut words = JoinSet::new();
        loop {
            let word = tokio::select! {
                accepted = self.listener.accept(), if words.len() < AT_ONCE => {
                    words.spawn(first_word(accepted.map_err(Error::Hear)?.0));
                    continue;
                }
                Some(word) = words.join_next() => word,
            };
            if let Ok(Some(line)) = word {
                return understood(&line);
            }
        }
    }
}

/// What a connection says first; none if it ends before.
async fn first_word(stream: UnixStream) -> Option<String> {
    let mut line = String::new();
    let read = BufReader::new(stream.take(MAX_HELLO)).read_line(&mut line).await;
    read.is_ok_and(|bytes| bytes > 0).then_some(line)
}

fn understood(line: &str) -> Result<Hello, Error> {
    let hello: Hello = serde_json::from_str(line).map_err(|_| Error::Nonsense(printable(line)))?;
    if hello.protocol != PROTOCOL {
        let found = hello.protocol;
        return Err(Error::Protocol { found });
    }
    Ok(hello)
}

impl Drop for HelloListener {
    fn drop(&mut self) {
        // The directory goes as a whole later; a file that is already gone is no loss.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    async fn say(word: &str) -> Result<Hello, Error> {
        let dir = tempfile::tempdir().unwrap();
        let hellos = HelloListener::bind(dir.path()).unwrap();
        let mut guest = UnixStream::connect(dir.path().join("vsock.sock_1025"))
            .await
            .unwrap();
        guest.write_all(word.as_bytes()).await.unwrap();
        drop(guest);
        hellos.heard().await
    }

    #[tokio::test]
    async fn an_agent_of_this_protocol_is_heard() {
        let hello = say("{\"protocol\":1,\"agent\":\"0.1.0\",\"uptime_ms\":5}\n")
            .await
            .unwrap();
        assert_eq!(hello.uptime_ms, 5);
    }

    #[tokio::test]
    async fn another_protocol_and_nonsense_are_told_apart() {
        let other = say("{\"protocol\":9,\"agent\":\"9\",\"uptime_ms\":5}\n")
            .await
            .unwrap_err();
        assert!(matches!(other, Error::Protocol { found: 9 }));
        let nonsense = say("SSH-2.0-x\r\n").await.unwrap_err();
        assert!(matches!(nonsense, Error::Nonsense(word) if word == "SSH-2.0-x"));
    }

    #[tokio::test]
    async fn connections_that_nobody_speaks_on_are_not_the_guest() {
        let dir = tempfile::tempdir().unwrap();
        let hellos = HelloListener::bind(dir.path()).unwrap();
        let path = dir.path().join("vsock.sock_1025");
        let _silent = UnixStream::connect(&path).await.unwrap();
        drop(UnixStream::connect(&path).await.unwrap());
        let mut guest = UnixStream::connect(&path).await.unwrap();
        let hello = b"{\"protocol\":1,\"agent\":\"0.1.0\",\"uptime_ms\":7}\n";
        guest.write_all(hello).await.unwrap();
        assert_eq!(hellos.heard().await.unwrap().uptime_ms, 7);
    }

    #[tokio::test]
    async fn an_endless_first_word_ends_somewhere() {
        let error = say(&"x".repeat(100_000)).await;
        assert!(error.is_err());
    }
}
