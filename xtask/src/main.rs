//! `cargo xtask`: work on the repository itself that is more than a line of make.

mod arrows;
mod bench;
mod repository;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Work on the repository itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check that the crates depend on each other in the one allowed direction
    Arrows,
    /// Measure the figures, all or these, into target/bench/figures.jsonl
    Bench {
        /// Names of figures, such as `create.ready_fc_ms`
        names: Vec<String>,
    },
    /// Write docs/openapi.json and docs/api.md from the API's table of routes
    Openapi,
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Arrows => arrows::check(),
        Task::Bench { names } => bench::run(&names),
        Task::Openapi => repository::write_openapi(),
    }
}
