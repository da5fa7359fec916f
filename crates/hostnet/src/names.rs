//! Names of VMs and for VMs: what the resolver asks of this daemon.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use banger_dns::{Answer, Asked, Asker, Guest, Known, Listening, Oracle, Server, Sockets, Verdict};
use banger_model::network::{Network as Addresses, Refused, Slot, refused};
use banger_model::{VmName, VmSpec, chain};
use tokio::runtime::Handle;

use crate::egress::Egress;
use crate::error::Error;
use crate::helper::Helper;
use crate::settings::Resolver;
use crate::telling::Telling;
use crate::way::Way;

/// Who is attached, by slot, in a network with these addresses.
#[derive(Debug, Default)]
struct Members {
    addresses: Option<Addresses>,
    guests: BTreeMap<Slot, Guest>,
}

/// What the resolver is told.
#[derive(Debug)]
pub(crate) struct Names {
    helper: Arc<Helper>,
    egress: Arc<Egress>,
    members: RwLock<Members>,
    /// What is refused to every VM on this host.
    refused: RwLock<Arc<Refused>>,
    /// Which answers the packet filter has, and of which connection to the helper: a new helper knows none.
    known: Mutex<(Known, u64)>,
    /// Answers that the packet filter is to have.
    telling: Telling,
}

/// The resolver at work.
pub(crate) struct Serving {
    /// Whose sockets they are.
    network: (Way, u64),
    gateways: Vec<IpAddr>,
    settings: Resolver,
    /// Bound for as long as they are wanted, also while another server takes over.
    loopback: Option<Sockets>,
    _server: Server<Names>,
    listening: Vec<Listening>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving")
            .field("gateways", &self.gateways)
            .finish_non_exhaustive()
    }
}

impl Names {
    pub(crate) fn new(helper: Arc<Helper>, egress: Arc<Egress>) -> Self {
        Self {
            helper,
            egress,
            members: RwLock::default(),
            refused: RwLock::new(Arc::new(refused().clone())),
            known: Mutex::default(),
            telling: Telling::default(),
        }
    }

    /// A VM is attached, or has other rules.
    pub(crate) fn set(&self, slot: Slot, spec: &VmSpec) {
        let guest = Guest {
            slot,
            name: spec.name.clone(),
            policy: Arc::new(spec.net.clone()),
        };
        self.egress.set(slot, spec);
        self.change(|members| drop(members.guests.insert(slot, guest)));
        self.known().forget(slot);
    }

    /// What no name leads to from now on.
    pub(crate) fn refuse(&self, refused: Refused) {
        *self.refused.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(refused);
    }

    /// What the packet filter has of a VM's answers.
    pub(crate) fn alive(&self, slot: Slot) -> Vec<Answer> {
        self.known().alive(slot, Instant::now())
    }

