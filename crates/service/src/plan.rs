//! What is done to install, restart and remove the helper. Pure.

use std::fmt;
use std::path::{Path, PathBuf};

use banger_model::network::Room;

use crate::place::{PROGRAM, Place, unit_of};
use crate::unit;

/// One thing to do. Each may be done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Let there be a directory, and those above it.
    Directory(PathBuf),
    /// Put a program in its place, all of it at once.
    Program {
        /// Where it is.
        from: PathBuf,
        /// Its place.
        to: PathBuf,
    },
    /// Put a text in its place, all of it at once.
    Text {
        /// Its place.
        to: PathBuf,
        /// It.
        text: String,
    },
    /// Let a symbolic link lead there.
    Link {
        /// Where it is.
        at: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// Let there be no such file.
    Remove(PathBuf),
    /// Let there be no such directory, and nothing in it.
    RemoveAll(PathBuf),
    /// Let there be no such directory, if nothing is in it.
    RemoveEmpty(PathBuf),
    /// Run a program to its end.
    Run(Vec<String>),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "make {}", path.display()),
            Self::Program { from, to } => write!(f, "copy {} to {}", from.display(), to.display()),
            Self::Text { to, .. } => write!(f, "write {}", to.display()),
            Self::Link { at, to } => write!(f, "link {} to {}", at.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::RemoveAll(path) => write!(f, "remove {} and what is in it", path.display()),
            Self::RemoveEmpty(path) => write!(f, "remove {} if it is empty", path.display()),
            Self::Run(line) => write!(f, "run {}", line.join(" ")),
        }
    }
}

/// Who starts the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// systemd, now and with the host.
    Systemd,
    /// Nobody that banger knows: another init, or a person.
    ByHand,
    /// The systemd of another system, when that starts.
    Later,
}

/// For whom the helper is installed, and what root decides for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Their user id.
    pub id: u32,
    /// Of which addresses their network may be, if that is decided again.
    pub range: Option<Room>,
}

/// Installs the program and, where there is an owner, their helper. An older one is replaced; VMs keep their network. `user` is
/// the program that makes the helper's user, if that is to be made.
pub fn install(
    place: &Place,
    from: &Path,
    owner: Option<Owner>,
    starter: Starter,
    user: Option<&str>,
) -> Vec<Action> {
    let mut actions = directory_of(&place.program());
    actions.push(Action::Program {
        from: from.to_owned(),
        to: place.program(),
    });
    if let Some(program) = user {
        let options = [
            "--system",
            "--no-create-home",
            "--home-dir",
            "/",
            "--shell",
            "/usr/sbin/nologin",
            "--user-group",
        ];
        let line = [program].into_iter().chain(options).chain([PROGRAM]);
        actions.push(Action::Run(line.map(str::to_owned).collect()));
    }
    if let Some(Owner {
        id,
        range: Some(range),
    }) = owner
    {
        let to = place.settings(id);
        actions.extend(directory_of(&to));
        let text = format!(
            "# Of which addresses VMs' networks may be: banger system install --range\n{}={range}\n",
            unit::RANGE
        );
        actions.push(Action::Text { to, text });
    }
    let owner = owner.map(|owner| owner.id);
    if starter == Starter::ByHand {
        return actions;
    }
    actions.extend(directory_of(&place.template()));
    actions.push(Action::Text {
        to: place.template(),
        text: unit::template(),
    });
    let unit = owner.map(unit_of);
    match (starter, unit) {
        (Starter::Systemd, Some(unit)) => actions.extend([
            systemctl(&["daemon-reload"]),
            systemctl(&["enable", &unit]),
            // Those of other users run the same program.
            systemctl(&["try-restart", "banger-root@*.service"]),
            // Returns when the helper says that its socket is there.
            systemctl(&["start", &unit]),
        ]),
        (Starter::Later, Some(unit)) => {
            let at = place.wants().join(unit);
            actions.extend(directory_of(&at));
            let to = "../banger-root@.service".into();
            actions.push(Action::Link { at, to });
        }
        (_, None) | (Starter::ByHand, _) => {}
    }
    actions
}

/// Ends the helper and starts it again, which makes the host what its plan says.
pub fn restart(owner: u32) -> Vec<Action> {
    vec![systemctl(&["restart", &unit_of(owner)])]
}

