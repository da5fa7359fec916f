//! `banger doctor`

use anstyle::{AnsiColor, Style};
use banger_api::{Check, CheckStatus, DoctorReport};
use banger_client::daemon;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::print::{self, Line};
use banger_command::{connection, exit};
use tokio::process::Command;

use banger_command::sudo::for_sudo;

/// Check whether this host can run VMs, and print how to fix problems
///
/// Changes nothing and starts nothing. A daemon that runs is asked, because VMs are started with its groups and
/// variables; where they are other than yours, a warning says so. Exits with 5 if this host cannot run VMs.
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
        Ok((client, Some(_))) => {
            let (report, here) = tokio::join!(client.doctor(), by_program());
            let mut report = report?;
            // A program that cannot be asked is not what the daemon runs.
            report
                .checks
                .extend(here.ok().and_then(|here| difference(&report, &here)));
            Ok(report)
        }
        _ => by_program().await,
    }
}

/// Checks that depend on who makes them: by groups, `PATH` and the environment.
const OF_CALLER: [&str; 4] = ["kvm", "firecracker", "qemu", "git"];

/// What the daemon sees otherwise than a program that is started here: it has the groups and the environment of its own start.
fn difference(daemon: &DoctorReport, here: &DoctorReport) -> Option<Check> {
    let same = |name: &str| {
        let of = |report: &DoctorReport| report.checks.iter().find(|check| check.name == name).cloned();
        let (theirs, ours) = (of(daemon)?, of(here)?);
        (theirs.status != ours.status || theirs.message != ours.message)
            .then_some((name.to_owned(), ours.message))
    };
    let differing: Vec<String> = OF_CALLER
        .into_iter()
        .filter_map(same)
        .map(|(name, message)| format!("{name} ({message})"))
        .collect();
    (!differing.is_empty()).then(|| Check {
        name: "environment".to_owned(),
        status: CheckStatus::Warning,
        message: format!(
            "the daemon was started with other groups or variables than you have here, where it would find: {}",
            differing.join("; ")
        ),
        fix: Some("banger daemon restart".to_owned()),
    })
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

/// The groups of checks, in which they are shown. What has no group comes last.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Host",
        &["kvm", "space", "state", "data", "cache", "runtime", "git"],
    ),
    ("VMM", &["firecracker", "qemu", "agent", "confinement"]),
    ("Network", &["network", "passt", "names"]),
    ("Images and kernels", &["images", "kernels"]),
    ("Daemon and configuration", &["daemon", "environment", "config"]),
];

/// The column of messages.
const INDENT: usize = 20;

fn show(report: &DoctorReport) {
    let width = print::width();
    for (title, checks) in grouped(&report.checks) {
        print::line(title);
        for check in checks {
            show_check(check, width);
        }
        print::line("");
    }
    for line in wrapped(&report.verdict, width) {
        print::line(&line);
    }
}

fn grouped(checks: &[Check]) -> Vec<(&'static str, Vec<&Check>)> {
    let group = |check: &Check| {
        let mut groups = GROUPS.iter();
        groups
            .position(|(_, names)| names.contains(&check.name.as_str()))
            .unwrap_or(GROUPS.len())
    };
    let titles = GROUPS.iter().map(|(title, _)| *title).chain(["Other"]);
    titles
        .enumerate()
        .map(|(at, title)| {
            (
                title,
                checks
                    .iter()
                    .filter(|check| group(check) == at)
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, checks)| !checks.is_empty())
        .collect()
}

fn show_check(check: &Check, width: Option<usize>) {
    let (mark, color) = match check.status {
        CheckStatus::Ok => ("ok  ", AnsiColor::Green),
        CheckStatus::Warning => ("warn", AnsiColor::Yellow),
        CheckStatus::Failed => ("FAIL", AnsiColor::Red),
    };
    let style = Style::new().fg_color(Some(color.into()));
    let mut lines = wrapped(&check.message, width.map(|width| width.saturating_sub(INDENT))).into_iter();
    let first = lines.next().unwrap_or_default();
    Line::default()
        .text("  ")
        .styled(style, mark)
        .text(&format!(" {:<12} {first}", check.name))
        .print();
    for line in lines {
        print::line(&format!("{:INDENT$}{line}", ""));
    }
    // Not wrapped, so that it can be copied.
    if let Some(fix) = &check.fix {
        print::line(&format!("{:INDENT$}fix: {}", "", for_sudo(fix)));
    }
}

/// A text in lines of this width, at least 20; one line if there is no width.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.map(|width| width.max(20)) else {
        return vec![text.to_owned()];
    };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, status: CheckStatus, message: &str) -> Check {
        Check {
            name: name.to_owned(),
            status,
            message: message.to_owned(),
            fix: None,
        }
    }

    fn report(checks: Vec<Check>) -> DoctorReport {
        DoctorReport {
            verdict: String::new(),
            usable: true,
            checks,
        }
    }

    #[test]
    fn checks_are_shown_by_group_and_none_is_lost() {
        let checks =
            ["config", "qemu", "new-one", "kvm", "firecracker"].map(|name| check(name, CheckStatus::Ok, ""));
        let shown: Vec<(&str, Vec<&str>)> = grouped(&checks)
            .into_iter()
            .map(|(title, checks)| (title, checks.iter().map(|check| check.name.as_str()).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                ("Host", vec!["kvm"]),
                ("VMM", vec!["qemu", "firecracker"]),
                ("Daemon and configuration", vec!["config"]),
                ("Other", vec!["new-one"]),
            ]
        );
    }

    #[test]
    fn a_daemon_that_sees_another_host_is_named() {
        let daemon = report(vec![
            check("kvm", CheckStatus::Failed, "permission denied"),
            check("names", CheckStatus::Ok, "answered"),
        ]);
        let here = report(vec![
            check("kvm", CheckStatus::Ok, "a virtual CPU ran"),
            check("names", CheckStatus::Warning, "another program answers"),
        ]);
        let found = difference(&daemon, &here).unwrap();
        assert!(
            found
                .message
                .ends_with("where it would find: kvm (a virtual CPU ran)"),
            "{found:?}"
        );
        assert_eq!(found.fix.as_deref(), Some("banger daemon restart"));
        assert_eq!(difference(&daemon, &daemon), None);
    }

    #[test]
    fn a_message_fits_its_width() {
        let text = "KVM is emulated on this host and only boots special kernels";
        assert_eq!(
            wrapped(text, Some(30)),
            ["KVM is emulated on this host", "and only boots special kernels"]
        );
        assert_eq!(wrapped(text, None), [text]);
        assert_eq!(wrapped("a-word-that-is-longer-than-the-line", Some(20)).len(), 1);
    }
}
