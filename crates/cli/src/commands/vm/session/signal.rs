//! `banger vm session signal`

use banger_api::stream::SessionSignal;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, connection, exit};

/// Send a signal to all processes of a session
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session signal web srv HUP
  banger vm session signal web srv 10")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session
    #[arg(add = complete::sessions())]
    session: String,
    /// Signal to send: a name such as INT or SIGINT, or a number from 1 to 31
    #[arg(value_parser = number)]
    signal: i32,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let signal = SessionSignal { signal: args.signal };
    let session = client.signal_session(&args.vm, &args.session, &signal).await?;
    args.output.print(&session, |_| ())?;
    Ok(exit::OK)
}

/// Signal names in the order of their numbers on Linux, x86 and ARM (signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

fn number(text: &str) -> Result<i32, String> {
    let refused = || "expected a name such as INT, or a number from 1 to 31".to_owned();
    if let Ok(number) = text.parse() {
        return if (1..=31).contains(&number) {
            Ok(number)
        } else {
            Err(refused())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let at = NAMES.iter().position(|known| *known == name);
    at.and_then(|at| i32::try_from(at + 1).ok()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(number("INT"), Ok(2));
        assert_eq!(number("sigterm"), Ok(15));
        assert_eq!(number("SIGSYS"), Ok(31));
        assert_eq!(number("9"), Ok(9));
        assert!(number("0").is_err() && number("64").is_err() && number("NONE").is_err());
    }
}
