//! `banger vm restart`

use std::time::Duration;

use banger_api::{VmRestart, VmStop};
use banger_command::failure::Failure;
use banger_command::progress::Display;
use banger_command::secrets::Secrets;
use banger_command::values::duration;
use banger_command::work::interruptible;
use banger_command::{complete, connection, many};
use banger_model::WaitFor;

/// Restart VMs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm restart web
  banger vm restart web db --grace 5s --wait init")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    /// Time for the guest's init to shut down, such as 500ms, 30s or 2m
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    grace: Duration,
    /// State to wait for: agent (commands can run), init (the image's init is up) or ssh (its SSH server listens)
    #[arg(long, default_value = "agent", value_name = "STATE", value_parser = str::parse::<WaitFor>)]
    wait: WaitFor,
    #[command(flatten)]
    secrets: Secrets,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let secrets = args.secrets.read()?;
    let client = connection::connect().await?;
    let request = VmRestart {
        stop: VmStop {
            grace_ms: u64::try_from(args.grace.as_millis()).unwrap_or(u64::MAX),
        },
        wait: args.wait,
        secrets: args.secrets.names(),
    };
    let several = args.names.len() > 1;
    let one = async |name: String| {
        let mut display = Display::new(if several { name.as_str() } else { "" });
        client
            .restart_vm(&name, &request, |progress| display.show(&progress))
            .await?;
        secrets.give(&client, &name, None).await?;
        Ok(name)
    };
    interruptible(async { Ok(many::each(&args.names, one).await) }).await
}
