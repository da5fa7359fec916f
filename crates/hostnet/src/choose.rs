//! Who makes the network: the root helper, or this user in namespaces of their own; and why.

use banger_model::chain;
use banger_model::network::NetworkChoice;

use crate::error::Error;
use crate::names::Serving;
use crate::network::Network;
use crate::way::Way;

/// A way, and why it is not the root helper's when nobody asked for it.
pub(crate) type Chosen = (Way, Option<String>);

impl Network {
    /// Chooses for a VM, and sees to it that a helper answers. VMs of one daemon are in one network, so what those have that
    /// run holds for the next one too.
    ///
    /// `must` is whether the VM is to reach something. Without that, `auto` takes the root helper's network or none.
    pub(crate) fn choose(
        &self,
        choice: NetworkChoice,
        must: bool,
        serving: &mut Option<Serving>,
    ) -> Result<Chosen, Error> {
        let fixed = match choice {
            NetworkChoice::Off => return Err(off()),
            NetworkChoice::Helper => Some(Way::Helper),
            NetworkChoice::Rootless => Some(Way::Rootless),
            NetworkChoice::Auto => None,
        };
        if self.names.any() {
            let way = self.helper.way();
            if fixed.is_some_and(|fixed| fixed != way) {
                return Err(Error::Mixed { way });
            }
            if fixed.is_none() && way == Way::Rootless && !must {
                return Err(needless(
                    "the VM is configured without network access, and there is no root helper".to_owned(),
                ));
            }
            self.helper.ensure()?;
            let why = (fixed.is_none() && way == Way::Rootless).then(|| "as other running VMs".to_owned());
            return Ok((way, why));
        }
        match fixed {
            Some(way) => self.use_way(way, serving).map(|()| (way, None)),
            None => self.choose_freely(must, serving),
        }
    }

    fn choose_freely(&self, must: bool, serving: &mut Option<Serving>) -> Result<Chosen, Error> {
        let before = self.helper.way();
        let (why, mut hints) = match self.use_way(Way::Helper, serving) {
            Err(Error::None { reason, hints }) => (reason, hints),
            done => return done.map(|()| (Way::Helper, None)),
        };
        self.helper.take(before);
        if !must {
            return Err(needless(format!(
                "the VM is configured without network access, and {why}"
            )));
        }
        match self.use_way(Way::Rootless, serving) {
            Err(Error::None { reason, hints: more }) => {
                hints.extend(more);
                let reason = format!("{why}; and the rootless network is not available: {reason}");
                Err(Error::None { reason, hints })
            }
            done => done.map(|()| (Way::Rootless, Some(why))),
        }
    }

    /// Goes over to a way, on which no VM is yet.
    fn use_way(&self, way: Way, serving: &mut Option<Serving>) -> Result<(), Error> {
        self.helper.take(way);
        self.helper.ensure()?;
        if way == Way::Helper && self.helper.rootless().is_there() {
            // Its sockets would hold the namespace.
            *serving = None;
            self.end_rootless();
        }
        Ok(())
    }

    fn end_rootless(&self) {
        if let Err(error) = self.helper.rootless().end() {
            tracing::warn!(error = %chain(&error), "could not end the rootless network");
        }
    }

    /// Ends what nothing uses: no VM runs, and the daemon ends too.
    pub fn leave(&self) {
        if self.helper.rootless().is_there() {
            self.end_rootless();
        }
    }
}

fn off() -> Error {
    Error::None {
        reason: "`network = \"off\"` in config.toml".to_owned(),
        hints: vec!["remove `network` from config.toml".to_owned()],
    }
}

/// A VM that reaches nothing is no reason to make namespaces.
fn needless(why: String) -> Error {
    Error::None {
        reason: why,
        hints: Vec::new(),
    }
}
