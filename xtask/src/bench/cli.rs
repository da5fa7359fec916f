//! How long the program takes that does nearly nothing, and the completion of a VM's name.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::figure::Figure;
use super::home::{Home, Under, ms};

const RUNS: usize = 50;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Fake, "256M")?;
    let start: Vec<f64> = (0..RUNS)
        .map(|_| home.time(&["version"]).map(|(took, _)| ms(took)))
        .collect::<Result<_>>()?;
    let complete: Vec<f64> = (0..RUNS).map(|_| completed(&home)).collect::<Result<_>>()?;
    Ok(vec![
        Figure::of("cli.start_ms", &start),
        Figure::of("cli.complete_ms", &complete),
    ])
}

/// What bash asks for `banger vm stop` and a tab.
fn completed(home: &Home) -> Result<f64> {
    let mut command = home.command(&["--", "banger", "vm", "stop", ""]);
    command.envs([
        ("COMPLETE", "bash"),
        ("_CLAP_COMPLETE_INDEX", "3"),
        ("_CLAP_IFS", "\n"),
    ]);
    command.envs([
        ("_CLAP_COMPLETE_COMP_TYPE", "9"),
        ("_CLAP_COMPLETE_SPACE", "false"),
    ]);
    let since = Instant::now();
    let output = command.output()?;
    let took = ms(since.elapsed());
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.lines().any(|line| line == "vm"), "it completes to {said:?}");
    Ok(took)
}
