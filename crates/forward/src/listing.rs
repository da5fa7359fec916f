//! What listens in a guest, with the links by which the host reaches it. The guest is not trusted with what it says.

use std::net::{IpAddr, SocketAddr};

use banger_api::{ForwardState, GuestProcess, HttpGuess, VmForward, VmPort};
use banger_guest_api::sockets::Listening;
use banger_guest_api::{Listener, Transport};
use banger_model::{Forward, LOOPBACK, Protocol, Publish};

/// The most sockets that are told, and the most characters of a word of the guest's.
const MOST: usize = 1024;
const WORD: usize = 64;

/// The sockets that a guest has told of, beside the forwards of its VM.
pub fn ports(listeners: Vec<Listener>, forwards: &[VmForward]) -> Vec<VmPort> {
    let listeners = listeners.into_iter().take(MOST);
    listeners
        .filter_map(|listener| port(listener, forwards))
        .collect()
}

fn port(listener: Listener, forwards: &[VmForward]) -> Option<VmPort> {
    let Listener {
        port,
        address,
        transport,
        process,
        http,
    } = listener;
    let address: IpAddr = address.parse().ok()?;
    let protocol = match transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    let socket = Listening {
        transport,
        port,
        address,
        inode: 0,
    };
    let reachable = socket.is_on_loopback();
    let works = forwards
        .iter()
        .filter(|forward| forward.state == ForwardState::Listening);
    let mut links = works.filter_map(|forward| match &forward.forward {
        Forward::Publish(publish) => (publish.guest_port == port && publish.protocol == protocol)
            .then(|| link(publish, http.is_some())),
        // It is this host that serves it.
        Forward::Reverse(reverse) => (reverse.guest_port == port && protocol == Protocol::Tcp)
            .then(|| SocketAddr::new(LOOPBACK[0], reverse.host_port).to_string()),
    });
    Some(VmPort {
        protocol,
        address: address.to_string(),
        port,
        process: process.map(|process| GuestProcess {
            pid: process.pid,
            command: word(&process.command),
        }),
        link: links.next().filter(|_| reachable),
        http: http.map(|http| HttpGuess {
            status: http.status,
            server: http.server.as_deref().map(word),
        }),
        reachable,
    })
}

/// Where this host reaches a published port.
fn link(publish: &Publish, http: bool) -> String {
    let address = match publish.address {
        None => LOOPBACK[0],
        Some(IpAddr::V4(address)) if address.is_unspecified() => LOOPBACK[0],
        Some(IpAddr::V6(address)) if address.is_unspecified() => LOOPBACK[1],
        Some(address) => address,
    };
    let address = SocketAddr::new(address, publish.host_port);
    if http {
        format!("http://{address}")
    } else {
        address.to_string()
    }
}

fn word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_guest_api::{Http, Process};
    use proptest::prelude::*;

    fn listener(address: &str, port: u16, http: bool) -> Listener {
        Listener {
            port,
            address: address.to_owned(),
            transport: Transport::Tcp,
            process: None,
            http: http.then_some(Http {
                status: 200,
                server: None,
            }),
        }
    }

    fn forward(text: &str) -> VmForward {
        VmForward {
            vm: "web".parse().unwrap(),
            forward: Forward::Publish(text.parse().unwrap()),
            state: ForwardState::Listening,
            reason: None,
            open: 0,
            connections: 0,
            refused: 0,
        }
    }

    #[test]
    fn a_published_port_has_a_link() {
        let forwards = [
            forward("8080:80"),
            forward("0.0.0.0:8443:443"),
            forward("[::1]:5432:5432"),
            forward("9:9/udp"),
            VmForward {
                forward: Forward::Reverse("5555:5432".parse().unwrap()),
                ..forward("1:1")
            },
        ];
        let link = |address, port, http| {
            ports(vec![listener(address, port, http)], &forwards)[0]
                .link
                .clone()
        };
        assert_eq!(
            link("0.0.0.0", 80, true).as_deref(),
            Some("http://127.0.0.1:8080")
        );
        assert_eq!(link("::", 443, false).as_deref(), Some("127.0.0.1:8443"));
        assert_eq!(link("::1", 5432, false).as_deref(), Some("[::1]:5432"));
        assert_eq!(link("0.0.0.0", 9, false), None);
        // Its server is here.
        assert_eq!(link("127.0.0.1", 5555, false).as_deref(), Some("127.0.0.1:5432"));
        // A forward ends at loopback.
        assert_eq!(link("10.0.0.2", 80, true), None);
    }

    proptest! {
        #[test]
        fn what_a_guest_says_is_bounded(name in "\\PC*|[\\x00-\\x1f]*", address in "\\PC{0,40}", count in 0_usize..3000) {
            let process = Some(Process { pid: 1, command: name.clone() });
            let told = Listener { process, ..listener("::1", 1, false) };
            let odd = listener(&address, 1, false);
            let told = ports(std::iter::once(odd).chain(vec![told; count]).collect(), &[]);
            prop_assert!(told.len() <= MOST);
            for port in told {
                prop_assert!(port.address.parse::<IpAddr>().is_ok());
                let command = port.process.map(|process| process.command).unwrap_or_default();
                prop_assert!(command.chars().count() <= WORD && !command.chars().any(char::is_control));
            }
        }
    }
}
