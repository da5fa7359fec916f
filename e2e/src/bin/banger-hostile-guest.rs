//! A guest that has turned hostile, in the place of `banger-fake-guest`: it hands connections on to the real one beside it
//! (`banger-real-guest`), until the file `bomb` in the home of its daemon names what it shall answer with instead, perhaps after
//! the one route of which requests are answered so.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How much a bomb has, unless it has no end.
const BOMB: usize = 48 << 20;

fn main() -> io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let dir = PathBuf::from(args.next().ok_or(io::ErrorKind::InvalidInput)?);
    let inner = dir.join("real");
    fs::create_dir_all(&inner)?;
    let hellos = UnixListener::bind(inner.join("vsock.sock_1025"))?;
    let beside = std::env::current_exe()?.with_file_name("banger-real-guest");
    let mut real = Command::new(beside);
    real.arg(&inner);
    // SAFETY: prctl(2) is async-signal-safe.
    unsafe {
        real.pre_exec(|| {
            let signal = Some(rustix::process::Signal::KILL);
            Ok(rustix::process::set_parent_process_death_signal(signal)?)
        });
    }
    let mut real = real.spawn()?;
    thread::spawn(move || {
        let _ = real.wait();
        std::process::exit(0);
    });
    let mut hello = Vec::new();
    hellos.accept()?.0.read_to_end(&mut hello)?;
    let listener = UnixListener::bind(dir.join("vsock.sock"))?;
    let mut host = UnixStream::connect(dir.join("vsock.sock_1025"))?;
    if bomb(&dir) == "endless-hello" {
        // It breaks when the host has heard enough.
        let _ = endless(&mut host, b"x");
    } else {
        host.write_all(&hello)?;
    }
    drop(host);
    for host in listener.incoming() {
        let (host, dir) = (host?, dir.clone());
        // The host breaks off what it will not have.
        thread::spawn(move || drop(serve(host, &dir)));
    }
    Ok(())
}

/// `RUN/m/ID` is a machine's directory.
fn bomb(dir: &Path) -> String {
    let home = dir.ancestors().nth(3).unwrap_or(dir);
    let name = fs::read_to_string(home.join("bomb")).unwrap_or_default();
    name.trim().to_owned()
}

