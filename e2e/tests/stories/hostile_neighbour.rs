//! A hostile neighbour: a VM in the same network as another one, whose root sends what frames it likes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::frames::{self, EVERYONE, Mac, NODES, arp, arp_frame, link_local, udp};
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use crate::egress::{home_with_names, until};
use crate::networks::asks;
use crate::{Scenario, in_guests};

mod impostor;
mod scene;

use impostor::impostor;
use scene::{Scene, hex};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("a_hostile_neighbour_on_the_bridge_is_refused", bridged).by_root(),
    in_guests("a_hostile_neighbour_in_a_rootless_network_is_refused", rootless)
        .with("pasta")
        .by_root(),
];

/// Another address of the host, with a web server.
const HOSTS_OWN: &str = "203.0.113.9";
/// Where datagrams are heard at the far end.
const EAR: u16 = 7007;
/// Where they come from. A rootless network keeps it, and its user has no low ones.
const NEAR: u16 = 7009;
/// How long a question of `web`'s takes at most while its neighbour makes noise. Alone it takes a tenth of a second.
const IN_TIME: Duration = Duration::from_secs(8);

/// The ways to `web` that addresses and packets of one's own lead.
fn direct(scene: &Scene) -> Result<()> {
    let (web, evil) = (scene.web, scene.evil);
    // `web` serves at all of them.
    scene.is_well("at first", &[])?;
    let of_mac = link_local(web.mac);
    let seen = scene.home.sh("web", "wc -l </seen; ip -6 addr show dev eth0")?;
    ensure!(!seen.starts_with("0\n"), "web's card sees nothing");
    ensure!(seen.contains(&of_mac.to_string()), "web has not {of_mac}: {seen}");
    let eui64 = frames::of_mac(web.v6, web.mac);
    let ways = [
        ("address", web.v4.to_string(), web.v4.to_string()),
        ("address6", web.v6.to_string(), format!("[{}]", web.v6)),
        ("link-local", format!("{of_mac}%eth0"), format!("[{of_mac}%eth0]")),
        ("eui64", eui64.to_string(), format!("[{eui64}]")),
    ];
    let tries = |seconds: u32| {
        let tries = ways.iter().map(|(name, host, url)| {
            format!(
                "timeout {seconds} wget -q -O - http://{url}:7777/ 2>/dev/null & \
                 (ping -c 1 -W {seconds} {host} >/dev/null && echo {name}) & "
            )
        });
        format!("{}wait", tries.collect::<String>())
    };
    // They lead there from `web` itself, but for the address that it has not. It serves three at once on a busy host.
    let told = scene.home.sh("web", &tries(10))?;
    let mut told: Vec<_> = told.lines().collect();
    told.sort_unstable();
    ensure!(
        told == ["address", "address6", "link-local", "mine", "mine", "mine"],
        "web reaches {told:?} of itself"
    );
    let told = scene.evil(&tries(2))?;
    ensure!(told.is_empty(), "evil reaches {told}");
    for (name, ..) in ways {
        scene.refused(&format!("port.{name}"));
        scene.refused(&format!("ping.{name}"));
    }
    let (near, far): ((IpAddr, u16), (IpAddr, u16)) = ((evil.v4.into(), 9), (web.v4.into(), 7777));
    let (near6, far6) = ((link_local(evil.mac).into(), 9), (of_mac.into(), 7777));
    let to = |mac, near, far, name: &str| udp(mac, evil.mac, near, far, name.as_bytes());
    let all = (Ipv4Addr::BROADCAST.into(), 7777);
    let nodes = (NODES.into(), 7777);
    let plain = to(web.mac, near, far, "tagged-direct");
    scene.send(
        "frames to its card",
        &[
            ("direct", to(web.mac, near, far, "direct")),
            ("6direct", to(web.mac, near6, far6, "6direct")),
            ("via-gateway", to(scene.gateway.mac, near, far, "via-gateway")),
            ("broadcast", to(EVERYONE, near, all, "broadcast")),
            ("subnet-broadcast", to(EVERYONE, near, far, "subnet-broadcast")),
            (
                "multicast6",
                to(frames::multicast(NODES), near6, nodes, "multicast6"),
            ),
            ("tagged-direct", frames::tagged(&plain, 0)),
            (
                "unknown-type",
                frames::ethernet(web.mac, evil.mac, 0x88b5, b"unknown-type"),
            ),
            (
                "spanning-tree",
                frames::ethernet([1, 0x80, 0xc2, 0, 0, 0], evil.mac, 38, b"BB\x03spanning-tree"),
            ),
        ],
    )
}

