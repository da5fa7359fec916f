//! Which of our variables a daemon that we start gets. It outlives this command, its machines outlive it, and all of them show
//! what they were started with in `/proc`: so what a shell has for other programs, tokens above all, is not for them.

use std::ffi::{OsStr, OsString};

/// Who the user is, where things are, and how the network and its certificates are reached.
const NAMES: [&str; 31] = [
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CARGO_HOME",
    "CLOUDSDK_CONFIG",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "DOCKER_CONFIG",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GNUPGHOME",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PASSWORD_STORE_DIR",
    "PATH",
    "REGISTRY_AUTH_FILE",
    "RUST_BACKTRACE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
];

/// Beginnings of others: our own, the locale, and the places of the XDG base directory specification.
const PREFIXES: [&str; 3] = ["BANGER_", "LC_", "XDG_"];

/// Ends of others, in either case.
const SUFFIXES: [&str; 2] = ["_PROXY", "_proxy"];

/// The variables of here that a daemon gets.
pub(super) fn kept() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| is_kept(name))
}

fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_a_daemon_works_by_is_kept_and_nothing_else() {
        for kept in ["HOME", "PATH", "BANGER_HOME", "https_proxy", "NO_PROXY", "LC_ALL"] {
            assert!(is_kept(OsStr::new(kept)), "{kept}");
        }
        for other in [
            "API_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "GH_TOKEN",
            "LD_PRELOAD",
            "HOMER",
        ] {
            assert!(!is_kept(OsStr::new(other)), "{other}");
        }
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn the_documentation_lists_what_is_kept() {
        let page = include_str!("../../../../docs/environment.md");
        let (_, section) = page.split_once("inherits these variables and no others").unwrap();
        let (list, _) = section.split_once("In addition, each request").unwrap();
        let listed: BTreeSet<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let prefixes = PREFIXES.iter().map(|prefix| format!("{prefix}*"));
        let names = NAMES.iter().chain(&SUFFIXES).map(|name| (*name).to_owned());
        assert_eq!(listed, names.chain(prefixes).collect());
    }
}
