//! `banger-root serve|teardown --owner UID --socket-dir DIR --state-dir DIR`

use std::path::PathBuf;
use std::process::ExitCode;

use banger_model::network::Room;
use banger_root::helper::chain;
use banger_root::serve::{Config, ServeError, serve, teardown};

const USAGE: &str =
    "usage: banger-root serve|teardown --owner UID [--range BLOCKS] [--socket-dir DIR] [--state-dir DIR]

serve     serves the verbs of banger's network to user UID and to root, at DIR/UID.sock
teardown  removes what was made for user UID, when none serves
  --range BLOCKS    the addresses of which networks may be, such as 10.66.0.0/16 or 10.66.0.0/16,fd12::/48
                    [default: 172.16.0.0/16]
  --socket-dir DIR  default /run/banger-root
  --state-dir DIR   default /var/lib/banger-root/UID";

fn main() -> ExitCode {
    let Some((verb, config)) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // What whoever started this left open is nobody's business here.
    // SAFETY: nothing of this process owns a descriptor beyond the first three yet.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    let Err(error) = verb(&config) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", chain(&error));
    ExitCode::FAILURE
}

type Run = fn(&Config) -> Result<(), ServeError>;

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(Run, Config)> {
    let run: Run = match arguments.next()?.as_str() {
        "serve" => serve,
        "teardown" => teardown,
        _ => return None,
    };
    let (mut owner, mut socket_dir, mut state_dir, mut room) = (None, None, None, Room::default());
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--owner" => owner = Some(value.parse::<u32>().ok()?),
            "--range" => room = value.parse().ok()?,
            "--socket-dir" => socket_dir = Some(std::path::absolute(value).ok()?),
            "--state-dir" => state_dir = Some(std::path::absolute(value).ok()?),
            _ => return None,
        }
    }
    let owner = owner?;
    let config = Config {
        owner,
        socket_dir: socket_dir.unwrap_or_else(|| PathBuf::from("/run/banger-root")),
        state_dir: state_dir.unwrap_or_else(|| PathBuf::from(format!("/var/lib/banger-root/{owner}"))),
        room,
        apart: None,
    };
    Some((run, config))
}