fn serve(mut host: UnixStream, dir: &Path) -> io::Result<()> {
    let named = bomb(dir);
    let (route, bomb) = named.split_once(' ').unwrap_or(("", &named));
    let connect = until(&mut host, b"\n")?;
    if bomb == "no-ok" && route.is_empty() {
        return endless(&mut host, b"x");
    }
    host.write_all(b"OK 1\n")?;
    let head = until(&mut host, b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let asked = text.split(' ').nth(1).unwrap_or_default();
    if !bomb.is_empty() && asked.starts_with(route) {
        return explode(&mut host, bomb, text.contains("\nupgrade:"));
    }
    let mut real = UnixStream::connect(dir.join("real/vsock.sock"))?;
    real.write_all(&connect)?;
    until(&mut real, b"\n")?;
    real.write_all(&head)?;
    let (mut from, mut to) = (host.try_clone()?, real.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    io::copy(&mut &real, &mut host)?;
    host.shutdown(std::net::Shutdown::Both)
}

fn until(from: &mut UnixStream, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    Ok(bytes)
}

fn endless(host: &mut UnixStream, piece: &[u8]) -> io::Result<()> {
    let pieces = piece.repeat((64 << 10) / piece.len() + 1);
    loop {
        host.write_all(&pieces)?;
    }
}

/// An answer whose body is a beginning, so many pieces, and an end.
fn body(host: &mut UnixStream, status: &str, begin: &str, piece: &str, end: &str) -> io::Result<()> {
    let count = BOMB / piece.len();
    let length = begin.len() + count * piece.len() + end.len();
    write!(
        host,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{begin}"
    )?;
    let many = 1000.min(count);
    let pieces = piece.repeat(many);
    for _ in 0..count / many {
        host.write_all(pieces.as_bytes())?;
    }
    host.write_all(piece.repeat(count % many).as_bytes())?;
    host.write_all(end.as_bytes())
}

fn explode(host: &mut UnixStream, bomb: &str, upgrades: bool) -> io::Result<()> {
    match bomb {
        "slow" => loop {
            host.write_all(b"H")?;
            thread::sleep(Duration::from_millis(100));
        },
        "hang-up" => Ok(()),
        "no-http" => endless(host, b"\0\xff"),
        _ => explode_as_json(host, bomb)
            .or_else(|| explode_as_http(host, bomb))
            .or_else(|| explode_as_frames(host, bomb, upgrades))
            // It says nothing, until the host leaves.
            .unwrap_or_else(|| io::copy(host, &mut io::sink()).map(drop)),
    }
}

/// An answer whose body is too much.
fn explode_as_json(host: &mut UnixStream, bomb: &str) -> Option<io::Result<()>> {
    const OK: &str = "200 OK";
    const BAD: &str = "400 Bad Request";
    Some(match bomb {
        "array-of-strings" => body(host, OK, "[\"\"", ",\"\"", "]"),
        "array-of-arrays" => body(host, OK, "[[]", ",[]", "]"),
        "array-of-objects" => body(host, OK, "[{}", ",{}", "]"),
        "object-of-many" => body(host, OK, "{\"a\":1", ",\"b\":[]", "}"),
        "nested-arrays" => body(host, OK, "", "[", ""),
        "nested-objects" => body(host, OK, "", "{\"a\":", ""),
        "one-string" => body(host, OK, "[\"", "\\u0041", "\"]"),
        "one-number" => body(host, OK, "[", "9", "]"),
        "white-space" => body(host, OK, "", " ", "[]"),
        "causes" => body(host, BAD, "{\"message\":\"m\",\"causes\":[\"c\"", ",\"c\"", "]}"),
        "long-message" => body(host, BAD, "{\"message\":\"", "m", "\"}"),
        "no-json-failure" => body(host, BAD, "", "\u{1b}[2J", ""),
        _ => return None,
    })
}

/// An answer that HTTP itself is too much of.
fn explode_as_http(host: &mut UnixStream, bomb: &str) -> Option<io::Result<()>> {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let event = "{\"event\":\"init\",\"state\":{\"is\":\"up\"}}\n";
    let (begin, piece) = match bomb {
        "many-headers" => (head.to_owned(), "a: b\r\n".to_owned()),
        "long-header" => (format!("{head}a: "), "b".to_owned()),
        "long-status" => ("HTTP/1.1 200 ".to_owned(), "OK".to_owned()),
        "informational" => (
            String::new(),
            "HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n".to_owned(),
        ),
        "tiny-chunks" => (chunked.to_owned(), "1\r\n[\r\n".to_owned()),
        "chunk-extensions" => (format!("{chunked}1;"), "x=y;".to_owned()),
        "huge-chunk" => (format!("{chunked}ffffffffffffffe\r\n"), "[".to_owned()),
        "trailers" => (format!("{chunked}0\r\n"), "a: b\r\n".to_owned()),
        "huge-length" => (
            format!("{head}content-length: 9223372036854775807\r\n\r\n"),
            "[".to_owned(),
        ),
        "no-length" => (format!("{head}connection: close\r\n\r\n"), "[\"a\",".to_owned()),
        "event-flood" => (chunked.to_owned(), format!("{:x}\r\n{event}\r\n", event.len())),
        _ => return None,
    };
    let begun = host.write_all(begin.as_bytes());
    Some(begun.and_then(|()| endless(host, piece.as_bytes())))
}

/// A stream whose frames are too much.
fn explode_as_frames(host: &mut UnixStream, bomb: &str, upgrades: bool) -> Option<io::Result<()>> {
    let status = if upgrades {
        "101 Switching Protocols"
    } else {
        "200 OK"
    };
    let switched = format!("HTTP/1.1 {status}\r\nconnection: upgrade\r\nupgrade: stdio_mux_v1\r\n\r\n");
    let (begin, piece) = match bomb {
        "long-frame" => (vec![2, 0xff, 0xff, 0xff, 0xff], b"x".to_vec()),
        "unknown-channel" => (Vec::new(), vec![9, 0, 0, 0, 1, 0]),
        "control-arrays" => {
            let json = format!(
                "{{\"error\":{{\"failure\":{{\"message\":\"m\",\"causes\":[\"\"{}]}},\"exit_code\":1}}}}",
                ",\"\"".repeat(300_000)
            );
            let length = u32::try_from(json.len()).unwrap_or(0).to_be_bytes();
            (Vec::new(), [&[4][..], &length, json.as_bytes()].concat())
        }
        "stderr-flood" => (Vec::new(), [&[3, 0, 0, 4, 0][..], &[b'e'; 1024]].concat()),
        "stdout-flood" => (
            Vec::new(),
            [&[2, 0, 0, 4, 0][..], b"M\0a\0".repeat(256).as_slice()].concat(),
        ),
        _ => return None,
    };
    let begun = host
        .write_all(switched.as_bytes())
        .and_then(|()| host.write_all(&begin));
    Some(begun.and_then(|()| endless(host, &piece)))
}
