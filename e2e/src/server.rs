//! A web server for files, which can misbehave with some of them. It knows ranges and entity tags.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::Result;

/// How a server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// It does not.
    None,
    /// It never answers.
    Hang,
    /// It sends a half and then nothing.
    HangMidway,
    /// It hangs up after a half, the first time.
    CutOnce,
    /// It hangs up after a half of what is asked for, each time.
    CutAlways,
    /// It says a byte less than there is.
    SayLess,
    /// It says a byte more than there is.
    SayMore,
    /// It says no length, and sends more than there is.
    SayNothingAndSendMore,
    /// It sends one bit that is not as it was.
    Flip,
    /// It answers that it failed.
    Fail,
    /// It has it not.
    Miss,
    /// It has too much to do, the first time.
    BusyOnce,
    /// It has too much to do, always.
    Busy,
    /// It wants a token, and gives one to [`USER`](crate::USER) alone.
    WantToken,
}

/// A server at a port of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    url: String,
    trick: Trick,
    /// The end of the paths of what it misbehaves with.
    victims: String,
    ranges: Mutex<Vec<u64>>,
    has_cut: AtomicBool,
    ended: Mutex<bool>,
    ending: Condvar,
}

impl Server {
    /// Serves the files of `dir`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(dir: &Path, trick: Trick) -> Result<Self> {
        Self::misbehaving(dir, trick, ".zst")
    }

    /// Serves the files of `dir`, and plays its trick with those whose paths end with `victims`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn misbehaving(dir: &Path, trick: Trick, victims: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            url: format!("http://{address}/"),
            trick,
            victims: victims.to_owned(),
            ranges: Mutex::default(),
            has_cut: AtomicBool::new(false),
            ended: Mutex::new(false),
            ending: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if *serving.ended.lock().unwrap_or_else(PoisonError::into_inner) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that hangs up is what some scenarios are about.
                std::thread::spawn(move || serving.answer(stream).ok());
            }
        });
        Ok(Self { address, shared })
    }

    /// The URL of the directory.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Its address and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Where the parts began that were asked for.
    pub fn ranges(&self) -> Vec<u64> {
        let ranges = self.shared.ranges.lock();
        ranges.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ending.notify_all();
        // The thread that waits for connections gets one.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> Result<()> {
        let lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let path = head
            .first()
            .and_then(|line| line.split(' ').nth(1))
            .unwrap_or_default();
        let trick = if path.ends_with(&self.victims) {
            self.trick
        } else {
            Trick::None
        };
        if self.trick == Trick::WantToken
            && let Some(answer) = self.gate(path, &head)
        {
            return answer.send(&mut stream);
        }
        let file = std::fs::read(self.dir.join(path.trim_start_matches('/')));
        let Ok(mut content) = file.map_err(drop).and_then(|content| match trick {
            Trick::Miss => Err(()),
            _ => Ok(content),
        }) else {
            return send(&mut stream, "404 Not Found", "Content-Length: 0\r\n", b"");
        };
        let start = asked_from(&head);
        if start > 0 {
            self.ranges
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(start);
        }
        if let (Trick::Flip, Some(last)) = (trick, content.last_mut()) {
            *last ^= 1;
        }
        self.send(&mut stream, trick, &content, start)
    }

    fn send(&self, stream: &mut TcpStream, trick: Trick, content: &[u8], start: u64) -> Result<()> {
        let all = content.len();
        let rest = content.get(usize::try_from(start)?..).unwrap_or_default();
        let (status, range) = match start {
            0 => ("200 OK", String::new()),
            _ => (
                "206 Partial Content",
                format!("Content-Range: bytes {start}-{}/{all}\r\n", all - 1),
            ),
        };
        let headers = |length| format!("ETag: \"e\"\r\nContent-Length: {length}\r\n{range}");
        let half = &rest[..rest.len() / 2];
        match trick {
            Trick::Hang => self.hang(),
            Trick::HangMidway => {
                send(stream, status, &headers(rest.len()), half)?;
                self.hang();
            }
            Trick::CutOnce if !self.has_cut.swap(true, Ordering::SeqCst) => {
                send(stream, status, &headers(rest.len()), half)?;
            }
            Trick::CutAlways => send(stream, status, &headers(rest.len()), half)?,
            Trick::SayLess => send(stream, status, &headers(rest.len() - 1), rest)?,
            Trick::SayMore => send(stream, status, &headers(rest.len() + 1), rest)?,
            Trick::SayNothingAndSendMore => send(stream, status, "", &[rest, b"more"].concat())?,
            Trick::Fail => send(stream, "500 Internal Server Error", "", b"")?,
            Trick::BusyOnce if !self.has_cut.swap(true, Ordering::SeqCst) => busy(stream)?,
            Trick::Busy => busy(stream)?,
            Trick::None | Trick::Miss | Trick::CutOnce | Trick::Flip | Trick::BusyOnce | Trick::WantToken => {
                send(stream, status, &headers(rest.len()), rest)?;
            }
        }
        Ok(())
    }

    /// What is answered before anything else to who has no token: where to get one, and one. The distribution project's
    /// "Token Authentication Specification".
    fn gate(&self, path: &str, head: &[String]) -> Option<Answer> {
        let authorization = head.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then_some(value)
        });
        if path.starts_with("/token") {
            let body = format!(r#"{{"token": "{TOKEN}"}}"#);
            return Some(
                match authorization == Some(BASIC) && path.contains("service=test") {
                    true => Answer("200 OK", String::new(), body),
                    false => Answer("401 Unauthorized", String::new(), String::new()),
                },
            );
        }
        if authorization == Some(&format!("Bearer {TOKEN}")) {
            return None;
        }
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"{}token\",service=\"test\",scope=\"repository:x:pull\"\r\n",
            self.url
        );
        let body = r#"{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}"#;
        Some(Answer("401 Unauthorized", challenge, body.to_owned()))
    }

    /// Keeps the connection until the server ends.
    fn hang(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.ending.wait_while(ended, |ended| !*ended));
    }
}

/// What the server that wants a token gives out.
const TOKEN: &str = "let-me-in";

/// [`USER`] and [`PASSWORD`](crate::PASSWORD), as RFC 7617 has them: `someone:word`.
const BASIC: &str = "Basic c29tZW9uZTp3b3Jk";

/// Status, headers and body.
struct Answer(&'static str, String, String);

impl Answer {
    fn send(&self, stream: &mut TcpStream) -> Result<()> {
        let Self(status, headers, body) = self;
        let headers = format!("{headers}Content-Length: {}\r\n", body.len());
        send(stream, status, &headers, body.as_bytes())
    }
}

fn busy(stream: &mut TcpStream) -> Result<()> {
    let headers = "Retry-After: 1\r\nContent-Length: 0\r\n";
    send(stream, "429 Too Many Requests", headers, b"")
}

/// The beginning of the part that a request asks for.
fn asked_from(head: &[String]) -> u64 {
    let range = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let start = value.strip_prefix("bytes=")?.strip_suffix('-')?;
        name.eq_ignore_ascii_case("range").then(|| start.parse().ok())?
    });
    range.unwrap_or_default()
}

fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    Ok(())
}
