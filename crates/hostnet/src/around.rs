//! What is around this host: its own addresses and neighbours, and by what its network leads to IPv4 where that is not by the
//! public prefix (`translator.rs` of the model). No name leads a VM there, and the packet filter refuses the same: of the first its
//! helper sees it itself, of the second this tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use banger_dns::{Upstreams, addresses_v6};
use banger_model::chain;
use banger_model::network::{Cidr, Surroundings};
use banger_netplan::daemon::{IPV4_ONLY, Translator, refused_by, translators};
use banger_root::kernel::Watch;
use tokio::sync::Notify;

use crate::helper::Helper;
use crate::names::Names;
use crate::router::{Announced, Routers};

/// The most prefixes that routers may announce; a network has one.
const MOST: usize = 8;
/// How long is waited before resolvers are asked, which may come with the network a moment later, and again where none answers.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_secs(2),
    Duration::from_secs(10),
];
/// How long after that they are not asked again, however much changes.
const REST: Duration = Duration::from_secs(2);

/// What is around the host, as far as it is known.
#[derive(Debug)]
pub(crate) struct Around {
    names: Arc<Names>,
    helper: Arc<Helper>,
    state: Mutex<State>,
    /// What the packet filter was told, by which connection to its helper.
    told: Mutex<Option<(u64, BTreeSet<Cidr>)>>,
    /// Told when resolvers may have something else to say.
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    host: Surroundings,
    /// Who is asked for names, once there is a network.
    upstreams: Option<Upstreams>,
    /// By what resolvers lead to IPv4.
    asked: BTreeSet<Translator>,
    /// By what routers do, and how long that holds.
    announced: BTreeMap<Translator, Instant>,
    /// What is refused by these.
    embedded: BTreeSet<Cidr>,
}

impl Around {
    pub(crate) fn new(names: Arc<Names>, helper: Arc<Helper>) -> Self {
        Self {
            names,
            helper,
            state: Mutex::default(),
            told: Mutex::default(),
            moved: Notify::new(),
        }
    }

    /// Looks around, and again whenever the host's network changes, for as long as the process lives. A network of this user's own
    /// leads out again then where it did not, or not as this host does by now. Call it in the runtime, once.
    pub(crate) fn follow(self: &Arc<Self>) {
        let first = || -> io::Result<Watch> {
            let watch = Watch::open()?;
            let host = watch.look()?;
            self.change(|state| state.host = host);
            Ok(watch)
        };
        let watch = match first() {
            Ok(watch) => watch,
            Err(error) => return cannot(&error),
        };
        let own = Arc::clone(self);
        std::thread::spawn(move || {
            let ended = watch.follow(|host| {
                own.change(|state| state.host = host);
                own.tell();
                own.helper.rootless().keep_open();
                own.moved.notify_one();
            });
            ended.unwrap_or_else(|error| cannot(&error));
        });
        let own = Arc::clone(self);
        std::thread::spawn(move || {
            let ended = Routers::open().and_then(|routers| {
                routers.follow(|announced| {
                    own.change(|state| state.hear(&announced, Instant::now()));
                    own.tell();
                })
            });
            if let Err(error) = ended {
                tracing::warn!(%error, "failed to watch router advertisements");
            }
        });
        tokio::spawn(Arc::clone(self).ask());
    }

    /// These are asked for names from now on.
    pub(crate) fn resolve_by(&self, upstreams: &Upstreams) {
        let mut state = self.state();
        if state.upstreams.as_ref() != Some(upstreams) {
            state.upstreams = Some(upstreams.clone());
            self.moved.notify_one();
        }
    }

