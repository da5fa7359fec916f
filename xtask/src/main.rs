//! `cargo xtask`: work on the repository itself that is more than a line of make.

mod arrows;
mod bench;
mod configuration;
mod environment;
mod errors;
mod licences;
mod repository;
mod testing;

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::testing::Extent;

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
    /// Write the keys of docs/configuration.md from the types that parse config.toml
    Configuration {
        /// Write nothing; fail if the page is stale
        #[arg(long)]
        check: bool,
    },
    /// Check that docs/environment.md lists the environment variables that the sources read
    Environment,
    /// Check that README.md names figures that are measured, with their bounds, and the form of error texts
    Figures,
    /// Check the licences of everything that ships against deny.toml
    Licences,
    /// Run every test under nextest; report what is ignored and why
    Test {
        /// Run units, the core and scenarios with the fake backend only
        #[arg(long)]
        quick: bool,
        /// Parts of names of the tests to run
        names: Vec<String>,
    },
    /// Write docs/openapi.json and docs/api.md from the API's table of routes
    Openapi,
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Arrows => arrows::check(),
        Task::Bench { names } => bench::run(&names),
        Task::Configuration { check: false } => configuration::write(),
        Task::Configuration { check: true } => configuration::check(),
        Task::Environment => environment::check(),
        Task::Figures => bench::check_readme().and_then(|()| errors::check()),
        Task::Licences => licences::check(),
        Task::Test { quick: true, names } => testing::run(Extent::Quick, &names),
        Task::Test { quick: false, names } => testing::run(Extent::Full, &names),
        Task::Openapi => repository::write_openapi(),
    }
}
