//! `bangerd`: owns the state of a user's VMs and serves the API on a Unix socket.
//!
//! It is started by `banger` when none runs. It may be killed at any instant: machines run on, and the next daemon
//! adopts them.

mod clock;
mod configuration;
mod doctor;
mod http;
mod inherited;
mod log;
mod place;
mod serve;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use banger_api::{ErrorBody, Paths};
use banger_model::{ErrorCode, body};
use clap::{Parser, Subcommand};

/// banger's daemon: owns the state of your VMs and serves the API on a Unix socket.
///
/// `banger` starts it when needed. It can be stopped or killed at any time; VMs run on.
#[derive(Debug, Parser)]
#[command(name = "bangerd", version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Leave the caller's session, and write a line to standard output when requests are taken
    #[arg(long)]
    background: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Examine this host and print a report; changes nothing
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a user's root helper for its state and print that as JSON; starts none
    Helper {
        /// The user's id
        #[arg(long)]
        owner: u32,
    },
    /// Show, change or check config.toml, and print the result or the error as JSON; `banger config` runs this
    #[command(hide = true, subcommand)]
    Config(configuration::Command),
    /// Print the OpenAPI document of the API
    Openapi,
    /// Keep the console of the machine in DIR; machines run this
    #[command(hide = true)]
    ConsoleSink {
        /// The machine's directory
        dir: PathBuf,
    },
    /// Do the job on standard input, which is about foreign images; the daemon runs this
    #[command(hide = true)]
    ImageWorker,
    /// Serve the network of VMs in namespaces that this was started in; the daemon runs this
    #[command(hide = true)]
    NetHelper {
        /// Where its socket and its plan are
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    if let Err(source) = inherited::close_descriptors().and_then(|()| inherited::restrict()) {
        report(&body(&serve::Error::System(
            "close inherited file descriptors",
            source,
        )));
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    let outcome = match args.command {
        Some(Command::Doctor { json }) => examine(json),
        Some(Command::Helper { owner }) => print(&json(&banger_hostnet::report(owner))),
        Some(Command::Config(command)) => return configuration::run(command),
        Some(Command::Openapi) => print(&banger_api::openapi::document()),
        Some(Command::ImageWorker) => banger_worker::serve(banger_stores::perform),
        Some(Command::ConsoleSink { dir }) => keep_console(&dir),
        Some(Command::NetHelper { dir }) => banger_hostnet::serve_own(&dir).map_err(|error| body(&error)),
        None => serve::run(args.background),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            match error.code {
                ErrorCode::AlreadyExists => ExitCode::from(banger_api::ANOTHER_RUNS),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn examine(as_json: bool) -> Result<(), ErrorBody> {
    let paths = Paths::from_env().map_err(|error| body(&serve::Error::Paths(error)))?;
    let report = doctor::examine(&paths, &banger_hostnet::Network::of_env(&paths));
    print(&if as_json {
        json(&report)
    } else {
        doctor::text(&report)
    })
}

fn json(report: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(report).expect("a report has only string keys")
}

fn keep_console(dir: &Path) -> Result<(), ErrorBody> {
    banger_vmm::console::sink(std::io::stdin().lock(), dir)
        .map_err(|source| body(&serve::Error::Console(source)))
}

fn print(text: &str) -> Result<(), ErrorBody> {
    let print = |line| writeln!(std::io::stdout(), "{}", banger_model::printable(line));
    match text.trim_end().lines().try_for_each(print) {
        // A reader that has seen enough closes the pipe; that is no failure of ours.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| body(&serve::Error::System("write to standard output", source))),
    }
}

fn say(text: &str) {
    // Who cannot be told is not told.
    let _ = writeln!(std::io::stderr(), "{}", banger_model::printable(text));
}

fn report(error: &ErrorBody) {
    say(&format!("error: {}", error.message));
    for cause in &error.causes {
        say(&format!("caused by: {cause}"));
    }
    for hint in &error.hints {
        say(&format!("hint: {hint}"));
    }
}