/// Datagrams to a site that are not from whom they say.
fn spoofed(scene: &Scene) -> Result<()> {
    let (web, evil, gateway) = (scene.web, scene.evil, scene.gateway);
    let site = (SITES[1].parse()?, EAR);
    let from = |mac: Mac, source: Ipv4Addr, name: &str| {
        udp(gateway.mac, mac, (source.into(), NEAR), site, name.as_bytes())
    };
    let nobody = Ipv4Addr::from_bits(web.v4.to_bits() | 0x7f);
    // From what it is, it is heard. That goes first and last, so that all between them has had its time.
    let honest = |name: &'static str| (name, from(evil.mac, evil.v4, name));
    let attacks = [
        ("source-web", from(evil.mac, web.v4, "source-web")),
        ("source-and-mac-web", from(web.mac, web.v4, "source-and-mac-web")),
        ("mac-web", from(web.mac, evil.v4, "mac-web")),
        ("source-gateway", from(evil.mac, gateway.v4, "source-gateway")),
        ("mac-gateway", from(gateway.mac, gateway.v4, "mac-gateway")),
        ("source-nobody", from(evil.mac, nobody, "source-nobody")),
        (
            "source-host",
            from(evil.mac, Ipv4Addr::new(198, 51, 100, 1), "source-host"),
        ),
        (
            "source-loopback",
            from(evil.mac, Ipv4Addr::LOCALHOST, "source-loopback"),
        ),
        (
            "source-none",
            from(evil.mac, Ipv4Addr::UNSPECIFIED, "source-none"),
        ),
        (
            "tagged-source-web",
            frames::tagged(&from(evil.mac, web.v4, "tagged-source-web"), 0),
        ),
    ];
    let all = [&[honest("honest-1")], &attacks[..], &[honest("honest-2")]].concat();
    scene.send("spoofed sources", &all[1..=attacks.len()])?;
    let frames: Vec<_> = all.iter().map(|(_, frame)| hex(frame)).collect();
    scene.evil(&format!("/frames eth0 send {}", frames.join(" ")))?;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "honest-2") {
        let datagram = scene.heard.recv_timeout(Duration::from_secs(10));
        let datagram = datagram.with_context(|| format!("only {heard:?} was heard"))?;
        heard.push(String::from_utf8_lossy(&datagram).into_owned());
    }
    ensure!(heard.iter().all(|name| name.starts_with("honest")), "{heard:?}");
    attacks
        .iter()
        .for_each(|(name, _)| scene.refused(&format!("{name}.heard")));
    Ok(())
}

