//! Configurations, good and bad.

use super::*;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(Path::new("config.toml"), text)
}

#[test]
fn sizes_come_from_the_file_and_then_from_the_host() {
    let config = parse("vmm = \"qemu\"\n[vm_defaults]\nmemory = \"2G\"\n").unwrap();
    let sizes = config.sizes(HostSize {
        cpus: 8,
        memory: ByteSize::gib(64),
    });
    assert_eq!((sizes.vcpus, sizes.memory), (2, ByteSize::gib(2)));
    assert_eq!(config.vmm, VmmChoice::Qemu);
}

#[test]
fn resolvers_are_addresses() {
    let config = parse("default_dns = [\"9.9.9.9\", \"[::1]:5353\"]").unwrap();
    let addresses: Vec<String> = config.default_dns.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["9.9.9.9:53", "[::1]:5353"]);
    let Err(Error::Parse { source, .. }) = parse("default_dns = [\"dns.example\"]") else {
        panic!("a name is taken as a resolver");
    };
    assert!(
        source.message().contains("invalid resolver `dns.example`"),
        "{source}"
    );
}

#[test]
fn keys_are_lines_of_the_one_kind() {
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop";
    let config = parse(&format!("ssh_keys = [\"{line}\"]")).unwrap();
    assert_eq!(config.ssh_keys, [std::array::from_fn(|at| at as u8)]);
    for wrong in [
        "~/.ssh/id_ed25519.pub",
        "ssh-ed25519 AAAA",
        "ecdsa-sha2-nistp256 AAAA",
    ] {
        let Err(Error::Parse { source, .. }) = parse(&format!("ssh_keys = [\"{wrong}\"]")) else {
            panic!("{wrong} is taken");
        };
        assert!(source.message().contains("invalid public key"), "{source}");
    }
}

#[test]
fn the_host_asks_at_loopback_or_nowhere() {
    let listen = |text: &str| parse(&format!("dns_listen = \"{text}\"")).map(|config| config.dns_listen);
    assert_eq!(parse("").unwrap().dns_listen, Some(DNS_LISTEN));
    assert_eq!(listen("off").unwrap(), None);
    assert_eq!(listen("[::1]:53").unwrap(), Some("[::1]:53".parse().unwrap()));
    for wrong in ["0.0.0.0:5354", "127.0.0.1", "127.0.0.1:0", "localhost:53"] {
        let Err(Error::Parse { source, .. }) = listen(wrong) else {
            panic!("{wrong} is taken");
        };
        assert!(
            source.message().contains("expected a loopback address"),
            "{source}"
        );
    }
}

#[test]
fn a_misspelt_key_is_an_error_with_a_suggestion() {
    let error = parse("[vm_defaults]\nmemmory = \"2G\"\n").unwrap_err();
    assert_eq!(error.describe().hints, ["did you mean `memory`?"]);
}
