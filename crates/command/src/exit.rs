//! All exit codes of `banger`.

use banger_model::ErrorCode;

/// Success.
pub const OK: i32 = 0;
/// Failure; the message says why.
pub const FAILED: i32 = 1;
/// Invalid command line.
pub const USAGE: i32 = 2;
/// No such object.
pub const NOT_FOUND: i32 = 3;
/// The object already exists, is in use, or is in the wrong phase.
pub const CONFLICT: i32 = 4;
/// This host cannot run VMs.
pub const HOST: i32 = 5;
/// `vm wait` or `vm session wait` gave up after `--timeout`, with the code of timeout(1).
pub const TIMED_OUT: i32 = 124;
/// `vm exec`, `vm shell` or `vm run` failed before the guest's command ran.
pub const NO_COMMAND: i32 = 125;
/// Interrupted.
pub const INTERRUPTED: i32 = 130;

/// The table, for help texts.
pub const TABLE: &str = "\
Exit codes:
  0    success
  1    failure; the message says why
  2    invalid command line
  3    no such object
  4    the object already exists, is in use, or is in the wrong phase
  5    this host cannot run VMs: see `banger doctor`
  124  `vm wait` or `vm session wait` gave up after --timeout
  125  `vm exec`, `vm shell` or `vm run` failed before the guest's command ran
  126  the guest's command could not be executed
  127  the guest's command was not found
  130  interrupted
`vm exec`, `vm shell` and `vm run` exit with the exit code of the guest's command, or with 128 plus
the signal number if a signal ended it. `vm ssh` exits with the exit code of ssh.";

/// The code for a kind of failure.
pub const fn code(of: ErrorCode) -> i32 {
    match of {
        ErrorCode::NotFound => NOT_FOUND,
        ErrorCode::AlreadyExists | ErrorCode::InUse | ErrorCode::WrongPhase => CONFLICT,
        ErrorCode::Host => HOST,
        ErrorCode::Cancelled => INTERRUPTED,
        ErrorCode::InvalidRequest
        | ErrorCode::Unsupported
        | ErrorCode::Vmm
        | ErrorCode::Guest
        | ErrorCode::BadInput
        | ErrorCode::Timeout
        | ErrorCode::VersionMismatch
        | ErrorCode::Internal => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_the_code_that_the_table_has() {
        use ErrorCode as Kind;
        for (kind, expected) in [
            (Kind::NotFound, 3),
            (Kind::AlreadyExists, 4),
            (Kind::InUse, 4),
            (Kind::WrongPhase, 4),
            (Kind::Host, 5),
            (Kind::Cancelled, 130),
            (Kind::InvalidRequest, 1),
            (Kind::Unsupported, 1),
            (Kind::Vmm, 1),
            (Kind::Guest, 1),
            (Kind::BadInput, 1),
            (Kind::Timeout, 1),
            (Kind::VersionMismatch, 1),
            (Kind::Internal, 1),
        ] {
            assert_eq!(code(kind), expected, "{kind:?}");
            let line = format!("  {expected:<5}");
            assert!(
                TABLE.lines().any(|row| row.starts_with(&line)),
                "{expected} is not in the table"
            );
        }
    }
}
