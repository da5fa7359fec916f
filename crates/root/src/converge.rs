//! From what is on the host to what the plan says: the steps between. Pure, so an audit is the same without taking them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banger_model::network::{
    Mac, Member, Network, Plan, Slot, bridge_name, filter, slot_of_tap, spare_prefix, tap_name, tap_prefix,
};
use banger_netlink::route::{Link, RTPROT_RA};

use crate::host::{Observed, Step};

const FORWARD4: &str = "net/ipv4/ip_forward";
const FORWARD6: &str = "net/ipv6/conf/all/forwarding";

/// Reads a setting by its path below `/proc/sys`; none where there is none.
pub(crate) type Setting<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The host's own settings that forwarding needs, with what they must be, in order.
///
/// A host that forwards IPv6 no longer listens to its routers, unless it is told to (`accept_ra` 2).
pub(crate) fn host_settings(observed: &Observed, setting: Setting<'_>) -> Vec<(String, &'static str)> {
    let mut settings = vec![(FORWARD4.to_owned(), "1")];
    if setting(FORWARD6).is_some() {
        let announced = observed.routes.iter().filter(|route| route.protocol == RTPROT_RA);
        let by_router: BTreeSet<u32> = announced.filter_map(|route| route.link).collect();
        for link in observed
            .links
            .iter()
            .filter(|link| by_router.contains(&link.index))
        {
            settings.push((format!("net/ipv6/conf/{}/accept_ra", link.name), "2"));
        }
        settings.push((FORWARD6.to_owned(), "1"));
    }
    settings
}

/// Settings of the bridge, by family: it believes no redirect and no router, and a VM's packets come from where its address is.
const BRIDGE: [(&str, &str, &str); 7] = [
    ("ipv4", "accept_redirects", "0"),
    ("ipv4", "send_redirects", "0"),
    ("ipv4", "rp_filter", "1"),
    ("ipv4", "route_localnet", "0"),
    ("ipv6", "disable_ipv6", "0"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "accept_redirects", "0"),
];

fn bridge_settings(bridge: &str, setting: Setting<'_>) -> Vec<(String, &'static str)> {
    let has_v6 = setting(FORWARD6).is_some();
    let settings = BRIDGE.iter().filter(|(family, ..)| has_v6 || *family == "ipv4");
    settings
        .map(|(family, key, value)| (format!("net/{family}/conf/{bridge}/{key}"), *value))
        .collect()
}

