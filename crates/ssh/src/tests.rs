//! What a server does with clients, and with those that do what none should.

use proptest::prelude::*;
use ring::signature::Ed25519KeyPair;

use crate::method::Method;
use crate::testing::Pair;
use crate::wire::{Reader, Write};
use crate::{Error, Event, HostKey, MAX_CHANNELS, Request, Server, Stream, WINDOW, message};

struct Nobody;

impl crate::Users for Nobody {
    fn knows(&self, _: &str) -> bool {
        false
    }
}

#[test]
fn only_a_known_key_of_a_known_user_is_taken() {
    let mut pair = Pair::new();
    pair.begin();
    let other = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    assert_eq!(pair.prove("a", &other), message::USERAUTH_FAILURE);
    let user = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    assert_eq!(pair.prove("nobody", &user), message::USERAUTH_FAILURE);
    assert_eq!(pair.server.next_event(), None);
    assert_eq!(pair.prove("a", &user), message::USERAUTH_SUCCESS);
}

#[test]
fn nothing_is_done_for_nobody() {
    let mut pair = Pair::new();
    pair.begin();
    let mut payload = vec![message::CHANNEL_OPEN];
    payload.put_string(b"session");
    assert_eq!(pair.send(&payload), Err(Error::Unexpected(message::CHANNEL_OPEN)));
    assert_eq!(pair.server.next_event(), None);
}

#[test]
fn attempts_have_a_bound() {
    let mut pair = Pair::new();
    pair.begin();
    let other = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let refused = (0..100).take_while(|_| pair.prove("a", &other) == message::USERAUTH_FAILURE);
    assert_eq!(refused.count(), 20);
}

#[test]
fn a_window_opens_when_data_was_taken_and_not_before() {
    let mut pair = Pair::enter();
    let channel = pair.open(7).unwrap();
    pair.server.confirm(channel);
    let confirmed = pair.receive().unwrap();
    assert_eq!(confirmed[0], message::CHANNEL_OPEN_CONFIRMATION);
    let number = Reader::new(&confirmed[5..]).number().unwrap();
    let chunk = vec![b'x'; 32 << 10];
    for _ in 0..WINDOW as usize / chunk.len() {
        pair.data(number, &chunk).unwrap();
        assert!(matches!(pair.server.next_event(), Some(Event::Data { .. })));
    }
    assert_eq!(pair.receive(), None, "nobody has taken anything");
    pair.server.consumed(channel, WINDOW as usize);
    let adjusted = pair.receive().unwrap();
    assert_eq!(adjusted[0], message::CHANNEL_WINDOW_ADJUST);
    pair.data(number, &chunk).unwrap();
    // Who sends more than may be is sent away.
    let more = (0..100).find_map(|_| pair.data(number, &chunk).err());
    assert_eq!(more, Some(Error::Window));
}

#[test]
fn no_more_is_sent_than_the_client_takes() {
    let mut pair = Pair::enter();
    let channel = pair.open(7).unwrap();
    assert_eq!(
        pair.server.write(channel, Stream::Data, b"early"),
        None,
        "it is not open yet"
    );
    pair.server.confirm(channel);
    assert_eq!(pair.server.write(channel, Stream::Data, &[0; 300]), Some(100));
    assert_eq!(pair.server.write(channel, Stream::Stderr, &[0; 300]), Some(0));
    let mut adjust = vec![message::CHANNEL_WINDOW_ADJUST];
    adjust.put_number(0);
    adjust.put_number(50);
    pair.send(&adjust).unwrap();
    assert_eq!(pair.server.next_event(), Some(Event::Ready { channel }));
    assert_eq!(pair.server.write(channel, Stream::Data, &[0; 300]), Some(50));
}

#[test]
fn channels_have_a_bound() {
    let mut pair = Pair::enter();
    let opened = (0..1000).take_while(|&number| pair.open(number).is_some());
    assert_eq!(opened.count(), MAX_CHANNELS);
    assert_eq!(pair.receive().unwrap()[0], message::CHANNEL_OPEN_FAILURE);
}

#[test]
fn a_client_that_takes_no_answers_is_not_listened_to() {
    let mut pair = Pair::enter();
    let mut payload = vec![message::GLOBAL_REQUEST];
    payload.put_string(b"keepalive@openssh.com");
    payload.put_byte(1);
    let mut asked = 0;
    while pair.server.listens() {
        pair.send(&payload).unwrap();
        asked += 1;
    }
    assert!(asked < 100_000, "{asked}");
    assert!(pair.server.output().len() < 2 << 20);
}

