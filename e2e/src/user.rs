//! A plain user for one story: without any right of root's, and with nobody else's files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A user id that no account of a fresh host has.
const UID: &str = "61234";

/// What becomes that user. The devices are as they are on most hosts, for everybody, whatever they are on this one.
const BECOMING: &str = "for device in net/tun kvm; do
    if [ -e $0/dev/$device ]; then mount --bind $0/dev/$device /dev/$device; fi
done
user=$1; shift
exec setpriv --reuid $user --regid $user --clear-groups -- \"$@\"";

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
    /// Gives the home away: its shared store becomes a copy, and programs lie in it, because this checkout may be one that
    /// only root can enter.
    pub(crate) fn moving_into(home: &Path, programs: &Path) -> Result<Self> {
        let user = Self {
            home: home.to_owned(),
        };
        let shared = std::fs::canonicalize(home.join("data"))?;
        std::fs::remove_file(home.join("data"))?;
        let sparse = ["-a", "--sparse=always", "--reflink=auto"];
        run(Command::new("cp")
            .args(sparse)
            .arg(&shared)
            .arg(home.join("data")))?;
        let bin = user.programs();
        std::fs::create_dir(&bin)?;
        for program in of_a_user(programs) {
            run(Command::new("cp").arg("--reflink=auto").arg(&program).arg(&bin))?;
        }
        user.open_devices()?;
        run(Command::new("chown")
            .args(["-R", &format!("{UID}:{UID}")])
            .arg(home))?;
        Ok(user)
    }

    /// Devices that only root may open here get a second node, which is bound over the first for this user alone.
    fn open_devices(&self) -> Result<()> {
        for name in ["net/tun", "kvm"] {
            let device = Path::new("/dev").join(name);
            let Ok(metadata) = std::fs::metadata(&device) else {
                continue;
            };
            if metadata.permissions().mode() & 0o006 == 0o006 {
                continue;
            }
            let copy = self.home.join("dev").join(name);
            std::fs::create_dir_all(copy.parent().context("a directory of devices")?)?;
            run(Command::new("cp").arg("-a").arg(&device).arg(&copy))?;
            std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o666))?;
        }
        Ok(())
    }

    /// Where the user's programs are.
    pub(crate) fn programs(&self) -> PathBuf {
        self.home.join("bin")
    }

    /// The user's variables.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let shown = |path: &Path| path.display().to_string();
        vec![
            ("HOME".to_owned(), shown(&self.home)),
            ("PATH".to_owned(), format!("{}:{path}", shown(&self.programs()))),
        ]
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

fn find(program: &str) -> Option<PathBuf> {
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain(installed).collect();
    dirs.into_iter()
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {words}");
    Ok(())
}
