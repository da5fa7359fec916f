//! A host with the real helper, an Internet behind it, and guests on the other side of TAPs.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_model::network::{Cidr, Mac, NetMode, Network, Slot, Subnet, Ula, tap_name};
use banger_netplan::{NetRule, Rules};
use banger_root::Client;
use banger_root::serve::socket_path;
use banger_root::wire::Attach;

use super::netns::Netns;

pub(crate) const OWNER: u32 = 4242;
/// All that tests take addresses of.
pub(crate) const RANGE: &str = "172.16.0.0/16,fd00::/8";
/// How long is waited for what is not to come. What is to come gets [`LONG`].
const WAIT: Duration = Duration::from_millis(900);
/// Longer than anything here takes on a host that does much else: who waits for what comes waits no longer than that.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Addresses of the Internet, which answer with TCP on every port of [`PORTS`], and with UDP.
const INTERNET: [&str; 12] = [
    "203.0.113.7",
    "203.0.113.8",
    "1.1.1.1",
    "10.9.9.9",
    "192.168.7.7",
    "100.64.0.9",
    "169.254.169.254",
    "2001:db8::7",
    "2001:db8::8",
    "2606:4700:4700::1111",
    "fd99::9",
    "fd00:ec2::254",
];
const PORTS: [u16; 5] = [53, 80, 443, 853, 8080];

pub(crate) struct World {
    pub(crate) host: Arc<Netns>,
    pub(crate) internet: Netns,
    pub(crate) state: tempfile::TempDir,
    pub(crate) range: &'static str,
    helper: Option<Child>,
}

/// The network that tests use.
pub(crate) fn network() -> Network {
    Network {
        subnet: Subnet::preferred(),
        ula: Ula::from_seed(b"test"),
        mtu: 1500,
        pool: 2,
    }
}

pub(crate) fn mac(slot: u16) -> Mac {
    format!("06:00:00:00:{:02x}:{:02x}", slot >> 8, slot & 255)
        .parse()
        .unwrap()
}

pub(crate) fn rules(mode: NetMode, nets: &[(&str, Option<u16>)]) -> Rules {
    let net = |&(net, port): &(&str, Option<u16>)| NetRule {
        net: net.parse().unwrap(),
        port,
    };
    Rules {
        mode,
        nets: nets.iter().map(net).collect(),
        ..Rules::default()
    }
}

impl World {
    /// A host without uplink, with the helper running.
    pub(crate) fn lonely() -> Self {
        let mut world = Self {
            host: Arc::new(Netns::new()),
            internet: Netns::new(),
            state: tempfile::tempdir().unwrap(),
            range: RANGE,
            helper: None,
        };
        world.start();
        world
    }

    /// A host with an uplink to an Internet that answers.
    pub(crate) fn new() -> Self {
        let world = Self::lonely();
        let host = &world.host;
        // Without a pause for duplicate address detection.
        let at_once = "sysctl -qw net.ipv6.conf.default.accept_dad=0";
        host.sh(at_once);
        world.internet.sh(at_once);
        host.ip(&format!(
            "link add wan type veth peer name lan netns {}",
            world.internet.path()
        ));
        host.sh(
            "ip addr add 198.51.100.2/24 dev wan; ip addr add 2001:db8:ffff::2/64 dev wan nodad; ip link set wan up
             ip route add default via 198.51.100.1; sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0",
        );
        world.internet.sh(
            "ip addr add 198.51.100.1/24 dev lan; ip addr add 2001:db8:ffff::1/64 dev lan nodad; ip link set lan up",
        );
        host.ip("-6 route add default via 2001:db8:ffff::1");
        for address in INTERNET {
            let cidr = Cidr::host(address.parse().unwrap());
            let nodad = if cidr.first().is_ipv6() { "nodad" } else { "" };
            world
                .internet
                .ip(&format!("addr add {address}/{} dev lo {nodad}", cidr.prefix()));
        }
        PORTS.iter().for_each(|&port| serve_tcp(&world.internet, port));
        PORTS.iter().for_each(|&port| serve_udp(&world.internet, port));
        // A fresh link takes up to a second to answer for its IPv6 addresses.
        let start = Instant::now();
        let to = SocketAddr::new("2001:db8::7".parse().unwrap(), PORTS[0]);
        while host.run(|| TcpStream::connect_timeout(&to, WAIT).is_err()) {
            assert!(start.elapsed() < LONG, "no Internet");
        }
        world
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_path(&self.state.path().join("run"), OWNER)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.helper.as_ref().unwrap().id()
    }

