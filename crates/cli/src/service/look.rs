//! What there is on this host: users, systemd and its units, the programs, the helper.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use banger_api::HelperReport;
use banger_client::daemon;
use banger_model::network::{Network, slot_of_tap};
use banger_model::shell_word;
use serde::Serialize;

use super::{PROGRAM, Place, unit_of};
use crate::failure::Failure;

/// Where `nft` may be; the helper looks nowhere else.
const NFT: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// Whether systemd is this host's init (sd_booted(3)).
pub(crate) fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether the program is there that changes the packet filter.
pub(crate) fn has_nft() -> bool {
    NFT.iter().any(|path| Path::new(path).exists())
}

/// The program that makes a user, if the helper's user is to be made and can be.
pub(crate) fn user_to_make() -> Option<&'static str> {
    let programs = ["/usr/sbin/useradd", "/sbin/useradd", "/usr/bin/useradd"];
    let program = programs.into_iter().find(|path| Path::new(path).exists());
    program.filter(|_| !has_user())
}

/// Whether there is the helper's user.
pub(crate) fn has_user() -> bool {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().any(|line| {
        line.strip_prefix(PROGRAM)
            .is_some_and(|rest| rest.starts_with(':'))
    })
}

/// The subnet that an owner's helper has recorded, as far as this process may read that.
pub(crate) fn recorded(place: &Place, owner: u32) -> Option<Network> {
    #[derive(serde::Deserialize)]
    struct Record {
        network: Network,
    }
    let text = std::fs::read(place.state(owner).join("network.json")).ok()?;
    Some(serde_json::from_slice::<Record>(&text).ok()?.network)
}

/// Whether this process may change the system.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user id of `user`, a name or an id; without one, of who called sudo, or of who runs this.
pub(crate) fn owner(user: Option<&str>) -> Result<u32, Failure> {
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    let Some(user) = user.map(str::to_owned).or_else(|| sudo.filter(|_| is_root())) else {
        return Ok(rustix::process::geteuid().as_raw());
    };
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let said = said(&["id", "-u", "--", &user])?;
    let id = String::from_utf8_lossy(&said.stdout).trim().parse().ok();
    id.filter(|_| said.status.success())
        .ok_or_else(|| Failure::new(format!("there is no user {user}"), &["name one: --owner USER"]))
}

/// The `banger-root` of this build, which lies beside this program.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    let path = us()?.with_file_name(PROGRAM);
    match path.is_file() {
        true => Ok(path),
        false => Err(Failure::new(
            format!("there is no {}", path.display()),
            &["install both: `make install`"],
        )),
    }
}

/// The command line that does as root what this one was to do. With the whole path: sudo has a PATH of its own.
pub(crate) fn by_sudo() -> Result<String, Failure> {
    let us = us()?.display().to_string();
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<_> = ["sudo".to_owned(), us].into_iter().chain(arguments).collect();
    Ok(words.join(" "))
}

/// Where sudo looks for programs, whatever `PATH` its user has (sudoers(5), `secure_path`).
const PATH_OF_SUDO: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The same text, in which `sudo banger` finds this program, wherever it is.
pub(crate) fn for_sudo(text: &str) -> Cow<'_, str> {
    match us() {
        Ok(us) if text.contains(BY_SUDO) => found_by_sudo(text, &us),
        _ => Cow::Borrowed(text),
    }
}

const BY_SUDO: &str = "sudo banger ";

fn found_by_sudo<'a>(text: &'a str, us: &Path) -> Cow<'a, str> {
    let dir = us.parent().unwrap_or(us);
    match PATH_OF_SUDO.iter().any(|known| Path::new(known) == dir) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.replace(BY_SUDO, &format!("sudo {} ", shell_word(&us.to_string_lossy())))),
    }
}

/// That this process may change the system.
pub(crate) fn need_root(what: &str) -> Result<(), Failure> {
    if is_root() {
        return Ok(());
    }
    Err(Failure::new(format!("only root can {what}"), &[&by_sudo()?]))
}

fn us() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::during("find this program", &error))
}

/// How a unit is, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unit {
    /// Its name.
    pub(crate) name: String,
    /// `active`, `failed`, …
    pub(crate) active: String,
    /// `enabled`, `disabled`, …; empty if there is no such unit.
    pub(crate) enabled: String,
}

/// The unit of an owner; none where no systemd runs.
pub(crate) fn unit(owner: u32) -> Result<Option<Unit>, Failure> {
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
pub(crate) fn journal(owner: u32) -> String {
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
pub(crate) fn is_shared(place: &Place, owner: u32) -> bool {
    let entries = std::fs::read_dir(place.wants()).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| name.starts_with("banger-root@") && name != unit_of(owner))
}

/// How many VMs of an owner have a card.
pub(crate) fn attached(owner: u32) -> usize {
    let entries = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| slot_of_tap(owner, name).is_some()).count()
}

/// What the helper of an owner says. By the daemon's program, which knows how to ask; no daemon is started.
pub(crate) fn helper(owner: u32) -> Result<HelperReport, Failure> {
    let program = daemon::program()?.display().to_string();
    let output = said(&[&program, "helper", "--owner", &owner.to_string()])?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Failure::during(format!("understand {program}"), &error).with_log(words)
    })
}

fn said(line: &[&str]) -> Result<Output, Failure> {
    let (program, arguments) = line.split_first().unwrap_or((&"true", &[]));
    let output = Command::new(program).args(arguments).output();
    output.map_err(|error| Failure::during(format!("run {program}"), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_has_the_whole_path_where_sudo_would_not_find_it() {
        let hint = "`sudo banger system install` installs it";
        for (us, shown) in [
            ("/usr/local/bin/banger", hint),
            ("/usr/bin/banger", hint),
            (
                "/home/me/.local/bin/banger",
                "`sudo /home/me/.local/bin/banger system install` installs it",
            ),
            (
                "/my tools/banger",
                "`sudo '/my tools/banger' system install` installs it",
            ),
        ] {
            assert_eq!(found_by_sudo(hint, Path::new(us)), shown);
        }
        assert_eq!(
            found_by_sudo("banger doctor", Path::new("/x/banger")),
            "banger doctor"
        );
    }
}
