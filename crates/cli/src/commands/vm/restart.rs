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

/// Stop and start VMs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(required = true, add = complete::vms())]
    names: Vec<String>,
    /// How long the guest's init may take to stop
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    grace: Duration,
    /// Wait until commands run (agent), the image's init is up (init), or its SSH server listens (ssh)
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
