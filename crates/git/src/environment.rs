//! The environment of git, which is built: nothing of the caller's gets in but what is named here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_caller::Caller;

/// Variables of the caller's that git and the filters of the user's global configuration have: who the user is.
const KEPT: [&str; 4] = ["GIT_CONFIG_NOSYSTEM", "LOGNAME", "TZ", "USER"];

/// The same: where that configuration is, and other files and directories of the user's.
const PLACES: [&str; 10] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GNUPGHOME",
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

/// Places of programs, or of files that name programs. None of them is in the repository, unless the repository is the home
/// directory.
const TRUSTED: [&str; 5] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "HOME",
    "XDG_CONFIG_HOME",
];

/// Lists of directories in which programs and libraries are looked for.
const SEARCHED: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// All variables that are taken from the caller.
pub fn of_callers() -> impl Iterator<Item = &'static str> {
    KEPT.into_iter().chain(PLACES).chain(SEARCHED)
}

/// Where programs are when nobody says.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What is the same each time.
const FIXED: [(&str, &str); 11] = [
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // Objects as they are, and none from the network: a partial clone's missing ones are fetched by programs.
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "file"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
    ("GIT_LFS_SKIP_SMUDGE", "1"),
    ("GIT_PAGER", "cat"),
    ("GIT_ASKPASS", "false"),
    // File names are what they are called, whatever they contain.
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("LC_ALL", "C.UTF-8"),
];

/// What git has, as it was when this was made.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Its variables.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// Git.
    pub(crate) program: Option<PathBuf>,
}

impl Environment {
    /// For git on the work tree at `root`: of the caller for whom this thread works, or else of this program.
    pub(crate) fn of(root: Option<&Path>) -> Self {
        let caller = Caller::current();
        let variable = |name: &str| match &caller {
            Some(caller) => caller.variable(name),
            None => std::env::var_os(name),
        };
        let home = variable("HOME").and_then(|home| resolved(Path::new(&home)));
        let real = root.map(|root| root.canonicalize().unwrap_or_else(|_| root.to_owned()));
        let top = real.as_deref().map(|root| outermost(root, home.as_deref()));
        let is_home = top.is_some() && top == home.as_deref();
        let variables = built(variable, top, is_home);
        let program = program("git", &variables);
        Self { variables, program }
    }
}

/// The outermost repository that `root` is in: what a submodule brings came with what it is in. A home directory that is a
/// repository is the user's own, and so is what is below it.
fn outermost<'a>(root: &'a Path, home: Option<&Path>) -> &'a Path {
    let above = root.ancestors().take_while(|dir| Some(*dir) != home);
    let mut repositories = above.filter(|dir| dir.join(".git").symlink_metadata().is_ok());
    let innermost = repositories.next();
    repositories.last().or(innermost).unwrap_or(root)
}

/// The variables of git on a repository whose top is `root`, which may be the user's home directory.
fn built(
    of_caller: impl Fn(&str) -> Option<OsString>,
    root: Option<&Path>,
    is_home: bool,
) -> Vec<(OsString, OsString)> {
    let mut variables = Vec::new();
    for name in KEPT {
        variables.extend(of_caller(name).map(|value| (name.into(), value)));
    }
    for name in PLACES {
        let is_foreign = |path: &Path| !is_home && TRUSTED.contains(&name) && is_within(path, root);
        let place = of_caller(name).and_then(|value| resolved(Path::new(&value)));
        let place = place.filter(|path| !is_foreign(path));
        variables.extend(place.map(|path| (name.into(), path.into_os_string())));
    }
    for name in SEARCHED {
        let value = of_caller(name).or_else(|| (name == "PATH").then(|| PATH.into()));
        let value = value
            .map(|value| outside(&value, root))
            .filter(|value| !value.is_empty());
        variables.extend(value.map(|value| (name.into(), value)));
    }
    variables.extend(FIXED.map(|(name, value)| (name.into(), value.into())));
    variables
}

