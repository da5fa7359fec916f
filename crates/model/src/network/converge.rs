//! From what is on the host to what the plan says: the steps between. Pure, so an audit is the same without taking them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{
    Link, Mac, Member, Network, Observed, Plan, Prepared, Slot, Step, bridge_name, filter, slot_of_tap,
    spare_prefix, tap_name, tap_prefix,
};

const FORWARD4: &str = "net/ipv4/ip_forward";
const FORWARD6: &str = "net/ipv6/conf/all/forwarding";

/// Reads a setting by its path below `/proc/sys`; none where there is none.
pub type Setting<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The host's own settings that forwarding needs, with what they must be, in order.
///
/// A host that forwards IPv6 no longer listens to its routers, unless it is told to (`accept_ra` 2).
pub fn host_settings(observed: &Observed, setting: Setting<'_>) -> Vec<(String, &'static str)> {
    let mut settings = vec![(FORWARD4.to_owned(), "1")];
    if setting(FORWARD6).is_some() {
        let by_router: BTreeSet<u32> = observed
            .routes
            .iter()
            .filter(|route| route.announced)
            .map(|route| route.link)
            .collect();
        let uplinks = observed
            .links
            .iter()
            .filter(|link| by_router.contains(&link.index));
        settings.extend(uplinks.map(|link| (format!("net/ipv6/conf/{}/accept_ra", link.name), "2")));
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
    let step = |(key, value): (String, &str)| Step::Setting {
        key,
        value: value.to_owned(),
    };
    wanted.into_iter().filter(differs).map(step).collect()
}

/// The steps to the plan; none if the host is what it says. The filter and the places of addresses are always stated.
pub fn steps(
    owner: u32,
    plan: &Plan,
    script: String,
    observed: &Observed,
    setting: Setting<'_>,
) -> Vec<Step> {
    let Some(prepared) = &plan.prepared else {
        return teardown(owner, &BTreeMap::new(), observed, setting);
    };
    let mut steps = strays(owner, plan, observed);
    steps.push(Step::Filter {
        what: "load the packet filter",
        script,
    });
    bridge_steps(owner, prepared, plan.withdrawn, observed, setting, &mut steps);
    steps.extend(unset(host_settings(observed, setting), setting));
    for (&slot, member) in &plan.members {
        steps.extend(attach(owner, &prepared.network, slot, member, observed));
    }
    if plan.withdrawn {
        // Nothing is anywhere on a bridge that is down. Whatever of the rest fails, the addresses go.
        steps.retain(|step| !matches!(step, Step::Neighbour { .. }));
        steps.sort_by_key(|step| !matches!(step, Step::NoAddress { .. }));
    }
    steps
}

/// The steps to a VM's TAP and the places of its addresses.
pub fn attach(owner: u32, network: &Network, slot: Slot, member: &Member, observed: &Observed) -> Vec<Step> {
    let (name, bridge) = (tap_name(owner, slot), bridge_name(owner));
    let found = observed.link(&name).filter(|link| link.owner == Some(owner));
    let at = observed.link(&bridge).map(|link| link.index);
    let is_port = |tap: &Link| at.is_some() && tap.master == at && tap.isolated;
    let mut steps = Vec::new();
    let [tap, port] = waiting_tap(owner, name.clone(), network.mtu);
    if found.is_none() {
        steps.push(tap);
    }
    if !found.is_some_and(|tap| is_port(tap) && tap.mtu == u32::from(network.mtu)) {
        steps.push(port);
    }
    if !found.is_some_and(|tap| tap.up) {
        steps.push(Step::Up { name });
    }
    let place = |address| Step::Neighbour {
        bridge: bridge.clone(),
        address,
        mac: member.mac,
    };
    steps.extend(network.addresses(slot).map(place));
    steps
}

/// The steps to no TAP of that slot, and to addresses that are nowhere.
pub fn detach(owner: u32, network: &Network, slot: Slot) -> Vec<Step> {
    let tap = Step::NoLink {
        name: tap_name(owner, slot),
    };
    let forget = |address| Step::NoNeighbour {
        bridge: bridge_name(owner),
        address,
    };
    [tap]
        .into_iter()
        .chain(network.addresses(slot).map(forget))
        .collect()
}

/// The steps to a TAP that is a port of the bridge and down.
pub fn waiting_tap(owner: u32, name: String, mtu: u16) -> [Step; 2] {
    let port = Step::Port {
        tap: name.clone(),
        bridge: bridge_name(owner),
        mtu,
    };
    [Step::Tap { name, owner }, port]
}

/// Removes what bears the mark and is in no plan, or cannot be what the plan says. A TAP of another owner's is one.
fn strays(owner: u32, plan: &Plan, observed: &Observed) -> Vec<Step> {
    let bridge = observed.link(&bridge_name(owner));
    let mut room = plan.prepared.as_ref().map_or(0, |prepared| prepared.network.pool);
    let mtu = plan
        .prepared
        .as_ref()
        .map_or(0, |prepared| u32::from(prepared.network.mtu));
    let mut wanted = |link: &Link| match slot_of_tap(owner, &link.name) {
        _ if link.name == bridge_name(owner) => link.bridge,
        Some(slot) => plan.members.contains_key(&slot) && link.owner == Some(owner),
        None => {
            let port = bridge.is_some_and(|bridge| link.master == Some(bridge.index)) && link.isolated;
            let fits = port && link.owner == Some(owner) && link.mtu == mtu && room > 0;
            room -= u8::from(fits);
            fits
        }
    };
    let strays = marked(owner, observed).filter(|link| !wanted(link));
    strays
        .map(|link| Step::NoLink {
            name: link.name.clone(),
        })
        .collect()
}

fn bridge_steps(
    owner: u32,
    prepared: &Prepared,
    withdrawn: bool,
    observed: &Observed,
    setting: Setting<'_>,
    steps: &mut Vec<Step>,
) {
    let name = bridge_name(owner);
    let network = &prepared.network;
    let mac = Mac::of_bridge(owner);
    let found = observed.link(&name).filter(|link| link.bridge);
    let fits = |link: &Link| link.mac == mac.octets() && link.mtu == u32::from(network.mtu);
    let is_made = found.is_some_and(|link| (link.up || withdrawn) && fits(link));
    if !is_made {
        steps.push(Step::Bridge {
            name: name.clone(),
            mac,
            mtu: network.mtu,
        });
    }
    // Before its addresses: where IPv6 is off for new interfaces, it must be on for this one.
    steps.extend(unset(bridge_settings(&name, setting), setting));
    let mut wanted = vec![
        (
            IpAddr::V4(network.subnet.gateway()),
            network.subnet.cidr().prefix(),
        ),
        (IpAddr::V6(network.ula.gateway()), network.ula.cidr().prefix()),
    ];
    if withdrawn {
        wanted.clear();
    }
    let had: Vec<(IpAddr, u8)> = observed
        .addresses
        .iter()
        .filter(|(index, ..)| found.is_some_and(|link| link.index == *index))
        .map(|&(_, address, prefix)| (address, prefix))
        .collect();
    let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let link = || name.clone();
    let wrong = had
        .iter()
        .filter(|own| !wanted.contains(own) && !link_local(&own.0));
    steps.extend(wrong.map(|&own| Step::NoAddress { link: link(), own }));
    let missing = wanted.into_iter().filter(|own| !had.contains(own));
    steps.extend(missing.map(|own| Step::Address { link: link(), own }));
    if withdrawn && !(is_made && found.is_some_and(|link| !link.up)) {
        steps.push(Step::Down { name });
    }
}

/// The steps to a host without anything of this owner's, with its settings as they were `before`.
///
/// A setting that someone changed since stays as it is, and all stay while another owner's bridge needs them.
pub fn teardown(
    owner: u32,
    before: &BTreeMap<String, String>,
    observed: &Observed,
    setting: Setting<'_>,
) -> Vec<Step> {
    let bridge = bridge_name(owner);
    let mut steps: Vec<Step> = marked(owner, observed)
        // The bridge goes last: what is in the way of its ports is not in the way of the rest.
        .filter(|link| link.name != bridge)
        .map(|link| Step::NoLink {
            name: link.name.clone(),
        })
        .collect();
    steps.push(Step::NoLink { name: bridge.clone() });
    let others = observed
        .links
        .iter()
        .any(|link| link.bridge && link.name.starts_with("bgr") && link.name != bridge);
    if !others {
        let ours = host_settings(observed, setting);
        for (key, value) in ours
            .into_iter()
            .rev()
            .filter(|(key, value)| setting(key).as_deref() == Some(value))
        {
            if let Some(old) = before.get(&key).filter(|old| *old != value) {
                steps.push(Step::Setting {
                    key,
                    value: old.clone(),
                });
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
pub fn marked(owner: u32, observed: &Observed) -> impl Iterator<Item = &Link> {
    let marks = [tap_prefix(owner), spare_prefix(owner)];
    let bridge = bridge_name(owner);
    observed
        .links
        .iter()
        .filter(move |link| link.name == bridge || marks.iter().any(|mark| link.name.starts_with(mark)))
}

/// The TAPs that wait for VMs.
pub fn spares(owner: u32, observed: &Observed) -> Vec<String> {
    let spares = marked(owner, observed).filter(|link| link.name.starts_with(&spare_prefix(owner)));
    spares.map(|link| link.name.clone()).collect()
}