#[test]
fn keys_are_exchanged_again_and_what_waits_is_sent() {
    let mut pair = Pair::enter();
    let channel = pair.open(7).unwrap();
    pair.server.confirm(channel);
    pair.receive().unwrap();
    for method in [Method::Curve, Method::Hybrid, Method::Hybrid, Method::Curve] {
        pair.exchange(method, false);
        assert!(!pair.server.is_full());
        pair.data(0, b"in").unwrap();
        assert!(matches!(pair.server.next_event(), Some(Event::Data { .. })));
        pair.server.write(channel, Stream::Data, b"out").unwrap();
        assert_eq!(pair.receive().unwrap()[0], message::CHANNEL_DATA);
    }
}

#[test]
fn a_client_that_fears_quantum_computers_is_served() {
    let proposal = crate::kex::proposal().unwrap();
    let methods = Reader::new(&proposal[1 + 16..]).text().unwrap();
    assert!(
        methods.starts_with("mlkem768x25519-sha256,curve25519-sha256,"),
        "{methods}"
    );
    let mut pair = Pair::strangers();
    pair.exchange(Method::Hybrid, true);
    pair.begin();
    let user = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    assert_eq!(pair.prove("a", &user), message::USERAUTH_SUCCESS);
}

#[test]
fn a_public_key_that_is_none_ends_the_connection() {
    const HYBRID: usize = 1184 + 32;
    // Each number of twelve bits is beyond the modulus; and a point of a small order gives a secret that is zero.
    let keys = [
        vec![0xff; HYBRID],
        vec![0; HYBRID],
        vec![0; 32],
        vec![1; HYBRID - 1],
        vec![1; HYBRID + 1],
        vec![],
    ];
    for key in keys {
        for method in [Method::Hybrid, Method::Curve] {
            let mut pair = Pair::strangers();
            pair.propose(method);
            assert_eq!(
                pair.offer(&key),
                Err(Error::KeyExchange),
                "{method:?} {}",
                key.len()
            );
        }
    }
}

#[test]
fn a_changed_packet_ends_the_connection() {
    let mut pair = Pair::enter();
    assert_eq!(
        pair.server.receive(&[&[0, 0, 0, 16][..], &[7; 32]].concat()),
        Err(Error::Corrupt)
    );
    assert!(!pair.server.output().is_empty(), "it is told why");
}

#[test]
fn nothing_comes_before_the_keys_of_a_strict_client() {
    let host = HostKey::new(&[2; 32]).unwrap();
    let mut server = Server::new(host, Vec::new(), Box::new(Nobody)).unwrap();
    let mut packet = b"SSH-2.0-x\r\n".to_vec();
    crate::cipher::Key::None
        .seal(0, &[message::SERVICE_REQUEST, 0, 0, 0, 0], &mut packet)
        .unwrap();
    assert_eq!(
        server.receive(&packet),
        Err(Error::Unexpected(message::SERVICE_REQUEST))
    );
}

/// Asks for something on channel 0, with an answer.
fn ask(pair: &mut Pair, kind: &str, rest: &[u8]) -> Result<(), Error> {
    let mut payload = vec![message::CHANNEL_REQUEST];
    payload.put_number(0);
    payload.put_string(kind.as_bytes());
    payload.put_byte(1);
    payload.extend_from_slice(rest);
    pair.send(&payload)
}

#[test]
fn a_request_that_is_too_long_refuses_itself_alone() {
    let mut pair = Pair::enter();
    let channel = pair.open(7).unwrap();
    pair.server.confirm(channel);
    pair.receive().unwrap();
    let string = |bytes: &[u8]| {
        let mut out = Vec::new();
        out.put_string(bytes);
        out
    };
    for length in [0, 60 << 10, 128 << 10, 256 << 10] {
        let line = vec![b'x'; length];
        ask(&mut pair, "exec", &string(&line)).unwrap();
        let request = Request::Command(line);
        assert_eq!(
            pair.server.next_event(),
            Some(Event::Request { channel, request })
        );
        pair.server.answer(channel, true);
        assert_eq!(pair.receive().unwrap()[0], message::CHANNEL_SUCCESS);
    }
    let long_name = [string(b"A"), string(&vec![b'x'; 1 << 20])].concat();
    let terminal = [string(&vec![b'x'; 100_000]), vec![0; 16], string(b"")].concat();
    for (name, kind, rest) in [
        ("command", "exec", string(&vec![b'x'; (256 << 10) + 1])),
        ("command-of-3-mib", "exec", string(&vec![b'x'; 3 << 20])),
        ("subsystem", "subsystem", string(&vec![b'x'; 100_000])),
        ("signal", "signal", string(&vec![b'x'; 100_000])),
        ("terminal", "pty-req", terminal),
        ("subsystem-no-text", "subsystem", string(b"\xff")),
        ("signal-no-text", "signal", string(b"\xff")),
        ("unknown", "x@example.com", vec![0; 2 << 20]),
    ] {
        ask(&mut pair, kind, &rest).unwrap();
        let request = Request::Unknown;
        assert_eq!(
            pair.server.next_event(),
            Some(Event::Request { channel, request }),
            "{name}"
        );
        pair.server.answer(channel, false);
        assert_eq!(pair.receive().unwrap()[0], message::CHANNEL_FAILURE, "{name}");
        banger_cases::refused("budget", &format!("ssh.{name}"));
    }
    // A variable is whoever runs the command's to refuse.
    ask(&mut pair, "env", &long_name).unwrap();
    assert!(matches!(pair.server.next_event(), Some(Event::Request { .. })));
    pair.data(0, b"in").unwrap();
    assert!(matches!(pair.server.next_event(), Some(Event::Data { .. })));
}