/// What there is to uninstall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Whether the owner's unit is known to the systemd that runs.
    pub unit: bool,
    /// Whether others' helpers use the same files.
    pub shared: bool,
    /// Whether there is the helper's user.
    pub user: bool,
}

/// Removes the owner's helper, and the files if nobody else's helper needs them. `purge` names the program that removes
/// what the helper made, with what it recorded.
pub fn uninstall(place: &Place, owner: u32, there: Installed, purge: Option<&Path>) -> Vec<Action> {
    let mut actions = Vec::new();
    if there.unit {
        actions.push(systemctl(&["disable", "--now", &unit_of(owner)]));
    }
    if let Some(program) = purge {
        let line = [
            &program.display().to_string(),
            "teardown",
            "--owner",
            &owner.to_string(),
        ];
        actions.push(Action::Run(line.map(str::to_owned).to_vec()));
        actions.push(Action::RemoveAll(place.state(owner)));
    }
    actions.push(Action::Remove(place.socket(owner)));
    actions.push(Action::Remove(place.settings(owner)));
    if there.shared {
        return actions;
    }
    actions.push(Action::Remove(place.at("/run/banger-root/addresses.lock")));
    if purge.is_some() && there.user {
        actions.push(Action::Run(["userdel", PROGRAM].map(str::to_owned).to_vec()));
    }
    actions.push(Action::Remove(place.program()));
    let template = place.template();
    actions.push(Action::Remove(template));
    if there.unit {
        actions.push(systemctl(&["daemon-reload"]));
    }
    let paths = [
        place.program(),
        place.socket(owner),
        place.state(owner),
        place.settings(owner),
    ];
    let dirs = paths.iter().filter_map(|path| path.parent());
    actions.extend(dirs.map(|dir| Action::RemoveEmpty(dir.to_owned())));
    actions
}

fn directory_of(path: &Path) -> Vec<Action> {
    let dir = path.parent().map(|dir| Action::Directory(dir.to_owned()));
    dir.into_iter().collect()
}

fn systemctl(arguments: &[&str]) -> Action {
    let line = ["systemctl"].iter().chain(arguments);
    Action::Run(line.map(|word| (*word).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(actions: &[Action]) -> String {
        let lines: Vec<_> = actions.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn install_here(starter: Starter) -> Vec<Action> {
        let from = Path::new("/home/ann/.local/bin/banger-root");
        let range = Some("10.66.0.0/16".parse().unwrap());
        install(
            &Place::here(),
            from,
            Some(Owner { id: 1000, range }),
            starter,
            Some("/usr/sbin/useradd"),
        )
    }

    #[test]
    fn systemd_starts_it_now_and_with_the_host() {
        let actions = install_here(Starter::Systemd);
        insta::assert_snapshot!(told(&actions));
        let unit = actions.iter().find_map(|action| match action {
            Action::Text { to, text } if to.ends_with("banger-root@.service") => Some(text.as_str()),
            _ => None,
        });
        insta::assert_snapshot!(unit.unwrap());
    }

    #[test]
    fn without_systemd_the_program_is_put_in_its_place() {
        insta::assert_snapshot!(told(&install_here(Starter::ByHand)));
    }

    #[test]
    fn another_system_starts_it_when_it_starts() {
        let (place, from) = (
            Place::below(Path::new("/mnt/image")),
            Path::new("/usr/bin/banger-root"),
        );
        let owner = Owner {
            id: 1000,
            range: None,
        };
        insta::assert_snapshot!(told(&install(&place, from, Some(owner), Starter::Later, None)));
        let nobodys = told(&install(&place, from, None, Starter::Later, None));
        assert!(
            nobodys.ends_with("write /mnt/image/etc/systemd/system/banger-root@.service"),
            "{nobodys}"
        );
    }

    #[test]
    fn nothing_is_left() {
        let (place, program) = (Place::here(), Place::here().program());
        let alone = Installed {
            unit: true,
            shared: false,
            user: true,
        };
        insta::assert_snapshot!(told(&uninstall(&place, 1000, alone, Some(&program))));
        // What others use stays, and so does the network without --purge.
        let shared = Installed {
            shared: true,
            ..alone
        };
        insta::assert_snapshot!(told(&uninstall(&place, 1000, shared, None)));
    }
}
