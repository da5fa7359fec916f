//! Where banger keeps things on this host, by the XDG base directory specification.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

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
    /// `$XDG_RUNTIME_DIR/banger`: sockets.
    pub runtime: PathBuf,
}

/// The paths could not be found.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// There is no home directory to derive them from.
    #[error("find the home directory: set HOME or BANGER_HOME")]
    Home(#[source] etcetera::HomeDirError),
    /// A relative `BANGER_HOME` would mean another place for each working directory.
    #[error("BANGER_HOME is `{0}`, which is not an absolute path")]
    Relative(PathBuf),
}

impl Paths {
    /// The paths of the environment this process runs in.
    ///
    /// # Errors
    /// See [`PathsError`].
    pub fn from_env() -> Result<Self, PathsError> {
        if let Some(home) = std::env::var_os("BANGER_HOME").filter(|home| !home.is_empty()) {
            let home = PathBuf::from(home);
            return if home.is_absolute() {
                Ok(Self::below(&home))
            } else {
                Err(PathsError::Relative(home))
            };
        }
        let base = etcetera::choose_base_strategy().map_err(PathsError::Home)?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir()).join("banger");
        // Without a runtime directory (no login session) sockets live under the state directory, which persists but
        // is as private.
        let runtime = base
            .runtime_dir()
            .map_or_else(|| state.join("run"), |dir| dir.join("banger"));
        Ok(Self {
            config: base.config_dir().join("banger"),
            data: base.data_dir().join("banger"),
            cache: base.cache_dir().join("banger"),
            runtime,
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
        }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("bangerd.sock")
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The catalogs that commands added. The configuration file is its user's own.
    pub fn catalogs_file(&self) -> PathBuf {
        self.config.join("catalogs.toml")
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
