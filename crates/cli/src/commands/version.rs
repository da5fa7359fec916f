//! `banger version`

use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{connection, exit, print};
use serde_json::json;

/// Print the client and daemon versions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger version
  banger version --json")]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let ours = env!("CARGO_PKG_VERSION");
    let (_, daemon) = connection::look().await?;
    if args.output.json {
        print::json(&json!({ "banger": ours, "daemon": daemon }))?;
        return Ok(exit::OK);
    }
    print::line(&format!("banger {ours}"));
    match daemon {
        Some(daemon) => print::line(&format!(
            "bangerd {} (build {}, process {})",
            daemon.version, daemon.build, daemon.pid
        )),
        None => print::line("bangerd is not running"),
    }
    Ok(exit::OK)
}