/// Where a path of the caller's leads, as seen from here. git stands in the repository: there a relative path, or one through
/// `/proc/self/cwd`, leads to something else, and for it there is nothing.
fn resolved(path: &Path) -> Option<PathBuf> {
    if !path.is_absolute() {
        return None;
    }
    match path.canonicalize() {
        Ok(path) => Some(path),
        // A link that leads nowhere from here may lead somewhere from there.
        Err(_) if path.symlink_metadata().is_ok() => None,
        Err(_) => Some(resolved(path.parent()?)?.join(path.file_name()?)),
    }
}

/// A list of directories without those that could be in the repository: empty, relative, or below its top.
fn outside(list: &OsStr, root: Option<&Path>) -> OsString {
    let dirs = list
        .as_bytes()
        .split(|&byte| byte == b':')
        .filter_map(|dir| resolved(Path::new(OsStr::from_bytes(dir))));
    let dirs: Vec<PathBuf> = dirs.filter(|dir| !is_within(dir, root)).collect();
    let dirs: Vec<&[u8]> = dirs.iter().map(|dir| dir.as_os_str().as_bytes()).collect();
    OsString::from_vec(dirs.join(&b':'))
}

/// Whether a path is below `root`, under its own name or, by a bind mount, under another.
fn is_within(path: &Path, root: Option<&Path>) -> bool {
    let Some(root) = root else { return false };
    let id = |path: &Path| path.metadata().map(|it| (it.dev(), it.ino())).ok();
    let top = id(root);
    path.starts_with(root) || (top.is_some() && path.ancestors().any(|above| id(above) == top))
}