    /// Whether a VM is attached there.
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.members(|members| members.guests.contains_key(&slot))
    }

    /// Whether any VM is attached.
    pub(crate) fn any(&self) -> bool {
        self.members(|members| !members.guests.is_empty())
    }

    /// A VM is detached.
    pub(crate) fn remove(&self, slot: Slot) {
        self.change(|members| drop(members.guests.remove(&slot)));
        self.known().forget(slot);
        self.telling.forget(slot);
    }

    /// The network that VMs have, once it is known.
    pub(crate) fn addresses(&self) -> Option<Addresses> {
        self.members(|members| members.addresses.clone())
    }

    /// Answers at the gateway of `addresses` and at the host's loopback address, if it does not already.
    pub(crate) fn serve(
        self: &Arc<Self>,
        addresses: &Addresses,
        settings: Resolver,
        serving: &mut Option<Serving>,
    ) -> Result<(), Error> {
        self.change(|members| members.addresses = Some(addresses.clone()));
        self.helper.stirred(self.helper.way()).notify_one();
        let gateways = addresses.gateways().to_vec();
        let network = self.helper.network();
        if serving.as_ref().is_some_and(|serving| {
            serving.network == network && serving.gateways == gateways && serving.settings == settings
        }) {
            return Ok(());
        }
        // Their sockets go first: the new ones may be for the same addresses.
        let before = serving.take();
        let loopback = before.and_then(|before| {
            let runtime = Handle::current();
            for listening in before.listening {
                // This is a thread of blocking work.
                runtime.block_on(listening.close());
            }
            before
                .loopback
                .filter(|_| before.settings.listen == settings.listen)
        });
        let passed = self
            .helper
            .call("open the resolver's sockets", |client| client.dns_sockets())?;
        let mut sockets = Sockets::default();
        for (kind, socket) in passed {
            match kind.tcp {
                true => sockets.tcp.push(socket.into()),
                false => sockets.udp.push(socket.into()),
            }
        }
        let config = banger_dns::Config {
            upstreams: settings.upstreams.clone(),
            ..banger_dns::Config::default()
        };
        let server = Server::new(config, Arc::clone(self));
        let mut listening = vec![server.listen(sockets).map_err(Error::Resolver)?];
        let loopback = loopback.or_else(|| bind(settings.listen?));
        if let Some(sockets) = &loopback {
            let clones = sockets.try_clone().map_err(Error::Resolver)?;
            listening.push(server.listen(clones).map_err(Error::Resolver)?);
        }
        *serving = Some(Serving {
            network,
            gateways,
            settings,
            loopback,
            _server: server,
            listening,
        });
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Members)) {
        change(&mut self.members.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn known(&self) -> impl std::ops::DerefMut<Target = Known> + '_ {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = self.helper.connections();
        if known.1 != connection {
            known.0.forget_all();
            known.1 = connection;
        }
        OfConnection(known)
    }

    fn members<T>(&self, look: impl FnOnce(&Members) -> T) -> T {
        look(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer as the helper takes it.
pub(crate) fn on_the_wire(answer: &Answer) -> banger_netplan::Answer {
    banger_netplan::Answer {
        address: answer.address,
        port: answer.port,
        ttl: answer.ttl,
    }
}

/// Sockets for the host's own programs. That another program has the port is no failure: VMs need it not, and `doctor` says it.
fn bind(address: SocketAddr) -> Option<Sockets> {
    Sockets::bind(address)
        .inspect_err(|error| tracing::warn!("cannot listen for DNS queries of the host: {}", chain(error)))
        .ok()
}

struct OfConnection<'a>(MutexGuard<'a, (Known, u64)>);

impl std::ops::Deref for OfConnection<'_> {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0.0
    }
}

impl std::ops::DerefMut for OfConnection<'_> {
    fn deref_mut(&mut self) -> &mut Known {
        &mut self.0.0
    }
}

impl Members {
    fn guest(&self, address: IpAddr) -> Option<&Guest> {
        self.guests.get(&self.addresses.as_ref()?.slot(address)?)
    }
}

impl Oracle for Names {
    type Error = Error;

    fn vm(&self, name: &VmName) -> Option<Vec<IpAddr>> {
        self.members(|members| {
            let guest = members.guests.values().find(|guest| guest.name == *name)?;
            Some(members.addresses.as_ref()?.addresses(guest.slot).collect())
        })
    }

    fn reverse(&self, address: IpAddr) -> Option<VmName> {
        self.members(|members| members.guest(address).map(|guest| guest.name.clone()))
    }

    fn asker(&self, source: IpAddr) -> Option<Asker> {
        self.members(|members| {
            let addresses = members.addresses.as_ref()?;
            if source.is_loopback() || addresses.gateways().contains(&source) {
                return Some(Asker::Host);
            }
            members.guest(source).cloned().map(Asker::Guest)
        })
    }

    fn refused(&self) -> Arc<Refused> {
        Arc::clone(&self.refused.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn learned(&self, slot: Slot, answers: Vec<Answer>) -> Result<(), Error> {
        let now = Instant::now();
        let news = self.known().news(slot, &answers, now);
        if news.is_empty() {
            return Ok(());
        }
        let line = self.telling.line(slot);
        let turn = line.turn(&news).await;
        let now = Instant::now();
        let news = self.known().news(slot, &answers, now);
        if news.is_empty() {
            // Who was before told of these as well.
            turn.unused();
            return Ok(());
        }
        let news = turn.batch(news);
        let told: Vec<_> = news.iter().map(on_the_wire).collect();
        let helper = Arc::clone(&self.helper);
        let telling = tokio::task::spawn_blocking(move || {
            helper.call("allow the addresses that a name resolved to", |client| {
                client.answers(slot, told.clone())
            })
        });
        telling.await.map_err(|_| Error::Panicked)??;
        self.known().keep(slot, &news, now);
        Ok(())
    }

    // A guest asks as often as it likes, so none of it goes to a log unless somebody looks for it.
    fn asked(&self, slot: Slot, asked: Asked) {
        self.egress.asked(slot, &asked);
        let Asked { name, kind, verdict } = asked;
        match verdict {
            Verdict::Refused(refusal) => {
                tracing::debug!(%slot, name, kind, why = refusal.as_str(), "a VM's question was refused");
            }
            Verdict::Failed(why) => {
                tracing::debug!(%slot, name, kind, why, "a VM's question was not answered")
            }
            Verdict::Answered { .. } => {}
        }
    }
}