/// The steps for those settings that are not as they should be.
fn unset(wanted: Vec<(String, &'static str)>, setting: Setting<'_>) -> Vec<Step> {
    let differs = |(key, value): &(String, &str)| setting(key).as_deref() != Some(value);
    let step = |(key, value): (String, &str)| Step::Setting(key, value.to_owned());
    wanted.into_iter().filter(differs).map(step).collect()
}

/// The steps to the plan; none if the host is what it says. The filter and the places of addresses are always stated.
pub(crate) fn steps(
    owner: u32,
    plan: &Plan,
    script: String,
    observed: &Observed,
    setting: Setting<'_>,
) -> Vec<Step> {
    let Some(prepared) = &plan.prepared else {
        return teardown(owner, &BTreeMap::new(), observed, setting);
    };
    let network = &prepared.network;
    let mut steps = strays(owner, plan, network, observed);
    steps.push(Step::Filter {
        what: "load the packet filter",
        script,
    });
    steps.extend(bridge_steps(
        owner,
        network,
        plan.withdrawn.is_some(),
        observed,
        setting,
    ));
    steps.extend(unset(host_settings(observed, setting), setting));
    for (&slot, member) in &plan.members {
        steps.extend(attach(owner, network, slot, member, observed));
    }
    if plan.withdrawn.is_some() {
        // Nothing is anywhere on a bridge that is down. Whatever of the rest fails, the addresses go.
        steps.retain(|step| !matches!(step, Step::Neighbour(..)));
        steps.sort_by_key(|step| !matches!(step, Step::NoAddress { .. }));
    }
    steps
}

/// The steps to a VM's TAP and the places of its addresses.
pub(crate) fn attach(
    owner: u32,
    network: &Network,
    slot: Slot,
    member: &Member,
    observed: &Observed,
) -> Vec<Step> {
    let name = tap_name(owner, slot);
    let found = observed.link(&name).filter(|link| link.owner == Some(owner));
    let [tap, port] = waiting_tap(owner, name.clone(), network.mtu);
    let mut steps = Vec::new();
    if found.is_none() {
        steps.push(tap);
    }
    if !found.is_some_and(|tap| is_port(owner, network, tap, observed)) {
        steps.push(port);
    }
    if !found.is_some_and(|tap| tap.up) {
        steps.push(Step::Up(name));
    }
    let place = |address| Step::Neighbour(bridge_name(owner), address, member.mac);
    steps.extend(network.addresses(slot).map(place));
    steps
}

/// The steps to no TAP of that slot, and to addresses that are nowhere.
pub(crate) fn detach(owner: u32, network: &Network, slot: Slot) -> Vec<Step> {
    let mut steps = vec![Step::NoLink(tap_name(owner, slot))];
    let forget = |address| Step::NoNeighbour(bridge_name(owner), address);
    steps.extend(network.addresses(slot).map(forget));
    steps
}

/// The steps to a TAP that is a port of the bridge and down.
pub(crate) fn waiting_tap(owner: u32, name: String, mtu: u16) -> [Step; 2] {
    let (tap, bridge) = (name.clone(), bridge_name(owner));
    [Step::Tap { name, owner }, Step::Port { tap, bridge, mtu }]
}

fn is_port(owner: u32, network: &Network, tap: &Link, observed: &Observed) -> bool {
    let bridge = observed.link(&bridge_name(owner)).map(|bridge| bridge.index);
    bridge.is_some() && tap.master == bridge && tap.isolated && tap.mtu == u32::from(network.mtu)
}

/// Removes what bears the mark and is in no plan, or cannot be what the plan says. A TAP of another owner's is one.
fn strays(owner: u32, plan: &Plan, network: &Network, observed: &Observed) -> Vec<Step> {
    let mut room = network.pool;
    let mut wanted = |link: &Link| match slot_of_tap(owner, &link.name) {
        _ if link.name == bridge_name(owner) => link.is_bridge(),
        Some(slot) => plan.members.contains_key(&slot) && link.owner == Some(owner),
        None => {
            let fits = link.owner == Some(owner) && room > 0 && is_port(owner, network, link, observed);
            room -= u8::from(fits);
            fits
        }
    };
    let strays = marked(owner, observed).filter(|link| !wanted(link));
    strays.map(|link| Step::NoLink(link.name.clone())).collect()
}

fn bridge_steps(
    owner: u32,
    network: &Network,
    withdrawn: bool,
    observed: &Observed,
    setting: Setting<'_>,
) -> Vec<Step> {
    let (name, mac, mtu) = (bridge_name(owner), Mac::of_bridge(owner), network.mtu);
    let found = observed.link(&name).filter(|link| link.is_bridge());
    let fits = |link: &&Link| link.mac == mac.octets() && link.mtu == u32::from(mtu);
    let made = found.filter(fits).filter(|link| link.up || withdrawn);
    let mut steps = Vec::new();
    if made.is_none() {
        let name = name.clone();
        steps.push(Step::Bridge { name, mac, mtu });
    }
    // Before its addresses: where IPv6 is off for new interfaces, it must be on for this one.
    steps.extend(unset(bridge_settings(&name, setting), setting));
    let (v4, v6) = (network.subnet, network.ula);
    let wanted: [(IpAddr, u8); 2] = [
        (v4.gateway().into(), v4.cidr().prefix()),
        (v6.gateway().into(), v6.cidr().prefix()),
    ];
    let wanted = if withdrawn { &[][..] } else { &wanted };
    let own = observed.addresses.iter();
    let own = own.filter(|address| found.is_some_and(|link| link.index == address.link));
    let had: Vec<(IpAddr, u8)> = own.map(|address| (address.own, address.prefix)).collect();
    let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let link = || name.clone();
    let wrong = had
        .iter()
        .filter(|own| !wanted.contains(own) && !link_local(&own.0));
    steps.extend(wrong.map(|&own| Step::NoAddress { link: link(), own }));
    let missing = wanted.iter().filter(|own| !had.contains(own));
    steps.extend(missing.map(|&own| Step::Address { link: link(), own }));
    if withdrawn && made.is_none_or(|link| link.up) {
        steps.push(Step::Down(name));
    }
    steps
}

/// The steps to a host without anything of this owner's, with its settings as they were `before`.
///
/// A setting that someone changed since stays as it is, and all stay while another owner's bridge needs them.
pub(crate) fn teardown(
    owner: u32,
    before: &BTreeMap<String, String>,
    observed: &Observed,
    setting: Setting<'_>,
) -> Vec<Step> {
    let bridge = bridge_name(owner);
    // The bridge goes last: what is in the way of its ports is not in the way of the rest.
    let ports = marked(owner, observed).filter(|link| link.name != bridge);
    let names = ports.map(|link| link.name.clone()).chain([bridge.clone()]);
    let mut steps: Vec<Step> = names.map(Step::NoLink).collect();
    let is_other = |link: &Link| link.is_bridge() && link.name.starts_with("bgr") && link.name != bridge;
    if !observed.links.iter().any(is_other) {
        for (key, value) in host_settings(observed, setting).into_iter().rev() {
            let is_ours = setting(&key).as_deref() == Some(value);
            if let Some(old) = before.get(&key).filter(|old| is_ours && *old != value) {
                steps.push(Step::Setting(key, old.clone()));
            }
        }
    }
    steps.push(Step::Filter {
        what: "remove the packet filter",
        script: filter::no_tables(owner),
    });
    steps
}

/// All interfaces that bear this owner's mark.
fn marked(owner: u32, observed: &Observed) -> impl Iterator<Item = &Link> {
    let marks = [tap_prefix(owner), spare_prefix(owner)];
    let bridge = bridge_name(owner);
    observed
        .links
        .iter()
        .filter(move |link| link.name == bridge || marks.iter().any(|mark| link.name.starts_with(mark)))
}

/// The TAPs that wait for VMs.
pub(crate) fn spares(owner: u32, observed: &Observed) -> Vec<String> {
    let spares = marked(owner, observed).filter(|link| link.name.starts_with(&spare_prefix(owner)));
    spares.map(|link| link.name.clone()).collect()
}
