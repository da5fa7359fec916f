//! `banger system uninstall`

use banger_command::exit;
use banger_command::failure::Failure;
use banger_command::output::Output;

use banger_service::plan::{self, Installed};
use banger_service::{Place, look};

/// Remove the root helper
///
/// Running VMs keep their network until this host restarts, and the helper's record of the network is kept for the next
/// helper. With --purge, the network and the record are removed too, and the host's settings are restored; this fails
/// while VMs are attached to the network.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo banger system uninstall
  sudo banger system uninstall --purge
  banger system uninstall --purge --dry-run")]
pub(crate) struct Args {
    /// User whose VMs get a network: a name or a user id [default: the user who called sudo]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Also remove the network of the VMs, and the helper's record of it
    #[arg(long)]
    purge: bool,
    /// Remove the network even if VMs are attached to it
    #[arg(short, long, requires = "purge")]
    force: bool,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let (place, owner) = (Place::here(), look::owner(args.owner.as_deref())?);
    if !args.dry_run {
        look::need_root("remove the root helper")?;
        may_go(owner, args.purge && !args.force)?;
    }
    let there = Installed {
        unit: look::unit(owner)?.is_some_and(|unit| !unit.enabled.is_empty()),
        shared: look::is_shared(&place, owner),
        user: look::has_user(),
    };
    let program = match (args.purge, place.program().is_file()) {
        (false, _) => None,
        (true, true) => Some(place.program()),
        (true, false) => Some(look::program()?),
    };
    let actions = plan::uninstall(&place, owner, there, program.as_deref());
    super::carry_out(args.output, &actions, args.dry_run, Some(owner))?;
    if !args.dry_run && !args.purge && place.state(owner).exists() {
        super::report(
            args.output,
            "the network of VMs is kept until this host restarts; --purge removes it",
        );
    }
    Ok(exit::OK)
}

/// Checks that no VM and no running helper would be left without its other half.
fn may_go(owner: u32, keep_network: bool) -> Result<(), Failure> {
    // Asked from the kernel, so it does not matter whether a helper answers.
    let attached = look::attached(owner);
    if keep_network && attached > 0 {
        let message = match attached {
            1 => "a VM is attached to the network that would be removed".to_owned(),
            many => format!("{many} VMs are attached to the network that would be removed"),
        };
        let hints = [
            "stop the VMs: banger vm stop NAME",
            "or remove the network anyway: --force",
        ];
        return Err(Failure::new(message, &hints).exiting(exit::CONFLICT));
    }
    if look::systemd_runs() {
        return Ok(());
    }
    match look::helper(owner)?.state {
        None => Ok(()),
        Some(state) => {
            let message = format!("the root helper is still running as process {}", state.pid);
            let kill = format!("end it, then try again: sudo kill {}", state.pid);
            Err(Failure::new(message, &[&kill]).exiting(exit::CONFLICT))
        }
    }
}
