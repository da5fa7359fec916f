//! Where the host differs from the plan, and what of others is in the way: what the helper saw, in words. Pure: it reads what
//! `nft` lists.

use std::collections::{BTreeMap, BTreeSet};

use banger_model::network::{Finding, bridge_name};

use crate::Audit;
use crate::filter::{Element, OWN, own as own_chain, own_rule, table};

/// Chains of the owner's tables, by family and name.
type Chains = BTreeMap<(String, String), String>;

const REBUILD: &str = "restart the helper, which restores the network plan: sudo banger system restart";

impl Audit {
    /// All that differs: the steps that are still to take, the filter as it is listed and as it was loaded, and what of others is
    /// in the way.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.steps.iter().map(|todo| step(todo)).collect();
        if let Some(listing) = &self.listing {
            findings.extend(filter(self.owner, listing, &self.loaded, &self.elements));
            findings.extend(obstacles(self.owner, listing));
        }
        findings.extend(self.unresolved.as_deref().map(unresolved));
        findings.extend(self.withdrawn.as_ref().map(withdrawn));
        findings
    }
}

/// A step that is still to take.
fn step(step: &str) -> Finding {
    Finding {
        problem: format!("the host differs from the network plan; missing step: {step}"),
        hint: REBUILD.to_owned(),
    }
}

/// The host's own resolver does not take what it is told.
fn unresolved(problem: &str) -> Finding {
    Finding {
        problem: format!("this host cannot resolve the names of VMs: {problem}"),
        hint: "configure the host's resolver by hand: docs/networking.md, \"On the host\"".to_owned(),
    }
}

/// The network has no addresses.
fn withdrawn((why, is_outside): &(String, bool)) -> Finding {
    let hint = match is_outside {
        true => "stop the VMs that use this network; on their next start they get addresses in the range",
        false => {
            "the network returns when the conflict is gone; or stop the VMs: on their next start they get other addresses"
        }
    };
    Finding {
        problem: format!("VMs have no network access, their network was withdrawn: {why}"),
        hint: hint.to_owned(),
    }
}

/// A set, map or chain of a listing.
struct Block<'a> {
    family: &'a str,
    table: &'a str,
    kind: &'a str,
    name: &'a str,
    body: String,
}

/// Divides a listing of `nft` by its indentation, which is a tab for a block in a table.
fn blocks(listing: &str) -> Vec<Block<'_>> {
    let (mut all, mut family, mut within) = (Vec::new(), "", "");
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (
            line.bytes().take_while(|byte| *byte == b'\t').count(),
            words.as_slice(),
        ) {
            (0, ["table", its_family, name, "{"]) => (family, within) = (its_family, name),
            // Also an object of another kind, such as `ct timeout NAME`: what follows is its own.
            (1, [kind, .., name, "{"]) => all.push(Block {
                family,
                table: within,
                kind,
                name,
                body: String::new(),
            }),
            (2.., _) => {
                if let Some(Block { body, .. }) = all.last_mut() {
                    body.push_str(line.trim());
                    body.push('\n');
                }
            }
            _ => {}
        }
    }
    all
}

fn chains(owner: u32, listing: &str) -> Chains {
    let own = table(owner);
    let chains = blocks(listing)
        .into_iter()
        .filter(|block| block.table == own && block.kind == "chain");
    chains
        .map(|block| ((block.family.to_owned(), block.name.to_owned()), block.body))
        .collect()
}

/// Where the filter differs from what was loaded, and its sets from the plan.
fn filter(owner: u32, listing: &str, loaded: &str, planned: &BTreeSet<Element>) -> Vec<Finding> {
    let finding = |problem| Finding {
        problem,
        hint: REBUILD.to_owned(),
    };
    let own = table(owner);
    let now = chains(owner, listing);
    if now.is_empty() {
        return vec![finding(format!(
            "the packet filter has no table {own}: VMs are not attached to anything"
        ))];
    }
    let mut findings = Vec::new();
    // Those that are a VM's own may be others by now.
    let mut wanted = chains(owner, loaded);
    wanted.retain(|(_, name), _| !name.starts_with(OWN));
    let of_vms = planned.iter().filter_map(own_chain);
    wanted.extend(of_vms.map(|name| (("inet".to_owned(), name.to_owned()), own_rule(name) + "\n")));
    if wanted != now {
        findings.push(finding(format!(
            "the chains of table {own} are not those that were loaded"
        )));
    }
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for element in planned {
        wanted
            .entry(element.set.clone())
            .or_default()
            .insert(element.text());
    }
    for block in blocks(listing)
        .iter()
        .filter(|block| block.table == own && matches!(block.kind, "set" | "map"))
    {
        // What lives for a while, and what all VMs share.
        let others = [
            "answer",
            "budget",
            "refused",
            "doh",
            "resolver_ports",
            "https_port",
            "opened",
        ];
        if others.iter().any(|other| block.name.starts_with(other)) {
            continue;
        }
        let wanted = wanted.remove(block.name).unwrap_or_default();
        let listed = elements(&block.body);
        if wanted != listed {
            let (less, more) = (
                wanted.difference(&listed).count(),
                listed.difference(&wanted).count(),
            );
            findings.push(finding(format!(
                "{} of table {own} lacks {less} elements, and has {more} too many",
                block.name
            )));
        }
    }
    findings.extend(
        wanted
            .keys()
            .map(|set| finding(format!("table {own} has no {set}"))),
    );
    findings
}

fn elements(body: &str) -> BTreeSet<String> {
    let list = body
        .split_once("elements = {")
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or("", |(list, _)| list);
    list.split(',')
        .map(|element| element.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|e| !e.is_empty())
        .collect()
}

/// Tables of others that drop what is forwarded: what one table accepts another still drops.
fn obstacles(owner: u32, listing: &str) -> Vec<Finding> {
    let bridge = bridge_name(owner);
    let own = table(owner);
    let all = blocks(listing);
    let drops = |block: &&Block<'_>| {
        let forwards = block
            .body
            .lines()
            .any(|line| line.contains("hook forward") && line.contains("policy drop"));
        forwards && block.table != own && block.family != "bridge"
    };
    let docker = all.iter().any(|block| block.name == "DOCKER-USER");
    let mut findings: Vec<Finding> = all
        .iter()
        .filter(drops)
        .map(|block| {
            let (family, table, chain) = (block.family, block.table, block.name);
            let program = if family == "ip6" { "ip6tables" } else { "iptables" };
            let hint = match (family, table) {
                ("ip" | "ip6", "filter") => {
                    let at = if docker { "DOCKER-USER" } else { "FORWARD" };
                    format!("{program} -I {at} -i {bridge} -j ACCEPT; {program} -I {at} -o {bridge} -j ACCEPT")
                }
                _ => format!("let that chain accept traffic from and to {bridge}"),
            };
            Finding {
                problem: format!(
                    "chain {chain} of table {family} {table} drops unknown traffic, so VMs may have no network access"
                ),
                hint,
            }
        })
        .collect();
    if all.iter().any(|block| block.table == "firewalld") {
        findings.push(Finding {
            problem: format!("firewalld rejects traffic from interfaces without a zone, such as {bridge}"),
            hint: format!(
                "firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload"
            ),
        });
    }
    findings
}
