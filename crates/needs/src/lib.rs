//! The requirements of tests on their host. A test whose need is not met is reported as ignored, with the reason;
//! `BANGER_REQUIRE`, a list of needs or `all`, makes it fail instead. Only tests use this crate.
//!
//! The test harness of Rust decides at compile time what is ignored. A test binary that looks at its host has
//! `harness = false` and a `main` that calls [`run`].

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// The variable with the needs that have to be met.
pub const REQUIRE: &str = "BANGER_REQUIRE";

/// The names that it may have, beside `all`.
pub const NAMES: &[&str] = &[
    "buildah",
    "fake",
    "firecracker",
    "git",
    "loop",
    "nft",
    "npm",
    "pasta",
    "python",
    "python3",
    "registry",
    "root",
    "rsync",
    "sftp",
    "ssh",
    "ssh-agent",
    "tcg",
    "tun",
    "umoci",
    "user-namespaces",
];

/// The beginning of the kind of an ignored test, as harnesses show it before the test's name.
pub const IGNORED: &str = "ignored: ";

/// What a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The rights of root.
    Root,
    /// Loop devices, to mount images.
    LoopDevices,
    /// The device from which TAPs are made.
    Tun,
    /// A program.
    Program(&'static str),
}

impl Need {
    /// Its name in `BANGER_REQUIRE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::LoopDevices => "loop",
            Self::Tun => "tun",
            Self::Program(name) => name,
        }
    }

    /// Why it is not met, if it is not.
    pub fn absence(self) -> Option<String> {
        let exists = |path| Path::new(path).exists();
        match self {
            Self::Root => (!rustix::process::geteuid().is_root()).then(|| "this user is not root".to_owned()),
            Self::LoopDevices => {
                (!exists("/dev/loop-control")).then(|| "there are no loop devices".to_owned())
            }
            Self::Tun => (!exists("/dev/net/tun")).then(|| "there is no /dev/net/tun".to_owned()),
            Self::Program(name) => (!has_program(name)).then(|| format!("no {name} on PATH")),
        }
    }
}

/// Debian keeps some programs where an ordinary user's `PATH` does not lead.
fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path)
        .chain(beside)
        .any(|dir| dir.join(name).is_file())
}

/// A test cannot run, and has to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// Its need is required.
    #[error("{name} is required by BANGER_REQUIRE: {reason}")]
    Required {
        /// The need.
        name: String,
        /// Why it is not met.
        reason: String,
    },
    /// What is required is no need of any test.
    #[error("BANGER_REQUIRE names {0}, which no test needs: use all, or of {names}", names = NAMES.join(", "))]
    Unknown(String),
}

/// Takes a reason why the need `name` is not met; it is an error where that need is required.
///
/// # Errors
/// [`Unmet`]
pub fn unless_required(name: &str, reason: Option<String>) -> Result<Option<String>, Unmet> {
    judge(&std::env::var(REQUIRE).unwrap_or_default(), name, reason)
}

fn judge(required: &str, name: &str, reason: Option<String>) -> Result<Option<String>, Unmet> {
    let required = || required.split(',').map(str::trim).filter(|word| !word.is_empty());
    if let Some(unknown) = required().find(|word| *word != "all" && !NAMES.contains(word)) {
        return Err(Unmet::Unknown(unknown.to_owned()));
    }
    match reason {
        Some(reason) if required().any(|word| word == name || word == "all") => Err(Unmet::Required {
            name: name.to_owned(),
            reason,
        }),
        reason => Ok(reason),
    }
}

/// Why one of these needs is not met, if one is not.
///
/// # Errors
/// [`Unmet`]
pub fn absence(needs: &[Need]) -> Result<Option<String>, Unmet> {
    let absences = needs
        .iter()
        .map(|need| unless_required(need.name(), need.absence()));
    absences
        .into_iter()
        .find(|absence| !matches!(absence, Ok(None)))
        .unwrap_or(Ok(None))
}

/// The test `name`, ignored with its reason where there is one. One that may not be ignored fails.
pub fn trial(
    name: impl Into<String>,
    absence: Result<Option<String>, Unmet>,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    match absence {
        Ok(None) => Trial::test(name, test),
        // Whoever runs ignored tests all the same sees why this one cannot be.
        Ok(Some(reason)) => {
            let kind = format!("{IGNORED}{reason}").replace(['\n', '[', ']'], " ");
            Trial::test(name, || Err(reason.into()))
                .with_ignored_flag(true)
                .with_kind(kind)
        }
        Err(unmet) => Trial::test(name, move || Err(unmet.to_string().into())),
    }
}

/// Tests with the same needs.
pub type Group<'a> = (&'a [Need], &'a [(&'static str, fn())]);

/// Runs a test binary's tests as its command line says. `threads` run at once, if it says nothing.
pub fn run(threads: Option<usize>, groups: &[Group<'_>]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(threads);
    let mut trials = Vec::new();
    for (needs, tests) in groups {
        let absence = absence(needs);
        trials.extend(tests.iter().map(|&(name, test)| {
            trial(name, absence.clone(), move || {
                test();
                Ok(())
            })
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The names and functions of tests: `tests![reads, module::writes]`.
#[macro_export]
macro_rules! tests {
    ($($test:path),* $(,)?) => {
        &[$((stringify!($test), $test as fn())),*]
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Option<String> {
        Some("it is not there".to_owned())
    }

    #[test]
    fn what_is_required_must_be_there() {
        for (required, name, is_error) in [
            ("", "umoci", false),
            ("root", "umoci", false),
            ("umoci", "umoci", true),
            ("root, umoci", "umoci", true),
            ("all", "umoci", true),
            ("all", "firecracker", true),
        ] {
            assert_eq!(judge(required, name, missing()).is_err(), is_error, "{required}");
            assert_eq!(judge(required, name, None), Ok(None), "{required}");
        }
    }

    #[test]
    fn a_misspelt_need_fails_every_test() {
        let unknown = judge("firecraker", "umoci", None);
        assert_eq!(unknown, Err(Unmet::Unknown("firecraker".to_owned())));
    }

    #[test]
    fn a_program_is_looked_for_where_it_may_be() {
        assert_eq!(Need::Program("sh").absence(), None);
        let absence = Need::Program("no-such-program").absence();
        assert_eq!(absence.as_deref(), Some("no no-such-program on PATH"));
    }

    #[test]
    fn an_ignored_test_says_why_and_fails_if_it_is_run() {
        let ignored = trial("x", Ok(missing()), || Ok(()));
        assert!(ignored.has_ignored_flag());
        assert_eq!(ignored.kind(), "ignored: it is not there");
        let required = trial("x", Err(Unmet::Unknown("y".to_owned())), || Ok(()));
        assert!(!required.has_ignored_flag());
    }
}
