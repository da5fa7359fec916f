//! What there is on this host: users, systemd and its units, the programs, the helper.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use banger_api::HelperReport;
use banger_client::daemon;
use banger_model::network::{Network, slot_of_tap};
use serde::Serialize;

use crate::error::Error;
use crate::place::{PROGRAM, Place, unit_of};

/// Where `nft` may be; the helper looks nowhere else.
const NFT: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// Whether systemd is this host's init (sd_booted(3)).
pub fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether the program is there that changes the packet filter.
pub fn has_nft() -> bool {
    NFT.iter().any(|path| Path::new(path).exists())
}

/// The program that makes a user, if the helper's user is to be made and can be.
pub fn user_to_make() -> Option<&'static str> {
    let programs = ["/usr/sbin/useradd", "/sbin/useradd", "/usr/bin/useradd"];
    let program = programs.into_iter().find(|path| Path::new(path).exists());
    program.filter(|_| !has_user())
}

/// Whether there is the helper's user.
pub fn has_user() -> bool {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().any(|line| {
        line.strip_prefix(PROGRAM)
            .is_some_and(|rest| rest.starts_with(':'))
    })
}

/// The subnet that an owner's helper has recorded, as far as this process may read that.
pub fn recorded(place: &Place, owner: u32) -> Option<Network> {
    #[derive(serde::Deserialize)]
    struct Record {
        network: Network,
    }
    let text = std::fs::read(place.state(owner).join("network.json")).ok()?;
    Some(serde_json::from_slice::<Record>(&text).ok()?.network)
}

/// Whether this process may change the system.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user id of `user`, a name or an id; without one, of who called sudo, or of who runs this.
pub fn owner(user: Option<&str>) -> Result<u32, Error> {
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    let Some(user) = user.map(str::to_owned).or_else(|| sudo.filter(|_| is_root())) else {
        return Ok(rustix::process::geteuid().as_raw());
    };
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let said = said(&["id", "-u", "--", &user])?;
    let id = String::from_utf8_lossy(&said.stdout).trim().parse().ok();
    id.filter(|_| said.status.success()).ok_or(Error::NoUser(user))
}

/// The `banger-root` of this build, which lies beside this program.
pub fn program() -> Result<PathBuf, Error> {
    let path = us()?.with_file_name(PROGRAM);
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::NoProgram(path)),
    }
}

/// The command line that does as root what this one was to do. With the whole path: sudo has a PATH of its own.
pub fn by_sudo() -> Result<String, Error> {
    let us = us()?.display().to_string();
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<_> = ["sudo".to_owned(), us].into_iter().chain(arguments).collect();
    Ok(words.join(" "))
}

/// That this process may change the system.
pub fn need_root(what: &'static str) -> Result<(), Error> {
    if is_root() {
        return Ok(());
    }
    Err(Error::NotRoot {
        what,
        instead: by_sudo()?,
    })
}

fn us() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(Error::Ourselves)
}

/// How a unit is, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// `active`, `failed`, …
    pub active: String,
    /// `enabled`, `disabled`, …; empty if there is no such unit.
    pub enabled: String,
}

/// The unit of an owner; none where no systemd runs.
pub fn unit(owner: u32) -> Result<Option<Unit>, Error> {
    if !systemd_runs() {
        return Ok(None);
    }
    let name = unit_of(owner);
    let properties = "--property=ActiveState,UnitFileState";
    let text = said(&["systemctl", "show", &name, properties])?.stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let value = |key: &str| {
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.next().unwrap_or_default().to_owned()
    };
    Ok(Some(Unit {
        active: value("ActiveState"),
        enabled: value("UnitFileState"),
        name,
    }))
}

/// The last words of a unit.
pub fn journal(owner: u32) -> String {
    let line = [
        "journalctl",
        "--unit",
        &unit_of(owner),
        "--lines=20",
        "--output=cat",
        "--no-pager",
    ];
    let words = said(&line).map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&words).into_owned()
}

/// Whether another user's helper is started with the system.
pub fn is_shared(place: &Place, owner: u32) -> bool {
    let entries = std::fs::read_dir(place.wants()).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| name.starts_with("banger-root@") && name != unit_of(owner))
}

/// How many VMs of an owner have a card.
pub fn attached(owner: u32) -> usize {
    let entries = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| slot_of_tap(owner, name).is_some()).count()
}

/// What the helper of an owner says. By the daemon's program, which knows how to ask; no daemon is started.
pub fn helper(owner: u32) -> Result<HelperReport, Error> {
    let program = daemon::program()?.display().to_string();
    let output = said(&[&program, "helper", "--owner", &owner.to_string()])?;
    serde_json::from_slice(&output.stdout).map_err(|source| Error::Answer {
        program,
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
        source,
    })
}

fn said(line: &[&str]) -> Result<Output, Error> {
    let (program, arguments) = line.split_first().unwrap_or((&"true", &[]));
    let output = Command::new(program).args(arguments).output();
    output.map_err(|source| Error::Run {
        program: (*program).to_owned(),
        source,
    })
}
