//! `banger vm egress`

use banger_api::{EgressGap, FlowVerdict, VmFlow, VmLearned, VmNetwork};
use banger_client::{Client, EgressEvent};
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::{complete, connection, exit, print};
use banger_model::network::NetMode;
use banger_model::shell_word;
use serde_json::json;

/// Show which destinations a VM reached and which were refused
///
/// Lists destinations by name, with the rule that decided. Connections to the same destination under the same rule
/// share a line, and so do DNS names that were refused (`dns`). The daemon remembers 500 allowed and 500 denied lines,
/// until the daemon or the VM ends. Keys of --filter: target, verdict, port, protocol, rule.
///
/// In mode `learn`, the destinations that a VM reaches are saved as rules, until the VM enters mode `learn` again or is
/// deleted. --learned prints these rules as a command that allows exactly these destinations.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm egress web
  banger vm egress web --denied            show how to allow the last destination
  banger vm egress web --follow --json     one object per line; {\"gap\": …} marks missing lines

  banger vm set web --net learn            let the VM do its work once, then:
  banger vm egress web --learned
  banger vm egress web --learned | sh      allow only these destinations from now on")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// Follow new lines until the VM is deleted
    #[arg(long, short, conflicts_with_all = ["filter", "format", "quiet"])]
    follow: bool,
    /// Show only refused destinations
    #[arg(long)]
    denied: bool,
    /// Print the command that allows the destinations learned in mode `learn`
    #[arg(long, conflicts_with_all = ["follow", "denied", "filter", "format", "quiet"])]
    learned: bool,
    #[command(flatten)]
    list: Options,
}

const HEADER: [&str; 6] = ["VERDICT", "TARGET", "PORT", "RULE", "COUNT", "LAST"];

const FLOWS: Listing<VmFlow> = Listing {
    keys: &[
        Key {
            name: "target",
            values: |flow| vec![flow.target.clone()],
        },
        Key {
            name: "verdict",
            values: |flow| vec![flow.verdict.as_str().to_owned()],
        },
        Key {
            name: "port",
            values: |flow| flow.port.iter().map(ToString::to_string).collect(),
        },
        Key {
            name: "protocol",
            values: |flow| vec![flow.protocol.clone()],
        },
        Key {
            name: "rule",
            values: |flow| flow.rule.iter().map(ToString::to_string).collect(),
        },
    ],
    header: &HEADER,
    name: |flow| flow.target.clone(),
    row: |flow| row(flow, print::age(&flow.last)).to_vec(),
};

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let plan = args.list.clone().plan(FLOWS)?;
    let client = connection::connect().await?;
    if args.learned {
        return learned(&client, &args).await;
    }
    if args.follow {
        return follow(&client, &args).await;
    }
    let mut flows = client.egress(&args.name).await?;
    flows.retain(|flow| args.is_wanted(flow));
    let hint = match plan.is_table() {
        true => hint(&args.name, &client.vm(&args.name).await?.network, &flows),
        false => None,
    };
    plan.print(flows)?;
    if let Some(hint) = hint {
        print::notice!("hint: {hint}");
    }
    Ok(exit::OK)
}

impl Args {
    const fn is_json(&self) -> bool {
        self.list.output().json
    }

    fn is_wanted(&self, flow: &VmFlow) -> bool {
        !self.denied || flow.verdict == FlowVerdict::Denied
    }
}

async fn follow(client: &Client, args: &Args) -> Result<i32, Failure> {
    let mut events = client.follow_egress(&args.name).await?;
    if !args.is_json() {
        print::line(&columns(&HEADER.map(str::to_owned)));
    }
    while let Some(event) = events.next().await? {
        match event {
            EgressEvent::Flow(flow) if !args.is_wanted(&flow) => {}
            EgressEvent::Flow(flow) if args.is_json() => print::json_line(&flow)?,
            EgressEvent::Flow(flow) => print::line(&columns(&row(&flow, time(&flow.last)))),
            EgressEvent::Gap(gap) if args.is_json() => print::json_line(&json!({ "gap": gap }))?,
            EgressEvent::Gap(EgressGap { missed: Some(missed) }) => {
                print::notice!("note: {missed} lines are missing here")
            }
            EgressEvent::Gap(EgressGap { missed: None }) => {
                print::notice!("note: the root helper stopped; lines may be missing here");
            }
        }
    }
    Ok(exit::OK)
}

async fn learned(client: &Client, args: &Args) -> Result<i32, Failure> {
    let learned = client.learned(&args.name).await?;
    if args.is_json() {
        print::json(&learned.rules)?;
    } else if !learned.rules.is_empty() {
        print::line(&command(&args.name, &learned));
    }
    if !learned.complete {
        print::notice!(
            "note: the VM reached more destinations than a VM can have rules for; these are the first"
        );
    }
    if learned.rules.is_empty() {
        let name = &args.name;
        match learned.mode {
            NetMode::Learn => {
                print::notice!("hint: VM `{name}` is in mode learn and has reached nothing yet")
            }
            _ => print::notice!("hint: start learning with `banger vm set {name} --net learn --restart`"),
        }
    }
    Ok(exit::OK)
}

/// The command that allows exactly the learned destinations.
fn command(name: &str, learned: &VmLearned) -> String {
    let rules = learned.rules.iter().map(ToString::to_string);
    format!("banger vm set {name} --net allow{}", options(rules))
}

/// Rules as options, quoted for a shell.
fn options(rules: impl Iterator<Item = String>) -> String {
    rules
        .map(|rule| format!(" --allow {}", shell_word(&rule)))
        .collect()
}

