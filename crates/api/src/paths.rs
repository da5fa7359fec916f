//! Where banger keeps things on this host, by the XDG base directory specification.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::whereabouts;

/// The name of the daemon's socket in its runtime directory.
const SOCKET: &str = "bangerd.sock";

/// The directories of one user's banger.
///
/// `BANGER_HOME` moves all of them below one directory. Nothing is created by looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `$XDG_CONFIG_HOME/banger`: the configuration.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/banger`: the database, VM disks, the daemon's log.
    pub state: PathBuf,
    /// `$XDG_DATA_HOME/banger`: images and kernels.
    pub data: PathBuf,
    /// `$XDG_CACHE_HOME/banger`: what can be made again.
    pub cache: PathBuf,
    /// `run` in the state directory: sockets, and what machines keep while they run. Not `$XDG_RUNTIME_DIR`, which not all
    /// of a user's programs have, and which goes when the user logs out.
    pub runtime: PathBuf,
    /// `$XDG_RUNTIME_DIR/banger`, where earlier versions had their sockets.
    pub former_runtime: Option<PathBuf>,
}

/// The longest path of a runtime directory: the address of a Unix socket has at most 107 bytes, and the longest one of a
/// machine's is `m/0123456789abcdef/vsock.sock_1025` below it.
const LONGEST_RUNTIME: usize = 107 - "/m/0123456789abcdef/vsock.sock_1025".len();

/// The paths could not be found.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// There is no home directory to derive them from.
    #[error("failed to find the home directory: set HOME or BANGER_HOME")]
    Home(#[source] etcetera::HomeDirError),
    /// A relative path would mean another place for each working directory, and in a repository one of its own.
    #[error("invalid {0} `{1}`: expected an absolute path")]
    Relative(&'static str, PathBuf),
}

impl Paths {
    /// The paths of the environment this process runs in.
    ///
    /// # Errors
    /// See [`PathsError`].
    pub fn from_env() -> Result<Self, PathsError> {
        let given = |name| match std::env::var_os(name).filter(|path| !path.is_empty()) {
            Some(path) if Path::new(&path).is_relative() => Err(PathsError::Relative(name, path.into())),
            path => Ok(path),
        };
        if let Some(home) = given("BANGER_HOME")? {
            return Ok(Self::below(Path::new(&home)));
        }
        // The base directories of the specification are ignored where they are relative.
        given("HOME")?;
        let base = etcetera::choose_base_strategy().map_err(PathsError::Home)?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir()).join("banger");
        let former = base.runtime_dir().map(|dir| dir.join("banger"));
        Ok(Self {
            config: base.config_dir().join("banger"),
            data: base.data_dir().join("banger"),
            cache: base.cache_dir().join("banger"),
            runtime: runtime_of(&state, former.as_deref()),
            former_runtime: former,
            state,
        })
    }

    /// The paths below one directory, as `BANGER_HOME` gives.
    pub fn below(home: &Path) -> Self {
        let at = |name: &str| home.join(name);
        Self {
            config: at("config"),
            state: at("state"),
            data: at("data"),
            cache: at("cache"),
            runtime: at("run"),
            former_runtime: None,
        }
    }

    /// The lock of the one daemon of this state. It stands beside the database, so that whatever the environment says, two
    /// daemons cannot have one database.
    pub fn lock(&self) -> PathBuf {
        self.state.join("bangerd.lock")
    }

    /// Where the daemon of this state may listen: here, where the lock says, and where earlier versions did.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let recorded = whereabouts::recorded(&self.lock());
        let others = recorded.into_iter().chain(self.former_runtime.clone());
        let mut sockets = vec![self.socket()];
        for socket in others.map(|runtime| runtime.join(SOCKET)) {
            if !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
        sockets
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join(SOCKET)
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The catalogs that commands added. The configuration file is its user's own.
    pub fn catalogs_file(&self) -> PathBuf {
        self.config.join("catalogs.toml")
    }

    /// The directory of which states of catalogs were seen.
    pub fn catalogs_seen(&self) -> PathBuf {
        self.state.join("catalogs")
    }

    /// The directory of what SSH clients need.
    pub fn ssh_dir(&self) -> PathBuf {
        self.state.join("ssh")
    }

    /// The private key that every VM takes.
    pub fn ssh_identity(&self) -> PathBuf {
        self.ssh_dir().join("id_ed25519")
    }

    /// The keys of VMs.
    pub fn ssh_known_hosts(&self) -> PathBuf {
        self.ssh_dir().join("known_hosts")
    }

    /// The daemon's log.
    pub fn daemon_log(&self) -> PathBuf {
        self.state.join("bangerd.log")
    }
}

/// The directory of sockets: in the state, unless addresses there are too long and a login session has a shorter one.
fn runtime_of(state: &Path, former: Option<&Path>) -> PathBuf {
    let here = state.join("run");
    match former {
        Some(former) if here.as_os_str().len() > LONGEST_RUNTIME => former.to_owned(),
        _ => here,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_in_the_state_while_their_addresses_fit() {
        let former = Path::new("/run/user/1000/banger");
        let usual = Path::new("/home/somebody/.local/state/banger");
        assert_eq!(runtime_of(usual, Some(former)), usual.join("run"));
        assert_eq!(runtime_of(usual, None), usual.join("run"));
        let long = Path::new("/export/home/of-a-department/of-a-long-name/somebody/.local/state/banger");
        assert_eq!(runtime_of(long, Some(former)), former);
        assert_eq!(runtime_of(long, None), long.join("run"));
    }
}
