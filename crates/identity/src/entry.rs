//! Which files of the host's go into guests: `[[file_sync]]` of `config.toml`, and what is there without it.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use utoipa::ToSchema;

/// Below the home directory; in a guest, root's.
const HOME: &str = "~/";
const GUEST_HOME: &str = "/root";

/// A file or directory of the host that is copied into each VM at its start ([identity.md](identity.md#files)). The section may be
/// repeated.
///
/// ```toml
/// [[file_sync]]
/// host = "~/.config/gh/hosts.yml"
/// guest = "~/.config/gh/hosts.yml"
/// mode = "0600"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSync {
    /// File or directory on the host.
    #[schema(value_type = String, format = "path that begins with `/` or `~/`", example = "~/.config/gh/hosts.yml")]
    pub(crate) host: HostPath,
    /// Path in the guest.
    #[schema(value_type = String, format = "path that begins with `/` or `~/` (`/root`)", required = false,
        example = "/etc/gh/hosts.yml", extensions(("x-default" = json!("the same as `host`"))))]
    guest: Option<GuestPath>,
    /// Permissions of files.
    #[serde(default)]
    #[schema(value_type = String, format = "text of 3 or 4 octal digits", default = "0600", example = "0644")]
    pub(crate) mode: FileMode,
}

/// An entry as it is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is on the host.
    pub(crate) host: HostPath,
    /// An absolute path in the guest.
    pub(crate) guest: String,
    /// The permissions of files.
    pub(crate) mode: FileMode,
    /// How it goes.
    pub(crate) manner: Manner,
}

/// How a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As the user has said: it is told when it is missing.
    Asked,
    /// Without being asked for: nobody misses it.
    Default,
    /// The same, but only these keys of its JSON, and only to a guest that has no such file.
    Keys(&'static [&'static str]),
}

/// What coding agents keep their logins in, on Linux.
///
/// Claude Code asks to log in, whatever its credentials are, until its settings say that it was introduced. Those settings
/// also have what was worked on and with what servers, which is no guest's business, and in a guest they are that guest's.
const DEFAULTS: [(&str, Manner); 4] = [
    ("~/.local/share/opencode/auth.json", Manner::Default),
    ("~/.claude/.credentials.json", Manner::Default),
    (
        "~/.claude.json",
        Manner::Keys(&["hasCompletedOnboarding", "oauthAccount"]),
    ),
    ("~/.pi/agent/auth.json", Manner::Default),
];

/// What goes: the user's entries, and defaults that are in the way of none of them.
pub(crate) fn all(own: &[FileSync], defaults: bool) -> Vec<Entry> {
    let own: Vec<Entry> = own.iter().map(FileSync::entry).collect();
    let defaults = DEFAULTS.iter().filter(|_| defaults).map(|(host, manner)| {
        let host = HostPath((*host).to_owned());
        Entry {
            guest: host.in_guest(),
            host,
            mode: FileMode::default(),
            manner: *manner,
        }
    });
    let free = defaults.filter(|entry| !own.iter().any(|own| own.guest == entry.guest));
    let free: Vec<Entry> = free.collect();
    own.into_iter().chain(free).collect()
}

impl FileSync {
    fn entry(&self) -> Entry {
        let guest = self.guest.as_ref().map(|guest| guest.0.clone());
        Entry {
            guest: guest.unwrap_or_else(|| self.host.in_guest()),
            host: self.host.clone(),
            mode: self.mode,
            manner: Manner::Asked,
        }
    }
}

/// An absolute path of the host's, or one that begins with `~/`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostPath(String);

/// An absolute path of the guest's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct GuestPath(String);

/// Permissions, written as `"0600"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FileMode(u16);

/// A value of an entry that is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidEntry {
    /// Not absolute, or with a way back in it.
    #[error("invalid file path `{0}`: expected `/` or `~/` at the start, and no `..`")]
    Path(String),
    /// No permissions.
    #[error("invalid file mode `{0}`: expected a form such as \"0600\"")]
    Mode(String),
}

