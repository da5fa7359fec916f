//! `banger-vsock-agent`: one program for every role of the guest's side; see the library.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use banger_vsock_agent::{boot, exec, session, ssh, supervisor};

const USAGE: &str =
    "banger-vsock-agent runs as a guest's first process (rdinit=/banger/agent); banger puts it there";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<RawFd> = args.iter().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let state = std::env::var(supervisor::STATE).unwrap_or_default();
    match args.first().map(String::as_str) {
        Some("shim") => exec::shim_main(),
        Some("session") => session::shim_main(),
        Some(ssh::ROLE) => ssh::main(),
        Some("supervise") => {
            // SAFETY: PID 1 passes these descriptors to this process for this purpose alone.
            let inherited: Vec<_> = numbers
                .iter()
                .map(|&number| unsafe { OwnedFd::from_raw_fd(number) })
                .collect();
            supervisor::run(&inherited, &state)
        }
        Some("serve") => {
            let again = std::env::var_os(supervisor::AGAIN).is_some();
            if let Err(failure) = boot::serve(&numbers, &state, again) {
                eprintln!("banger: {} ({})", failure.message, failure.causes.join(": "));
                return ExitCode::FAILURE;
            }
        }
        // The kernel may pass arguments that it did not understand itself.
        _ if std::process::id() == 1 => boot::main(),
        Some("--version") => println!("banger-vsock-agent {}", env!("CARGO_PKG_VERSION")),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
