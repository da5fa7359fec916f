//! A server with VMs that do not exist, and what it told of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banger_dns::{
    Answer, Asked, Asker, Config, Guest, Limits, Listening, Oracle, Server, Sockets, Upstreams, Verdict,
};
use banger_model::VmName;
use banger_model::network::{NetMode, Policy, Refused, Slot, Surroundings};

use crate::upstream::FakeUpstream;

pub(crate) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The address that the VM of a slot asks from.
pub(crate) const fn guest(slot: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, slot)
}

/// Who knows the VMs of a test: `vm1`, `vm2`, … by their slots.
#[derive(Debug, Default)]
pub(crate) struct Vms {
    policies: BTreeMap<u8, Arc<Policy>>,
    pub(crate) learned: Mutex<Vec<(Slot, Answer)>>,
    pub(crate) asked: Mutex<Vec<(Slot, Asked)>>,
    pub(crate) filter_fails: AtomicBool,
}

impl Oracle for Vms {
    type Error = io::Error;

    fn vm(&self, name: &VmName) -> Option<Vec<IpAddr>> {
        let slot: u8 = name.as_str().strip_prefix("vm")?.parse().ok()?;
        let addresses = [
            IpAddr::from([172, 16, 0, slot]),
            format!("fd00::{slot}").parse().ok()?,
        ];
        self.policies.contains_key(&slot).then(|| addresses.to_vec())
    }

    fn reverse(&self, address: IpAddr) -> Option<VmName> {
        let slots = self.policies.keys().map(|slot| name(*slot));
        slots
            .into_iter()
            .find(|vm| self.vm(vm).is_some_and(|all| all.contains(&address)))
    }

    fn asker(&self, source: IpAddr) -> Option<Asker> {
        let IpAddr::V4(source) = source else {
            return source.is_loopback().then_some(Asker::Host);
        };
        match source.octets() {
            [127, 0, 0, 1] => Some(Asker::Host),
            [127, 0, 1, slot] => Some(Asker::Guest(Guest {
                slot: Slot(slot.into()),
                name: name(slot),
                policy: Arc::clone(self.policies.get(&slot)?),
            })),
            _ => None,
        }
    }

    fn refused(&self) -> Arc<Refused> {
        let around = Surroundings {
            own: ["203.0.113.250".parse().unwrap()].into(),
            connected: ["203.0.113.240/28".parse().unwrap()].into(),
            embedded: ["2a00:64::a00:0/104".parse().unwrap()].into(),
        };
        Arc::new(around.refused())
    }

    async fn learned(&self, slot: Slot, answers: Vec<Answer>) -> io::Result<()> {
        // As the packet filter does, it takes a moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.filter_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("no packet filter"));
        }
        let answers = answers.into_iter().map(|answer| (slot, answer));
        self.learned.lock().unwrap().extend(answers);
        Ok(())
    }

    fn asked(&self, slot: Slot, asked: Asked) {
        self.asked.lock().unwrap().push((slot, asked));
    }
}

fn name(slot: u8) -> VmName {
    format!("vm{slot}").parse().unwrap()
}

/// A server, its VMs and its upstream.
pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) vms: Arc<Vms>,
    pub(crate) upstream: FakeUpstream,
    config: Config,
    _listening: Listening,
}

impl World {
    /// With VMs of these modes and rules, in slots from 1 on.
    pub(crate) async fn new(policies: &[(NetMode, &[&str])]) -> Self {
        Self::with(policies, Limits::default(), &[]).await
    }

    /// The same with bounds, and upstreams to ask before the one that answers.
    pub(crate) async fn with(policies: &[(NetMode, &[&str])], limits: Limits, first: &[SocketAddr]) -> Self {
        let policy = |&(mode, allow): &(NetMode, &[&str])| {
            let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
            Arc::new(Policy { mode, allow })
        };
        let vms = Arc::new(Vms {
            policies: (1..).zip(policies.iter().map(policy)).collect(),
            ..Vms::default()
        });
        let upstream = FakeUpstream::start().await;
        let config = Config {
            upstreams: Upstreams::These([first, &[upstream.address]].concat()),
            limits,
        };
        let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let server = sockets.addresses()[0];
        let listening = Server::new(config.clone(), Arc::clone(&vms))
            .listen(sockets)
            .unwrap();
        Self {
            server,
            vms,
            upstream,
            config,
            _listening: listening,
        }
    }

    /// Another server for the same VMs.
    pub(crate) fn another(&self) -> Server<Vms> {
        Server::new(self.config.clone(), Arc::clone(&self.vms))
    }

    /// What came of a VM's last question.
    pub(crate) fn last_verdict(&self) -> Verdict {
        self.vms
            .asked
            .lock()
            .unwrap()
            .last()
            .expect("a question")
            .1
            .verdict
            .clone()
    }

    /// What the packet filter was told, as text.
    pub(crate) fn learned(&self) -> Vec<String> {
        let text = |(slot, answer): &(Slot, Answer)| {
            let port = answer.port.map_or_else(String::new, |port| format!(":{port}"));
            format!("{slot} {}{port} {}s", answer.address, answer.ttl)
        };
        self.vms.learned.lock().unwrap().iter().map(text).collect()
    }
}
