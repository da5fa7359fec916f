//! The programs that belong to this daemon: where they lie, and this one itself.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program `name` in the directory of this executable.
pub fn beside_us(name: &str) -> PathBuf {
    directory().join(name)
}

/// The guest agent: where it was installed, or where the build left it. The first place is given when it is nowhere.
pub fn agent() -> PathBuf {
    const NAME: &str = "banger-vsock-agent";
    if let Some(path) = std::env::var_os("BANGER_AGENT").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let here = directory();
    let musl = format!("../{}-unknown-linux-musl/agent", std::env::consts::ARCH);
    let places = [
        here.join("../lib/banger").join(NAME),
        here.join(musl).join(NAME),
        here.join(NAME),
    ];
    let found = places.iter().find(|path| path.is_file());
    found.unwrap_or(&places[0]).clone()
}

fn directory() -> PathBuf {
    // /proc/self/exe of a replaced executable ends in " (deleted)"; its directory is still right.
    let path = std::env::current_exe().unwrap_or_default();
    path.parent().map(PathBuf::from).unwrap_or_default()
}

/// This program, with nothing of this daemon's environment but what says whose it is.
pub fn ourselves() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env_clear().stdin(Stdio::null());
    if let Some(home) = std::env::var_os("BANGER_HOME") {
        command.env("BANGER_HOME", home);
    }
    command
}