    /// Lets the packet filter refuse what is known by now, if its helper is there and does not know it.
    pub(crate) fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let embedded = self.state().embedded.clone();
        let is_known = |(connection, known): &(u64, BTreeSet<Cidr>)| {
            *connection == self.helper.connections() && *known == embedded
        };
        if told.as_ref().map_or(embedded.is_empty(), is_known) {
            return;
        }
        let refused = self
            .helper
            .call_if_there("refuse what the network leads to", |client| {
                client.refuse(embedded.clone())
            });
        match refused {
            Some(Ok(())) => *told = Some((self.helper.connections(), embedded)),
            Some(Err(error)) => {
                tracing::error!(error = %chain(&error), "VMs may reach refused addresses by this network's NAT64");
            }
            // It is told with the next VM.
            None => {}
        }
    }

    /// Something is known; no name leads to what is refused by that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let now = Instant::now();
        state.announced.retain(|_, end| *end > now);
        let all = state.asked.iter().chain(state.announced.keys());
        let all: BTreeSet<Translator> = all.copied().collect();
        let embedded = refused_by(&all, &state.host);
        if embedded != state.embedded {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            tracing::info!(
                prefixes = all.join(", "),
                "this network reaches IPv4 through NAT64"
            );
            state.embedded = embedded;
        }
        let around = Surroundings {
            embedded: state.embedded.clone(),
            ..state.host.clone()
        };
        self.names.refuse(around.refused());
    }

    /// Asks resolvers by what they lead to IPv4 (RFC 7050), whenever they may have something else to say.
    async fn ask(self: Arc<Self>) {
        loop {
            self.moved.notified().await;
            for pause in PAUSES {
                tokio::time::sleep(pause).await;
                if self.ask_all().await {
                    break;
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Asks those of the configuration and of the host; says whether all of them answered.
    async fn ask_all(self: &Arc<Self>) -> bool {
        let Some(own) = self.state().upstreams.clone() else {
            // Nobody asks for names.
            return true;
        };
        let (mut found, mut complete) = (BTreeSet::new(), true);
        let hosts = Some(Upstreams::default()).filter(|hosts| *hosts != own);
        for upstreams in [own].iter().chain(&hosts) {
            match addresses_v6(IPV4_ONLY, upstreams).await {
                Some(addresses) => found.extend(translators(addresses)),
                None => complete = false,
            }
        }
        if !complete {
            found.extend(&self.state().asked);
        }
        if found != self.state().asked {
            let own = Arc::clone(self);
            let telling = tokio::task::spawn_blocking(move || {
                own.change(|state| state.asked = found);
                own.tell();
            });
            if let Err(error) = telling.await {
                tracing::error!(%error, "updating the packet filter for NAT64 panicked");
            }
        }
        complete
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A router announces a prefix, or that it is none any more.
    fn hear(&mut self, announced: &Announced, now: Instant) {
        let Announced { translator, lifetime } = *announced;
        self.announced.remove(&translator);
        if !lifetime.is_zero() {
            self.announced.insert(translator, now + lifetime);
        }
        // Whoever announces many has the shortest forgotten.
        while self.announced.len() > MOST {
            let shortest = self.announced.iter().min_by_key(|(_, end)| **end);
            let Some(shortest) = shortest.map(|(translator, _)| *translator) else {
                return;
            };
            self.announced.remove(&shortest);
        }
    }
}

/// The packet filter still refuses what a name leads to.
fn cannot(error: &io::Error) {
    tracing::error!(%error, "failed to watch the host's network; names may resolve to its neighbours");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(number: u16, seconds: u64) -> Announced {
        let address = format!("2001:db8:{number:x}::").parse().unwrap();
        Announced {
            translator: Translator::new(address, 96).unwrap(),
            lifetime: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn routers_announce_a_bounded_number_of_prefixes_and_take_them_back() {
        let (mut state, now) = (State::default(), Instant::now());
        state.hear(&announced(1, 1800), now);
        state.hear(&announced(1, 0), now);
        assert!(state.announced.is_empty());
        for number in 0..1000 {
            state.hear(&announced(number, 1000 + u64::from(number)), now);
        }
        assert_eq!(state.announced.len(), MOST);
        assert!(state.announced.contains_key(&announced(999, 0).translator));
        banger_cases::refused("budget", "routers.prefixes-without-end");
    }
}
