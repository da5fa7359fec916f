//! `banger`: a real virtual machine for your repository in one command.
//!
//! Parses a command line, sends requests to the daemon, and prints the answers. Results go to standard output;
//! progress, notes and errors go to standard error.

mod arguments;
mod commands;
mod copy;
mod ssh;
mod synonyms;
mod topics;

use banger_command::{exit, print};
use clap::CommandFactory;
use clap_complete::CompleteEnv;

use crate::commands::Cli;

fn main() -> ! {
    // Answers a shell's completion request and exits, if there is one.
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = match arguments::parse() {
        Ok(cli) => cli,
        Err(code) => std::process::exit(code),
    };
    // One thread beside this one, which runs the command.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let code = match runtime {
        Ok(runtime) => match runtime.block_on(commands::run(cli)) {
            Ok(code) => code,
            Err(failure) => failure.report(),
        },
        Err(error) => {
            print::notice!("error: failed to start threads: {error}");
            exit::FAILED
        }
    };
    // Exits without waiting for a thread that reads standard input, because the read may never return.
    std::process::exit(code)
}
