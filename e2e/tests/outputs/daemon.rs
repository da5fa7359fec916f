//! A daemon whose answers are given.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

/// Answers by method and path, `GET /v1/vms`: a status and a body.
pub(crate) type Answers = BTreeMap<String, (u16, Value)>;

/// A daemon that answers until the test ends.
pub(crate) struct Daemon;

impl Daemon {
    /// Starts it on the socket in a directory.
    pub(crate) fn start(dir: &Path, answers: Answers) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let listener = UnixListener::bind(dir.join("bangerd.sock"))?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is not missed.
                let _ = serve(stream, &answers);
            }
        });
        Ok(Self)
    }
}

/// Answers the requests of a connection.
fn serve(stream: UnixStream, answers: &Answers) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new())?;
        let line = request.rsplit_once(' ').map_or("", |(line, _)| line);
        let path = line.split('?').next().unwrap_or_default();
        let (status, body) = match answers.get(path) {
            Some((status, body)) => (*status, body.to_string()),
            None => (
                404,
                format!(r#"{{"code":"not_found","message":"no answer to {path}","causes":[],"hints":[]}}"#),
            ),
        };
        write!(
            stream,
            "HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}
