//! A plain user for one scenario: without any right of root's, and with nobody else's files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A user id that no account of a fresh host has.
const UID: &str = "61234";

/// The variable that names a Firecracker which is not on PATH.
const FIRECRACKER: &str = "BANGER_FIRECRACKER";

/// What becomes that user. The devices are as they are on most hosts, for everybody, whatever they are on this one: their
/// nodes are made in a file system of this command's own, because that of homes may be one without devices.
const BECOMING: &str = "set -e
mount -t tmpfs -o mode=755 devices \"$0/dev\"
mkdir \"$0/dev/net\"
for device in net/tun kvm; do
    if [ -e /dev/$device ]; then
        mknod -m 666 \"$0/dev/$device\" c $(stat -L -c '0x%t 0x%T' /dev/$device)
        mount --bind \"$0/dev/$device\" /dev/$device
    fi
done
user=$1; shift
exec setpriv --reuid $user --regid $user --clear-groups -- \"$@\"";

/// Programs of the host that VMs need and that are one file each; QEMU, which is many, comes from a package.
const OF_THE_HOST: [&str; 4] = ["firecracker", "vhost-device-vsock", "pasta", "passt"];

/// What a user has who runs VMs.
pub(crate) fn of_a_user(programs: &Path) -> Vec<PathBuf> {
    let agent = format!(
        "../{}-unknown-linux-musl/agent/banger-vsock-agent",
        std::env::consts::ARCH
    );
    let built = ["banger", "bangerd", &agent].map(|name| programs.join(name));
    built.into_iter().chain(find("vhost-device-vsock")).collect()
}

/// A plain user who has a home of banger's.
#[derive(Debug)]
pub(crate) struct PlainUser {
    home: PathBuf,
}

impl PlainUser {
    /// Gives away a home that shares nothing. Programs lie in it, because this checkout may be one that only root can enter,
    /// and so may be where root's programs are.
    pub(crate) fn moving_into(home: &Path, programs: &Path) -> Result<Self> {
        let user = Self {
            home: home.to_owned(),
        };
        let bin = user.programs();
        for dir in [&bin, &user.temporary(), &home.join("dev")] {
            std::fs::create_dir(dir)?;
        }
        let of_the_host = OF_THE_HOST.into_iter().filter_map(find);
        for program in of_a_user(programs).into_iter().chain(of_the_host) {
            // What is a link here is a program there; one that is there already was found twice.
            let sparing = ["--dereference", "--reflink=auto", "--no-clobber"];
            run(Command::new("cp").args(sparing).arg(&program).arg(&bin))?;
        }
        run(Command::new("chown")
            .args(["-R", &format!("{UID}:{UID}")])
            .arg(home))?;
        Ok(user)
    }

    /// Where the user's programs are.
    pub(crate) fn programs(&self) -> PathBuf {
        self.home.join("bin")
    }

    fn temporary(&self) -> PathBuf {
        self.home.join("tmp")
    }

    /// The user's variables. What names a program of root's names the user's.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let shown = |path: &Path| path.display().to_string();
        let mut env = vec![
            ("HOME".to_owned(), shown(&self.home)),
            ("PATH".to_owned(), format!("{}:{path}", shown(&self.programs()))),
            ("TMPDIR".to_owned(), shown(&self.temporary())),
        ];
        let firecracker = self.programs().join("firecracker");
        if std::env::var_os(FIRECRACKER).is_some() && firecracker.exists() {
            env.push((FIRECRACKER.to_owned(), shown(&firecracker)));
        }
        env
    }

    /// Words before a command that let it run as the user; they take root.
    pub(crate) fn becoming(&self) -> Vec<String> {
        let home = self.home.display().to_string();
        ["sh", "-c", BECOMING]
            .map(str::to_owned)
            .into_iter()
            .chain([home, UID.to_owned()])
            .collect()
    }
}

/// Where a program is that a home of root's would run.
fn find(program: &str) -> Option<PathBuf> {
    let named = std::env::var_os(FIRECRACKER).filter(|_| program == "firecracker");
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo/bin"));
    let cargo = std::env::var_os("CARGO_HOME").map(|cargo| PathBuf::from(cargo).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(cargo).chain(installed);
    named
        .map(PathBuf::from)
        .into_iter()
        .chain(dirs.map(|dir| dir.join(program)))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {words}");
    Ok(())
}
