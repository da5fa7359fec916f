//! QEMU's monitor protocol: lines of JSON (QEMU's `docs/interop/qmp-spec`).

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
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

/// A line of the monitor. Greetings have none of the fields.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "return")]
    done: Option<Value>,
    error: Option<Refusal>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
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
            .map_err(|source| failed("accept a connection", source))?;
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

    /// Tells whether the machine stands still because a disk of it could not be written to, until the monitor goes away.
    pub(super) async fn tell_of_full_disks(mut self, tell: &watch::Sender<bool>) {
        // It may stand still since before this daemon.
        let status = timeout(ANSWER, self.answer("query-status")).await;
        if let Ok(Ok(status)) = status {
            tell.send_replace(status["status"] == "io-error");
        }
        while let Ok(Some(line)) = self.line().await {
            match line.event.as_deref() {
                Some("BLOCK_IO_ERROR") if line.data["nospace"] == true && line.data["action"] == "stop" => {
                    tell.send_replace(true);
                }
                Some("RESUME") => {
                    tell.send_replace(false);
                }
                _ => {}
            }
        }
    }

    /// The next line; nothing when the monitor has gone away.
    async fn line(&mut self) -> Result<Option<Line>, Error> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).await;
        if read.map_err(|source| failed("answer", source))? == 0 {
            return Ok(None);
        }
        let line = serde_json::from_str(&line).map_err(|source| failed("answer", source))?;
        Ok(Some(line))
    }

    async fn ask(&mut self, command: &'static str) -> Result<(), Error> {
        self.answer(command).await.map(drop)
    }

    async fn answer(&mut self, command: &'static str) -> Result<Value, Error> {
        let mut line = json!({ "execute": command }).to_string();
        line.push('\n');
        self.to
            .write_all(line.as_bytes())
            .await
            .map_err(|source| failed(command, source))?;
        loop {
            let Some(line) = self.line().await? else {
                // QEMU answers `quit` by going away.
                let gone = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return match command {
                    "quit" => Ok(Value::Null),
                    _ => Err(failed(command, gone)),
                };
            };
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
                Line { done: Some(done), .. } => return Ok(done),
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

    #[tokio::test]
    async fn a_full_disk_is_told_also_one_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("events");
        let listener = UnixListener::bind(&socket).unwrap();
        let (tell, mut told) = watch::channel(false);
        tokio::spawn(async move {
            let monitor = Monitor::connect(&socket).await.unwrap();
            monitor.tell_of_full_disks(&tell).await;
        });
        let (stream, _) = listener.accept().await.unwrap();
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        to.write_all(b"{\"QMP\": {}}\n").await.unwrap();
        lines.next_line().await.unwrap();
        to.write_all(b"{\"return\": {}}\n").await.unwrap();
        lines.next_line().await.unwrap();
        to.write_all(b"{\"return\": {\"running\": false, \"status\": \"io-error\"}}\n")
            .await
            .unwrap();
        told.wait_for(|full| *full).await.unwrap();
        to.write_all(b"{\"event\": \"RESUME\"}\n").await.unwrap();
        told.wait_for(|full| !*full).await.unwrap();
        let errors = concat!(
            "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"nospace\": false, \"action\": \"report\"}}\n",
            "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"nospace\": true, \"action\": \"stop\"}}\n",
        );
        to.write_all(errors.as_bytes()).await.unwrap();
        told.wait_for(|full| *full).await.unwrap();
    }
}
