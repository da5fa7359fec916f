//! `banger vm create`

use banger_command::create::create;
use banger_command::failure::Failure;
use banger_command::output::{Output, Verbosity};
use banger_command::{connection, exit, print};
use banger_model::WaitFor;

use super::shape::Shape;

/// Create a VM and start it
///
/// Prints the name of the VM. If the VM fails to start, it is removed. The default of an option is the
/// value in config.toml. Where that file has none, it depends on the size of this host.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm create                                  generate a name
  banger vm create --name web --memory 4G --vcpu 2
  banger vm create --env-file .env --secret API_TOKEN
  banger vm create -p 8080:80                       publish port 80 at http://localhost:8080
  banger vm create --image alpine --wait init --json")]
pub(crate) struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Create the VM without starting it
    #[arg(long, conflicts_with = "secret")]
    no_start: bool,
    /// State to wait for: agent (commands can run), init (the image's init is up) or ssh (its SSH server listens)
    #[arg(long, default_value = "agent", value_name = "STATE", value_parser = str::parse::<WaitFor>)]
    wait: WaitFor,
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let secrets = args.shape.secrets.read()?;
    let client = connection::connect().await?;
    let mut request = args.shape.request();
    request.no_start = args.no_start;
    request.wait = args.wait;
    request.secrets = secrets.for_new_vm();
    let vm = create(&client, &request).await?.vm;
    if args.output.json {
        print::json(&vm)?
    } else {
        print::line(vm.name.as_str())
    }
    Ok(exit::OK)
}