/// With what every system has: addresses of others on one's own card.
fn taken(scene: &Scene) -> Result<()> {
    let (web, gateway) = (scene.web, scene.gateway);
    for (name, address, address6) in [("web", web.v4, web.v6), ("gateway", gateway.v4, gateway.v6)] {
        let on = format!(
            "ip addr add {address}/32 dev eth0; ip -6 addr add {address6}/128 dev eth0; \
             (timeout 3 arping -q -U -c 2 -I eth0 -s {address} {address}; timeout 3 arping -q -A -c 2 -I eth0 -s {address} {address}) & \
             (ping -c 2 -W 2 -I {address} {} >/dev/null && echo pong) & wait",
            SITES[1]
        );
        let told = scene.evil(&on)?;
        ensure!(told.is_empty(), "as {name}, evil is told {told}");
        scene.is_well(&format!("evil has the addresses of {name}"), &[])?;
        scene.evil(&format!(
            "ip addr del {address}/32 dev eth0; ip -6 addr del {address6}/128 dev eth0"
        ))?;
    }
    let own = scene.evil.mac.map(|byte| format!("{byte:02x}")).join(":");
    for (name, mac) in [("web", web.mac), ("gateway", gateway.mac)] {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let told = scene.evil(&format!(
            "ip link set eth0 address {mac}; (ping -c 2 -W 1 {} >/dev/null && echo gateway) & \
             timeout 2 wget -q -O - http://{}/ 2>/dev/null & wait",
            scene.gateway.v4, SITES[1]
        ))?;
        ensure!(told.is_empty(), "with the card of {name}, evil is told {told}");
        scene.is_well(&format!("evil has the card of {name}"), &[])?;
        scene.evil(&format!("ip link set eth0 address {own}"))?;
    }
    scene.is_deaf("evil had others' addresses and cards")?;
    for name in [
        "address-of.web",
        "address-of.gateway",
        "card-of.web",
        "card-of.gateway",
    ] {
        scene.refused(name);
    }
    Ok(())
}

/// What the host serves for others.
fn host(scene: &Scene, has_bridge: bool) -> Result<()> {
    let gateway = scene.gateway;
    if has_bridge {
        let pages = scene.internet.pages().display().to_string();
        for port in ["80", "7778"] {
            scene
                .internet
                .on_the_host(&["busybox", "httpd", "-p", port, "-h", &pages])?;
        }
        let own = format!("http://{}:7778/", gateway.v4);
        let (_, served) = scene
            .internet
            .on_the_host(&["busybox", "wget", "-q", "-O", "-", &own])?;
        ensure!(served == "hello\n", "the host serves {served:?} at {own}");
    }
    let (v4, v6) = (gateway.v4.to_string(), gateway.v6.to_string());
    let link = format!("{}%eth0", link_local(gateway.mac));
    let places = [
        ("gateway", &*v4),
        ("gateway6", &*v6),
        ("gateways-link-local", &*link),
        ("hosts-own", HOSTS_OWN),
        ("uplink", "198.51.100.1"),
    ];
    let tries = places.map(|(name, address)| {
        format!(
            "for port in 22 80 111 1024 5353 5354 7778; do \
             timeout 3 nc {address} $port -e echo hello 2>/dev/null </dev/null && echo {name}:$port & done; "
        )
    });
    let told = scene.evil(&format!("{}wait", tries.concat()))?;
    ensure!(told.is_empty(), "evil reaches {told}");
    // So it would be if they were reached: its own server is.
    let own = format!(
        "httpd -p 7778 -h /; timeout 3 nc {} 7778 -e echo hello && echo reached",
        scene.evil.v4
    );
    let told = scene.evil(&own)?;
    ensure!(told == "reached", "evil reaches itself: {told}");
    places
        .iter()
        .for_each(|(name, _)| scene.refused(&format!("host.{name}")));
    if has_bridge {
        let (_, routes) = scene
            .internet
            .on_the_host(&["ip", "-6", "route", "show", "default"])?;
        ensure!(routes.is_empty(), "the host takes evil's routes: {routes}");
        scene.refused("router-for-the-host");
    }
    Ok(())
}

