//! What starting and restarting VMs have in common: what is waited for, and the secrets that a guest gets again.

use banger_api::Vm;
use banger_client::{Client, ClientError};
use banger_command::failure::Failure;
use banger_command::output::{Output, Verbosity};
use banger_command::progress::Display;
use banger_command::secrets::Secrets;
use banger_command::work::interruptible;
use banger_command::{connection, many};
use banger_model::WaitFor;

#[derive(Debug, clap::Args)]
pub(super) struct Starting {
    /// State to wait for: agent (commands can run), init (the image's init is up) or ssh (its SSH server listens)
    #[arg(long, default_value = "agent", value_name = "STATE", value_parser = str::parse::<WaitFor>)]
    pub(super) wait: WaitFor,
    #[command(flatten)]
    secrets: Secrets,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Starting {
    /// The names of the secrets.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.secrets.names()
    }

    /// Has each VM started by `start`, and gives it its secrets.
    pub(super) async fn each(
        &self,
        output: Output,
        names: &[String],
        start: impl AsyncFn(&Client, &str, &mut Display) -> Result<Vm, ClientError>,
    ) -> Result<i32, Failure> {
        let secrets = self.secrets.read()?;
        let client = connection::connect().await?;
        let several = names.len() > 1;
        let one = async |name: String| {
            let mut display = Display::new(if several { name.as_str() } else { "" });
            let vm = start(&client, &name, &mut display).await?;
            secrets.give(&client, &name, None).await?;
            Ok(vm)
        };
        interruptible(many::each(output, names, one)).await
    }
}
