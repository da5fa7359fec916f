//! The byte examples of `docs/protocol.md` are what our codecs read and write.

use banger_guest_api::tunnel::{self, Cutter, Piece};
use banger_guest_api::{Channel, Control, Decoder, FilesEnd, Listed, frame, handover};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// A line that says what bytes are, and the bytes.
struct Example {
    says: String,
    bytes: Vec<u8>,
}

/// The examples in the blocks of a protocol: ```` ```hex PROTOCOL ````.
fn examples(protocol: &str) -> Vec<Example> {
    let (mut is_in, mut found) = (false, Vec::<Example>::new());
    for line in PAGE.lines() {
        if line.starts_with("```") {
            is_in = line == format!("```hex {protocol}");
        } else if let Some(says) = line.strip_prefix("# ").filter(|_| is_in) {
            // Who sends is for people.
            if !says.starts_with("->") && !says.starts_with("<-") {
                let (says, bytes) = (says.to_owned(), Vec::new());
                found.push(Example { says, bytes });
            }
        } else if is_in {
            let example = found.last_mut().expect("a line says what the bytes are");
            let bytes = line.split_whitespace();
            let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).expect("bytes are hexadecimal"));
            example.bytes.extend(bytes);
        }
    }
    found
}

/// A text as JSON has it.
fn text(json: &str) -> Vec<u8> {
    serde_json::from_str::<String>(json)
        .expect("a text as JSON")
        .into_bytes()
}

fn named(channel: &str) -> Channel {
    match channel {
        "stdin" => Channel::Stdin,
        "stdout" => Channel::Stdout,
        "stderr" => Channel::Stderr,
        "control" => Channel::Control,
        other => panic!("there is no channel {other}"),
    }
}

#[test]
fn frames_of_stdio_mux_v1() {
    let examples = examples("stdio_mux_v1");
    assert!(examples.len() >= 10, "{}", examples.len());
    for Example { says, bytes } in examples {
        let (channel, content) = says.split_once(' ').expect("a channel and what is on it");
        let channel = named(channel);
        let payload = match channel {
            Channel::Control => content.as_bytes().to_vec(),
            _ => text(content),
        };
        assert_eq!(frame::encode(channel, &payload), bytes, "{says}");
        let mut decoder = Decoder::new();
        decoder.extend(&bytes);
        let seen = decoder.next_frame().unwrap().expect("a whole frame");
        assert_eq!((seen.channel, seen.payload), (channel, &payload[..]), "{says}");
        assert!(!decoder.is_mid_frame(), "{says}");
        if channel == Channel::Control {
            assert_control(content);
        } else if let Some(line) = payload.strip_suffix(b"\n").filter(|line| line.starts_with(b"{")) {
            serde_json::from_slice::<Listed>(line).expect("a listed file");
        }
    }
}

/// A control frame's JSON is one that we write: of a command, or of the end of files.
fn assert_control(json: &str) {
    let written = match serde_json::from_str::<Control>(json) {
        Ok(control) => frame::encode_control(&control)[frame::HEADER..].to_vec(),
        Err(_) => serde_json::to_vec(&serde_json::from_str::<FilesEnd>(json).unwrap()).unwrap(),
    };
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(json).unwrap());
}

#[test]
fn frames_of_tunnel_v1() {
    let examples = examples("tunnel_v1");
    assert!(examples.len() >= 3, "{}", examples.len());
    for Example { says, bytes } in examples {
        let mut rest = &bytes[..];
        let piece = Cutter::default().cut(&mut rest).unwrap().expect("a whole frame");
        let data;
        let (expected, encoded) = match says.split_once(' ') {
            Some(("data", content)) => {
                data = text(content);
                let (bytes, last) = (&data[..], true);
                (
                    Piece::Data { bytes, last },
                    [&tunnel::header(data.len()), &data[..]].concat(),
                )
            }
            _ => {
                assert_eq!(says, "end");
                (Piece::End, tunnel::END_FRAME.to_vec())
            }
        };
        assert_eq!((piece, rest), (expected, &[][..]), "{says}");
        assert_eq!(encoded, bytes, "{says}");
    }
}

#[test]
fn bytes_of_handed_over_v1() {
    let examples = examples("handed_over_v1");
    assert!(examples.len() >= 2, "{}", examples.len());
    for Example { says, bytes } in examples {
        let sent = text(says.strip_prefix("sent ").expect("what was sent"));
        assert_eq!(handover::encode(&sent).unwrap(), bytes, "{says}");
        let (length, rest) = bytes.split_first_chunk().unwrap();
        assert_eq!(
            (handover::decode_length(*length).unwrap(), rest),
            (sent.len(), &sent[..])
        );
    }
}

/// Numbers and tokens of the page are those of the codecs.
#[test]
fn bounds_and_tokens_are_the_real_ones() {
    let grouped = |number: usize| {
        let digits = number.to_string();
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
        let groups: Vec<_> = groups
            .iter()
            .map(|group| std::str::from_utf8(group).unwrap())
            .collect();
        groups.join(",")
    };
    for text in [grouped(frame::MAX_PAYLOAD), grouped(handover::MAX_SENT)] {
        assert!(PAGE.contains(&text), "{text}");
    }
    for token in [
        banger_guest_api::STDIO_MUX,
        banger_guest_api::HANDED_OVER,
        banger_guest_api::SSH,
        banger_guest_api::TUNNEL,
    ] {
        assert!(PAGE.contains(&format!("| `{token}` |")), "{token}");
    }
}
