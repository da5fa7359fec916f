//! Forwards as they are written, read and refused.

use proptest::prelude::*;

use super::*;

fn publish(text: &str) -> Publish {
    text.parse().unwrap()
}

fn forwards(texts: &[&str]) -> Vec<Forward> {
    texts.iter().map(|text| Forward::Publish(publish(text))).collect()
}

#[test]
fn forwards_are_written_as_docker_has_them() {
    assert_eq!(
        publish("8080:80"),
        Publish {
            address: None,
            host_port: 8080,
            guest_port: 80,
            protocol: Protocol::Tcp
        }
    );
    assert_eq!(publish("localhost:8080:80/tcp"), publish("8080:80"));
    assert_eq!(publish("0:80"), publish(":80"));
    assert_eq!(
        publish("[::1]:53:53/udp").address,
        Some("::1".parse::<IpAddr>().unwrap())
    );
    assert_eq!(publish("0.0.0.0::80").host_port, 0);
}

#[test]
fn what_is_none_says_how_to_write_one() {
    for bad in [
        "",
        "80",
        ":",
        "a:80",
        "80:",
        "+8:80",
        "8080:80/sctp",
        "::1:80:80",
        "1.2.3:80:80",
        "70000:80",
    ] {
        assert!(bad.parse::<Publish>().is_err(), "{bad}");
    }
    let none = "80".parse::<Publish>().unwrap_err().to_string();
    assert_eq!(
        none,
        "invalid port forward `80`: expected [ADDR:]HOST:GUEST[/udp], such as 8080:80, or :80 for a free port"
    );
    assert!("5432".parse::<Reverse>().is_err() && "0:1".parse::<Reverse>().is_err());
}

#[test]
fn only_loopback_is_local() {
    for local in ["80:80", "127.0.0.1:80:80", "127.8.8.8:80:80", "[::1]:80:80"] {
        assert!(publish(local).is_local(), "{local}");
    }
    for open in [
        "0.0.0.0:80:80",
        "[::]:80:80",
        "10.0.0.1:80:80",
        "[::ffff:127.0.0.1]:80:80",
    ] {
        assert!(!publish(open).is_local(), "{open}");
    }
}

#[test]
fn one_port_is_had_once() {
    assert!(
        validate_forwards(&forwards(&[
            "8080:80",
            "8081:80",
            ":80",
            "8080:80/udp",
            "0.0.0.0:1:1",
            "[::]:1:1"
        ]))
        .is_ok()
    );
    for twice in [
        ["8080:80", "127.0.0.1:8080:81"],
        ["0.0.0.0:1:1", "10.0.0.1:1:2"],
        [":80", ":80"],
    ] {
        assert!(matches!(
            validate_forwards(&forwards(&twice)),
            Err(InvalidForward::Twice(..))
        ));
    }
    let many: Vec<_> = (1..=65).map(|port| format!("{port}:{port}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(validate_forwards(&forwards(&many)), Err(InvalidForward::TooMany));
}

fn address() -> impl Strategy<Value = Option<IpAddr>> {
    prop::option::of(prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ])
}

proptest! {
    #[test]
    fn a_forward_survives_its_text(
        address in address(), host_port: u16, guest_port in 1_u16.., udp: bool,
    ) {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        let publish = Publish { address, host_port, guest_port, protocol };
        prop_assert_eq!(publish.to_string().parse(), Ok(publish));
        let json = serde_json::to_string(&Forward::Publish(publish)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Forward>(&json).unwrap(), Forward::Publish(publish));
    }

    #[test]
    fn no_text_panics(text in "[0-9.:\\[\\]a-f/udp]{0,24}") {
        let _ = text.parse::<Publish>();
        let _ = text.parse::<Reverse>();
    }
}
