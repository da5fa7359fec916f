//! `banger doctor`

use anstyle::{AnsiColor, Style};
use banger_api::{CheckStatus, DoctorReport};
use banger_client::daemon;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::print::{self, Line};
use banger_command::{connection, exit};
use tokio::process::Command;

use banger_command::sudo::for_sudo;

/// Check whether this host can run VMs, and print how to fix problems
///
/// Changes nothing and starts nothing. Exits with 5 if this host cannot run VMs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger doctor
  banger doctor --json")]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let report = report().await?;
    if args.output.json {
        print::json(&report)?;
    } else {
        show(&report);
    }
    Ok(if report.usable { exit::OK } else { exit::HOST })
}

/// What this host has and lacks.
pub(super) async fn report() -> Result<DoctorReport, Failure> {
    // The daemon starts VMs, with its own environment and groups, so its checks count. If no daemon is running, its
    // program is run for the checks; no daemon is started.
    match connection::look().await {
        Ok((client, Some(_))) => Ok(client.doctor().await?),
        _ => by_program().await,
    }
}

async fn by_program() -> Result<DoctorReport, Failure> {
    let program = daemon::program()?;
    let output = Command::new(&program)
        .args(["doctor", "--json"])
        .output()
        .await
        .map_err(|error| Failure::during(format!("failed to run {}", program.display()), &error))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Failure::during(
            format!("failed to parse the output of {}", program.display()),
            &error,
        )
        .with_log(words)
    })
}

fn show(report: &DoctorReport) {
    for check in &report.checks {
        let (mark, color) = match check.status {
            CheckStatus::Ok => ("ok  ", AnsiColor::Green),
            CheckStatus::Warning => ("warn", AnsiColor::Yellow),
            CheckStatus::Failed => ("FAIL", AnsiColor::Red),
        };
        let style = Style::new().fg_color(Some(color.into()));
        let line = Line::default().styled(style, mark);
        line.text(&format!(" {:<12} {}", check.name, check.message))
            .print();
        if let Some(fix) = &check.fix {
            print::line(&format!("     {:<12} fix: {}", "", for_sudo(fix)));
        }
    }
    print::line("");
    print::line(&report.verdict);
}
