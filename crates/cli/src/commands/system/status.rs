//! `banger system status`

use std::path::PathBuf;

use banger_api::{HelperReport, HelperState};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{exit, print};
use banger_model::network::Finding;
use serde::Serialize;

use banger_command::sudo::for_sudo;
use banger_service::Place;
use banger_service::look::{self, Unit};

/// Check the root helper: is it installed, running, and its network setup intact
///
/// Changes nothing and starts nothing. Exits with 1 if there is a problem, and prints each problem with its fix.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger system status
  banger system status --owner alice --json")]
pub(crate) struct Args {
    /// User whose VMs get a network: a name or a user id [default: you, or the user who called sudo]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// The state of the root helper.
#[derive(Debug, Serialize)]
struct Status {
    /// Whether there is nothing to fix.
    in_order: bool,
    program: Program,
    /// The systemd unit, if systemd is running.
    unit: Option<Unit>,
    helper: HelperReport,
    /// Problems, including differences between the host and the planned network setup.
    problems: Vec<Finding>,
}

/// The installed program.
#[derive(Debug, Serialize)]
struct Program {
    path: PathBuf,
    installed: bool,
    /// Whether the program is from this build.
    current: bool,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let owner = look::owner(args.owner.as_deref())?;
    let path = Place::here().program();
    let installed = std::fs::read(&path).ok();
    let program = Program {
        installed: installed.is_some(),
        current: installed.is_some() && installed == std::fs::read(look::program()?).ok(),
        path,
    };
    let (unit, helper) = (look::unit(owner)?, look::helper(owner)?);
    let problems = problems(&program, unit.as_ref(), &helper);
    let status = Status {
        in_order: problems.is_empty(),
        program,
        unit,
        helper,
        problems,
    };
    match args.output.json {
        true => print::json(&status)?,
        false => show(&status),
    }
    Ok(if status.in_order { exit::OK } else { exit::FAILED })
}

fn problems(program: &Program, unit: Option<&Unit>, helper: &HelperReport) -> Vec<Finding> {
    let finding = |problem: String, hint: &str| Finding {
        problem,
        hint: hint.to_owned(),
    };
    const INSTALL: &str = "sudo banger system install";
    let mut problems = Vec::new();
    match &helper.state {
        Some(state) => problems.extend(state.findings.iter().cloned()),
        None => problems.push(finding(
            format!(
                "the root helper does not answer: {}",
                helper.problem.as_deref().unwrap_or_default()
            ),
            match (unit, program.installed) {
                (Some(unit), true) if !unit.enabled.is_empty() => "sudo banger system restart",
                _ => INSTALL,
            },
        )),
    }
    if program.installed && !program.current {
        problems.push(finding(
            format!("{} is from another build", program.path.display()),
            INSTALL,
        ));
    }
    // A helper that was started by hand is sufficient until the host restarts.
    let stopped = unit.filter(|unit| !unit.enabled.is_empty() && unit.active != "active");
    if let (Some(unit), Some(_)) = (stopped, &helper.state) {
        let problem = format!("{} is {}, but another helper answers", unit.name, unit.active);
        problems.push(finding(
            problem,
            "stop the other helper, then: sudo banger system restart",
        ));
    }
    problems
}

fn show(status: &Status) {
    let Program {
        path,
        installed,
        current,
    } = &status.program;
    let program = match (installed, current) {
        (false, _) => "not installed".to_owned(),
        (true, true) => format!("{} (this build)", path.display()),
        (true, false) => format!("{} (another build)", path.display()),
    };
    let unit = match &status.unit {
        Some(unit) if unit.enabled.is_empty() => format!("{} not found", unit.name),
        Some(unit) => format!("{}: {}, {}", unit.name, unit.enabled, unit.active),
        None => "systemd is not running".to_owned(),
    };
    let mut facts = vec![("program", program), ("unit", unit)];
    if let Some(socket) = &status.helper.socket {
        facts.push(("socket", socket.display().to_string()));
    }
    if let Some(state) = &status.helper.state {
        facts.extend(of_helper(state));
    }
    print::facts(&facts);
    for Finding { problem, hint } in &status.problems {
        print::line(&format!("\nproblem: {problem}\n    fix: {}", for_sudo(hint)));
    }
}

fn of_helper(state: &HelperState) -> Vec<(&'static str, String)> {
    let network = match &state.network {
        Some(network) if state.withdrawn.is_some() => {
            format!("{}, {}; withdrawn", network.subnet, network.ula)
        }
        Some(network) => format!("{}, {}", network.subnet, network.ula),
        None => "none yet; created with the first VM that has a network".to_owned(),
    };
    let attached = state.attached.iter().map(|member| {
        let address = member.addresses.first().map(ToString::to_string);
        format!("{} ({})", address.unwrap_or_default(), member.mode)
    });
    vec![
        (
            "helper",
            format!("version {}, process {}", state.version, state.pid),
        ),
        ("range", state.range.clone().unwrap_or_default()),
        ("network", network),
        ("attached", attached.collect::<Vec<_>>().join(", ")),
        ("confined", state.confinement.join("; ")),
    ]
}
