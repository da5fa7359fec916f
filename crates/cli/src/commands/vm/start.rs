//! `banger vm start`

use banger_api::VmStart;
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;

use super::starting::Starting;

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
    #[command(flatten)]
    starting: Starting,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let request = VmStart {
        wait: args.starting.wait,
        secrets: args.starting.secrets(),
    };
    let start = async |client: &Client, name: &str, display: &mut Display| {
        let started = client.start_vm(name, &request, |progress| display.show(&progress));
        started.await
    };
    args.starting.each(args.output, &args.names, start).await
}