#[test]
fn a_stranger_sends_no_long_packets() {
    let mut pair = Pair::new();
    assert_eq!(
        pair.send(&vec![message::SERVICE_REQUEST; 100 << 10]),
        Err(Error::TooLong)
    );
    banger_cases::refused("budget", "ssh.strangers-packet");
}

#[test]
fn answers_do_not_pile_up_while_keys_are_exchanged() {
    let mut pair = Pair::enter();
    // The server proposes new keys after some packets, and this client never does.
    pair.server.renew_after(u64::MAX / 4, 20);
    let mut payload = vec![message::GLOBAL_REQUEST];
    payload.put_string(b"keepalive@openssh.com");
    payload.put_byte(1);
    for _ in 0..30 {
        pair.send(&payload).unwrap();
    }
    pair.server.renew_after(u64::MAX / 4, u64::MAX / 4);
    let mut asked = 0_usize;
    let ended = loop {
        if let Err(error) = pair.send(&payload) {
            break error;
        }
        asked += 1;
        assert!(asked < 1_000_000);
    };
    assert_eq!(ended, Error::Flood);
    banger_cases::refused("budget", "ssh.held-answers");
}

#[test]
fn keys_wear_out_by_what_comes_too() {
    let mut pair = Pair::enter();
    let channel = pair.open(7).unwrap();
    pair.server.confirm(channel);
    while pair.receive().is_some() {}
    pair.server.renew_after(10_000, u64::MAX / 4);
    // Nothing is sent by the server meanwhile, which only hears.
    let ended = loop {
        if let Err(error) = pair.data(0, &[0; 1000]) {
            break error;
        }
        while let Some(event) = pair.server.next_event() {
            assert!(matches!(event, Event::Data { .. }));
        }
    };
    assert_eq!(ended, Error::KeyExchange);
    let mut kinds = Vec::new();
    while let Some(payload) = pair.receive() {
        kinds.push(payload[0]);
    }
    assert_eq!(kinds, [message::KEXINIT, message::DISCONNECT]);
    banger_cases::refused("budget", "ssh.worn-keys");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let host = HostKey::new(&[2; 32]).unwrap();
        let mut server = Server::new(host, Vec::new(), Box::new(Nobody)).unwrap();
        let _ = server.receive(b"SSH-2.0-x\n");
        let _ = server.receive(&bytes);
    }

    #[test]
    fn no_message_panics(kind in 80_u8..=100, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut pair = Pair::enter();
        let channel = pair.open(7).unwrap();
        pair.server.confirm(channel);
        let mut payload = vec![kind];
        payload.extend(bytes);
        let _ = pair.send(&payload);
        while pair.server.next_event().is_some() {}
    }

    #[test]
    fn no_request_panics(name in prop::sample::select(vec![
        "pty-req", "env", "exec", "signal", "window-change", "subsystem", "tcpip-forward", "direct-tcpip",
        "streamlocal-forward@openssh.com", "direct-streamlocal@openssh.com",
    ]), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut pair = Pair::enter();
        let channel = pair.open(7).unwrap();
        pair.server.confirm(channel);
        for (kind, number) in [(message::CHANNEL_REQUEST, true), (message::GLOBAL_REQUEST, false), (message::CHANNEL_OPEN, false)] {
            let mut payload = vec![kind];
            if number {
                payload.put_number(0);
            }
            payload.put_string(name.as_bytes());
            payload.put_byte(1);
            payload.extend(&bytes);
            let _ = pair.send(&payload);
        }
        while pair.server.next_event().is_some() {}
    }
}
