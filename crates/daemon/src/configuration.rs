//! `bangerd config`: the configuration of this user, for `banger config`. It needs no daemon, and works with a file that none can
//! read.

use std::process::ExitCode;

use banger_api::{ErrorBody, Paths};
use banger_model::body;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::serve;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every key, with value and source
    Show,
    /// Set a key
    Set {
        /// Its name
        key: String,
        /// Its value
        value: String,
    },
    /// Remove a key
    Unset {
        /// Its name
        key: String,
    },
    /// Check the file
    Check,
}

/// Does it, and prints what came of it.
pub(crate) fn run(command: Command) -> ExitCode {
    let (done, code) = match perform(command) {
        Ok(done) => (done, ExitCode::SUCCESS),
        Err(error) => (json!(error), ExitCode::FAILURE),
    };
    match crate::print(&crate::json(&done)) {
        Ok(()) => code,
        Err(error) => {
            crate::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<Value, ErrorBody> {
    let paths = Paths::from_env().map_err(|error| body(&serve::Error::Paths(error)))?;
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let changed = match command {
        Command::Show => {
            let shown = banger_settings::show(&paths, environment);
            return shown.map(|shown| json!(shown)).map_err(|error| body(&error));
        }
        Command::Set { key, value } => banger_settings::set(&paths, &key, &value),
        Command::Unset { key } => banger_settings::unset(&paths, &key),
        Command::Check => banger_settings::check(&paths),
    };
    changed
        .map(|path| json!({ "path": path }))
        .map_err(|error| body(&error))
}
