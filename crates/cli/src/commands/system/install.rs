//! `banger system install`

use std::path::PathBuf;

use banger_command::exit;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_model::network::Room;

use banger_service::plan::{self, Owner, Starter};
use banger_service::{Place, look, trust};

/// Install the root helper, which gives VMs a network
///
/// The root helper is the only part of banger that runs as root; docs/privilege.md describes what it can do. It is
/// copied to /usr/local/lib/banger, which only root may be able to write. systemd starts the helper now and at boot; on
/// a host without systemd, the command that starts it is printed.
///
/// VMs only get addresses from --range, and never addresses that this host reaches through a route, a gateway or a
/// resolver.
///
/// If a helper is already installed, it is replaced. VMs keep their network meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo banger system install
  sudo banger system install --owner alice
  sudo banger system install --range 10.66.0.0/16
  banger system install --dry-run
  banger system install --root /mnt/image --owner 1000     install into the image of another host")]
pub(crate) struct Args {
    /// User whose VMs get a network: a name or a user id [default: the user who called sudo]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Addresses for the VMs: a private IPv4 block, optionally followed by a comma and a unique local IPv6 block
    /// [default: the installed range, else 172.16.0.0/16]
    #[arg(long, value_name = "BLOCKS")]
    range: Option<Room>,
    /// Install into the system whose root directory is DIR, and start nothing
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let program = look::program()?;
    if let Some(root) = &args.root {
        let owner = args.owner.as_ref().map(|id| id.parse().map_err(|_| no_id(id)));
        let owner = owner.transpose()?.map(|id| Owner {
            id,
            range: args.range,
        });
        let actions = plan::install(&Place::below(root), &program, owner, Starter::Later, None);
        return super::carry_out(args.output, &actions, args.dry_run, None).map(|()| exit::OK);
    }
    let (place, owner) = (Place::here(), owner(args)?);
    let starter = match look::systemd_runs() {
        true => Starter::Systemd,
        false => Starter::ByHand,
    };
    let decided = range(&place, owner, args.range)?;
    let to_install = Owner {
        id: owner,
        range: args.range,
    };
    let user = look::user_to_make();
    let actions = plan::install(&place, &program, Some(to_install), starter, user);
    if !args.dry_run {
        look::need_root("install the root helper")?;
        if !look::has_nft() {
            let hints = ["install it: sudo apt-get install nftables"];
            return Err(Failure::new(
                "nft not found; the root helper needs it to filter packets",
                &hints,
            ));
        }
        for path in [place.program(), place.template(), place.settings(owner)] {
            trust::check(&path).map_err(|error| Failure::new(error.to_string(), &[&error.hint()]))?;
        }
    }
    super::carry_out(args.output, &actions, args.dry_run, Some(owner))?;
    if starter == Starter::ByHand {
        super::report(
            args.output,
            "systemd is not running; start the helper from another init, or by hand, with:",
        );
        super::report(args.output, &format!("  {}", super::by_hand(owner, decided)?));
    } else if !args.dry_run {
        serving(args.output, owner)?;
    }
    Ok(exit::OK)
}

/// The range of addresses for the owner's network. A network that was chosen before ranges existed is only moved if
/// root asks for it, because running VMs would lose it.
fn range(place: &Place, owner: u32, wanted: Option<Room>) -> Result<Room, Failure> {
    let before = place.range(owner).map_err(|error| {
        let path = place.settings(owner).display().to_string();
        Failure::during(format!("failed to parse {path}"), &error)
    })?;
    let decided = wanted.or(before).unwrap_or_default();
    if wanted.is_none()
        && let Some(had) = look::recorded(place, owner)
        && !decided.v4.covers(&had.subnet.cidr())
    {
        let message = format!(
            "VMs have addresses in {}, which is outside the range {decided}",
            had.subnet
        );
        let keep = format!("to keep these addresses: --range {}", had.subnet);
        let hints = [
            keep.as_str(),
            &format!("to move VMs into the range at their next start: --range {decided}"),
        ];
        return Err(Failure::new(message, &hints).exiting(exit::CONFLICT));
    }
    Ok(decided)
}

/// The user whose VMs get a network. A daemon of root starts its own helper, so root must be named explicitly.
fn owner(args: &Args) -> Result<u32, Failure> {
    let owner = look::owner(args.owner.as_deref())?;
    if owner == 0 && args.owner.is_none() {
        let hints = [
            "name the user: --owner USER",
            "a daemon that runs as root starts its own helper",
        ];
        return Err(Failure::new(
            "the user whose VMs get a network is unknown",
            &hints,
        ));
    }
    Ok(owner)
}

fn no_id(text: &str) -> Failure {
    let hints = ["with --root, give the numeric user id: --owner 1000"];
    Failure::new(format!("invalid user id \"{text}\""), &hints)
}

/// Checks that the helper answers after systemd reported it as ready.
fn serving(output: Output, owner: u32) -> Result<(), Failure> {
    let report = look::helper(owner)?;
    match (report.state, report.problem) {
        (Some(state), _) => {
            let text = format!(
                "the root helper is running (process {}, for user {owner})",
                state.pid
            );
            super::report(output, &text);
            Ok(())
        }
        (None, problem) => Err(
            Failure::new(problem.unwrap_or_default(), &["banger system status"])
                .with_log(look::journal(owner)),
        ),
    }
}
