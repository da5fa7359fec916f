//! `banger vm logs`

use banger_api::{LogQuery, LogSource};
use banger_client::run::SESSION;
use banger_command::failure::Failure;
use banger_command::{complete, connection, exit, print};

use super::session;

/// Print what a VM's guest wrote to its console
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm logs web
  banger vm logs -f web              go on until it stops
  banger vm logs --vmm web           what the VMM itself said
  banger vm logs --bootstrap -f web  how its tools are installed")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    name: String,
    /// Go on as more is written
    #[arg(long, short)]
    follow: bool,
    /// What the VMM itself said, in place of the console
    #[arg(long)]
    vmm: bool,
    /// How the checkout of `vm run` was prepared: tools, and post-create commands
    #[arg(long, conflicts_with = "vmm")]
    bootstrap: bool,
    /// All bytes as they are, also on a terminal, where only text, lines and colours are let through otherwise
    #[arg(long)]
    raw: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    if args.bootstrap {
        let log = session::logs::Args::of(args.name, SESSION, args.follow, args.raw);
        return session::logs::run(log).await;
    }
    let client = connection::connect().await?;
    let query = LogQuery {
        source: if args.vmm {
            LogSource::Vmm
        } else {
            LogSource::Console
        },
        follow: args.follow,
    };
    let mut log = client.logs(&args.name, &query).await?;
    let mut shown = print::stream::log(args.raw);
    while let Some(bytes) = log.next().await? {
        print::written(shown.show(&bytes));
    }
    Ok(exit::OK)
}
