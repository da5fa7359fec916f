//! The verbs: each checks its limits, records, changes the host, and on failure puts back what was.

mod answers;
mod dns;
mod members;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use banger_model::network::audit::{self, Chains};
use banger_model::network::{
    Cidr, Finding, Network, Plan, Prepared, Slot, Step, bridge_name, converge, filter, resolved,
    spare_tap_name,
};

use crate::kernel::resolved::Resolved;
use crate::kernel::{Host, HostError};
use crate::plan::{Store, StoreError};
use crate::wire::{Failure, Reply, Status, Verb};

use answers::Answers;
pub use dns::DnsSockets;
pub use refusal::Refusal;
pub(crate) use refusal::chain;

/// The helper: a plan, and the host that it is kept true on.
pub struct Helper {
    owner: u32,
    host: Box<dyn Host>,
    store: Store,
    plan: Plan,
    /// TAPs that wait, as far as is known.
    spares: Vec<String>,
    answers: BTreeMap<Slot, Answers>,
    dns: Option<DnsSockets>,
    /// The host's own resolver.
    resolved: Resolved,
    /// The chains as the kernel listed them when they were loaded.
    chains: Option<Chains>,
    confinement: Vec<String>,
}

impl Helper {
    /// The helper of one owner with the plan that `state` holds. The host is not changed yet.
    ///
    /// # Errors
    /// The plan cannot be read.
    pub fn open(
        owner: u32,
        state: &Path,
        host: Box<dyn Host>,
        confinement: Vec<String>,
    ) -> Result<Self, StoreError> {
        let store = Store::new(state);
        let plan = store.load()?;
        Ok(Self {
            owner,
            host,
            store,
            plan,
            spares: Vec::new(),
            answers: BTreeMap::new(),
            dns: None,
            resolved: Resolved::default(),
            chains: None,
            confinement,
        })
    }

    /// Does a verb. [`Verb::Flows`] and [`Verb::DnsSockets`] are the server's, and only checked here.
    pub fn handle(&mut self, verb: Verb) -> Reply {
        let done = match verb {
            Verb::Status => Ok(Reply::Status(self.status())),
            Verb::Prepare(network) => self.prepare(network).map(|()| Reply::Done),
            Verb::Attach(attach) => self.attach(attach).map(Reply::Attached),
            Verb::Detach { slot } => self.detach(slot).map(|()| Reply::Done),
            Verb::Policy { slot, rules } => self.policy(slot, rules).map(|()| Reply::Done),
            Verb::Answers { slot, answers } => self.answer(slot, &answers).map(|()| Reply::Done),
            Verb::DnsSockets => self.dns().map(|sockets| Reply::Sockets(sockets.kinds())),
            Verb::Flows => self.network().map(|_| Reply::Done),
            Verb::Audit => self.audit().map(Reply::Findings),
            Verb::Rebuild => self.rebuild().map(|()| Reply::Done),
            Verb::Teardown => self.teardown().map(|()| Reply::Done),
        };
        done.unwrap_or_else(|refusal| Reply::Failed(Failure::from(&refusal)))
    }

