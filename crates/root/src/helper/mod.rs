//! The verbs: each checks its limits, records, changes the host, and on failure puts back what was.

mod addresses;
mod answers;
mod around;
mod budget;
mod dns;
mod members;
mod refusal;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Instant;

use banger_model::network::{MAX_POOL, Network, Slot, spare_tap_name};
use banger_netplan::{Answers, Audit, Conflict, Plan, filter};

use crate::converge::{self, Site};
use crate::host::{Observed, Step};
use crate::kernel::resolved::Resolved;
use crate::kernel::{Host, HostError};
use crate::plan::{NETWORK, REFUSED, Store, member_name};
use crate::wire::{DnsSocket, Reply, Status, Verb};

pub use addresses::Addresses;
use budget::Rate;
use refusal::Left;
pub use refusal::{Refusal, chain};

/// The helper: a plan, and the host that it is kept true on.
pub struct Helper {
    owner: u32,
    host: Box<dyn Host>,
    store: Store,
    /// What shall be. Where this is, what is around the host and the group of the log are set before it serves.
    pub(crate) plan: Plan,
    addresses: Addresses,
    known: Known,
    /// The host's own resolver.
    pub(crate) resolved: Resolved,
    confinement: Vec<String>,
}

/// What is known of the host for as long as this runs.
#[derive(Default)]
struct Known {
    /// TAPs that wait.
    spares: Vec<String>,
    answers: BTreeMap<Slot, Answers>,
    dns: Vec<(DnsSocket, OwnedFd)>,
    /// The filter as the kernel lists it when it has just been loaded.
    loaded: String,
    /// How fast answers come.
    rate: Rate,
}

impl Helper {
    /// The helper of one owner with the plan that `store` holds. The host is not changed yet.
    ///
    /// # Errors
    /// The plan cannot be read.
    pub fn open(
        owner: u32,
        store: Store,
        addresses: Addresses,
        host: Box<dyn Host>,
        confinement: Vec<String>,
    ) -> Result<Self, HostError> {
        let plan = store.load()?;
        Ok(Self {
            owner,
            host,
            store,
            plan,
            addresses,
            known: Known::default(),
            resolved: Resolved::default(),
            confinement,
        })
    }

    /// Does a verb. [`Verb::Flows`] and [`Verb::DnsSockets`] are the server's, and only checked here.
    pub fn handle(&mut self, verb: Verb) -> Reply {
        let done = match verb {
            Verb::Status => Ok(Reply::Status(self.status())),
            Verb::Range => self.range().map(Reply::Range),
            Verb::Prepare(network) => self.alone(|own| own.prepare(network)).map(|()| Reply::Done),
            Verb::Attach(attach) => self.attach(attach).map(Reply::Attached),
            Verb::Detach { slot } => self.detach(slot).map(|()| Reply::Done),
            Verb::Policy { slot, rules } => self.policy(slot, rules).map(|()| Reply::Done),
            Verb::Answers { slot, answers } => self.answer(slot, &answers).map(|()| Reply::Done),
            Verb::Refuse(blocks) => self.refuse(blocks).map(|()| Reply::Done),
            Verb::DnsSockets => self.dns().map(kinds),
            Verb::Flows => self.network().map(|_| Reply::Done),
            Verb::Audit => self.audit().map(Reply::Audit),
            // Who repairs wants to see at once whether it stays so.
            Verb::Rebuild => self
                .alone(|own| own.rebuild().and_then(|()| own.refill()))
                .map(|_| Reply::Done),
            Verb::Teardown => self.teardown().map(|()| Reply::Done),
        };
        done.unwrap_or_else(Reply::from)
    }

    /// The network that is prepared.
    ///
    /// # Errors
    /// None is.
    pub fn network(&self) -> Result<&Network, Refusal> {
        self.plan.network().ok_or(Refusal::NoNetwork)
    }

