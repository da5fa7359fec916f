//! A guest's network as the kernel has it afterwards, in a network namespace of the test's own. It needs root.

use std::process::{Command, ExitCode};

use banger_guest_api::Network;
use banger_needs::{Need, tests};
use banger_vsock_agent::boot::network::{Card, bring_up};
use rustix::thread::{UnshareFlags, unshare_unsafe};

const MAC: &str = "06:00:ac:10:00:02";

fn network() -> Network {
    Network {
        mac: MAC.to_owned(),
        addresses: vec!["172.16.0.2".parse().unwrap(), "fd42::2".parse().unwrap()],
        gateways: vec!["172.16.0.1".parse().unwrap(), "fd42::1".parse().unwrap()],
        mtu: 1400,
        resolvers: Vec::new(),
        search: Vec::new(),
    }
}

/// Runs `story` in a network namespace of its own.
fn in_a_namespace(story: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: it is the network of this thread alone that changes, and the thread ends with the story.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("unshare the network");
        story();
    });
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// `ip -j ARGS`, whose programs inherit the thread's namespace.
fn ip(args: &str) -> serde_json::Value {
    let output = Command::new("ip")
        .arg("-j")
        .args(args.split_whitespace())
        .output()
        .expect("start ip");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {words}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Adds the card, whose other end is up as a host's TAP is.
fn add_card() {
    ip(&format!("link add eth0 address {MAC} type veth peer name host0"));
    ip("link set host0 up");
}

/// The addresses of `eth0` that are not link-local: address, prefix length, and whether it is still to be proved.
fn addresses() -> Vec<(String, u64, bool)> {
    let shown = ip("address show dev eth0 scope global");
    let found = shown[0]["addr_info"].as_array().unwrap().iter();
    // What `ip` leaves out it shows as nothing.
    found
        .filter_map(|address| {
            let local = address["local"].as_str()?.to_owned();
            let tentative = address["tentative"].as_bool().unwrap_or_default();
            Some((local, address["prefixlen"].as_u64()?, tentative))
        })
        .collect()
}

fn default_route(family: &str) -> (String, String, bool) {
    let routes = ip(&format!("{family} route show default"));
    let route = &routes[0];
    let onlink = route["flags"]
        .as_array()
        .is_some_and(|flags| flags.iter().any(|flag| flag == "onlink"));
    let word = |name: &str| route[name].as_str().unwrap_or_default().to_owned();
    (word("gateway"), word("dev"), onlink)
}

fn assert_configured() {
    let link = &ip("link show dev eth0")[0];
    assert_eq!(link["mtu"], 1400);
    assert!(link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    assert_eq!(
        addresses(),
        [
            ("172.16.0.2".to_owned(), 32, false),
            ("fd42::2".to_owned(), 128, false)
        ]
    );
    assert_eq!(
        default_route("-4"),
        ("172.16.0.1".to_owned(), "eth0".to_owned(), true)
    );
    assert_eq!(
        default_route("-6"),
        ("fd42::1".to_owned(), "eth0".to_owned(), true)
    );
    // `/proc/sys/net` is that of the reader's namespace.
    let setting = std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth0/accept_ra").unwrap();
    assert_eq!(setting.trim(), "0");
}

fn a_card_is_found_by_its_address_and_configured_exactly() {
    in_a_namespace(|| {
        ip("link add eth1 address 06:00:ac:10:00:03 type veth peer name host1");
        add_card();
        let card = Card {
            name: "eth0".to_owned(),
            ipv6: true,
        };
        assert_eq!(bring_up(&network()).unwrap(), card);
        assert_configured();
        // What is there already is no failure.
        bring_up(&network()).unwrap();
        assert_configured();
        assert_eq!(ip("link show dev eth1")[0]["operstate"], "DOWN");
    });
}

fn a_card_that_is_late_is_waited_for() {
    in_a_namespace(|| {
        std::thread::scope(|scope| {
            // A thread inherits the namespace of the one that starts it.
            let waiting = scope.spawn(|| bring_up(&network()));
            std::thread::sleep(std::time::Duration::from_millis(200));
            ip("link add eth1 address 06:00:ac:10:00:03 type veth peer name host1");
            add_card();
            waiting.join().unwrap().unwrap();
        });
        assert_configured();
    });
}

fn a_kernel_without_ipv6_gets_the_rest() {
    in_a_namespace(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        add_card();
        assert!(!bring_up(&network()).unwrap().ipv6);
        assert_eq!(addresses(), [("172.16.0.2".to_owned(), 32, false)]);
    });
}

fn what_fails_is_told() {
    in_a_namespace(|| {
        let failure = bring_up(&network()).unwrap_err();
        assert_eq!(
            failure.message,
            "no network card with the address 06:00:ac:10:00:02 appeared within 5 seconds: the guest's kernel may have \
             no virtio_net"
        );
        add_card();
        let wrong = Network {
            gateways: vec!["172.16.0.2".parse().unwrap()],
            ..network()
        };
        let failure = bring_up(&wrong).unwrap_err();
        assert_eq!(
            failure.message,
            "failed to add a route through 172.16.0.2 on eth0"
        );
        assert_eq!(failure.causes.len(), 1);
    });
}

fn main() -> ExitCode {
    banger_needs::run(
        None,
        &[(
            &[Need::Root],
            tests![
                a_card_is_found_by_its_address_and_configured_exactly,
                a_card_that_is_late_is_waited_for,
                a_kernel_without_ipv6_gets_the_rest,
                what_fails_is_told,
            ],
        )],
    )
}