/// Noise, while `web` works.
fn flood(scene: &Scene) -> Result<()> {
    let (evil, gateway) = (scene.evil, scene.gateway);
    let to = |address: IpAddr, port, data: &[u8]| {
        udp(
            gateway.mac,
            evil.mac,
            (evil.v4.into(), NEAR),
            (address, port),
            data,
        )
    };
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04evil\x07example\x03org\0\0\x01\0\x01";
    let asks_for = arp(1, (evil.mac, evil.v4), ([0; 6], gateway.v4), "");
    let noise = [
        to(SITES[1].parse()?, 9, b"flood"),
        to(gateway.v4.into(), 53, question),
        arp_frame(EVERYONE, evil.mac, &asks_for),
        to(scene.web.v4.into(), 9, b"flood"),
    ];
    let noise: Vec<_> = noise.iter().map(|frame| hex(frame)).collect();
    let line = format!("/frames eth0 flood 5 {}", noise.join(" "));
    let mut flooding = scene
        .home
        .command(["vm", "exec", "evil", "--", "sh", "-c", &line])
        .spawn()?;
    std::thread::sleep(Duration::from_secs(1));
    let (mut worst, mut rounds) = (Duration::ZERO, 0);
    while flooding.try_wait()?.is_none() {
        let start = Instant::now();
        let told = asks(&scene.home, "web", "www.example.org")?;
        ensure!(told.contains(SITES[1]), "in the flood, web is told {told}");
        scene.is_well("in the flood", &[])?;
        worst = worst.max(start.elapsed());
        rounds += 1;
    }
    let sent = String::from_utf8_lossy(&flooding.wait_with_output()?.stdout)
        .trim()
        .to_owned();
    eprintln!(
        "{} frames in 5 s; web took {worst:?} at most for a name, a page and a ping, {rounds} times",
        sent
    );
    ensure!(
        rounds > 0 && sent.parse::<u64>()? > 1000,
        "no flood: {sent} frames"
    );
    ensure!(worst < IN_TIME, "in the flood, web took {worst:?}");
    for name in ["udp", "dns", "arp", "to-web"] {
        scene.refused(&format!("flood.{name}"));
    }
    Ok(())
}

/// Who has reached what is known of each alone.
fn known_apart(scene: &Scene) -> Result<()> {
    until(&scene.home, "evil", |flow| flow.target == SITES[1])?;
    let of =
        |vm: &str| -> Result<String> { Ok(scene.home.banger(["vm", "egress", vm, "--json"])?.ok()?.text()) };
    let (web, evil) = (of("web")?, of("evil")?);
    ensure!(web.contains(SITES[0]) && !evil.contains(SITES[0]), "evil: {evil}");
    ensure!(
        !web.contains(SITES[1]) && !web.contains("evil.example.org"),
        "web: {web}"
    );
    scene.refused("egress.of-web");
    scene.refused("egress.as-web");
    Ok(())
}

fn told(scene: &Scene, has_bridge: bool) -> Result<()> {
    let start = Instant::now();
    let acts: [(&str, &dyn Fn() -> Result<()>); 7] = [
        ("direct", &|| direct(scene)),
        ("impostor", &|| impostor(scene)),
        ("spoofed", &|| spoofed(scene)),
        ("taken", &|| taken(scene)),
        ("host", &|| host(scene, has_bridge)),
        ("flood", &|| flood(scene)),
        ("known apart", &|| known_apart(scene)),
    ];
    for (name, act) in acts {
        act().with_context(|| name.to_owned())?;
        eprintln!("{name}: {:?}", start.elapsed());
    }
    Ok(())
}

fn bridged(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = home_with_names(&internet)?;
    let scene = Scene::new(home, internet, backend, "bridge")?;
    told(&scene, true)?;
    scene.home.end()
}

fn rootless(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    internet.resolve_to(SITES[1])?;
    let home = Home::new(&[Image::Busybox])?.of_plain_user(Some(internet.host()))?;
    std::fs::create_dir_all(home.path().join("config"))?;
    std::fs::write(
        home.path().join("config/config.toml"),
        "default_dns = [\"198.51.100.2\"]\n",
    )?;
    let scene = Scene::new(home, internet, backend, "rootless")?;
    let by = scene.home.vm("web")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    told(&scene, false)?;
    scene.home.end()
}
