//! What there is of a network, for `doctor`. Nothing is started for it.

use std::path::Path;

use banger_model::chain;
use banger_model::network::{Finding, NetworkChoice};
use banger_root::wire::Status;
use banger_root::{CallError, Client};

use crate::error::Error;
use crate::helper;
use crate::namespace::trial;
use crate::network::Network;
use crate::outside::Outside;
use crate::passt;
use crate::way::Way;

/// What is seen of the network that VMs have, or would have.
#[derive(Debug)]
pub enum Seen {
    /// A helper answers.
    There {
        /// Whose it is.
        way: Way,
        /// What it says of itself.
        status: Status,
        /// What is not as it should be.
        findings: Vec<Finding>,
        /// Why not the root helper.
        because: Option<String>,
    },
    /// That of this user's own network has ended, and the network not.
    Ended,
    /// There will be one of this user's own.
    Possible {
        /// Why not the root helper.
        because: Option<String>,
    },
    /// There will be none.
    None {
        /// Why.
        reason: String,
        /// The command that fixes it.
        hint: String,
    },
    /// A helper is there and fails.
    Failing(Error),
}

impl Network {
    /// Looks at the network.
    pub fn examine(&self, choice: NetworkChoice) -> Seen {
        let root = || match self.helper.root() {
            None => Err(helper::NO_SOCKET.to_owned()),
            Some(socket) => ask(Way::Helper, socket),
        };
        match choice {
            NetworkChoice::Off => none(
                "`network` is off in config.toml".to_owned(),
                "remove `network` from config.toml",
            ),
            NetworkChoice::Helper => root().unwrap_or_else(|why| none(why, helper::INSTALL)),
            NetworkChoice::Rootless => self.examine_rootless(None),
            NetworkChoice::Auto => root().unwrap_or_else(|why| self.examine_rootless(Some(why))),
        }
    }

    /// What is wrong with the program that leads a rootless network out, where VMs have such a network or would have one.
    pub fn fault_of_way_out(&self, choice: NetworkChoice) -> Option<Finding> {
        let has_root = |socket| Client::connect(socket).is_ok();
        let is_rootless = match choice {
            NetworkChoice::Off | NetworkChoice::Helper => false,
            NetworkChoice::Rootless => true,
            NetworkChoice::Auto => !self.helper.root().is_some_and(has_root),
        };
        is_rootless.then(passt::fault).flatten()
    }

    fn examine_rootless(&self, why: Option<String>) -> Seen {
        let rootless = self.helper.rootless();
        match ask(Way::Rootless, &rootless.socket()) {
            Ok(Seen::There {
                way,
                status,
                mut findings,
                ..
            }) => {
                if !rootless.helper().is_some_and(|helper| Outside::is_open(&helper)) {
                    findings.push(Finding {
                        problem: "pasta is not running, so VMs have no network access".to_owned(),
                        hint: "pasta is restarted when this host has network access, and when the next VM starts".to_owned(),
                    });
                }
                Seen::There {
                    way,
                    status,
                    findings,
                    because: why,
                }
            }
            Ok(seen) => seen,
            Err(_) if rootless.is_there() => Seen::Ended,
            Err(_) => match possible() {
                Ok(()) => Seen::Possible { because: why },
                Err((reason, hint)) => match why {
                    None => none(reason, hint),
                    Some(why) => none(
                        format!("{why}; and the rootless network is not available: {reason}"),
                        hint,
                    ),
                },
            },
        }
    }
}

fn none(reason: String, hint: &str) -> Seen {
    Seen::None {
        reason,
        hint: hint.to_owned(),
    }
}

/// Asks the helper at `socket`; fails with why there is none.
fn ask(way: Way, socket: &Path) -> Result<Seen, String> {
    let mut client = Client::connect(socket).map_err(|error| chain(&error))?;
    let failing = |what| move |source: CallError| Seen::Failing(Error::Helper { what, source });
    let status = match client.status().map_err(failing("report its state")) {
        Ok(status) => status,
        Err(seen) => return Ok(seen),
    };
    let findings = client.audit().map_err(failing("audit the host"));
    Ok(findings.map_or_else(
        |seen| seen,
        |findings| Seen::There {
            way,
            status,
            findings,
            because: None,
        },
    ))
}

/// What `doctor` says of a way that no helper answers on.
fn possible() -> Result<(), (String, &'static str)> {
    trial().map_err(|unable| (unable.reason, unable.hint))
}
