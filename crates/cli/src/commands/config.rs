//! `banger config`

use std::path::PathBuf;

use banger_api::{ConfigEntry, ErrorBody};
use banger_client::daemon;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{exit, print};
use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command as Process;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every key with its value and where the value was set
    ///
    /// The source is `default`, `config.toml` or `environment`. docs/configuration.md describes the keys.
    #[command(
        alias = "view",
        after_help = "\
Examples:
  banger config show
  banger config show default_net
  banger config show --json | jq '.[] | select(.source != \"default\")'"
    )]
    Show {
        /// Key to show, or table of keys; all if omitted
        key: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Set a key of config.toml
    ///
    /// VALUE is a value in TOML, or a text. Comments and other keys of the file stay as they are. A value that is not
    /// valid is refused, and the file is not changed.
    #[command(after_help = "\
Examples:
  banger config set default_net nat
  banger config set vm_defaults.memory 4G
  banger config set default_dns '[\"9.9.9.9\"]'")]
    Set {
        /// Key to set; dots separate tables
        key: String,
        /// Value of the key
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        output: Output,
    },
    /// Remove a key from config.toml, so that its default applies
    #[command(after_help = "\
Examples:
  banger config unset default_net
  banger config unset vm_defaults.memory")]
    Unset {
        /// Key to remove; dots separate tables
        key: String,
        #[command(flatten)]
        output: Output,
    },
    /// Check config.toml, and print the line of a mistake
    #[command(after_help = "\
Examples:
  banger config check
  banger config check --json")]
    Check {
        #[command(flatten)]
        output: Output,
    },
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    path: PathBuf,
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Show { key, output } => {
            let mut entries: Vec<ConfigEntry> = by_program(&["show"]).await?;
            if let Some(key) = key {
                entries.retain(|entry| entry.key == key || entry.key.starts_with(&format!("{key}.")));
                if entries.is_empty() {
                    let hint = "`banger config show` lists all keys";
                    let failure = Failure::new(format!("there is no key \"{key}\""), &[hint]);
                    return Err(failure.exiting(exit::NOT_FOUND));
                }
            }
            output.print(&entries, |entries| {
                print::table(&["KEY", "VALUE", "SOURCE"], entries.iter().map(row));
            })?;
        }
        Command::Set { key, value, output } => {
            // `--` so that a value such as -1 is no option.
            let file: File = by_program(&["set", "--", &key, &value]).await?;
            output.print(&file, |file| {
                print::line(&format!("set {key} in {}", file.path.display()))
            })?;
        }
        Command::Unset { key, output } => {
            let file: File = by_program(&["unset", "--", &key]).await?;
            output.print(&file, |file| {
                print::line(&format!("{key} is not set in {}", file.path.display()));
            })?;
        }
        Command::Check { output } => {
            let file: File = by_program(&["check"]).await?;
            output.print(&file, |file| {
                print::line(&format!("{} is valid", file.path.display()));
            })?;
        }
    }
    Ok(exit::OK)
}

fn row(entry: &ConfigEntry) -> Vec<String> {
    let value = match &entry.value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    vec![entry.key.clone(), value, entry.source.as_str().to_owned()]
}

/// Has the daemon's program do it: it knows the keys, and no daemon needs to run.
async fn by_program<T: DeserializeOwned>(args: &[&str]) -> Result<T, Failure> {
    let program = daemon::program()?;
    let output = Process::new(&program).arg("config").args(args).output().await;
    let output =
        output.map_err(|error| Failure::during(format!("failed to run {}", program.display()), &error))?;
    if !output.status.success()
        && let Ok(error) = serde_json::from_slice::<ErrorBody>(&output.stdout)
    {
        return Err(error.into());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let message = format!("failed to parse the output of {}", program.display());
        Failure::during(message, &error).with_log(words)
    })
}