    /// The helper with this verb, to be started on the host by `wrap`, a program that becomes the one it is given.
    pub(crate) fn command(&self, wrap: &[&str], verb: &str) -> Command {
        let program = env!("CARGO_BIN_EXE_banger-root");
        let mut line = wrap.iter().chain([&program]);
        let mut command = Command::new(line.next().unwrap());
        let dir = self.state.path();
        command
            .args(line)
            .args([verb, "--owner", &OWNER.to_string(), "--range", self.range])
            .arg("--socket-dir")
            .arg(dir.join("run"))
            .arg("--state-dir")
            .arg(dir.join("state"))
            .stdin(Stdio::null());
        command
    }

    /// Starts the helper and waits for its socket.
    pub(crate) fn start(&mut self) {
        self.start_by(&[]);
    }

    /// The same by another program.
    pub(crate) fn start_by(&mut self, wrap: &[&str]) {
        let _ = std::fs::remove_file(self.socket());
        let (dir, mut command) = (self.state.path().to_owned(), self.command(wrap, "serve"));
        let helper = self.host.run(|| {
            command
                .stderr(
                    File::options()
                        .create(true)
                        .append(true)
                        .open(dir.join("log"))
                        .unwrap(),
                )
                .spawn()
                .expect("start banger-root")
        });
        self.helper = Some(helper);
        let start = Instant::now();
        while Client::connect(&self.socket()).is_err() {
            assert!(start.elapsed() < LONG, "no helper: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the helper as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut helper) = self.helper.take() {
            let _ = helper.kill();
            let _ = helper.wait();
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket()).expect("connect to the helper")
    }

    pub(crate) fn prepared(&self) -> Client {
        let mut client = self.client();
        client
            .prepare(network())
            .unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()));
        client
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.state.path().join("log")).unwrap_or_default()
    }

    /// What of the host the helper could have changed.
    pub(crate) fn snapshot(&self) -> String {
        let links = self
            .host
            .sh("ip -br link | awk '{print $1, $NF}' | sed 's/NO-CARRIER,//; s/,LOWER_UP//' | sort; ip -br addr | awk '{$2 = \"\"; print}' | sed 's/fe80:[^ ]*//; s/ *$//' | sort
             ip route show table main | grep -vE 'ff00|fe80' | sed 's/ linkdown//' | sort; ip -6 route show table main | grep -vE 'ff00|fe80' | sed 's/ linkdown//' | sort
             ip neigh show nud permanent | sort
             sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.all.accept_redirects");
        links + &filter(&self.host)
    }

    /// Attaches a VM and starts a guest behind its TAP.
    pub(crate) fn guest(&self, slot: u16, rules: Rules) -> Guest {
        let attach = Attach {
            slot: Slot(slot),
            mac: mac(slot),
            rules,
        };
        let attached = self
            .client()
            .attach(attach)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        assert_eq!(attached.tap, tap_name(OWNER, Slot(slot)));
        Guest::start(&self.host, slot)
    }
}

