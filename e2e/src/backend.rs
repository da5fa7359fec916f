//! What runs the guests of a story.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};

/// What runs the guests of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The agent as a process of the host: everything but a guest, in milliseconds.
    Fake,
    /// QEMU's emulation, with Debian's kernel: anywhere.
    Tcg,
    /// Firecracker, with the kernel that `BANGER_TEST_KERNEL` names.
    Firecracker,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fake, Self::Tcg, Self::Firecracker];

    /// The program that a fake machine is.
    pub const FAKE_PROGRAM: &str = "banger-fake-guest";

    /// Its name in the names of tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fake => "fake",
            Self::Tcg => "tcg",
            Self::Firecracker => "firecracker",
        }
    }

    /// The `--vmm` and `--kernel` of its VMs.
    pub const fn options(self) -> [&'static str; 4] {
        match self {
            Self::Fake => ["--vmm", "fake", "--kernel", "debian"],
            Self::Tcg => ["--vmm", "qemu", "--kernel", "debian"],
            Self::Firecracker => ["--vmm", "firecracker", "--kernel", "test"],
        }
    }

    /// Whether a kernel really boots.
    pub const fn is_real(self) -> bool {
        !matches!(self, Self::Fake)
    }

    /// Why it cannot be used here, if it cannot.
    ///
    /// # Errors
    /// When `BANGER_REQUIRE` names it and it cannot be used, or it should work everywhere and does not.
    pub fn absence(self) -> Result<Option<String>> {
        let reason = match self {
            Self::Fake => None,
            Self::Tcg => {
                ensure!(
                    runs("qemu-system-x86_64"),
                    "QEMU is not installed: `scripts/setup.sh test` does that"
                );
                None
            }
            Self::Firecracker if !runs("firecracker") => Some("no `firecracker` on PATH".to_owned()),
            Self::Firecracker => test_kernel().err().map(|error| error.to_string()),
        };
        unless_required(self.name(), reason)
    }
}

/// Why a program that some stories need cannot be used here, if it cannot.
///
/// # Errors
/// When `BANGER_REQUIRE` names it and it cannot be used.
pub fn program_absence(program: &str) -> Result<Option<String>> {
    let of_registry = crate::python::absence(program).or_else(|| crate::npm::absence(program));
    if let Some(reason) = of_registry {
        return unless_required(program, reason);
    }
    // Not every program tells its version.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let absent = !std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    unless_required(program, absent.then(|| format!("no `{program}` on PATH")))
}

/// Why a story that needs root cannot be told here, if it cannot.
///
/// # Errors
/// When `BANGER_REQUIRE` names root and this is another user.
pub fn root_absence() -> Result<Option<String>> {
    let is_root = rustix::process::geteuid().is_root();
    unless_required(
        "root",
        (!is_root).then(|| "network namespaces take root".to_owned()),
    )
}

fn unless_required(name: &str, reason: Option<String>) -> Result<Option<String>> {
    let required = std::env::var("BANGER_REQUIRE").unwrap_or_default();
    match reason {
        Some(reason) if required.split(',').any(|required| required == name) => {
            bail!("{name} is required by BANGER_REQUIRE, but {reason}")
        }
        reason => Ok(reason),
    }
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The kernel that Firecracker boots in tests.
pub(crate) fn test_kernel() -> Result<PathBuf> {
    let Some(path) = std::env::var_os("BANGER_TEST_KERNEL").filter(|path| !path.is_empty()) else {
        bail!("BANGER_TEST_KERNEL names no kernel");
    };
    let path = PathBuf::from(path);
    ensure!(
        path.is_file(),
        "BANGER_TEST_KERNEL is {}, which does not exist",
        path.display()
    );
    Ok(path)
}
