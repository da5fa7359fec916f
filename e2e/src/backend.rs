//! What runs the guests of a scenario.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use banger_needs::{Need, Unmet};

use crate::packages::Stuff;

/// What runs the guests of a scenario.
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
    /// When `BANGER_REQUIRE` names it and it cannot be used.
    pub fn absence(self) -> Result<Option<String>, Unmet> {
        let reason = match self {
            Self::Fake => None,
            Self::Tcg => (!runs("qemu-system-x86_64")).then(|| "no `qemu-system-x86_64` on PATH".to_owned()),
            Self::Firecracker if !runs("firecracker") => Some("no `firecracker` on PATH".to_owned()),
            Self::Firecracker => test_kernel()
                .err()
                .map(|error| error.to_string())
                .or_else(kvm_absence),
        };
        banger_needs::unless_required(self.name(), reason)
    }
}

/// The need of scenarios that only root can run.
pub const ROOT: &str = "root";

/// The need of scenarios that install packages: a registry that one of this host's clients reaches.
pub const REGISTRY: &str = "registry";

/// The need of scenarios that mount in a namespace of their own user's.
pub const USER_NAMESPACES: &str = "user-namespaces";

/// Why a need of some scenarios is not met here, if it is not: a program, or rights.
///
/// # Errors
/// When `BANGER_REQUIRE` names it.
pub fn absence_of(need: &'static str) -> Result<Option<String>, Unmet> {
    let reason = match need {
        ROOT => Need::Root.absence(),
        REGISTRY => registry_absence(),
        USER_NAMESPACES => user_namespaces_absence(),
        need => crate::python::absence(need)
            .or_else(|| crate::npm::absence(need))
            .unwrap_or_else(|| Need::Program(need).absence()),
    };
    // Packages are required by their registry.
    let name = need.split_once(':').map_or(need, |(registry, _)| registry);
    banger_needs::unless_required(name, reason)
}

/// Why this user has no KVM, if it is so.
fn kvm_absence() -> Option<String> {
    let opened = std::fs::File::options().read(true).write(true).open("/dev/kvm");
    opened.err().map(|error| format!("/dev/kvm: {error}"))
}

/// Why this user may mount nothing in a namespace, if it is so.
fn user_namespaces_absence() -> Option<String> {
    let mounting = "mount -t tmpfs none /mnt";
    let mounted = Command::new("unshare")
        .args(["-rm", "sh", "-c", mounting])
        .output();
    match mounted {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "this user may mount nothing in a namespace: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare does not start: {error}")),
    }
}

/// Why no client of this host's has a registry, if none has.
fn registry_absence() -> Option<String> {
    match Stuff::found() {
        Ok(stuff) if stuff.clients().next().is_some() => {
            for absence in stuff.absences() {
                eprintln!("the scenarios of packages leave out {absence}");
            }
            None
        }
        Ok(stuff) => Some(format!("no registry is reached: {}", stuff.absences().join("; "))),
        Err(error) => Some(format!("{error:#}")),
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
