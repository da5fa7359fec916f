//! `banger vm logs`

use banger_api::BOOTSTRAP;
use banger_api::{LogQuery, LogSource};
use banger_command::failure::Failure;
use banger_command::values::since;
use banger_command::{complete, connection, exit, print};

use super::session;

/// Print the console log of a VM
///
/// Times are those at which this host received the lines. Lines that were logged before banger recorded times have `-`
/// in place of a time, and are older than every --since.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm logs web
  banger vm logs -f web              follow the log until the VM stops
  banger vm logs web --tail 20 --timestamps
  banger vm logs web --since 10m     print the lines of the last 10 minutes
  banger vm logs --vmm web           print the log of the VMM
  banger vm logs --bootstrap -f web  follow the installation of tools")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// Follow the log
    #[arg(long, short)]
    follow: bool,
    /// Print only the last N lines
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "bootstrap")]
    tail: Option<u64>,
    /// Print only lines since a time, such as 10m, 2h or 2026-11-30T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with_all = ["vmm", "bootstrap"])]
    since: Option<String>,
    /// Print the time at which each line was written
    #[arg(long, short, conflicts_with = "vmm")]
    timestamps: bool,
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
        let log = session::logs::Args::of(args.name, BOOTSTRAP, args.follow, args.raw)
            .with_timestamps(args.timestamps);
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
        tail: args.tail,
        since: args.since,
        timestamps: args.timestamps,
    };
    let mut log = client.logs(&args.name, &query).await?;
    let mut shown = print::stream::log(args.raw);
    while let Some(bytes) = log.next().await? {
        print::written(shown.show(&bytes));
    }
    Ok(exit::OK)
}