/// The program `name` in the directories of `PATH` of `variables`, or where programs are.
fn program(name: &str, variables: &[(OsString, OsString)]) -> Option<PathBuf> {
    let path = variables.iter().find(|(variable, _)| variable == "PATH");
    let path = path.map_or(OsStr::new(""), |(_, path)| path.as_os_str());
    let dirs = std::env::split_paths(path).chain(std::env::split_paths(PATH));
    let found = dirs.map(|dir| dir.join(name));
    found.into_iter().find(|file| {
        let access = rustix::fs::access(file, rustix::fs::Access::EXEC_OK);
        access.is_ok() && file.is_file()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_callers_gets_in_that_is_not_named() {
        let of_caller = |name: &str| match name {
            "GIT_EXEC_PATH" => Some(OsString::from("libexec")),
            _ => Some(OsString::from("/x")),
        };
        let variables = built(of_caller, None, false);
        let names: Vec<&str> = variables.iter().filter_map(|(name, _)| name.to_str()).collect();
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_COMMON_DIR",
            "GIT_NAMESPACE",
            "GIT_CONFIG",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_PARAMETERS",
            "GIT_EXTERNAL_DIFF",
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "GIT_PROXY_COMMAND",
            "GIT_EDITOR",
            "GIT_TEMPLATE_DIR",
            "GIT_TRACE",
            "GIT_TRACE2",
            "LD_PRELOAD",
            "SSH_ASKPASS",
            "EDITOR",
            "VISUAL",
            "PAGER",
            "BASH_ENV",
            "ENV",
            "GIT_EXEC_PATH",
            "SSH_AUTH_SOCK",
            "API_TOKEN",
        ] {
            assert!(!names.contains(&name), "{name}");
            banger_cases::refused("git", &format!("environment.{}", name.to_lowercase()));
        }
        for name in ["HOME", "PATH", "GIT_CONFIG_GLOBAL", "GIT_NO_LAZY_FETCH"] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_caller_has_its_own_variables_and_none_of_this_program() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join("git");
        std::fs::write(&git, "").unwrap();
        std::os::unix::fs::symlink("/bin/true", dir.path().join("other")).unwrap();
        let caller = |path: &Path| Some(Caller::new(vec![("PATH".to_owned(), path.into())]));
        let of = |path: &Path| Caller::scope(caller(path), || Environment::of(None));
        // That file cannot be run, so the usual directories count.
        let here = of(dir.path());
        let is = |name: &str| here.variables.iter().find(|(known, _)| known == name);
        assert_eq!(is("PATH").unwrap().1, dir.path());
        assert_eq!(is("HOME"), None);
        assert!(here.program.as_ref().is_some_and(|program| *program != git));
        std::fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(of(dir.path()).program, Some(git));
    }

    #[test]
    fn a_submodule_is_no_more_trusted_than_what_it_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let (outer, sub) = (home.join("outer"), home.join("outer/libs/sub"));
        for repository in [&home, &outer, &sub] {
            std::fs::create_dir_all(repository.join(".git")).unwrap();
        }
        assert_eq!(outermost(&sub, Some(&home)), outer);
        assert_eq!(outermost(&outer, Some(&home)), outer);
        assert_eq!(outermost(&home, Some(&home)), home);
        assert_eq!(outermost(&sub, None), home);
        banger_cases::refused("git", "path.of-the-superproject");
    }

    #[test]
    fn programs_are_not_looked_for_in_the_repository() {
        let root = Path::new("/home/me/repo");
        for (list, kept) in [
            (".:/usr/bin", "/usr/bin"),
            (":/usr/bin:", "/usr/bin"),
            ("/usr/bin/../bin", "/usr/bin"),
            ("bin:/usr/bin", "/usr/bin"),
            ("/home/me/repo/node_modules/.bin:/usr/bin", "/usr/bin"),
            (
                "/home/me/repository/bin:/usr/bin",
                "/home/me/repository/bin:/usr/bin",
            ),
        ] {
            assert_eq!(outside(OsStr::new(list), Some(root)), kept, "{list}");
        }
        banger_cases::refused("git", "path.relative-or-within");
    }

    #[test]
    fn a_path_that_means_something_else_in_the_repository_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let repository = top.join("repository");
        std::fs::create_dir_all(repository.join(".config/git")).unwrap();
        std::os::unix::fs::symlink("/proc/self/cwd/no/such", top.join("magic")).unwrap();
        std::os::unix::fs::symlink(&repository, top.join("link")).unwrap();
        let at = |path: &str| top.join(path).into_os_string();
        let built = |name: &'static str, value: &OsString, is_home: bool| {
            let of_caller = |asked: &str| (asked == name).then(|| value.clone());
            let variables = built(of_caller, Some(&repository), is_home);
            let found = variables.into_iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value)
        };
        let cwd = std::env::current_dir().unwrap();
        for name in PLACES {
            for value in ["", ".", "x", ".config", "../x"] {
                assert_eq!(built(name, &value.into(), false), None, "{name}={value}");
            }
            assert_eq!(built(name, &at("magic"), false), None, "{name} by a link");
            assert_eq!(built(name, &at("magic/x"), false), None, "{name} behind a link");
            assert_eq!(
                built(name, &at("none/yet"), false),
                Some(at("none/yet")),
                "{name}"
            );
            let seen = built(name, &"/proc/self/cwd".into(), false);
            assert_eq!(seen.as_deref(), Some(cwd.as_os_str()), "{name}");
            for inside in ["repository/.config", "link/.config", "repository/none"] {
                let kept = built(name, &at(inside), false).is_some();
                assert_eq!(kept, !TRUSTED.contains(&name), "{name}={inside}");
                assert!(built(name, &at(inside), true).is_some(), "{name}={inside}");
            }
            banger_cases::refused("git", &format!("environment.{}.elsewhere", name.to_lowercase()));
        }
        for list in ["magic", "link", "repository/bin", "link/bin"] {
            assert_eq!(outside(&at(list), Some(&repository)), "", "{list}");
        }
    }
}