/// All rules, of which the elements of sets come in any order.
pub(crate) fn filter(netns: &Netns) -> String {
    netns.sh("nft -s list ruleset | tr ',{}' '\\n' | sed 's/elements = //; s/^[[:space:]]*//; s/[[:space:]]*$//' | sort")
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// A network stack behind a TAP, configured as the agent does it: /32 and /128, gateway on the link.
pub(crate) struct Guest {
    pub(crate) netns: Netns,
    pub(crate) slot: u16,
    /// The host's end of its cable.
    wire: File,
}

impl Guest {
    fn start(host: &Netns, slot: u16) -> Self {
        let netns = Netns::new();
        let outer = host
            .run(|| open_tap(&tap_name(OWNER, Slot(slot))))
            .expect("open the TAP");
        let inner = netns.run(|| open_tap("eth0")).expect("make the guest's card");
        let network = network();
        let (v4, v6) = (
            network.subnet.address(Slot(slot)).unwrap(),
            network.ula.address(Slot(slot)),
        );
        let (gw4, gw6) = (network.subnet.gateway(), network.ula.gateway());
        netns.sh(&format!(
            "ip link set eth0 address {} up; ip addr add {v4}/32 dev eth0; ip addr add {v6}/128 dev eth0 nodad
             ip route add {gw4} dev eth0 scope link; ip route add default via {gw4} dev eth0
             ip -6 route add {gw6} dev eth0; ip -6 route add default via {gw6} dev eth0",
            mac(slot)
        ));
        pump(inner.try_clone().unwrap(), outer.try_clone().unwrap());
        let wire = outer.try_clone().unwrap();
        pump(outer, inner);
        let guest = Self { netns, slot, wire };
        // A bridge that had no guest takes up to a second to answer for its IPv6 address. The answer is a refusal.
        let start = Instant::now();
        for gateway in [IpAddr::V4(gw4), IpAddr::V6(gw6)] {
            let to = SocketAddr::new(gateway, 1);
            let silent =
                || TcpStream::connect_timeout(&to, WAIT).is_err_and(|e| e.kind() == ErrorKind::TimedOut);
            while guest.netns.run(silent) {
                assert!(start.elapsed() < LONG, "no gateway at {gateway}");
            }
        }
        guest
    }

    pub(crate) fn address(&self, like: IpAddr) -> IpAddr {
        network()
            .addresses(Slot(self.slot))
            .find(|own| own.is_ipv4() == like.is_ipv4())
            .unwrap()
    }

    /// Sends a frame that no stack has made.
    pub(crate) fn send_frame(&self, frame: &[u8]) {
        // Behind an empty `virtio_net_hdr`.
        let sent = (&self.wire).write(&[&[0; 10], frame].concat());
        assert_eq!(sent.expect("send a frame"), frame.len() + 10);
    }

    /// Connects by TCP; gives what the server says, which is the address that it sees. For what is to be reached.
    pub(crate) fn tcp(&self, to: &str, port: u16) -> Option<IpAddr> {
        self.tcp_within(LONG, to, port)
    }

    /// The same for what is not to be reached.
    pub(crate) fn tcp_at_once(&self, to: &str, port: u16) -> Option<IpAddr> {
        self.tcp_within(WAIT, to, port)
    }

    fn tcp_within(&self, time: Duration, to: &str, port: u16) -> Option<IpAddr> {
        let to = SocketAddr::new(to.parse().unwrap(), port);
        self.netns.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, time).ok()?;
            // It is reached.
            stream.set_read_timeout(Some(LONG)).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text.parse().unwrap())
        })
    }

    /// Sends a datagram and waits for the answer. For what is to be reached.
    pub(crate) fn udp(&self, to: &str, port: u16) -> bool {
        self.udp_within(LONG, to, port)
    }

    /// The same for what is not to be reached.
    pub(crate) fn udp_at_once(&self, to: &str, port: u16) -> bool {
        self.udp_within(WAIT, to, port)
    }

    fn udp_within(&self, time: Duration, to: &str, port: u16) -> bool {
        let to = SocketAddr::new(to.parse().unwrap(), port);
        self.netns.run(|| {
            let any: IpAddr = if to.is_ipv4() {
                "0.0.0.0".parse().unwrap()
            } else {
                "::".parse().unwrap()
            };
            let socket = UdpSocket::bind((any, 0)).unwrap();
            socket.set_read_timeout(Some(time)).unwrap();
            socket.connect(to).is_ok() && socket.send(b"hello").is_ok() && socket.recv(&mut [0; 64]).is_ok()
        })
    }
}

/// Answers each connection with the address that it comes from.
pub(crate) fn serve_tcp(netns: &Netns, port: u16) {
    let listener = netns.run(|| TcpListener::bind(("::", port))).expect("listen");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let peer = stream
                .peer_addr()
                .map(|peer| peer.ip().to_canonical().to_string())
                .unwrap_or_default();
            let _ = stream.write_all(peer.as_bytes());
        }
    });
}

fn serve_udp(netns: &Netns, port: u16) {
    for any in INTERNET {
        let socket = netns.run(|| UdpSocket::bind((any, port))).expect("bind");
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
    }
}

/// What a VMM does: carries frames between the guest's card and the TAP.
fn pump(mut from: File, mut to: File) {
    std::thread::spawn(move || {
        let mut frame = [0; 1 << 16];
        while let Ok(length) = from.read(&mut frame) {
            // A card that is down takes no frame.
            let _ = to.write(&frame[..length]);
        }
    });
}

/// Opens a TAP as VMMs do.
pub(crate) fn open_tap(name: &str) -> std::io::Result<File> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    set_tap(&tun, name)?;
    Ok(tun)
}

pub(crate) fn set_tap(tun: &File, name: &str) -> std::io::Result<()> {
    // SAFETY: an `ifreq` is plain numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one `ifreq`, which lives here.
    if unsafe { libc::ioctl(tun.as_raw_fd(), 0x4004_54ca, &raw mut request) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}