/// A hint that allows the destination that was denied last.
fn hint(name: &str, network: &VmNetwork, flows: &[VmFlow]) -> Option<String> {
    if flows.is_empty() {
        return Some(match network.mode {
            NetMode::Off => format!(
                "VM `{name}` has no network; allow access to the Internet with `banger vm set {name} --nat on --restart`"
            ),
            _ => format!("VM `{name}` has reached nothing since the daemon started, and nothing was refused"),
        });
    }
    let denied = flows
        .iter()
        .rev()
        .find(|flow| flow.verdict == FlowVerdict::Denied)?;
    let rule = denied.allow.as_ref()?.to_string();
    let net = match network.mode {
        NetMode::Off => " --net allow",
        _ => "",
    };
    let there = network.allow.iter().filter(|other| **other != rule);
    let options = options(there.chain([&rule]).cloned());
    let target = &denied.target;
    Some(format!("`banger vm set {name}{net}{options}` allows {target}"))
}

fn row(flow: &VmFlow, last: String) -> [String; 6] {
    let port = flow.port.map_or_else(
        || flow.protocol.clone(),
        |port| format!("{port}/{}", flow.protocol),
    );
    let is_allowed = flow.verdict == FlowVerdict::Allowed;
    let rule = flow
        .rule
        .as_ref()
        .map_or_else(|| flow.why.in_words(is_allowed).to_owned(), ToString::to_string);
    [
        flow.verdict.as_str().to_owned(),
        flow.target.clone(),
        port,
        rule,
        flow.count.to_string(),
        last,
    ]
}

/// A line of followed output, whose column widths cannot be known.
fn columns([verdict, target, port, rule, count, last]: &[String; 6]) -> String {
    format!("{verdict:7}  {target:32}  {port:9}  {rule:24}  {count:5}  {last}")
}

/// A time, in seconds.
fn time(rfc3339: &str) -> String {
    let at = rfc3339.parse::<jiff::Timestamp>();
    let second = at.and_then(|at| jiff::Timestamp::from_second(at.as_second()));
    second.map_or_else(|_| "?".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_model::network::FlowRule;

    fn flow(verdict: FlowVerdict, why: FlowRule, target: &str, rule: Option<&str>) -> VmFlow {
        let parsed = |text: &str| text.parse().unwrap();
        VmFlow {
            verdict,
            target: target.to_owned(),
            address: None,
            port: Some(443),
            protocol: "tcp".to_owned(),
            why,
            rule: rule.filter(|_| verdict == FlowVerdict::Allowed).map(parsed),
            allow: rule.filter(|_| verdict == FlowVerdict::Denied).map(parsed),
            count: 2,
            first: String::new(),
            last: String::new(),
        }
    }

    #[test]
    fn a_flow_tells_its_rule_or_why_there_is_none() {
        use FlowVerdict::{Allowed, Denied};
        let rows = [
            flow(
                Allowed,
                FlowRule::Answer,
                "deb.example.org",
                Some("*.example.org:443"),
            ),
            flow(Denied, FlowRule::Unlisted, "example.com", Some("example.com:443")),
            VmFlow {
                port: None,
                protocol: "dns".to_owned(),
                ..flow(Denied, FlowRule::Peer, "db.vm", None)
            },
        ]
        .map(|flow| columns(&row(&flow, "1s".to_owned())));
        insta::assert_snapshot!(rows.join("\n"), @r"
        allowed  deb.example.org                   443/tcp    *.example.org:443         2      1s
        denied   example.com                       443/tcp    in no rule                2      1s
        denied   db.vm                             dns        another VM                2      1s
        ");
    }

    #[test]
    fn what_was_denied_last_has_a_command_that_keeps_the_other_rules() {
        use FlowVerdict::{Allowed, Denied};
        let flows = [
            flow(
                Denied,
                FlowRule::Unlisted,
                "example.com",
                Some("[2001:db8::1]:443"),
            ),
            flow(
                Allowed,
                FlowRule::Answer,
                "deb.example.org",
                Some("*.example.org"),
            ),
        ];
        let network = |mode| VmNetwork {
            mode,
            allow: vec!["*.example.org".to_owned(), "1.2.3.4".to_owned()],
            ..VmNetwork::default()
        };
        let hints = [
            hint("web", &network(NetMode::Allow), &flows),
            hint("web", &network(NetMode::Off), &flows),
            hint("web", &network(NetMode::Off), &[]),
            hint("web", &network(NetMode::Nat), &flows[1..]),
        ];
        let hints: Vec<String> = hints.into_iter().map(Option::unwrap_or_default).collect();
        insta::assert_snapshot!(hints.join("\n"), @r"
        `banger vm set web --allow '*.example.org' --allow 1.2.3.4 --allow '[2001:db8::1]:443'` allows example.com
        `banger vm set web --net allow --allow '*.example.org' --allow 1.2.3.4 --allow '[2001:db8::1]:443'` allows example.com
        VM `web` has no network; allow access to the Internet with `banger vm set web --nat on --restart`
        ");
    }

    #[test]
    fn what_was_learnt_is_a_command_for_a_shell() {
        let rules = ["deb.example.org:80", "[2001:db8::1]:443", "vm:db"];
        let learned = VmLearned {
            rules: rules.map(|text| text.parse().unwrap()).to_vec(),
            complete: true,
            mode: NetMode::Learn,
        };
        insta::assert_snapshot!(command("web", &learned), @"banger vm set web --net allow --allow deb.example.org:80 --allow '[2001:db8::1]:443' --allow vm:db");
    }
}
