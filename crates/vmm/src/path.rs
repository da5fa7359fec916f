//! Finding programs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use banger_model::VmmKind;

/// Where programs are as a rule. The `PATH` of a daemon is that of whoever started it, such as cron, and what its user installs
/// later may be elsewhere.
const USUAL: [&str; 6] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
];

/// The `PATH` of whoever asked last.
static OF_CALLER: Mutex<Option<OsString>> = Mutex::new(None);

/// Has programs looked for in the `PATH` of who asks, too: this process was started once, perhaps by cron.
pub fn also_in(path: &OsStr) {
    let mut known = OF_CALLER.lock().unwrap_or_else(PoisonError::into_inner);
    if known.as_deref() != Some(path) {
        *known = Some(path.to_owned());
    }
}

/// Programs that the configuration names, in place of a search.
static CONFIGURED: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());

/// Has the program of a VMM taken from where the configuration says, until that changes; searched for without one.
pub fn configure(kind: VmmKind, program: Option<&Path>) {
    let mut configured = CONFIGURED.lock().unwrap_or_else(PoisonError::into_inner);
    match program {
        Some(program) => configured.insert(kind.as_str(), program.to_owned()),
        None => configured.remove(kind.as_str()),
    };
}

/// The program of a VMM: where the environment variable says, else the configuration, else where `name` is found.
pub(crate) fn of_vmm(kind: VmmKind, variable: &str, name: &str) -> Option<PathBuf> {
    let said = std::env::var_os(variable).filter(|path| !path.is_empty());
    let configured = || {
        let configured = CONFIGURED.lock().unwrap_or_else(PoisonError::into_inner);
        configured.get(kind.as_str()).cloned()
    };
    match said.map(PathBuf::from).or_else(configured) {
        Some(program) => Some(program).filter(|program| is_executable(program)),
        None => find(name),
    }
}

/// The executable `name` on `PATH`, or where programs are as a rule, `cargo install`'s included, or on the `PATH` of who asks. That
/// comes last: it may have directories of what its user works on.
pub fn find(name: &str) -> Option<PathBuf> {
    let of_caller = OF_CALLER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
        .unwrap_or_default();
    // A relative one would be of this process's directory.
    let of_caller: Vec<PathBuf> = std::env::split_paths(&of_caller)
        .filter(|dir| dir.is_absolute())
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let installed = cargo.into_iter().chain(home).map(|dir| dir.join("bin"));
    let local = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/bin"));
    std::env::split_paths(&path)
        .chain(installed)
        .chain(local)
        .chain(USUAL.map(PathBuf::from))
        .chain(of_caller)
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_goes_before_the_search() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("my-qemu");
        std::fs::write(&program, "").unwrap();
        let of = || of_vmm(VmmKind::Qemu, "BANGER_NO_SUCH_VARIABLE", "sh");
        configure(VmmKind::Qemu, Some(&program));
        // It is named, but cannot be executed: another is not taken instead.
        assert_eq!(of(), None);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(of(), Some(program));
        configure(VmmKind::Qemu, None);
        assert_eq!(of(), find("sh"));
    }

    #[test]
    fn programs_of_who_asks_are_found_and_those_of_this_host_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["only-here-4711", "sh"] {
            let program = dir.path().join(name);
            std::fs::write(&program, "").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(find("only-here-4711"), None);
        also_in(OsStr::new(".:relative:"));
        assert_eq!(find("only-here-4711"), None);
        let path = std::env::join_paths([Path::new("bin"), dir.path()]).unwrap();
        also_in(&path);
        assert_eq!(find("only-here-4711"), Some(dir.path().join("only-here-4711")));
        assert!(find("sh").is_some_and(|sh| !sh.starts_with(dir.path())));
        also_in(OsStr::new("/usr/bin"));
        assert_eq!(find("only-here-4711"), None);
    }
}
