//! From what is on the host to what the plan says: the steps between. Nothing is changed, so an audit is the same without taking
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banger_model::network::{
    Mac, Network, Slot, bridge_name, slot_of_tap, spare_prefix, tap_name, tap_prefix,
};
use banger_netlink::route::{Link, RTPROT_RA};
use banger_netplan::{Member, Plan, filter};

use crate::host::{Observed, Step};
use crate::kernel::Host;

const FORWARD4: &str = "net/ipv4/ip_forward";
const FORWARD6: &str = "net/ipv6/conf/all/forwarding";

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

/// A host as an owner's plan meets it.
pub(crate) struct Site<'a> {
    pub(crate) owner: u32,
    /// Of which settings are read.
    pub(crate) host: &'a dyn Host,
    pub(crate) observed: Observed,
}

impl Site<'_> {
    /// A setting by its path below `/proc/sys`; none where there is none.
    fn setting(&self, key: &str) -> Option<String> {
        self.host.setting(key).ok().flatten()
    }

    /// The host's own settings that forwarding needs, with what they must be, in order.
    ///
    /// A host that forwards IPv6 no longer listens to its routers, unless it is told to (`accept_ra` 2).
    pub(crate) fn settings(&self) -> Vec<(String, &'static str)> {
        let Observed { links, routes, .. } = &self.observed;
        let mut settings = vec![(FORWARD4.to_owned(), "1")];
        if self.setting(FORWARD6).is_some() {
            let announced = routes.iter().filter(|route| route.protocol == RTPROT_RA);
            let by_router: BTreeSet<u32> = announced.filter_map(|route| route.link).collect();
            for link in links.iter().filter(|link| by_router.contains(&link.index)) {
                settings.push((format!("net/ipv6/conf/{}/accept_ra", link.name), "2"));
            }
            settings.push((FORWARD6.to_owned(), "1"));
        }
        settings
    }

    fn bridge_settings(&self, bridge: &str) -> Vec<(String, &'static str)> {
        let has_v6 = self.setting(FORWARD6).is_some();
        let settings = BRIDGE.iter().filter(|(family, ..)| has_v6 || *family == "ipv4");
        let named =
            settings.map(|(family, key, value)| (format!("net/{family}/conf/{bridge}/{key}"), *value));
        named.collect()
    }

    /// The steps for those settings that are not as they should be.
    fn unset(&self, wanted: Vec<(String, &'static str)>) -> impl Iterator<Item = Step> {
        let differs = |(key, value): &(String, &str)| self.setting(key).as_deref() != Some(*value);
        let wrong = wanted.into_iter().filter(differs);
        wrong.map(|(key, value)| Step::Setting(key, value.to_owned()))
    }

    /// The steps to the plan; none if the host is what it says. The filter and the places of addresses are always stated.
    pub(crate) fn steps(&self, plan: &Plan, script: String) -> Vec<Step> {
        let Some(network) = plan.network() else {
            return self.teardown(&BTreeMap::new());
        };
        let mut steps = self.strays(plan, network);
        let what = "load the packet filter";
        steps.push(Step::Filter { what, script });
        steps.extend(self.bridge(network, plan.withdrawn.is_some()));
        steps.extend(self.unset(self.settings()));
        for (&slot, member) in &plan.members {
            steps.extend(self.attach(network, slot, member));
        }
        if plan.withdrawn.is_some() {
            // Nothing is anywhere on a bridge that is down. Whatever of the rest fails, the addresses go.
            steps.retain(|step| !matches!(step, Step::Neighbour(..)));
            steps.sort_by_key(|step| !matches!(step, Step::NoAddress(..)));
        }
        steps
    }

    /// The steps to a VM's TAP and the places of its addresses.
    pub(crate) fn attach(&self, network: &Network, slot: Slot, member: &Member) -> Vec<Step> {
        let name = tap_name(self.owner, slot);
        let found = self.observed.link(&name);
        let found = found.filter(|link| link.owner == Some(self.owner));
        let [tap, port] = waiting_tap(self.owner, name.clone(), network.mtu);
        let mut steps = Vec::new();
        if found.is_none() {
            steps.push(tap);
        }
        if !found.is_some_and(|tap| self.is_port(network, tap)) {
            steps.push(port);
        }
        if !found.is_some_and(|tap| tap.up) {
            steps.push(Step::Up(name));
        }
        let place = |address| Step::Neighbour(bridge_name(self.owner), address, member.mac);
        steps.extend(network.addresses(slot).map(place));
        steps
    }

    fn is_port(&self, network: &Network, tap: &Link) -> bool {
        let bridge = self.observed.link(&bridge_name(self.owner));
        let is_on = bridge.is_some_and(|bridge| tap.master == Some(bridge.index));
        is_on && tap.isolated && tap.mtu == u32::from(network.mtu)
    }

    /// Removes what bears the mark and is in no plan, or cannot be what the plan says. A TAP of another owner's is one.
    fn strays(&self, plan: &Plan, network: &Network) -> Vec<Step> {
        let mut room = network.pool;
        let mut wanted = |link: &Link| match slot_of_tap(self.owner, &link.name) {
            _ if link.name == bridge_name(self.owner) => link.is_bridge(),
            Some(slot) => plan.members.contains_key(&slot) && link.owner == Some(self.owner),
            None => {
                let fits = link.owner == Some(self.owner) && room > 0 && self.is_port(network, link);
                room -= u8::from(fits);
                fits
            }
        };
        let strays = self.marked().filter(|link| !wanted(link));
        strays.map(|link| Step::NoLink(link.name.clone())).collect()
    }

    fn bridge(&self, network: &Network, withdrawn: bool) -> Vec<Step> {
        let (name, mac, mtu) = (bridge_name(self.owner), Mac::of_bridge(self.owner), network.mtu);
        let found = self.observed.link(&name).filter(|link| link.is_bridge());
        let fits = |link: &&Link| link.mac == mac.octets() && link.mtu == u32::from(mtu);
        let made = found.filter(fits).filter(|link| link.up || withdrawn);
        let mut steps = Vec::new();
        if made.is_none() {
            let name = name.clone();
            steps.push(Step::Bridge { name, mac, mtu });
        }
        // Before its addresses: where IPv6 is off for new interfaces, it must be on for this one.
        steps.extend(self.unset(self.bridge_settings(&name)));
        let prefixes = [network.subnet.cidr().prefix(), network.ula.cidr().prefix()];
        let wanted = network.gateways().into_iter().zip(prefixes);
        let wanted: Vec<(IpAddr, u8)> = wanted.filter(|_| !withdrawn).collect();
        let own = self.observed.addresses.iter();
        let own = own.filter(|address| found.is_some_and(|link| link.index == address.link));
        let had: Vec<(IpAddr, u8)> = own.map(|address| (address.own, address.prefix)).collect();
        let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let wrong = had.iter().filter(|own| !wanted.contains(own));
        let wrong = wrong.filter(|(address, _)| !link_local(address));
        steps.extend(wrong.map(|&(own, prefix)| Step::NoAddress(name.clone(), own, prefix)));
        let missing = wanted.iter().filter(|own| !had.contains(own));
        steps.extend(missing.map(|&(own, prefix)| Step::Address(name.clone(), own, prefix)));
        if withdrawn && made.is_none_or(|link| link.up) {
            steps.push(Step::Down(name));
        }
        steps
    }

    /// The steps to a host without anything of this owner's, with its settings as they were `before`.
    ///
    /// A setting that someone changed since stays as it is, and all stay while another owner's bridge needs them.
    pub(crate) fn teardown(&self, before: &BTreeMap<String, String>) -> Vec<Step> {
        let bridge = bridge_name(self.owner);
        // The bridge goes last: what is in the way of its ports is not in the way of the rest.
        let ports = self.marked().filter(|link| link.name != bridge);
        let names = ports.map(|link| link.name.clone()).chain([bridge.clone()]);
        let mut steps: Vec<Step> = names.map(Step::NoLink).collect();
        let is_other = |link: &Link| link.is_bridge() && link.name.starts_with("bgr") && link.name != bridge;
        if !self.observed.links.iter().any(is_other) {
            for (key, value) in self.settings().into_iter().rev() {
                let is_ours = self.setting(&key).as_deref() == Some(value);
                if let Some(old) = before.get(&key).filter(|old| is_ours && *old != value) {
                    steps.push(Step::Setting(key, old.clone()));
                }
            }
        }
        let (what, script) = ("remove the packet filter", filter::no_tables(self.owner));
        steps.push(Step::Filter { what, script });
        steps
    }

    /// All interfaces that bear this owner's mark.
    fn marked(&self) -> impl Iterator<Item = &Link> {
        let marks = [tap_prefix(self.owner), spare_prefix(self.owner)];
        let bridge = bridge_name(self.owner);
        let is_marked = move |name: &str| name == bridge || marks.iter().any(|mark| name.starts_with(mark));
        let links = self.observed.links.iter();
        links.filter(move |link| is_marked(&link.name))
    }

    /// The TAPs that wait for VMs.
    pub(crate) fn spares(&self) -> Vec<String> {
        let spares = spare_prefix(self.owner);
        let spares = self.marked().filter(|link| link.name.starts_with(&spares));
        spares.map(|link| link.name.clone()).collect()
    }
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
