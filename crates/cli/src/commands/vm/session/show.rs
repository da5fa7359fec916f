//! `banger vm session show`

use banger_api::{VmSession, VmSessionUsage};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::{complete, connection, exit, print};

use super::list::{command, rfc3339};

/// Show details of a session: state, exit code, resource usage and output
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session show web make
  banger vm session show web make --json | jq .log.end     print a cursor for `session logs --since`")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session
    #[arg(add = complete::sessions())]
    session: String,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let session = client.session(&args.vm, &args.session).await?;
    if args.output.json {
        print::json(&session)?;
    } else {
        print::facts(&facts(&session));
    }
    Ok(exit::OK)
}

fn facts(session: &VmSession) -> Vec<(&'static str, String)> {
    let or_none = |text: Option<String>| text.unwrap_or_default();
    vec![
        ("name", session.name.clone()),
        ("command", command(session)),
        ("directory", session.cwd.clone()),
        ("user", or_none(session.user.clone())),
        ("state", session.state.as_str().to_owned()),
        ("process", or_none(session.pid.map(|pid| pid.to_string()))),
        ("input", input(session).to_owned()),
        ("started", ago(session.started_ms)),
        ("ended", or_none(session.ended_ms.map(ago))),
        (
            "exit code",
            or_none(session.exit_code.map(|code| code.to_string())),
        ),
        ("signal", or_none(session.signal.map(|signal| signal.to_string()))),
        ("restarts", restarts(session)),
        ("used", or_none(session.usage.as_ref().map(used))),
        ("output", output(session)),
        ("clients", session.clients.to_string()),
    ]
}

/// A time in seconds, and how long ago it was.
fn ago(ms: u64) -> String {
    print::ago(&rfc3339(ms / 1000 * 1000))
}

fn input(session: &VmSession) -> &'static str {
    match (session.tty, session.takes_input) {
        (true, _) => "a terminal",
        (false, true) => "a pipe from clients",
        (false, false) => "none",
    }
}

fn restarts(session: &VmSession) -> String {
    if session.restarts_on_failure {
        session.restarts.to_string()
    } else {
        String::new()
    }
}

fn used(usage: &VmSessionUsage) -> String {
    format!(
        "{} CPU time ({} in the kernel), {} peak memory",
        print::micros(usage.user_us + usage.system_us),
        print::micros(usage.system_us),
        bytes(usage.max_resident_bytes)
    )
}

fn output(session: &VmSession) -> String {
    let log = &session.log;
    let mut text = format!(
        "{} written, stored from {} to {}",
        bytes(log.end),
        log.start,
        log.end
    );
    if log.lost > 0 {
        text.push_str(&format!(", {} lost to a full disk", bytes(log.lost)));
    }
    text
}
