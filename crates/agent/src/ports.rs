//! What listens, from `/proc/net/tcp` and `tcp6` (proc(5)): no tool in the guest is needed.

use std::net::{Ipv4Addr, Ipv6Addr};

use banger_guest_api::{Failure, Listener};

/// The state of a listening socket in those files.
const LISTEN: &str = "0A";

/// The listening TCP sockets, by port.
pub(crate) fn listening() -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A kernel without one of the protocols has no such file.
        let table = std::fs::read_to_string(path).unwrap_or_default();
        listeners.extend(table.lines().skip(1).filter_map(listener));
    }
    listeners.sort();
    listeners.dedup();
    Ok(listeners)
}

/// `sl local_address rem_address st …`, with the address as hexadecimal words in the machine's byte order.
fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    let address = match *bytes.as_slice() {
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string(),
    };
    Some(Listener {
        port: u16::from_str_radix(port, 16).ok()?,
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_are_told() {
        let line = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0";
        let found = listener(line).unwrap();
        assert_eq!((found.port, found.address.as_str()), (22, "127.0.0.1"));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        let any = "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0";
        assert_eq!(listener(any).unwrap().address, "::");
    }
}
