//! Fetching from servers that misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use banger_fetch::{Error, Fetcher, Limits, Url};
use tokio_util::sync::CancellationToken;

const CONTENT: &[u8] = b"the quick brown fox jumps over the lazy dog";

/// A server that answers request by request, a connection each.
struct Server {
    url: Url,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// `answer` is given the number of the request, from 0, and its head in lower case.
    fn new(mut answer: impl FnMut(usize, &str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file?secret", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n").to_lowercase();
                answer(count.fetch_add(1, Ordering::SeqCst), &head, &mut stream);
            }
        });
        let url = url.parse().unwrap();
        Self { url, requests }
    }

    fn fetch(&self, expected: Option<u64>) -> Result<Vec<u8>, Error> {
        let limits = Limits {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(300),
            attempts: 3,
        };
        let fetcher = Fetcher::new(limits);
        let mut download = fetcher.open(&self.url, expected)?;
        let (mut all, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match download.read(&mut buffer)? {
                0 => return Ok(all),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn send(to: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    // A client that has seen enough hangs up.
    let _ = to.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n").as_bytes());
    let _ = to.write_all(body);
}

fn length(bytes: usize) -> String {
    format!("content-length: {bytes}\r\n")
}

fn is_cut(error: &Error) -> bool {
    matches!(error, Error::Cut { .. } | Error::Broken { .. })
}

const TAG: &str = "etag: \"one\"\r\n";

#[test]
fn a_broken_stream_goes_on_where_it_was() {
    let server = Server::new(|number, head, to| match number {
        0 => send(to, "200 OK", &(length(CONTENT.len()) + TAG), &CONTENT[..10]),
        _ => {
            assert!(head.contains("range: bytes=10-"), "{head}");
            assert!(head.contains("if-range: \"one\""), "{head}");
            let range = format!(
                "content-range: bytes 10-{}/{}\r\n",
                CONTENT.len() - 1,
                CONTENT.len()
            );
            let headers = length(CONTENT.len() - 10) + TAG + &range;
            send(to, "206 Partial Content", &headers, &CONTENT[10..]);
        }
    });
    assert_eq!(server.fetch(None).unwrap(), CONTENT);
    assert_eq!(server.requests(), 2);
}

#[test]
fn without_ranges_the_beginning_is_passed_over() {
    let server = Server::new(|number, _, to| {
        let sent = if number == 0 { 10 } else { CONTENT.len() };
        send(to, "200 OK", &(length(CONTENT.len()) + TAG), &CONTENT[..sent]);
    });
    assert_eq!(server.fetch(Some(CONTENT.len() as u64)).unwrap(), CONTENT);
}

#[test]
fn what_changed_underway_is_not_mixed() {
    let server = Server::new(|number, _, to| match number {
        0 => send(to, "200 OK", &(length(CONTENT.len()) + TAG), &CONTENT[..10]),
        _ => send(
            to,
            "200 OK",
            &(length(CONTENT.len()) + "etag: \"two\"\r\n"),
            CONTENT,
        ),
    });
    let error = server.fetch(None).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
}

#[test]
fn a_part_that_was_not_asked_for_is_refused() {
    let server = Server::new(|number, _, to| match number {
        0 => send(to, "200 OK", &length(CONTENT.len()), &CONTENT[..10]),
        _ => {
            let range = format!(
                "content-range: bytes 5-{}/{}\r\n",
                CONTENT.len() - 1,
                CONTENT.len()
            );
            send(to, "206 Partial Content", &(length(38) + &range), &CONTENT[5..]);
        }
    });
    let error = server.fetch(None).unwrap_err();
    assert!(matches!(error, Error::Range { .. }), "{error}");
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_not_forever() {
    let server = Server::new(|number, _, to| match number {
        0 => send(to, "429 Too Many Requests", "retry-after: 0\r\n", b""),
        1 => send(to, "503 Service Unavailable", "", b""),
        _ => send(to, "200 OK", &length(CONTENT.len()), CONTENT),
    });
    assert_eq!(server.fetch(None).unwrap(), CONTENT);
    let server = Server::new(|_, _, to| send(to, "500 Oh", "", b""));
    let error = server.fetch(None).unwrap_err();
    assert!(
        matches!(error, Error::Status { .. }) && server.requests() == 3,
        "{error}"
    );
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let server = Server::new(|_, _, to| send(to, "404 Not Found", "", b""));
    let error = server.fetch(None).unwrap_err();
    assert!(
        matches!(error, Error::Absent { .. }) && server.requests() == 1,
        "{error}"
    );
}

#[test]
fn a_length_that_lies_is_told() {
    // It says another length than it should have.
    let server = Server::new(|_, _, to| send(to, "200 OK", &length(3), b"the"));
    let error = server.fetch(Some(43)).unwrap_err();
    assert!(
        matches!(error, Error::Length { said: 3, .. }) && server.requests() == 1,
        "{error}"
    );
    // It says the right one, and never sends so much.
    let server = Server::new(|_, _, to| send(to, "200 OK", &length(43), b"the"));
    let error = server.fetch(Some(43)).unwrap_err();
    assert!(is_cut(&error) && server.requests() == 3, "{error}");
    // It says none, and sends more or less.
    let server = Server::new(|_, _, to| send(to, "200 OK", "", CONTENT));
    let error = server.fetch(Some(42)).unwrap_err();
    assert!(matches!(error, Error::Length { expected: 42, .. }), "{error}");
    let error = server.fetch(Some(44)).unwrap_err();
    assert!(is_cut(&error), "{error}");
}

#[test]
fn a_server_that_hangs_is_left() {
    let mut kept = Vec::new();
    let server = Server::new(move |number, _, to| {
        if number % 2 == 1 {
            send(to, "200 OK", &length(CONTENT.len()), &CONTENT[..10]);
        }
        kept.push(to.try_clone());
    });
    let begun = Instant::now();
    let error = server.fetch(None).unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn what_should_be_small_is_bounded() {
    let server = Server::new(|_, _, to| send(to, "200 OK", &length(CONTENT.len()), CONTENT));
    let fetcher = Fetcher::new(Limits::default());
    assert_eq!(fetcher.small(&server.url, 43).unwrap(), CONTENT);
    let error = fetcher.small(&server.url, 42).unwrap_err();
    assert!(matches!(error, Error::TooLong { most: 42, .. }), "{error}");
}

#[test]
fn what_nobody_wants_is_not_waited_for() {
    let left = CancellationToken::new();
    let leaving = left.clone();
    let server = Server::new(move |_, _, to| {
        send(to, "200 OK", &length(CONTENT.len()), &CONTENT[..10]);
        leaving.cancel();
        // Until the client hangs up.
        let _ = to.read(&mut [0]);
    });
    let limits = Limits {
        stall: Duration::from_secs(60),
        ..Limits::default()
    };
    let fetcher = Fetcher::new(limits).until(left);
    let since = Instant::now();
    let told = fetcher.small(&server.url, 1000);
    assert!(matches!(told, Err(Error::CalledOff)), "{told:?}");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}
