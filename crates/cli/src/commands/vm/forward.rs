//! `banger vm forward`

use banger_api::{ForwardAdd, ForwardRemove, VmForward};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::output::Output;
use banger_command::{complete, connection, exit, print};
use banger_model::{Forward, Publish, Reverse};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(Add),
    List(List),
    #[command(visible_alias = "delete")]
    Rm(Remove),
}

/// Publish a guest port on this host, or forward a host port into the guest
///
/// Publishes a guest port on this host: at 127.0.0.1 and ::1 unless ADDR is given. If HOST is empty, banger picks a
/// free port, which does not change afterwards. A forward belongs to its VM: it works while the VM runs, and is removed
/// with it.
///
/// With --reverse, programs in the guest reach a port of this host at their own 127.0.0.1.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "banger vm forward add [OPTIONS] <VM> <[ADDR:]HOST:GUEST[/udp]|--reverse <GUEST:HOST>>"
)]
#[command(after_help = "\
Examples:
  banger vm forward add web 8080:80                 publish port 80 of web at localhost:8080
  banger vm forward add web :80                     publish it at a free port
  banger vm forward add web 5353:53/udp
  banger vm forward add web 0.0.0.0:8080:80 --open  allow other hosts to connect
  banger vm forward add web --reverse 5432:5432     reach this host's database in the guest")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["forward", "reverse"]))]
pub(crate) struct Add {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    #[command(flatten)]
    which: Which,
    /// Allow other hosts to connect to an ADDR that is not loopback
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    output: Output,
}

/// List port forwards
///
/// Keys of --filter: vm, state, forward. --quiet prints the forwards alone.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
#[command(after_help = "\
Examples:
  banger vm forward list
  banger vm forward list --filter state=failed
  banger vm forward list web --json")]
pub(crate) struct List {
    /// Name of the VM; all VMs if omitted
    #[arg(add = complete::vms())]
    vm: Option<String>,
    #[command(flatten)]
    list: Options,
}

const FORWARDS: Listing<VmForward> = Listing {
    keys: &[
        Key {
            name: "vm",
            values: |forward| vec![forward.vm.to_string()],
        },
        Key {
            name: "state",
            values: |forward| vec![forward.state.as_str().to_owned()],
        },
        Key {
            name: "forward",
            values: |forward| vec![written(&forward.forward)],
        },
    ],
    header: &["VM", "FORWARD", "STATE", "OPEN", "TOTAL", "REFUSED", "REASON"],
    name: |forward| written(&forward.forward),
    row,
};

/// Remove port forwards
///
/// Open connections are closed.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "banger vm forward rm <VM> <[ADDR:]HOST:GUEST[/udp]|--reverse <GUEST:HOST>|--all>"
)]
#[command(after_help = "\
Examples:
  banger vm forward rm web 8080:80
  banger vm forward rm web :80                      whichever host port publishes port 80
  banger vm forward rm web --reverse 5432:5432
  banger vm forward rm web --all")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["forward", "reverse", "all"]))]
pub(crate) struct Remove {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    #[command(flatten)]
    which: Which,
    /// Remove all port forwards of the VM
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
}

/// A forward on the command line.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Which {
    /// Port forward: address and port on this host, and guest port
    #[arg(value_name = "[ADDR:]HOST:GUEST[/udp]")]
    forward: Option<Publish>,
    /// Reverse forward: guest port, and port of this host
    #[arg(long, value_name = "GUEST:HOST")]
    reverse: Option<Reverse>,
}

impl Which {
    fn forward(&self) -> Option<Forward> {
        let publish = self.forward.map(Forward::Publish);
        publish.or(self.reverse.map(Forward::Reverse))
    }
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match command {
        Command::Add(args) => add(&client, args).await,
        Command::List(args) => list(&client, args).await,
        Command::Rm(args) => remove(&client, args).await,
    }
}

async fn add(client: &Client, args: Add) -> Result<i32, Failure> {
    let forward = args.which.forward().ok_or_else(neither)?;
    let add = ForwardAdd {
        forward,
        open: args.open,
    };
    let added = client.add_forward(&args.vm, &add).await?;
    if args.output.json {
        print::json(&added)?;
    } else {
        print::line(&written(&added.forward));
    }
    Ok(exit::OK)
}

async fn list(client: &Client, args: List) -> Result<i32, Failure> {
    let plan = args.list.plan(FORWARDS)?;
    let forwards = match &args.vm {
        Some(vm) => client.forwards(vm).await?,
        None => client.all_forwards().await?,
    };
    plan.print(forwards)?;
    Ok(exit::OK)
}

async fn remove(client: &Client, args: Remove) -> Result<i32, Failure> {
    let remove = match args.which.forward() {
        _ if args.all => ForwardRemove::All,
        Some(forward) => ForwardRemove::One(forward),
        None => return Err(neither()),
    };
    let removed = client.remove_forwards(&args.vm, &remove).await?;
    args.output.print(&removed, |removed| {
        for forward in removed {
            print::line(&written(forward));
        }
    })?;
    Ok(exit::OK)
}

/// Not reached: the parser requires a forward.
fn neither() -> Failure {
    Failure::new("no port forward given", &[])
}

fn row(forward: &VmForward) -> Vec<String> {
    vec![
        forward.vm.to_string(),
        written(&forward.forward),
        forward.state.as_str().to_owned(),
        forward.open.to_string(),
        forward.connections.to_string(),
        forward.refused.to_string(),
        forward.reason.clone().unwrap_or_default(),
    ]
}

/// A forward in the syntax of `rm`.
pub(super) fn written(forward: &Forward) -> String {
    match forward {
        Forward::Publish(publish) => publish.to_string(),
        Forward::Reverse(reverse) => format!("--reverse {reverse}"),
    }
}
