//! `banger system restart`

use banger_command::exit;
use banger_command::failure::Failure;
use banger_command::output::Output;

use banger_service::{Place, look, plan};

/// Restart the root helper
///
/// The helper restores the network setup of this host: a bridge, addresses or rules that someone removed. VMs keep
/// their network.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo banger system restart
  sudo banger system restart --owner alice")]
pub(crate) struct Args {
    /// User whose VMs get a network: a name or a user id [default: the user who called sudo]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let owner = look::owner(args.owner.as_deref())?;
    if !look::systemd_runs() {
        let range = Place::here().range(owner).ok().flatten().unwrap_or_default();
        let message = "failed to restart the root helper: systemd is not running";
        return Err(Failure::new(message, &[&super::by_hand(owner, range)?]));
    }
    look::need_root("restart the root helper")?;
    super::carry_out(args.output, &plan::restart(owner), false, Some(owner))?;
    super::report(args.output, "the root helper was restarted");
    Ok(exit::OK)
}
