//! `banger vm logs`

use banger_api::BOOTSTRAP;
use banger_api::{LogQuery, LogSource};
use banger_command::failure::Failure;
use banger_command::{complete, connection, exit, print};

use super::session;

/// Print the console log of a VM
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm logs web
  banger vm logs -f web              follow the log until the VM stops
  banger vm logs --vmm web           print the log of the VMM
  banger vm logs --bootstrap -f web  follow the installation of tools")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// Follow the log
    #[arg(long, short)]
    follow: bool,
    /// Print the log of the VMM instead of the console
    #[arg(long)]
    vmm: bool,
    /// Print the log of the checkout's preparation: tools and post-create commands
    #[arg(long, conflicts_with = "vmm")]
    bootstrap: bool,
    /// Print all bytes unchanged; by default only text, line ends and colours reach a terminal
    #[arg(long)]
    raw: bool,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    if args.bootstrap {
        let log = session::logs::Args::of(args.name, BOOTSTRAP, args.follow, args.raw);
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
