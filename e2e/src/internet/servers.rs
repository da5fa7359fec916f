//! What serves on this Internet: names, and programs that answer late, at the end, or only hear.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::Result;

use super::{Internet, ip};

impl Internet {
    /// Gives the far end another address of IPv6.
    ///
    /// # Errors
    /// When it has it.
    pub fn serve_v6(&self, address: &str) -> Result<()> {
        ip(&[
            "-n",
            &self.far,
            "addr",
            "add",
            &format!("{address}/128"),
            "dev",
            "lo",
            "nodad",
        ])
    }

    /// Answers every question for an IPv4 address with `site`, at port 53 of the far end. Ends with the scenario.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn resolve_to(&self, site: &str) -> Result<()> {
        self.resolve_at("198.51.100.2", site)
    }

    /// The same at an address that the far end has.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn resolve_at(&self, server: &str, site: &str) -> Result<()> {
        let site: Ipv4Addr = site.parse()?;
        let server: Ipv4Addr = server.parse()?;
        let netns = std::fs::File::open(format!("/run/netns/{}", self.far))?;
        let (bound, is_bound) = mpsc::channel();
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let socket = rustix::thread::move_into_link_name_space(netns.as_fd(), kind)
                .map_err(std::io::Error::from)
                .and_then(|()| UdpSocket::bind((server, 53)));
            let socket = match socket {
                Ok(socket) => socket,
                Err(error) => return drop(bound.send(Err(error))),
            };
            let _ = bound.send(Ok(()));
            let mut question = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut question) {
                let _ = socket.send_to(&answer(&question[..len], site), from);
            }
        });
        Ok(is_bound.recv()??)
    }

    /// Answers each connection to this port of the far end with its request, only after a while. Ends with the scenario.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn answer_late(&self, port: u16, after: Duration) -> Result<()> {
        self.serve_far(port, move |mut stream| {
            let mut request = [0; 4096];
            // Who goes away meanwhile has its reasons.
            while let Ok(length @ 1..) = stream.read(&mut request) {
                std::thread::sleep(after);
                let _ = stream.write_all(&request[..length]);
            }
        })
    }

    fn serve_far(&self, port: u16, serve: impl Fn(TcpStream) + Copy + Send + 'static) -> Result<()> {
        let netns = std::fs::File::open(format!("/run/netns/{}", self.far))?;
        let (bound, is_bound) = mpsc::channel();
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let listener = rustix::thread::move_into_link_name_space(netns.as_fd(), kind)
                .map_err(std::io::Error::from)
                .and_then(|()| TcpListener::bind(("0.0.0.0", port)));
            let listener = match listener {
                Ok(listener) => listener,
                Err(error) => return drop(bound.send(Err(error))),
            };
            let _ = bound.send(Ok(()));
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(is_bound.recv()??)
    }

    /// Says something at this port of the far end when nothing was said for a while. Ends with the scenario.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn speak_late(&self, port: u16, after: Duration) -> Result<()> {
        self.serve_far(port, move |mut stream| {
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                std::thread::sleep(after);
                let _ = stream.write_all(b"by itself\n");
                let _ = stream.read(&mut request);
            }
        })
    }

    /// Answers at this port of the far end when all was said, a while after: `N bytes`. Ends with the scenario.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn answer_at_the_end(&self, port: u16, after: Duration) -> Result<()> {
        self.serve_far(port, move |mut stream| {
            let mut said = Vec::new();
            if stream.read_to_end(&mut said).is_ok() {
                std::thread::sleep(after);
                let _ = stream.write_all(format!("{} bytes\n", said.len()).as_bytes());
            }
        })
    }

    /// What datagrams to this port of the far end hold, as they come. Ends with the scenario.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn hears(&self, port: u16) -> Result<Receiver<Vec<u8>>> {
        let netns = std::fs::File::open(format!("/run/netns/{}", self.far))?;
        let (bound, is_bound) = mpsc::channel();
        let (sender, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let socket = rustix::thread::move_into_link_name_space(netns.as_fd(), kind)
                .map_err(std::io::Error::from)
                .and_then(|()| UdpSocket::bind(("0.0.0.0", port)));
            let socket = match socket {
                Ok(socket) => socket,
                Err(error) => return drop(bound.send(Err(error))),
            };
            let _ = bound.send(Ok(()));
            let mut datagram = [0; 1500];
            while let Ok((length, _)) = socket.recv_from(&mut datagram) {
                if sender.send(datagram[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        is_bound.recv()??;
        Ok(heard)
    }
}

/// An answer to a question (RFC 1035, section 4.1): an address for 60 s to one of type A, nothing to others. What follows
/// the question is left out.
fn answer(question: &[u8], site: Ipv4Addr) -> Vec<u8> {
    let name = question.get(12..).unwrap_or_default();
    let mut end = 0;
    while let Some(&label) = name.get(end).filter(|label| **label > 0) {
        end += 1 + usize::from(label);
    }
    let end = (12 + end + 5).min(question.len());
    let is_a = question[..end].ends_with(&[0, 1, 0, 1]);
    let mut answer = question[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(site.octets());
    }
    answer
}
