//! Where servers may lead.

use super::*;

fn led(named: &str, to: &str) -> bool {
    Reach::of(named).check(&to.parse().unwrap()).is_ok()
}

#[test]
fn a_server_leads_no_nearer_than_it_is() {
    for (case, named, to) in [
        (
            "metadata",
            "registry.example",
            "http://169.254.169.254/latest/meta-data",
        ),
        (
            "metadata-loopback",
            "127.0.0.1",
            "http://169.254.169.254/latest/meta-data",
        ),
        ("metadata-shared", "10.0.0.1", "http://100.100.100.200/"),
        ("metadata-v6", "fd00::1", "http://[fd00:ec2::254]/"),
        ("loopback", "registry.example", "http://127.0.0.1:2375/"),
        ("loopback-other", "registry.example", "http://127.9.9.9/"),
        ("loopback-v6", "registry.example", "http://[::1]/"),
        (
            "loopback-mapped",
            "registry.example",
            "http://[::ffff:127.0.0.1]/",
        ),
        ("loopback-decimal", "registry.example", "http://2130706433/"),
        ("loopback-octal", "registry.example", "http://0177.0.0.1/"),
        ("unspecified", "registry.example", "http://0.0.0.0/"),
        ("private-10", "registry.example", "https://10.1.2.3/"),
        ("private-172", "registry.example", "https://172.20.0.1/"),
        ("private-192", "203.0.113.1", "https://192.168.0.1/"),
        ("private-v6", "registry.example", "https://[fd12::1]/"),
        ("link-local-v6", "fd00::1", "https://[fe80::1]/"),
        ("private-to-loopback", "10.0.0.1", "http://127.0.0.1/"),
    ] {
        assert!(!led(named, to), "{named} -> {to}");
        banger_cases::refused("registry", &format!("led-to.{case}"));
    }
    for (named, to) in [
        ("registry.example", "https://203.0.113.7/"),
        ("registry.example", "https://cdn.example/"),
        ("10.0.0.1", "https://10.0.0.2/"),
        ("10.0.0.1", "https://192.168.0.1/"),
        ("127.0.0.1", "http://127.0.0.1:5001/"),
        ("localhost", "http://127.0.0.1:5001/"),
        ("LOCALHOST.", "http://[::1]/"),
        ("169.254.1.1", "http://169.254.1.1/again"),
        ("[::1]", "http://[::1]:5000/"),
    ] {
        assert!(led(named, to), "{named} -> {to}");
    }
}

#[test]
fn names_are_judged_by_their_addresses() {
    let at = |text: &str| -> SocketAddr { SocketAddr::new(text.parse().unwrap(), 0) };
    let reach = Reach::of("registry.example");
    let led = |reach: &Reach, name: &str, to: &[&str]| {
        let all = to.iter().map(|text| at(text)).collect();
        reach.among(name, all).map(|allowed| allowed.len()).ok()
    };
    for private in ["10.0.0.1", "127.0.0.1", "::1", "169.254.169.254", "fd00::1"] {
        assert_eq!(led(&reach, "cdn.example", &[private]), None, "{private}");
        banger_cases::refused("registry", &format!("name-to.{}", private.replace(':', "-")));
    }
    assert_eq!(led(&reach, "cdn.example", &["127.0.0.1", "203.0.113.1"]), Some(1));
    // A name that rebinds to loopback opens nothing more.
    assert_eq!(led(&reach, "registry.example", &["127.0.0.1"]), Some(1));
    assert_eq!(led(&reach, "cdn.example", &["127.0.0.1"]), None);
    banger_cases::refused("registry", "rebinding-to-loopback");
    // A company's registry has its token server beside it.
    assert_eq!(led(&reach, "registry.example", &["10.0.0.1"]), Some(1));
    assert_eq!(led(&reach, "auth.example", &["10.0.0.2"]), Some(1));
    assert_eq!(led(&reach, "auth.example", &["127.0.0.1"]), None);
}