    /// The network that is prepared.
    ///
    /// # Errors
    /// None is.
    pub fn network(&self) -> Result<&Network, Refusal> {
        self.plan
            .prepared
            .as_ref()
            .map(|prepared| &prepared.network)
            .ok_or(Refusal::NoNetwork)
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            owner: self.owner,
            network: self.network().ok().cloned(),
            attached: self
                .plan
                .members
                .iter()
                .map(|(&slot, member)| (slot, member.rules.mode))
                .collect(),
            warm: self.spares.len(),
            confinement: self.confinement.clone(),
        }
    }

    fn prepare(&mut self, network: Network) -> Result<(), Refusal> {
        if !(1280..=9216).contains(&network.mtu) {
            return Err(Refusal::Mtu(network.mtu));
        }
        if network.pool > 64 {
            return Err(Refusal::Pool(network.pool));
        }
        let moves = |old: &Prepared| (old.network.subnet, old.network.ula) != (network.subnet, network.ula);
        let moves = self.plan.prepared.as_ref().is_some_and(moves);
        if moves && !self.plan.members.is_empty() {
            return Err(Refusal::InUse);
        }
        let before = self.check_host(&network)?;
        if moves {
            self.dns = None;
        }
        let old = self.plan.prepared.clone();
        let new = Prepared { network, before };
        self.store.save_network(&new)?;
        self.plan.prepared = Some(new);
        let Err(cause) = self.rebuild() else {
            return Ok(());
        };
        let undone = match old {
            None => self.teardown(),
            Some(old) => {
                let saved = self.store.save_network(&old).map_err(Refusal::from);
                self.plan.prepared = Some(old);
                saved.and_then(|()| self.rebuild())
            }
        };
        Err(with_left(
            cause,
            undone.err().iter().map(|error| chain(error)).collect(),
        ))
    }

    /// That nobody else has these addresses; gives the settings as they were before banger came.
    fn check_host(&self, network: &Network) -> Result<BTreeMap<String, String>, Refusal> {
        let observed = self.host.observe()?;
        let own = observed.link(&bridge_name(self.owner)).map(|link| link.index);
        let blocks = [network.subnet.cidr(), network.ula.cidr()];
        let taken = |net: &Cidr| {
            blocks
                .iter()
                .find(|block| net.prefix() > 0 && block.overlaps(net))
                .copied()
        };
        let others = observed.routes.iter().filter(|route| Some(route.link) != own);
        if let Some((ours, theirs)) = others
            .filter_map(|route| Some((taken(&route.net)?, route.net)))
            .next()
        {
            return Err(Refusal::Overlap { ours, theirs });
        }
        let mut before = self
            .plan
            .prepared
            .as_ref()
            .map(|old| old.before.clone())
            .unwrap_or_default();
        for (key, _) in converge::host_settings(&observed, &|key| self.host.setting(key).ok().flatten()) {
            if let Some(value) = self.host.setting(&key)? {
                before.entry(key).or_insert(value);
            }
        }
        Ok(before)
    }

    /// Makes the host what the plan says.
    ///
    /// # Errors
    /// The host refuses a step; those before it are taken.
    pub fn rebuild(&mut self) -> Result<(), Refusal> {
        let steps = self.steps()?;
        for step in &steps {
            self.host.apply(step)?;
        }
        self.spares = converge::spares(self.owner, &self.host.observe()?);
        self.chains = match self.plan.prepared {
            Some(_) => Some(audit::chains(self.owner, &self.host.filter()?)),
            None => None,
        };
        self.tell_resolved();
        Ok(())
    }

    /// Lets the host's resolver ask the gateway for names of VMs. It forgets that with the bridge.
    fn tell_resolved(&self) {
        if let Ok(network) = self.network() {
            self.resolved.tell(resolved::join(self.owner, network));
        }
    }

    fn steps(&self) -> Result<Vec<Step>, HostError> {
        let observed = self.host.observe()?;
        let setting = |key: &str| self.host.setting(key).ok().flatten();
        Ok(converge::steps(
            self.owner,
            &self.plan,
            self.whole_filter(),
            &observed,
            &setting,
        ))
    }

    /// The packet filter of the plan, and the answers that still live.
    fn whole_filter(&self) -> String {
        let Ok(network) = self.network() else {
            return filter::no_tables(self.owner);
        };
        let all: BTreeSet<_> = self
            .plan
            .members
            .iter()
            .flat_map(|(&slot, member)| filter::elements(self.owner, network, slot, member))
            .collect();
        let mut script = filter::base(self.owner, network);
        script += &filter::change(self.owner, &BTreeSet::new(), &all);
        for (&slot, answers) in &self.answers {
            script += &filter::answers(self.owner, network, slot, &answers.alive());
        }
        script
    }

    fn audit(&self) -> Result<Vec<Finding>, Refusal> {
        let listing = self.host.filter()?;
        let stated = |step: &Step| matches!(step, Step::Filter { .. } | Step::Neighbour { .. });
        let mut findings = Vec::new();
        if let Ok(network) = self.network() {
            let steps = self.steps()?;
            findings.extend(steps.iter().filter(|step| !stated(step)).map(audit::step));
            let members = &self.plan.members;
            let all = members
                .iter()
                .flat_map(|(&slot, member)| filter::elements(self.owner, network, slot, member));
            findings.extend(audit::filter(self.owner, &listing, self.chains.as_ref(), all));
            findings.extend(audit::obstacles(self.owner, &listing));
            findings.extend(self.resolved.problem().map(audit::unresolved));
        }
        Ok(findings)
    }

    /// Removes everything, and puts settings back.
    ///
    /// # Errors
    /// Something stays; what could be removed is gone.
    pub fn teardown(&mut self) -> Result<(), Refusal> {
        let observed = self.host.observe()?;
        let before = self
            .plan
            .prepared
            .as_ref()
            .map(|old| old.before.clone())
            .unwrap_or_default();
        let setting = |key: &str| self.host.setting(key).ok().flatten();
        let mut left = Vec::new();
        for step in converge::teardown(self.owner, &before, &observed, &setting) {
            left.extend(self.host.apply(&step).err().map(|error| chain(&error)));
        }
        if !left.is_empty() {
            return Err(Refusal::Left {
                cause: "not everything could be removed".to_owned(),
                left,
            });
        }
        for slot in std::mem::take(&mut self.plan.members).into_keys() {
            self.store.forget_member(slot)?;
        }
        self.store.forget_network()?;
        self.plan.prepared = None;
        self.spares.clear();
        self.answers.clear();
        self.dns = None;
        self.chains = None;
        Ok(())
    }

    /// Lets one more TAP wait, if there are too few. Says whether there still are.
    ///
    /// # Errors
    /// The host refuses; nothing of the TAP stays.
    pub fn refill(&mut self) -> Result<bool, Refusal> {
        let Ok(network) = self.network() else {
            return Ok(false);
        };
        let (pool, mtu) = (usize::from(network.pool), network.mtu);
        if self.spares.len() >= pool {
            return Ok(false);
        }
        let free = |name: &String| !self.spares.contains(name);
        let Some(name) = (0..=64)
            .map(|number| spare_tap_name(self.owner, number))
            .find(free)
        else {
            return Ok(false);
        };
        let bridge = bridge_name(self.owner);
        let made = self
            .host
            .apply(&Step::Tap {
                name: name.clone(),
                owner: self.owner,
            })
            .and_then(|()| {
                self.host.apply(&Step::Port {
                    tap: name.clone(),
                    bridge,
                    mtu,
                })
            });
        if let Err(error) = made {
            let undone = self.host.apply(&Step::NoLink { name });
            return Err(with_left(
                error.into(),
                undone.err().iter().map(|error| chain(error)).collect(),
            ));
        }
        self.spares.push(name);
        Ok(self.spares.len() < pool)
    }
}

/// The error that says what stays, if anything does.
fn with_left(cause: Refusal, left: Vec<String>) -> Refusal {
    if left.is_empty() {
        cause
    } else {
        Refusal::Left {
            cause: chain(&cause),
            left,
        }
    }
}
