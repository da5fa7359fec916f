//! The environment of who asks, which goes along with requests: the daemon was started once, by whoever came first, and git and
//! the filters of its user's configuration are to be found where the caller has them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use banger_guest_api::query::{decoded, encoded};

/// The header of requests that has it, as `NAME=VALUE&…` with percent-encoded values.
pub const HEADER: &str = "banger-caller";

/// The variables that go along: where programs are, and where the user's configuration of git is. None of them is a secret.
const NAMES: [&str; 16] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GNUPGHOME",
    "HOME",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

/// A longer value than this stays here, as does what makes the header longer than a server takes.
const MOST: usize = 32 << 10;

/// The header's value for these variables.
#[must_use]
pub fn header(variable: impl Fn(&str) -> Option<OsString>) -> String {
    let mut header = String::new();
    for name in NAMES {
        let Some(value) = variable(name) else { continue };
        let value = encoded(value.as_bytes());
        if header.len() + value.len() <= MOST {
            if !header.is_empty() {
                header.push('&');
            }
            header.push_str(name);
            header.push('=');
            header.push_str(&value);
        }
    }
    header
}

/// The variables that a header names, as far as they may.
#[must_use]
pub fn variables(header: &str) -> Vec<(String, OsString)> {
    let pairs = header.split('&').filter_map(|pair| pair.split_once('='));
    let known = pairs.filter(|(name, _)| NAMES.contains(name));
    let values = known.filter_map(|(name, value)| Some((name.to_owned(), decoded(value)?)));
    values
        .map(|(name, value)| (name, OsString::from_vec(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_lists_what_goes_along() {
        let page = include_str!("../../../docs/environment.md");
        let (_, section) = page.split_once("In addition, each request").unwrap();
        let (list, _) = section.split_once(". A VMM").unwrap();
        let listed: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, NAMES.into());
    }

    #[test]
    fn what_goes_along_arrives_and_nothing_else_does() {
        let of_caller = |name: &str| match name {
            "PATH" => Some(OsString::from_vec(b"/a b:/c&d=\xff:/%41".to_vec())),
            "HOME" => Some(OsString::from("")),
            "TZ" => Some(OsString::from("x".repeat(MOST))),
            "USER" => Some(OsString::from("me")),
            _ => None,
        };
        let header = header(of_caller);
        assert!(header.is_ascii() && !header.contains(' '), "{header}");
        assert_eq!(
            variables(&header),
            [
                ("HOME".to_owned(), OsString::new()),
                (
                    "PATH".to_owned(),
                    OsString::from_vec(b"/a b:/c&d=\xff:/%41".to_vec())
                ),
                ("USER".to_owned(), OsString::from("me")),
            ]
        );
        for hostile in ["LD_PRELOAD=/x", "GIT_DIR=/x", "PATH=%zz", "PATH", "=", "&&=&"] {
            assert_eq!(variables(hostile), [], "{hostile}");
        }
    }
}
