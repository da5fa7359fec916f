//! `banger vm ports`

use banger_api::VmPort;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::{complete, connection, exit, many, output};
use serde::Serialize;

/// List listening ports of VMs
///
/// Shows the process that holds each port, its answer if it speaks HTTP, and how to reach the port from this host.
/// Needs neither a network nor programs in the guest. Keys of --filter: vm, port, protocol, address, process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm ports web
  banger vm ports web --filter process=node --quiet      print port numbers only
  banger vm ports web db --json")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    #[command(flatten)]
    list: Options,
}

const PORTS: Listing<Port> = Listing {
    keys: &[
        Key {
            name: "vm",
            values: |port| vec![port.vm.clone()],
        },
        Key {
            name: "port",
            values: |port| vec![port.port.port.to_string()],
        },
        Key {
            name: "protocol",
            values: |port| vec![port.port.protocol.to_string()],
        },
        Key {
            name: "address",
            values: |port| vec![port.port.address.clone()],
        },
        Key {
            name: "process",
            values: |port| {
                port.port
                    .process
                    .iter()
                    .map(|process| process.command.clone())
                    .collect()
            },
        },
    ],
    header: &["VM", "PROTO", "ADDRESS", "PORT", "PROCESS", "HTTP", "FROM HOST"],
    name: |port| port.port.port.to_string(),
    row,
};

/// A port and its VM.
#[derive(Debug, Serialize)]
struct Port {
    vm: String,
    #[serde(flatten)]
    port: VmPort,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let plan = args.list.plan(PORTS)?;
    let client = connection::connect().await?;
    let one = async |vm: String| {
        let ports = client.ports(&vm).await?;
        let ports = ports.into_iter().map(|port| Port { vm: vm.clone(), port });
        Ok(ports.collect::<Vec<_>>())
    };
    let mut ports = Vec::new();
    let code = many::each_giving(&args.names, one, |found| ports.extend(found)).await;
    if !ports.is_empty() || code == exit::OK || output::is_json() {
        plan.print(ports)?;
    }
    Ok(code)
}

fn row(Port { vm, port }: &Port) -> Vec<String> {
    let process = port.process.as_ref();
    let http = port.http.as_ref();
    vec![
        vm.clone(),
        port.protocol.to_string(),
        port.address.clone(),
        port.port.to_string(),
        process.map_or_else(dash, |process| format!("{} {}", process.pid, process.command)),
        http.map_or_else(dash, |http| {
            let server = http.server.as_deref().unwrap_or_default();
            format!("{} {server}", http.status).trim_end().to_owned()
        }),
        from_here(vm, port),
    ]
}

/// The link to a port, or the command that creates one.
fn from_here(vm: &str, port: &VmPort) -> String {
    match &port.link {
        Some(link) => link.clone(),
        None if port.reachable => {
            let udp = match port.protocol {
                banger_model::Protocol::Tcp => "",
                banger_model::Protocol::Udp => "/udp",
            };
            format!("banger vm forward add {vm} :{}{udp}", port.port)
        }
        None => dash(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_api::{GuestProcess, HttpGuess};
    use banger_model::Protocol;

    #[test]
    fn a_port_tells_who_what_and_how() {
        let web = VmPort {
            protocol: Protocol::Tcp,
            address: "0.0.0.0".to_owned(),
            port: 80,
            process: Some(GuestProcess {
                pid: 7,
                command: "nginx".to_owned(),
            }),
            http: Some(HttpGuess {
                status: 200,
                server: Some("nginx/1.22.1".to_owned()),
            }),
            link: Some("http://127.0.0.1:8080".to_owned()),
            reachable: true,
        };
        let dns = VmPort {
            protocol: Protocol::Udp,
            address: "::".to_owned(),
            port: 53,
            process: None,
            http: None,
            link: None,
            reachable: true,
        };
        let inner = VmPort {
            address: "10.0.0.2".to_owned(),
            reachable: false,
            ..dns.clone()
        };
        let rows = [web, dns, inner].map(|port| {
            let vm = "web".to_owned();
            row(&Port { vm, port }).join(" | ")
        });
        insta::assert_snapshot!(rows.join("\n"), @r"
        web | tcp | 0.0.0.0 | 80 | 7 nginx | 200 nginx/1.22.1 | http://127.0.0.1:8080
        web | udp | :: | 53 | - | - | banger vm forward add web :53/udp
        web | udp | 10.0.0.2 | 53 | - | - | -
        ");
    }
}
