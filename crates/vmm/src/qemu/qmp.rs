//! QEMU's monitor protocol: lines of JSON (QEMU's `docs/interop/qmp-spec`).

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::{Error, fresh};

/// How long QEMU may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection to a monitor, of which QEMU serves one at a time.
#[derive(Debug)]
pub(super) struct Monitor {
    lines: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

/// A line of the monitor. Greetings and events have neither field.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "return")]
    done: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    desc: String,
}

impl Monitor {
    /// Connects and leaves the mode in which QEMU takes no commands.
    pub(super) async fn connect(socket: &Path) -> Result<Self, Error> {
        let stream = fresh::connect(socket)
            .await
            .map_err(|source| failed("connect", source))?;
        let (from, to) = stream.into_split();
        let mut monitor = Self {
            lines: BufReader::new(from),
            to,
        };
        monitor.execute("qmp_capabilities").await?;
        Ok(monitor)
    }

    /// Executes a command without arguments, and waits for its answer.
    pub(super) async fn execute(&mut self, command: &'static str) -> Result<(), Error> {
        let asked = timeout(ANSWER, self.ask(command)).await;
        asked.map_err(|_| failed(command, std::io::Error::from(std::io::ErrorKind::TimedOut)))?
    }

    async fn ask(&mut self, command: &'static str) -> Result<(), Error> {
        let mut line = json!({ "execute": command }).to_string();
        line.push('\n');
        self.to
            .write_all(line.as_bytes())
            .await
            .map_err(|source| failed(command, source))?;
        loop {
            let mut line = String::new();
            let read = self
                .lines
                .read_line(&mut line)
                .await
                .map_err(|source| failed(command, source))?;
            if read == 0 {
                // QEMU answers `quit` by going away.
                let gone = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return if command == "quit" {
                    Ok(())
                } else {
                    Err(failed(command, gone))
                };
            }
            let line: Line = serde_json::from_str(&line).map_err(|source| failed(command, source))?;
            match line {
                Line {
                    error: Some(refusal), ..
                } => {
                    return Err(Error::Refused {
                        vmm: "QEMU",
                        what: command.to_owned(),
                        words: refusal.desc,
                    });
                }
                Line { done: Some(_), .. } => return Ok(()),
                Line { .. } => {}
            }
        }
    }
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Request {
        vmm: "QEMU",
        what: what.to_owned(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    /// A monitor that greets, sends an event in between, and refuses `stop`.
    async fn monitor(dir: &Path) -> Monitor {
        let socket = dir.join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (from, mut to) = stream.into_split();
            to.write_all(b"{\"QMP\": {\"version\": {}}}\n").await.unwrap();
            let mut lines = BufReader::new(from).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let answer: &[u8] = if line.contains("\"stop\"") {
                    b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n"
                } else {
                    b"{\"event\": \"RESUME\"}\n{\"return\": {}}\n"
                };
                to.write_all(answer).await.unwrap();
            }
        });
        Monitor::connect(&socket).await.unwrap()
    }

    #[tokio::test]
    async fn answers_are_found_between_events_and_refusals_keep_their_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut monitor = monitor(dir.path()).await;
        monitor.execute("cont").await.unwrap();
        let refused = monitor.execute("stop").await.unwrap_err();
        assert_eq!(refused.to_string(), "QEMU refused to stop: not now");
    }
}
