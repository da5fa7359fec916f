//! What VMs reach: the network's backend, the way out of it, names.

use banger_api::{Check, Paths};
use banger_hostnet::{Answers, Network, Seen};
use banger_model::network::NetworkChoice;
use banger_model::{Describe, chain};
use banger_settings::Config;

use super::check::{ok, warning};

/// Whether VMs reach anything. Without a network they still take commands, files and forwarded ports.
pub(super) fn check_network(paths: &Paths, network: &Network) -> Check {
    // What is wrong with the configuration is another check's.
    let config = Config::load(paths).unwrap_or_default();
    if config.network == NetworkChoice::Off {
        return ok(
            "network",
            "off in config.toml: VMs are reachable only through `vm forward`",
        );
    }
    let with_reason = |because: Option<String>| because.map_or_else(String::new, |why| format!(" ({why})"));
    match network.examine(config.network) {
        Seen::There {
            way,
            status,
            findings,
            because,
        } if findings.is_empty() => {
            let place = match status.network {
                Some(network) => {
                    let range = status.range.map(|room| format!(", in the range {room}"));
                    format!(
                        "VMs have addresses of {}{}",
                        network.subnet,
                        range.unwrap_or_default()
                    )
                }
                None => "no VM has needed the network yet".to_owned(),
            };
            ok("network", format!("{way}: {place}{}", with_reason(because)))
        }
        Seen::There { way, findings, .. } => {
            let problems: Vec<_> = findings.iter().map(|finding| finding.problem.clone()).collect();
            let hint = findings.first().map(|finding| finding.hint.clone());
            let message = format!("{way}: {}", problems.join("; "));
            warning("network", message, hint.unwrap_or_default())
        }
        Seen::Ended => warning(
            "network",
            "rootless: the helper has ended; VMs keep their connections, but cannot resolve new names",
            "the helper is restarted when the next VM starts",
        ),
        Seen::Possible { because } => ok(
            "network",
            format!(
                "rootless: created for the first VM with network access{}",
                with_reason(because)
            ),
        ),
        Seen::None { reason, hint } => warning(
            "network",
            format!(
                "none: VMs have no network access and are reachable only through `vm forward` ({reason})"
            ),
            hint,
        ),
        Seen::Failing(error) => warning("network", chain(&error), error.describe().hints.join("; ")),
    }
}

/// Whether what leads a rootless network out does so as it should; nothing where VMs have none.
pub(super) fn check_way_out(paths: &Paths, network: &Network) -> Option<Check> {
    let config = Config::load(paths).unwrap_or_default();
    let fault = network.fault_of_way_out(config.network)?;
    Some(warning("passt", fault.problem, fault.hint))
}

/// Whether the host's programs find VMs by name at the loopback address; nothing where they are not to.
pub(super) fn check_names(paths: &Paths) -> Option<Check> {
    let config = Config::load(paths).unwrap_or_default();
    let address = config
        .dns_listen
        .filter(|_| config.network != NetworkChoice::Off)?;
    Some(match banger_hostnet::who_answers(address) {
        Answers::Banger => ok("names", format!("NAME.vm is answered at {address} for this host")),
        Answers::BangerOf(uid) => warning(
            "names",
            format!(
                "the daemon of user {uid} uses {address}, so NAME.vm resolves to their VMs there, never to yours"
            ),
            format!(
                "set another port in {}, such as dns_listen = \"127.0.0.1:5355\"",
                paths.config_file().display()
            ),
        ),
        Answers::Nobody => ok(
            "names",
            format!("NAME.vm will be answered at {address} once a VM with a network starts"),
        ),
        Answers::Another => warning(
            "names",
            format!("another program uses {address}, where banger answers DNS queries for NAME.vm"),
            format!(
                "set another port in {}, such as dns_listen = \"127.0.0.1:5355\"",
                paths.config_file().display()
            ),
        ),
    })
}
