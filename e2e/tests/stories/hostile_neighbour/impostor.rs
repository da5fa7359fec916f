//! Being another one: frames that say so.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use banger_e2e::SITES;
use banger_e2e::frames::{self, EVERYONE, NODES, arp, arp_frame, icmp, link_local, udp};

use super::scene::Scene;

/// Being `web`, or the gateway, for the others.
pub(super) fn impostor(scene: &Scene) -> Result<()> {
    by_arp(scene)?;
    by_discovery(scene)
}

/// Being `web`, or the gateway, for those who ask for an IPv4 address.
fn by_arp(scene: &Scene) -> Result<()> {
    let (web, evil, gateway) = (scene.web, scene.evil, scene.gateway);
    let says = |operation, who, to, name: &str| arp(operation, who, to, name);
    let all = |packet: &[u8]| arp_frame(EVERYONE, evil.mac, packet);
    let (as_web, as_gateway) = ((evil.mac, web.v4), (evil.mac, gateway.v4));
    let (its, gates) = ((web.mac, web.v4), (gateway.mac, gateway.v4));
    scene.send(
        "ARP",
        &[
            (
                "arp-announces-web",
                all(&says(2, as_web, as_web, "arp-announces-web")),
            ),
            (
                "arp-asks-as-web",
                all(&says(1, as_web, ([0; 6], gateway.v4), "arp-asks-as-web")),
            ),
            (
                "arp-answers-as-web",
                arp_frame(
                    gateway.mac,
                    evil.mac,
                    &says(2, as_web, gates, "arp-answers-as-web"),
                ),
            ),
            (
                "arp-with-webs-mac",
                arp_frame(gateway.mac, evil.mac, &says(2, its, gates, "arp-with-webs-mac")),
            ),
            (
                "arp-frame-of-web",
                arp_frame(gateway.mac, web.mac, &says(2, its, gates, "arp-frame-of-web")),
            ),
            (
                "arp-is-gateway",
                arp_frame(web.mac, evil.mac, &says(2, as_gateway, its, "arp-is-gateway")),
            ),
            (
                "arp-announces-gateway",
                all(&says(2, as_gateway, as_gateway, "arp-announces-gateway")),
            ),
            (
                "arp-frame-of-gateway",
                arp_frame(
                    EVERYONE,
                    gateway.mac,
                    &says(2, gates, gates, "arp-frame-of-gateway"),
                ),
            ),
            (
                "arp-honest-to-web",
                arp_frame(
                    web.mac,
                    evil.mac,
                    &says(1, (evil.mac, evil.v4), its, "arp-honest-to-web"),
                ),
            ),
        ],
    )
}

/// The same for IPv6, with a router and a redirect, and for those who ask for an address of their own.
fn by_discovery(scene: &Scene) -> Result<()> {
    let (web, evil, gateway) = (scene.web, scene.evil, scene.gateway);
    let own = link_local(evil.mac);
    let nodes = frames::multicast(NODES);
    let claims =
        |to, source, of, name: &'static str| (name, frames::advertisement(to, evil.mac, source, of, name));
    let routes = |source: Ipv6Addr, name: &'static str| {
        let rest = [
            &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &frames::option(1, evil.mac),
            &frames::marked(name),
        ];
        (
            name,
            icmp(
                nodes,
                evil.mac,
                source.into(),
                NODES.into(),
                [134, 0],
                &rest.concat(),
            ),
        )
    };
    let redirect = {
        let inner = udp(
            web.mac,
            gateway.mac,
            (web.v4.into(), 9),
            (SITES[0].parse()?, 80),
            b"redirect",
        );
        let rest = [&evil.v4.octets()[..], &inner[14..]].concat();
        icmp(web.mac, evil.mac, gateway.v4.into(), web.v4.into(), [5, 1], &rest)
    };
    scene.send(
        "neighbour discovery",
        &[
            claims(nodes, own, web.v6, "nd-web"),
            claims(gateway.mac, own, web.v6, "nd-web-to-gateway"),
            claims(gateway.mac, own, link_local(web.mac), "nd-webs-link-local"),
            claims(gateway.mac, web.v6, web.v6, "nd-from-web"),
            claims(web.mac, own, gateway.v6, "nd-gateway-to-web"),
            claims(nodes, gateway.v6, gateway.v6, "nd-from-gateway"),
            routes(own, "router"),
            routes(link_local(gateway.mac), "router-as-gateway"),
            ("redirect", redirect),
        ],
    )?;
    let offer = |source: Ipv4Addr, name: &str| {
        let from = (source.into(), 67);
        udp(
            EVERYONE,
            evil.mac,
            from,
            (Ipv4Addr::BROADCAST.into(), 68),
            name.as_bytes(),
        )
    };
    scene.send(
        "DHCP",
        &[
            ("dhcp-offer", offer(evil.v4, "dhcp-offer")),
            ("dhcp-of-gateway", offer(gateway.v4, "dhcp-of-gateway")),
        ],
    )
}
