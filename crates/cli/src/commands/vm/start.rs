//! `banger vm start`

use banger_api::VmStart;
use banger_command::failure::Failure;
use banger_command::progress::Display;
use banger_command::secrets::Secrets;
use banger_command::work::interruptible;
use banger_command::{complete, connection, many};
use banger_model::WaitFor;

/// Start VMs
///
/// VMs start in parallel; a VM that fails to start does not stop the others.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm start web db --wait init
  banger vm start web --secret API_TOKEN         pass secrets again at each start")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    /// State to wait for: agent (commands can run), init (the image's init is up) or ssh (its SSH server listens)
    #[arg(long, default_value = "agent", value_name = "STATE", value_parser = str::parse::<WaitFor>)]
    wait: WaitFor,
    #[command(flatten)]
    secrets: Secrets,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let secrets = args.secrets.read()?;
    let client = connection::connect().await?;
    let start = VmStart {
        wait: args.wait,
        secrets: args.secrets.names(),
    };
    let several = args.names.len() > 1;
    let one = async |name: String| {
        let mut display = Display::new(if several { name.as_str() } else { "" });
        client
            .start_vm(&name, &start, |progress| display.show(&progress))
            .await?;
        secrets.give(&client, &name, None).await?;
        Ok(name)
    };
    interruptible(async { Ok(many::each(&args.names, one).await) }).await
}
