//! A resolver of an IPv6-only network: it knows some names, and has addresses of IPv6 for them alone.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::netns::within;

/// Names in lower case, each with its addresses.
pub type Known = Arc<Mutex<BTreeMap<String, Vec<Ipv6Addr>>>>;

/// Answers at port 53 of every address of IPv6 in there. Ends with the scenario.
///
/// # Errors
/// When the socket cannot be had.
pub fn resolve_in(netns: &Path, known: &Known) -> Result<()> {
    let socket = within(netns, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 53)))?;
    let known = Arc::clone(known);
    std::thread::spawn(move || {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let Some((name, kind, end)) = read(&question[..length]) else {
                continue;
            };
            let known = known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&name)
                .cloned();
            let _ = socket.send_to(&answer(&question[..end], kind, known.as_deref()), from);
        }
    });
    Ok(())
}

/// What is asked: the name, the type, and where the question ends (RFC 1035, section 4.1).
fn read(message: &[u8]) -> Option<(String, u16, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*message.get(at)?);
        if length == 0 {
            break;
        }
        let label = message.get(at + 1..at + 1 + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes(message.get(at + 1..at + 3)?.try_into().ok()?);
    (message.len() >= at + 5).then(|| (labels.join("."), kind, at + 5))
}

fn answer(question: &[u8], kind: u16, known: Option<&[Ipv6Addr]>) -> Vec<u8> {
    const AAAA: u16 = 28;
    let addresses = known.filter(|_| kind == AAAA).unwrap_or_default();
    let code = if known.is_some() { 0 } else { 3 };
    let mut answer = question.to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    for address in addresses {
        answer.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16]);
        answer.extend(address.octets());
    }
    answer
}
