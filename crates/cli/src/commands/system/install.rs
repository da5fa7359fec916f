//! `banger system install`

use std::path::PathBuf;

use crate::failure::Failure;
use crate::service::plan::{self, Starter};
use crate::service::{Place, look, trust};
use crate::{exit, print};

/// Install the root helper, which gives VMs a network
///
/// The helper is the one program of banger's that root runs; docs/privilege.md says what it can do and
/// what it cannot. It is copied to /usr/local/lib/banger, which must be root's alone. systemd starts it
/// now and with the host; where no systemd runs, the command that does is printed.
///
/// Again, it replaces an older helper. VMs keep their network meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo banger system install
  sudo banger system install --owner alice
  banger system install --dry-run
  banger system install --root /mnt/image --owner 1000   # for the image of another host")]
pub(crate) struct Args {
    /// Whose VMs it is for: a name or a user id [default: who called sudo]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Install into the system whose root directory is DIR, and start nothing
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let program = look::program()?;
    if let Some(root) = &args.root {
        let owner = args.owner.as_ref().map(|id| id.parse().map_err(|_| no_id(id)));
        let actions = plan::install(&Place::below(root), &program, owner.transpose()?, Starter::Later);
        return super::carry_out(&actions, args.dry_run, None).map(|()| exit::OK);
    }
    let (place, owner) = (Place::here(), owner(args)?);
    let starter = match look::systemd_runs() {
        true => Starter::Systemd,
        false => Starter::ByHand,
    };
    let actions = plan::install(&place, &program, Some(owner), starter);
    if !args.dry_run {
        look::need_root("install a program that root runs")?;
        if !look::has_nft() {
            let hints = ["install the package nftables: sudo apt-get install nftables"];
            return Err(Failure::new(
                "there is no nft, with which the helper filters packets",
                &hints,
            ));
        }
        for path in [place.program(), place.template()] {
            trust::check(&path).map_err(|error| Failure::new(error.to_string(), &[&error.hint()]))?;
        }
    }
    super::carry_out(&actions, args.dry_run, Some(owner))?;
    if starter == Starter::ByHand {
        print::line("no systemd runs here; the helper is started, by another init or by hand, with");
        print::line(&format!("  {}", super::by_hand(owner)?));
    } else if !args.dry_run {
        serving(owner)?;
    }
    Ok(exit::OK)
}

/// Whose VMs it is for. Root's own daemon starts a helper by itself, so root has to be named.
fn owner(args: &Args) -> Result<u32, Failure> {
    let owner = look::owner(args.owner.as_deref())?;
    if owner == 0 && args.owner.is_none() {
        let hints = [
            "name one: --owner USER",
            "a daemon that is root's own starts a helper by itself",
        ];
        return Err(Failure::new(
            "it is not known whose VMs the helper is for",
            &hints,
        ));
    }
    Ok(owner)
}

fn no_id(text: &str) -> Failure {
    let hints = ["users of another system are named by their id: --owner 1000"];
    Failure::new(format!("{text} is no user id"), &hints)
}

/// That the helper which systemd says is ready does answer.
fn serving(owner: u32) -> Result<(), Failure> {
    let report = look::helper(owner)?;
    match (report.state, report.problem) {
        (Some(state), _) => {
            print::line(&format!(
                "the root helper (process {}) serves user {owner}",
                state.pid
            ));
            Ok(())
        }
        (None, problem) => Err(
            Failure::new(problem.unwrap_or_default(), &["banger system status"])
                .with_log(look::journal(owner)),
        ),
    }
}