impl HostPath {
    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, and whether it is below `home`.
    pub(crate) fn of(&self, home: &Path) -> (PathBuf, bool) {
        match self.0.strip_prefix(HOME) {
            Some(rest) => (home.join(rest), true),
            None => {
                let path: PathBuf = Path::new(&self.0).components().collect();
                let is_homes = path.starts_with(home);
                (path, is_homes)
            }
        }
    }

    fn in_guest(&self) -> String {
        guest_path(&self.0)
    }
}

impl TryFrom<String> for HostPath {
    type Error = InvalidEntry;

    fn try_from(text: String) -> Result<Self, InvalidEntry> {
        checked(text).map(Self)
    }
}

impl TryFrom<String> for GuestPath {
    type Error = InvalidEntry;

    fn try_from(text: String) -> Result<Self, InvalidEntry> {
        checked(text).map(|text| Self(guest_path(&text)))
    }
}

impl Default for FileMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FileMode {
    /// Of a file.
    pub(crate) const fn of_file(self) -> u16 {
        self.0
    }

    /// Of a directory of such files: who may read may enter.
    pub(crate) const fn of_directory(self) -> u16 {
        self.0 | 0o700 | (self.0 & 0o444) >> 2
    }
}

impl TryFrom<String> for FileMode {
    type Error = InvalidEntry;

    fn try_from(text: String) -> Result<Self, InvalidEntry> {
        let mode = u16::from_str_radix(&text, 8).ok();
        let mode = mode.filter(|mode| mode & !0o777 == 0 && (3..=4).contains(&text.len()));
        mode.map(Self).ok_or(InvalidEntry::Mode(text))
    }
}

fn guest_path(text: &str) -> String {
    let path = text.strip_prefix(HOME).map(|rest| format!("{GUEST_HOME}/{rest}"));
    let path = path.unwrap_or_else(|| text.to_owned());
    path.trim_end_matches('/').to_owned()
}

fn checked(text: String) -> Result<String, InvalidEntry> {
    let rest = text.strip_prefix(HOME).or_else(|| text.strip_prefix('/'));
    let is_file = rest.is_some_and(|rest| {
        let mut parts = Path::new(rest).components();
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        !rest.trim_matches('/').is_empty() && !rest.contains('\0') && parts.all(is_plain)
    });
    match is_file {
        true => Ok(text),
        false => Err(InvalidEntry::Path(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FileSync, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn an_entry_goes_to_the_same_place_unless_it_says_another() {
        let guest = |text: &str| parse(text).unwrap().entry().guest;
        assert_eq!(guest("host = \"~/.netrc\""), "/root/.netrc");
        assert_eq!(guest("host = \"/etc/ssl/own.pem\""), "/etc/ssl/own.pem");
        assert_eq!(
            guest("host = \"~/x/\"\nguest = \"~/.config/x/\""),
            "/root/.config/x"
        );
    }

    #[test]
    fn paths_and_modes_that_are_none_are_refused() {
        for wrong in ["", "x", "~", "~/", "/", "~/../etc/shadow", "/a/../b", "~other/x"] {
            assert!(parse(&format!("host = \"{wrong}\"")).is_err(), "{wrong}");
        }
        for wrong in ["600 ", "0x1", "9", "4755", "07777", ""] {
            let text = format!("host = \"~/a\"\nmode = \"{wrong}\"");
            assert!(parse(&text).is_err(), "{wrong}");
        }
        let mode = parse("host = \"~/a\"\nmode = \"0640\"").unwrap().mode;
        assert_eq!((mode.of_file(), mode.of_directory()), (0o640, 0o750));
    }

    #[test]
    fn a_users_entry_replaces_the_default_for_its_place() {
        let own = parse("host = \"~/work.json\"\nguest = \"~/.claude.json\"").unwrap();
        let all = |defaults| all(std::slice::from_ref(&own), defaults);
        assert_eq!(all(false).len(), 1);
        assert_eq!(all(true).len(), DEFAULTS.len());
        assert_eq!(all(true)[0].manner, Manner::Asked);
    }
}