    fn status(&self) -> Status {
        let members = self.plan.members.iter();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            owner: self.owner,
            network: self.plan.network().cloned(),
            attached: members.map(|(&slot, member)| (slot, member.rules.mode)).collect(),
            warm: self.known.spares.len(),
            range: self.addresses.room,
            withdrawn: self.plan.withdrawn.as_ref().map(Conflict::to_string),
            confinement: self.confinement.clone(),
        }
    }

    fn settings_before(&self) -> BTreeMap<String, String> {
        let prepared = self.plan.prepared.as_ref();
        prepared.map(|old| old.before.clone()).unwrap_or_default()
    }

    /// The host as it was looked at, to be changed.
    fn site(&self, observed: Observed) -> Site<'_> {
        Site {
            owner: self.owner,
            host: &*self.host,
            observed,
        }
    }

    /// Makes the host what the plan says.
    ///
    /// # Errors
    /// The host refuses a step; those before it are taken.
    pub fn rebuild(&mut self) -> Result<(), Refusal> {
        self.look_again()?;
        let steps = self.steps()?;
        steps.iter().try_for_each(|step| self.host.apply(step))?;
        self.known.spares = self.site(self.host.observe()?).spares();
        self.learn_chains();
        self.tell_resolved();
        Ok(())
    }

    /// Learns how the kernel lists the filter that it has just loaded, to see later whether someone changed it. Where that fails,
    /// an audit takes the chains for others than those that were loaded, until a rebuild has learned them.
    fn learn_chains(&mut self) {
        if self.plan.prepared.is_some() {
            self.known.loaded = self.host.filter(self.owner).unwrap_or_default();
        }
    }

    /// Lets the host's resolver ask the gateway for names of VMs. It forgets that with the bridge.
    fn tell_resolved(&self) {
        let is_there = !self.plan.apart && self.plan.withdrawn.is_none();
        if let Some(network) = self.plan.network().filter(|_| is_there) {
            self.resolved.tell(network);
        }
    }

    fn steps(&self) -> Result<Vec<Step>, HostError> {
        let site = self.site(self.host.observe()?);
        Ok(site.steps(&self.plan, self.whole_filter()))
    }

    /// The packet filter of the plan, and the answers that still live.
    fn whole_filter(&self) -> String {
        let now = Instant::now();
        let answers = |slot| self.known.answers.get(&slot).map(|answers| answers.alive(now));
        filter::whole(self.owner, &self.plan, |slot| answers(slot).unwrap_or_default())
    }

    /// What there is beside the plan; what that means, who asks says.
    fn audit(&self) -> Result<Audit, Refusal> {
        if self.plan.prepared.is_none() {
            return Ok(Audit::default());
        }
        // These two are said whether they are so or not.
        let stated = |step: &&Step| matches!(step, Step::Filter { .. } | Step::Neighbour(..));
        let (steps, withdrawn) = (self.steps()?, self.plan.withdrawn.as_ref());
        let steps = steps.iter().filter(|step| !stated(step));
        Ok(Audit {
            owner: self.owner,
            steps: steps.map(Step::to_string).collect(),
            elements: filter::all_elements(self.owner, &self.plan),
            loaded: self.known.loaded.clone(),
            listing: Some(self.host.filter(self.owner)?),
            unresolved: self.resolved.problem(),
            withdrawn: withdrawn.map(|why| (why.to_string(), matches!(why, Conflict::Outside(..)))),
        })
    }

    /// Removes everything, and puts settings back.
    ///
    /// # Errors
    /// Something stays; what could be removed is gone.
    pub fn teardown(&mut self) -> Result<(), Refusal> {
        let site = self.site(self.host.observe()?);
        let mut left = Left::default();
        for step in site.teardown(&self.settings_before()) {
            left.note(self.host.apply(&step));
        }
        left.done("not everything could be removed")?;
        for slot in std::mem::take(&mut self.plan.members).into_keys() {
            self.store.forget(&member_name(slot))?;
        }
        [NETWORK, REFUSED]
            .iter()
            .try_for_each(|name| self.store.forget(name))?;
        (self.plan.prepared, self.plan.withdrawn) = (None, None);
        self.known = Known::default();
        Ok(())
    }

    /// What nobody waits for: lets one more TAP wait. Says whether there is more to do.
    ///
    /// # Errors
    /// The host refuses; nothing of the TAP stays.
    pub fn refill(&mut self) -> Result<bool, Refusal> {
        let Some(&Network { pool, mtu, .. }) = self.plan.network() else {
            return Ok(false);
        };
        let mut names = (0..=MAX_POOL).map(|number| spare_tap_name(self.owner, number.into()));
        let free = names.find(|name| !self.known.spares.contains(name));
        let Some(name) = free.filter(|_| self.known.spares.len() < pool.into()) else {
            return Ok(false);
        };
        let steps = converge::waiting_tap(self.owner, name.clone(), mtu);
        if let Err(cause) = steps.iter().try_for_each(|step| self.host.apply(step)) {
            let mut left = Left::default();
            left.note(self.host.apply(&Step::NoLink(name)));
            return Err(left.after(cause.into()));
        }
        self.known.spares.push(name);
        Ok(self.known.spares.len() < pool.into())
    }
}

fn kinds(sockets: &[(DnsSocket, OwnedFd)]) -> Reply {
    Reply::Sockets(sockets.iter().map(|(kind, _)| *kind).collect())
}
