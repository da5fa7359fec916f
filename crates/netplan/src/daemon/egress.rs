//! What the flows of a VM are called, which of its rules let them go on, and which rules would be enough.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use banger_model::VmName;
use banger_model::network::{Allow, Cidr, DomainName, FlowRule, Policy, is_refused};

use super::flow::Flow;
use super::resolvers::is_resolver;

/// A flow, with what is known of its destination.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// The VM that has the destination's address.
    pub peer: Option<&'a VmName>,
    /// The names for which the VM was given that address, the latest first.
    pub names: &'a [DomainName],
}

/// Where a flow goes, as people call it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// What has a name in the DNS.
    Name(DomainName),
    /// Another VM.
    Vm(VmName),
    /// The host.
    Host,
    /// An address for which the VM asked no name.
    Address(IpAddr),
    /// Nowhere that IP knows.
    Unknown,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Vm(name) => write!(f, "{name}.vm"),
            Self::Host => f.write_str("host"),
            Self::Address(address) => address.fmt(f),
            Self::Unknown => f.write_str("-"),
        }
    }
}

impl Seen<'_> {
    /// Where it goes. Of several names that lead there it is the one whose rule let the flow go on, else the latest.
    pub fn target(&self, policy: &Policy) -> Target {
        match (self.flow.rule, self.peer, self.flow.destination) {
            (FlowRule::Host, ..) => Target::Host,
            (FlowRule::Peer, Some(peer), _) => Target::Vm(peer.clone()),
            (_, _, None) => Target::Unknown,
            (_, _, Some(address)) => self
                .answered(policy)
                .map(|(name, _)| name)
                .or_else(|| self.names.first())
                .map_or(Target::Address(address), |name| Target::Name(name.clone())),
        }
    }

    /// The rule of `policy` that let it go on, where it was one.
    pub fn rule(&self, policy: &Policy) -> Option<Allow> {
        if !self.flow.allowed {
            return None;
        }
        match self.flow.rule {
            FlowRule::Peer => self.peer.cloned().map(Allow::Vm),
            FlowRule::Host => self.flow.port.map(Allow::Host),
            FlowRule::Answer => self.answered(policy).map(|(_, rule)| rule.clone()),
            FlowRule::Rule => self.numbered(policy).cloned(),
            _ => None,
        }
    }

    /// The fewest rules by which an otherwise closed VM reaches the same: a name with the port, where a name is known and
    /// opens the address, else the address with the port. Nothing for what no rule can allow.
    pub fn enough(&self) -> Vec<Allow> {
        let Flow {
            rule,
            destination,
            port,
            ..
        } = *self.flow;
        match (rule, destination) {
            (FlowRule::Spoofed, _) | (_, None) => Vec::new(),
            (FlowRule::Peer, _) => self.peer.cloned().map(Allow::Vm).into_iter().collect(),
            (FlowRule::Host, _) => port.map(Allow::Host).into_iter().collect(),
            (_, Some(address)) => {
                // No name leads inside, nor to another resolver: only a number does.
                let by_number =
                    rule == FlowRule::Neighbour || is_refused(address) || is_resolver(address, port);
                let names = if by_number { &[] } else { self.names };
                let mut rules: Vec<Allow> = names.iter().filter_map(|name| of_name(name, port)).collect();
                if rules.is_empty() {
                    let net = Cidr::host(address);
                    rules.push(Allow::Net { net, port });
                }
                rules
            }
        }
    }

    /// The latest name whose rule the packet filter followed, and that rule.
    fn answered<'p>(&self, policy: &'p Policy) -> Option<(&DomainName, &'p Allow)> {
        if self.flow.rule != FlowRule::Answer {
            return None;
        }
        self.names.iter().find_map(|name| {
            let is_for = |rule: &&Allow| rule.is_for_name(name) && self.is_of_port(rule);
            let rule = policy
                .allow
                .iter()
                .filter(is_for)
                .max_by_key(|rule| precision(rule));
            rule.map(|rule| (name, rule))
        })
    }

    /// The narrowest rule for addresses that has the destination.
    fn numbered<'p>(&self, policy: &'p Policy) -> Option<&'p Allow> {
        let address = self.flow.destination?;
        let is_for = |rule: &&Allow| match rule {
            Allow::Net { net, .. } => net.contains(address) && self.is_of_port(rule),
            _ => false,
        };
        policy
            .allow
            .iter()
            .filter(is_for)
            .max_by_key(|rule| precision(rule))
    }

    fn is_of_port(&self, rule: &Allow) -> bool {
        rule.port().is_none_or(|port| self.flow.port == Some(port))
    }
}

/// How narrow a rule is, among those of its kind.
fn precision(rule: &Allow) -> (u8, usize, bool) {
    let (kind, length) = match rule {
        Allow::Name { .. } => (1, 0),
        Allow::Under { domain, .. } => (0, domain.as_str().len()),
        Allow::Net { net, .. } => (0, usize::from(net.prefix())),
        Allow::Vm(_) | Allow::Host(_) => (0, 0),
    };
    (kind, length, rule.port().is_some())
}

/// A name's rule, if it can be written: the name `host` means another thing in a rule.
fn of_name(name: &DomainName, port: Option<u16>) -> Option<Allow> {
    let rule = Allow::Name {
        name: name.clone(),
        port,
    };
    (rule.to_string().parse().as_ref() == Ok(&rule)).then_some(rule)
}

/// The same rules without those that others include, in order.
pub fn fewest(rules: impl IntoIterator<Item = Allow>) -> Vec<Allow> {
    let all: BTreeSet<Allow> = rules.into_iter().collect();
    let for_every_port = |rule: &Allow| match rule.clone() {
        // A resolver is reached by nothing less.
        Allow::Net { net, port } if net.is_host() && is_resolver(net.first(), port) => None,
        Allow::Net { net, port: Some(_) } => Some(Allow::Net { net, port: None }),
        Allow::Name { name, port: Some(_) } => Some(Allow::Name { name, port: None }),
        Allow::Under {
            domain,
            port: Some(_),
        } => Some(Allow::Under { domain, port: None }),
        _ => None,
    };
    let is_needed = |rule: &&Allow| for_every_port(rule).is_none_or(|wider| !all.contains(&wider));
    all.iter().filter(is_needed).cloned().collect()
}

#[cfg(test)]
mod tests;
